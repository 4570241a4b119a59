"""Costs of many mappings with remainders at once, against `evaluate`, which walks their loops."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tilebound.bounds.divisors import factorizations
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.constraints import Constraints, LevelConstraints, LoopRules
from tilebound.mapping.splits import Place, smallest_splits
from tilebound.mapping.template import KINDS, Template, slot
from tilebound.model.evaluate import evaluate
from tilebound.model.imperfect_batch import ImperfectEvaluator, WalkingEvaluator
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import random_architecture
from test_walk import imperfect_case

Case = tuple[Architecture, Einsum, Template, np.ndarray]


def factors_of(rng: Random, slots: int, most: int) -> tuple[np.ndarray, int]:
    """Factors of a rank and an extent that they cut off somewhere; no more than `most` tiles."""
    factors = [1] * slots
    for _ in range(rng.randint(0, 4)):
        row, factor = rng.randrange(slots), rng.choice((2, 2, 3, 3, 4, 5))
        if factors[row] == 1 and np.prod(factors) * factor <= most:
            factors[row] = factor
    last, outside = 0, True
    for factor in factors:
        whole = outside or rng.random() < 0.4
        last = last * factor + (factor if whole else rng.randint(1, factor)) - 1
        outside = outside and factor == 1
    return np.array(factors), last + 1


def plain_case(rng: Random, levels: int) -> Case:
    """An Einsum without windows, a machine, and a class with one mapping."""
    ranks = tuple("ABCD"[:rng.randint(2, 4)])
    most = {2: 40, 3: 14, 4: 8}[len(ranks)]
    columns = [factors_of(rng, 3 * levels, most) for _ in ranks]
    factors = np.stack([own for own, _ in columns], axis=1)
    for i in range(levels):     # a rank along one axis only, as templates of the search have it
        both = (factors[slot(i, "x")] > 1) & (factors[slot(i, "y")] > 1)
        if both.any():
            return plain_case(rng, levels)
    own = [rng.sample(ranks, rng.randint(1, len(ranks))) for _ in range(3)]
    tensors = tuple(Tensor(f"T{i}", tuple((Term(r, rng.choice((1, 1, 1, -1, 2))),) for r in names), i == 0)
                    for i, names in enumerate(own))
    einsum = Einsum("plain", ranks, tuple(n for _, n in columns), tensors)
    keep = tuple(frozenset(t.name for t in tensors if i == 0 or rng.random() < 0.6) for i in range(levels))
    orders = tuple(tuple(rng.sample(ranks, len(ranks))) for _ in range(levels))
    apart = frozenset(t.name for t in tensors if rng.random() < 0.2)
    template = Template(tuple(f"L{i}" for i in range(levels)), keep, orders, tuple(
        apart if (factors[[slot(i, "x"), slot(i, "y")]] > 1).any() else frozenset() for i in range(levels)))
    mapping = template.mapping(einsum, factors)
    return random_architecture(rng, einsum, mapping), einsum, template, factors


@pytest.mark.parametrize("seed", range(240))
def test_batch_agrees_with_the_walk(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, template, factors = plain_case(rng, rng.choice((1, 2, 3, 3, 4)))
    evaluator = ImperfectEvaluator(architecture, einsum, template)
    cost, truth = evaluator(factors[None]), evaluate(architecture, einsum, template.mapping(einsum, factors))
    assert cost.valid[0]
    assert cost.cycles[0] == truth.cycles
    if evaluator.exact:
        assert cost.energy_pj[0] == pytest.approx(truth.energy_pj, rel=1e-12)


# ---- the splits that are looked at ---------------------------------------------------------------

def best(architecture: Architecture, einsum: Einsum, template: Template,
         tables: list[np.ndarray]) -> tuple[float, float]:
    """Least energy and least cycles over all combinations of the splits in `tables`."""
    grid = np.indices([len(table) for table in tables]).reshape(len(tables), -1)
    factors = np.stack([table[own] for table, own in zip(tables, grid, strict=True)], axis=2)
    cost = ImperfectEvaluator(architecture, einsum, template)(factors)
    return float(cost.energy_pj.min()), float(cost.cycles.min())


@pytest.mark.parametrize("seed", range(25))
def test_larger_tiles_than_need_be_are_never_better(seed: int) -> None:
    rng = Random(seed)
    ranks = ("A", "B")
    extents = tuple(rng.randint(3, 14) for _ in ranks)
    tensors = (Tensor("Z", ((Term("A"),),), True), Tensor("X", ((Term("B"),), (Term("A"),))),
               Tensor("Y", ((Term("B"),),)))
    einsum = Einsum("plain", ranks, extents, tensors)
    keep = tuple(frozenset(t.name for t in tensors if i == 0 or rng.random() < 0.8) for i in range(3))
    orders = tuple(tuple(rng.sample(ranks, 2)) for _ in range(3))
    template = Template(("L0", "L1", "L2"), keep, orders)
    wide = np.ones((9, 2), dtype=np.int64)
    wide[slot(1, "x"), 0], wide[slot(2, "temporal")] = rng.randint(2, 5), rng.randint(2, 3)
    wide[slot(0, "temporal")] = -(-np.array(extents) // wide.prod(axis=0))
    architecture = random_architecture(rng, einsum, template.mapping(einsum, wide), limited=False)
    spaces = [Mapspace(architecture, einsum, Constraints(imperfect=True))]
    spaces.append(Mapspace(architecture, einsum, Constraints(tuple(LevelConstraints(
        level.name, temporal=every, spatial=every) for level in architecture.levels
        for every in (LoopRules(remainders=tuple((r, 99) for r in ranks)),)))))
    few, all_of_them = ([space.ways[r] for r in ranks] for space in spaces)
    for some, every in zip(few, all_of_them, strict=True):
        assert {tuple(w) for w in some.tolist()} <= {tuple(w) for w in every.tolist()}
    assert best(architecture, einsum, template, few) == best(architecture, einsum, template, all_of_them)


def test_loops_divide_evenly_where_splits_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [Place(i, 1, 60, False, i < 3) for i in range(4)]
    every = smallest_splits(60, places)
    monkeypatch.setattr("tilebound.mapping.splits.MOST_SMALLEST", 300)
    few = {tuple(way) for way in smallest_splits(60, places).tolist()}
    assert len(few) <= 300 < len(every)
    assert few < {tuple(way) for way in every.tolist()}
    assert {tuple(way) for way in factorizations(60, 4).tolist()} <= few


# ---- windows -------------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(150))
def test_one_mapping_with_windows_costs_what_the_walk_says(seed: int) -> None:
    architecture, einsum, mapping = imperfect_case(Random(f"one {seed}"))
    if any(len({x.rank for x in b.temporal}) < len(b.temporal)
           or {x.rank for x in b.spatial_x} & {x.rank for x in b.spatial_y} for b in mapping):
        return      # loops that no factor array says
    factors = np.array([[b.factors(kind).get(r, 1) for r in einsum.ranks] for b in mapping for kind in KINDS])
    orders = tuple((*(r for r in einsum.ranks if r not in b.factors("temporal")),
                    *(x.rank for x in b.temporal)) for b in mapping)
    template = Template(tuple(b.level for b in mapping), tuple(b.keep for b in mapping), orders,
                        tuple(b.no_multicast for b in mapping))
    cost = WalkingEvaluator(architecture, einsum, template)(factors[None])
    truth = evaluate(architecture, einsum, template.mapping(einsum, factors))
    estimate = ImperfectEvaluator(architecture, einsum, template)(factors[None])
    assert cost.valid[0]
    assert cost.cycles[0] == truth.cycles
    assert cost.energy_pj[0] == pytest.approx(truth.energy_pj, rel=1e-12)
    assert 0.7 < estimate.energy_pj[0] / truth.energy_pj < 1.3
