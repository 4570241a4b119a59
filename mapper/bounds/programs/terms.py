"""What the posynomials of a relaxation are made of: variables, products of factors, extents of axes."""

from __future__ import annotations

from math import exp, log

import numpy as np

from ...mapping.template import slot
from ...workload.einsum import Axis, Tensor
from ..region import Region
from .program import Posynomial
from .variables import Variables


class Terms:
    """The program of one region as far as helper variables go."""

    def __init__(self, variables: Variables, region: Region) -> None:
        self.v, self.scenario, self.region = variables, variables.scenario, region
        self.arch, self.einsum = self.scenario.architecture, self.scenario.einsum
        self.imperfect, self.width = variables.imperfect, variables.width
        self.cycles = variables.size
        self.used = variables.size + 1
        self.lower = np.zeros(self.width)
        self.upper = np.zeros(self.width)
        self.constraints: list[Posynomial] = []      # of helper variables
        self.axes: dict[tuple[Axis, bytes], Posynomial] = {}
        least, most = variables.ranges(region)
        self.lower[:variables.size], self.upper[:variables.size] = least.ravel(), most.ravel()
        self.loose = self.upper > self.lower

    # ---- variables -------------------------------------------------------------------------

    def index(self, row: int, rank: str) -> int:
        return row * len(self.einsum.ranks) + self.v.column[rank]

    def monomial(self, value: float = 1.0, exponents: np.ndarray | None = None) -> Posynomial:
        row = np.zeros((1, self.width)) if exponents is None else exponents.reshape(1, -1)
        return Posynomial(row, np.array([log(value)]))

    def variable(self, index: int, power: float = 1.0) -> Posynomial:
        row = np.zeros((1, self.width))
        row[0, index] = power
        return Posynomial(row, np.zeros(1))

    def at_most(self, posynomial: Posynomial, index: int) -> None:
        """Constrain `posynomial <= exp(v[index])`."""
        self.constraints.append(posynomial * self.variable(index, -1.0))

    def at_least_all(self, candidates: list[Posynomial], ceiling: float) -> Posynomial:
        """A helper variable that is at least each of the candidates."""
        if len(candidates) == 1:
            return candidates[0]
        i, self.used = self.used, self.used + 1
        self.upper[i] = log(ceiling)
        for candidate in candidates:
            self.at_most(candidate, i)
        return self.variable(i)

    # ---- products of factors ---------------------------------------------------------------

    def factors(self, rows: list[int], ranks: frozenset[str] | None = None) -> np.ndarray:
        """Exponents of the product of the factors of `ranks` (default all) in the slots `rows`."""
        return self.v.product(rows, ranks)

    def inside(self, level: int) -> list[int]:
        """Slots of `level` and of all levels inside it."""
        return list(range(3 * level, 3 * self.scenario.depth))

    @staticmethod
    def spatial(first: int, last: int) -> list[int]:
        """Spatial slots of the levels first to last - 1."""
        return [slot(i, kind) for i in range(first, last) for kind in ("y", "x")]

    def constant_value(self, exponents: np.ndarray, rank: str) -> float | None:
        """The value of a product of factors of `rank` whose variables are all fixed, else None; None as
        well where tiles of that extent may be cut off."""
        if np.any(exponents[self.loose]):
            return None
        value = round(exp(exponents @ self.lower))
        return None if rank in self.imperfect and 1 < value < self.einsum.extent[rank] else value

    def may_iterate(self, rank: str, rows: list[int]) -> bool:
        """Whether `rank` may have a factor above 1 in one of the slots."""
        return any(self.upper[self.index(row, rank)] > 0 for row in rows)

    def rounded(self, first: int, last: int, ranks: frozenset[str] | None = None) -> float:
        """At most the ratio of the spatial factors of `ranks` (default all) at the levels first to last - 1
        to what stands for them in the program: the outermost loop over a rank is rounded up, which is
        less than twice."""
        rows = self.spatial(first, last)
        return 2.0 ** sum(self.may_iterate(rank, rows) for rank in self.imperfect
                          if ranks is None or rank in ranks)

    # ---- extents of tensor axes --------------------------------------------------------------

    def axis(self, axis: Axis, rows: list[int], times: dict[str, np.ndarray] | None = None) -> Posynomial:
        """At most the length of the interval that `axis` sweeps over the loops in `rows`.

        `times` multiplies the extents of a rank by more factors (a window that slides over them).
        """
        if is_plain(axis):
            return self.monomial(1.0, self.factors(rows, frozenset((axis[0].rank,))))
        parts = [self.factors(rows, frozenset((t.rank,))) for t in axis]
        if times:
            parts = [p + times[t.rank] if t.rank in times else p for p, t in zip(parts, axis, strict=True)]
        key = axis, b"".join(p.tobytes() for p in parts)
        if key not in self.axes:
            self.axes[key] = self._sum(axis, parts)
        return self.axes[key]

    def _sum(self, axis: Axis, parts: list[np.ndarray]) -> Posynomial:
        constant, free = 1.0, []
        for term, exponents in zip(axis, parts, strict=True):
            value = self.constant_value(exponents, term.rank)
            if value is None:
                free.append((exponents, abs(term.coefficient), term.rank))
            else:
                constant += abs(term.coefficient) * (value - 1)
        if not free:
            return self.monomial(constant)
        ceiling = constant + sum(c * (self.einsum.extent[rank] - 1) for _, c, rank in free)
        return self.at_least_all([self.affine(constant, *x) for x in free], ceiling)

    def affine(self, constant: float, exponents: np.ndarray, coefficient: int, rank: str) -> Posynomial:
        """At most `constant + coefficient * (p - 1)`, p the product of `exponents`, an extent of `rank`.

        Where tiles may be cut off, the result over p does not increase, so that n tiles, the last one
        cut off to a share s, are no less than n - 1 + s times the result.
        """
        extent = self.einsum.extent[rank]
        rest = constant - coefficient
        product = self.monomial(coefficient, exponents)
        if rest > 0:
            return product + self.monomial(rest)
        if rest == 0:
            return product
        # log(coefficient * e^x + rest) is concave in x for rest < 0: its chord lies below it.
        slope = log((coefficient * extent + rest) / constant) / log(extent)
        if rank in self.imperfect:
            slope = min(slope, 1.0)
        return self.monomial(constant, slope * exponents)

    def tile(self, tensor: Tensor, level: int) -> Posynomial:
        """At most the words of `tensor` in a tile of `level`."""
        words = self.monomial()
        for axis in tensor.projection:
            words = words * self.axis(axis, self.inside(level))
        return words


def is_plain(axis: Axis) -> bool:
    """Whether the length of an axis is the extent of a rank, whatever that is."""
    return len(axis) == 1 and abs(axis[0].coefficient) == 1
