"""Writing either dialect and reading it back: equal architectures, layers, mappings, constraints."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random

import pytest
import tilebound as tb
import yaml
from tilebound import cli
from tilebound.api import read_constraints, read_mapping
from tilebound.convert import convert, dump
from tilebound.errors import MappingError, SpecError
from tilebound.hardware.architecture import Figure
from tilebound.hardware.write import architecture_to_dict
from tilebound.loading import library_names, load_specs
from tilebound.mapping.constraints import Constraints, FactorRange, LevelConstraints
from tilebound.mapping.read_constraints import SECTIONS
from tilebound.mapping.text import format_nest
from tilebound.mapping.write_constraints import constraints_to_dict, constraints_to_timeloop
from tilebound.workload.build import workload_to_dict
from tilebound.workload.graph import WorkloadGraph

from strategies import random_case
from test_constraints import random_rules
from test_search import gemm, three_level

CASES = sorted(p.parent for p in (Path(__file__).parent / "cases").glob("*/input.yaml"))


def without_sources(value):
    """The same value without the provenance of its figures, which names the file they were read from."""
    if isinstance(value, Figure):
        return value.value
    if is_dataclass(value):
        return type(value).__name__, {f.name: without_sources(getattr(value, f.name))
                                      for f in fields(value) if f.compare}
    if isinstance(value, dict):
        return {key: without_sources(x) for key, x in value.items()}
    return tuple(map(without_sources, value)) if isinstance(value, tuple) else value


def contents(loaded):
    """Everything that is in it, comparable."""
    architecture, graph = loaded.architecture, loaded.workload
    found = {"architecture": without_sources(architecture), "layers": graph and list(graph)}
    if graph is not None and architecture is not None:
        sections = [loaded.sections[key] for key in SECTIONS if key in loaded.sections]
        found["constraints"] = read_constraints(sections, architecture, graph)
        for name, node in loaded.mappings.items():
            layer = name or next(iter(graph)).name
            found["mapping of", layer] = read_mapping(node, architecture, graph[layer])
    return found


def again(loaded, dialect, tmp_path, layer=None):
    path = tmp_path / f"{dialect}.yaml"
    path.write_text(dump(convert(loaded, dialect, layer)))
    return load_specs([path])


@pytest.mark.parametrize("dialect", ["native", "timeloop"])
@pytest.mark.parametrize("case", CASES, ids=lambda p: p.name)
def test_recorded_cases_read_back_equal(case, dialect, tmp_path):
    loaded = load_specs([case / "input.yaml"])
    if loaded.unsupported:
        with pytest.raises(SpecError):
            convert(loaded, dialect)
        return
    assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)


@pytest.mark.parametrize("dialect", ["native", "timeloop"])
@pytest.mark.parametrize("name", [name for name, _ in library_names("arch")])
def test_library_architectures_read_back_equal(name, dialect, tmp_path):
    loaded = load_specs([name])
    assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)


@pytest.mark.parametrize("name", [name for name, _ in library_names("workloads")])
def test_library_workloads_read_back_equal(name, tmp_path):
    loaded = load_specs([name])
    assert contents(again(loaded, "native", tmp_path)) == contents(loaded)
    for einsum in list(loaded.workload)[:3]:
        assert list(again(loaded, "timeloop", tmp_path, einsum.name).workload) == [einsum]
    with pytest.raises(SpecError, match="no layer chosen"):
        convert(loaded, "timeloop")


@pytest.mark.parametrize("seed", range(60))
def test_random_specifications_read_back_equal(seed, tmp_path):
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    architecture = replace(architecture, notes=rng.choice(("", "drawn at random")), cycle_seconds=5e-9)
    levels = [LevelConstraints(level.name, frozenset([einsum.tensors[0].name] if rng.random() < 0.3 else []))
              for level in architecture.levels]
    constraints = Constraints(tuple(x for x in levels if x.keep), rng.choice((0.0, 0.5)))
    spec = {"architecture": architecture_to_dict(architecture),
            "workload": workload_to_dict(WorkloadGraph(einsum.name, [(einsum, 1)])),
            "constraints": constraints_to_dict(constraints),
            "mapping": format_nest(mapping, architecture, einsum)}
    loaded = load_specs([spec])
    expected = contents(loaded)
    assert expected["architecture"] == without_sources(architecture)
    assert expected["mapping of", einsum.name] == mapping
    assert contents(again(loaded, "native", tmp_path)) == expected
    if any({x.rank for x in b.spatial_x} & {x.rank for x in b.spatial_y} for b in mapping):
        with pytest.raises(MappingError, match="two spatial loops"):
            convert(loaded, "timeloop")
    else:
        assert contents(again(loaded, "timeloop", tmp_path)) == expected


@pytest.mark.parametrize("seed", range(30))
def test_constraints_in_timeloop_entries_read_back_equal(seed):
    rng = Random(seed)
    graph, machine = WorkloadGraph("net", [(gemm(8, 6, 4), 1)]), three_level()

    def rules(split):
        found = random_rules(rng, split)
        default = rng.choice((FactorRange(), FactorRange(2), FactorRange(1, 4), FactorRange(2, 4)))
        return replace(found, default=default, factors=tuple(
            (rank, FactorRange(rest=True) if asked.rest else asked) for rank, asked in found.factors))

    constraints = Constraints(tuple(LevelConstraints(name, temporal=rules(False), spatial=rules(True),
                                                     no_multicast=frozenset("A"))
                                    for name in ("DRAM", "GLB", "RF")), 0.25)
    assert read_constraints([constraints_to_timeloop(constraints, machine)], machine, graph) == constraints


def test_formats_name_the_ranks_of_the_layer_alone(tmp_path, capsys):
    """A machine of the library names those of all layer types, Timeloop knows those of a problem."""
    given = ["eyeriss_sparse", "alexnet_sparse", "--layer", "conv3"]
    assert cli.run(["convert", *given, "--to", "timeloop", "-o", str(tmp_path / "t.yaml")]) == 0
    text = yaml.safe_load((tmp_path / "t.yaml").read_text())
    dram, *_ = text["sparse_optimizations"]["targets"]
    tensors = dram["representation_format"]["data_spaces"]
    assert [x["ranks"][0]["flattened_rankIDs"] for x in tensors] == [[list("NCPQRSK")], [list("NCKPQ")]]
    mapping = "DRAM\nfor K in 96\nfor C in 256\nGLB [Inputs, Outputs]\nfor R in 3\nfor P in 13\nRF\n" \
        "for S in 3\nfor Q in 13\nfor K in 4"
    costs = []
    for name, layer in (("eyeriss_sparse", tb.load_workload("alexnet_sparse")["conv3"]),
                        (str(tmp_path / "t.yaml"), next(iter(tb.load_workload(tmp_path / "t.yaml"))))):
        costs.append(tb.evaluate(tb.load_architecture(name), layer, mapping).energy_pj)
    assert costs[0] == pytest.approx(costs[1])


def test_the_command_writes_what_it_can_read(tmp_path, capsys):
    file = tmp_path / "eyeriss.yaml"
    arguments = ["--layer", "conv2", "--to", "timeloop", "-o", str(file)]
    assert cli.run(["convert", "eyeriss", "alexnet", *arguments]) == 0
    document = yaml.safe_load(file.read_text())
    assert {"architecture", "problem", "ERT", "ART"} <= set(document)
    names = [row["name"] for row in document["ERT"]["tables"][1]["actions"]]
    assert set(names) >= {"read", "write", "update"}
    assert cli.run(["convert", str(file), "--to", "native"]) == 0
    text = capsys.readouterr().out
    assert tb.load_workload(yaml.safe_load(text)) is not None
    assert cli.run(["convert", "alexnet", "--to", "timeloop"]) == 2
    assert "expected one of conv1" in capsys.readouterr().err
