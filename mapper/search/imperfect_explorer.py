"""Mappings with remainders, costed and improved.

Where no tensor has a window, they are evaluated many at a time, as those of whole factors are. Else an exact
evaluation walks the loop nest, which takes a thousand times as long: mappings are found by an estimate, and
only the best by that are evaluated.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import inf

import numpy as np

from ..bounds.cap import UNCAPPED, Cap
from ..mapping.template import Keep
from ..model.batch import BatchEvaluator
from ..model.imperfect_batch import ImperfectEvaluator, WalkingEvaluator, is_exact
from .local import Explorer, Found, Orders
from .space import Mapspace

#: Regions with at most so many mappings are enumerated where these are evaluated many at a time.
ENUMERATE = 600_000
#: Where evaluations walk: regions with at most so many mappings, and so many operations in them together,
#: are enumerated, and so many mappings in all enumerations together.
ENUMERATE_WALKING = 4000
ENUMERATE_OPERATIONS = 2.0e8
#: Splits of a rank that are tried in a step of a climb, and those that are tried with another rank's.
_NEAR = 2000
_TOGETHER = 40


def counts_fast(space: Mapspace) -> bool:
    """Whether mappings of the space are evaluated many at a time."""
    return is_exact(space.architecture, space.einsum, space.rules.no_multicast)


def may_enumerate(space: Mapspace, mappings: float) -> bool:
    """Whether a region of so many mappings is enumerated."""
    if counts_fast(space):
        return mappings <= ENUMERATE
    return mappings <= ENUMERATE_WALKING and mappings * space.einsum.macs <= ENUMERATE_OPERATIONS


class ImperfectExplorer(Explorer):
    """`factors` are rounded up; see `mapping.splits` for the remainders that they say."""

    def __init__(self, space: Mapspace, energy_power: int, cycles_power: int, cap: Cap = UNCAPPED) -> None:
        super().__init__(space, energy_power, cycles_power, cap)
        self.fast = counts_fast(space)
        self._estimators: dict[tuple[Keep, Orders], BatchEvaluator] = {}
        self._known: dict[tuple[Keep, Orders, bytes], float] = {}
        self._passed: set[tuple[Keep, Orders, bytes]] = set()      # on climbs

    def values(self, keep: Keep, orders: Orders, factors: np.ndarray) -> np.ndarray:
        """The objective of every factor array, inf where it does not fit (or when it is time to stop);
        shape (mappings,)."""
        values = self.estimates(keep, orders, factors)
        if self.fast:
            self.evaluated += len(factors)
            return values
        for i in np.flatnonzero(np.isfinite(values)):
            values[i] = self.exact(keep, orders, factors[i])
        return values

    def exact(self, keep: Keep, orders: Orders, factors: np.ndarray, anyway: bool = False) -> float:
        """The objective of one mapping that fits; inf when it is time to stop, unless asked for `anyway`."""
        key = keep, orders, factors.tobytes()
        if key not in self._known and (anyway or not self.stopped()):
            whole = bool((factors.prod(axis=0) == np.array(self.space.einsum.extents)).all())
            kind = BatchEvaluator if whole else ImperfectEvaluator if self.fast else WalkingEvaluator
            self.evaluated += 1
            evaluate = self._evaluator(kind, keep, orders)
            self._known[key] = float(self._evaluated(evaluate, factors[None])[0])
        return self._known.get(key, inf)

    def estimates(self, keep: Keep, orders: Orders, factors: np.ndarray) -> np.ndarray:
        """The objective of every factor array, or about that, inf where it does not fit."""
        if (keep, orders) not in self._estimators:
            self._estimators[keep, orders] = self._evaluator(ImperfectEvaluator, keep, orders)
        return self._evaluated(self._estimators[keep, orders], factors)

    def _evaluator(self, kind: type[BatchEvaluator], keep: Keep, orders: Orders) -> BatchEvaluator:
        return kind(self.space.architecture, self.space.einsum, self.space.template(keep, orders))

    # ---- by estimate -----------------------------------------------------------------------------

    def best_of(self, keep: Keep, orders: Orders, factors: np.ndarray) -> Found | None:
        """The best of the factor arrays, by estimate where that is all there is."""
        if self.fast:
            return super().best_of(keep, orders, factors)
        values = self.estimates(keep, orders, factors)
        best = int(values.argmin()) if len(values) else 0
        if not len(values) or not np.isfinite(values[best]):
            return None
        return Found(float(values[best]), keep, orders, factors[best])

    def best_order(self, found: Found, options: list[list[tuple[str, ...]]]) -> Found:
        """The same factors under the best loop orders, found level by level."""
        best = replace(found, value=self._estimate(found))
        for i, level in enumerate(options):
            for order in self._distinct(found.factors, i, level):
                other = replace(best, orders=(*best.orders[:i], order, *best.orders[i + 1:]))
                other = replace(other, value=self._estimate(other))
                best = min(best, other, key=lambda x: x.value)
        return best

    def climb(self, found: Found, options: list[list[tuple[str, ...]]], rounds: int = 40) -> Found:
        """Replace the splits of one rank or of two, and the orders, while that helps."""
        found = replace(found, value=self._estimate(found))
        for _ in range(rounds):
            better = self._step(found)
            if not better.value < found.value * (1 - 1e-12):
                better = self.best_order(found, options)
            key = better.keep, better.orders, better.factors.tobytes()
            if self.stopped() or key in self._passed or not better.value < found.value * (1 - 1e-12):
                break       # no way up, or one that was gone before
            self._passed.add(key)
            found = better
        return found

    def _estimate(self, found: Found) -> float:
        return float(self.estimates(found.keep, found.orders, found.factors[None])[0])

    def _step(self, here: Found) -> Found:
        """The best by estimate among other splits of one rank, and of two."""
        best, near = here, dict[int, np.ndarray]()
        for column, rank in enumerate(self.space.einsum.ranks):
            ways = self._nearest(here, column, rank)
            if len(ways) > 1:
                other = np.repeat(here.factors[None], len(ways), axis=0)
                other[:, :, column] = ways
                values = self.estimates(here.keep, here.orders, other)
                row = int(values.argmin())
                best = min(best, replace(here, value=float(values[row]), factors=other[row]),
                           key=lambda x: x.value)
                # A split that does not fit alone may fit with another one: the nearest ones.
                apart = np.abs(np.log(ways / here.factors[:, column])).sum(axis=1)
                near[column] = ways[np.lexsort((apart, values))[:_TOGETHER]]
        for first, second in product(near, near):
            if first < second:
                other = np.repeat(here.factors[None], len(near[first]) * len(near[second]), axis=0)
                other[:, :, first] = np.repeat(near[first], len(near[second]), axis=0)
                other[:, :, second] = np.tile(near[second], (len(near[first]), 1))
                values = self.estimates(here.keep, here.orders, other)
                row = int(values.argmin())
                best = min(best, replace(here, value=float(values[row]), factors=other[row]),
                           key=lambda x: x.value)
        return best

    def _nearest(self, here: Found, column: int, rank: str) -> np.ndarray:
        """Splits of a rank near the one that a mapping has: all, where they are few."""
        ways = self.space.ways[rank]
        if len(ways) <= _NEAR:
            return ways
        apart = np.abs(np.log(ways / here.factors[:, column])).sum(axis=1)
        return ways[np.argpartition(apart, _NEAR)[:_NEAR]]
