"""Search one layer where loops may have remainders, a last pass that is shorter.

Where no tensor has a window, mappings are evaluated many at a time, as those of whole factors are. Else an
exact evaluation walks the loop nest, which takes a thousand times as long: mappings are found by an
estimate, and only the best by that are evaluated. Bounds are those of `bounds.relax`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import product
from math import inf, prod
from typing import Callable

import numpy as np

from ..bounds.bound import ROUNDING
from ..bounds.cap import UNCAPPED, Cap
from ..bounds.problem import Problem
from ..bounds.tiles import Tiles
from ..bounds.tiles_bound import TileBound
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..model.batch import BatchEvaluator
from ..model.imperfect_batch import ImperfectEvaluator, WalkingEvaluator, is_exact
from ..workload.einsum import Einsum
from .layer import KEEPS, LayerSearch
from .leftover import Leftover
from .limits import Limits
from .local import Explorer, Found, Keep, Orders
from .result import Certificate
from .space import Mapspace
from .tree import Node

#: Regions with at most so many mappings are enumerated where these are evaluated many at a time.
ENUMERATE = 600_000
#: Where evaluations walk: regions with at most so many mappings, and so many operations in them together,
#: are enumerated, and so many mappings in all enumerations together.
ENUMERATE_WALKING = 4000
ENUMERATE_OPERATIONS = 2.0e8
_WALKS = 8000
#: Splits of a rank that are tried in a step of a climb, and those that are tried with another rank's.
_NEAR = 2000
_TOGETHER = 40
_CLIMBS = 6
_BOUNDS = 60
#: Ways to spread ranks over arrays from which one is improved.
_QUICKEST = 500
#: Of the mappings that a bound suggests, so many are improved.
_TRIED = 2
#: Unless they cost more than so many times the best.
_PROMISING = 1.2
#: Regions are split by the factors of a rank into so many parts at most.
_PARTS = 200


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


class ImperfectSearch(LayerSearch):
    """The state of one search with remainders, which starts from the best whole factors."""

    explorer: ImperfectExplorer
    whole: LayerSearch | None = None
    low = 1.0                    # what mappings cost at the least, to what they do by estimate

    @cached_property
    def waiting(self) -> set[Keep]:
        """What levels keep in regions that were bounded by numbers of tiles, and come again."""
        return set()

    @cached_property
    def leftover(self) -> Leftover:
        """What bounds by numbers of tiles leave."""
        return Leftover(self.explorer, self.tiles)

    @cached_property
    def tiles(self) -> Tiles:
        """The numbers of tiles that ranks can be cut into."""
        return Tiles(self.space.problem)

    def share_tiles(self, other: LayerSearch) -> None:
        super().share_tiles(other)
        assert isinstance(other, ImperfectSearch)
        self.tiles = other.tiles

    @property
    def _for_tiles(self) -> bool:
        """Whether numbers of tiles bound what levels keep."""
        return self._by_energy and self.tiles.applies

    @property
    def _covered(self) -> bool:
        return self._for_tiles and bool(self.space.whole.open) and self.space.choices.count <= KEEPS

    def _quick(self, keep: Keep) -> float:
        return inf if self._worse(keep) else TileBound(self.tiles, keep, *self.powers, self.cap).quick()

    def _glimpse(self) -> None:
        """Whole factors have been looked at before."""

    def _explorer(self) -> Explorer:
        return ImperfectExplorer(self.space, *self.powers, self.cap)

    def _begin(self) -> None:
        self.limits = replace(self.limits, climbs=_CLIMBS)
        if not self.explorer.fast:      # bounds of parts prove next to nothing where none is enumerated
            self.limits = replace(self.limits, bounds=min(self.limits.bounds, _BOUNDS))
        if self.known is not None:      # good, whatever its estimate
            keep, orders, factors = self.known.keep, self.known.orders, self.known.factors
            value = self.explorer.exact(keep, orders, factors, anyway=True)
            LayerSearch._offer(self, replace(self.known, value=value))
            return
        self.whole = whole = LayerSearch(
            self.space.architecture, self.space.einsum, self.objective,
            replace(self.limits, seconds=self.limits.seconds / 2), self.seed, self._hear,
            self.space.rules.constraints.whole, among=self.among)
        whole.start()                   # while it takes long to list all remainders
        if self.explorer.fast and prod(len(x) for x in self.space.ways.values()) <= ENUMERATE:
            super()._begin()            # proven by itself
            return
        with suppress(InfeasibleError):     # with remainders something may fit
            whole.run()
        self._improve(self.best)
        self.hurry()
        if self.best is None:
            super()._begin()

    def _hear(self, value: float, bound: float) -> None:
        """Take over what the search for whole factors has found."""
        assert self.whole is not None
        super()._offer(self.whole.best)
        self.report(value, 0.0)

    @property
    def evaluated(self) -> int:
        """Mappings costed so far."""
        return self.explorer.evaluated + (0 if self.whole is None else self.whole.evaluated)

    def hurry(self) -> None:
        """Improve a mapping that takes few steps in time."""
        if not self.powers[1] or self._covered:
            return
        orders = tuple(orders[0] for orders in self.space.orders)
        keeps = [] if self.best is None else [self.best.keep]
        for keep in (*keeps, *self.space.choices.smallest()):
            found = self.explorer.best_of(keep, orders, self.space.quickest(_QUICKEST))
            if found is not None:
                self._improve(found)
                return

    def _offer(self, found: Found | None) -> None:
        """Evaluate what is good by estimate, as far as earlier estimates were right, and keep the best."""
        if found is None or self.explorer.fast:
            super()._offer(found)
        elif self.best is None or found.value * self.low < self.best.value:
            value = self.explorer.exact(found.keep, found.orders, found.factors, anyway=self.best is None)
            if found.value < value < inf:
                self.low = min(self.low, value / found.value) if self.low > 1.0 else value / found.value
            super()._offer(replace(found, value=value))

    def _certificate(self, root: Node, proven: float, status: str) -> Certificate:
        found = super()._certificate(root, proven, status)
        if self.whole is None:
            return found
        return replace(found, bound_solves=found.bound_solves + self.whole.solves)

    def _close(self, node: Node) -> bool:
        mappings = self.space.combinations(node.region)
        fast = self.explorer.fast
        if may_enumerate(self.space, mappings) and (fast or self.explorer.evaluated + mappings <= _WALKS):
            self._enumerate(node)
            return True
        if self._fresh(node.region) and self._for_tiles:
            if not self._below(node) or node.region.keep in self.waiting:
                self.waiting.discard(node.region.keep)
                self._by_nests(node)
            else:
                self._by_tiles(node)
            return node.region.keep not in self.waiting
        # Where every choice is made, or the next one has too many sides, its bound is all there is to say.
        fixed = dict(node.region.fixed)
        parts = min((len(self.space.ways[r]) for r in self.space.ranks if r not in fixed), default=inf)
        return None not in node.region.innermost and parts > _PARTS

    def _split(self, node: Node) -> list[Node]:
        """A region that waits comes again when its bound is the lowest once more, and the best is better."""
        return [node] if node.region.keep in self.waiting else super()._split(node)

    def _by_nests(self, node: Node) -> None:
        """Cost what the bound by numbers of tiles leaves of the region."""
        assert self.best is not None
        if self._below(node):
            bound = TileBound(self.tiles, node.region.keep, *self.powers, self.cap)
            node.value = max(node.value, self.leftover.least(bound, self.best.value, self._offer))

    def _by_tiles(self, node: Node) -> None:
        """Bound the region by numbers of tiles, and improve the mappings at which the bound may be
        attained."""
        assert self.best is not None
        bound = TileBound(self.tiles, node.region.keep, *self.powers, self.cap)
        value, found = bound.solve(self.best.value)
        node.value, node.method = max(node.value, value), "lattice"
        options = self.space.order_options(node.region)
        orders, tried = tuple(own[0] for own in options), list[Found]()
        for cut in found:
            if self._interrupted() or cut.value >= self.best.value * (1.0 - ROUNDING):
                break
            start = Found(inf, node.region.keep, orders, cut.factors)
            tried.append(self.explorer.best_order(start, options))
        for start in sorted(tried, key=lambda found: found.value)[:_TRIED]:
            if start.value < self.best.value * _PROMISING:
                self._offer(self.explorer.climb(start, options))
        if self._below(node):
            self.waiting.add(node.region.keep)

    def _enumerate(self, node: Node) -> None:
        """Evaluate every mapping of the region, under every order that is tried."""
        for orders, factors in self.space.in_order(node.region, self.space.enumerate(node.region)):
            super()._offer(Explorer.best_of(self.explorer, node.region.keep, orders, factors))     # exact
        if self.space.orders_complete and not self._interrupted():
            node.method, node.value = "enumerated", inf


def kind_of_search(architecture: Architecture, einsum: Einsum, constraints: Constraints) -> type[LayerSearch]:
    """That with remainders where the constraints allow some in the layer."""
    return ImperfectSearch if Problem(architecture, einsum, constraints).imperfect else LayerSearch


def layer_search(architecture: Architecture, einsum: Einsum, objective: str, limits: Limits,
                 seed: int = 0, report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, known: Found | None = None,
                 among: tuple[str, float] | None = None) -> LayerSearch:
    """The search for a layer: with remainders where the constraints allow some in it."""
    kind = kind_of_search(architecture, einsum, constraints)
    return kind(architecture, einsum, objective, limits, seed, report, constraints, known, among)
