"""What arrays may unroll, against all pairs of divisors that the rules allow."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from tilebound.bounds.divisors import divisors
from tilebound.bounds.scenario import Scenario
from tilebound.bounds.unrolled import unrolled
from tilebound.mapping.constraints import Constraints, FactorRange, LevelConstraints, LoopRules
from tilebound.mapping.template import slot

from test_search import gemm, three_level


def scenario(rng: random.Random) -> Scenario:
    machine, einsum = three_level(x=rng.choice((1, 2, 6)), y=rng.choice((1, 3, 4))), gemm(6, 4, 1)
    only = rng.choice((None, None, einsum.ranks[:2]))
    glb = replace(machine.levels[1], **{rng.choice(("spatial_x", "spatial_y")): only})
    asked = rng.choice((FactorRange(), FactorRange(2, 6), FactorRange(1, 2)))
    loops = LoopRules(
        factors=((rng.choice(einsum.ranks), asked),),
        inner=tuple(rng.sample(einsum.ranks, rng.randint(0, 2))), split=rng.choice((None, 1, 2)))
    return Scenario(replace(machine, levels=(machine.levels[0], glb, machine.levels[2])), einsum, Constraints(
        (LevelConstraints("GLB", spatial=loops),), uneven=rng.random() < 0.3))


@pytest.mark.parametrize("seed", range(40))
def test_all_that_the_rules_allow_is_there_once(seed):
    case = scenario(random.Random(seed))
    extents = [case.einsum.extent[rank] for rank in case.ranks]
    truth = set()
    for x, y in product(product(*map(divisors, extents)), repeat=2):
        factors = np.ones((1, 9, len(case.einsum.ranks)), dtype=np.int64)
        factors[0, slot(1, "x"), case.columns], factors[0, slot(1, "y"), case.columns] = x, y
        divide = all(n % (a * b) == 0 for n, a, b in zip(extents, x, y, strict=True))
        room = all(prod(own) <= most for own, most in zip((x, y), case.architecture.fanout(1), strict=True))
        level = case.architecture.levels[1]
        admitted = all(only is None or r in only or n == 1 for own, only in (
            (x, level.spatial_x), (y, level.spatial_y)) for r, n in zip(case.ranks, own, strict=True))
        if divide and room and admitted and case.rules.allowed(factors)[0]:
            truth.add((x, y))
    found = list(unrolled(case, 1))
    assert len(found) == len(set(found)) and set(found) == truth
