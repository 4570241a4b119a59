"""Tiles of instances with shapes of the array: what they load and share, over numbers of tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from ..workload.einsum import Tensor
from .tiles import Tiles, every_tile, swept


@dataclass(frozen=True)
class Pairs:
    """Tiles of an instance, by rank the place of their number, with array shapes, iterations by rank; and the
    steps in time that these take. Shapes (ranks, pairs) and (pairs,)."""

    of: Tiles
    t: np.ndarray
    s: np.ndarray
    steps: np.ndarray

    def at(self, where: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.of, self.t[:, where], self.s[:, where], self.steps[where])

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
            step, other = u * self.of.least[p][self.t[p]], d * self.of.least[r][self.t[r]]
            common = np.gcd(step, other)
            over = np.maximum(m - other // common, 0) * np.maximum(n - step // common, 0)
            known = self._single[p][self.t[p]] & self._single[r][self.t[r]]
            cut = (m > 1) & (n > 1) & ~self._whole[p][self.t[p]] & ~self._whole[r][self.t[r]]
            share = share * np.where(known, m * n - over, m + n - 1) / (m * n) / np.where(cut, 2, 1)
        return share

    @property
    def _single(self) -> list[np.ndarray]:
        """By rank, whether only one extent gives so many tiles."""
        return [least == most for least, most in zip(self.of.least, self.of.most, strict=True)]

    @property
    def _whole(self) -> list[np.ndarray]:
        """By rank, whether no tile is cut off."""
        return [single & (n % least == 0) for single, n, least in zip(
            self._single, self.of.extents, self.of.least, strict=True)]

    # ---- words ---------------------------------------------------------------------------------

    def loads(self, tensor: Tensor) -> dict[int | None, np.ndarray]:
        """Words that all tiles load, each once, if nothing slides (None), or at the least where windows slide
        along a rank in steps of the array."""
        found: dict[int | None, np.ndarray] = {}
        for slider in [None, *self.of.sliders(tensor)]:
            words = np.ones(self.t.shape[1])
            for axis in tensor.projection:
                own = self.of.own(axis)
                if slider in [i for i, _ in own]:
                    words = words * self._sliding(own if own[0][0] == slider else own[::-1])
                else:
                    words = words * every_tile([(c, self.of.extents[i], self.tiles[i]) for i, c in own])
            if slider is not None:
                words = np.where(self.passes[slider] > 1, np.minimum(words, found[None]), found[None])
            found[slider] = words
        return found

    def _undone(self, one: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
        """Whether tiles of the array that differ along two ranks of a window (each with its coefficient) may
        begin at the same word: steps along one, `a` words each, then lead back along the other, `b` each."""
        (p, _), (r, _) = one, other
        a, b = (c * self.s[i] * self.of.least[i][self.t[i]] for i, c in (one, other))
        common = np.gcd(a, b)
        known = (b // common < self.passes[p]) & (a // common < self.passes[r])
        widest = (c * self.s[i] * self.of.most[i][self.t[i]] * (self.passes[i] - 1) for i, c in (one, other))
        possible = (next(widest) >= b) & (next(widest) >= a)
        single = self._single[p][self.t[p]] & self._single[r][self.t[r]]
        return np.asarray(np.where(single, known, possible))

    def _sliding(self, own: list[tuple[int, int]]) -> np.ndarray:
        """Words along a window that slides along the first of its ranks; where sweeps follow upon each other,
        as if they were one."""
        (p, u), (r, d) = own
        n, m = self.tiles[p], self.tiles[r]
        step, wide = u * self.of.least[p][self.t[p]], self.of.most[r][self.t[r]]
        def held(around: np.ndarray) -> np.ndarray:     # by all instances first
            again = np.minimum(around, step * (self.s[p] - 1))
            return n * again + self.s[p] * (around - again)

        words = swept(u * self.of.extents[p], (self.of.extents[r], d), u, m, wide, n, held)
        # After each sweep, of two steps at the least, a step of the other rank that undoes it loads nothing.
        box = u * (self.of.most[p][self.t[p]] - 1) + d * (wide - 1) + 1
        sweeps = np.where(self._undone((p, u), (r, d)), m * self.s[p] * (self.passes[p] // 2), 0.0)
        return np.maximum(words - sweeps * box, max(self.of.extents[p], self.of.extents[r]))


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
