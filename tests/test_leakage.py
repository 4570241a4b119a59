"""What leaks: instances that are on, for as long as the work takes."""

from dataclasses import replace
from random import Random

import pytest
import tilebound as tb
from tilebound.hardware.architecture import Figure
from tilebound.model.evaluate import evaluate

from strategies import random_case


@pytest.mark.parametrize("seed", range(40))
def test_idle_instances_leak_nothing_unless_a_gate_holds_them_on(seed):
    machine, einsum, mapping = random_case(Random(seed))
    own = evaluate(machine, einsum, mapping)
    outermost = replace(machine, levels=tuple(replace(x, power_gated_at=machine.levels[0].name)
                                              for x in machine.levels))
    held = evaluate(outermost, einsum, mapping)
    for level, alone, together in zip(machine.levels, own.levels, held.levels, strict=True):
        leak = level.energy["leak"].value * own.cycles
        assert alone.leakage_pj == pytest.approx(leak * alone.utilized_instances)
        assert together.leakage_pj == pytest.approx(leak * level.instances)
    assert held.energy_pj - own.energy_pj == pytest.approx(
        sum(x.leakage_pj for x in held.levels) - sum(x.leakage_pj for x in own.levels))


@pytest.mark.parametrize("seed", range(10))
def test_leakage_is_proportional_to_what_leaks_in_a_cycle(seed):
    machine, einsum, mapping = random_case(Random(seed))
    twice = replace(machine, levels=tuple(
        replace(x, energy={**x.energy, "leak": Figure(2 * x.energy["leak"].value, "twice")})
        for x in machine.levels))
    before, after = evaluate(machine, einsum, mapping), evaluate(twice, einsum, mapping)
    for one, two in zip(before.levels, after.levels, strict=True):
        assert two.leakage_pj == pytest.approx(2 * one.leakage_pj)
        assert two.energy_pj == pytest.approx(one.energy_pj + one.leakage_pj)


def test_a_store_of_metadata_leaks_and_takes_area():
    level = {"name": "GLB", "class": "SRAM", "size": "16 KiB", "width": 64}
    coded = {**level, "formats": {"A": [{"format": "B"}, {"format": "B"}]},
             "metadata": {"width": 16, "depth": 512}}

    def glb(entry):
        return tb.load_architecture({"technology": "45nm", "cycle": "2 ns", "levels": [
            {"name": "DRAM", "class": "DRAM", "type": "LPDDR4", "width": 64}, entry],
            "compute": {"name": "MAC", "class": "intmac"}}).levels[1]

    plain, with_store = glb(level), glb(coded)
    store = tb.EnergyTable.default().sram(bits=16 * 512, width=16, node_nm=45)
    assert with_store.area.value - plain.area.value == pytest.approx(store.area_um2)
    more = with_store.energy["leak"].value - plain.energy["leak"].value
    assert more == pytest.approx(store.leakage_mw * 2)      # mW x ns = pJ
    assert with_store.energy["read"] == plain.energy["read"]
    given = glb({**coded, "energy": {"leak": 7}, "area": 900})
    assert (given.energy["leak"].value, given.area.value) == (7, 900)
