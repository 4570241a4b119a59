"""The lattice bound: never above the cost of a mapping, and most often attained by one."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf, prod

import numpy as np
import pytest
from tilebound.bounds.lattice.bound import LatticeBound
from tilebound.bounds.lattice.lattice import Lattice
from tilebound.bounds.scenario import Scenario
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.model.evaluate import evaluate
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.local import Explorer
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import (
    axes,
    charging,
    gated,
    random_architecture,
    random_einsum,
    random_mapping,
    seeds,
    separate,
)


def three_level_case(rng, max_points):
    """A machine with three levels and one fanout, and a mapping that fits it."""
    while True:
        einsum = random_einsum(rng, max_points)
        mapping = random_mapping(rng, einsum, 3, no_multicast=False)
        blocks = []
        for i, block in enumerate(mapping):
            keep = frozenset(t.name for t in einsum.tensors) if i == 0 else block.keep
            x, y = (block.spatial_x, block.spatial_y) if i == 1 else ((), ())
            blocks.append(Block(block.level, keep, block.temporal, x, y))
        # Spatial loops of the other levels become temporal ones of the same level.
        for i in (0, 2):
            factors = mapping.blocks[i].factors()
            order = rng.sample(list(factors), len(factors))
            blocks[i] = Block(blocks[i].level, blocks[i].keep, tuple(
                type(loop)(rank, factors[rank]) for rank in order
                for loop in mapping.blocks[i].loops[:1]))
        mapping = Mapping(tuple(blocks))
        both = {x.rank for x in blocks[1].spatial_x} & {y.rank for y in blocks[1].spatial_y}
        architecture = random_architecture(rng, einsum, mapping)
        if not both and Lattice(Scenario(architecture, einsum)).applies:
            return architecture, einsum, mapping


@pytest.mark.parametrize("seed", seeds(100, 600))
def test_no_mapping_lies_below_the_lattice_bound(seed):
    rng = random.Random(seed)
    architecture, einsum, mapping = three_level_case(rng, 600)
    if seed % 4 == 0:
        architecture = gated(rng, architecture)
    if seed % 4 == 1:
        architecture = charging(rng, architecture)
    if seed % 4 == 2:
        architecture = separate(rng, architecture)
    cost = evaluate(architecture, einsum, mapping)
    keep, lattice = tuple(b.keep for b in mapping), Lattice(Scenario(architecture, einsum))
    for energy_power, cycles_power in ((1, 0), (1, 1), (1, 2)):
        value = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
        bound = LatticeBound(lattice, keep, energy_power, cycles_power)
        assert bound.solve(value * (1 + 1e-6))[0] <= value * (1 + 1e-9)
        loose = bound.solve(value * 100)[0]
        assert loose <= value * (1 + 1e-9)
        assert loose > 0 and loose < inf


# ---- machines of any depth, against all their mappings -------------------------------------------

#: Most points of the loop nest, by levels: all mappings are to be evaluated soon.
POINTS = {1: 200, 2: 96, 3: 60, 4: 24, 5: 16}


def any_case(rng, levels):
    """A machine with an array below the outermost level, the next, or none, and what its levels keep."""
    while True:
        einsum = random_einsum(rng, POINTS[levels])
        array = rng.choice((None, 0, 1))
        blocks = []
        for i, block in enumerate(random_mapping(rng, einsum, levels, no_multicast=False)):
            keep = frozenset(t.name for t in einsum.tensors) if i == 0 else block.keep
            if i == array:
                blocks.append(Block(block.level, keep, block.temporal, block.spatial_x, block.spatial_y))
                continue
            factors = block.factors()
            order = rng.sample(list(factors), len(factors))
            blocks.append(Block(block.level, keep, tuple(Loop(rank, factors[rank]) for rank in order)))
        mapping = Mapping(tuple(blocks))
        both = any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping)
        architecture = random_architecture(rng, einsum, mapping)
        if not both and Lattice(Scenario(architecture, einsum)).applies:
            return architecture, einsum, tuple(b.keep for b in mapping)


def plain(architecture):
    """The machine without what lattices only bound: bandwidths, blocks, clusters, leakage, networks."""
    def bare(level):
        energy = {kind: x for kind, x in level.energy.items() if kind in ("read", "fill", "update")}
        return replace(level, read_bandwidth=None, write_bandwidth=None, shared_bandwidth=None,
                       cluster_size=1, block_words=1, power_gated_at=None, network=Network(),
                       update_network=None, energy=energy)

    return replace(architecture, levels=tuple(map(bare, architecture.levels)))


def least(architecture, einsum, keep, powers):
    """The least objective of all mappings with one choice of what levels keep; None if they are too many."""
    space = Mapspace(architecture, einsum)
    region = space.root(keep)
    if space.combinations(region) > 50_000 or not space.orders_complete:
        return None
    explorer = Explorer(space, *powers)
    return min((float(explorer.values(keep, orders, factors).min(initial=inf))
                for orders, factors in space.in_order(region, space.enumerate(region))), default=inf)


@pytest.mark.parametrize("part", range(4))
def test_bounds_of_machines_of_any_depth_are_never_above_the_optimum_and_mostly_attain_it(part):
    compared = attained = 0
    for seed in range(40 * part, 40 * (part + 1)):
        rng = random.Random(seed)
        architecture, einsum, keep = any_case(rng, rng.choice((1, 2, 3, 3, 4, 4, 5)))
        powers = rng.choice(((1, 0), (1, 1)))
        for machine in (architecture, plain(architecture)):
            try:
                value = least(machine, einsum, keep, powers)
            except ValueError:      # a network that is not priced by the word
                continue
            if value is None or value == inf:
                continue
            bound = LatticeBound(Lattice(Scenario(machine, einsum)), keep, *powers)
            assert bound.quick() <= value * (1 + 1e-9)
            proven, _ = bound.solve(value * 1.5)
            assert proven <= value * (1 + 1e-9)
            if machine is not architecture:
                compared += 1
                attained += proven >= value * (1 - 1e-9)
    assert compared > 20 and attained > 0.75 * compared


def test_a_glimpse_tells_of_whole_tilings_that_get_better_and_mostly_come_near_the_bound():
    compared = near = 0
    for seed in range(60):
        rng = random.Random(seed)
        architecture, einsum, keep = any_case(rng, rng.choice((2, 3, 4)))
        powers, told = rng.choice(((1, 0), (1, 1))), []
        lattice = Lattice(Scenario(architecture, einsum))
        LatticeBound(lattice.coarsened(), keep, *powers).glimpse(1e30, told.append)
        proven, tilings = LatticeBound(lattice, keep, *powers).solve(1e30)
        values = [tiling.value for tiling in told]
        assert values == sorted(values, reverse=True)
        assert all(value >= proven * (1 - 1e-9) for value in values)
        for tiling in told:
            assert tuple(tiling.factors.prod(axis=0)) == tuple(einsum.extents)
        compared += bool(tilings)
        near += bool(told) and values[-1] <= 1.2 * proven
    assert compared > 40 and near > 0.75 * compared


def machine(*levels, **limits):
    price = {kind: Figure(1.0, "") for kind in ("read", "fill", "update")}
    return Architecture("m", (Storage("DRAM", energy={k: Figure(100.0, "") for k in price}, **limits), *(
        Storage(name, energy=price, size_words=words, bypass=frozenset("WIO") - keep, **where)
        for name, words, keep, where in levels)), Compute("MAC", **levels[-1][3],
                                                          energy={"compute": Figure(1.0, "")}))


CONV = Einsum("conv", ("K", "C", "P", "R"), (16, 8, 12, 3), (
    Tensor("W", axes("K", "C", "R")), Tensor("I", axes("C", (Term("P"), Term("R")))),
    Tensor("O", axes("K", "P"), is_output=True)))
ARRAY = {"mesh_x": 4, "mesh_y": 2}
ALL = frozenset("WIO")


def scratchpad_case(rng):
    """A convolution on a machine with scratchpads of some tensors each, and what levels keep."""
    while True:
        extents = [rng.choice(x) for x in ((1, 2, 4), (1, 1, 2, 3), (2, 4, 6, 8), (1, 1, 2, 4), (1, 2, 3, 4),
                                           (1, 1, 2))]
        if 6 < prod(extents) <= 96 and sum(n > 1 for n in extents) <= 4:
            break
    stride, dilation = rng.choice((1, 1, 2)), rng.choice((1, 1, 1, 2))
    einsum = Einsum("conv", ("K", "C", "P", "Q", "R", "S"), tuple(extents), (
        Tensor("W", axes("K", "C", "R", "S")), Tensor("O", axes("K", "P", "Q"), is_output=True),
        Tensor("I", axes("C", *((Term(p, stride), Term(r, dilation)) for p, r in ("PR", "QS"))))))
    array = rng.choice(({}, {"mesh_x": 2}, {"mesh_x": 2, "mesh_y": 3}, {"mesh_x": 4}))
    levels = [("GLB", rng.choice((20, 50, 1000)), rng.choice((1, 2, 3, 3)), {})] * (rng.random() < 0.8) + [
        (f"L{i}", rng.choice((2, 4, 8, 16, 64)), rng.choice((0, 1, 1, 1, 2, 3)), array)
        for i in range(rng.choice((1, 2, 2, 3)))]
    bare = machine(*((name, words, frozenset(rng.sample("WIO", kept)), where)
                     for name, words, kept, where in levels))
    priced = tuple(replace(level, energy=dict.fromkeys(level.energy, Figure(rng.choice((6.0, 3.0, 1.0)), "")))
                   for level in bare.levels[1:])
    keep = tuple(ALL - level.bypass for level in bare.levels)
    return replace(bare, levels=(bare.levels[0], *priced)), einsum, keep


def test_bounds_of_machines_with_scratchpads_are_never_above_the_optimum_and_nearly_always_attain_it():
    compared = attained = 0
    for seed in range(180):
        rng = random.Random(seed)
        architecture, einsum, keep = scratchpad_case(rng)
        powers = rng.choice(((1, 0), (1, 1)))
        value = least(architecture, einsum, keep, powers)
        if value is None or value == inf or not Lattice(Scenario(architecture, einsum)).applies:
            continue
        bound = LatticeBound(Lattice(Scenario(architecture, einsum)), keep, *powers)
        assert bound.quick() <= value * (1 + 1e-9)
        proven, _ = bound.solve(value * 1.5)
        assert proven <= value * (1 + 1e-9)
        compared += 1
        attained += proven >= value * (1 - 1e-9)
    assert compared > 40 and attained > 0.95 * compared


def test_bounds_are_the_same_where_pairs_are_too_many_to_be_listed(monkeypatch):
    for seed in range(30):
        architecture, einsum, keep = scratchpad_case(random.Random(seed))
        found = []
        for listed in (10 ** 6, 0):
            monkeypatch.setattr("tilebound.bounds.lattice.bound._LISTED", listed)
            found.append(LatticeBound(Lattice(Scenario(architecture, einsum)), keep, 1, 1).solve(1e30)[0])
        assert found[0] == found[1]


def test_of_two_mirror_images_one_is_enough():
    """Where height and width may change places, bounds are those of all tiles, and never above a mapping."""
    for seed in range(25):
        rng = random.Random(seed)
        architecture, einsum, keep = scratchpad_case(rng)
        sides = {"P": rng.choice((2, 3, 4)), "R": rng.choice((1, 2, 3))}
        sides |= {"Q": sides["P"], "S": sides["R"], "K": min(einsum.extent["K"], 2), "C": 1}
        einsum = replace(einsum, extents=tuple(sides[rank] for rank in einsum.ranks))
        half, whole = (Lattice(Scenario(architecture, einsum)) for _ in range(2))
        assert half.scenario.mirror["P"] == "Q"
        whole.one_of_two = np.ones(len(whole.points), dtype=bool)
        proven, _ = LatticeBound(half, keep, 1, 1).solve(1e30)
        assert proven == pytest.approx(LatticeBound(whole, keep, 1, 1).solve(1e30)[0], rel=1e-12)
        value = least(architecture, einsum, keep, (1, 1))
        assert value is None or proven <= value * (1 + 1e-9)


def test_the_quick_bound_knows_that_a_step_outside_an_array_may_be_undone():
    """P innermost, then R: its steps undo those of P, so that a word comes in 4 times, not 6."""
    architecture = machine(("GLB", 50, frozenset("WI"), {}), ("L0", 16, frozenset("I"), {"mesh_x": 2}))
    einsum = Einsum("conv", ("C", "P", "R"), (2, 2, 3), (
        Tensor("W", axes("C", "R")), Tensor("I", axes("C", (Term("P", 2), Term("R", 2)))),
        Tensor("O", axes("P"), is_output=True)))
    keep = tuple(ALL - level.bypass for level in architecture.levels)
    bound = LatticeBound(Lattice(Scenario(architecture, einsum)), keep, 1, 0)
    assert bound.quick() <= least(architecture, einsum, keep, (1, 0)) == bound.solve(inf)[0]


@pytest.mark.parametrize("architecture", [
    machine(("GLB", 200, ALL, {}), ("RF", 12, ALL, ARRAY)),
    machine(("RF", 24, ALL, {})),
    machine(("GLB", 200, ALL, {}), ("W", 9, frozenset("W"), ARRAY), ("I", 4, frozenset("I"), ARRAY),
            ("O", 4, frozenset("O"), ARRAY)),
    machine(("GLB", 200, ALL, {}), ("RF", 12, ALL, ARRAY), shared_bandwidth=0.5),
], ids=("array", "two levels", "a level a tensor", "bandwidth"))
def test_layers_are_proved_optimal_and_the_proof_is_checked(architecture):
    search = LayerSearch(architecture, CONV, "edp")
    mapping, certificate = search.run()
    assert certificate.status == "optimal" and certificate.value == search.best.value
    cost = evaluate(architecture, CONV, mapping)
    assert cost.energy_pj * cost.cycles == pytest.approx(certificate.value, rel=1e-12)
    relaxed, proven = rederive(architecture, CONV, "edp", certificate.value, certificate.dual)
    assert proven >= certificate.lower_bound * (1 - 1e-9)
    assert 0 < relaxed <= certificate.relaxed_bound * (1 + 1e-9)
    forged = {**certificate.dual, "parts": certificate.dual["parts"][1:]}
    with pytest.raises(ValueError):
        rederive(architecture, CONV, "edp", certificate.value, forged)


@pytest.mark.parametrize("extents, objective", [
    ((64, 3, 224, 224, 3, 3), "energy"), ((64, 3, 224, 224, 3, 3), "edp"), ((256, 256, 14, 14, 3, 3), "edp"),
], ids=("conv1_1-energy", "conv1_1-edp", "layer3-edp"))
def test_windows_in_registers_of_each_tensor_leave_no_gap(extents, objective):
    """Of conv1_1 no loop outside an instance can undo what windows step inside, as the array unrolls R and S;
    of layer3 loops outside go on with it."""
    array = {"mesh_x": 14, "mesh_y": 12}
    bare = machine(("GLB", 55296, ALL, {}), *((f"{t}RF", words, frozenset(t), array)
                                              for t, words in zip("WIO", (192, 12, 16), strict=True)))
    prices = (200.0, 6.0, 1.0, 1.0, 1.0)
    architecture = replace(bare, levels=tuple(
        replace(level, energy={kind: Figure(price, "") for kind in level.energy})
        for level, price in zip(bare.levels, prices, strict=True)))
    layer = Einsum("conv", ("K", "C", "P", "Q", "R", "S"), extents, (
        Tensor("W", axes("K", "C", "R", "S")), Tensor("O", axes("K", "P", "Q"), is_output=True),
        Tensor("I", axes("C", (Term("P"), Term("R")), (Term("Q"), Term("S"))))))
    certificate = LayerSearch(architecture, layer, objective).run()[1]
    assert certificate.status == "optimal"
