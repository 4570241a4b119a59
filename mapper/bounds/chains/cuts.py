"""The best places to cut the loop nest, where each tensor may be cut at a place of its own.

Let an *item* be a tensor at a level that keeps it, other than the outermost. With `e` the extents of what
stands inside its cut, and every loop further out that the tensor does not have bringing all of it once more,
the words that enter all instances of the level depend on `e` alone, unless a window slides. No mapping moves
fewer: where the innermost loops outside the cut leave the tensor in place, the cut may as well stand further
out. So the least energy is that of a chain of cuts, each inside the one before, and a sum of what each costs:
dynamic programming over the items already cut, with an array over all tiles for each set of them (`Placing`).
While a window slides, the loops right around the cut are of one rank, and what that spares is settled where
others follow (`Run`). What stands inside the fanout is in `Inner`. See docs/search.md.

What ties items together is the room that those of one level share. `Room` gives each a share of its own;
`search.uneven.cuts` divides the shares until they fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod

import numpy as np

from ...mapping.template import Keep
from ..cap import UNCAPPED, Cap
from .costs import Costs, Order, Room
from .grid import Array, Point
from .inner import Inner, Late, Table
from .nests import Nests
from .placing import Placing, Tiles

#: Cells of tables that are kept for other chains, and that are looked at together.
_HELD, _CELLS = 25_000_000, 500_000


@dataclass(frozen=True)
class Cuts:
    """Where a chain is cut: the tile of each (level, tensor), and what is unrolled below each level with an
    array, along x and along y, by rank."""

    tiles: Tiles
    arrays: dict[int, tuple[dict[str, int], dict[str, int]]]


class Chain(Costs):
    """The best chain of cuts with one choice of what each level keeps.

    `value` is at most the objective, energy^powers[0] * cycles^powers[1], of every such mapping whose tiles
    keep to `room`, which `cap` admits and which have this `order`. `held` keeps what chains have in common.
    """

    def __init__(self, nests: Nests, keep: Keep, powers: tuple[int, int], room: Room, cap: Cap = UNCAPPED,
                 held: dict[object, dict[Late, Table]] | None = None, order: Order | None = None) -> None:
        super().__init__(nests, keep, room, order)
        fast = nests.einsum.macs / nests.units <= cap.most_cycles
        self.inner = Inner(nests, keep, room, bool(powers[1] or cap), fast, order)
        self._tables = self._inside({} if held is None else held)
        self.energy, self.units = self._solve()
        cycles = nests.einsum.macs / self.units
        values = self.energy ** powers[0] * cycles ** powers[1]
        some = np.isfinite(self.energy) & (self.energy <= (cap.most_energy(cycles) if cap else inf))
        values = np.where(some, values, inf)
        self._best = int(values.argmin())
        self.value = float(values[self._best])

    def _inside(self, held: dict[object, dict[Late, Table]]) -> dict[Late, Table]:
        items = tuple((x.level, x.parent, x.tensor.name, x.inside, self.room.get((x.level, x.tensor.name)))
                      for x in self.inner.inside)
        key = (items, tuple(self.levels(t)[-1] for t in self.nests.einsum.tensors))
        if key not in held:
            held[key] = self.inner.tables()
            while len(held) > 1 and sum(x.size for own in held.values() for x in own.values()) > _HELD:
                del held[next(iter(held))]
        return held[key]

    def _solve(self) -> tuple[Array, Array]:
        """The least energy for each number of instances at work, and these numbers."""
        table, items, costs, loose, runs = self._tables[()], self.items(False), [], [], []
        one = np.ones((1,) * (1 + len(self.grid.shape)))
        for k, x in enumerate(items):
            windows = self.nests.windows[x.tensor.name]
            loose.append((self.moved(x, self.nests.entering(x.tensor), 1.0, 1.0) + x.fits)[None])
            costs.append((self.moved(x, windows.anew, 1.0, 1.0) + x.fits)[None])
            runs += self.runs(k, x, [windows.slides({})], self.moved(x, one, 1.0, 1.0), self.grid)
        more = np.full((1 << len(items), *table.energy.shape), inf)
        self._items, self._loose = items, loose
        self._ways: list[tuple[Late, int]] = []         # to come late: what does, and the group of shapes
        self._way = np.zeros(more.shape, dtype=np.int32)
        for late in self.inner.late:
            self._come_late(late, more)
        self._outside = Placing(self.grid, items, costs, table.energy, more=more, runs=runs, loose=loose)
        least = self.grid.least(self._outside.final)
        return least.reshape(len(least), -1)[:, -1], np.array(table.units)

    def _come_late(self, late: Late, more: Array) -> None:
        """A tensor that stays inside the fanout while loops outside of it go on, and others may be cut there.
        Only loops that it does not have stand between; what it costs to bring it in is due where it is cut in
        truth. (Two tensors at once would leave no loop between, unless a window slides.)"""
        table, few = self._tables[late], max(1, _CELLS // prod(self.grid.shape))
        for start in range(0, len(table.units), few):
            part = table.part(start, start + few)
            placing, due = self._stays(late, part), self.inner.due(late, part)
            units, first = [self._tables[()].units.index(n) for n in part.units], len(self._ways)
            self._ways += [(late, start + g) for g in range(len(units))]
            for mask in range(len(more)):
                if placing.raw[mask] is not None:
                    total = placing.closed(mask) + due
                    for g, u in enumerate(units):
                        better = total[g] < more[mask, u]
                        more[mask, u][better] = total[g][better]
                        self._way[mask, u][better] = first + g

    def _stays(self, late: Late, table: Table) -> Placing:
        """The items outside while a tensor stays inside the fanout."""
        tensor = self.inner.inside[late[0]].tensor
        return Placing(self.grid, self._items, self._loose, table.energy, axes=self.nests.around(tensor),
                       without=tensor.name)

    # ---- where that is -------------------------------------------------------------------------------

    def cuts(self) -> Cuts:
        """The chain at which `value` is attained, if windows do not slide."""
        tiles: Tiles = {}
        u = self._best
        mask, point, late = self._outside.walk(u, self.grid.whole, tiles)
        stay, group = self._ways[self._way[(mask, u, *point)]] if late else ((), u)
        table = self._tables[stay].part(group, group + 1)
        if late:
            _, point, _ = self._stays(stay, table).walk(0, point, tiles, mask)
        s = int(table.shape[(0, *point)])
        factors = self.nests.factors[s]
        below: Point = tuple(int(np.flatnonzero(d * f == d[i])[0])
                             for d, f, i in zip(self.grid.divisors, factors, point, strict=True))
        self.inner.border([s]).walk(below, tiles, stay)
        return Cuts(tiles, {self.nests.border: (self.nests.shapes[s].x, self.nests.shapes[s].y)})
