"""Dynamic programming over the order in which items are cut, from the inside out."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Sequence

import numpy as np

from ..workload.einsum import Tensor
from .grid import Array, Grid, Point


@dataclass(frozen=True, eq=False)
class Item:
    """A tensor that is cut at `level`, and comes there from `parent`. `fits`: 0 at tiles that have room, else
    inf; `inside`: the items that must be cut further in (the same tensor at inner levels)."""

    level: int
    parent: int
    tensor: Tensor
    fits: Array
    inside: tuple[int, ...]


class Placing:
    """`raw[mask]`: for each tile, the least cost of everything inside when the items of `mask` are cut, the
    last of them at that tile; shape (groups, *tiles), None where that cannot be.

    `first` is the cost inside all items. Tiles grow along `axes` only (default all). `more[mask]` are other
    ways to come to a mask. The item `last`, if any, is cut when all others are; those of the tensor `without`
    are left out.
    """

    def __init__(self, grid: Grid, items: Sequence[Item], costs: Sequence[Array], first: Array,
                 axes: tuple[int, ...] | None = None, more: Array | None = None,
                 last: int | None = None, without: str = "") -> None:
        self.grid, self.items, self.costs, self.axes = grid, items, costs, axes
        self.last, self.without = last, without
        self.first = first
        self.raw: list[Array | None] = [first if more is None else np.minimum(first, more[0])]
        self._closed: dict[int, Array] = {}
        self._more = more
        for mask in range(1, 1 << len(items)):
            found = None if more is None else more[mask]
            for k, rest in self._ways(mask):
                value = self.closed(rest) + costs[k]
                found = value if found is None else np.minimum(found, value)
            self.raw.append(found)

    def _ways(self, mask: int) -> list[tuple[int, int]]:
        """The items that may be cut last of those in `mask`, and the mask without them."""
        full, found = (1 << len(self.items)) - 1, []
        for k, item in enumerate(self.items):
            rest = mask & ~(1 << k)
            if rest == mask or self.raw[rest] is None or item.tensor.name == self.without:
                continue
            if all(rest >> i & 1 for i in item.inside) and (k != self.last or mask == full):
                found.append((k, rest))
        return found

    def closed(self, mask: int) -> Array:
        """The least over all tiles inside each tile."""
        if mask not in self._closed:
            raw = self.raw[mask]
            assert raw is not None
            self._closed[mask] = self.grid.least(raw, self.axes)
        return self._closed[mask]

    @property
    def final(self) -> Array:
        """All items cut."""
        found = self.raw[-1]
        return np.full_like(self.closed(0), inf) if found is None else found

    def walk(self, group: int, point: Point, tiles: dict[tuple[int, str], dict[str, int]],
             mask: int | None = None, here: bool = False) -> tuple[int, Point, bool]:
        """Go back from `point`, where the items of `mask` (default all) are cut, and note the tile of each.
        `here`: the last is cut at that very point. Ends at the mask and the point from which there is no way
        on but what `more` says (True), or where nothing is cut."""
        mask = (1 << len(self.items)) - 1 if mask is None else mask
        while True:
            if not here:
                point = self._inside(group, mask, point)
            here = False
            if not mask:
                late = self._more is not None and self._more[(0, group, *point)] < self.first[(group, *point)]
                return mask, point, late
            raw = self.raw[mask]
            assert raw is not None
            value = raw[(group, *point)]
            for k, rest in self._ways(mask):
                cost = self.costs[k]
                own = cost[(group if len(cost) > 1 else 0, *point)]
                if self.closed(rest)[(group, *point)] + own <= value:
                    tiles[self.items[k].level, self.items[k].tensor.name] = self.grid.tile(point)
                    mask = rest
                    break
            else:
                return mask, point, True

    def _inside(self, group: int, mask: int, point: Point) -> Point:
        """The tile inside `point` where the least is."""
        raw = self.raw[mask]
        assert raw is not None
        within = self.grid.within(point, self.axes)
        values = raw[group][np.ix_(*within)]
        best = np.unravel_index(int(values.argmin()), values.shape)
        return tuple(int(w[b]) for w, b in zip(within, best, strict=True))
