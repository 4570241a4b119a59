"""The component table: rows, interpolation, provenance, and the pricing of architectures."""

from dataclasses import replace
from itertools import pairwise

import pytest
from tilebound.energy import EnergyTable, price
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage

TABLE = EnergyTable.default()


def figures(memory):
    return memory.read_pj, memory.write_pj, memory.leakage_mw, memory.area_um2


def sram(node_nm, depth, width, **options):
    return TABLE.sram(bits=depth * width, width=width, node_nm=node_nm, **options)


@pytest.mark.parametrize("cell", ["itrs-lstp", "itrs-hp"])
def test_larger_arrays_cost_more(cell):
    for width in (16, 64, 200):
        grown = [figures(sram(45, depth, width, cell=cell)) for depth in (64, 1024, 16384, 262144)]
        assert all(a < b for small, large in pairwise(grown)
                   for a, b in zip(small, large, strict=True))
    assert sram(65, 8192, 64).read_pj > sram(45, 8192, 64).read_pj


def read_pj(name, **given):
    return TABLE.estimate(name, given).actions["read"].value


def compute(name, **given):
    return TABLE.estimate(name, given).actions["compute"]


def test_register_files():
    # Aladdin's register: 0.009 pJ, 5.98 um2 and 0.07 uW a bit.
    one = TABLE.estimate("regfile", {"width": 16, "depth": 1, "node": 45})
    assert one.actions["read"].value == one.actions["write"].value == pytest.approx(0.144)
    assert one.leakage.value == pytest.approx(0.00112) and one.area.value == pytest.approx(95.68)
    # and a comparator of 5 bits a row, of 0.02947 pJ for 32 bits
    depths = (1, 2, 8, 24, 63, 64, 65, 128, 512)
    files = [read_pj("regfile", width=16, depth=depth, node=45) for depth in depths]
    assert files[3] == pytest.approx(0.144 + 24 * 5 * 0.02947 / 32)
    assert all(a <= b for a, b in pairwise(files))
    assert files[-1] == sram(45, 512, 16).read_pj
    with pytest.raises(ValueError, match=r"depth 0\.5 does not hold one row of 16 bits"):
        read_pj("regfile", width=16, depth=0.5, node=45)


def test_arithmetic():
    # Horowitz, ISSCC 2014: an 8-bit multiply 0.2 pJ, an 8-bit add 0.03 pJ.
    mac = compute("intmac", bits=8, node=45)
    assert mac.value == 0.23 and "Horowitz" in mac.source and mac.basis == "derived"
    assert "int_mac 8 bits at 45nm (" in mac.source
    assert compute("intmac", bits=16, node=65).value == pytest.approx(0.85 * 1.6515)
    assert compute("fpmac", bits=16, node=45).value == 1.5
    scaled = compute("intmac", bits=8, node=65)
    assert "int_mac 8 bits at 65nm scaled from 45nm (" in scaled.source and scaled.basis == "scaled"
    factors = [compute("intmac", bits=8, node=node).value / 0.23 for node in (20, 28, 32)]
    assert factors[0] == pytest.approx(0.1973) and factors[2] == pytest.approx(0.6009)
    assert factors[0] < factors[1] < factors[2]
    with pytest.raises(ValueError, match=r"no figures at 5nm: scaling\.csv has 7nm to 130nm"):
        compute("intmac", bits=8, node=5)


def test_widths_between_rows_are_interpolated_and_a_few_beyond_extrapolated():
    widths = [compute("intmac", bits=bits, node=45) for bits in (4, 8, 12, 16, 24, 32, 64)]
    assert all(a.value < b.value for a, b in pairwise(widths))
    assert [x.basis for x in widths[:4]] == ["extrapolated", "derived", "interpolated", "derived"]
    assert TABLE.estimate("intmac", {"bits": 4, "node": 45}).warnings
    with pytest.raises(ValueError, match="no int_mac of 512 bits; it has 8, 16, 32"):
        compute("intmac", bits=512, node=45)


def test_dram():
    access = TABLE.estimate("DRAM", {"type": "lpddr4", "width": 64})
    assert access.actions["read"].value == 512
    assert access.actions["read"].source.startswith("8 pJ/bit x 64 bits: components.csv dram_LPDDR4")
    with pytest.raises(ValueError, match=r"no DRAM of type 'LPDR4'; .*did you mean 'LPDDR4'"):
        read_pj("dram", type="LPDR4", width=64)


DRAM = Storage("DRAM", block_words=4, component="DRAM", attributes={"type": "LPDDR4"})
GLB = Storage("GLB", size_words=55296, block_words=4, component="SRAM")
RF = Storage("RF", mesh_x=14, mesh_y=12, size_words=256, component="regfile")
MAC = Compute("MAC", mesh_x=14, mesh_y=12, component="intmac")
MACHINE = Architecture("machine", (DRAM, GLB, RF), MAC, node_nm=65, cycle_seconds=5e-9)


