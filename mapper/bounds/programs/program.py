"""Geometric programs in log space, as plain arrays.

A posynomial is a sum of monomials `exp(log_coefficient + exponents . v)`; `v` holds logarithms of
positive quantities. A `Program` asks for the least

    energy_power * log(sum of the objective's monomials) + cycles_power * v[cycles]

such that every constraint posynomial is at most 1, the variables of each group sum to the group's
total, and every variable lies in its range. It is convex, and its dual bounds it from below.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Mapping

import numpy as np

#: Larger multipliers would drown a bound in rounding errors.
LARGEST = 1000.0


@dataclass(frozen=True)
class Posynomial:
    """`exponents` has shape (monomials, variables), `logs` (monomials,)."""

    exponents: np.ndarray
    logs: np.ndarray

    def __mul__(self, other: Posynomial) -> Posynomial:
        n, m = len(self.logs), len(other.logs)
        if n == 1 or m == 1:
            return Posynomial(self.exponents + other.exponents, self.logs + other.logs)
        return Posynomial(np.repeat(self.exponents, m, axis=0) + np.tile(other.exponents, (n, 1)),
                          np.repeat(self.logs, m) + np.tile(other.logs, n))

    def __add__(self, other: Posynomial) -> Posynomial:
        return Posynomial(np.concatenate([self.exponents, other.exponents]),
                          np.concatenate([self.logs, other.logs]))

    def scaled(self, factor: float) -> Posynomial:
        """The posynomial times a positive number."""
        return Posynomial(self.exponents, self.logs + np.log(factor))

    def __call__(self, point: np.ndarray) -> float:
        """Value at `point`, the logarithms of the variables."""
        return float(np.exp(self.logs + self.exponents @ point).sum())


def merged(exponents: np.ndarray, logs: np.ndarray, owner: np.ndarray) -> tuple[
        np.ndarray, np.ndarray, np.ndarray]:
    """Monomials with their `owner` (a whole number, ascending), equal ones of an owner added up. Shapes
    (monomials, variables), (monomials,), (monomials,)."""
    place: dict[bytes, int] = {}
    keys = np.column_stack([owner, exponents + 0.0])        # of zeros only those without a sign
    where = [place.setdefault(row.tobytes(), len(place)) for row in keys]
    if len(place) == len(logs):
        return exponents, logs, owner
    first = np.unique(where, return_index=True)[1]
    top = np.full(len(place), -np.inf)
    np.maximum.at(top, where, logs)
    sums = np.bincount(where, weights=np.exp(logs - top[where]))
    return exponents[first], np.log(sums) + top, owner[first]


@dataclass(frozen=True)
class Label:
    """A figure of the machine at storage level `level`: "capacity" (words), a bandwidth (words a cycle) or
    "array" (instances along "x", "y" or "xy" together)."""

    kind: str
    level: int
    axes: str = ""


@dataclass(frozen=True)
class Program:
    """See the module. The monomials of all posynomials stand one below the other: `sizes` tells how many
    each of them has, the objective first (none where energy is not asked for), then the constraints.
    `offset` is subtracted from the objective posynomial to get the energy. `labels` tell, for some
    constraints by their place, which figure of the machine they hold to."""

    exponents: np.ndarray                     # (monomials, variables)
    logs: np.ndarray                          # (monomials,)
    sizes: np.ndarray                         # (1 + constraints,)
    lower: np.ndarray                         # (variables,)
    upper: np.ndarray                         # (variables,)
    groups: tuple[tuple[np.ndarray, float], ...]   # (variable indices, total of their values)
    cycles: int                               # index of the variable that holds log(cycles)
    energy_power: int
    cycles_power: int
    offset: float = 0.0
    labels: Mapping[int, Label] = field(default_factory=dict)

    @property
    def variables(self) -> int:
        return len(self.lower)

    @cached_property
    def owner(self) -> np.ndarray:
        """For each monomial the posynomial it belongs to, 0 for the objective; shape (monomials,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sums of `values`, one a monomial, by posynomial; shape (1 + constraints,)."""
        return np.bincount(self.owner, weights=values, minlength=len(self.sizes))

    @property
    def posynomials(self) -> list[Posynomial]:
        """The objective, without monomials where energy is not asked for, and the constraints."""
        ends = np.cumsum(self.sizes)[:-1]
        return list(map(Posynomial, np.split(self.exponents, ends), np.split(self.logs, ends)))

    def asking(self, energy_power: int, cycles_power: int) -> Program:
        """The same constraints with another objective."""
        own = int(self.sizes[0])
        if energy_power or not own:
            return replace(self, energy_power=energy_power, cycles_power=cycles_power)
        return replace(self, exponents=self.exponents[own:], logs=self.logs[own:],
                       sizes=np.concatenate([[0], self.sizes[1:]]), energy_power=0, cycles_power=cycles_power)


@dataclass(frozen=True)
class Multipliers:
    """Dual multipliers: one non-negative number a monomial, shape (monomials,). Any such numbers prove a
    bound."""

    values: np.ndarray

    def rounded(self, digits: int = 8) -> Multipliers:
        """The multipliers to `digits` significant digits, as they are kept in a result file."""
        return Multipliers(_significant(self.values, digits))

    def flat(self) -> list[float]:
        """All multipliers in one list, those of the objective first."""
        return [float(x) for x in self.values]

    @classmethod
    def from_flat(cls, program: Program, values: list[float]) -> Multipliers:
        """The inverse of `flat` for `program`; ValueError when the count does not fit, or a
        multiplier is not a number from 0 to `LARGEST`."""
        if len(values) != len(program.logs):
            raise ValueError(f"{len(values)} multipliers for {len(program.logs)} monomials")
        if not all(isinstance(x, (int, float)) and 0.0 <= x <= LARGEST for x in values):
            raise ValueError(f"a multiplier is not a number from 0 to {LARGEST:g}")
        return cls(np.asarray(values, dtype=float))


def _significant(values: np.ndarray, digits: int) -> np.ndarray:
    kept = np.minimum(np.where(values > 1e-7, values, 0.0), LARGEST)
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.where(kept > 0, kept, 1.0))))
    return np.round(kept * scale) / scale
