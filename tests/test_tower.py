"""Bounds over whole factors on machines with arrays at several levels: never above the best mapping."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, product
from math import inf

import numpy as np
import pytest
from tilebound.bounds.cap import UNCAPPED, Cap
from tilebound.bounds.lattice.lattice import Lattice
from tilebound.bounds.scenario import Scenario
from tilebound.bounds.tower.bound import TowerBound
from tilebound.bounds.tower.tower import Tower
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.constraints import NONE, Constraints, FactorRange, LevelConstraints, LoopRules
from tilebound.mapping.nest import Block, Mapping
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.local import Explorer
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import axes, charging, gated, random_architecture, random_einsum, random_mapping, separate

#: Most points of the loop nest, by levels: all mappings are to be evaluated soon.
POINTS = {2: 96, 3: 48, 4: 24, 5: 16}


def any_case(rng, limited):
    """A machine with any arrays whose bound is not that of a single one, and what its levels keep."""
    while True:
        levels = rng.choice((2, 3, 3, 4, 4, 5))
        einsum = random_einsum(rng, POINTS[levels])
        blocks = []
        for i, block in enumerate(random_mapping(rng, einsum, levels, no_multicast=False)):
            keep = frozenset(t.name for t in einsum.tensors) if i == 0 else block.keep
            blocks.append(Block(block.level, keep, block.temporal, block.spatial_x, block.spatial_y))
        mapping = Mapping(tuple(blocks))
        architecture = random_architecture(rng, einsum, mapping, limited)
        lattice = Lattice(Scenario(architecture, einsum))
        both = any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping)
        if not both and not lattice.applies and Tower(lattice).applies:
            return architecture, einsum, tuple(b.keep for b in mapping)


def asked(rng, architecture, einsum):
    """Constraints on some of the factors."""
    ranges = [FactorRange(*x) for x in ((1, 1), (1, 2), (2, 2), (2, 4), (3, 3))]
    return Constraints(tuple(LevelConstraints(level.name, **{
        loops: LoopRules(factors=tuple((r, rng.choice(ranges)) for r in einsum.ranks if rng.random() < 0.15))
        for loops in ("temporal", "spatial")}) for level in architecture.levels))


def costs(architecture, einsum, keep, constraints):
    """Energy and cycles of every mapping with one choice of what levels keep; None if they are too many."""
    space = Mapspace(architecture, einsum, constraints)
    region = space.root(keep)
    if space.combinations(region) > 30_000 or not space.orders_complete:
        return None
    explorers = [Explorer(space, *powers) for powers in ((1, 0), (0, 1))]
    return np.concatenate([np.full((2, 1), inf), *(
        [explorer.values(keep, orders, factors) for explorer in explorers]
        for orders, factors in space.in_order(region, space.enumerate(region)))], axis=1)


def plain(architecture):
    """The machine without blocks and networks that charge."""
    return replace(architecture, levels=tuple(
        replace(level, cluster_size=1, block_words=1, network=Network()) for level in architecture.levels))


CHANGES = {"plain": lambda rng, machine: plain(machine), "charging": charging, "gated": gated,
           "separate": separate}


@pytest.mark.parametrize("kind", [*CHANGES, "limited", "constrained"])
def test_bounds_are_never_above_the_optimum_and_mostly_attain_it(kind):
    change = CHANGES.get(kind, lambda rng, machine: machine)
    compared = attained = 0
    for seed in range(30 if kind in ("plain", "constrained") else 20):
        rng = random.Random(seed)
        architecture, einsum, keep = any_case(rng, kind == "limited")
        architecture, powers = change(rng, architecture), rng.choice(((1, 0), (1, 1), (1, 2), (0, 1)))
        constraints = asked(rng, architecture, einsum) if kind == "constrained" else NONE
        every = costs(architecture, einsum, keep, constraints)
        if every is None or not np.isfinite(every[0]).any():
            continue
        energy, cycles = every[:, np.isfinite(every[0])]
        cap = rng.choice((UNCAPPED, Cap(0, 1, float(rng.choice(cycles))),
                          Cap(1, 1, float(np.median(energy * cycles)))))
        best = (energy ** powers[0] * cycles ** powers[1])[cap.admits(energy, cycles)].min()
        tower = Tower(Lattice(Scenario(architecture, einsum, constraints)))
        proven, _ = TowerBound(tower, keep, *powers, cap).solve(best * 3)
        assert proven <= best * (1 + 1e-9)
        compared += 1
        attained += proven >= best * (1 - 1e-9)
    assert compared > 10 and attained > (0.5 if kind == "limited" else 0.75) * compared


@pytest.mark.parametrize("extents, stride", [((4, 2, 4), 1), ((4, 2, 2), 2), ((2, 4, 4), 1)])
def test_what_slides_may_be_undone_once_another_tensor_is_moved(extents, stride):
    """With a loop over P right outside of that over R: outputs stay in place along R alone."""
    einsum = Einsum("depthwise", ("C", "P", "R"), extents, (
        Tensor("W", axes("C", "R")), Tensor("I", ((Term("C"),), (Term("P", stride), Term("R", stride)))),
        Tensor("O", axes("C", "P"), is_output=True)))
    figures = {x: Figure(n, "test") for x, n in (("read", 8.0), ("fill", 5.0), ("update", 7.0))}
    for size in (3, 5, 8, 12):
        architecture = Architecture("two levels", (
            Storage("DRAM", energy=figures), Storage("buffer", size_words=size, energy=figures)),
            Compute("MAC", energy={"compute": Figure(1.0, "test")}))
        for keep in Mapspace(architecture, einsum).keeps:
            every = costs(architecture, einsum, keep, NONE)
            if np.isfinite(best := every[0].min()):
                tower = Tower(Lattice(Scenario(architecture, einsum)))
                assert TowerBound(tower, keep, 1, 0).solve(inf)[0] <= best * (1 + 1e-9)


def open_case(kind, seed):
    """A bound within a cap, with part of what levels keep open, and the least objective by what they keep;
    None where mappings are too many or not there."""
    rng = random.Random(seed)
    architecture, einsum, kept = any_case(rng, kind == "limited")
    architecture, powers = CHANGES.get(kind, lambda rng, machine: machine)(rng, architecture), rng.choice(
        ((1, 0), (1, 1), (1, 2)))
    constraints = asked(rng, architecture, einsum) if kind == "constrained" else NONE
    names = [t.name for t in einsum.tensors]
    loose = tuple(frozenset(name for name in names if i and rng.random() < 0.5) for i in range(len(kept)))
    keep = tuple(own - more for own, more in zip(kept, loose, strict=True))
    more = [[frozenset(own) for n in range(len(names) + 1) for own in combinations(sorted(maybe), n)]
            for maybe in loose]
    choices = [tuple(own | new for own, new in zip(keep, news, strict=True)) for news in product(*more)]
    if len(choices) not in range(2, 33):
        return None
    every = {choice: costs(architecture, einsum, choice, constraints) for choice in choices}
    if any(own is None for own in every.values()):
        return None
    energy, cycles = np.concatenate(list(every.values()), axis=1)
    if not np.isfinite(energy).any():
        return None
    cap = rng.choice((UNCAPPED, Cap(0, 1, float(rng.choice(cycles[np.isfinite(cycles)])))))
    tower = Tower(Lattice(Scenario(architecture, einsum, constraints)))
    values = {choice: min((e ** powers[0] * c ** powers[1])[cap.admits(e, c)], default=inf)
              for choice, (e, c) in every.items()}
    return TowerBound(tower, keep, *powers, cap, loose), values


@pytest.mark.parametrize("kind", [*CHANGES, "limited", "constrained"])
def test_while_it_is_open_what_levels_keep_bounds_hold_for_every_choice(kind):
    compared = attained = 0
    for case in (open_case(kind, seed) for seed in range(6)):
        if case is None:
            continue
        bound, values = case
        best = min(values.values())
        for cutoff in (best * 3, best * 1.01):
            proven, tilings = bound.solve(cutoff)
            assert proven <= best * (1 + 1e-9)
            assert all(tiling.keep in values for tiling in tilings)
        compared += 1
        attained += proven >= best * (1 - 1e-9)
    assert compared and (attained > compared / 2 or kind != "plain")


CONV = Einsum("conv", ("K", "C", "P", "R"), (16, 8, 12, 3), (
    Tensor("W", axes("K", "C", "R")), Tensor("I", axes("C", (Term("P"), Term("R")))),
    Tensor("O", axes("K", "P"), is_output=True)))


def machine(bandwidth=None, **network):
    """Two arrays: 2 x 2 of registers below a buffer, 4 units below each of them."""
    price = {kind: Figure(1.0, "") for kind in ("read", "fill", "update")}
    return Architecture("m", (
        Storage("DRAM", energy={k: Figure(100.0, "") for k in price}, shared_bandwidth=bandwidth),
        Storage("GLB", energy={k: Figure(6.0, "") for k in price}, size_words=200, network=Network(**network),
                bypass=frozenset("W"), keep=frozenset("IO")),
        Storage("RF", 2, 2, energy=price, size_words=40, keep=frozenset("WIO")),
        Storage("W", 8, 2, energy={k: Figure(0.5, "") for k in price}, size_words=2, keep=frozenset("W"),
                bypass=frozenset("IO"))), Compute("MAC", 8, 2, energy={"compute": Figure(1.0, "")}))


@pytest.mark.parametrize("objective", ["energy", "edp", "latency"])
@pytest.mark.parametrize("architecture", [
    machine(), machine(0.5), machine(hop_pj=Figure(2.0, ""), router_pj=Figure(1.0, ""))],
    ids=("plain", "bandwidth", "hops"))
def test_layers_are_proved_optimal_and_the_proof_is_checked(architecture, objective):
    certificate = LayerSearch(architecture, CONV, objective).run()[1]
    assert certificate.status == "optimal"
    relaxed, proven = rederive(architecture, CONV, objective, certificate.value, certificate.dual)
    assert proven >= certificate.lower_bound * (1 - 1e-9)
    assert 0 < relaxed < inf
