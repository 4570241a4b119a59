"""Bounds over whole factors: a minimum over the lattice of divisors, for one keep/bypass choice.

The machine is cut at its array. Outside there is the level above the array, the *middle*, and perhaps the
outermost level above that; with e the tile of the middle, a what the whole array holds, t the tile of one
instance and s the shape unrolled (t s = a, a | e),

    energy = outer(e) + inner(t, s) [+ tensors whose traffic also depends on e / a].

So for every pair (t, s) the least outer cost of all e that a divides is looked up in a table, which takes a
minimum along the multiples of every divisor, rank by rank. Traffic that depends on e / a as well does so
through few ranks: those that leave a stationary tensor where it is, and the one that a window slides along.
Over their extents in e it is looped. Which tensors are stationary, and where, makes the *variants* that
together cover every loop order (see docs/search.md).
"""

from __future__ import annotations

from itertools import pairwise
from math import inf
from typing import Callable

import numpy as np

from ...mapping.template import slot
from .inside import ways_inside
from .lattice import Tiling
from .middle import Best, Middle, spread
from .traffic import Pairs
from .variants import Variant
from .ways import Ways

_FIRST_TOGETHER = 30_000      # pairs looked at together, at first
_MOST_TOGETHER = 1_000_000    # and at the most
_LISTED = 8_000_000           # ways times shapes of which pairs are listed once, whatever is kept outside
_KEPT = 16                    # tilings handed on
_ARRAYS, _SHAPES, _PAIRS = 2048, 32, 500     # tiles, shapes and pairs of both that are likely to be good
_BETTER = 0.99                # told of at once: tilings with so much of the value of the last one, or less


