"""Misspelt names in Timeloop's files are faults with a place; the user's own are kept and noted."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilebound.errors import SpecError
from tilebound.loading import Loaded, load_specs
from tilebound.spec.timeloop_names import nearly

TREE = """architecture:
  version: 0.4
  subtree:
  - name: system
    attributes: {technology: 45nm}
    local:
    - {name: DRAM, class: DRAM, attributes: {type: LPDDR4, width: 64, datawidth: 16}}
    - {name: RF, class: regfile, attributes: {depth: 64, width: 16, datawidth: 16}}
    - {name: NoC, class: XY_NoC, attributes: {router_energy: 0}}
    - {name: mac, class: intmac, attributes: {datawidth: 16}}
"""
NODES = """architecture:
  nodes:
  - !Container {name: chip, attributes: {technology: 45nm, bits: 16}}
  - !Component {name: DRAM, class: DRAM, attributes: {type: LPDDR4, width: 64, datawidth: bits}}
  - !Component {name: RF, class: regfile, attributes: {depth: 64, width: bits, datawidth: bits}}
  - !Component {name: mac, class: intmac, attributes: {datawidth: bits}}
"""
LISTS = """architecture:
  arithmetic: {name: mac, instances: 1, word-bits: 16}
  storage:
  - {name: RF, entries: 64, instances: 1, word-bits: 16}
  - {name: DRAM, technology: DRAM, instances: 1, word-bits: 16}
"""
PROBLEM = """problem:
  shape:
    name: gemm
    dimensions: [M, N, K]
    coefficients: [{name: Stride, default: 1}]
    data_spaces:
    - {name: A, projection: [[[M, Stride]], [[K]]]}
    - {name: B, projection: [[[N]], [[K]]]}
    - {name: Z, projection: [[[M]], [[N]]], read_write: true}
  instance: {M: 4, N: 4, K: 4}
