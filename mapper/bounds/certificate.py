"""The lower bound that dual multipliers prove, by arithmetic alone.

For weights d > 0 that sum to D, the weighted inequality of arithmetic and geometric means gives
`D log sum exp(y) >= sum d (y - log(d / D))`. Applied to the objective (D = energy_power) and to
every constraint (whose logarithm is at most 0, any D) this bounds the program from below by a
linear function of the variables, whose least value over ranges and groups is found by filling the
cheapest variables first. See Boyd and Vandenberghe, Convex Optimization, section 5.7.1.
"""

from __future__ import annotations

import numpy as np

from .program import Multipliers, Posynomial, Program


def certified_log_bound(program: Program, multipliers: Multipliers) -> float:
    """A value that the program's optimum is not below (natural logarithm), for ANY finite
    `multipliers` (negative ones count as zero): inf when they prove that no point satisfies the
    constraints, -inf when they prove nothing."""
    if program.objective is not None and program.energy_power and (
            np.maximum(multipliers.objective, 0.0).sum() <= 0.0):
        return np.inf if _contradiction(program, multipliers) else -np.inf
    constant, linear = lower_plane(program, multipliers)
    bound = constant + _least(program, linear)
    return bound if np.isfinite(bound) else -np.inf


def lower_plane(program: Program, multipliers: Multipliers) -> tuple[float, np.ndarray]:
    """(a, g) with `a + g . v` no more than what the program makes least, at every point v that satisfies the
    constraints. Some multiplier of the objective, where there is one, is above zero."""
    constant, linear = _constraint_plane(program, multipliers)
    linear[program.cycles] += program.cycles_power
    if program.objective is not None and program.energy_power:
        weights = np.maximum(multipliers.objective, 0.0)
        part, slope = _lower_plane(program.objective, weights * (program.energy_power / weights.sum()))
        constant, linear = constant + part, linear + slope
    return constant, linear


def _contradiction(program: Program, multipliers: Multipliers) -> bool:
    """Whether the weighted constraints alone ask for more than their limit at every point."""
    scale = sum(float(np.maximum(w, 0.0).sum()) for w in multipliers.constraints)
    if not 0.0 < scale < np.inf:
        return False
    weights = Multipliers(multipliers.objective, tuple(w / scale for w in multipliers.constraints))
    constant, linear = _constraint_plane(program, weights)
    excess = constant + _least(program, linear)
    return bool(np.isfinite(excess) and excess > 1e-9)


def _constraint_plane(program: Program, multipliers: Multipliers) -> tuple[float, np.ndarray]:
    """(a, g) with `a + g . v <= 0` wherever every constraint holds."""
    constant, linear = 0.0, np.zeros(program.variables)
    for constraint, weights in zip(program.constraints, multipliers.constraints, strict=True):
        weights = np.maximum(weights, 0.0)
        if weights.sum() > 0.0:
            part, slope = _lower_plane(constraint, weights)
            constant, linear = constant + part, linear + slope
    return constant, linear


def _lower_plane(posynomial: Posynomial, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """(a, g) with `a + g . v <= sum(weights) * log posynomial(v)` for every v."""
    used = weights > 0.0
    w = weights[used]
    constant = float(w @ (posynomial.logs[used] - np.log(w / w.sum())))
    return constant, w @ posynomial.exponents[used]


def _least(program: Program, linear: np.ndarray) -> float:
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