def test_price_fills_every_action_with_its_source():
    dram, glb, rf = price(MACHINE).levels
    compute = price(MACHINE).compute
    assert {action: figure.value for action, figure in dram.energy.items()} == {
        "read": 512, "fill": 512, "update": 512}
    assert dram.area == Figure(0.0, "off chip", "rule")
    assert glb.energy["read"] == Figure(
        54.3025, "sram.csv 65nm itrs-lstp 1RW, table row depth 13824 width 64 (read)", "table row")
    assert glb.energy["fill"].value == glb.energy["update"].value == 46.0033
    assert glb.energy["leak"].value == pytest.approx(0.0184127e-3 * 5e-9 * 1e12)    # W x s, in pJ
    assert glb.area is not None and glb.area.value == 775098
    assert rf.energy["read"].value == 1.33996
    assert compute.energy["compute"].value == pytest.approx(1.403775)
    assert compute.area is not None and "int_mac" in compute.area.source


def test_price_keeps_what_is_given():
    given_all = {action: Figure(6.0, "ISCA 2016") for action in ("read", "fill", "update")}
    stated = replace(MACHINE, levels=(DRAM, replace(GLB, component="unheard of", energy=given_all), RF))
    assert price(stated).levels[1] == stated.levels[1]
    partly = replace(MACHINE, levels=(DRAM, replace(GLB, energy={"read": Figure(6.0, "me")},
                                                    area=Figure(1.0, "me")), RF))
    glb = price(partly).levels[1]
    assert glb.energy["read"] == Figure(6.0, "me")
    assert glb.energy["fill"].value == 46.0033
    assert glb.area == Figure(1.0, "me")
    priced = price(MACHINE)
    assert price(priced) == priced


def test_price_without_a_cycle_time_knows_no_leakage():
    assert "leak" not in price(replace(MACHINE, cycle_seconds=None)).levels[1].energy


def test_price_takes_the_technology_of_the_level_first():
    glb = replace(GLB, attributes={"technology": "45nm", "cell": "itrs-hp"})
    assert price(replace(MACHINE, levels=(DRAM, glb, RF))).levels[1].energy["read"].value == 29.272


def test_price_by_the_smoothed_table():
    smooth = price(MACHINE, EnergyTable.default(monotone=True)).levels[1]
    assert smooth.energy["read"].source.endswith("smoothed (read)")
    assert smooth.energy["read"].value == pytest.approx(54.3025, rel=0.2)


def test_rows_of_a_level_past_512_bits_are_macros_side_by_side():
    wide = price(replace(MACHINE, levels=(DRAM, replace(GLB, block_words=64), RF))).levels[1]
    assert wide.energy["read"].value == pytest.approx(2 * sram(65, 55296 // 64, 512).read_pj)
    assert "width 512, 2 side by side" in wide.energy["read"].source


def test_price_by_ports_and_banks():
    glb = replace(GLB, attributes={"ports": "2RW", "cell": "itrs-hp"})
    assert "65nm itrs-hp 2RW, interpolated" in price(
        replace(MACHINE, levels=(DRAM, glb, RF))).levels[1].energy["read"].source
    glb = replace(GLB, attributes={"banks": 4})
    assert "65nm itrs-lstp 1RW 4 banks, ports and banks as at 45nm, interpolated" in price(
        replace(MACHINE, levels=(DRAM, glb, RF))).levels[1].energy["read"].source


def test_instances_of_a_cluster_share_one_array():
    small = replace(RF, component="SRAM")
    alone, shared = (price(replace(MACHINE, levels=(DRAM, GLB, level))).levels[2] for level in (
        replace(small, size_words=256, block_words=4), replace(small, size_words=64, cluster_size=4)))
    assert shared.energy["read"].value == sram(65, 64, 64).read_pj == alone.energy["read"].value
    assert shared.area.value * 4 == pytest.approx(alone.area.value)
    assert shared.energy["leak"].value * 4 == pytest.approx(alone.energy["leak"].value)


@pytest.mark.parametrize(("index", "change", "said"), [
    (1, {"component": "SRRAM"}, r"GLB \(class SRRAM\): unknown class; .*did you mean 'sram'"),
    (1, {"component": "memristor"}, "unknown class; known are adder, .*, and names with a word that .*"),
    (1, {"size_words": None}, r"GLB \(class SRAM\): no size"),
    (1, {"attributes": {"technology": "5nm"}}, r"GLB .*: no figures at 5nm: scaling\.csv has 7nm to 130nm"),
    (1, {"attributes": {"banks": 3}}, r"GLB .*: sram\.csv has no 65nm itrs-lstp 1RW 3 banks array"),
    (1, {"attributes": {"technology": "SET ME"}}, "technology is SET ME, which is no node such as 45nm"),
    (0, {"attributes": {}}, r"DRAM .*: no type \(generation, such as LPDDR4, .*\)"),
])
def test_a_storage_level_that_cannot_be_priced_is_named(index, change, said):
    levels = list(MACHINE.levels)
    levels[index] = replace(levels[index], **change)
    with pytest.raises(ValueError, match=said):
        price(replace(MACHINE, levels=tuple(levels)))


def test_all_components_that_cannot_be_priced_are_named():
    with pytest.raises(ValueError, match=r"MAC \(class ALU\): unknown class"):
        price(replace(MACHINE, compute=replace(MAC, component="ALU")))
    with pytest.raises(ValueError) as caught:
        price(replace(MACHINE, node_nm=None))
    assert sorted(line.split()[0] for line in str(caught.value).splitlines()) == ["GLB", "MAC", "RF"]
