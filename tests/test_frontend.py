"""Timeloop's dialects, in files of our own: every feature of them, and faults with their places."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tilebound.cli import run
from tilebound.energy import EnergyTable
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.loading import Loaded, load_architecture, load_specs, load_workload
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import validate
from tilebound.model.evaluate import evaluate

OWN = Path(__file__).parent / "frontend"
FILES = [OWN / f"{name}.yaml" for name in ("arch", "components", "variables", "problem", "mapping")]


def bare(machine: Architecture) -> Architecture:
    """The machine without a name, without sources of figures, and without what constraints say."""
    def figures(part: Storage | Compute) -> dict[str, Any]:
        area = None if part.area is None else Figure(part.area.value, "")
        return {"energy": {key: Figure(x.value, "") for key, x in part.energy.items()}, "area": area}

    levels = tuple(replace(x, keep=frozenset(), bypass=frozenset(), **figures(x)) for x in machine.levels)
    compute = replace(machine.compute, **figures(machine.compute))
    return replace(machine, name="", levels=levels, compute=compute)


# Own files: every feature of the dialect


@pytest.fixture(scope="module")
def own() -> Loaded:
    return load_specs(FILES, need=("architecture", "workload", "mapping"))


def test_nodes_resolve_to_the_tree(own: Loaded) -> None:
    assert own.architecture is not None
    assert own.architecture.name == "chip" and own.architecture.cycle_seconds == 2e-9
    tree = load_specs([OWN / "tree.yaml", OWN / "components.yaml"]).architecture
    assert tree is not None and tree.name == "chip"
    assert bare(own.architecture) == bare(tree)
    assert own.notes == own.unsupported == ()


def test_what_a_level_keeps(own: Loaded) -> None:
    assert own.architecture is not None
    everything = frozenset({"Weights", "Inputs", "Outputs"})
    kept = {level.name: (level.keep, level.bypass) for level in own.architecture.levels}
    assert kept == {
        "DRAM": (frozenset(), frozenset()), "buffer": ({"Inputs", "Outputs"}, {"Weights"}),
        "inter_row_spatial": (frozenset(), everything), "inter_PE_spatial": (frozenset(), everything),
        "weights": ({"Weights"}, {"Inputs", "Outputs"}), "sums": ({"Outputs"}, {"Inputs", "Weights"}),
        "latch": (frozenset(), everything), "inter_mac_spatial": (frozenset(), everything)}


def test_compound_components_are_the_sum_of_their_parts(own: Loaded) -> None:
    assert own.architecture is not None
    energy = {level.name: level.energy["read"] for level in own.architecture.levels}
    buffer = own.architecture.levels[1]
    array = EnergyTable.default().sram(bits=256 * 32, width=32, node_nm=45)
    assert buffer.energy["read"].value == pytest.approx(array.read_pj + 8 * 0.21 / 32)   # 8 bits
    assert "sram.csv" in buffer.energy["read"].source and buffer.energy["read"].basis == "derived"
    assert buffer.energy["fill"].value == array.write_pj
    assert buffer.area is not None and buffer.area.value == pytest.approx(array.area_um2 + 2 * 8 * 278 / 32)
    assert [energy[name].value for name in ("weights", "latch", "inter_row_spatial")] == [0, 0, 0]


def test_constraints_come_out_with_their_places(own: Loaded) -> None:
    section = own.sections["architecture_constraints"]
    assert section.plain() == {"targets": [
        {"target": "buffer", "type": "dataspace", "keep": ["Inputs", "Outputs"], "bypass": ["Weights"]},
        {"target": "buffer", "type": "temporal", "permutation": ["R", "P"], "factors": ["R=1"]},
        {"target": "inter_row_spatial", "type": "spatial", "split": 3, "factors": ["R=1"]},
        {"target": "weights", "type": "dataspace", "keep": ["Weights"], "bypass": ["Inputs"]},
        {"target": "sums", "type": "dataspace", "keep": ["Outputs"], "bypass": ["Inputs"]}]}
    lines = (OWN / "arch.yaml").read_text().splitlines()
    factors = section["targets"][1]["factors"][0]
    assert lines[factors.line - 1][factors.column - 1:].startswith("R=1")


def test_keys_that_only_the_front_end_has_become_plain_constraints(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES.replace("class: regfile,", """class: regfile, constraints: {
      temporal: {factors_only: [K=4], permutation: [K]}, dataspace: {keep_only: [Weights]}},""") + """
