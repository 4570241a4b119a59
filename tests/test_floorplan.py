"""Lengths of wires from areas, and networks priced by the table over them."""

from math import sqrt

import pytest
import tilebound as tb
import yaml
from tilebound.convert import convert, dump
from tilebound.hardware.floorplan import areas_below, tile_side
from tilebound.loading import load_specs

SPEC = {"name": "tiny", "technology": "45nm", "wires": "itrs-lop", "levels": [
    {"name": "DRAM", "class": "DRAM", "type": "LPDDR4", "width": 64},
    {"name": "GLB", "class": "SRAM", "size": "16 KiB", "width": 64, "fanout": {"x": 2, "y": 2}},
    {"name": "PAD", "class": "SRAM", "size": "1 KiB", "width": 16, "fanout": 4}],
    "compute": {"name": "MAC", "class": "intmac"}}
LAYER = tb.load_workload({"layers": [{"name": "g", "type": "matmul", "M": 8, "N": 8, "K": 8}]})["g"]
NEST = """
DRAM
GLB
    for M in 8
      for N in 2 (Spatial-X)
        for K in 2 (Spatial-Y)
PAD
          for K in 4
            for N in 4 (Spatial-X)
"""


def changed(**levels):
    """SPEC with other keys in the levels named."""
    return {**SPEC, "levels": [{**x, **levels.get(x["name"], {})} for x in SPEC["levels"]]}


def test_a_tile_is_a_square_of_all_that_stands_below():
    machine = tb.load_architecture(SPEC)
    pad, mac = machine.levels[2].area.value, machine.compute.area.value
    assert areas_below(machine, 1) == {"PAD": pad, "MAC": 4 * mac}
    assert tile_side(machine, 1).value == pytest.approx(sqrt(pad + 4 * mac))
    assert tile_side(machine, 2).value == pytest.approx(sqrt(mac))
    assert "PAD" in tile_side(machine, 1).source and "MAC" in tile_side(machine, 1).source


def test_a_network_is_priced_without_a_length():
    machine = tb.load_architecture(SPEC)
    network = machine.levels[1].network
    wire = tb.EnergyTable.default().wire(node_nm=45, kind="itrs-lop")
    assert network.wire_pj_bit_mm.value == wire.transition_pj / 2
    assert wire.provenance in network.wire_pj_bit_mm.source
    assert network.tile_um == tile_side(machine, 1)
    cost = tb.evaluate(machine, LAYER, NEST).networks
    hop = 16 * wire.transition_pj / 2 * tile_side(machine, 1).value / 1000
    assert cost[1].hop_pj == pytest.approx(hop)
    hops = sum(x.hops * x.ingresses for x in cost[1].tensors.values())
    assert hops > 0 and cost[1].energy_pj == pytest.approx(hops * hop)
    assert cost[0].energy_pj == 0       # a single instance below: no way to go
    free = tb.load_architecture({k: v for k, v in SPEC.items() if k != "wires"})
    assert all(x.energy_pj == 0 for x in tb.evaluate(free, LAYER, NEST).networks)


def test_routers_are_priced_beside_wires():
    network = {"wires": "itrs-lop", "routers": True}
    machine = tb.load_architecture(changed(GLB={"network": network}))
    router = machine.levels[1].network.router_pj
    assert router.value > 0 and router.source
    with_them, without = (tb.evaluate(x, LAYER, NEST).networks[1] for x in (
        machine, tb.load_architecture(SPEC)))
    words = sum(x.ingresses for x in with_them.tensors.values())
    assert with_them.energy_pj - without.energy_pj >= words * router.value
    wide = tb.load_architecture(changed(GLB={"network": {**network, "word_bits": 32}})).levels[1].network
    assert wide.router_pj.value == pytest.approx(2 * router.value)


def test_areas_of_levels_whose_energies_are_given_are_looked_up_for_wires():
    machine, plain = tb.load_architecture(changed(PAD={"energy": 1})), tb.load_architecture(SPEC)
    assert machine.levels[2].area == plain.levels[2].area
    assert machine.levels[1].network == plain.levels[1].network
    assert machine.levels[2].energy["read"].value == 1


def test_what_is_stated_of_a_network_stays():
    stated = {"wires": "itrs-hp", "wire_energy": 0.5, "tile_width": 100}
    network = tb.load_architecture(changed(GLB={"network": stated})).levels[1].network
    assert (network.wire_pj_bit_mm.value, network.tile_um.value) == (0.5, 100)
    hop = tb.load_architecture(changed(GLB={"network": {"hop_energy": 2}})).levels[1].network
    assert hop.wire_pj_bit_mm is None and hop.tile_um is None


@pytest.mark.parametrize(("levels", "message"), [
    ({"GLB": {"network": {"wires": "copper"}}},
     r"GLB \(network\): transistors is .copper.; expected one of itrs-hp, itrs-lop"),
    ({"PAD": {"energy": 1, "class": "abacus"}},
     r"GLB \(network\): the length of its wires .* no area is known of PAD; expected `hop_energy`"),
])
def test_what_a_network_lacks_is_named(levels, message):
    with pytest.raises(tb.SpecError, match=message):
        tb.load_architecture(changed(**levels))


def test_wires_survive_both_dialects():
    machine = tb.load_architecture(SPEC)
    for dialect in ("native", "timeloop"):
        loaded = load_specs([{"architecture": SPEC}])
        again = load_specs([yaml.safe_load(dump(convert(loaded, dialect, None)))]).architecture
        for mine, theirs in zip(machine.levels, again.levels, strict=True):
            assert mine.network.wire_pj_bit_mm == theirs.network.wire_pj_bit_mm
            assert mine.network.tile_um == theirs.network.tile_um
