"""How the ranks of a mapspace may be split into factors, one for each slot."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Callable

import numpy as np

from ..bounds.divisors import factorizations_within
from ..bounds.scenario import Scenario
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.splits import Place, imperfect_splits, smallest_splits
from ..mapping.template import slot
from ..workload.einsum import Einsum
from .pace import paces
from .whole_splits import WholeSplits, whole_splits


class Splits:
    """The splits of every rank of one scenario that machine and constraints admit."""

    def __init__(self, architecture: Architecture, einsum: Einsum, constraints: Constraints = NONE) -> None:
        self.scenario = scenario = Scenario(architecture, einsum, constraints)
        self.architecture, self.einsum, self.rules = architecture, einsum, scenario.rules
        self.depth, self.ranks, self.slots = scenario.depth, scenario.ranks, scenario.slots
        self.imperfect = scenario.imperfect

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

    # ---- steps in time ---------------------------------------------------------------------------

    @cached_property
    def least_steps(self) -> float:
        """Steps in time that every mapping with remainders takes, since the units work in lock-step and
        each rank takes a whole number of steps; 1 where that would take long to find."""
        found = self._paced([self._quickest(rank) for rank in self.einsum.ranks]) if self.imperfect else None
        return 1.0 if found is None else float(found[0].min(initial=np.inf))

    @cached_property
    def _paces(self) -> tuple[np.ndarray, np.ndarray] | None:
        return self._paced(list(self.ways.values())) if self.imperfect else None

    def _paced(self, ways: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
        return paces(ways, self.einsum.extents, [n for i in range(self.depth)
                                                 for n in reversed(self.architecture.fanout(i))])

    def _quickest(self, rank: str) -> np.ndarray:
        """The quickest ways to split a rank, for every way to spread it over arrays, and perhaps others;
        where nothing is asked of loops, all of those in time are outermost."""
        extent, rows = self.einsum.extent[rank], list(self.slots[rank])
        limits = dict(zip(rows, self.factor_limits(rank), strict=True))
        least = self.rules.least[:, :, self.einsum.ranks.index(rank)]     # along x and y of an array together
        if not (rank in self.imperfect and self._unlimited(rank, rows) and limits.get(0) == (1, extent)
                and (least == 1).all()):
            return self.splits(rank)
        ways = np.ones((1, 3 * self.depth), dtype=np.int64)
        for row in (row for row in rows if row % 3 != slot(0, "temporal")):
            most = min(limits[row][1], extent)
            ways = np.repeat(ways, most, axis=0)
            ways[:, row] = np.arange(len(ways)) % most + 1
            ways = ways[self.rules.fits(ways, rank)]
        ways[:, 0] = -(-extent // ways.prod(axis=1))
        return ways

    def quickest(self, count: int) -> np.ndarray:
        """Factor arrays that take few steps in time, with small tiles: for `count` ways to spread ranks
        over the arrays, the quickest first. Shape (mappings, slots, ranks)."""
        none = np.zeros((0, len(self.einsum.ranks)), dtype=np.int64)
        chosen = none if self._paces is None else self._paces[1][:count]
        return np.stack([table[own] for table, own in zip(self.ways.values(), chosen.T, strict=True)], axis=2)

    # ---- factor arrays ---------------------------------------------------------------------------

    def _fits_fanouts(self, ways: np.ndarray) -> np.ndarray:
        fits = np.ones(len(ways), dtype=bool)
        for i in range(self.depth):
            x, y = self.architecture.fanout(i)
            fits &= (ways[:, slot(i, "x")] <= x) & (ways[:, slot(i, "y")] <= y)
        return fits

    def allowed(self, factors: np.ndarray) -> np.ndarray:
        """Which factor arrays, shape (mappings, slots, ranks), keep to the constraints and unroll no
        rank along both axes of a fanout."""
        return self.rules.allowed(factors)
