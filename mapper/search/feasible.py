"""A first mapping that fits: rank by rank, as long as what is still open could fit at its smallest."""

from __future__ import annotations

from math import prod
from typing import Any, Callable, Mapping

import numpy as np

from ..errors import MappingError
from ..mapping.template import Keep, slot
from ..model.evaluate import evaluate
from ..workload.einsum import Tensor
from .space import Mapspace

#: Splits of ranks by all that they depend on.
Known = dict[tuple[object, ...], np.ndarray]
#: Words or bits that the tile of a tensor takes at a level, for extents of its ranks.
Takes = Callable[[int, Tensor, Mapping[str, Any]], Any]

_STEPS = 2000       # splits tried before giving up
_EXACT_STEPS = 5000       # where only splits are tried that none is better than


class Fit:
    """Splits of the ranks chosen one after another, and what they take at the least.

    For each rank, over its splits: `tiles` its extent in the tile of each level, `axes` its factors
    along x and y of each fanout, `spread` the product of these; shapes (splits, levels),
    (splits, levels, 2) and (splits,). Of tensors that are written down without their zeros, tiles take the
    least that they can; `accept` then tells whether a factor array really fits.
    """

    def __init__(self, space: Mapspace, keep: Keep,
                 accept: Callable[[np.ndarray], bool] | None = None,
                 ways: Mapping[str, np.ndarray] | None = None, most: int = _STEPS) -> None:
        self.space, self.keep, self.accept, self.most = space, keep, accept, most
        levels = range(space.depth)
        self.ways = ways = space.ways if ways is None else ways
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
            for have, takes in ((level.capacity_words, self.space.room),
                                (level.sparsity.metadata_bits, self.space.noted)):
                if have is not None:
                    extents = {r: self._least(self.tiles[r][:, i], r) for r in others}
                    good &= self._taken(takes, i, {**extents, rank: self.tiles[rank][:, i]}) <= have
            for axis, fanout in enumerate(self.space.architecture.fanout(i)):
                used = prod(self._least(self.axes[r][:, i, axis], r) for r in others)
                good &= used * self.axes[rank][:, i, axis] <= fanout
        most = prod(float(self.spread[r][self.chosen[r]] if r in self.chosen else self.spread[r].max())
                    for r in others)
        return np.asarray(good & (most * self.spread[rank] >= self.space.rules.workers))

    def _taken(self, takes: Takes, level: int, extents: Mapping[str, Any]) -> Any:
        """What the tiles kept at `level` take, or less, for the extents of the ranks, numbers or arrays."""
        kept = [t for t in self.space.einsum.tensors if t.name in self.keep[level]]
        return sum(takes(level, tensor, extents) for tensor in kept)

    def shares(self, takes: Takes, level: int) -> dict[str, Any]:
        """By tensor kept at `level`, what its tile takes with the splits chosen."""
        extents = {rank: int(tiles[self.chosen[rank], level]) for rank, tiles in self.tiles.items()}
        return {t.name: takes(level, t, extents)
                for t in self.space.einsum.tensors if t.name in self.keep[level]}

    def _least(self, values: np.ndarray, rank: str) -> int:
        return int(values[self.chosen[rank]] if rank in self.chosen else values.min())

    def solve(self, ranks: list[str]) -> bool:
        """Choose a split of each of `ranks`; the smallest tiles first, or, where many compute units
        must be at work, the widest. False when there is none or the steps are used up."""
        if not ranks:
            factors = self.factors()
            return bool(self.space.rules.joint(factors[None])[0]) and (
                self.accept is None or self.accept(factors))
        rank, rest = ranks[0], ranks[1:]
        spread = self.spread[rank] if self.space.rules.workers else np.ones(len(self.spread[rank]))
        order = np.lexsort((np.log(self.tiles[rank]).sum(axis=1), -spread))
        for row in order[self.good(rank)[order]]:
            self.steps += 1
            self.chosen[rank] = int(row)
            if self.steps > self.most or self.solve(rest):
                break
            del self.chosen[rank]
        return len(self.chosen) == len(self.space.einsum.ranks) and self.steps <= self.most

    def factors(self) -> np.ndarray:
        """The factor array of the splits chosen, shape (slots, ranks)."""
        return np.stack([self.ways[r][self.chosen[r]] for r in self.space.einsum.ranks], axis=1)


