"""Components of a user's own: in Python, as rows, and as compounds."""

from textwrap import dedent
from typing import ClassVar

import pytest
import tilebound as tb
from tilebound.energy import EnergyTable, Estimate, Parameter, price
from tilebound.energy import registry as registry_module
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.loading import load_specs

TABLE = EnergyTable.default()
DRAM = Storage("DRAM", component="DRAM", attributes={"type": "HBM2"})


class Lut:
    """A multiplier made of a table of products."""

    name = "lut"
    classes: ClassVar = {"lut_mac": {}}
    parameters = (Parameter("bits", "of an operand", "bit"), Parameter("node", "", "nm", kind="number"))
    source = "a thesis"

    def estimate(self, given, table):
        array = table.estimate("sram", {"width": 2 * given["bits"], "depth": 4 ** given["bits"],
                                        "node": given["node"]})
        return Estimate({"compute": array.actions["read"]}, array.area, array.leakage)


def test_a_component_in_python(monkeypatch):
    table = EnergyTable.default(components=[Lut()])
    lut = Compute("MAC", word_bits=4, component="LUT_mac")
    machine = Architecture("m", (DRAM,), lut, node_nm=45)
    expected = TABLE.sram(bits=256 * 8, width=8, node_nm=45).read_pj
    assert price(machine, table).compute.energy["compute"].value == expected
    text = {"technology": "45nm", "levels": [{"name": "D", "class": "DRAM", "type": "HBM2"}],
            "compute": {"class": "lut", "word_bits": 4}}
    assert tb.load_architecture(text, components=[Lut()]).compute.energy["compute"].value == expected
    with pytest.raises(SpecError, match="unknown class"):
        tb.load_architecture(text)
    monkeypatch.setattr(registry_module, "_added", [])
    tb.register_component(Lut)
    assert tb.load_architecture(text).compute.energy["compute"].value == expected
    with pytest.raises(TypeError, match="Figure is no component: it has no name, classes, param"):
        tb.register_component(Figure(1.0, ""))


MACHINE = """\
    architecture:
      technology: 45nm
      cycle: 2 ns
      levels:
      - {name: D, class: dram, type: HBM2, width: 64}
      - {name: S, class: my_spad, depth: 256, width: 16}
      compute: {name: M, class: my_mac, word_bits: 12}
"""
ROWS = """\
    components:
    - csv: macs.csv
    - {class: my_spad, width: 16, depth: 256, read: 300 fJ, write: 0.4 pJ, leakage: 2 uW, area: 900 um2,
       source: lab}
"""
MACS = """\
# of a chip
class,bits,node,compute,gated_compute,area,source

my_mac,8,45nm,0.2 pJ,10 fJ,300,chip
my_mac,16,45nm,0.8,,0.0012 mm2,chip
"""


def load(tmp_path, text, csv=MACS):
    (tmp_path / "macs.csv").write_text(csv)
    path = tmp_path / "machine.yaml"
    path.write_text(dedent(text))
    return tb.load_architecture(path)


def test_components_in_yaml_rows_and_in_a_csv_file(tmp_path):
    machine = load(tmp_path, ROWS + MACHINE)
    spad = machine.levels[1]
    assert [spad.energy[x].value for x in ("read", "fill", "update")] == [0.3, 0.4, 0.4]
    assert spad.energy["leak"].value == pytest.approx(0.004)
    assert spad.area.value == 900 and spad.energy["read"].basis == "user"
    assert spad.energy["read"].source == f"lab ({tmp_path / 'machine.yaml'}:3)"
    compute = machine.compute.energy["compute"]
    assert 0.2 < compute.value < 0.8 and compute.basis == "interpolated"
    assert f"{tmp_path / 'macs.csv'}:4" in compute.source and 300 < machine.compute.area.value < 1200
    exact = load(tmp_path, ROWS + MACHINE.replace("word_bits: 12", "word_bits: 8")).compute
    assert exact.energy["compute"].value == 0.2 and exact.energy["compute"].basis == "user"
    other = load(tmp_path, ROWS + MACHINE.replace("45nm", "28nm"))
    assert other.levels[1].energy == spad.energy            # a row without a node holds at all
    scaled = other.compute.energy["compute"]
    assert scaled.basis == "scaled" and scaled.value < compute.value


@pytest.mark.parametrize(("old", "new", "place", "said"), [
    ("read: 300 fJ", "raed: 300 fJ", "machine.yaml:3:", "unknown key 'raed' in comp.*did you mean 'read'"),
    ("300 fJ", "300 fj", "machine.yaml:3:", "unknown unit 'fj' in '300 fj'; .*did you mean 'fJ'"),
    ("class: my_spad, width", "width", "machine.yaml:3:", "component has no 'class'"),
    ("macs.csv", "max.csv", "machine.yaml:2:", "cannot read max.csv: No such file"),
    ("depth: 256, read", "depth: 99, read", "machine.yaml:10:", "no row for .*depth 256"),
    ("HBM2, width: 64", "HBM2, width: 64, banks: 4", "machine.yaml:9:", "dram has no parameter 'banks'"),
    ("width: 16}", "width: 16, parameters: {lines: 4}}", "machine.yaml:10:", "my_spad has no param.*'lines'"),
    ("width: 16}", "width: 16, parameters: {depth: 4}}", "machine.yaml:10:", "depth among the parameters"),
    ("type: HBM2,", "parameters: {typo: HBM2},", "machine.yaml:9:", "no parameter 'typo'; .*mean 'type'"),
    ("word_bits: 12", "word_bits: 32", "machine.yaml:11:", "no row for bits 32, nor two around it"),
])
def test_faults_of_components_have_their_place(tmp_path, old, new, place, said):
    assert old in ROWS + MACHINE
    with pytest.raises(SpecError, match=said) as caught:
        load(tmp_path, (ROWS + MACHINE).replace(old, new))
    assert place in str(caught.value)


