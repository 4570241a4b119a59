"""The lower bound that dual multipliers prove, by arithmetic alone.

For weights d > 0 that sum to D, the weighted inequality of arithmetic and geometric means gives
`D log sum exp(y) >= sum d (y - log(d / D))`. Applied to the objective (D = energy_power) and to
every constraint (whose logarithm is at most 0, any D) this bounds the program from below by a
linear function of the variables, whose least value over ranges and groups is found by filling the
cheapest variables first. See Boyd and Vandenberghe, Convex Optimization, section 5.7.1.
"""

from __future__ import annotations

import numpy as np

from .program import Multipliers, Program


def certified_log_bound(program: Program, multipliers: Multipliers) -> float:
    """A value that the program's optimum is not below (natural logarithm), for ANY finite
    `multipliers` (negative ones count as zero): inf when they prove that no point satisfies the
    constraints, -inf when they prove nothing."""
    weights = np.maximum(multipliers.values, 0.0)
    if program.energy_power and weights[program.owner == 0].sum() <= 0.0:
        return np.inf if _contradiction(program, weights) else -np.inf
    constant, linear = lower_plane(program, multipliers)
    bound = constant + least_over(program, linear)
    return bound if np.isfinite(bound) else -np.inf


def lower_plane(program: Program, multipliers: Multipliers) -> tuple[float, np.ndarray]:
    """(a, g) with `a + g . v` no more than what the program makes least, at every point v that satisfies the
    constraints. Some multiplier of the objective, where there is one, is above zero."""
    weights = np.maximum(multipliers.values, 0.0)
    if program.energy_power:
        own = program.owner == 0
        weights[own] *= program.energy_power / weights[own].sum()
    constant, linear = _weighted(program, weights)
    linear[program.cycles] += program.cycles_power
    return constant, linear


def _contradiction(program: Program, weights: np.ndarray) -> bool:
    """Whether the weighted constraints alone ask for more than their limit at every point."""
    weights = np.where(program.owner == 0, 0.0, weights)
    scale = weights.sum()
    if not 0.0 < scale < np.inf:
        return False
    constant, linear = _weighted(program, weights / scale)
    excess = constant + least_over(program, linear)
    return bool(np.isfinite(excess) and excess > 1e-9)


def _weighted(program: Program, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """(a, g) with `a + g . v <= sum over all posynomials of W log posynomial(v)` for every v, W the sum of
    the `weights` of its monomials."""
    used = np.flatnonzero(weights)
    w, totals = weights[used], program.totals(weights)[program.owner[used]]
    return float(w @ (program.logs[used] - np.log(w / totals))), w @ program.exponents[used]


def least_over(program: Program, linear: np.ndarray) -> float:
    """Least value of `linear . v` over the ranges and group totals of the program."""
    grouped = np.zeros(program.variables, dtype=bool)
    value = 0.0
    for members, total in program.groups:
        grouped[members] = True
        left = total - program.lower[members].sum()
        value += float(linear[members] @ program.lower[members])
        for i in members[np.argsort(linear[members], kind="stable")]:
            step = min(left, program.upper[i] - program.lower[i])
            value += float(linear[i]) * step
            left -= step
    free = linear[~grouped]
    return value + float(np.where(free > 0, free * program.lower[~grouped],
                                  free * program.upper[~grouped]).sum())
