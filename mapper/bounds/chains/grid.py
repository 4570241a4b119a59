"""All tiles of whole factors as one array: an axis a rank, with the divisors of its extent."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ...workload.einsum import Axis, Einsum, Tensor
from ..divisors import divisors, prime_factors

Array = NDArray[np.float64]
#: A tile: along each axis the index of its extent among the divisors.
Point = tuple[int, ...]


class Grid:
    """The tiles of one Einsum. `ranks` are those of more than one iteration; `shape` has their numbers of
    divisors (the first `lengths` of them, if given). Arrays over tiles end in these axes."""

    def __init__(self, einsum: Einsum, lengths: Sequence[int] | None = None) -> None:
        self.einsum = einsum
        self.ranks = tuple(r for r in einsum.ranks if einsum.extent[r] > 1)
        every = [np.array(divisors(einsum.extent[r])) for r in self.ranks]
        self.divisors = every if lengths is None else [d[:n] for d, n in zip(every, lengths, strict=True)]
        self.shape = tuple(map(len, self.divisors))
        self.whole: Point = tuple(n - 1 for n in self.shape)
        self._steps = [[(j, k) for j, k in self._prime_steps(r) if j < n]
                       for r, n in zip(self.ranks, self.shape, strict=True)]

    def part(self, values: Array) -> Array:
        """Of an array over more tiles those of this grid."""
        sides = values.shape[values.ndim - len(self.shape):]
        own = tuple(slice(n if m > 1 else 1) for n, m in zip(self.shape, sides, strict=True))
        before = (slice(None),) * (values.ndim - len(own))
        part: Array = values[before + own]
        return part

    def _prime_steps(self, rank: str) -> list[tuple[int, int]]:
        """Pairs of a divisor and the same less one prime factor, prime by prime, the smaller first."""
        extent, found = self.einsum.extent[rank], []
        index = {d: i for i, d in enumerate(divisors(extent))}
        for p in sorted(set(prime_factors(extent))):
            found += [(index[d], index[d // p]) for d in index if d % p == 0]
        return found

    def axes(self, ranks: Iterable[str]) -> tuple[int, ...]:
        """The axes of those of the `ranks` that have one."""
        wanted = set(ranks)
        return tuple(i for i, r in enumerate(self.ranks) if r in wanted)

    def extent(self, rank: str) -> Array:
        """Extent of `rank`, to be spread over the other axes."""
        if rank not in self.ranks:
            return np.ones((1,) * len(self.ranks))
        i = self.ranks.index(rank)
        return self.divisors[i].astype(float).reshape([-1 if j == i else 1 for j in range(len(self.shape))])

    def least(self, values: Array, axes: Sequence[int] | None = None) -> Array:
        """At each tile the least of `values` over all tiles that divide it, along `axes` (default all)."""
        values = values.copy()
        for i in range(len(self.ranks)) if axes is None else axes:
            lines = self._lines(values, i)
            for j, k in self._steps[i]:
                np.minimum(lines[:, j], lines[:, k], out=lines[:, j])
        return values

    def _lines(self, values: Array, i: int) -> Array:
        """A view of a contiguous array with axis `i` of the tiles in the middle of three."""
        at = values.ndim - len(self.shape) + i
        return values.reshape(prod(values.shape[:at]), values.shape[at], -1)

    def beyond(self, values: Array, axes: Sequence[int]) -> Array:
        """At each tile the least of `values` over those that are one prime smaller along one of `axes`."""
        found = np.full_like(values, np.inf)
        for i in axes:
            lines, own = self._lines(values, i), self._lines(found, i)
            for j, k in self._steps[i]:
                np.minimum(own[:, j], lines[:, k], out=own[:, j])
        return found

    def smaller(self, point: Point, axes: Sequence[int]) -> list[Point]:
        """The tiles that are one prime smaller along one of `axes`."""
        return [(*point[:i], k, *point[i + 1:]) for i in axes for j, k in self._steps[i] if j == point[i]]

    def within(self, point: Point, axes: Sequence[int] | None = None) -> list[list[int]]:
        """The indices, axis by axis, of the tiles that divide `point`; along others than `axes`, its own."""
        moving = range(len(self.ranks)) if axes is None else axes
        return [[int(j) for j in np.flatnonzero(d[i] % d == 0)] if k in moving else [i]
                for k, (d, i) in enumerate(zip(self.divisors, point, strict=True))]

    def tile(self, point: Point) -> dict[str, int]:
        """Extents of all ranks in one tile."""
        found = dict.fromkeys(self.einsum.ranks, 1)
        return found | {r: int(d[i]) for r, d, i in zip(self.ranks, self.divisors, point, strict=True)}

    # ---- words -----------------------------------------------------------------------------------

    def words(self, tensor: Tensor) -> Array:
        """Words of `tensor` in each tile."""
        return np.broadcast_to(reduce(np.multiply, (self.length(x) for x in tensor.projection),
                                      np.ones((1,) * len(self.shape))), self.shape)

    def length(self, axis: Axis) -> Array:
        """Words of one axis of a tensor in each tile, to be spread over the others."""
        return reduce(np.add, (abs(t.coefficient) * (self.extent(t.rank) - 1) for t in axis),
                      np.ones((1,) * len(self.shape)))

    def visits(self, ranks: Iterable[str]) -> Array:
        """How often each tile is cut out of the whole along `ranks`."""
        return reduce(np.multiply, (self.einsum.extent[r] / self.extent(r) for r in ranks),
                      np.ones((1,) * len(self.shape)))