class LatticeBound(Middle):
    """Least objective over every factorisation and loop order of one keep/bypass choice that may lie
    within a `cap`."""

    def quick(self) -> float:
        """What is proven by each of the tiles for itself, which takes little time; 0 when the lattice is too
        large. Where there are many ways through a pass, they are left aside."""
        if self.l.depth - self.middle > 2:
            return self._by_outside()
        ways = self._inside()
        least = inf
        for own in ways or []:
            parts = [array.min() + inside.min() for array, inside in self._parts(own)]
            least = min(least, self._within_cap(min(parts) + self._by_shape()))
        return 0.0 if ways is None else least

    def _inside(self) -> list[Ways] | None:
        """The ways through a pass, which depend on what the levels below the array keep."""
        key = "inside", self.l.coarse, self.keep[self.middle + 1:]
        return self.l.once(key, lambda: ways_inside(self.l, self.keep))

    def _by_outside(self) -> float:
        """What is proven by the tile and the shape of the array, whatever happens inside."""
        return self._within_cap(min(array.min() for array in self._arrays()) + self._by_shape())

    def _within_cap(self, energy: np.ndarray) -> float:
        """The least objective, by what energy the shapes of the array need at the least."""
        cycles = self.steps / self.l.instances
        good = energy + self._leak(cycles) <= self.cap.most_energy(cycles)
        return float(np.where(good, self._objective(energy, cycles), inf).min(initial=inf))

    def solve(self, cutoff: float, tell: Callable[[Tiling], None] | None = None
              ) -> tuple[float, list[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), or None when the
        lattice is too large. `tell` is handed tilings that are clearly better than any before as soon as
        they are found, long before it is proven that there is nothing better."""
        ways = self._inside()
        if ways is None:
            return None
        self._begin(cutoff, tell)
        for own in ways:
            self._every_pair(own)
        self.found.reverse()
        return self.cutoff, [self._tiling(*found) for found in self.found[:_KEPT]]

    def _begin(self, cutoff: float, tell: Callable[[Tiling], None] | None) -> None:
        told = self.cutoff = cutoff
        self.found = []

        def best(found: Best) -> None:
            nonlocal told
            if tell is not None and found[0] <= told * _BETTER:
                told = found[0]
                tell(self._tiling(*found))

        self.tell = best

    def glimpse(self, cutoff: float, tell: Callable[[Tiling], None]) -> None:
        """Hand `tell` tilings as `solve` does, of the pairs that are likely to be good; nothing is proven."""
        self._begin(cutoff, tell)
        for ways in self._inside() or []:
            self._likely_pairs(ways)

    # ---- pairs of a pass and an array shape ---------------------------------------------------

    def _likely_pairs(self, ways: Ways) -> None:
        """Look at the pairs with these ways of which the least is proven."""
        least, unrolled, shapes = self._parts(ways), self._by_shape(), self.l.shapes
        around = np.minimum.reduce([array + inside.min(initial=inf) for array, inside in least])
        cycles = self.steps / self.l.instances
        wide = np.argsort(self._objective(around.min() + unrolled, cycles), kind="stable")[:_SHAPES]
        own = np.argsort(around, kind="stable")[:_ARRAYS]
        array, shape = np.nonzero(self.l.divides(own, shapes[wide]))
        array, shape = own[array], wide[shape]
        way, which = ways.of(self.l.ratio(array, shapes[shape]))
        array, shape = array[which], shape[which]
        energy = np.minimum.reduce([outside[array] + inside[way] for outside, inside in least])
        value = self._objective(energy + unrolled[shape], cycles[shape])
        best = np.argsort(value, kind="stable")[:_PAIRS]
        best = best[value[best] < self.cutoff]
        best = best[np.argsort(array[best], kind="stable")]
        if len(best):
            pairs = self._pairs(ways, way[best], shapes[shape[best]], array[best])
            self._look(ways, pairs, np.ones((len(least), len(best)), dtype=bool))

    def _every_pair(self, ways: Ways) -> None:
        """Look at all pairs with these ways, by what the tile of the array costs at the least."""
        least, unrolled = self._parts(ways), self._by_shape()
        shapes, instances = self.l.shapes, self.l.instances
        around = np.minimum.reduce([array + inside.min() for array, inside in least])
        arrays = np.argsort(around, kind="stable")
        start, together = 0, _FIRST_TOGETHER
        while start < len(arrays) and len(shapes):
            own = arrays[start:start + max(together // len(shapes), 1)]
            start, together = start + len(own), min(2 * together, _MOST_TOGETHER)
            room = self._budget(instances) - unrolled
            if around[own[0]] >= room.max():
                break
            array, shape, tile = self._with_ways(ways, own)
            some = np.flatnonzero(around[array] < room[shape])
            way, which = ways.of(tile[some])
            array, shape = array[some[which]], shape[some[which]]
            may = self.l.windows.hopes.may(ways.asks[way], array)
            array, shape, way = array[may], shape[may], way[may]
            near = np.stack([outside[array] + inside[way] < room[shape] for outside, inside in least])
            some = np.flatnonzero(near.any(axis=0))
            if len(some):
                pairs = self._pairs(ways, way[some], shapes[shape[some]], array[some])
                self._look(ways, pairs, near[:, some])

    def _with_ways(self, ways: Ways, arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of tiles of the array those pairs with a shape that leave ways, and the tile of an instance."""
        shapes = self.l.shapes
        if len(ways.tile) * len(shapes) > _LISTED:
            array, shape = np.nonzero(self.l.divides(arrays, shapes))
            return arrays[array], shape, self.l.ratio(arrays[array], shapes[shape])
        first, count, shape, tile = self.l.once(
            ("pairs", self.l.coarse, self.keep[self.middle + 1:], ways.stays), lambda: self._listed(ways))
        which, place = spread(first[arrays], count[arrays])
        return arrays[which], shape[place], tile[place]

    def _listed(self, ways: Ways) -> tuple[np.ndarray, ...]:
        """By tile of the array, where its shapes and tiles of an instance begin, and how many; and these."""
        tiles = np.unique(ways.tile)
        tile, shape, array = self.l.times(tiles, self.l.shapes)
        order, count = np.argsort(array, kind="stable"), np.bincount(array, minlength=len(self.l.points))
        found = (which[order].astype(np.int32) for which in (shape, tiles[tile]))
        return np.cumsum(count) - count, count, *found

    def _pairs(self, ways: Ways, way: np.ndarray, shape: np.ndarray, array: np.ndarray) -> Pairs:
        return Pairs(ways.stays, way, ways.tile[way], shape, array,
                     {stream: words[way] for stream, words in ways.words.items()},
                     self.l.points[shape].prod(axis=1, dtype=float))

    # ---- what attains it -----------------------------------------------------------------------

    def _tiling(self, value: float, variant: Variant, ways: Ways, pairs: Pairs,
                chosen: tuple[int, ...]) -> Tiling:
        """A pair in a variant, with the middle tile of the least outer cost."""
        points, a, s, columns = self.l.points, int(pairs.a[0]), int(pairs.s[0]), self.l.columns
        e = self._middle_tile(variant, a, chosen)
        factors = np.ones((3 * self.l.depth, len(self.l.einsum.ranks)), dtype=np.int64)
        if self.middle:
            factors[slot(0, "temporal"), columns] = self.l.extents // points[e]
        factors[slot(self.middle, "temporal"), columns] = points[e] // points[a]
        x, y = self.l.arrays[s]
        factors[slot(self.middle, "x"), columns], factors[slot(self.middle, "y"), columns] = x, y
        way, unit = int(pairs.way[0]), np.zeros(1, dtype=np.int64)
        orders = [self.variants.orders(variant)]
        if self.middle:
            outer = [r for r in self.l.ranks if self.outer[r][e] == self.outer[variant.outer][e]]
            classes = dict.fromkeys(own for own in self.l.classes.values() if own & set(outer))
            orders.insert(0, tuple(o for own in classes for o in self.variants.all_sliders(own)))
        chain = np.concatenate([ways.chain[way], unit])
        for level, (outside, inside) in enumerate(pairwise(chain.tolist()), self.middle + 1):
            factors[slot(level, "temporal"), columns] = points[outside] // points[inside]
            index = int(ways.orders[way, level - self.middle - 1])
            inner = frozenset[str]() if index < 0 else list(self.l.classes.values())[index]
            orders.append(self.variants.all_sliders(inner))
        return Tiling(value, factors, tuple(orders))

    def _middle_tile(self, variant: Variant, array: int, chosen: tuple[int, ...]) -> int:
        """The middle tile of the least outer cost, for the extents `chosen` of the ranks that are coupled."""
        outer = self.outer[variant.outer].copy()
        coupled = [r for r in self.l.ranks if r in variant.coupled - variant.held]
        for i, (rank, admitted) in enumerate(zip(self.l.ranks, self._admitted, strict=True)):
            fits = admitted[self.l.grid[i, array]]
            if rank in variant.held:
                fits = np.arange(len(fits)) == self.l.grid[i, array]
            elif rank in variant.coupled:
                fits = np.arange(len(fits)) == chosen[coupled.index(rank)]
            outer[~fits[self.l.grid[i]]] = inf
        return int(outer.argmin())
