"""Timeloop's dialect: the recorded cases load to what that program printed; what is wrong is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Figure, Storage
from tilebound.loading import Loaded, load_specs

CASES = sorted((Path(__file__).parent / "cases").glob("*/input.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_a_case_loads_to_the_printed_machine(path: Path) -> None:
    loaded = load_specs([path])
    machine = loaded.architecture
    assert machine is not None and loaded.workload is not None and "" in loaded.mappings
    printed = json.loads(path.with_name("expected.json").read_text())["levels"]
    parts = {part.name: part for part in (*machine.levels, machine.compute)}
    assert set(printed) <= set(parts)
    for name, level in printed.items():
        specs, part = level["specs"], parts[name]
        assert specs["instances"] == f"{part.instances} ({part.mesh_x}*{part.mesh_y})"
        assert specs["word_bits"] == part.word_bits
        if isinstance(part, Storage):
            assert storage_specs(part) == {key: specs[key] for key in storage_specs(part)}
            worst = max(part.energy[action].value for action in ("read", "fill", "update"))
            assert specs["vector_access_energy"] == pytest.approx(worst / part.cluster_size)
        else:
            assert specs["compute_energy"] == pytest.approx(part.energy["compute"].value)


def storage_specs(level: Storage) -> dict[str, object]:
    """What the machine says, in the words of the printout."""
    def limit(value: float | None) -> object:
        return "-" if value is None else value

    leak = level.energy.get("leak", Figure(0, ""))
    return {"size": limit(level.size_words), "effective_size": limit(level.capacity_words),
            "block_size": level.block_words, "cluster_size": level.cluster_size,
            "multiple_buffering": level.multiple_buffering, "read_bandwidth": limit(level.read_bandwidth),
            "write_bandwidth": limit(level.write_bandwidth),
            "shared_bandwidth": limit(level.shared_bandwidth),
            "per_instance_cycle_leakage": leak.value}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_nothing_in_the_reference_cases_is_refused(path: Path) -> None:
    assert load_specs([path]).unsupported == ()


def load(text: str, tmp_path: Path) -> Loaded:
    (tmp_path / "t.yaml").write_text(text)
    return load_specs([tmp_path / "t.yaml"])


def machine(text: str, tmp_path: Path) -> Architecture:
    architecture = load(text, tmp_path).architecture
    assert architecture is not None
    return architecture


TREE = """\
architecture:
  version: '0.4'
  subtree:
  - name: chip
    attributes: {technology: 45nm, global_cycle_seconds: 1e-9}
    local:
    - {name: DRAM, class: DRAM, attributes: {width: 64, datawidth: 8}}
    subtree:
    - name: cluster[0..1]
      local:
      - name: GLB
        class: SRAM
        attributes: {memory-depth: 128, memory_width: 32, word_bits: 8, block_size: 2}
      - {name: wire, class: Wire}
      subtree:
      - name: PE[0..3]
        local:
        - {name: RF, class: regfile, attributes: {depth: 4, width: 8, datawidth: 8, meshX: 2}}
        - {name: MAC, class: intmac, attributes: {datawidth: 8, meshY: 4}}
ERT:
  tables:
  - name: chip.DRAM
    actions: [{name: read, energy: 100}, {name: leak, energy: 2}]
  - name: chip.cluster[0..1].GLB[0..1]
    actions: [{name: read, energy: 1}, {name: read, energy: 3}, {name: write, energy: 4},
              {name: update, energy: 5}]
  - name: chip.cluster[0..1].PE[0..3].RF
    actions: [{name: random_read, energy: 0.1}, {name: read, energy: 9}, {name: random_fill, energy: 0.2},
              {name: write, energy: 0.3}]
  - name: MAC
    actions: [{name: mac, energy: 0.6}, {name: mac_random, energy: 0.5}]
ART:
  tables: [{name: 'chip.cluster[0..1].GLB', area: 77}]
