"""The mapspace of one Einsum on one architecture: its choices, its size, and how it is split."""

from __future__ import annotations

from functools import cache, cached_property
from itertools import compress, permutations, product
from math import factorial, prod
from typing import Any, Callable, Iterator, Mapping, Sequence

import numpy as np

from ..bounds.arrays import factorizations_within
from ..bounds.cap import UNCAPPED, Cap
from ..bounds.problem import Problem
from ..bounds.region import TRIVIAL, Region
from ..bounds.relax import Relaxation
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.splits import Place, imperfect_splits, smallest_splits
from ..mapping.template import Template, slot
from ..workload.einsum import Einsum, Tensor, footprint
from .factors import WholeSplits, whole_splits
from .keeps import Keep, KeepChoices
from .pace import paces

#: Up to so many ranks that iterate and whose place is open, every loop order is tried.
_ALL_ORDERS = 4


class Mapspace:
    """Every keep/bypass choice, loop order, spatial assignment and factorisation that the
    constraints admit.

    The outermost level keeps every tensor unless the architecture or a constraint bypasses it there.
    At one fanout a rank is unrolled along x or along y, not both (Timeloop's mappings cannot say both),
    unless mappings may be uneven.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, constraints: Constraints = NONE) -> None:
        self.problem = problem = Problem(architecture, einsum, constraints)
        self.architecture, self.einsum, self.rules = architecture, einsum, problem.rules
        self.depth, self.ranks, self.slots = problem.depth, problem.ranks, problem.slots
        self.imperfect = problem.imperfect
        self.choices = KeepChoices(architecture, einsum, self.rules)

    def room(self, level: int, tensor: Tensor, extents: Mapping[str, Any]) -> Any:
        """Words that tiles of `extents` (numbers, or arrays of them) surely take at a level."""
        return footprint(tensor, extents) * self.problem.prices.held(level, tensor.name)

    def noted(self, level: int, tensor: Tensor, extents: Mapping[str, Any]) -> Any:
        """Bits of metadata that the tiles surely have there."""
        return self.problem.prices.noted(level, tensor.name, footprint(tensor, extents))

    def relaxation(self, cap: Cap = UNCAPPED) -> Relaxation:
        """What the programs of its regions are built from, for mappings within `cap`."""
        return Relaxation(self.problem, self.least_steps, cap)

    # ---- choices ---------------------------------------------------------------------------

    @cached_property
    def keeps(self) -> tuple[Keep, ...]:
        """Every choice of the tensors that each level keeps."""
        return tuple(self.choices.completions(self.whole)) if self.choices.count else ()

    @cached_property
    def ways(self) -> dict[str, np.ndarray]:
        """For each rank every split over all slots; shape (ways, slots), 1 where it may not go."""
        smallest = cache(smallest_splits)       # ranks of the same extent mostly have the same splits
        return {rank: self.splits(rank, smallest) for rank in self.einsum.ranks}

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many `ways` there are for each rank; those into whole factors are not listed for that."""
        return {rank: len(self.ways[rank]) if rank in self.imperfect else self._whole(rank).count
                for rank in self.einsum.ranks}

    def drawn(self, rng: np.random.Generator, number: int) -> np.ndarray:
        """Factor arrays with a way of each rank, all equally likely; shape (number, slots, ranks)."""
        columns = [self.ways[rank][rng.integers(0, len(self.ways[rank]), number)] if rank in self.imperfect
                   else self._whole(rank).draw(rng, number, 3 * self.depth) for rank in self.einsum.ranks]
        return np.stack(columns, axis=2)

    def _whole(self, rank: str) -> WholeSplits:
        return whole_splits(self.architecture, self.rules, self.slots[rank], rank, self.einsum.extent[rank])

    def splits(self, rank: str,
               smallest: Callable[[int, tuple[Place, ...]], np.ndarray] = smallest_splits) -> np.ndarray:
        """Every split of one rank (see `ways`); those with remainders from `smallest_splits`."""
        extent, allowed = self.einsum.extent[rank], list(self.slots[rank])
        if rank in self.imperfect and self._unlimited(rank, allowed):
            narrow = smallest(extent, tuple(self._place(row, rank) for row in allowed))
        elif rank in self.imperfect:
            narrow = imperfect_splits(extent, [self._limit(row, rank) for row in allowed])
        else:
            narrow = factorizations_within(extent, self.factor_limits(rank))
        wide = np.ones((len(narrow), 3 * self.depth), dtype=np.int64)
        wide[:, allowed] = narrow
        fits = self._fits_fanouts(wide) & self.rules.fits(wide, rank)
        return wide if fits.all() else wide[fits]

    def factor_limits(self, rank: str) -> list[tuple[int, int]]:
        """Least and most of the factor of a rank in each slot where it may go."""
        return [(self.rules.limits(row, rank)[0], self._limit(row, rank)[0]) for row in self.slots[rank]]

    def require_ways(self) -> None:
        """Raise TooManySplits where remainders allow more splits of a rank than can be listed."""
        for rank in self.imperfect:
            if not self._unlimited(rank, list(self.slots[rank])):
                self.splits(rank)

    def _unlimited(self, rank: str, rows: list[int]) -> bool:
        """Whether remainders of `rank` may be of any length in all of the slots `rows`."""
        return self.rules.constraints.imperfect and all(
            self.rules.remainder(row, rank) >= self.einsum.extent[rank] for row in rows)

    def _place(self, row: int, rank: str) -> Place:
        least, _ = self.rules.limits(row, rank)
        array = row if self.rules.both_axes else row // 3       # each axis counts as one
        return Place(array, least, self._limit(row, rank)[0], row % 3 != slot(0, "temporal"),
                     row // 3 < self.depth - 1)

    def _limit(self, row: int, rank: str) -> tuple[int, int]:
        """Most iterations of `rank` in one slot, and of a shorter last pass there."""
        most = self.rules.limits(row, rank)[1]
        if row % 3 != slot(0, "temporal"):
            x, y = self.architecture.fanout(row // 3)
            most = min(most, x if row == slot(row // 3, "x") else y)
        return most, self.rules.remainder(row, rank)

    @cached_property
    def least_steps(self) -> float:
        """Steps in time that every mapping with remainders takes, since the units work in lock-step and
        each rank takes a whole number of steps; 1 where that would take long to find."""
        return 1.0 if self._paces is None else float(self._paces[0].min(initial=np.inf))

    @cached_property
    def _paces(self) -> tuple[np.ndarray, np.ndarray] | None:
        if not self.imperfect:
            return None
        most = [n for i in range(self.depth) for n in reversed(self.architecture.fanout(i))]
        return paces(list(self.ways.values()), self.einsum.extents, most)

    def quickest(self, count: int) -> np.ndarray:
        """Factor arrays that take few steps in time, with small tiles: for `count` ways to spread ranks
        over the arrays, the quickest first. Shape (mappings, slots, ranks)."""
        none = np.zeros((0, len(self.einsum.ranks)), dtype=np.int64)
        chosen = none if self._paces is None else self._paces[1][:count]
        return np.stack([table[own] for table, own in zip(self.ways.values(), chosen.T, strict=True)], axis=2)

    def _fits_fanouts(self, ways: np.ndarray) -> np.ndarray:
        fits = np.ones(len(ways), dtype=bool)
        for i in range(self.depth):
            x, y = self.architecture.fanout(i)
            fits &= (ways[:, slot(i, "x")] <= x) & (ways[:, slot(i, "y")] <= y)
        return fits

    @property
    def size(self) -> float:
        """Mappings before any pruning: splits x loop orders x keep/bypass choices."""
        splits = prod(float(n) for n in self.counts.values())
        return splits * self.order_count * self.choices.count

    @property
    def order_count(self) -> float:
        """Loop orders of all levels together."""
        return prod(float(factorial(len(self._open_order(i)))) for i in range(self.ordered))

    def allowed(self, factors: np.ndarray) -> np.ndarray:
        """Which factor arrays, shape (mappings, slots, ranks), keep to the constraints and unroll no
        rank along both axes of a fanout."""
        return self.rules.allowed(factors)

    # ---- loop orders -----------------------------------------------------------------------

    @cached_property
    def windows(self) -> frozenset[str]:
        """Ranks that share a tensor axis with another rank that iterates."""
        axes = [{t.rank for t in axis} & set(self.ranks)
                for tensor in self.einsum.tensors for axis in tensor.projection]
        return frozenset().union(*(a for a in axes if len(a) > 1))

    @cached_property
    def reused_by(self) -> dict[str, frozenset[str]]:
        """For each rank the tensors that do not move with it."""
        return {r: frozenset(t.name for t in self.einsum.tensors if r not in t.ranks) for r in self.ranks}

    def _iterating(self, level: int) -> list[str]:
        """Ranks that may have a temporal loop at `level`."""
        return [r for r in self.ranks if slot(level, "temporal") in self.slots[r]]

    def _open_order(self, level: int) -> list[str]:
        """Those of them whose place in the loop order is open."""
        return [r for r in self._iterating(level) if self.rules.by_level[level].temporal.zone(r) == 0]

    @cached_property
    def orders(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """By level the loop orders that are tried, every rank of the Einsum outermost first.

        Only two things of an order matter: which tensors are stationary over the innermost loops,
        and, for a sliding window, which of its ranks moves first.
        """
        return tuple(self._orders(level) for level in range(self.depth))

    def _orders(self, level: int) -> tuple[tuple[str, ...], ...]:
        loose, zone = self._open_order(level), self.rules.by_level[level].temporal.zone
        if len(loose) <= _ALL_ORDERS:
            inner = {tuple(p) for p in permutations(loose)}
        else:
            inner = {tuple(self._order(first, then, loose)) for first in loose
                     for then in (self.windows & set(loose) or {first})}
        placed = sorted((r for r in self._iterating(level) if r not in loose), key=zone)
        first, last = [r for r in placed if zone(r) < 0], [r for r in placed if zone(r) > 0]
        idle = tuple(r for r in self.einsum.ranks if r not in self._iterating(level))
        return tuple(idle + tuple(reversed((*first, *order, *last))) for order in sorted(inner))

    def _order(self, first: str, then: str, loose: list[str]) -> list[str]:
        """Innermost first: `first`, the ranks that reuse the same tensors, `then`, all others."""
        group = [r for r in loose if self.reused_by[r] == self.reused_by[first]]
        return list(dict.fromkeys([first, *group, then, *loose]))

    @cached_property
    def orders_complete(self) -> bool:
        """Whether no order outside `orders` can be better than all of them: all are tried, or no
        window slides, no rank is reused by two tensors (then the order is the choice of the
        stationary tensor) and no pass of a loop is shorter."""
        return all(len(self._open_order(i)) <= _ALL_ORDERS for i in range(self.ordered)) or (
            not self.imperfect and not self.windows and self.ordered < self.depth
            and all(len(x) <= 1 for x in self.reused_by.values()))

    @property
    def ordered(self) -> int:
        """Levels whose loop order matters: not the innermost one, unless formats and savings ask which
        loop is which."""
        return self.depth - (not any(level.sparsity.active for level in self.architecture.levels))

    def order_options(self, region: Region) -> list[list[tuple[str, ...]]]:
        """By level the loop orders that agree with `region`."""
        options = []
        for level, (inner, orders) in enumerate(zip(region.innermost, self.orders, strict=False)):
            if inner == TRIVIAL:
                orders = orders[:1]
            elif inner is not None:
                # Ranks that must run inside `inner` do not iterate: their order does not matter.
                inside = self.rules.inside(level, inner)
                agreeing = [o for o in orders if set(o[o.index(inner) + 1:]) <= inside]
                orders = tuple({tuple(r for r in o if r not in inside): o for o in agreeing}.values())
            options.append(list(orders))
        return [*options, list(self.orders[-1][:1 if self.ordered < self.depth else None])]

    def in_order(self, region: Region, factors: np.ndarray) -> Iterator[
            tuple[tuple[tuple[str, ...], ...], np.ndarray]]:
        """The combinations of loop orders of `region`, each with those of the `factors` for which it is not
        one of the others: loops of one iteration count for nothing."""
        options = self.order_options(region)
        firsts = [self._firsts(level, orders, factors) for level, orders in enumerate(options)]
        for chosen in product(*(range(len(orders)) for orders in options)):
            own = np.logical_and.reduce([first[i] for first, i in zip(firsts, chosen, strict=True)])
            if own.any():
                yield tuple(orders[i] for orders, i in zip(options, chosen, strict=True)), factors[own]

    def _firsts(self, level: int, orders: Sequence[tuple[str, ...]], factors: np.ndarray) -> np.ndarray:
        """Where each of the `orders` of `level` is the first of its equals; shape (orders, mappings)."""
        iterates = factors[:, slot(level, "temporal")] > 1
        bits = 1 << np.arange(len(self.einsum.ranks))
        codes = iterates @ bits
        table = np.zeros((len(orders), 2 * int(bits[-1])), dtype=bool)
        for code in np.flatnonzero(np.bincount(codes)):
            own = set(compress(self.einsum.ranks, code & bits))
            loops = [tuple(rank for rank in order if rank in own) for order in orders]
            table[[loops.index(x) for x in dict.fromkeys(loops)], code] = True
        return table[:, codes]

    def template(self, keep: Keep, orders: tuple[tuple[str, ...], ...]) -> Template:
        """The class of the mappings with these choices. Neighbours pass nothing on: searches and bounds do
        not count on that."""
        levels = self.architecture.levels
        tensors = frozenset(t.name for t in self.einsum.tensors)
        return Template(tuple(level.name for level in levels), keep, orders, self.rules.no_multicast,
                        tuple(tensors if level.network.links else frozenset() for level in levels))

    # ---- splitting -------------------------------------------------------------------------

    @property
    def whole(self) -> Region:
        """All mappings: where there is a choice, it is open what is kept."""
        return self.choices.narrowed(self.root(()), self.choices.columns)

    def root(self, keep: Keep) -> Region:
        """All mappings with one keep/bypass choice."""
        return Region(keep, tuple(None if self._iterating(i) else TRIVIAL for i in range(self.depth - 1)))

    def combinations(self, region: Region) -> float:
        """Splits of the ranks left open, times loop orders."""
        fixed = dict(region.fixed)
        splits = prod(float(self.counts[r]) for r in self.einsum.ranks if r not in fixed)
        return splits * prod(float(len(o)) for o in self.order_options(region))

    def split(self, region: Region) -> list[Region]:
        """Parts that together cover `region`: by the innermost rank of its outermost open level,
        then by the splits of the rank with the fewest (window ranks first)."""
        fixed = dict(region.fixed)
        for level, inner in enumerate(region.innermost):
            if inner is None:
                row = slot(level, "temporal")
                options = [r for r in self._iterating(level) if r not in fixed or fixed[r][row] > 1]
                idle = [TRIVIAL] if all(f[row] == 1 for f in fixed.values()) else []
                return [region.with_innermost(level, r) for r in idle + options]
        loose = [r for r in self.ranks if r not in fixed]
        rank = min(loose, key=lambda r: (r not in self._kernels, self.counts[r], r))
        return [region.with_factors(rank, tuple(int(f) for f in way))
                for way in self._agreeing(region, rank)]

    @cached_property
    def _kernels(self) -> frozenset[str]:
        """On each window axis the rank with the fewest splits."""
        found = set()
        for tensor in self.einsum.tensors:
            for axis in tensor.projection:
                moving = [t.rank for t in axis if t.rank in self.ranks]
                if len(moving) > 1:
                    found.add(min(moving, key=lambda r: (self.counts[r], r)))
        return frozenset(found)

    def _agreeing(self, region: Region, rank: str) -> np.ndarray:
        """The splits of `rank` that keep the innermost loops that the region has chosen."""
        ways = self.ways[rank]
        good = np.ones(len(ways), dtype=bool)
        for level, inner in enumerate(region.innermost):
            factor = ways[:, slot(level, "temporal")]
            if inner == rank:
                good &= factor > 1
            elif inner == TRIVIAL or (inner and rank in self.rules.inside(level, inner)):
                good &= factor == 1
        return ways[good]

    def enumerate(self, region: Region) -> np.ndarray:
        """Every factor array of `region`, shape (mappings, slots, ranks); of those with remainders all whose
        tiles fit."""
        fixed = dict(region.fixed)
        columns = [np.array([fixed[r]], dtype=np.int64) if r in fixed else
                   self._agreeing(region, r) for r in self.einsum.ranks]
        if self.imperfect:
            grid = np.stack(np.nonzero(self._fitting(region, columns)))
        else:
            grid = np.indices([len(c) for c in columns]).reshape(len(columns), -1)
        return np.stack([c[i] for c, i in zip(columns, grid, strict=True)], axis=2)

    def _fitting(self, region: Region, columns: list[np.ndarray]) -> np.ndarray:
        """Where the tiles of combinations of splits, which `columns` has by rank, fit; an axis a rank."""
        fits = np.ones([len(own) for own in columns], dtype=bool)
        for parts in self.architecture.storages:
            capacity = self.architecture.levels[parts[-1]].capacity_words
            if capacity is None:
                continue
            words = np.zeros(1)
            for i in parts:
                tiles = [np.minimum(own[:, 3 * i:].prod(axis=1), n) for own, n in
                         zip(columns, self.einsum.extents, strict=True)]
                extents = dict(zip(self.einsum.ranks, np.ix_(*tiles), strict=True))
                kept = map(self.einsum.tensor, region.keep[i])
                words = words + sum(self.room(i, tensor, extents) for tensor in kept)
            fits &= words <= capacity
        return fits

