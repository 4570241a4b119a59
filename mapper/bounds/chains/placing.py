"""Dynamic programming over the order in which items are cut, from the inside out."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Sequence

import numpy as np

from ...workload.einsum import Tensor
from .grid import Array, Grid, Point

Tiles = dict[tuple[int, str], dict[str, int]]


@dataclass(frozen=True, eq=False)
class Item:
    """A tensor that is cut at `level`, and comes there from `parent`. `fits`: 0 at tiles that have room, else
    inf; `inside`: the items that must be cut further in (the same tensor at inner levels)."""

    level: int
    parent: int
    tensor: Tensor
    fits: Array
    inside: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Run:
    """Loops of the axis `along` right around the cut of an item, whose window slides with them. Loops of the
    axes `across`, which the tensor does not have, may come between, and start the window anew.

    Costs at the tiles of `box`, shape (groups or 1, *tiles): `start` at the cut, `toll` where the window
    starts anew or the run ends, `close` at least where it ends and the next loop that moves the tensor is of
    one of the axes `onward`, `border` at least where it leaves an array."""

    item: int
    along: int
    across: tuple[int, ...]
    onward: tuple[int, ...]
    box: tuple[slice, ...]
    start: Array
    toll: Array
    close: Array
    border: Array


class Placing:
    """`raw[mask]`: for each tile, the least cost of everything inside when the items of `mask` are cut, the
    last of them at that tile; shape (groups, *tiles), None where that cannot be.

    `costs` has one array an item; `loose` another, for an item that is cut in the course of a run of another
    one. `first` is the cost inside all items. Tiles grow along `axes` only (default all). `more[mask]` are
    other ways to come to a mask. Items of the tensor `without` are left out.
    """

    def __init__(self, grid: Grid, items: Sequence[Item], costs: Sequence[Array], first: Array,
                 axes: tuple[int, ...] | None = None, more: Array | None = None, without: str = "",
                 runs: Sequence[Run] = (), loose: Sequence[Array] | None = None) -> None:
        self.grid, self.items, self.costs, self.axes = grid, items, costs, axes
        self.without, self.runs, self.loose = without, runs, loose or costs
        self.first = first
        self._more = more
        self.raw: list[Array | None] = [first if more is None else np.minimum(first, more[0])]
        self._closed: dict[int, Array] = {}
        self._open: dict[tuple[int, int], Array | None] = {}
        self._going: dict[tuple[int, int], Array] = {}
        self._spared: dict[tuple[int, int], Array] = {}
        for mask in range(1, 1 << len(items)):
            found = None if more is None else more[mask]
            for k, rest in self._ways(mask):
                value = self.closed(rest) + costs[k]
                found = value if found is None else np.minimum(found, value, out=value)
            self.raw.append(found)
            for i, run in enumerate(runs):
                if found is not None and mask >> run.item & 1 and self._begin(i, mask):
                    found = self.raw[mask] = found.copy()
                    part = self._part(i, found)
                    np.minimum(part, self._ended(i, mask), out=part)

    def _ways(self, mask: int) -> list[tuple[int, int]]:
        """The items that may be cut last of those in `mask`, and the mask without them."""
        found = []
        for k, item in enumerate(self.items):
            rest = mask & ~(1 << k)
            if rest == mask or self.raw[rest] is None or item.tensor.name == self.without:
                continue
            if all(rest >> i & 1 for i in item.inside):
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

    # ---- runs ------------------------------------------------------------------------------------

    def _begin(self, i: int, mask: int) -> bool:
        """Reckon with a run of the items in `mask`; whether there is one."""
        found = None
        for k, rest in self._ways(mask):
            value = self._step(i, k, rest)
            if value is not None:
                found = value if found is None else np.minimum(found, value)
        self._open[i, mask] = found
        return found is not None

    def _step(self, i: int, k: int, rest: int) -> Array | None:
        """The cost in a run when the item `k` is cut after those of `rest`."""
        run = self.runs[i]
        if k == run.item:
            return self._part(i, self.closed(rest)) + run.start
        if self._open.get((i, rest)) is None:
            return None
        return self.going(i, rest) + self._part(i, self.loose[k])

    def _part(self, i: int, values: Array) -> Array:
        """Those in the box of a run."""
        part: Array = values[(slice(None), *self.runs[i].box)]
        return part

    def going(self, i: int, mask: int) -> Array:
        """The least cost at each tile of a run that may have gone on."""
        if (i, mask) not in self._going:
            run, begun = self.runs[i], self._open[i, mask]
            assert begun is not None
            along = self.grid.least(begun, (run.along,))
            if run.across:
                anew = self.grid.least(along + run.toll, run.across) - run.toll
                along = np.where(anew < along, anew, along)
            self._going[i, mask] = along
        return self._going[i, mask]

    def _ended(self, i: int, mask: int) -> Array:
        """The least cost at each tile where the run has ended."""
        run, found = self.runs[i], self.going(i, mask) + self.runs[i].toll
        return np.minimum(found, self.grid.beyond(self.spared(i, mask), run.onward)) if run.onward else found

    def spared(self, i: int, mask: int) -> Array:
        """The least cost at each tile of a run that has ended, if the next loop is of the axes `onward`."""
        if (i, mask) not in self._spared:
            run, found = self.runs[i], self.going(i, mask) + self.runs[i].close
            for k, rest in self._ways(mask):
                if k != run.item and self.goes(i, rest):
                    np.minimum(found, self.spared(i, rest) + self._part(i, self.loose[k]), out=found)
            self._spared[i, mask] = self.grid.least(found, run.across)
        return self._spared[i, mask]

    def goes(self, i: int, mask: int) -> bool:
        """Whether the run may have begun when the items of `mask` are cut."""
        return self._open.get((i, mask)) is not None

    # ---- the way back ----------------------------------------------------------------------------

    def walk(self, group: int, point: Point, tiles: Tiles, mask: int | None = None,
             here: bool = False) -> tuple[int, Point, bool]:
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
                if self.closed(rest)[(group, *point)] + _at(self.costs[k], group, point) <= value:
                    self._note(tiles, k, point)
                    mask = rest
                    break
            else:
                ended = next((i for i in range(len(self.runs)) if self.goes(i, mask) and self.holds(i, point)
                              and self._ended(i, mask)[(group, *point)] <= value), None)
                if ended is None:
                    return mask, point, True
                mask, point = self._walk_end(ended, group, point, tiles, mask)

    def _walk_end(self, i: int, group: int, point: Point, tiles: Tiles, mask: int) -> tuple[int, Point]:
        """Go back from where a run has ended to where it began."""
        run, at = self.runs[i], (group, *point)
        value = self._ended(i, mask)[at]
        if self.going(i, mask)[at] + _at(run.toll, group, point) <= value:
            return self.walk_run(i, group, point, tiles, mask)
        before = self.grid.smaller(point, run.onward)
        point = min(before, key=lambda p: float(self.spared(i, mask)[(group, *p)]))
        while True:
            within = self.grid.within(point, run.across)
            steps = {mask: self.going(i, mask) + run.close}
            steps |= {rest: self.spared(i, rest) + self._part(i, self.loose[k])
                      for k, rest in self._ways(mask) if k != run.item and self.goes(i, rest)}
            places = {rest: _least_of(own[group][np.ix_(*within)], within) for rest, own in steps.items()}
            rest = min(places, key=lambda m: float(steps[m][(group, *places[m])]))
            point = places[rest]
            if rest == mask:
                return self.walk_run(i, group, point, tiles, mask)
            self._note(tiles, (mask ^ rest).bit_length() - 1, point)
            mask = rest

    def walk_run(self, i: int, group: int, point: Point, tiles: Tiles, mask: int) -> tuple[int, Point]:
        """Go back through a run that has come to `point`, to where it began."""
        while True:
            point = self._before(i, group, point, mask)
            steps = {k: cost for k, rest in self._ways(mask) if (cost := self._step(i, k, rest)) is not None}
            k = min(steps, key=lambda k: float(steps[k][(group, *point)]))
            self._note(tiles, k, point)
            mask &= ~(1 << k)
            if k == self.runs[i].item:
                return mask, point

    def _before(self, i: int, group: int, point: Point, mask: int) -> Point:
        """The tile inside `point` from which a run has gone on."""
        run, begun = self.runs[i], self._open[i, mask]
        assert begun is not None
        within = self.grid.within(point, (run.along, *run.across))
        values = begun[group][np.ix_(*within)]
        tolls = run.toll[group if len(run.toll) > 1 else 0]
        at_end = [[p] if axis == run.along else own for axis, (p, own) in
                  enumerate(zip(point, within, strict=True))]
        paid = tolls[np.ix_(*at_end)] - tolls[point]
        return _least_of(values + paid, within)

    def _note(self, tiles: Tiles, k: int, point: Point) -> None:
        tiles[self.items[k].level, self.items[k].tensor.name] = self.grid.tile(point)

    def holds(self, i: int, point: Point) -> bool:
        """Whether a run has this tile in its box."""
        return all(p < n for p, n in zip(point, self.runs[i].start.shape[1:], strict=True))

    def _inside(self, group: int, mask: int, point: Point) -> Point:
        """The tile inside `point` where the least is."""
        raw = self.raw[mask]
        assert raw is not None
        within = self.grid.within(point, self.axes)
        return _least_of(raw[group][np.ix_(*within)], within)


def _least_of(values: Array, within: Sequence[Sequence[int]]) -> Point:
    best = np.unravel_index(int(values.argmin()), values.shape)
    return tuple(w[int(b)] for w, b in zip(within, best, strict=True))


def _at(cost: Array, group: int, point: Point) -> float:
    """An entry of costs by group, or for all of them."""
    return float(cost[(group if len(cost) > 1 else 0, *point)])
