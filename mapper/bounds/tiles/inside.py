"""Tiles of instances with shapes of the array: what they load and share, over numbers of tiles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Sequence

import numpy as np

from ...workload.einsum import Tensor
from .tiles import Tiles, every_tile, swept


@dataclass(frozen=True)
class Pairs:
    """Tiles of an instance, by rank the place of their number, with array shapes, iterations by rank; and the
    steps in time that these take. Where it is known how many coordinates the tiles have, and how often the
    loops of the middle iterate, `sizes` and `factors` say so. Shapes (ranks, pairs) and (pairs,)."""

    of: Tiles
    t: np.ndarray
    s: np.ndarray
    steps: np.ndarray
    sizes: np.ndarray | None = None
    factors: np.ndarray | None = None

    @staticmethod
    def together(parts: Sequence[Pairs]) -> Pairs:
        """The pairs of all parts, one after another, whatever is known of them besides."""
        t, s = (np.concatenate(own, axis=1) for own in zip(*((x.t, x.s) for x in parts), strict=True))
        return Pairs(parts[0].of, t, s, np.concatenate([x.steps for x in parts]))

    def at(self, where: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.of, self.t[:, where], self.s[:, where], self.steps[where], *(
            None if known is None else known[:, where] for known in (self.sizes, self.factors)))

    def known(self, sizes: np.ndarray, factors: np.ndarray) -> Pairs:
        """The pairs with tiles of so many coordinates, by rank, and the steps that these take: as many in
        every pass over the array, but in the last one if a single instance is at work then."""
        extents = np.array(self.of.extents)[:, None]
        alone = self.tiles - (self.passes - 1) * self.s == 1
        rest = np.where(alone, extents - (self.tiles - 1) * sizes, sizes)
        steps = ((self.passes - 1) * sizes + rest).prod(axis=0)
        return replace(self, sizes=sizes, factors=factors, steps=steps)

    @cached_property
    def outside(self) -> np.ndarray:
        """How many tiles of the middle there are, where its factors are known."""
        assert self.factors is not None
        return np.asarray(-(-self.passes // self.factors))

    def least(self, i: int) -> np.ndarray:
        """Coordinates of one rank in the tiles, at the least."""
        return np.asarray(self.of.least[i][self.t[i]] if self.sizes is None else self.sizes[i])

    def most(self, i: int) -> np.ndarray:
        """At the most."""
        return np.asarray(self.of.most[i][self.t[i]] if self.sizes is None else self.sizes[i])

    @cached_property
    def a(self) -> np.ndarray:
        """The tile of the array, likewise."""
        return self._by_rank([spread.passes for spread in self.of.spreads])

    @cached_property
    def alone(self) -> np.ndarray:
        """By rank shares of words that may rest (see `Spread`)."""
        return self._by_rank([spread.alone for spread in self.of.spreads])

    @cached_property
    def idle(self) -> np.ndarray:
        """Likewise."""
        return self._by_rank([spread.idle for spread in self.of.spreads])

    def single(self, ranks: Sequence[int]) -> np.ndarray:
        """The share of words, at the most, whose instance has one iteration of all loops around the array
        over one of these ranks, while others have two."""
        return np.where(self.passes == 2, self.idle, 0.0)[ranks].max(axis=0, initial=0.0)

    @cached_property
    def tiles(self) -> np.ndarray:
        """How many tiles of instances there are, by rank."""
        return self._numbers(self.t)

    @cached_property
    def passes(self) -> np.ndarray:
        """How many tiles of the array."""
        return self._numbers(self.a)

    def _by_rank(self, tables: list[np.ndarray]) -> np.ndarray:
        return np.stack([own[s, t] for own, s, t in zip(tables, self.s, self.t, strict=True)])

    def _numbers(self, places: np.ndarray) -> np.ndarray:
        return np.stack([own[x] for own, x in zip(self.of.counts, places, strict=True)]).astype(float)

    def copies(self, tensor: Tensor) -> np.ndarray:
        """Instances that have the same words."""
        return np.asarray(self.s[self.of.others(tensor)].prod(axis=0, dtype=float))

    def asked(self, tensor: Tensor, words: np.ndarray, passes: np.ndarray | float,
              entered: np.ndarray | float) -> np.ndarray:
        """Words that are asked of the parent where `words` are loaded in every pass, of which there are
        `passes`, and enter instances so many times."""
        return words * (self.shared(tensor) * passes if self.of.multicast else entered)

    def shared(self, tensor: Tensor) -> np.ndarray:
        """The share of different tiles, at the least, among those of instances that ranks of the tensor tell
        apart.

        Offsets i a + j b with i < m, j < n repeat every (b, -a) / gcd(a, b). Tiles that are cut off along
        both ranks may be equal to others once more."""
        share = np.ones(self.t.shape[1])
        for (p, u), (r, d) in self.of.windows(tensor):
            m, n = self.s[p], self.s[r]
            step, other = u * self.least(p), d * self.least(r)
            common = np.gcd(step, other)
            over = np.maximum(m - other // common, 0) * np.maximum(n - step // common, 0)
            known = self._single(p) & self._single(r)
            cut = (m > 1) & (n > 1) & ~self._whole(p) & ~self._whole(r)
            share = share * np.where(known, m * n - over, m + n - 1) / (m * n) / np.where(cut, 2, 1)
        return share

    def _single(self, i: int) -> np.ndarray:
        """Whether only one extent gives so many tiles of a rank."""
        return np.asarray(self.least(i) == self.most(i))

    def _whole(self, i: int) -> np.ndarray:
        """Whether no tile of a rank is cut off."""
        return np.asarray(self._single(i) & (self.of.extents[i] % self.least(i) == 0))

    # ---- words ---------------------------------------------------------------------------------

    def loads(self, tensor: Tensor, broken: Sequence[int] | None = None) -> dict[int | None, np.ndarray]:
        """Words that all tiles load, each once, if nothing slides (None), or at the least where windows slide
        along a rank in steps of the array; in steps of the innermost loop of the middle that moves the
        tensor, where it is known which ranks have others there that take it back (`broken`)."""
        found: dict[int | None, np.ndarray] = {}
        for slider in [None, *self.of.sliders(tensor)]:
            words = np.ones(self.t.shape[1])
            for axis in tensor.projection:
                own = self.of.own(axis)
                if slider in [i for i, _ in own]:
                    words = words * self._sliding(own if own[0][0] == slider else own[::-1], broken)
                else:
                    words = words * every_tile([(c, self.of.extents[i], self.tiles[i]) for i, c in own])
            if slider is not None:
                words = np.where(self.passes[slider] > 1, np.minimum(words, found[None]), found[None])
            found[slider] = words
        return found

    def _sliding(self, own: list[tuple[int, int]], broken: Sequence[int] | None) -> np.ndarray:
        """Words along a window that slides along the first of its ranks; where sweeps follow upon each
        other, as if they were one, but for those that loops of the middle over `broken` ranks cut."""
        (p, u), (r, d) = own
        n, m = self.tiles[p], self.tiles[r]
        step, wide = u * self.least(p), self.most(r)
        pieces = self.s[p] if broken is None else np.minimum(self.s[p] * self._pieces(p, broken), n)
        def held(around: np.ndarray) -> np.ndarray:     # by all instances first
            again = np.minimum(around, step * (self.s[p] - 1))
            return n * again + pieces * (around - again)

        words = swept(u * self.of.extents[p], (self.of.extents[r], d), u, m, wide, n, held)
        # After each sweep, of two steps at the least, a step of the other rank that undoes it loads nothing,
        # and one that goes on with it what steps do.
        box = u * (self.most(p) - 1) + d * (wide - 1) + 1
        ends = self.passes[p] // 2
        if self.factors is not None and broken is not None:
            ends = np.where(self.factors[p] > 1, self.outside[p], ends)
        undone, gone_on = (self._undone((p, u), (r, d)) if self.factors is None else
                           self._meet((p, u), (r, d), broken is not None))
        spared = np.where(undone, box, np.where(gone_on, np.maximum(box - step * self.s[p], 0), 0))
        return np.maximum(words - m * self.s[p] * ends * spared, max(self.of.extents[p], self.of.extents[r]))

    def _undone(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Whether steps along a rank of a window (each with its coefficient), of `a` words, may be undone by
        steps along the other, of `b` words; and whether they may be gone on with."""
        (p, _), (r, _) = one, other
        a, b = (c * self.s[i] * self.least(i) for i, c in (one, other))
        common, found = np.gcd(a, b), list[np.ndarray]()
        for most in (self.passes[p] - 1, self.passes[p]):
            known = (b // common <= most) & (a // common < self.passes[r])
            far, wide = (c * self.s[i] * self.most(i) * n for (i, c), n in (
                (one, most), (other, self.passes[r] - 1)))
            found.append(np.where(self._single(p) & self._single(r), known, (far >= b) & (wide >= a)))
        return found[0], found[1]

    def _meet(self, one: tuple[int, int], other: tuple[int, int],
              innermost: bool) -> tuple[np.ndarray, np.ndarray]:
        """The same where the factors of the middle are known; `innermost`: for steps of a loop of the middle
        inside of which none is of the other rank."""
        (p, u), (r, d) = one, other
        a, b = u * self.s[p] * self.least(p), d * self.s[r] * self.least(r)
        found = list[np.ndarray]()
        for more in (0, 1):     # steps that are left where the other rank has taken them back
            ways = [able & (steps * b % a == 0) & (steps * b <= a * (self.passes[p] - 1 + more))
                    for steps, able in self._steps(r)]
            for steps, able in self._steps(p)[innermost:]:
                back = (steps - more) * a
                ways.append(able & (back % b == 0) & (back >= b) & (back <= b * (self.passes[r] - 1)))
            found.append(np.logical_or.reduce(ways))
        return found[0], found[1]

    def _steps(self, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Steps of the array along a rank that one of a loop of the middle amounts to, or one further out
        while that of the middle is taken back, by one step or from the last one (see `model.walk`); and
        whether there is such a loop."""
        assert self.factors is not None
        f, further = self.factors[i], self.outside[i] > 1
        last = self.passes[i] - (self.outside[i] - 1) * f
        return [(np.ones(len(f)), self.passes[i] > 1),
                *((np.clip(steps, 1, f), further) for steps in (f, f - 1, f - last + 1, f - last + 2))]

    def _pieces(self, p: int, broken: Sequence[int]) -> np.ndarray:
        """Into how many pieces other loops of the middle cut a sweep along a rank, at the least: it goes on
        only where a loop of that rank further out takes a step."""
        assert self.factors is not None
        outside, others = self.outside, [k for k in broken if k != p]
        cut = (outside[p] - 1) * (1.0 - (outside[others] / self.passes[others]).prod(axis=0))
        alone = self.passes[p] - (outside[p] - 1) * self.factors[p] == 1
        idle = alone & (self.tiles[p] < self.passes[p] * self.s[p])        # some have no last piece
        return np.asarray(np.where(self.factors[p] > 1, 1.0 + np.maximum(cut - idle, 0.0), 1.0))


def anew_at_least(tiles: Tiles, tensor: Tensor, t: np.ndarray) -> np.ndarray:
    """Words that enter all instances by their tile, shape (ranks, tiles), at the least for any shape of the
    array, if they are fetched anew for every tile; a window that slides brings in half of its steps at
    least."""
    counts = [own[x].astype(float) for own, x in zip(tiles.counts, t, strict=True)]
    words = prod((counts[i] for i in tiles.others(tensor)), start=np.ones(t.shape[1]))
    for own in map(tiles.own, tensor.projection):
        every = every_tile([(c, tiles.extents[i], counts[i]) for i, c in own])
        for (p, u), (r, d) in (own, own[::-1]) if len(own) > 1 else ():
            gaps = np.minimum(d * tiles.least[r][t[r]] + 1 - d - u, 0)
            every = np.minimum(every, counts[r] * (u * tiles.extents[p] + counts[p] * gaps) / 2)
        least = max((tiles.extents[i] for i, _ in own), default=1)
        words = words * np.maximum(every, least)
    return np.asarray(words)