problem: {shape: conv1d_oc, instance: {K: 8, R: 3, P: 16}}
mapspace_constraints:
  targets:
  - {target: DRAM, type: temporal, factors: [K=2], no_iteration_over_dataspaces: [Weights]}
  - {target: DRAM, type: spatial, maximize_dims: [[K, R]]}
extra_mapping_constraints: {targets: [{target: DRAM, type: bypass, keep: [Outputs]}]}
""")
    loaded = load_specs([path])
    assert loaded.sections["architecture_constraints"].plain()["targets"] == [
        {"target": "RF", "type": "temporal", "permutation": ["K"], "factors": ["K=4"],
         "default_max_factor": 1},
        {"target": "RF", "type": "dataspace", "keep": ["Weights"], "bypass": ["Inputs", "Outputs"]},
        {"target": "DRAM", "type": "bypass", "keep": ["Outputs"]}]
    assert loaded.sections["mapspace_constraints"].plain()["targets"] == [
        {"target": "DRAM", "type": "temporal", "factors": ["K=2", "K=1", "R=1"]},
        {"target": "DRAM", "type": "spatial"}]
    note, = loaded.notes
    assert "maximize_dims is not applied" in note.message and note.line == 13


def test_factors_may_be_expressions(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES + """
variables: {N: 4}
problem: {shape: conv1d_oc, instance: {K: 8, R: 3, P: 16}}
mapspace_constraints: [{target: DRAM, type: temporal, factors: [K<=N // 2, "R=-1", "P = 3,1"]}]
mapping: [{target: DRAM, type: temporal, factors: [K=N + 1, R=M]}]
""")
    with pytest.raises(SpecError, match="unknown name 'M' in expression 'M'"):
        load_specs([path])
    path.write_text(path.read_text().replace(", R=M", ""))
    loaded = load_specs([path])
    assert loaded.sections["mapspace_constraints"][0]["factors"].plain() == ["K<=2", "R=-1", "P = 3,1"]
    assert loaded.mappings[""][0]["factors"].plain() == ["K=5"]


def test_branches_may_have_several_components(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES.replace("  - !Component {name: RF", """  - !Parallel
    nodes:
    - !Hierarchical
      nodes:
      - !Component
        {name: A, class: regfile, constraints: {dataspace: {keep: [Weights]}}, attributes: {depth: 4}}
      - !Component {name: B, class: regfile, attributes: {depth: 4}}
    - !Component {name: C, class: regfile, constraints: {dataspace: {keep: Inputs}}, attributes: {depth: 4}}
  - !Component {name: RF""").replace("depth: 4}", "depth: 4, width: bits, datawidth: bits}"))
    bypassed = {level.name: set(level.bypass) for level in load_architecture(path).levels}
    assert bypassed == {"DRAM": set(), "A": {"Inputs"}, "B": {"Inputs"}, "C": {"Weights"}, "RF": set()}


def test_settings_that_count_for_nothing_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES + "globals: {environment_variables: {TIMELOOP_ENABLE_TRACING: 1, OTHER: 1},\n"
                    "          expression_custom_functions: [f.py]}\n")
    assert sorted(note.line for note in load_specs([path]).notes) == [7, 8]


def test_a_mapping_may_name_containers(own: Loaded) -> None:
    assert own.architecture is not None and own.workload is not None
    einsum, = own.workload
    assert dict(zip(einsum.ranks, einsum.extents, strict=True)) == {"K": 8, "R": 3, "P": 16}
    mapping = from_timeloop(own.mappings[""], own.architecture, einsum)
    validate(own.architecture, einsum, mapping)
    cost = evaluate(own.architecture, einsum, mapping)
    assert cost.computes == 8 * 3 * 16 and cost.cycles == 8 * 3 * 16 // (4 * 2 * 2)


def test_values_can_be_given_to_templates() -> None:
    wide = load_specs(FILES[:4], define={"columns": 8}).architecture
    assert wide is not None and wide.compute.mesh_x == 16 and wide.compute.mesh_y == 4


def test_the_command_reads_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", *map(str, FILES), "-D", "columns=4"]) == 0
    assert "conv1d_oc" in capsys.readouterr().out
    assert run(["evaluate", *map(str, FILES), "-D", "columns"]) == 2


NODES = """architecture:
  nodes:
  - !Container {name: chip, attributes: {technology: 45nm, bits: 16}}
  - !Component {name: DRAM, class: DRAM, attributes: {type: LPDDR4, width: 64, datawidth: bits}}
  - !Component {name: RF, class: regfile, attributes: {depth: 64, width: bits, datawidth: bits}}
  - !Component {name: mac, class: intmac, attributes: {datawidth: bits}}
"""


def faults(text: str, folder: Path) -> list[str]:
    path = folder / "x.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_specs([path])
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


@pytest.mark.parametrize(("old", "new", "at", "parts"), [
    ("depth: 64", "depth: 64 * bist", "64 * bist", ["unknown name 'bist'", "did you mean 'bits'?"]),
    ("depth: 64", "depth: 2 ** 9999", "2 ** 9999", ["a power beyond reason"]),
    ("depth: 64", "depth: __import__('os')", "__imp", ["function '__import__'", "expected one of min"]),
    ("depth: 64", "depth: bits.real", "bits.real", ["unknown name 'bits.real'"]),
    ("depth: 64", "depth: 1 / 0", "1 / 0", ["division by zero"]),
    ("bits: 16", "bits: 2 * technology", "2 * tech", ["something that is no number"]),
    ("!Component {name: RF,", "!Componet {name: RF,", "!Componet", ["tag '!Componet'", "!Component"]),
    ("!Component {name: RF,", "{name: RF,", "{name: RF", ["without a tag"]),
    ("class: regfile", "clas: regfile", "clas: ", ["unknown key 'clas'", "did you mean 'class'?"]),
    ("name: mac", "nam: mac", "nam: ", ["unknown key 'nam'", "did you mean 'name'?"]),
    ("class: regfile,", "class: regfile, spatial: {meshx: 2},", "meshx", ["did you mean 'meshX'?"]),
    ("class: regfile,", "class: regfile, spatial: {meshX: 0},", "0}", ["a whole number, 1 or more"]),
    ("class: regfile,", "class: regfile, spatial: 4,", "4,", ["expected {meshX:, meshY:}"]),
    ("depth: 64", "meshX: 9", "9", ["expected it under `spatial`"]),
    ("class: regfile,", "class: regfile, constraints: {temporl: {}},", "temporl", ["'temporal'"]),
    ("  nodes:\n", "  nodes: 3\n  node:\n", "3\n", ["a list of nodes"]),
    ("  - !Component {name: mac", "  - !Parallel {name: p}\n  - !Component {name: mac", "!Parallel",
     ["a list of nodes"]),
    ("architecture:", "variables: [1]\narchitecture:", "[1]", ["variables is a list"])])
def test_faults_are_located(old: str, new: str, at: str, parts: list[str], tmp_path: Path) -> None:
    assert NODES.count(old) == 1
    text = NODES.replace(old, new)
    before = text[:text.index(new) + new.index(at)]
    place = f"x.yaml:{before.count(chr(10)) + 1}:{len(before.rpartition(chr(10))[2]) + 1}: error: "
    found = faults(text, tmp_path)
    assert any(fault.startswith(place) and all(part in fault for part in parts) for fault in found), found


def test_unknown_attributes_of_other_tools_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES.replace("depth: 64", "depth: 64, update_fifo_depth: 2, note: made of (some) gates"))
    assert load_architecture(path).levels[1].attributes["note"] == "made of (some) gates"


def test_a_class_that_nobody_knows_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES.replace("class: regfile", "class: regfiel"))
    loaded = load_specs([path])
    note, = loaded.notes
    assert str(note).startswith(f"{path}:5:") and "did you mean 'regfile'?" in note.message


def test_variables_must_come_first(tmp_path: Path) -> None:
    found = faults("variables: {a: 2, b: a * 3, c: b + dd, dd: 1}\nproblem: {shape: gemm, M: b, N: c, K: 1}",
                   tmp_path)
    assert any("x.yaml:1:32:" in fault and "unknown name 'dd'" in fault for fault in found)
    path = tmp_path / "y.yaml"
    path.write_text("variables: {a: 2, b: a * 3}\nproblem: {shape: gemm, M: b, N: a ** 2, K: 1}\n")
    assert next(iter(load_workload(path))).extents == (6, 4, 1)


def test_old_hyphens_ranges_and_lists(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("""
architecture:
  version: 0.2
  subtree:
  - name: system
    local:
    - {name: DRAM, class: DRAM, attributes: {type: LPDDR4, word-bits: 8, block-size: 4, width: 32}}
    subtree:
    - name: PE[0..167]
      attributes: {technology: 45nm}
      local:
      - {name: RF, class: regfile, attributes: {word-bits: 8, memory_depth: 2 ** 4, memory_width: 16,
                                                meshX: 14, read-bandwidth: 2, technology: 45nm}}
      - {name: "lane[0..1]", class: mac, attributes: {datawidth: 8, meshX: 28, technology: 45nm}}
problem: {shape: cnn-layer, R: 3, S: 3, P: 4, Q: 4, C: 2, K: 2, N: 1, Wstride: 2}
""")
    loaded = load_specs([path])
    assert loaded.architecture is not None and loaded.workload is not None
    dram, registers = loaded.architecture.levels
    assert (dram.word_bits, dram.block_words, dram.size_words) == (8, 4, None)
    assert (registers.mesh_x, registers.mesh_y) == (14, 12)
    assert (registers.size_words, registers.read_bandwidth) == (32, 2)
    assert (loaded.architecture.compute.mesh_x, loaded.architecture.compute.mesh_y) == (28, 12)


def test_shape_and_instance_in_two_files(tmp_path: Path) -> None:
    (tmp_path / "shape.yaml").write_text("problem: {version: 0.4, shape: conv1d+oc}\n")
    (tmp_path / "layer.yaml").write_text("problem:\n  instance: {K: 4, R: 3, P: 5}\n")
    loaded = load_specs([tmp_path / "shape.yaml", tmp_path / "layer.yaml"])
    assert loaded.workload is not None and loaded.workload.macs == 60
    only = load_workload({"instance": {rank: 2 for rank in "RSPQCKN"}})
    assert only.macs == 2 ** 7
    with pytest.raises(SpecError, match="did you mean 'grouped_cnn_layer'"):
        load_workload({"shape": "groupd-cnn-layer", "instance": {}})


@pytest.mark.parametrize(("name", "macs"), [
    ("cnn_layer", "RSPQCKN"), ("grouped-cnn-layer.yaml", "RSPQCKNG"), ("depthwise_cnn_layer", "RSPQCN"),
    ("conv1d", "RP"), ("conv1d-oc", "KRP"), ("problem-shapes/conv1d_oc_ic.yaml", "CKRP"), ("gemm", "MNK")])
def test_stock_shapes(name: str, macs: str) -> None:
    graph = load_workload({"shape": name, "instance": {rank: 3 for rank in macs}})
    assert graph.macs == 3 ** len(macs)
    assert [t.name for t in next(iter(graph)).tensors if t.is_output] in (["Outputs"], ["Z"])


def test_timeloop_estimates_where_no_table_knows_the_technology(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(NODES.replace("45nm", "5nm"))
    loaded = load_specs([path])
    assert loaded.architecture is not None
    assert [level.energy["read"].value for level in loaded.architecture.levels] == pytest.approx(
        [800, 1 + 5 / 99.5 * (0.125 - 0.5)])
    assert loaded.architecture.compute.energy["compute"] == Figure(1, "Timeloop's built-in estimate", "rule")
    note, = loaded.notes
    assert "Timeloop's built-in estimate" in note.message and note.line == 2


def test_a_file_may_not_name_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.yaml").write_text(NODES)
    path = tmp_path / "inside" / "x.yaml"
    path.write_text("architecture: ../secret.yaml\n")
    with pytest.raises(SpecError, match=r"x\.yaml:1:15: error: cannot include"):
        load_specs([path])
    (tmp_path / "inside" / "near.yaml").write_text(NODES)
    path.write_text("architecture: near.yaml\n")
    assert load_architecture(path).name == "chip"


def test_any_damage_is_a_fault_and_never_a_crash(tmp_path: Path) -> None:
    whole = "\n".join((OWN / f"{name}.yaml").read_text().replace("{{ columns | default(4) }}", "4")
                      for name in ("arch", "variables", "problem", "mapping"))
    places = [match.span() for match in re.finditer(r"[\w.'\"]+|\[[^\[\]{}]*\]|\{[^\[\]{}]*\}", whole)]
    junk = ("5", "[1]", "[[]]", "{a: 1}", "null", "''", "!Component {}", "!Parallel {nodes: 3}", "-1", "x y",
            "true", "1e400", "{name: x}", "[{name: x}]", "!include x", "2 **", "[null]", "{}")
    rng, path = random.Random(7), tmp_path / "x.yaml"
    for _ in range(150):
        start, end = rng.choice(places)
        path.write_text(whole[:start] + rng.choice(junk) + whole[end:])
        try:
            load_specs([path, OWN / "components.yaml"])
        except SpecError as error:
            assert all("expected" in problem.message for problem in error.problems)
