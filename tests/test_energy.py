"""The component table: rows, interpolation, provenance, and the pricing of architectures."""

from dataclasses import replace
from itertools import pairwise
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.energy import EnergyTable, price
from tilebound.energy.sram import Kind, SramTable
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage

TABLE = EnergyTable.default()

# CACTI 7 (ED^2, 300 K, one read-write port, one bank, itrs-lstp), at points that the table does not hold:
# node, depth, width, read pJ, write pJ, leakage mW, area um2.
OFF_GRID = [
    (45, 2913, 368, 101.912, 131.82, 0.00327062, 399181),
    (45, 29398, 368, 374.374, 365.774, 0.0317236, 5.05773e+06),
    (45, 46003, 240, 268.326, 235.961, 0.0320098, 4.73977e+06),
    (45, 4792, 288, 94.1079, 113.244, 0.00431166, 615946),
    (65, 2542, 40, 13.3901, 12.765, 0.00257648, 79948),
    (65, 502, 240, 23.3696, 74.6503, 0.00311866, 100956),
    (45, 528, 16, 1.16776, 1.37671, 3.69292e-05, 3463.29),
    (45, 33, 256, 9.14709, 10.8255, 4.00255e-05, 10739.1),
    (45, 13888, 64, 29.5887, 24.2483, 0.00285593, 374328),
    (45, 2560, 16, 3.86343, 2.86433, 0.000164895, 17007.1),
    (45, 1728, 256, 48.354, 60.4578, 0.00140526, 172364),
    (45, 6912, 64, 23.8904, 18.5963, 0.00141512, 180811),
    (45, 89600, 64, 74.5561, 62.3239, 0.0172511, 2.38086e+06),
    (65, 528, 16, 2.15782, 2.5896, 0.000308976, 7226.29),
    (65, 38400, 256, 524.731, 518.339, 0.183462, 8.78733e+06),
    (65, 93184, 16, 40.225, 28.6781, 0.0312031, 1.23512e+06),
    (65, 5824, 256, 164.655, 206.945, 0.0301813, 1.34269e+06),
    (65, 10240, 16, 18.5217, 9.98814, 0.00395935, 128979),
    (65, 640, 256, 28.3919, 98.3057, 0.00413616, 136007),
    (65, 65, 64, 2.6817, 4.33936, 0.000159869, 4561.56),
    (65, 288, 256, 21.9033, 53.0093, 0.00197041, 70251.3),
]

# Rows of the same CACTI runs that the table does hold.
ON_GRID = [
    (45, 8192, 64, 25.8695, 19.6486, 0.00167027, 209046),
    (45, 256, 16, 0.720015, 1.09089, 2.19812e-05, 1857.59),
    (65, 256, 16, 1.33996, 2.04003, 0.000199029, 3875.89),
    (65, 13824, 64, 54.3025, 46.0033, 0.0184127, 775098),
    (45, 12288, 256, 144.257, 139.143, 0.00938644, 1.41608e+06),
]


def figures(memory):
    return memory.read_pj, memory.write_pj, memory.leakage_mw, memory.area_um2


def sram(node_nm, depth, width, **options):
    return TABLE.sram(bits=depth * width, width=width, node_nm=node_nm, **options)


@pytest.mark.parametrize(("node", "depth", "width", "expected"), [(*r[:3], r[3:]) for r in ON_GRID])
def test_rows_come_back_exactly(node, depth, width, expected):
    memory = sram(node, depth, width)
    assert figures(memory) == expected
    assert memory.provenance == f"sram.csv {node}nm itrs-lstp 1RW, depth {depth} width {width}"


def test_interpolation_error_against_cacti():
    # CACTI itself jumps where it partitions an array anew, by up to a third between neighbours, so the
    # worst case says little about the interpolation; the median does.
    errors = [[abs(found / true - 1) for found, true in zip(figures(sram(*row[:3])), row[3:], strict=True)]
              for row in OFF_GRID]
    read, write, leakage, area = zip(*errors, strict=True)
    assert median(read) < 0.013 and max(read) < 0.25
    assert median(write) < 0.010 and max(write) < 0.19
    assert median(leakage) < 0.006 and max(leakage) < 0.07
    assert median(area) < 0.010 and max(area) < 0.10


