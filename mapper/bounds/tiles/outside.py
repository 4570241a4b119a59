"""What a machine that is cut at its array pays above the tile of the array, over numbers of tiles."""

from __future__ import annotations

from math import inf, prod
from typing import Hashable, NamedTuple

import numpy as np

from ...mapping.template import Keep
from ...model.network import entry_price
from ...workload.einsum import Tensor
from ..lattice.ports import PortPrices
from ..prices import Prices
from ..programs.bound import ROUNDING
from .tiles import Tiles

_MOST_NUMBERS = 16_000_000    # in tables together


class Rates(NamedTuple):
    """Energy of what crosses a boundary, pJ: `asked` a word asked of the parent, `filled` a word that
    enters a child, less `first` a word of the tensor, and `copied` for every copy of it in the children
    (partial sums are not read where there are none yet)."""

    asked: float
    filled: float
    first: float
    copied: float

    @property
    def word(self) -> float:
        """Of a word that is asked for once and enters one child."""
        return self.asked + self.filled


class Outside:
    """Costs of one keep/bypass choice by the tile of the middle, the level above the array."""

    def __init__(self, tiles: Tiles, keep: Keep,
                 prices: PortPrices | None = None) -> None:
        self.l, self.keep = tiles, keep
        self.tensors = tiles.einsum.tensors
        self.prices: Prices | PortPrices = prices or tiles.scenario.prices
        #: What is counted, where that is not energy but the cycles of a port.
        self.figure: Hashable = (prices.level, prices.actions) if prices else ""
        self.base = self.prices.computes(keep)
        self.sizes = {t.name: float(tiles.einsum.tensor_words(t.name)) for t in self.tensors}
        #: Tensors that the instances of the array keep.
        self.held = [] if tiles.inside is None else [t for t in self.tensors if t.name in keep[tiles.inside]]

    # ---- what bounds that keep the same at the middle share --------------------------------------

    @property
    def _kept(self) -> frozenset[str]:
        return self.keep[1] if self.l.middle else frozenset()

    @property
    def _shared(self) -> tuple[list[np.ndarray], dict[Hashable, np.ndarray]]:
        """Costs by the innermost outer loop (see `_outer`), and tables of these; only the last are known."""
        key = self.figure, self._kept
        if key not in self.l.outside:
            if any(kept != self._kept for _, kept in self.l.outside):
                self.l.outside.clear()
            self.l.outside[key] = self._outer(), {}
        return self.l.outside[key]

    @property
    def least_outside(self) -> float:
        """The least of all outer costs."""
        key = self.figure, self._kept
        if key not in self.l.floors:
            self.l.floors[key] = min(float(own.min()) for own in self._shared[0])
        return self.l.floors[key]

    # ---- prices --------------------------------------------------------------------------------

    def parent(self, tensor: Tensor) -> int:
        """The level that a tensor comes from when it enters the array."""
        return self.l.middle if tensor.name in self.keep[self.l.middle] else 0

    def rates(self, tensor: Tensor, parent: int, child: int | None) -> Rates:
        """Of the boundary between two levels; `child`: None for the units."""
        def price(level: int | None, action: str) -> float:
            return 0.0 if level is None else self.prices.word(self.keep, level, tensor.name, action)

        entry = entry_price(self.l.arch.levels[parent].network)
        entry = entry and entry * self.prices.moved(self.keep, parent, tensor.name)
        if not tensor.is_output:
            return Rates(price(parent, "read") + entry, price(child, "fill"), 0.0, 0.0)
        if not tensor.has_disjoint_tiles:       # first touches of overlapping outputs are not bounded here
            return Rates(price(parent, "update") + entry, 0.0, 0.0, 0.0)
        read, fill = price(parent, "read"), price(child, "fill")
        return Rates(price(parent, "update") + entry + read, fill, read, fill)

    def entering(self, tensor: Tensor) -> Rates:
        """Of what enters the instances of the array, which keep the tensor."""
        return self.rates(tensor, self.parent(tensor), self.l.inside)

    def blocks(self, tensor: Tensor, level: int, action: str, words: np.ndarray) -> np.ndarray | float:
        """What it costs besides that a level outside the array moves whole blocks, of at least so many
        words."""
        size = self.l.arch.levels[level].block_words
        if size == 1 or self.figure:
            return 0.0
        price = self.prices.word(self.keep, level, tensor.name, action)
        return price * (np.ceil(words / size * (1.0 - ROUNDING)) * size - words).clip(0.0)

    # ---- between the outermost level and the middle --------------------------------------------

    def _outer(self) -> list[np.ndarray]:
        """By rank what tiles of the middle cost at the least if its loop is the innermost one at the
        outermost level, at all points; inf where they do not fit."""
        if self.l.middle == 0:      # the middle is the outermost level, and its tile is everything
            whole = np.full(self.l.shape, inf)
            whole.flat[0] = 0.0
            return [whole for _ in self.l.ranks]
        kept = [t for t in self.tensors if t.name in self.keep[1]]
        words = sum((self.l.volume(t) for t in kept), np.zeros(()))
        room = np.where(words <= (self.l.arch.levels[1].capacity_words or inf), 0.0, inf)
        found = []
        for i in range(len(self.l.ranks)):
            cost = room
            for tensor in kept:
                rates, words = self.rates(tensor, 0, 1), self._crossing(tensor, i)
                lost = (rates.first + rates.copied) * self.sizes[tensor.name]
                cost = cost + (rates.word * words - lost)
                for level, action in ((0, "read"), (1, "fill")) if not tensor.is_output else ():
                    cost = cost + self.blocks(tensor, level, action, words)
            table = np.array(np.broadcast_to(cost, self.l.shape))
            once = table.flat[0]
            table[self.l.where(i, self.l.counts[i] == 1)] = inf      # the loop iterates, unless none does
            table.flat[0] = once
            found.append(table)
        return found

    def outer(self, places: np.ndarray, innermost: int | None) -> np.ndarray:
        """The same where the numbers of tiles have these places, by rank, shape (ranks, ...)."""
        return np.asarray(self._shared[0][innermost or 0][tuple(places)])

    def _crossing(self, tensor: Tensor, innermost: int) -> np.ndarray:
        """Words that enter the middle, at the least, with the loop of a rank innermost above it."""
        every = self.l.loads(tensor, None)
        along = [innermost] if innermost in self.l.moving(tensor) else self.l.sliders(tensor)
        for slider in along if along and along[0] in self.l.sliders(tensor) else []:
            every = np.minimum(every, self.l.loads(tensor, slider))
        return every * self.l.times(self.l.others(tensor)) if innermost in self.l.moving(tensor) else every

    # ---- tables by the tile of the array -------------------------------------------------------

    def table(self, kind: str, tensor: Tensor | None = None, cut: int | None = None,
              but: int | None = None) -> np.ndarray:
        """The least outer cost of the middle tiles around a tile of the array, at all points: of "any"; of
        those with outer loops the innermost of which moves a stationary tensor ("moved") or does not
        ("bare"), each also with what the tensor costs as often as the middle changes, at the least ("moved
        still", "bare still"), or for every number of middle tiles in the ranks that do not move it ("moved
        at", "bare at"); or where the middle tile is that of the array in the ranks of the tensor, which no
        outer loop moves either ("far"), or the innermost of which is over the rank `but` ("lone",
        likewise). Only of middle tiles of which there are several along the rank `cut`, and else which are
        those of the array in all ranks of the tensor `but` one, if these are given."""
        key, (_, tables) = (kind, tensor.name if tensor else "", cut, but), self._shared
        if key not in tables:
            while len(tables) * prod(self.l.shape) > _MOST_NUMBERS:
                del tables[next(iter(tables))]
            table = self._around(kind, tensor, but)
            if cut is not None:
                table[self.l.where(cut, self.l.counts[cut] == 1)] = inf
            ranks = set(range(len(self.l.ranks)))
            if tensor is not None:
                if kind == "far" or kind.startswith("lone"):
                    ranks -= set(self.l.moving(tensor))
                elif but is not None:
                    ranks -= set(self.l.moving(tensor)) - {but}
                ranks -= set(self.l.others(tensor)) if kind.endswith("at") else set()
            for i in sorted(ranks):
                rows = np.moveaxis(table, i, 0)
                for k in range(1, len(rows)):       # several times as fast as ufunc.accumulate
                    np.minimum(rows[k - 1:k], rows[k:k + 1], out=rows[k:k + 1])
            tables[key] = table
        return tables[key]

    def _around(self, kind: str, tensor: Tensor | None, lone: int | None = None) -> np.ndarray:
        """What `table` has the least of, as an array of its own."""
        outer, _ = self._shared
        if tensor is None:
            return np.array(np.minimum.reduce(outer))
        own, others = self.l.moving(tensor), self.l.others(tensor)
        table = np.full(self.l.shape, inf)
        any_of = range(len(outer)) if kind.startswith("any") else own if kind.startswith("moved") else others
        for i in [lone] if kind.startswith("lone") and lone is not None else any_of:
            np.minimum(table, outer[i], out=table)
        if kind.endswith("still"):
            table += self.entering(tensor).word * self.l.floor(tensor) * self.l.times(others)
        return table

    def middle_tile(self, size: list[int], passes: list[int], kind: str, tensor: Tensor | None,
                    price: float) -> list[int]:
        """The middle tile of the least outer cost around a tile of the array of so many coordinates, of which
        there are so many: iterations of its loops, by rank. `tensor` is stationary, at `price` a pass of the
        middle, or without price where the middle tile is that of the array in its ranks (see `table`)."""
        counts = [own[own <= n] for own, n in zip(self.l.counts, passes, strict=True)]
        loops = [-(-n // own) for n, own in zip(passes, counts, strict=True)]
        cost = self._around(kind, tensor)[tuple(slice(0, len(own)) for own in counts)]
        tiles = [np.minimum(a * f, n) for a, f, n in zip(size, loops, self.l.extents, strict=True)]
        words = sum((self.l.volume(t, tiles) for t in self.tensors if t.name in self.keep[self.l.middle]),
                    np.zeros(()))
        fits = np.broadcast_to(words <= (self.l.arch.levels[self.l.middle].capacity_words or inf), cost.shape)
        cost = np.where(fits, cost, inf)
        again: np.ndarray | float = price
        for i in self.l.others(tensor) if tensor else []:
            again = again * self.l.along(i, counts[i].astype(float))
        for i in self.l.moving(tensor) if tensor and kind == "far" else []:
            cost = np.where(self.l.along(i, loops[i]) == 1, cost, inf)
        best = np.unravel_index(int((cost + again).argmin()), cost.shape)
        return [int(own[k]) for own, k in zip(loops, best, strict=True)]