"""


def load(text: str, folder: Path) -> Loaded:
    path = folder / "x.yaml"
    path.write_text(text)
    return load_specs([path])


@pytest.mark.parametrize(("text", "right", "slip"), [
    (TREE, "depth", "dpeth"), (TREE, "depth", "dept"), (TREE, "depth", "Depth"), (TREE, "width", "wdith"),
    (TREE, "router_energy", "router_enrgy"), (TREE, "attributes", "atributes"), (TREE, "local", "locl"),
    (TREE, "version", "versoin"), (NODES, "depth", "dpeth"), (LISTS, "entries", "entires"),
    (LISTS, "word-bits", "word-bit"), (PROBLEM, "read_write", "read_wirte"), (PROBLEM, "name", "nmae"),
    (PROBLEM, "default", "defualt")])
def test_a_slip_of_the_pen_is_a_fault(text: str, right: str, slip: str, tmp_path: Path) -> None:
    check(text.replace(f"{right}:", f"{slip}:", 1), right.replace("-", "_"), slip, tmp_path)


@pytest.mark.parametrize(("text", "old", "slip", "meant"), [
    (TREE, "{depth", "mesh_x", "meshX"), (TREE, "{depth", "read_bandwith", "read_bandwidth"),
    (TREE, "{depth", "metadta_storage_depth", "metadata_storage_depth"),
    (TREE, "{depth", "multiple-bufering", "multiple_buffering"),
    (TREE, "{router", "fil_latency", "fill_latency"),
    (PROBLEM, "{M: 4", "Strides", "Stride")])
def test_so_is_one_in_a_name_that_need_not_be_there(text: str, old: str, slip: str, meant: str,
                                                    tmp_path: Path) -> None:
    check(text.replace(old, f"{{{slip}: 2, {old[1:]}"), meant, slip, tmp_path)


def check(text: str, meant: str, slip: str, folder: Path) -> None:
    """The name `slip` in the text is a fault at its place, which says what is meant."""
    at = text.index(f"{slip}:")
    place = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    with pytest.raises(SpecError) as caught:
        load(text, folder)
    faults = [x.message for x in caught.value.problems if (x.line, x.column) == place]
    assert any(f"did you mean {meant!r}?" in fault and "; expected " in fault for fault in faults), faults


def test_names_of_ones_own_are_kept_and_noted_once(tmp_path: Path) -> None:
    loaded = load(TREE.replace("{depth: 64", "{n_rows: 3, latency: 5ns, depth: 64")
                  .replace("width: 64", "n_rows: 9, width: 64"), tmp_path)
    assert loaded.architecture is not None
    assert loaded.architecture.levels[1].attributes["n_rows"] == 3
    assert loaded.architecture.levels[1].attributes["latency"] == "5ns"
    note, = loaded.notes
    assert (note.line, note.column) == (7, TREE.splitlines()[6].index("width: 64") + 1)
    assert "n_rows (line 7, 8), latency (line 8)" in note.message and note.severity == "note"


@pytest.mark.parametrize("name", ["n_banks", "nbanks", "num_banks", "n_ports", "nports", "num_ports"])
def test_banks_and_ports_go_by_many_names(name: str, tmp_path: Path) -> None:
    loaded = load(TREE.replace("{depth: 64", f"{{{name}: 2, depth: 64"), tmp_path)
    assert loaded.architecture is not None and loaded.notes == ()
    assert loaded.architecture.levels[1].attributes[name] == 2


def test_other_keys_are_noted(tmp_path: Path) -> None:
    loaded = load(TREE.replace("class: regfile,", "class: regfile, colour: red,")
                  + PROBLEM.replace("{M: 4", "{H: 5, densities: {}, M: 4"), tmp_path)
    assert [(x.line, x.message.split(";")[0]) for x in loaded.notes] == [
        (8, "key 'colour' of a component counts for nothing here"),
        (20, "names in the problem that count for nothing here: H (line 20)")]


def test_inherited_attributes_may_be_there_for_expressions(tmp_path: Path) -> None:
    text = NODES.replace("bits: 16", "DATAWIDTH: 16, bits: 16, columns: 4")
    assert load(text.replace("{depth: 64", "{depth: bits"), tmp_path).notes == ()
    note, = load(NODES.replace("bits: 16", "mesh_x: 16, bits: 16"), tmp_path).notes
    assert note.line == 3 and "did you mean 'meshX'?" in note.message


def test_other_components_may_have_any_attributes(tmp_path: Path) -> None:
    loaded = load(NODES.replace("  - !Component {name: mac", "  - !Component {name: adders, class: intadder, "
                                "attributes: {dpeth: 3, size: 5}}\n  - !Component {name: mac"), tmp_path)
    note, = loaded.notes
    assert "component 'adders'" in note.message


@pytest.mark.parametrize("name", ["n_rows", "real_depth", "read_energy", "write_energy", "n_entries",
                                  "latency", "fifo_depth", "adder_width", "block_bits", "word_size",
                                  "tile_height"])
def test_what_is_no_slip(name: str) -> None:
    assert nearly(name, ("n_words", "depth", "wire_energy", "entries", "fill_latency", "width", "block_size",
                         "word_bits", "tile_width")) is None


@pytest.mark.parametrize(("text", "right"), [
    (TREE, "  version: 0.4"), ("components:\n  version: 0.3\n  classes: []\n" + TREE, "version: 0.3"),
    (PROBLEM.replace("name: gemm", "version: 0.4"), "version: 0.4")])
def test_versions_that_are_not_known_are_refused(tmp_path, text, right):
    load(text, tmp_path)
    wrong = text.replace(right, right[:-3] + "9.1", 1)
    with pytest.raises(SpecError) as caught:
        load(wrong, tmp_path)
    line = wrong[:wrong.index("9.1")].count("\n") + 1
    assert [(x.line, x.message) for x in caught.value.problems] == [
        (line, "version 9.1; expected one of 0.2, 0.3, 0.4")]
