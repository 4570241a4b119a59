"""What stands inside the fanout of a chain of cuts, for all shapes of the array at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import inf, prod
from typing import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ...mapping.template import Keep
from .costs import Costs, Order, Room
from .grid import Array, Grid, Point
from .nests import Nests
from .placing import Item, Placing, Tiles

#: Items of one tensor, by their numbers, that stay inside the fanout while loops outside go on.
Late = tuple[int, ...]

_AT_ONCE = 200_000


@dataclass(frozen=True)
class Table:
    """For each group of shapes, at every tile of the whole array, the least energy of what is inside the
    fanout, and the shape where that is. What the shapes of a group have in common: the instances at work
    (`units`) and, of a tensor that stays inside while loops outside go on, the share `asked` for, the copies
    and what is unrolled of its windows; `visit`: words of it that enter each of the items that stay for every
    visit by these loops."""

    energy: Array
    shape: NDArray[np.int32]
    units: list[float]
    asked: list[float]
    copies: list[float]
    visit: Array

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.energy.size + self.visit.size

    def part(self, start: int, end: int) -> Table:
        """Some of the groups."""
        visit = self.visit[start:end] if len(self.visit) > 1 else self.visit
        return Table(self.energy[start:end], self.shape[start:end], self.units[start:end],
                     self.asked[start:end], self.copies[start:end], visit)


class Border:
    """The items inside the fanout, cut in shapes that are alike, and what may go on outside of it.

    `slider` is an item with a window; `outside` what it costs if all loops around its cut that move it stand
    outside the fanout."""

    def __init__(self, placing: Placing, slider: int | None, outside: Array | None) -> None:
        self.placing, self.slider, self.outside = placing, slider, outside
        self.full = (1 << len(placing.items)) - 1

    def least(self, mask: int) -> Array:
        """The least cost at each tile when the items of `mask` are cut, at the tile itself or further in."""
        placing = self.placing
        raw = placing.raw[mask]
        if raw is None:
            return np.full_like(placing.first, inf)
        found = raw.copy() if mask == self.full else placing.closed(mask).copy()
        for i, run in enumerate(placing.runs):
            if placing.goes(i, mask):
                part = found[:, *run.box]
                np.minimum(part, placing.going(i, mask) + run.border, out=part)
        last = self._last(mask)
        return found if last is None else np.minimum(found, last, out=found)

    def _last(self, mask: int) -> Array | None:
        """The same if the slider is cut last, and does not move inside the fanout."""
        rest = mask & ~(1 << self.slider) if self.slider is not None else mask
        if rest == mask or self.placing.raw[rest] is None:
            return None
        assert self.outside is not None
        found: Array = self.placing.closed(rest) + self.outside
        return found

    def stay(self, late: Late) -> Array:
        """The least cost if these items are cut last, and paid for where they are cut in truth."""
        mask = self.without(late)
        if self.placing.raw[mask] is None:
            return np.full_like(self.placing.first, inf)
        found = self.placing.closed(mask) if self.slider in late else self.least(mask)
        return found + sum(self.placing.items[k].fits for k in late)

    def without(self, late: Late) -> int:
        """All items but these."""
        return self.full & ~sum(1 << k for k in late)

    def walk(self, point: Point, tiles: Tiles, late: Late) -> None:
        """Note where the items are cut, for the first shape, if they are by `point`, `late` the last."""
        mask, here = self.without(late), False
        for k in late:
            self._note(k, point, tiles)
        if self.slider not in late:
            mask, point, here = self._back(mask, point, tiles)
        self.placing.walk(0, point, tiles, mask, here)

    def _back(self, mask: int, point: Point, tiles: Tiles) -> tuple[int, Point, bool]:
        """What is left after the run or the item that stands last; whether it is cut at that very point."""
        placing, at, found = self.placing, (0, *point), self.least(mask)[(0, *point)]
        for i, run in enumerate(placing.runs):
            if not placing.goes(i, mask) or not placing.holds(i, point):
                continue
            if (placing.going(i, mask) + run.border)[at] <= found:
                return *placing.walk_run(i, 0, point, tiles, mask), False
        last = self._last(mask)
        if last is not None and last[at] <= found:
            assert self.slider is not None
            self._note(self.slider, point, tiles)
            return mask & ~(1 << self.slider), point, False
        return mask, point, mask == self.full

    def _note(self, k: int, point: Point, tiles: Tiles) -> None:
        item = self.placing.items[k]
        tiles[item.level, item.tensor.name] = self.placing.grid.tile(point)


class Inner(Costs):
    """The tables of the fanout; only shapes that are `fast` count, apart `by_units` if asked for."""

    def __init__(self, nests: Nests, keep: Keep, room: Room, by_units: bool, fast: NDArray[np.bool_],
                 order: Order | None = None) -> None:
        super().__init__(nests, keep, room, order)
        self.by_units, self.fast = by_units, fast
        self.inside = self.items(True)

    @cached_property
    def late(self) -> list[Late]:
        """The items of a tensor that may stay inside the fanout while loops outside go on: those of some of
        its levels, the outermost first."""
        found = []
        for tensor in {x.tensor.name: x.tensor for x in self.inside}.values():
            own = [k for k, x in enumerate(self.inside) if x.tensor == tensor]
            if self.nests.around(tensor):
                found += [tuple(own[:n + 1]) for n in range(len(own))]
        return found

    @cached_property
    def slider(self) -> int | None:
        """The item of which it is told apart where its window slides."""
        return next((k for k, x in enumerate(self.inside) if x.parent <= self.nests.border
                     and self.nests.windows[x.tensor.name].ranks), None)

    # ---- tables ----------------------------------------------------------------------------------

    def tables(self) -> dict[Late, Table]:
        """A table by the items that stay inside; one is for none."""
        every: list[Late] = [(), *self.late]
        groups = [self._groups(late) for late in every]
        tables = [self._empty(late, *own) for late, own in zip(every, groups, strict=True)]
        rest = self.rest()
        for kinds, like in self._alike():
            border = self.border(kinds)
            for late, (_, of), table in zip(every, groups, tables, strict=True):
                found = border.stay(late) if late else border.least(border.full)
                for own, shapes in zip(found, like, strict=True):
                    for s in shapes:
                        self._spread(own, float(rest[s]), s, int(of[s]), table)
        return dict(zip(every, tables, strict=True))

    def _groups(self, late: Late) -> tuple[Array, NDArray[np.intp]]:
        """What shapes have in common, a row a group, and the group of each shape."""
        nests = self.nests
        columns = [nests.units if self.by_units else np.ones(len(nests.shapes))]
        for tensor in [self.inside[k].tensor for k in late[:1]]:
            columns += [nests.asked(tensor), nests.along(tensor, False), *nests.slides(tensor).T]
        table = np.stack(columns, axis=1).astype(float)
        groups, of = np.unique(table, axis=0, return_inverse=True)
        return groups, of.ravel()

    def _empty(self, late: Late, groups: Array, of: NDArray[np.intp]) -> Table:
        """A table without entries."""
        energy = np.full((len(groups), *self.grid.shape), inf)
        units, asked, copies = [*([float(x) for x in column] for column in groups.T), [], []][:3]
        visit = self._visit(self.inside[late[0]], of, len(groups)) if late else np.zeros((1,) * energy.ndim)
        return Table(energy, np.zeros(energy.shape, dtype=np.int32), units, asked, copies, visit)

    def _visit(self, item: Item, of: NDArray[np.intp], groups: int) -> Array:
        """Words of a tensor that stays inside, for every visit by loops that it does not have, by group; at
        the least, where a window may slide outside."""
        tensor, around = item.tensor, tuple(i + 1 for i in self.nests.around(item.tensor))
        if not self.nests.windows[tensor.name].ranks:
            return np.full((1,) * (1 + len(self.grid.shape)), self.nests.einsum.tensor_words(tensor.name))
        found = np.full((groups, *self.grid.shape), inf)
        for s in np.flatnonzero(self.fast):
            own, whole = self.nests.below(int(s))
            words = self.nests.entering(tensor, int(s), True) / self.nests.again(tensor) + item.fits
            words = self.nests.part(int(s)).part(words).ravel()
            line = found[of[s]].ravel()
            line[whole] = np.minimum(line[whole], words[own])
        least: Array = found.min(axis=around, keepdims=True)
        return np.where(np.isfinite(least), least, 0.0)

    def due(self, late: Late, table: Table) -> Array:
        """What items that stay inside cost where they are cut in truth, shape (groups, *tiles)."""
        asked, copies = self.spread_out(table.asked), self.spread_out(table.copies)
        words = table.visit * copies * self.nests.again(self.inside[late[0]].tensor)[None]
        return np.asarray(sum(self.moved(x, words, asked if x.parent <= self.nests.border else 1.0, copies)
                              for x in (self.inside[k] for k in late)))

    def _alike(self) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Shapes that differ in what items inside the fanout cost, as many as are looked at at once, and for
        each those that are like it."""
        tensors = {x.tensor.name: x.tensor for x in self.inside}.values()
        columns = [*self.nests.lengths.T, *(c for t in tensors for c in (
            self.nests.asked(t), self.nests.along(t, False), *self.nests.slides(t).T))]
        table = np.stack(columns, axis=1).astype(float)
        _, kind = np.unique(table, axis=0, return_inverse=True)
        like: dict[int, list[int]] = {}
        for s in map(int, np.flatnonzero(self.fast)):
            like.setdefault(int(kind.ravel()[s]), []).append(s)
        parts: dict[int, list[list[int]]] = {}
        for _, shapes in sorted(like.items()):
            parts.setdefault(id(self.nests.part(shapes[0])), []).append(shapes)
        for own in parts.values():
            chunk = max(1, _AT_ONCE // prod(self.nests.part(own[0][0]).shape))
            for i in range(0, len(own), chunk):
                yield [shapes[0] for shapes in own[i:i + chunk]], own[i:i + chunk]

    def border(self, shapes: Sequence[int]) -> Border:
        """The items inside the fanout, for each of the shapes, which have the same part of the grid."""
        nests, costs, loose, runs, outside = self.nests, [], [], [], None
        grid = nests.part(shapes[0])
        items = [replace(x, fits=grid.part(x.fits)) for x in self.inside]
        for k, x in enumerate(items):
            cost = self._cost(x, shapes, grid, [nests.entering(x.tensor, s) for s in shapes])
            loose.append(cost)
            if k == self.slider:
                windows, price = nests.windows[x.tensor.name], self._price_of(x, shapes)
                cost = self._cost(x, shapes, grid, [windows.anew])
                outside = self._cost(x, shapes, grid, [nests.entering(x.tensor, s, True) for s in shapes])
                slides = [windows.slides(nests.shapes[s].factors) for s in shapes]
                runs = self.runs(k, x, slides, price, grid)
            costs.append(cost)
        first = np.zeros((len(shapes), *grid.shape))
        if nests.border == nests.depth - 1:       # nothing but units inside
            first[:] = inf
            first.reshape(len(first), -1)[:, 0] = 0.0
        placing = Placing(grid, items, costs, first, runs=runs, loose=loose)
        return Border(placing, self.slider, outside)

    def _cost(self, x: Item, shapes: Sequence[int], grid: Grid, words: Sequence[Array]) -> Array:
        copies = self.spread_out(self.nests.along(x.tensor, False)[shapes])
        entering = np.stack([grid.part(own) for own in words])
        return self.moved(x, entering, self._asked(x, shapes), copies) + x.fits

    def _price_of(self, x: Item, shapes: Sequence[int]) -> Array:
        """pJ a word of a tensor with windows."""
        one = np.ones((len(shapes), *(1,) * len(self.grid.shape)))
        return self.moved(x, one, self._asked(x, shapes), 1.0)

    def _asked(self, x: Item, shapes: Sequence[int]) -> Array | float:
        return self.spread_out(self.nests.asked(x.tensor)[shapes]) if x.parent <= self.nests.border else 1.0

    def spread_out(self, by_group: Array | NDArray[np.int64] | Sequence[float]) -> Array:
        """Numbers by group as an array over tiles."""
        return np.asarray(by_group, dtype=float).reshape(-1, *(1,) * len(self.grid.shape))

    def _spread(self, inside: Array, rest: float, s: int, group: int, table: Table) -> None:
        """Enter what stands inside a shape at the tiles of the whole array."""
        own, whole = self.nests.below(s)
        values, energy = inside.ravel()[own] + rest, table.energy[group].ravel()
        better = values < energy[whole]
        where = whole[better]
        energy[where] = values[better]
        table.shape[group].ravel()[where] = s
