"""From a region to a proven lower bound on the objective, and back from stored multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, exp, inf, isfinite, log1p

import numpy as np

from .certificate import certified_log_bound
from .program import Multipliers, Program
from .region import Region
from .relax import Relaxation
from .solve import solve

#: Values that differ by less, relatively, are equal: sums are taken in different orders.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Bound:
    """No mapping of the region has an objective below `value`. `point` holds the logarithms of
    the relaxed factors, shape (slots, ranks), where they are known."""

    value: float
    multipliers: Multipliers | None
    point: np.ndarray | None = None


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
    multipliers = relaxed.multipliers.rounded(5 if energy_power else 10)
    return Bound(proven_value(program, multipliers, floor), multipliers,
                 relaxation.point(region, relaxed.point) if isfinite(relaxed.value) else None)


def proven_value(program: Program, multipliers: Multipliers, floor: float) -> float:
    """The bound on the objective that `multipliers` prove, by arithmetic.

    The energy is at least P - K, with K the program's offset, and at least `floor`; hence at least
    P floor / (floor + K), which the larger of the two exceeds for every P. Cycles are whole numbers, no
    less than the least of their range.
    """
    low = certified_log_bound(program, multipliers)
    if low == inf:
        return inf
    if program.energy_power == 0:
        least = exp(max(low / program.cycles_power, program.lower[program.cycles]))
        return float(ceil(least * (1.0 - ROUNDING)) ** program.cycles_power)
    if program.offset == 0.0:
        return exp(low)
    if program.cycles_power == 0:
        return max(exp(low / program.energy_power) - program.offset, 0.0) ** program.energy_power
    if floor <= 0.0:
        return 0.0
    return exp(low - program.energy_power * log1p(program.offset / floor))


def energy_floor(relaxation: Relaxation, region: Region) -> tuple[float, Multipliers | None]:
    """A proven lower bound on the energy of `region`, pJ, and the multipliers that prove it."""
    program = relaxation.program(region, 1, 0)
    if program is None:
        return inf, None
    multipliers = solve(program).multipliers.rounded()
    return proven_value(program, multipliers, 0.0), multipliers