def test_interpolated_figures_say_so():
    assert sram(45, 5000, 96).provenance == "sram.csv 45nm itrs-lstp 1RW, interpolated depth 5000 width 96"


@given(st.floats(16, 1024), st.integers(8, 128))
def test_interpolation_is_exact_for_power_laws(depth, width):
    def law(depth, width):
        return 0.1 * depth**0.5 * width, 0.2 * depth**0.25 * width, 1e-6 * depth * width, 3.0 * depth * width

    ragged = {8: (16, 64, 1024), 32: (4, 100, 300, 1024), 128: (16, 17, 2048)}
    table = SramTable([
        {"node_nm": "45", "cell": "c", "ports": "1RW", "banks": "1", "width_bits": str(w), "depth": str(d),
         **dict(zip(("read_pj", "write_pj", "leakage_mw", "area_um2"), map(repr, law(d, w)), strict=True))}
        for w, depths in ragged.items() for d in depths])
    found = table.lookup(depth, width, Kind(45, "c", "1RW", 1))
    assert figures(found) == pytest.approx(law(depth, width), rel=1e-9)


@pytest.mark.parametrize("cell", ["itrs-lstp", "itrs-hp"])
def test_larger_arrays_cost_more(cell):
    for width in (16, 64, 200):
        grown = [figures(sram(45, depth, width, cell=cell)) for depth in (64, 1024, 16384, 262144)]
        assert all(a < b for small, large in pairwise(grown)
                   for a, b in zip(small, large, strict=True))
    assert sram(65, 8192, 64).read_pj > sram(45, 8192, 64).read_pj


def test_rows_past_the_widest_are_cut_into_arrays_side_by_side():
    one, two = sram(45, 512, 512), sram(45, 512, 1024)
    assert figures(two) == tuple(2 * x for x in figures(one))
    assert two.provenance.endswith("width 512, 2 side by side")


@pytest.mark.parametrize(("options", "said"), [
    ({"bits": 8192, "width": 64, "node_nm": 28}, "sram.csv has no 28nm itrs-lstp 1RW SRAM; it has 45nm"),
    ({"bits": 8192, "width": 64, "node_nm": 45, "cell": "sram6t"}, "45nm itrs-hp 1RW"),
    ({"bits": 8192, "width": 64, "node_nm": 45, "ports": "2RW"}, "no 45nm itrs-lstp 2RW"),
    ({"bits": 8192, "width": 64, "node_nm": 45, "banks": 4}, "1RW 4 banks"),
    ({"bits": 16 * 64, "width": 64, "node_nm": 45}, "16 rows of 64 bits: sram.csv has 32 to 2097152 rows"),
    ({"bits": 2**40, "width": 64, "node_nm": 45}, "sram.csv has 32 to 2097152 rows"),
    ({"bits": 4096, "width": 4, "node_nm": 45}, "rows of 4 bits: sram.csv begins at 8 bits"),
])
def test_an_sram_outside_the_table_is_an_error(options, said):
    with pytest.raises(ValueError, match=said):
        TABLE.sram(**options)


def test_register_files():
    # Aladdin's register: 0.009 pJ, 5.98 um2 and 0.07 uW a bit.
    one = TABLE.regfile(bits=16, width=16, node_nm=45)
    assert figures(one) == pytest.approx((0.144, 0.144, 0.00112, 95.68))
    assert TABLE.regfile(bits=64 * 16, width=16, node_nm=45) == sram(45, 64, 16)
    files = [TABLE.regfile(bits=depth * 16, width=16, node_nm=45) for depth in (1, 2, 8, 24, 63, 64)]
    assert all(a.read_pj < b.read_pj and a.write_pj < b.write_pj for a, b in pairwise(files))
    assert files[3].provenance.startswith("interpolated depth 24 between components.csv register 16 bits")
    assert files[3].area_um2 == pytest.approx(24 * 95.68)
    with pytest.raises(ValueError, match="8 bits do not hold one row of 16 bits"):
        TABLE.regfile(bits=8, width=16, node_nm=45)


