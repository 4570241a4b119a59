"""Bounds: sound for every mapping of a region, equal between solvers, checkable by arithmetic."""

from __future__ import annotations

import random

import numpy as np
import pytest
from tilebound.bounds.bound import bound_region, energy_floor
from tilebound.bounds.certificate import certified_log_bound
from tilebound.bounds.program import Multipliers
from tilebound.bounds.region import TRIVIAL, Region
from tilebound.bounds.relax import Relaxation
from tilebound.bounds.solve import solve, solve_cvxpy
from tilebound.mapping.template import Template
from tilebound.model.evaluate import evaluate

from strategies import random_case

POWERS = ((1, 0), (0, 1), (1, 1), (1, 2))


def region_of(rng, einsum, mapping):
    """A random region that contains `mapping`: some of its choices, the others left open."""
    innermost = []
    for block in mapping.blocks[:-1]:
        inner = block.temporal[-1].rank if block.temporal else TRIVIAL
        innermost.append(inner if rng.random() < 0.7 else None)
    try:
        _, factors = Template.of(einsum, mapping)
    except ValueError:
        factors = None
    fixed = []
    for i, rank in enumerate(einsum.ranks):
        if factors is not None and rng.random() < 0.4:
            fixed.append((rank, tuple(int(x) for x in factors[:, i])))
    return Region(tuple(b.keep for b in mapping), tuple(innermost), tuple(fixed))


@pytest.mark.parametrize("seed", range(400))
def test_bound_lies_below_every_mapping_of_its_region(seed):
    rng = random.Random(seed)
    architecture, einsum, mapping = random_case(rng)
    region = region_of(rng, einsum, mapping)
    cost = evaluate(architecture, einsum, mapping)
    relaxation = Relaxation(architecture, einsum)
    floor, _ = energy_floor(relaxation, region)
    for energy_power, cycles_power in POWERS:
        bound = bound_region(relaxation, region, energy_power, cycles_power, floor)
        value = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
        assert bound.value <= value * (1 + 1e-9), (energy_power, cycles_power)


@pytest.mark.parametrize("seed", range(12))
def test_fast_solver_agrees_with_cvxpy_and_any_multipliers_prove_less(seed):
    rng = random.Random(1000 + seed)
    architecture, einsum, mapping = random_case(rng)
    program = Relaxation(architecture, einsum).program(region_of(rng, einsum, mapping), 1, 1)
    fast, reference = solve(program), solve_cvxpy(program)
    assert fast.value == pytest.approx(reference.value, abs=1e-5)
    proven = certified_log_bound(program, fast.multipliers)
    assert fast.value - 1e-4 <= proven <= fast.value + 1e-7
    noise = np.random.default_rng(seed)
    values = [v * noise.uniform(0.5, 2.0) for v in fast.multipliers.flat()]
    assert certified_log_bound(program, Multipliers.from_flat(program, values)) <= fast.value + 1e-7
