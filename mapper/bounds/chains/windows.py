"""What windows that slide bring in, over the tiles of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Mapping

import numpy as np

from ...workload.einsum import Axis, Tensor, Term
from . import sliding
from .grid import Array, Grid

#: How many tiles stand side by side in an array, by rank.
Spread = Mapping[str, int]


@dataclass(frozen=True)
class Slide:
    """A way in which a tensor enters its tiles while loops of the rank `along` (a grid axis) go on right
    around them. Tables to be spread over tiles, in words along one axis; times `by` of the rest:

    - `start`: what every step brings in, at the tile (inf: none begins there so)
    - `toll`: what comes on top at the tile where the slide begins anew or ends
    - `close`: at least what comes on top where it ends, with all that loops further out may spare if the next
      one is of another rank of the same axis, `onward` (none: it spares nothing)
    - `border`: the same inside an array, outside of which it may go on
    """

    along: int
    onward: tuple[int, ...]
    by: Array
    start: Array
    toll: Array
    close: Array
    border: Array

#: By the grid axis along which they go, and whether loops further out may spare anything.
Slides = dict[tuple[int, bool], Slide]


class Windows:
    """One tensor over a grid. `ranks`: those that move it along an axis together with others."""

    def __init__(self, grid: Grid, tensor: Tensor) -> None:
        self.grid, self.tensor = grid, tensor
        self._axes = [axis for axis in tensor.projection if len(self._moving(axis)) > 1]
        self.ranks = tuple(t.rank for axis in self._axes for t in self._moving(axis))
        self._shares: dict[object, Array] = {}
        self._slides: dict[object, Slides] = {}

    def _moving(self, axis: Axis) -> list[Term]:
        return [t for t in axis if t.rank in self.grid.ranks]

    def entering(self, spread: Spread, outside: bool = False) -> Array:
        """At most the words that enter all instances of a place where the tensor is cut into these tiles,
        when every loop further out that it does not have brings all of it once more; so many tiles side by
        side each rank has in an array around them, and all loops in time may be `outside` that. 0 where they
        do not divide the extents."""
        return self.anew * self._share(spread, outside)

    @cached_property
    def anew(self) -> Array:
        """Words if every loop brings in all of a tile."""
        return self.grid.words(self.tensor) * self.grid.visits(self.grid.ranks)

    def slides(self, spread: Spread) -> Slides:
        """All ways to slide."""
        key = tuple(spread.get(r, 1) for r in self.ranks)
        if key not in self._slides:
            self._slides[key] = {}
            for axis, by in zip(self._axes, self._by, strict=True):
                for rank in range(len(self._moving(axis))):
                    self._slides[key] |= self._along(axis, rank, by, spread)
        return self._slides[key]

    @cached_property
    def _by(self) -> list[Array]:
        return [self.anew / self.grid.length(axis) for axis in self._axes]

    # ---- tables of one axis ----------------------------------------------------------------------

    def _share(self, spread: Spread, outside: bool) -> Array:
        """The least part of a tile that enters: a window slides along one axis at most, as the loops of
        others bring in all of the tile."""
        key = *(spread.get(r, 1) for r in self.ranks), outside
        if key not in self._shares:
            found = np.ones((1,) * len(self.grid.shape))
            for axis in self._axes:
                table = np.zeros(self._sides(axis))
                for point, loops in self._loops(axis, spread).items():
                    table[point] = loops.least(outside)
                found = np.minimum(found, table)
            self._shares[key] = found
        return self._shares[key]

    def _sides(self, axis: Axis) -> list[int]:
        moving = self.grid.axes(t.rank for t in axis)
        return [n if i in moving else 1 for i, n in enumerate(self.grid.shape)]

    def _loops(self, axis: Axis, spread: Spread) -> dict[tuple[int, ...], sliding.Axis]:
        """What can be around each tile of an axis that divides the extents."""
        terms, found = self._moving(axis), {}
        columns = [self.grid.ranks.index(t.rank) for t in terms]
        steps = tuple(abs(t.coefficient) for t in terms)
        own = tuple(spread.get(t.rank, 1) for t in terms)
        for point in np.ndindex(*self._sides(axis)):
            tile = tuple(int(self.grid.divisors[i][point[i]]) for i in columns)
            held = [t * s for t, s in zip(tile, own, strict=True)]
            whole = [self.grid.einsum.extent[t.rank] for t in terms]
            if all(d % n == 0 for d, n in zip(whole, held, strict=True)):
                loops = tuple(d // n for d, n in zip(whole, held, strict=True))
                found[point] = sliding.axis(steps, tile, own, loops)
        return found

    def _along(self, axis: Axis, rank: int, by: Array, spread: Spread) -> Slides:
        """Slides along one rank: where no loop further out can spare anything, and where one may."""
        term = self._moving(axis)[rank]
        along = self.grid.ranks.index(term.rank)
        length, extent = self.grid.length(axis), self.grid.extent(term.rank)
        step = abs(term.coefficient) * extent
        toll = np.maximum(length - step, 0.0)
        onward = tuple(i for i in self.grid.axes(t.rank for t in axis) if i != along)
        all_loops = self._loops(axis, spread)
        spared = {point: self._spared(point, loops, along, rank) for point, loops in all_loops.items()}
        found = {}
        for loose in (False, True):
            start, close = np.full(toll.shape, inf), toll.copy()
            for point, loops in all_loops.items():
                if loops.loops[rank] > 1 and bool(spared[point]) == loose and (loose or toll[point] > 0.0):
                    start[point] = min(step[_at(step, point)], length[point])
                    for end, words in spared[point].items():
                        close[end] = min(close[end], toll[end] - words)
            if np.isfinite(start).any():
                border = self._beyond(close, along) if spread.get(term.rank, 1) == 1 else close
                found[along, loose] = Slide(along, onward if loose else (), by, start, toll, close, border)
        return found

    def _spared(self, point: tuple[int, ...], loops: sliding.Axis, along: int,
                rank: int) -> dict[tuple[int, ...], float]:
        """By the tile where a slide that begins at `point` ends, words that loops further out may spare for
        each visit there."""
        found, divisors = {}, self.grid.divisors[along]
        for i, extent in enumerate(divisors):
            n, rest = divmod(int(extent), int(divisors[point[along]]))
            if rest == 0 and n > 1 and loops.loops[rank] % n == 0:
                words = loops.width * n * loops.bonus(rank, n)
                if words > 1e-9:
                    found[*point[:along], i, *point[along + 1:]] = words
        return found

    def _beyond(self, close: Array, along: int) -> Array:
        """The least of `close` over longer slides, a visit where they leave the array."""
        divisors, rows = self.grid.divisors[along], np.moveaxis(close, along, 0)
        best = np.stack([np.min([rows[j] * (n / m) for j, m in enumerate(divisors) if m % n == 0], axis=0)
                         for n in divisors])
        return np.moveaxis(best, 0, along)


def _at(table: Array, point: tuple[int, ...]) -> tuple[int, ...]:
    """Where a table that has one entry along some axes says something of `point`."""
    return tuple(i if n > 1 else 0 for i, n in zip(point, table.shape, strict=True))