def first_fit(space: Mapspace, keep: Keep,
              accept: Callable[[np.ndarray], bool] | None = None) -> np.ndarray | None:
    """A factor array that fits, keeps to the constraints and is accepted; None when there is none (or
    when none was found in a good number of steps)."""
    if not all(space.counts.values()) or space.scenario.most_units < space.rules.workers:
        return None
    fit = Fit(space, keep, accept)
    ranks = sorted(space.einsum.ranks, key=lambda r: space.counts[r])
    if fit.solve(ranks):
        return fit.factors()
    if accept is not None or fit.steps <= fit.most:
        return None
    fit = Fit(space, keep, ways=least_ways(space, {}), most=_EXACT_STEPS)
    return fit.factors() if fit.solve(ranks) else None


def least_ways(space: Mapspace, known: Known) -> dict[str, np.ndarray]:
    """Of the splits of every rank those that no other one is better than: one with tiles no larger, with
    no more instances along any axis, and, where many units must be at work, with no fewer in all. If
    any splits fit together, some of these do. Those that are `known` are not listed anew."""
    rules = space.rules
    shared = (tuple(space.architecture.fanout(i) for i in range(space.depth)), bool(rules.workers),
              tuple((x.spatial.inner, x.spatial.outer, x.spatial.split) for x in rules.by_level))
    found = {}
    for column, rank in enumerate(space.einsum.ranks):
        own = (x[:, :, column].tobytes() for x in (rules.least, rules.most, rules.remainders))
        key = (rank, space.slots[rank], shared, *own)
        if key not in known:
            known[key] = _least_splits(space, rank)
        found[rank] = known[key]
    return found


def _least_splits(space: Mapspace, rank: str) -> np.ndarray:
    ways = space.splits(rank)
    tiles = [np.minimum(ways[:, 3 * i:].prod(axis=1), space.einsum.extent[rank]) for i in range(space.depth)]
    used = ways[:, [slot(i, kind) for i in range(space.depth) for kind in ("x", "y")]]
    columns = [*tiles, *used.T]
    if space.rules.workers:
        columns.append(-used.prod(axis=1))
    for i, asked in enumerate(space.rules.by_level):
        if asked.spatial.inner or asked.spatial.outer or asked.spatial.split is not None:
            for kind in ("x", "y"):     # whether it runs along an axis, both ways: neither is better
                runs = (ways[:, slot(i, kind)] > 1).astype(np.int64)
                columns += [runs, -runs]
    return ways[_undominated(np.stack(columns, axis=1))]


def _undominated(rows: np.ndarray) -> np.ndarray:
    """Indices of the rows than which no other is less in some column and more in none; one of equals."""
    sums = rows.sum(axis=1)
    left, kept = np.arange(len(rows)), []
    while len(left):        # no other row is less than the one with the least sum
        least = left[sums[left].argmin()]
        kept.append(int(least))
        left = left[(rows[left] < rows[least]).any(axis=1)]
    return np.array(kept, dtype=np.int64)


def reasons_against(space: Mapspace, keep: Keep, factors: np.ndarray) -> tuple[str, ...]:
    """What of a factor array does not fit after all, with the first of the loop orders: where tensors are
    written down without their zeros, `Fit` goes by the least that they can take."""
    if not space.architecture.sparse:
        return ()
    template = space.template(keep, tuple(orders[0] for orders in space.orders))
    try:
        evaluate(space.architecture, space.einsum, template.mapping(space.einsum, factors))
    except MappingError as error:
        return error.reasons
    return ()


def some_fit(space: Mapspace, known: Known | None = None) -> tuple[Fit | None, bool]:
    """Splits that fit together with some choice of what levels keep, and whether the answer is certain.

    None and True: nothing fits, every choice has been tried. On machines that write tensors down without
    their zeros, splits that fit as far as the least goes that tiles can take are uncertain. What is `known`
    of the splits of an Einsum may be handed from one question about it to the next.
    """
    if not space.choices.count:
        return None, True
    ways, certain = least_ways(space, {} if known is None else known), True
    if not all(map(len, ways.values())):
        return None, True
    ranks = sorted(space.einsum.ranks, key=lambda r: len(ways[r]))
    for keep in space.choices.smallest():
        fit = Fit(space, keep, ways=ways, most=_EXACT_STEPS)
        if fit.solve(ranks):
            return fit, not reasons_against(space, keep, fit.factors())
        certain = certain and fit.steps <= fit.most
    return None, certain
