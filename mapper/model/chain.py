"""The loops over one rank of many mappings, with remainders.

The factors of a rank are the bases of a mixed-radix number (`mapping.splits`), and only its last pass is
cut off: every count below is built from the innermost loop outwards, as what happens in a full tile and
what happens in the last one.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..mapping.template import slot
from .batch_shape import Array, Count, product_of


class Chain:
    """The loops over one rank of a chunk of mappings; `rows` has those that may iterate, outermost
    first. `factors` and `last`, iterations in the last pass, have shape (slots, batch), and `tiles`,
    the tiles that the loops outside a slot visit, (slots + 1, batch)."""

    def __init__(self, factors: Array, extent: int, rows: tuple[int, ...]) -> None:
        self.factors, self.extent, self.rows = factors, float(extent), rows
        self.last = np.ones_like(factors)
        self.tiles = np.ones((len(factors) + 1, factors.shape[1]))
        self.tiles[-1] = extent
        for row in reversed(range(len(factors))):
            if row in rows:
                left = self.tiles[row + 1] - 1.0
                outside = np.floor(left / factors[row])
                self.last[row] = left - outside * factors[row] + 1.0
                self.tiles[row] = outside + 1.0
            else:
                self.tiles[row] = self.tiles[row + 1]
        self._known: dict[tuple[object, ...], Count] = {}

    def size(self, level: int) -> Array:
        """Extent of a tile of `level` that is not cut off."""
        inside = [self.factors[row] for row in self.rows if row >= 3 * level]
        return np.minimum(product_of(inside), self.extent) if inside else np.ones(self.tiles.shape[1])

    @cached_property
    def covers(self) -> NDArray[np.bool_]:
        """Whether the loops run through the whole rank, and none could be left out or be shorter."""
        outside, good = np.ones(self.tiles.shape[1], dtype=bool), self.tiles[0] == 1.0
        for row in self.rows:
            iterates = self.factors[row] > 1.0
            good &= ~(outside & iterates) | (self.last[row] == self.factors[row])
            outside &= ~iterates
        return good

    def words(self, level: int, coefficient: int) -> Array:
        """Words of all tiles of `level` along an axis that this rank alone moves."""
        tiles = self.tiles[3 * level]
        return coefficient * self.extent - (coefficient - 1) * tiles

    def visits(self, level: int, temporal: int, spatial: tuple[bool, ...]) -> Count:
        """Different indices of some of the loops around a tile of `level`, over all its visits: of those
        in time at levels outside of `temporal`, and of those in space at levels marked in `spatial`."""
        rows = tuple(row for row in self.rows if row < 3 * level)
        counted = tuple(row // 3 < temporal if row % 3 == slot(0, "temporal") else spatial[row // 3]
                        for row in rows)
        key = rows, counted
        if key not in self._known:
            full: Count = 1.0
            cut: Count = 1.0
            for row, counts in zip(reversed(rows), reversed(counted), strict=True):
                if counts:
                    cut = (self.last[row] - 1.0) * full + cut
                    full = full * self.factors[row]
                else:       # the first iteration has all that the last one has
                    cut = np.where(self.last[row] > 1.0, full, cut)
            self._known[key] = cut
        return self._known[key]

    def resting(self, level: int, temporal: int, coefficient: int) -> Count:
        """Of the `words`, those of tiles that stay where they are while the loops in time at the levels
        from `temporal` to `level` make a pass, since their instance has one iteration of them in it."""
        rows = tuple(row for row in self.rows if row < 3 * level)
        inside = tuple(row for row in rows if row % 3 == slot(0, "temporal") and row // 3 >= temporal)
        key = "resting", rows, inside, coefficient
        if not inside:
            return self.words(level, coefficient)
        if key not in self._known:
            self._known[key] = self._resting(level, rows, inside, coefficient)
        return self._known[key]

    def _resting(self, level: int, rows: tuple[int, ...], inside: tuple[int, ...],
                 coefficient: int) -> Count:
        tile = self.size(level)
        full = coefficient * tile - (coefficient - 1)
        rest = self.extent - (self.tiles[3 * level] - 1.0) * tile
        # Of the loops met so far: words that rest in the last pass; instances that have nothing to do in
        # it; words that rest in a pass that is not cut off; instances; whether a single tile is visited.
        cut: Array = coefficient * rest - (coefficient - 1)
        idle: Count = 0.0
        whole, instances = full, np.ones_like(full)
        single = np.ones(full.shape, dtype=bool)
        for row in reversed(rows):
            factor, last = self.factors[row], self.last[row]
            if row in inside:
                once = (last == 2.0) & single
                cut = np.where(last == 1.0, cut, np.where(once, full * idle, 0.0))
                idle = np.where(last == 1.0, idle, 0.0)
                single = single & (factor == 1.0)
                whole = np.where(single, whole, 0.0)
            else:
                if row % 3 != slot(0, "temporal"):
                    idle = idle + (factor - last) * instances
                    instances = instances * factor
                cut = cut + (last - 1.0) * whole
                whole = whole * factor
        return cut
