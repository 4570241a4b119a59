"""The energy page: every figure with its source, areas and leakage of all instances, what is not known."""

import re

import pytest
import tilebound as tb
from tilebound.report.figures import figure_table, machine_table, notes
from tilebound.report.html import render_html
from tilebound.report.machine import architecture_entry
from tilebound.report.text import render_text

SPEC = {"name": "tiny", "technology": "45nm", "cycle": "2 ns", "levels": [
    {"name": "DRAM", "class": "DRAM", "type": "LPDDR4", "width": 64},
    {"name": "GLB", "class": "SRAM", "size": "16 KiB", "width": 64, "fanout": {"x": 2, "y": 2}},
    {"name": "PAD", "energy": {"read": 1, "fill": 1, "update": 0}}],
    "compute": {"name": "MAC", "class": "intmac"}}
MACHINE = tb.load_architecture(SPEC)
ENTRY = architecture_entry(MACHINE)


def row(table, *start):
    found = [cells for cells in table.rows if cells[:len(start)] == start]
    assert len(found) == 1
    return dict(zip(table.header, found[0], strict=True))


def test_every_figure_stands_with_its_source():
    table = figure_table(ENTRY)
    read = row(table, "GLB", "SRAM", "read")
    figure = MACHINE.levels[1].energy["read"]
    assert float(read["value"]) == pytest.approx(figure.value, rel=1e-3) and read["source"] == figure.source
    assert float(read["pJ / bit"]) == pytest.approx(figure.value / 64, rel=1e-3)
    assert row(table, "MAC", "intmac", "compute")["pJ / bit"] == "-"
    parts = [*MACHINE.levels, MACHINE.compute]
    assert len(table.rows) == sum(len(x.energy) + (x.area is not None) for x in parts)
    assert all(cells[-1] and cells[-2] != "-" for cells in table.rows)


def test_area_and_leakage_of_all_instances():
    glb = MACHINE.levels[1]
    assert ENTRY["levels"][1]["leakage_pj_cycle"] == glb.energy["leak"].value
    assert ENTRY["levels"][3]["area_um2"] == 4 * MACHINE.compute.area.value
    total = ENTRY["total"]
    assert total["area_um2"] == glb.area.value + 4 * MACHINE.compute.area.value
    assert total["area_unknown"] == ["PAD"] and "PAD" in total["leakage_unknown"]
    table = machine_table(ENTRY)
    assert row(table, "PAD")["area"] == row(table, "PAD")["leakage"] == "not known"
    assert row(table, "DRAM")["area each"] == "off chip"
    milliwatts = tb.EnergyTable.default().sram(bits=2**17, width=64, node_nm=45).leakage_mw
    number, unit = row(table, "GLB")["leakage"].split()
    assert float(number) * {"nW": 1e-6, "µW": 1e-3, "mW": 1}[unit] == pytest.approx(milliwatts, rel=1e-3)


def test_what_is_doubtful_is_said():
    said = notes(ENTRY)
    assert "Zero, as the description says: PAD update." in said
    assert "Area not known, and not in the sum: PAD." in said
    assert any(line.startswith("Leakage not known, and none counted: ") and "PAD" in line for line in said)


def test_reports_have_the_page():
    layer = tb.load_workload({"layers": [{"name": "g", "type": "matmul", "M": 2, "N": 2, "K": 2}]})
    document = tb.search(MACHINE, layer, gap=1.0).to_dict()
    assert document["total"]["area_um2"] is None
    for text in (render_text(document), re.sub("<[^>]*>", " ", render_html(document))):
        assert "Energy figures" in text and "Area and leakage" in text and "Zero, as the description" in text
        assert "not known of PAD" in text and MACHINE.levels[1].energy["read"].source in text


def test_documents_of_older_versions_have_no_areas():
    old = {key: value for key, value in ENTRY.items() if key not in ("total", "technology_nm")}
    old["levels"] = [{**x, "figures": {name: {"value": f["value"], "source": f["source"]} for name, f in
                                       x["figures"].items()}} for x in ENTRY["levels"]]
    assert machine_table(old).rows == [] and notes(old) == [] and figure_table(old).rows


@pytest.mark.parametrize("factor", [2, 0.5, 3.0])
def test_leakage_a_cycle_goes_with_the_cycle(factor):
    slower = tb.load_architecture({**SPEC, "cycle": f"{2 * factor} ns"})
    slow, fast = slower.levels[1].energy, MACHINE.levels[1].energy
    assert slow["leak"].value == pytest.approx(factor * fast["leak"].value)
    for action in ("read", "fill", "update"):
        assert slow[action].value == fast[action].value
