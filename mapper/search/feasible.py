"""A first mapping that fits: rank by rank, as long as what is still open could fit at its smallest."""

from __future__ import annotations

from math import prod
from typing import Any, Callable, Mapping

import numpy as np

from ..mapping.template import slot
from ..workload.einsum import footprint
from .space import Mapspace

_STEPS = 2000       # splits tried before giving up


class Fit:
    """Splits of the ranks chosen one after another, and what they take at the least.

    For each rank, over its splits: `tiles` its extent in the tile of each level, `axes` its factors
    along x and y of each fanout, `spread` the product of these; shapes (splits, levels),
    (splits, levels, 2) and (splits,). Of tensors that are written down without their zeros, tiles take the
    least that they can; `accept` then tells whether a factor array really fits.
    """

    def __init__(self, space: Mapspace, keep: tuple[frozenset[str], ...],
                 accept: Callable[[np.ndarray], bool] = lambda factors: True) -> None:
        self.space, self.keep, self.accept = space, keep, accept
        levels = range(space.depth)
        ways = space.ways
        self.tiles = {r: np.stack([np.minimum(w[:, 3 * i:].prod(axis=1), space.einsum.extent[r])
                                   for i in levels], axis=1) for r, w in ways.items()}
        self.axes = {r: np.stack([w[:, [slot(i, "x"), slot(i, "y")]] for i in levels], axis=1)
                     for r, w in ways.items()}
        self.spread = {r: a.prod(axis=(1, 2)) for r, a in self.axes.items()}
        self.chosen: dict[str, int] = {}
        self.steps = 0

    def good(self, rank: str) -> np.ndarray:
        """Which splits of `rank` can fit, given the ranks chosen and all others at their smallest."""
        good = np.ones(len(self.tiles[rank]), dtype=bool)
        others = [r for r in self.space.einsum.ranks if r != rank]
        for i, level in enumerate(self.space.architecture.levels):
            capacity = level.capacity_words
            if capacity is not None:
                extents = {r: self._least(self.tiles[r][:, i], r) for r in others}
                good &= self.words(i, {**extents, rank: self.tiles[rank][:, i]}) <= capacity
            for axis, fanout in enumerate(self.space.architecture.fanout(i)):
                used = prod(self._least(self.axes[r][:, i, axis], r) for r in others)
                good &= used * self.axes[rank][:, i, axis] <= fanout
        most = prod(float(self.spread[r][self.chosen[r]] if r in self.chosen else self.spread[r].max())
                    for r in others)
        return np.asarray(good & (most * self.spread[rank] >= self.space.rules.workers))

    def words(self, level: int, extents: Mapping[str, Any]) -> Any:
        """Words of the tiles at `level`, or less, for the extents of the ranks, numbers or arrays."""
        kept = [t for t in self.space.einsum.tensors if t.name in self.keep[level]]
        return sum(footprint(tensor, extents) * self.space.prices.held(level, tensor.name) for tensor in kept)

    def _least(self, values: np.ndarray, rank: str) -> int:
        return int(values[self.chosen[rank]] if rank in self.chosen else values.min())

    def solve(self, ranks: list[str]) -> bool:
        """Choose a split of each of `ranks`; the smallest tiles first, or, where many compute units
        must be at work, the widest. False when there is none or the steps are used up."""
        if not ranks:
            factors = self.factors()
            return bool(self.space.rules.joint(factors[None])[0]) and self.accept(factors)
        rank, rest = ranks[0], ranks[1:]
        spread = self.spread[rank] if self.space.rules.workers else np.ones(len(self.spread[rank]))
        order = np.lexsort((np.log(self.tiles[rank]).sum(axis=1), -spread))
        for row in order[self.good(rank)[order]]:
            self.steps += 1
            self.chosen[rank] = int(row)
            if self.steps > _STEPS or self.solve(rest):
                break
            del self.chosen[rank]
        return len(self.chosen) == len(self.space.einsum.ranks) and self.steps <= _STEPS

    def factors(self) -> np.ndarray:
        """The factor array of the splits chosen, shape (slots, ranks)."""
        return np.stack([self.space.ways[r][self.chosen[r]] for r in self.space.einsum.ranks], axis=1)


def first_fit(space: Mapspace, keep: tuple[frozenset[str], ...],
              accept: Callable[[np.ndarray], bool] = lambda factors: True) -> np.ndarray | None:
    """A factor array that fits, keeps to the constraints and is accepted; None when there is none (or
    when none was found in a good number of steps)."""
    if not all(map(len, space.ways.values())) or space.most_workers < space.rules.workers:
        return None
    fit = Fit(space, keep, accept)
    ranks = sorted(space.einsum.ranks, key=lambda r: len(space.ways[r]))
    return fit.factors() if fit.solve(ranks) else None
