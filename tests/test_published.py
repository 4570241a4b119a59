"""Timeloop's dialects: files as people publish them load to what they resolve to, and evaluate to what
the real program printed. They are read from the folder that the environment variable
TILEBOUND_REFERENCE names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tilebound.cli import run
from tilebound.loading import Loaded, load_specs
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import validate
from tilebound.model.evaluate import evaluate
from tilebound.spec.nodes import Problems
from tilebound.spec.reader import read_text

from test_frontend import bare

REFERENCE = Path(os.environ.get("TILEBOUND_REFERENCE", "/nonexistent"))
PUBLIC, SOURCES = REFERENCE / "public", REFERENCE / "public_sources"
published = pytest.mark.skipif(not PUBLIC.is_dir(), reason="TILEBOUND_REFERENCE names no collection")


def counts(level: Any) -> dict[str, tuple[int, ...]]:
    return {name: (x.tile_words, x.partition_words, level.utilized_instances, x.reads, x.fills, x.updates,
                   x.temporal_reductions) for name, x in level.tensors.items()}


def recorded_counts(level: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    keys = ("utilized_capacity", "partition_size", "utilized_instances_max", "scalar_reads_per_instance",
            "scalar_fills_per_instance", "scalar_updates_per_instance", "temporal_reductions_per_instance")
    return {name: tuple(tensor[key] for key in keys) for name, tensor in level["tensors"].items()}


def dense() -> list[str]:
    """The published specifications without sparse optimisations."""
    if not PUBLIC.is_dir():
        return []
    return [path.name for path in sorted(PUBLIC.iterdir())
            if "sparse_optimizations" not in (path / "input.yaml").read_text()]


def check(cost: Any, expected: dict[str, Any]) -> None:
    """Every count, energy and cycle against what was printed."""
    for level in cost.levels:
        if level.name not in expected["levels"]:
            assert not level.tensors        # Timeloop does not print a level that keeps nothing
            continue
        printed = expected["levels"][level.name]
        assert counts(level) == recorded_counts(printed), level.name
        assert level.cycles == printed["stats"]["cycles"], level.name
        for tensor, x in level.tensors.items():
            assert x.energy_pj == pytest.approx(printed["tensors"][tensor]["energy_total"], rel=1e-9)
    summary = expected["summary"]
    assert (cost.computes, cost.cycles) == (summary["computes"], summary["cycles"])
    assert cost.energy_pj == pytest.approx(summary["energy_pj"], rel=1e-9)


@published
@pytest.mark.parametrize("name", dense())
def test_published_specifications_evaluate_as_printed(name: str) -> None:
    loaded = load_specs([PUBLIC / name / "input.yaml"], need=("architecture", "workload", "mapping"))
    assert loaded.architecture is not None and loaded.workload is not None and loaded.unsupported == ()
    einsum, = loaded.workload
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    validate(loaded.architecture, einsum, mapping)
    expected = json.loads((PUBLIC / name / "expected.json").read_text())
    check(evaluate(loaded.architecture, einsum, mapping), expected)


def yaml(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.glob("*.yaml"))]


def unresolved() -> dict[str, tuple[list[Path], dict[str, object]]]:
    """For each resolved specification the files that it was made from, and the values for templates."""
    ispass, v04 = SOURCES / "ispass2020" / "timeloop", SOURCES / "v0.4"
    found: dict[str, tuple[list[Path], dict[str, object]]] = {}
    for folder, ends in (
            ("00-model-conv1d-1level", {"": "conv1d-1level"}),
            ("01-model-conv1d-2level", {"-os": "conv1d-2level-os", "-ws": "conv1d-2level-ws"}),
            ("02-model-conv1d+oc-2level", {"-tiling": "conv1d+oc-2level-os-tiled",
                                           "-no-tiling": "conv1d+oc-2level-os"}),
            ("03-model-conv1d+oc-3level", {"-bypass": "conv1d+oc-3level-bypass",
                                           "-no-bypass": "conv1d+oc-3level"}),
            ("04-model-conv1d+oc-3levelspatial", {"-cp": "conv1d+oc+ic-3levelspatial-cp-ws",
                                                  "-kp": "conv1d+oc+ic-3levelspatial-kp-ws"})):
        for end, name in ends.items():
            files = [*yaml(ispass / folder / "arch", ispass / folder / "prob"),
                     ispass / folder / "map" / f"{name}.map.yaml"]
            found[f"ispass2020-timeloop-{folder}{end}"] = files, {}
    folder = ispass / "05-mapper-conv1d+oc-3level"
    for end, name in (("baked", "conv1d+oc-3level-1mapping"), ("freebypass", "conv1d+oc-3level-freebypass"),
                      ("null", "null")):
        found[f"ispass2020-timeloop-{folder.name}-{end}"] = [
            *yaml(folder / "arch", folder / "prob", folder / "mapper"),
            folder / "constraints" / f"{name}.constraints.yaml"], {}
    folder = ispass / "06-mapper-convlayer-eyeriss"
    found[f"ispass2020-timeloop-{folder.name}"] = yaml(
        folder / "arch", folder / "arch" / "components", folder / "prob", folder / "mapper"), {}
    folder = SOURCES / "ispass2020" / "timeloop+accelergy"
    for kind, operand, total in (("intmac", 8, 16), ("fpmac", 32, 32)):
        found[f"ispass2020-timeloop+accelergy-{kind}"] = [folder / "arch" / "arch.yaml", *yaml(
            folder / "arch" / "components", folder / "prob", folder / "mapper")], {
                "mac_class": kind, "input_weight_datawidth": operand, "psum_datawidth": total}
    for name in ("eyeriss_like", "simple_output_stationary", "simple_weight_stationary"):
        found[name] = [v04 / "top.yaml.jinja2"], {"architecture": name}
    found["02_interface_and_design_space_exploration_2024-outputs"] = yaml(v04 / "tutorial2024"), {
        "reg_enabled": False}
    for folder in sorted((v04 / "sparseloop").glob("*")):
        found[f"sparseloop-{folder.name}"] = [v04 / "top.yaml.jinja2"], {
            "architecture": f"sparseloop/{folder.name}"}
    return found


#: Resolved from another edition of the files, in which the PEs stand above the global buffer.
OTHER_EDITION = {"ispass2020-timeloop-04-model-conv1d+oc-3levelspatial-cp",
                 "ispass2020-timeloop-04-model-conv1d+oc-3levelspatial-kp"}


def resolved_from_sources(name: str) -> tuple[Loaded, Loaded]:
    """A specification from its files, with the tables of the resolved one, and that one itself."""
    twin, = read_text((PUBLIC / name / "input.yaml").read_text(), Problems())
    files, define = unresolved()[name]
    tables = {key: twin[key] for key in ("ERT", "ART")}
    return load_specs([*files, tables], define=define), load_specs([PUBLIC / name / "input.yaml"])


@published
@pytest.mark.parametrize("name", sorted(unresolved()))
def test_files_resolve_to_what_timeloop_was_given(name: str) -> None:
    found, twin = resolved_from_sources(name)
    assert found.architecture is not None and twin.architecture is not None
    assert found.workload is not None and twin.workload is not None
    assert list(found.workload) == list(twin.workload)
    if name not in OTHER_EDITION:
        assert bare(found.architecture) == bare(twin.architecture)
    if name in OTHER_EDITION or not found.mappings:
        return
    einsum, = found.workload
    mapping = from_timeloop(found.mappings[""], found.architecture, einsum)
    assert mapping == from_timeloop(twin.mappings[""], twin.architecture, einsum)
    expected = json.loads((PUBLIC / name / "expected.json").read_text())
    check(evaluate(found.architecture, einsum, mapping), expected)


@published
@pytest.mark.parametrize("name", sorted(unresolved()))
def test_a_resolved_mapping_keeps_what_the_files_ask_for(name: str) -> None:
    found, twin = resolved_from_sources(name)
    assert found.architecture is not None and found.workload is not None and twin.architecture is not None
    if name in OTHER_EDITION:
        return
    mapping = from_timeloop(twin.mappings[""], twin.architecture, next(iter(found.workload)))
    for level, block in zip(found.architecture.levels, mapping, strict=True):
        assert level.keep <= block.keep and not level.bypass & block.keep, level.name


@published
@pytest.mark.parametrize("name", [name for name in sorted(unresolved()) if "-model-" in name])
def test_the_command_evaluates_files_as_published(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    files, _ = unresolved()[name]
    assert run(["evaluate", "--json", *map(str, files)]) == 0
    document = json.loads(capsys.readouterr().out)
    expected = json.loads((PUBLIC / name / "expected.json").read_text())["summary"]
    assert document["total"]["cycles"] == expected["cycles"]


@published
@pytest.mark.parametrize("name", ["eyeriss_like-float32", "eyeriss_like-int16"])
def test_older_trees_load(name: str) -> None:
    folder = SOURCES / "ispass2020" / "timeloop+accelergy"
    parts = yaml(folder / "arch" / "components", folder / "prob")
    loaded = load_specs([folder / "arch" / f"{name}.yaml", *parts])
    assert loaded.architecture is not None and loaded.architecture.node_nm == 45
    assert [level.instances for level in loaded.architecture.levels] == [1, 1, 14, 168, 168, 168]


@published
@pytest.mark.parametrize("name", [name for name in sorted(unresolved()) if name.endswith("-baked")])
def test_the_command_searches_files_as_published(name: str, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    files, _ = unresolved()[name]
    twin, = read_text((PUBLIC / name / "input.yaml").read_text(), Problems())
    tables = tmp_path / "tables.yaml"
    tables.write_text(json.dumps({key: twin[key].plain() for key in ("ERT", "ART")}))
    assert run(["map", "--json", "--objective", "energy", *map(str, [*files, tables])]) == 0
    document = json.loads(capsys.readouterr().out)
    expected = json.loads((PUBLIC / name / "expected.json").read_text())["summary"]
    assert document["total"]["cycles"] == expected["cycles"]        # its constraints leave one mapping
    assert document["total"]["energy_pj"] == pytest.approx(expected["energy_pj"], rel=1e-9)