"""


def test_tree_aliases_ranges_and_tables(tmp_path: Path) -> None:
    chip = machine(TREE, tmp_path)
    dram, glb, _ = chip.levels
    assert (chip.name, chip.node_nm, chip.cycle_seconds) == ("chip", 45, 1e-9)
    # No block is given for DRAM, so it follows from the width; for GLB, the cluster follows.
    assert (dram.block_words, dram.cluster_size, dram.size_words) == (8, 1, None)
    assert (glb.block_words, glb.cluster_size, glb.size_words) == (2, 2, 256)
    assert [(level.mesh_x, level.mesh_y) for level in chip.levels] == [(1, 1), (2, 1), (2, 4)]
    assert (chip.compute.mesh_x, chip.compute.mesh_y) == (2, 4)
    assert all(level.network.links and level.network.multicast for level in chip.levels)
    figures = {level.name: [level.energy[action].value for action in ("read", "fill", "update")]
               for level in chip.levels}
    # A missing action costs the dearest; of two rows the dearest counts; random_... goes first.
    assert figures == {"DRAM": [100, 100, 100], "GLB": [3, 4, 5], "RF": [0.1, 0.2, 0.3]}
    assert dram.energy["leak"].value == 2
    assert chip.compute.energy["compute"].value == 0.5
    line = 1 + next(n for n, text in enumerate(TREE.splitlines()) if "energy: 3" in text)
    assert glb.energy["read"].source == f"ERT {tmp_path / 't.yaml'}:{line}"
    assert glb.area is not None and glb.area.value == 77


def test_a_missing_action_is_shared_by_the_cluster(tmp_path: Path) -> None:
    text = TREE.replace("{name: read, energy: 1}, {name: read, energy: 3}, ", "")
    assert machine(text, tmp_path).levels[1].energy["read"].value == 5 / 2


def test_names_in_tables_that_look_misspelt_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    text = TREE.replace("GLB[0..1]", "GBL[0..1]")
    slips = "{name: raed, energy: 9}, {name: idle, energy: 1}"
    path.write_text(text.replace("{name: read, energy: 100}", slips))
    notes = [note.message for note in load_specs([path]).notes if "did you mean" in note.message]
    assert notes == ["action 'raed' counts for nothing; did you mean 'read'?",       # in the order of lines
                     "the ERT has a table of 'GBL', which is no component; did you mean 'GLB'?"]
    path.write_text(TREE)
    assert not any("did you mean" in note.message for note in load_specs([path]).notes)


def test_the_older_lists_with_and_without_a_table(tmp_path: Path) -> None:
    text = """\
arch:
  arithmetic: {name: MACs, instances: 4, word_bits: 8, meshX: 2}
  storage:
  - {name: RF, technology: SRAM, entries: 64, instances: 4, meshX: 2, word-bits: 16}
  - {name: DRAM, technology: DRAM, word_bits: 16, block_size: 4}
"""
    lists = machine(text, tmp_path)
    assert [level.name for level in lists.levels] == ["DRAM", "RF"]
    assert [level.component for level in lists.levels] == ["DRAM", "SRAM"]
    assert lists.levels[0].energy["read"] == Figure(800, "Timeloop's built-in estimate", "rule")
    assert lists.levels[1].energy["read"].value == pytest.approx(1 - 5 / 99.5 * 0.375)
    assert lists.compute.energy["compute"].value == 0.25
    table = "ERT: {tables: [" + ", ".join(
        f"{{name: {name}, actions: [{{name: {action}, energy: 1.5}}]}}"
        for name, action in (("DRAM", "read"), ("RF", "read"), ("MACs", "compute"))) + "]}\n"
    lists = machine(text + table, tmp_path)
    assert {part.energy[a].value for part, a in zip(
        (*lists.levels, lists.compute), ("fill", "update", "compute"), strict=True)} == {1.5}


PROBLEM = """\
problem:
  shape:
    name: conv
    dimensions: [K, P, R]
    coefficients: [{name: Stride, default: 2}, {name: Zero, default: 0}]
    data-spaces:
    - {name: W, projection: [K, R]}
    - {name: I, projection: [[[P, Stride], [R]], [[K, Zero]]]}
    - {name: O, projection: [[[K]], [[P]]], read-write: true}
  instance: {K: 3, P: 4, R: 5, densities: {W: 0.5}, Hpad: 1}