def test_arithmetic():
    # Horowitz, ISSCC 2014: an 8-bit multiply 0.2 pJ, an 8-bit add 0.03 pJ.
    assert TABLE.mac(bits=8, node_nm=45).energy.value == 0.23
    assert "Horowitz" in TABLE.mac(bits=8, node_nm=45).energy.source
    assert TABLE.mac(bits=16, node_nm=65).energy.value == pytest.approx(0.85 * 1.6515)
    assert TABLE.mac(bits=16, node_nm=45, number="fp").energy.value == 1.5
    with pytest.raises(ValueError, match="no int_mac of 12 bits; it has 8, 16, 32"):
        TABLE.mac(bits=12, node_nm=45)
    with pytest.raises(ValueError, match=r"no figures for int_mac at 28nm: scaling\.csv has 45nm, 65nm"):
        TABLE.mac(bits=8, node_nm=28)


def test_dram():
    access = TABLE.dram(kind="LPDDR4", width=64)
    assert access.value == 512
    assert access.source.startswith("components.csv LPDDR4 8 pJ/bit x 64 bits")
    with pytest.raises(ValueError, match="no DRAM of type 'LPDR4'; did you mean LPDDR4"):
        TABLE.dram(kind="LPDR4", width=64)


DRAM = Storage("DRAM", block_words=4, component="DRAM", attributes={"type": "LPDDR4"})
GLB = Storage("GLB", size_words=55296, block_words=4, component="smartbuffer_SRAM")
RF = Storage("RF", mesh_x=14, mesh_y=12, size_words=256, component="regfile")
MAC = Compute("MAC", mesh_x=14, mesh_y=12, component="intmac")
MACHINE = Architecture("machine", (DRAM, GLB, RF), MAC, node_nm=65, cycle_seconds=5e-9)


def test_price_fills_every_action_with_its_source():
    dram, glb, rf = price(MACHINE).levels
    compute = price(MACHINE).compute
    assert {action: figure.value for action, figure in dram.energy.items()} == {
        "read": 512, "fill": 512, "update": 512}
    assert dram.area == Figure(0.0, "off chip")
    assert glb.energy["read"] == Figure(54.3025, "sram.csv 65nm itrs-lstp 1RW, depth 13824 width 64 (read)")
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


def test_instances_of_a_cluster_share_one_array():
    alone = price(replace(MACHINE, levels=(DRAM, GLB, replace(RF, size_words=256, block_words=4)))).levels[2]
    shared = price(replace(MACHINE, levels=(DRAM, GLB, replace(RF, size_words=64, cluster_size=4)))).levels[2]
    assert shared.energy["read"].value == sram(65, 64, 64).read_pj == alone.energy["read"].value
    assert shared.area.value * 4 == pytest.approx(alone.area.value)
    assert shared.energy["leak"].value * 4 == pytest.approx(alone.energy["leak"].value)


@pytest.mark.parametrize(("index", "change", "said"), [
    (1, {"component": "SRRAM"}, r"GLB \(class SRRAM\): unknown class; .*did you mean 'sram'"),
    (1, {"component": "memristor"}, "unknown class; known are names with dram, regfile, .* in them"),
    (1, {"size_words": None}, r"GLB \(class smartbuffer_SRAM\): no size"),
    (1, {"attributes": {"technology": "28nm"}}, r"GLB .*: sram\.csv has no 28nm"),
    (1, {"attributes": {"technology": "SET ME"}}, "technology is SET ME, which is no node such as 45nm"),
    (0, {"attributes": {}}, r"DRAM .*: no `type`; known are LPDDR, LPDDR4"),
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
