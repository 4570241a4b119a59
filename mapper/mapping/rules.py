"""`Rules`: what constraints ask of the factor arrays of one Einsum (see `template`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from ..hardware.architecture import Architecture
from ..workload.einsum import Einsum
from .constraints import NONE, Constraints, LoopRules
from .nest import Kind
from .template import slot

#: Rows of `Rules.least` and `Rules.most`.
TEMPORAL, SPATIAL = 0, 1


@dataclass(frozen=True, eq=False)
class _Parts:
    """What is asked of the temporal loops in all parts of one storage, in the slots `rows`, outermost first:
    `least` and `most` iterations, shape (ranks,), and the `zones` of `LoopRules`, which say the order."""

    rows: list[int]
    least: np.ndarray
    most: np.ndarray
    zones: np.ndarray

    def admit(self, factors: np.ndarray) -> np.ndarray:
        """Which factor arrays, shape (mappings, slots, ranks), are in range, and have no loop in an outer
        part that must be inside one in an inner part; each part has its own in order."""
        own = factors[:, self.rows]
        together, iterates = own.prod(axis=1), own > 1
        inside, outside = self.zones.min() - 1, self.zones.max() + 1
        least = np.minimum.accumulate(np.where(iterates, self.zones, outside).min(axis=2), axis=1)
        most = np.where(iterates, self.zones, inside).max(axis=2)
        good = ((self.least <= together) & (together <= self.most)).all(axis=1)
        return np.asarray(good & (least[:, :-1] >= most[:, 1:]).all(axis=1))


class Rules:
    """`least` and `most` iterations, shape (levels, 2, ranks), of the temporal loop of a rank and of
    its spatial loop, which runs along x or along y; `remainders`, of the same shape, has the most
    iterations of a last pass that is shorter (0: none may be); `workers` is the least number of compute
    units at work; with `both_axes` a spatial loop may run along x and along y. What is asked of the temporal
    loops of each of the levels that are parts of one storage is asked of all of them together; `least` of
    one part is 1."""

    def __init__(self, architecture: Architecture, einsum: Einsum, constraints: Constraints = NONE) -> None:
        self.constraints, self.both_axes = constraints, constraints.uneven
        self.ranks = einsum.ranks
        self.by_level = [constraints.level(level.name) for level in architecture.levels]
        self.storages = architecture.storages
        shape = (len(self.by_level), 2, len(einsum.ranks))
        self.least, self.most = np.ones(shape, dtype=np.int64), np.ones(shape, dtype=np.int64)
        self.remainders = np.zeros(shape, dtype=np.int64)
        self._together: list[_Parts] = []
        for column, extent in enumerate(einsum.extents):
            self._resolve(column, extent)
        for parts in self.storages:
            if len(parts) > 1:
                self._join(parts)
        self.workers = constraints.min_utilization * architecture.compute.instances * (1 - 1e-9)

    def _resolve(self, column: int, extent: int) -> None:
        """The ranges of one rank, none above its extent."""
        places = [(i, kind, rules.range(self.ranks[column])) for i, level in enumerate(self.by_level)
                  for kind, rules in ((TEMPORAL, level.temporal), (SPATIAL, level.spatial))]
        ends = [parts[-1] for parts in self.storages]
        rest = extent
        for asked in [x for i, kind, x in places if kind == SPATIAL or i in ends]:
            rest = -(-rest // min(asked.least, extent)) if asked.fixed else rest
        takes_rest = any(asked.rest for _, _, asked in places)
        for i, level in enumerate(self.by_level):
            self.remainders[i, :, column] = [self.constraints.remainder(x, self.ranks[column]) for x in
                                             (level.temporal, level.spatial)]
        for i, kind, asked in places:
            least, most = asked.least, extent if asked.most is None else asked.most
            if asked.rest:
                least, most = max(least, rest), min(most, rest)
            elif takes_rest and not asked.fixed:
                most = 1
            self.least[i, kind, column], self.most[i, kind, column] = min(least, extent), min(most, extent)

    def _join(self, parts: tuple[int, ...]) -> None:
        """Ask of the temporal loops of all `parts` what is asked of those of one."""
        last = parts[-1]
        zones = np.array([self.by_level[last].temporal.zone(rank) for rank in self.ranks])
        self._together.append(_Parts([slot(i, "temporal") for i in parts], self.least[last, TEMPORAL].copy(),
                                     self.most[last, TEMPORAL].copy(), zones))
        self.least[list(parts), TEMPORAL] = 1

    def may_iterate(self, level: int, kind: Kind, rank: str) -> bool:
        """Whether the loop of `rank` may have two iterations or more there."""
        column = self.ranks.index(rank)
        if self.most[level, TEMPORAL if kind == "temporal" else SPATIAL, column] < 2:
            return False
        rules = self.by_level[level].spatial
        if kind == "temporal" or rules.split is None:
            return True
        place = rules.positions(self.ranks).get(rank)
        if place is not None:
            return (place < rules.split) == (kind == "x")
        return rules.room(self.ranks)["xy".index(kind)] > 0

    def limits(self, row: int, rank: str) -> tuple[int, int]:
        """Least and most iterations of `rank` in one slot; each axis of a fanout may be left out."""
        column = self.ranks.index(rank)
        if row % 3 == slot(0, "temporal"):
            return int(self.least[row // 3, TEMPORAL, column]), int(self.most[row // 3, TEMPORAL, column])
        return 1, int(self.most[row // 3, SPATIAL, column])

    def remainder(self, row: int, rank: str) -> int:
        """Most iterations of a shorter last pass of `rank` in one slot; 0: none may be."""
        kind = TEMPORAL if row % 3 == slot(0, "temporal") else SPATIAL
        return int(self.remainders[row // 3, kind, self.ranks.index(rank)])

    def imperfect(self, slots: Mapping[str, Sequence[int]], extent: Mapping[str, int]) -> frozenset[str]:
        """The ranks with loops that may have remainders, in the `slots` where each may iterate."""
        return frozenset(rank for rank, rows in slots.items() if extent[rank] > 2 and any(
            self.remainder(row, rank) and any(outer < row for outer in rows) for row in rows))

    def fits(self, ways: np.ndarray, rank: str) -> np.ndarray:
        """Which splits of `rank`, shape (ways, slots), are in range and unroll it along one axis."""
        column = self.ranks.index(rank)
        good = np.ones(len(ways), dtype=bool)
        for i in range(len(self.by_level)):
            x, y = ways[:, slot(i, "x")], ways[:, slot(i, "y")]
            for kind, factors in ((TEMPORAL, ways[:, slot(i, "temporal")]), (SPATIAL, x * y)):
                good &= (self.least[i, kind, column] <= factors) & (factors <= self.most[i, kind, column])
            # A rank runs along one axis of a fanout only, as in Timeloop's mappings.
            good &= (x == 1) | (y == 1) | self.both_axes
        return good

    def allowed(self, factors: np.ndarray) -> np.ndarray:
        """Which factor arrays, shape (mappings, slots, ranks), keep to the rules."""
        good = np.ones(len(factors), dtype=bool)
        if self.constraints.whole:
            for column, rank in enumerate(self.ranks):
                good &= self.fits(factors[:, :, column], rank)
            good &= self.joint(factors)
            return good
        for i in range(0 if self.both_axes else len(self.by_level)):
            good &= ~((factors[:, slot(i, "x")] > 1) & (factors[:, slot(i, "y")] > 1)).any(axis=1)
        return good

    def joint(self, factors: np.ndarray) -> np.ndarray:
        """Which of them keep to the rules that tie several ranks together."""
        good = np.ones(len(factors), dtype=bool)
        spatial = [slot(i, kind) for i in range(len(self.by_level)) for kind in ("x", "y")]
        if self.workers:
            good &= factors[:, spatial].prod(axis=(1, 2)) >= self.workers
        for i, level in enumerate(self.by_level):
            good &= self._axes(level.spatial, factors[:, slot(i, "x")] > 1, factors[:, slot(i, "y")] > 1)
        for parts in self._together:
            good &= parts.admit(factors)
        return good

    def arranged(self, level: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Where the ranks unrolled below `level`, shape (mappings, ranks), agree with the order there."""
        return self._axes(self.by_level[level].spatial, x, y)

    def _axes(self, rules: LoopRules, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Where the ranks unrolled, shape (mappings, ranks), agree with the order and its split."""
        if rules.split is None:
            zones = np.array([rules.zone(rank) for rank in self.ranks])
            end, far = len(self.ranks), np.where(x, zones, -len(self.ranks) - 1).max(axis=1)
            return np.asarray(far <= np.where(y, zones, end + 1).min(axis=1))
        placed = rules.positions(self.ranks)
        loose = np.array([rank not in placed for rank in self.ranks])
        first = np.array([placed.get(rank, 0) < rules.split for rank in self.ranks])
        along_x, along_y = rules.room(self.ranks)
        wrong = (x & ~loose & ~first).any(axis=1) | (y & ~loose & first).any(axis=1)
        too_many = ((x & loose).sum(axis=1) > along_x) | ((y & loose).sum(axis=1) > along_y)
        return np.asarray(~(wrong | too_many))

    def keeps(self, level: int, tensor: str) -> set[bool]:
        """Whether `tensor` must be kept at `level`: empty when that is open, both for a conflict."""
        asked = self.by_level[level]
        return {kept for kept, names in ((True, asked.keep), (False, asked.bypass)) if tensor in names}

    def inside(self, level: int, rank: str) -> frozenset[str]:
        """The ranks whose temporal loops at `level` must run inside that of `rank`."""
        zone = self.by_level[level].temporal.zone
        return frozenset(r for r in self.ranks if zone(r) < zone(rank))

    @property
    def orders_loops(self) -> bool:
        """Whether the constraints say anything about the order of temporal loops."""
        return any(level.temporal.inner or level.temporal.outer for level in self.by_level)

    @property
    def no_multicast(self) -> tuple[frozenset[str], ...]:
        """By level the tensors that each instance is sent separately."""
        return tuple(level.no_multicast for level in self.by_level)
