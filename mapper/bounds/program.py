"""Geometric programs in log space, as plain arrays.

A posynomial is a sum of monomials `exp(log_coefficient + exponents . v)`; `v` holds logarithms of
positive quantities. A `Program` asks for the least

    energy_power * log(sum of the objective's monomials) + cycles_power * v[cycles]

such that every constraint posynomial is at most 1, the variables of each group sum to the group's
total, and every variable lies in its range. It is convex, and its dual bounds it from below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Label:
    """A figure of the machine at storage level `level`: "capacity" (words), a bandwidth (words a cycle) or
    "array" (instances along "x", "y" or "xy" together)."""

    kind: str
    level: int
    axes: str = ""


@dataclass(frozen=True)
class Program:
    """See the module. `offset` is subtracted from the objective posynomial to get the energy. `labels`
    tell, for some constraints by their place in the tuple, which figure of the machine they hold to."""

    objective: Posynomial | None              # energy in pJ before the offset; None: not asked for
    constraints: tuple[Posynomial, ...]
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


@dataclass(frozen=True)
class Multipliers:
    """Dual multipliers: one non-negative number a monomial. Any such numbers prove a bound."""

    objective: np.ndarray
    constraints: tuple[np.ndarray, ...]

    def rounded(self, digits: int = 5) -> Multipliers:
        """The multipliers to `digits` significant digits, as they are kept in a result file."""
        return Multipliers(_significant(self.objective, digits),
                           tuple(_significant(c, digits) for c in self.constraints))

    def flat(self) -> list[float]:
        """All multipliers in one list, objective first."""
        return [float(x) for x in np.concatenate([self.objective, *self.constraints])]

    @classmethod
    def from_flat(cls, program: Program, values: list[float]) -> Multipliers:
        """The inverse of `flat` for `program`; ValueError when the count does not fit, or a
        multiplier is not a number from 0 to `LARGEST`."""
        sizes = [0 if program.objective is None else len(program.objective.logs)]
        sizes += [len(c.logs) for c in program.constraints]
        if len(values) != sum(sizes):
            raise ValueError(f"{len(values)} multipliers for {sum(sizes)} monomials")
        if not all(isinstance(x, (int, float)) and 0.0 <= x <= LARGEST for x in values):
            raise ValueError(f"a multiplier is not a number from 0 to {LARGEST:g}")
        parts = np.split(np.asarray(values, dtype=float), np.cumsum(sizes)[:-1])
        return cls(parts[0], tuple(parts[1:]))


def _significant(values: np.ndarray, digits: int) -> np.ndarray:
    kept = np.minimum(np.where(values > 1e-7, values, 0.0), LARGEST)
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(np.where(kept > 0, kept, 1.0))))
    return np.round(kept * scale) / scale
