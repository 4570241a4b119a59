"""From a region to a proven lower bound on the objective, and back from stored multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, log1p
from typing import Sequence

import numpy as np

from ..region import Region
from .certificate import certified_log_bound, least_over, lower_plane
from .program import Multipliers, Program
from .relax import Relaxation
from .solve import solve

#: Values that differ by less, relatively, are equal: sums are taken in different orders.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Objective:
    """What a bound on the logarithm of a program's objective says of the objective itself.

    The energy is at least P - K, with P what the program counts and K its `offset`, and at least `floor`, pJ;
    hence at least P floor / (floor + K), which the larger of the two exceeds for every P. Cycles are whole
    numbers, no less than `least_cycles`.
    """

    energy_power: int
    cycles_power: int
    offset: float
    floor: float
    least_cycles: float

    @classmethod
    def of(cls, program: Program, floor: float) -> Objective:
        """That of a program."""
        return cls(program.energy_power, program.cycles_power, program.offset, floor,
                   exp(program.lower[program.cycles]))

    def at_least(self, low: float) -> float:
        """The bound on the objective, given one on the logarithm."""
        if low == inf:
            return inf
        if self.energy_power == 0:
            least = max(exp(low / self.cycles_power), self.least_cycles)
            return float(ceil(least * (1.0 - ROUNDING)) ** self.cycles_power)
        if self.offset == 0.0:
            return exp(low)
        if self.cycles_power == 0:
            return max(exp(low / self.energy_power) - self.offset, 0.0) ** self.energy_power
        if self.floor <= 0.0:
            return 0.0
        return exp(low - self.energy_power * log1p(self.offset / self.floor))


@dataclass(frozen=True)
class Plane:
    """A linear function of the logarithms of the factors, `slopes` of shape (slots, ranks), below the
    logarithm of the objective all over a region. So its least value over a part bounds that part."""

    constant: float
    slopes: np.ndarray
    objective: Objective

    def over(self, relaxation: Relaxation, regions: Sequence[Region]) -> list[float]:
        """The bounds of `regions` that are parts of the region."""
        lower, upper = np.stack([relaxation.variables.ranges(region) for region in regions], axis=1)
        order = np.argsort(self.slopes, axis=0, kind="stable")[None]
        room = np.take_along_axis(upper - lower, order, axis=1)
        before = np.cumsum(room, axis=1) - room             # what is taken by cheaper slots of the rank
        left = np.log(relaxation.einsum.extents) - lower.sum(axis=1)
        taken = np.clip(left[:, None] - before, 0.0, np.maximum(room, 0.0))
        low = (lower * self.slopes).sum(axis=(1, 2))
        low += (taken * np.take_along_axis(self.slopes[None], order, axis=1)).sum(axis=(1, 2))
        return [self.objective.at_least(float(x)) for x in self.constant + low]


@dataclass(frozen=True)
class Bound:
    """No mapping of the region has an objective below `value`. `point` holds the logarithms of
    the relaxed factors, shape (slots, ranks), and `plane` bounds parts of the region, where known."""

    value: float
    multipliers: Multipliers | None
    point: np.ndarray | None = None
    plane: Plane | None = None


def bound_region(relaxation: Relaxation, region: Region, energy_power: int, cycles_power: int,
                 floor: float) -> Bound:
    """Solve the relaxation of `region`; a bound of inf means that nothing in it can fit.

    `floor` is a proven lower bound on the energy of the region, pJ (see `energy_floor`); it matters
    only where both powers, of the objective or of a cap, are positive.
    """
    program = relaxation.program(region, energy_power, cycles_power, floor)
    if program is None:
        return Bound(inf, None)
    relaxed = solve(program)
    # What counts cycles alone has few multipliers, and is close enough to be proved with more digits.
    multipliers = relaxed.multipliers.rounded(8 if energy_power else 10)
    value, plane = proven(relaxation, region, program, multipliers, floor)
    point = relaxation.variables.point(region, relaxed.point) if isfinite(relaxed.value) else None
    return Bound(value, multipliers, point, plane)


def parts_values(plane: Plane | None, relaxation: Relaxation, regions: Sequence[Region]) -> list[float]:
    """What the multipliers of a region prove of its parts, without programs of their own."""
    return [0.0] * len(regions) if plane is None or not regions else plane.over(relaxation, regions)


def proven(relaxation: Relaxation, region: Region, program: Program, multipliers: Multipliers,
           floor: float) -> tuple[float, Plane | None]:
    """What `multipliers` prove by arithmetic of the objective in `region`, whose program is given, and of
    parts of it (None: nothing)."""
    objective = Objective.of(program, floor)
    if program.energy_power and not np.any(multipliers.values[program.owner == 0] > 0.0):
        return objective.at_least(certified_log_bound(program, multipliers)), None
    constant, linear = lower_plane(program, multipliers)
    low = constant + least_over(program, linear)
    if not isfinite(low):
        return objective.at_least(-inf), None
    lower, upper = relaxation.variables.ranges(region)
    free = upper > lower
    count = np.count_nonzero(free)
    slopes = np.zeros(free.shape)
    slopes[free] = linear[:count]
    # Cycles and helper variables are no matter of the parts.
    others = np.minimum(linear * program.lower, linear * program.upper)[count:]
    return objective.at_least(low), Plane(constant + float(others.sum()), slopes, objective)


def proven_value(program: Program, multipliers: Multipliers, floor: float) -> float:
    """The bound on the objective that `multipliers` prove, by arithmetic."""
    return Objective.of(program, floor).at_least(certified_log_bound(program, multipliers))


def energy_floor(relaxation: Relaxation, region: Region) -> tuple[float, Multipliers | None]:
    """A proven lower bound on the energy of `region`, pJ, and the multipliers that prove it."""
    program = relaxation.program(region, 1, 0)
    if program is None:
        return inf, None
    multipliers = solve(program).multipliers.rounded()
    return proven_value(program, multipliers, 0.0), multipliers
