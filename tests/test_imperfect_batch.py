"""Costs of many mappings with remainders at once, against `evaluate`, which walks their loops."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.template import Template, slot
from tilebound.model.evaluate import evaluate
from tilebound.model.imperfect_batch import ImperfectEvaluator
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import random_architecture

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


@pytest.mark.parametrize("seed", range(400))
def test_batch_agrees_with_the_walk(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, template, factors = plain_case(rng, rng.choice((1, 2, 3, 3, 4)))
    evaluator = ImperfectEvaluator(architecture, einsum, template)
    cost, truth = evaluator(factors[None]), evaluate(architecture, einsum, template.mapping(einsum, factors))
    assert cost.valid[0]
    assert cost.cycles[0] == truth.cycles
    if evaluator.exact:
        assert cost.energy_pj[0] == pytest.approx(truth.energy_pj, rel=1e-12)
