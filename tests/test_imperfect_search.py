"""The search where constraints allow remainders: against brute force, its bounds, its certificates."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import permutations, product
from math import inf, prod

import numpy as np
import pytest
from tilebound.bounds.bound import bound_region, energy_floor
from tilebound.bounds.region import TRIVIAL, Region
from tilebound.bounds.relax import Relaxation
from tilebound.errors import InfeasibleError, SpecError
from tilebound.mapping.constraints import (
    Constraints,
    FactorRange,
    LevelConstraints,
    LoopRules,
    violations,
)
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.rules import Rules
from tilebound.mapping.splits import last_passes, real_factors, steps, uneven_splits
from tilebound.mapping.template import KINDS
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.model.remainder import steps as steps_of
from tilebound.model.reuse import placed_loops
from tilebound.search.check import ProofError, rederive
from tilebound.search.layer import Limits
from tilebound.search.network import search_network
from tilebound.search.result import OBJECTIVES
from tilebound.search.space import Mapspace
from tilebound.search.uneven import UnevenSearch, layer_search
from tilebound.workload.graph import WorkloadGraph

from strategies import random_architecture, random_einsum, random_mapping, with_remainders
from test_search import conv, gemm, three_level, two_level


def allowing(**levels):
    """Constraints from remainders: `GLB_spatial={"M": 3}`."""
    found = {}
    for key, remainders in levels.items():
        name, kind = key.split("_")
        found.setdefault(name, {})[kind] = LoopRules(remainders=tuple(remainders.items()))
    return Constraints(tuple(LevelConstraints(name, **kinds) for name, kinds in found.items()))


# ---- splits --------------------------------------------------------------------------------------

def splits_by_hand(extent, limits):
    """Every tuple of factors whose loops cover the extent, checked one by one."""
    for factors in product(*(range(1, min(extent, most) + 1) for most, _ in limits)):
        left, good = extent - 1, True
        for factor, (_, shorter) in reversed(list(zip(factors, limits, strict=True))):
            last, left = left % factor + 1, left // factor
            good &= last == factor or last <= shorter
        iterating = [i for i, f in enumerate(factors) if f > 1]
        inside = prod(factors[iterating[0] + 1:]) if iterating else 1
        if good and left == 0 and (not iterating or inside * (factors[iterating[0]] - 1) < extent):
            first = iterating[0] if iterating else 0
            last = -(-extent // inside)
            if factors[first] == last:
                yield factors


@pytest.mark.parametrize("seed", range(60))
def test_splits_are_all_that_the_limits_admit(seed):
    rng = random.Random(seed)
    extent = rng.randint(1, 17)
    limits = [(rng.choice((1, 2, 3, 5, extent)), rng.choice((0, 0, 1, 2, 20))) for _ in range(rng.randint(1, 4))]
    ways = uneven_splits(extent, limits)
    assert len({tuple(w) for w in ways.tolist()}) == len(ways)
    assert sorted(map(tuple, ways.tolist())) == sorted(splits_by_hand(extent, limits))
    if not len(ways):
        return
    assert np.allclose(real_factors(ways.T, extent).prod(axis=0), extent)
    temporal = np.array([rng.random() < 0.6 for _ in limits])
    counted = steps(ways, extent, temporal)
    for way, found in zip(ways, counted, strict=True):
        loops = [(Loop("M", int(f), int(r) if r < f else None), t) for f, r, t in
                 zip(way, last_passes(way[:, None], np.array([extent]))[:, 0], temporal, strict=True) if f > 1]
        blocks = [Block(f"L{i}", frozenset(), (x,) if t else (), () if t else (x,))
                  for i, (x, t) in enumerate(loops)]
        assert found == steps_of(placed_loops(Mapping(tuple(blocks))), {"M": extent})


# ---- brute force ---------------------------------------------------------------------------------

def all_mappings(architecture, einsum, keep, constraints):
    """Every mapping with one keep/bypass choice: loops are put anywhere, and what an independent check
    lets through is given back."""
    depth = len(architecture.levels)
    places = [(i, kind) for i in range(depth) for kind in KINDS
              if kind == "temporal" or architecture.fanout(i)[kind == "y"] > 1]
    tables = []
    for rank, extent in einsum.extent.items():
        own = []
        for factors in product(range(1, extent + 1), repeat=len(places)):
            if prod(factors) < extent or prod(factors[1:]) >= 4 * extent:
                continue
            left, loops = extent - 1, []
            for place, factor in reversed(list(zip(places, factors, strict=True))):
                last, left = left % factor + 1, left // factor
                if factor > 1:
                    loops.append((place, Loop(rank, factor, None if last == factor else last)))
            outermost = loops[-1][1] if loops else None
            if left == 0 and (outermost is None or outermost.residual is None):
                if all(architecture.fanout(i)[kind == "y"] >= x.factor
                       for (i, kind), x in loops if kind != "temporal"):
                    own.append(loops)
        tables.append(own)
    for choice in product(*tables):
        at = {place: [x for loops in choice for p, x in loops if p == place] for place in places}
        blocks = [[Block(architecture.levels[i].name, keep[i], order, tuple(at.get((i, "x"), ())),
                         tuple(at.get((i, "y"), ())))
                   for order in (permutations(at[i, "temporal"]) if i < depth - 1 else
                                 [tuple(at[i, "temporal"])])] for i in range(depth)]
        for nest in product(*blocks):
            mapping = Mapping(nest)
            if any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in nest):
                continue
            if violations(constraints, architecture, einsum, mapping):
                break           # factors and remainders, whatever the order
            if not check_mapping(architecture, einsum, mapping):
                yield mapping


SMALL = {
    "one level spread over an array": (
        three_level(middle=60, inner=8, x=3, y=1, keep=frozenset("ABZ")), gemm(5, 2, 2),
        allowing(GLB_spatial={"M": 2})),
    "a prime in time": (two_level(12, keep=frozenset("ABZ")), gemm(7, 3, 2), allowing(RF_temporal={"M": 3, "N": 1})),
    "a reduction": (two_level(12, keep=frozenset("ABZ")), gemm(2, 3, 7), allowing(RF_temporal={"K": 6})),
    "a window": (two_level(14, keep=frozenset("WIO")), conv(2, 1, 5, 3), allowing(RF_temporal={"P": 4})),
    "a strided window": (two_level(18, keep=frozenset("WIO")), conv(2, 1, 5, 3, 2),
                         allowing(RF_temporal={"P": 4, "R": 1})),
    "a window on an array": (three_level(60, 30, 3, 1, keep=frozenset("WIO")), conv(2, 1, 5, 2),
                             allowing(GLB_spatial={"P": 2}, RF_temporal={"P": 1})),
    "little bandwidth": (two_level(12, keep=frozenset("ABZ"), read_bandwidth=0.5), gemm(5, 3, 2),
                         allowing(RF_temporal={"M": 4})),
    "nothing fits": (two_level(2, keep=frozenset("ABZ")), gemm(5, 3, 2), allowing(RF_temporal={"M": 4})),
}


@pytest.mark.parametrize("architecture, einsum, constraints", SMALL.values(), ids=SMALL)
def test_small_problems_agree_with_brute_force(architecture, einsum, constraints):
    everything = replace(architecture, levels=tuple(
        replace(x, keep=frozenset(t.name for t in einsum.tensors)) for x in architecture.levels))
    keep, = Mapspace(everything, einsum, constraints).keeps
    costs = [evaluate(architecture, einsum, m) for m in all_mappings(everything, einsum, keep, constraints)]
    for objective, (energy_power, cycles_power) in OBJECTIVES.items():
        truth = min((c.energy_pj ** energy_power * c.cycles ** cycles_power for c in costs), default=inf)
        search = layer_search(everything, einsum, objective, Limits(), constraints=constraints)
        assert isinstance(search, UnevenSearch)
        if truth == inf:
            with pytest.raises(InfeasibleError):
                search.run()
            continue
        mapping, certificate = search.run()
        assert certificate.value == pytest.approx(truth, rel=1e-9)
        assert certificate.status == "optimal"
        assert certificate.relaxed_bound <= truth * (1 + 1e-9)
        assert not check_mapping(everything, einsum, mapping)
        assert not violations(constraints, everything, einsum, mapping)
        dual = json.loads(json.dumps(certificate.dual))
        relaxed, proven = rederive(everything, einsum, objective, certificate.value, dual, constraints)
        assert relaxed == pytest.approx(certificate.relaxed_bound, rel=1e-9)
        assert proven >= certificate.lower_bound * (1 - 1e-9)


# ---- bounds --------------------------------------------------------------------------------------

def permitting(rng, mapping, einsum):
    """Constraints that allow the remainders of `mapping`, and a few others."""
    levels = []
    for block in mapping:
        rules = []
        for loops in (block.temporal, block.spatial):
            allowed = {r: rng.randint(1, 4) for r in einsum.ranks if rng.random() < 0.1}
            for loop in loops:
                if loop.residual is not None:
                    allowed[loop.rank] = max(allowed.get(loop.rank, 1), loop.residual)
            rules.append(LoopRules(remainders=tuple(allowed.items())))
        levels.append(LevelConstraints(block.level, temporal=rules[0], spatial=rules[1]))
    return Constraints(tuple(levels))


def region_of(rng, einsum, mapping):
    """A random region that contains `mapping`."""
    innermost = tuple((b.temporal[-1].rank if b.temporal else TRIVIAL) if rng.random() < 0.7 else None
                      for b in mapping.blocks[:-1])
    fixed = tuple((rank, tuple(b.factors(kind).get(rank, 1) for b in mapping for kind in KINDS))
                  for rank in einsum.ranks if rng.random() < 0.3)
    return Region(tuple(b.keep for b in mapping), innermost, fixed)


@pytest.mark.parametrize("seed", range(500))
def test_bound_lies_below_every_mapping_of_its_region(seed):
    rng = random.Random(seed)
    einsum = random_einsum(rng, 256)
    mapping = random_mapping(rng, einsum, rng.choice((1, 2, 2, 3, 3)))
    einsum, mapping = with_remainders(rng, einsum, mapping)
    if mapping.perfect or any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping):
        return
    architecture = random_architecture(rng, einsum, mapping)
    rules = Rules(architecture, einsum, permitting(rng, mapping, einsum))
    least = Mapspace(architecture, einsum, rules.constraints).least_steps
    cost, region = evaluate(architecture, einsum, mapping), region_of(rng, einsum, mapping)
    assert least <= cost.cycles
    relaxation = Relaxation(architecture, einsum, rules, least)
    floor, _ = energy_floor(relaxation, region)
    for energy_power, cycles_power in OBJECTIVES.values():
        bound = bound_region(relaxation, region, energy_power, cycles_power, floor)
        assert bound.value <= cost.energy_pj ** energy_power * cost.cycles ** cycles_power * (1 + 1e-9)
