"""What more of a figure of the machine is worth: the multipliers of the constraints that hold to it.

Raising a limit by a share `e` loosens the logarithm of its constraint by `e`, which lowers the least value
of a program by its multiplier times `e`, to the first order (Boyd and Vandenberghe, Convex Optimization,
section 5.6.3). So multipliers are derivatives of the relaxed bound; whole factors may not be able to use
what is more.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import exp, isclose, isfinite

from ..region import Region
from .bound import proven_value
from .certificate import lower_plane
from .program import Label, Multipliers, Program
from .relax import Relaxation
from .solve import solve

#: Shares of the bound that are not told from none.
_NONE = 1e-6


@dataclass(frozen=True)
class Sensitivity:
    """By `elasticity` percent the relaxed bound changes where the figure of a level grows by one percent,
    and by `marginal` (the unit of the objective) where it grows by one from what there is, `have`: words,
    words a cycle, or instances along an axis."""

    label: Label
    have: float
    elasticity: float
    marginal: float


def sensitivities(relaxation: Relaxation, region: Region, energy_power: int, cycles_power: int,
                  floor: float) -> tuple[float, list[Sensitivity]]:
    """The relaxed bound of `region` and what it owes to each figure of the machine, those that matter most
    first; 0 and none where the program has no solution. `floor`: see `bound_region`."""
    program = relaxation.program(region, energy_power, cycles_power)
    relaxed = None if program is None else solve(program)
    if program is None or relaxed is None or not isfinite(relaxed.value):
        return 0.0, []
    bound = proven_value(program, relaxed.multipliers.rounded(10), floor)
    scale = _scale(program, relaxed.value, bound)
    found = []
    for label, slope in log_slopes(program, relaxed.multipliers, relaxation).items():
        have = _have(relaxation, label)
        elasticity = 0.0 - slope * scale
        found.append(Sensitivity(label, have, elasticity, elasticity * bound / have))
    return bound, sorted(found, key=lambda x: x.elasticity)


def _scale(program: Program, optimum: float, bound: float) -> float:
    """Relative change of the bound to that of the program's least value: more than 1 where a constant is
    subtracted in between (see `bound.proven_value`)."""
    if program.offset == 0.0 or program.cycles_power or not program.energy_power or bound <= 0.0:
        return 1.0
    charged = exp(optimum / program.energy_power)
    return charged / max(charged - program.offset, 1e-9 * charged)


def log_slopes(program: Program, multipliers: Multipliers, relaxation: Relaxation) -> dict[Label, float]:
    """By figure, how much the least value of the program (a logarithm) falls per unit of the figure's
    logarithm. The two axes of an array count apart; each widens the array as a whole."""
    slopes: dict[Label, float] = defaultdict(float)
    totals = program.totals(multipliers.values)[1:]
    for i, label in program.labels.items():
        slope = max(float(totals[i]), 0.0)
        for axis in (label.axes or "-") if label.kind == "array" else "-":
            slopes[Label(label.kind, label.level, axis.strip("-"))] += slope if slope > _NONE else 0.0
    # Cycles have a least that follows from the arrays as well.
    if isclose(relaxation.least_cycles, relaxation.einsum.macs / relaxation.scenario.most_units):
        pressed = max(float(lower_plane(program, multipliers)[1][program.cycles]), 0.0)
        for label in slopes:
            if label.kind == "array" and pressed > _NONE:
                slopes[label] += pressed
    return dict(slopes)


def _have(relaxation: Relaxation, label: Label) -> float:
    level = relaxation.scenario.architecture.levels[label.level]
    if label.kind == "array":
        return float(relaxation.scenario.architecture.fanout(label.level)["xy".index(label.axes)])
    if label.kind == "capacity":
        return float(level.capacity_words or 0)
    return float(getattr(level, label.kind))