"""


def test_problem_projections_and_coefficients(tmp_path: Path) -> None:
    loaded = load(PROBLEM, tmp_path)
    assert loaded.workload is not None
    (conv,) = loaded.workload
    assert (conv.name, dict(conv.extent)) == ("conv", {"K": 3, "P": 4, "R": 5})
    assert [conv.tensor_words(name) for name in "WIO"] == [15, 1 + 2 * 3 + 4, 12]
    assert [t.is_output for t in conv.tensors] == [False, False, True]


def test_the_shape_may_be_timeloops_default(tmp_path: Path) -> None:
    bounds = "C: 3, K: 4, R: 3, S: 3, P: 8, Q: 8, N: 1, Wstride: 2"
    for text in (f"problem: {{shape: cnn-layer, {bounds}}}", f"problem: {{instance: {{{bounds}}}}}"):
        loaded = load(text, tmp_path)
        assert loaded.workload is not None
        (layer,) = loaded.workload
        assert layer.macs == 3 * 4 * 9 * 64
        assert layer.tensor_words("Inputs") == 3 * 17 * 10


@pytest.mark.parametrize(("wrong", "right", "part"), [
    ("R: 5", "X: 5", "no extent for rank R"),
    ("Hpad: 1", "Strde: 1", "did you mean 'Stride'"),
    ("[P, Stride]", "[P, Strid]", "unknown coefficient 'Strid'"),
    ("[[K]]", "[[M]]", "a projection term ['M']"),
    ("default: 2", "default: two", "coefficient Stride is 'two'"),
    ("P: 4", "P: 0", "expected a whole number, 1 or more"),
    ("name: I", "name: W", "without a name of its own"),
    ("dimensions: [K, P, R]", "dimensions: KPR", "dimensions is 'KPR'; expected a list of names of ranks"),
    ("dimensions: [K, P, R]", "dimensions: []", "dimensions is an empty list"),
    ("[K, P, R]", "[K, P, R, K]", "dimension 'K'; expected names of ranks, each once"),
    ("dimensions: [K, P, R]", "dimensions: [K, P, R, [K]]", "dimension a list"),
    ("    dimensions: [K, P, R]\n", "", "shape has no 'dimensions'"),
    ("instance: {K: 3, P: 4, R: 5, densities: {W: 0.5}, Hpad: 1}", "instance: [3, 4, 5]",
     "instance is a list; expected a mapping of ranks to extents"),
])
def test_wrong_problems(wrong: str, right: str, part: str, tmp_path: Path) -> None:
    assert wrong in PROBLEM
    with pytest.raises(SpecError) as caught:
        load(PROBLEM.replace(wrong, right), tmp_path)
    (problem,) = caught.value.problems
    assert part in problem.message
    assert problem.line > 0


@pytest.mark.parametrize(("text", "part"), [
    ("problem: alexnet.yaml", "problem is 'alexnet.yaml'; expected a mapping with 'shape' and 'instance'"),
    ("problem: [1, 2]", "problem is a list"),
    ("problem: {shape: 3}", "shape is 3; expected a mapping, or"),
    ("problem: {shape: cnn_layr}", "did you mean 'cnn_layer'?"),
])
def test_what_is_no_problem_is_one_fault(text: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(text, tmp_path)
    (problem,) = caught.value.problems
    assert part in problem.message and problem.line == 1


@pytest.mark.parametrize(("wrong", "right", "part"), [
    ("meshX: 2", "meshX: 3", "8 instances of RF do not fill rows of 3"),
    ("meshY: 4", "meshX: 3, meshY: 4", "a mesh of 3 x 4 for 8 instances of MAC"),
    ("meshY: 4", "meshX: 1, meshY: 8", "cannot be shared evenly"),
    ("memory_width: 32", "memory_width: 24", "width 24 of GLB is no multiple of 16"),
    ("class: intmac", "class: adder", "0 compute components"),
    ("PE[0..3]", "PE[0-3]", "expected a name, or a range"),
    ("depth: 4", "depth: 4, read_bandwith: 2", "did you mean 'read_bandwidth'"),
    ("energy: 0.6", "energy: much", "an action without a name and a number"),
    ("{name: DRAM, class", "{class", "a component without a name"),
    ("attributes: {width: 64", "attributes: [1], colour: {width: 64", "attributes is a list; expected"),
    ("    local:\n", "    local:\n    - DRAM\n", "a component that is 'DRAM'; expected a mapping"),
    ("        local:\n", "        local: {}\n        parts:\n", "local is an empty mapping; expected a list"),
])
def test_wrong_trees(wrong: str, right: str, part: str, tmp_path: Path) -> None:
    assert wrong in TREE
    with pytest.raises(SpecError) as caught:
        load(TREE.replace(wrong, right, 1), tmp_path)
    assert any(part in problem.message for problem in caught.value.problems), caught.value


def test_sparse_optimizations_need_an_architecture(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="without the architecture"):
        load(PROBLEM + "sparse_optimizations: {targets: [{name: RF}]}\n", tmp_path)
    assert load(PROBLEM + "sparse_optimizations: {}\n", tmp_path).unsupported == ()
