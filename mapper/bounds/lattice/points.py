"""The points of the lattice of divisors: every tile is one, a divisor a rank.

What is asked of a single tile is kept as one array over all points.
"""

from __future__ import annotations

from functools import cached_property
from math import prod
from typing import Any, Callable, Hashable, TypeVar

import numpy as np

from ...workload.einsum import Axis, Einsum
from ..divisors import divisors, prime_factors

T = TypeVar("T")


class Points:
    """The divisors of all extents of one Einsum."""

    def __init__(self, einsum: Einsum) -> None:
        self.einsum = einsum
        self.ranks = tuple(r for r in einsum.ranks if einsum.extent[r] > 1)
        self.extents = np.array([einsum.extent[r] for r in self.ranks], dtype=np.int64)
        self.shape = tuple(len(divisors(int(n))) for n in self.extents)
        self._known: dict[Hashable, Any] = {}

    @cached_property
    def divisors(self) -> list[np.ndarray]:
        """The divisors of each extent, ascending."""
        return [np.array(divisors(int(n))) for n in self.extents]

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` gives, which depends on the `key` only."""
        if key not in self._known:
            self._known[key] = make()
        found: T = self._known[key]
        return found

    @cached_property
    def points(self) -> np.ndarray:
        """Extents of every lattice point, shape (points, ranks)."""
        return np.stack([v[g] for v, g in zip(self.divisors, self.grid, strict=True)], axis=1)

    @cached_property
    def grid(self) -> np.ndarray:
        """For each rank which of its divisors every lattice point has, shape (ranks, points)."""
        return np.indices(self.shape).reshape(len(self.shape), -1)

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """For each rank how far apart points are in the flat index that differ by one divisor."""
        return tuple(prod(self.shape[i + 1:]) for i in range(len(self.shape)))

    # ---- quotients -------------------------------------------------------------------------------

    def ratio(self, points: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The lattice points of `points` / `others`, which divide them."""
        code, point = self._codes
        return np.asarray(point[code[points] - code[others]])

    def divides(self, points: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Which of `others` (columns) divide which of `points` (rows)."""
        exponents, guards = self._packed
        rest = (exponents[points] | guards)[:, None] - exponents[others][None, :]
        return np.asarray((rest & guards) == guards)

    @cached_property
    def _exponents(self) -> list[tuple[np.ndarray, int]]:
        """For every rank and prime, the exponent at every point, and the largest."""
        found = []
        for column, n in zip(self.points.T, self.extents.tolist(), strict=True):
            for prime in sorted(set(prime_factors(n))):
                most = prime_factors(n).count(prime)
                found.append((sum(column % prime ** k == 0 for k in range(1, most + 1)), most))
        return [(np.asarray(exponent, dtype=np.int64), most) for exponent, most in found]

    @cached_property
    def _packed(self) -> tuple[np.ndarray, np.int64]:
        """The exponents of every point side by side in one number, each below a bit of its own, which a
        difference loses that would be negative; and all those bits. That is no more than two bits for each
        time that the number of points doubles."""
        packed, guards, room = np.zeros(len(self.points), dtype=np.int64), 0, 0
        for exponent, most in self._exponents:
            packed |= exponent << room
            room += most.bit_length() + 1
            guards |= 1 << (room - 1)
        return packed, np.int64(guards)

    @cached_property
    def _codes(self) -> tuple[np.ndarray, np.ndarray]:
        """A number for every point, which is that of a quotient for differences of them, and the points by
        their numbers."""
        code, stride = np.zeros(len(self.points), dtype=np.int64), 1
        for exponent, most in self._exponents:
            code += exponent * stride
            stride *= most + 1
        return code, np.argsort(code)

    def index(self, extents: np.ndarray) -> np.ndarray:
        """Flat lattice index of extents that divide, shape (..., ranks) to (...)."""
        index = np.zeros(extents.shape[:-1], dtype=np.int64)
        for i, (n, stride) in enumerate(zip(self.extents.tolist(), self.strides, strict=True)):
            index += stride * np.searchsorted(divisors(n), extents[..., i])
        return index

    # ---- tiles -----------------------------------------------------------------------------------

    def product(self, ranks: frozenset[str]) -> np.ndarray:
        """Product of the extents of `ranks` at every point, as float."""
        chosen = [i for i, r in enumerate(self.ranks) if r in ranks]
        return self.once(("product", *chosen), lambda: np.prod(self.points[:, chosen], axis=1, dtype=float))

    def interval(self, axis: Axis) -> np.ndarray:
        """Length of the tile along `axis` at every point."""
        moving = [(abs(t.coefficient), self.ranks.index(t.rank)) for t in axis if t.rank in self.ranks]
        return self.once(("interval", axis), lambda: 1.0 + sum(
            (unit * (self.points[:, i] - 1.0) for unit, i in moving), start=np.zeros(len(self.points))))

    @cached_property
    def volumes(self) -> dict[str, np.ndarray]:
        """Words of each tensor's tile at every point."""
        return {t.name: np.prod([self.interval(axis) for axis in t.projection], axis=0)
                for t in self.einsum.tensors}