def test_faults_in_a_csv_file_have_its_lines(tmp_path):
    with pytest.raises(SpecError, match=r"macs\.csv:5:1: error: compute: unknown unit ',8'"):
        load(tmp_path, ROWS + MACHINE, MACS.replace("16,45nm,0.8", '16,45nm,"0,8"'))
    with pytest.raises(SpecError, match=r"macs\.csv:2:1: error: unknown key 'nod' in .*mean 'node'"):
        load(tmp_path, ROWS + MACHINE, MACS.replace("bits,node", "bits,nod"))


# Compounds of Accelergy. The smart register file of its library: registers and comparators of 32 bits, scaled
# where they are narrower or shallower than 32 by 64, and address generators.
COMPOUNDS = """\
    components:
      classes:
      - name: spad
        attributes: {technology: must_specify, width: must_specify, depth: must_specify,
                     wide: "max(32, width)", deep: "max(64, depth)",
                     share: (width / wide) * (depth / deep) ** 0.78}
        subcomponents:
        - name: file
          class: rows
          area_scale: width / wide
          attributes: {width: wide, depth: deep}
        - name: addresses[0..1]
          class: aladdin_adder
          attributes: {width: "max(1, ceil(log2(depth)))"}
        actions:
        - name: read
          subcomponents:
          - {name: file, actions: [{name: read, energy_scale: share}]}
          - {name: "addresses[1]", actions: [{name: add}]}
        - name: write
          subcomponents:
          - {name: file, actions: [{name: write, energy_scale: share}]}
          - {name: "addresses[0]", actions: [{name: add}]}
        - {name: leak, subcomponents: [{name: file, actions: [{name: leak}]}]}
      - name: rows
        attributes: {technology: must_specify, width: must_specify, depth: must_specify}
        subcomponents:
        - {name: "cell[1..width*depth]", class: aladdin_register}
        - {name: "tag[1..depth]", class: aladdin_comparator, attributes: {n_bits: 32}}
        actions:
        - &read
          name: read
          subcomponents:
          - {name: "cell[1..width]", actions: [{name: read}]}
          - {name: tag, actions: [{name: compare}]}
        - {<<: *read, name: write}
"""


def compounds(tmp_path, text, **level):
    path = tmp_path / "compounds.yaml"
    path.write_text(dedent(text))
    machine = {"technology": "45nm", "cycle": "1 ns", "levels": [
        {"name": "D", "class": "DRAM", "type": "HBM2"}, {"name": "S", "class": "spad", **level}],
        "compute": {"class": "intmac", "word_bits": 16}}
    sections = {"architecture": machine}
    return load_specs([path, sections]).architecture.levels[1]


@pytest.mark.parametrize(("width", "depth", "published"), [
    (24, 128, 3.091057), (64, 8192, 242.079552), (64, 4096, 121.36387)])
def test_compounds_give_what_accelergy_printed_for_them(tmp_path, width, depth, published):
    spad = compounds(tmp_path, COMPOUNDS, word_bits=8, width=width, depth=depth)
    assert spad.energy["read"].value == pytest.approx(published, rel=1e-6)
    assert spad.energy["read"].basis == "derived"
    leak = width * depth * 7e-5 if width >= 32 else None         # mW, and 2.51e-5 a comparator
    assert leak is None or spad.energy["leak"].value == pytest.approx(leak + depth * 2.51e-5)
    assert spad.area.value == pytest.approx(
        min(width / 32, 1) * depth * (max(width, 32) * 5.98 + 71) + 2 * 278 / 32 * (depth - 1).bit_length())


def test_a_compound_that_cannot_be_put_together_is_told(tmp_path):
    broken = COMPOUNDS.replace("class: aladdin_comparator", "class: aladin_compare")
    with pytest.raises(SpecError, match=r"file \(class rows\): tag \(class aladin_compare\): unknown class"):
        compounds(tmp_path, broken, word_bits=8, width=24, depth=128)
    with pytest.raises(SpecError, match="a scale of -2; expected 0 or more"):
        compounds(tmp_path, COMPOUNDS.replace("area_scale: width / wide", "area_scale: 0 - 2"), word_bits=8,
                  width=24, depth=128)
    with pytest.raises(SpecError, match="unknown class"):      # a class with a fault counts for nothing
        compounds(tmp_path, COMPOUNDS.replace("name: file, act", "name: fiel, act"), word_bits=8, width=24)


def test_a_compound_made_of_itself_is_the_component_of_that_name(tmp_path):
    alone = TABLE.sram(bits=65536, width=64, node_nm=45).read_pj
    level = {"class": "sram", "word_bits": 8, "width": 64, "depth": 1024}
    loop = COMPOUNDS.replace("name: spad", "name: sram", 1).replace("class: rows", "class: sram")
    assert compounds(tmp_path, loop, **level).energy["read"].value == alone
    wraps = COMPOUNDS.replace("name: spad", "name: sram", 1).replace("class: rows", "class: macro_of_sram")
    assert compounds(tmp_path, wraps, **level).energy["read"].value == pytest.approx(alone + 10 * 0.21 / 32)


def test_compounds_made_of_many_of_themselves_are_read_at_once():
    parts = [{"name": name, "class": "comp"} for name in "abc"]     # three at every step down: for ever
    found = load_specs([{"components": {"classes": [{"name": "comp", "subcomponents": parts}]}}])
    assert found.architecture is None
