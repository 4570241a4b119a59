"""Counts worked out by hand for shapes without a recorded output, and the edges of the cost model."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping as MappingOf

import pytest
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.model.evaluate import evaluate
from tilebound.model.latency import level_pace
from tilebound.model.traffic import Accesses
from tilebound.workload.einsum import Einsum, Tensor, Term


def figures(**energies: float) -> dict[str, Figure]:
    return {action: Figure(pj, "test") for action, pj in energies.items()}


def storage(name: str, **fields: object) -> Storage:
    return replace(Storage(name, energy=figures(read=1.0, fill=1.0, update=1.0)), **fields)  # type: ignore[arg-type]


def two_levels(fanout: int = 1, **outer: object) -> Architecture:
    """DRAM over one buffer that feeds `fanout` units."""
    return Architecture("two levels", (storage("DRAM", **outer), storage("BUF")),
                        Compute("MAC", fanout, energy=figures(compute=1.0)))


def loops(**factors: int) -> tuple[Loop, ...]:
    return tuple(Loop(rank, factor) for rank, factor in factors.items())


def counted(architecture: Architecture, einsum: Einsum,
            mapping: Mapping) -> MappingOf[tuple[str, str], tuple[int, int, int]]:
    """(reads, fills, updates) by level and tensor."""
    cost = evaluate(architecture, einsum, mapping)
    return {(level.name, name): (x.reads, x.fills, x.updates)
            for level in cost.levels for name, x in level.tensors.items()}


GEMM = Einsum("gemm", ("M", "N", "K"), (4, 6, 8), (
    Tensor("A", ((Term("M"),), (Term("K"),))), Tensor("B", ((Term("K"),), (Term("N"),))),
    Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))
ALL = frozenset("ABZ")
GEMM_MAPPING = Mapping((Block("DRAM", ALL, loops(M=2, K=2)), Block("BUF", ALL, loops(N=6, M=2, K=4))))


def test_grouped_convolution() -> None:
    """Two groups of 3 output and 2 input channels, 4 positions, window 3. Each group is one pass
    over the positions, two of them at a time."""
    conv = Einsum("grouped", ("G", "K", "C", "P", "R"), (2, 3, 2, 4, 3), (
        Tensor("Weights", ((Term("G"),), (Term("K"),), (Term("C"),), (Term("R"),))),
        Tensor("Inputs", ((Term("G"),), (Term("C"),), (Term("P"), Term("R")))),
        Tensor("Outputs", ((Term("G"),), (Term("K"),), (Term("P"),)), is_output=True)))
    keep = frozenset(("Weights", "Inputs", "Outputs"))
    mapping = Mapping((Block("DRAM", keep, loops(G=2, P=2)),
                       Block("BUF", keep, loops(C=2, R=3, K=3, P=2))))
    macs = 2 * 3 * 2 * 4 * 3
    assert counted(two_levels(), conv, mapping) == {
        # A group's 18 weights stay while P moves; each group is loaded once.
        ("DRAM", "Weights"): (36, 0, 0), ("BUF", "Weights"): (macs, 36, 0),
        # The tile has 2 channels of 4 words. Within a group it slides by 2 words a channel (8 + 4);
        # the next group starts with a whole tile.
        ("DRAM", "Inputs"): (24, 0, 0), ("BUF", "Inputs"): (macs, 24, 0),
        # Outputs are finished before they leave: each word is drained once, never brought back.
        ("DRAM", "Outputs"): (0, 0, 24), ("BUF", "Outputs"): (macs - 24, 0, macs)}


def test_mttkrp() -> None:
    """Z[i, j] += A[i, k, l] * B[k, j] * C[l, j] with j unrolled over 4 units."""
    mttkrp = Einsum("mttkrp", ("I", "J", "K", "L"), (2, 4, 3, 5), (
        Tensor("A", ((Term("I"),), (Term("K"),), (Term("L"),))),
        Tensor("B", ((Term("K"),), (Term("J"),))), Tensor("C", ((Term("L"),), (Term("J"),))),
        Tensor("Z", ((Term("I"),), (Term("J"),)), is_output=True)))
    keep = frozenset("ABCZ")
    mapping = Mapping((Block("DRAM", keep, loops(I=2, K=3)),
                       Block("BUF", keep, loops(L=5), spatial_x=loops(J=4))))
    assert counted(two_levels(4), mttkrp, mapping) == {
        # A is shared by the units: one read serves four. Each of its words is used once a row.
        ("DRAM", "A"): (30, 0, 0), ("BUF", "A"): (30, 30, 0),
        # B's 4-word tile changes with every K, and again for the second I.
        ("DRAM", "B"): (24, 0, 0), ("BUF", "B"): (120, 24, 0),
        # C stays in the buffer for the whole run.
        ("DRAM", "C"): (20, 0, 0), ("BUF", "C"): (120, 20, 0),
        # Z's 4-word tile stays while K runs.
        ("DRAM", "Z"): (0, 0, 8), ("BUF", "Z"): (112, 0, 120)}


def test_gaps_of_a_strided_output_are_no_partial_sums() -> None:
    """The box of Z[2 m] counts gaps, so it is larger than the number of words visited."""
    copy = Einsum("spread", ("M",), (4,), (
        Tensor("A", ((Term("M"),),)), Tensor("Z", ((Term("M", 2),),), is_output=True)))
    keep = frozenset("AZ")
    mapping = Mapping((Block("DRAM", keep, loops(M=4)), Block("BUF", keep)))
    assert counted(two_levels(), copy, mapping)["DRAM", "Z"] == (0, 0, 4)


def test_loops_of_one_iteration_do_not_count() -> None:
    """A trivial loop inside would otherwise pass for the one that moves the tile."""
    outer, inner = GEMM_MAPPING.blocks
    padded = Mapping((replace(outer, temporal=(*outer.temporal, Loop("M", 1), Loop("N", 1))), inner))
    assert evaluate(two_levels(), GEMM, padded) == evaluate(two_levels(), GEMM, GEMM_MAPPING)


def test_multicast_and_its_absence() -> None:
    mapping = Mapping((Block("DRAM", ALL, loops(M=4, K=8)), Block("BUF", ALL, spatial_x=loops(N=6))))
    sent = {name: x.accesses for name, x in
            evaluate(two_levels(6), GEMM, mapping).networks[1].tensors.items()}
    assert sent == {"A": {6: 32}, "B": {1: 192}, "Z": {1: 192}}
    apart = Mapping((mapping.blocks[0], replace(mapping.blocks[1], no_multicast=frozenset("A"))))
    assert evaluate(two_levels(6), GEMM, apart).networks[1].tensors["A"].accesses == {1: 192}
    array = two_levels(6)
    wires = replace(array, levels=(array.levels[0], storage("BUF", network=Network(multicast=False))))
    assert evaluate(wires, GEMM, mapping).networks[1].tensors["A"].accesses == {1: 192}


def test_energy_is_the_sum_of_its_parts() -> None:
    architecture = Architecture("parts", (
        Storage("DRAM", energy=figures(read=3.0, update=5.0, leak=0.5), block_words=3,
                network=Network("bus", ingress=Figure(0.25, "test"))),
        Storage("BUF", energy=figures(read=1.0, fill=2.0, update=4.0))),
        Compute("MAC", energy=figures(compute=0.125)))
    cost = evaluate(architecture, GEMM, GEMM_MAPPING)
    dram, buf = cost.levels
    # A: 4 tiles of 8. B: 4 tiles of 24. Z: its tile of 12 stays while K runs.
    assert {name: (x.reads, x.updates) for name, x in dram.tensors.items()} == {
        "A": (32, 0), "B": (96, 0), "Z": (0, 24)}
    assert {name: x.energy_pj for name, x in dram.tensors.items()} == {
        "A": 11 * 3.0, "B": 32 * 3.0, "Z": 8 * 5.0}
    assert dram.leakage_pj == 0.5 * cost.cycles == 96.0
    assert dram.energy_pj == 33.0 + 96.0 + 40.0 + 96.0
    assert {name: x.energy_pj for name, x in buf.tensors.items()} == {
        "A": 192 * 1.0 + 32 * 2.0, "B": 192 * 1.0 + 96 * 2.0, "Z": 168 * 1.0 + 192 * 4.0}
    assert cost.networks[0].name == "bus" and cost.networks[0].energy_pj == (32 + 96 + 24) * 0.25
    assert cost.compute.energy_pj == 192 * 0.125
    assert cost.energy_pj == sum(x.energy_pj for x in (*cost.levels, cost.compute, *cost.networks))


@pytest.mark.parametrize(("level", "action"), [
    ("DRAM", "read"), ("DRAM", "update"), ("BUF", "read"), ("BUF", "fill"), ("BUF", "update"),
    ("MAC", "compute")])
def test_an_energy_that_is_not_known_is_an_error(level: str, action: str) -> None:
    architecture = two_levels()
    def strip(x: Storage | Compute) -> dict[str, Figure]:
        return {a: f for a, f in x.energy.items() if (x.name, a) != (level, action)}
    architecture = replace(
        architecture, levels=tuple(replace(x, energy=strip(x)) for x in architecture.levels),
        compute=replace(architecture.compute, energy=strip(architecture.compute)))
    with pytest.raises(ValueError, match=f"{level}: no energy is known for the action '{action}'"):
        evaluate(architecture, GEMM, GEMM_MAPPING)


def test_the_outermost_level_needs_no_fill_energy() -> None:
    architecture = two_levels(energy=figures(read=1.0, update=1.0))
    assert evaluate(architecture, GEMM, GEMM_MAPPING).energy_pj > 0


def test_bottleneck_and_utilization() -> None:
    free = evaluate(two_levels(4), GEMM, GEMM_MAPPING)
    assert (free.bottleneck, free.cycles, free.utilization) == ("compute", 192, 0.25)
    bound = evaluate(two_levels(4, read_bandwidth=0.5), GEMM, GEMM_MAPPING)
    assert (bound.bottleneck, bound.cycles) == ("DRAM", 256)       # 128 words at 2 cycles each
    assert bound.utilization == 192 / 4 / 256
    assert bound.level("BUF").cycles == 192


def test_cycles_follow_the_order_of_operations() -> None:
    """4096 cycles at 6 of the 19 words a cycle asked for take 12971 cycles, not 12970."""
    level = storage("RF", shared_bandwidth=6.0)
    accesses = {"Z": Accesses(1, 1, 10 * 4096, 4 * 4096, 5 * 4096, 0)}
    assert level_pace(level, accesses, 4096).cycles == 12971


def test_bandwidth_scale() -> None:
    level = storage("RF", read_bandwidth=1.0, bandwidth_scale=(("A", 0.0), ("B", 2.0)))
    accesses = {name: Accesses(1, 1, 100, 100, 0, 0) for name in "AB"}
    assert level_pace(level, accesses, 100).cycles == 200


def test_areas_add_up_when_all_are_known() -> None:
    assert evaluate(two_levels(), GEMM, GEMM_MAPPING).area_um2 is None
    architecture = two_levels(3)
    architecture = replace(
        architecture, levels=tuple(replace(x, area=Figure(10.0, "test")) for x in architecture.levels),
        compute=replace(architecture.compute, area=Figure(1.0, "test")))
    assert evaluate(architecture, GEMM, GEMM_MAPPING).area_um2 == 23.0
