"""All tiles of whole factors as one array: an axis a rank, with the divisors of its extent."""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..workload.einsum import Axis, Einsum, Tensor
from .arrays import divisors, prime_factors, smallest_prime

Array = NDArray[np.float64]
#: A tile: along each axis the index of its extent among the divisors.
Point = tuple[int, ...]


class Grid:
    """The tiles of one Einsum. `ranks` are those of more than one iteration; `shape` has their numbers of
    divisors. Arrays over tiles end in these axes."""

    def __init__(self, einsum: Einsum) -> None:
        self.einsum = einsum
        self.ranks = tuple(r for r in einsum.ranks if einsum.extent[r] > 1)
        self.divisors = [np.array(divisors(einsum.extent[r])) for r in self.ranks]
        self.shape = tuple(map(len, self.divisors))
        self.whole: Point = tuple(n - 1 for n in self.shape)
        self._steps = [self._prime_steps(r) for r in self.ranks]

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
            lines = np.moveaxis(values, i - len(self.ranks), 0)
            for j, k in self._steps[i]:
                np.minimum(lines[j], lines[k], out=lines[j])
        return values

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
        return np.broadcast_to(reduce(np.multiply, (self._length(x) for x in tensor.projection),
                                      np.ones((1,) * len(self.shape))), self.shape)

    def _length(self, axis: Axis) -> Array:
        return reduce(np.add, (abs(t.coefficient) * (self.extent(t.rank) - 1) for t in axis),
                      np.ones((1,) * len(self.shape)))

    def visits(self, ranks: Iterable[str]) -> Array:
        """How often each tile is cut out of the whole along `ranks`."""
        return reduce(np.multiply, (self.einsum.extent[r] / self.extent(r) for r in ranks),
                      np.ones((1,) * len(self.shape)))

    def entering(self, tensor: Tensor) -> Array:
        """At most the words of `tensor` that enter all instances of a place where it is cut into these
        tiles, when every loop further out that it does not have brings all of it once more.

        Where a window slides along one rank, each step brings at least what it moves by; that may be so
        on one axis. Steps of two ranks of an axis may undo each other, which spares at most one of so many
        passes as the smallest prime of the two says. And every word comes in once.
        """
        again = self.visits(r for r in self.ranks if r not in tensor.ranks)
        whole = [self._length(x) * self.visits({t.rank for t in x}) for x in tensor.projection]
        choices = [self._product(whole)]
        for i, axis in enumerate(tensor.projection):
            if len([t for t in axis if t.rank in self.ranks]) > 1:
                choices += [self._product([*whole[:i], x, *whole[i + 1:]]) for x in self._slides(axis)]
        kept = [self._undone(axis) for axis in tensor.projection]
        return np.maximum(self._product([reduce(np.minimum, choices), *kept]), self._touched(tensor)) * again

    def _product(self, parts: Sequence[Array]) -> Array:
        return np.broadcast_to(reduce(np.multiply, parts, np.ones((1,) * len(self.shape))), self.shape)

    def _touched(self, tensor: Tensor) -> float:
        """Words of the whole tensor that are used at all; where steps may go both ways, none is sure to come
        in once more each time."""
        if any(t.coefficient < 0 for axis in tensor.projection for t in axis):
            return 0.0
        words = 1
        for axis in tensor.projection:
            places = np.zeros(1, dtype=np.int64)
            for t in axis:
                steps = t.coefficient * np.arange(self.einsum.extent[t.rank])
                places = np.unique(np.add.outer(places, steps))
            words *= len(places)
        return float(words)

    def _slides(self, axis: Axis) -> list[Array]:
        found = []
        for term in axis:
            others = tuple(t for t in axis if t.rank != term.rank)
            width, unit = self._length(others), abs(term.coefficient)
            fresh = np.minimum(unit, width)
            # Where the others stand still, nothing brings the window back but what starts it anew.
            still = self.visits({t.rank for t in others}) == 1.0
            swept = fresh * self.einsum.extent[term.rank]
            swept = swept + np.where(still, np.maximum(width - unit, 0.0), 0.0)
            found.append(swept * self.visits({t.rank for t in others}))
        return found

    def _undone(self, axis: Axis) -> Array:
        """At least the share of steps that bring something in."""
        ranks = [t.rank for t in axis if t.rank in self.ranks]
        if len(ranks) < 2:
            return np.ones((1,) * len(self.shape))
        moving = [self.extent(r) < self.einsum.extent[r] for r in ranks]
        several = reduce(np.add, (x.astype(int) for x in moving)) > 1
        return np.where(several, 1 - 1 / min(smallest_prime(self.einsum.extent[r]) for r in ranks), 1.0)


def all_shapes(extents: Sequence[int], most: int, admitted: Sequence[bool]) -> list[tuple[int, ...]]:
    """Every choice of a divisor a rank whose product is at most `most`; 1 for ranks that are not admitted."""
    found: list[tuple[int, ...]] = [()]
    for extent, open_ in zip(extents, admitted, strict=True):
        options = [d for d in divisors(extent) if d <= most] if open_ else [1]
        found = [(*shape, d) for shape in found for d in options if prod(shape) * d <= most]
    return found

