"""Search one layer: best-first branch and bound over regions of its mapspace.

Regions are bounded by geometric programs, the one with the lowest bound is split first, relaxed
optima are rounded to whole mappings, and small regions are enumerated. What has been proven when
the search stops is the least bound among the regions left.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import product
from math import inf
from time import monotonic
from typing import Any, Callable, Iterator

import numpy as np

from ..bounds.bound import Bound, bound_region, energy_floor
from ..bounds.lattice import Lattice
from ..bounds.lattice_bound import LatticeBound
from ..bounds.program import Multipliers
from ..bounds.region import Region
from ..bounds.relax import Relaxation
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Mapping
from ..mapping.template import Template
from ..workload.einsum import Einsum
from .diagnose import why_nothing_fits
from .local import Explorer, Found, Keep
from .result import OBJECTIVES, Certificate
from .space import Mapspace

#: Regions with at most so many mappings are enumerated instead of bounded.
ENUMERATE = 60_000
#: Values that differ by less, relatively, are equal: sums are taken in different orders.
ROUNDING = 1e-9


def never() -> bool:
    """For `Limits.stopped`: nobody stops the search."""
    return False


@dataclass(frozen=True)
class Limits:
    """When a search stops: `gap` reached, `bounds` regions bounded, `seconds` passed, or
    `stopped()` true. The first two do not depend on the clock."""

    gap: float = 0.0
    bounds: int = 400
    climbs: int = 24
    seconds: float = inf
    stopped: Callable[[], bool] = never


@dataclass(eq=False)
class Node:
    """A region with what has been proven of it, and its parts once it is split."""

    region: Region
    bound: Bound
    value: float                     # proven: no mapping of the region lies below
    floor: float
    parts: list[Node] = field(default_factory=list)
    method: str = ""                 # how it was closed: "enumerated", "lattice", or not at all

    def all(self) -> Iterator[Node]:
        """The region, and the parts it was split into, theirs included."""
        yield self
        for part in self.parts:
            yield from part.all()


class LayerSearch:
    """The state of one search; `run` returns the best mapping and its certificate."""

    def __init__(self, architecture: Architecture, einsum: Einsum, objective: str,
                 limits: Limits = Limits(), seed: int = 0,
                 report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE) -> None:
        self.space = Mapspace(architecture, einsum, constraints)
        self.relaxation = Relaxation(architecture, einsum, self.space.rules, self.space.least_steps)
        self.lattice = Lattice(architecture, einsum, self.space.rules)
        self.objective = objective
        self.powers = OBJECTIVES[objective]
        self.limits = limits
        self.report = report or (lambda value, bound: None)
        self.explorer = self._explorer()
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.started = monotonic()
        self.best: Found | None = None
        self.solves = 0
        self.climbs = 0
        self.floors: dict[Keep, Multipliers | None] = {}

    def _explorer(self) -> Explorer:
        return Explorer(self.space, *self.powers)

    # ---- the search --------------------------------------------------------------------------

    def run(self) -> tuple[Mapping, Certificate]:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        self._begin()
        if self.best is None:
            raise InfeasibleError(why_nothing_fits(self.space))
        self._wander(self.space.keeps[0])      # something good, however soon the search is stopped
        self.report(self.best.value, 0.0)
        roots = [self._root(keep) for keep in self.space.keeps]
        relaxed = min(node.value for node in roots)
        heap = [(node.value, i, node) for i, node in enumerate(roots) if node.value < inf]
        heapq.heapify(heap)
        for _, _, node in heapq.nsmallest(3, heap):
            self._climb(node)
            if not self._interrupted():
                self._wander(node.region.keep)
        count = len(roots)
        closed = inf                 # least bound among the regions that are not looked into further
        while heap and not self._done(min(heap[0][0], closed)):
            _, _, node = heapq.heappop(heap)
            if self._close(node):
                closed = min(closed, node.value)
                continue
            for region in self.space.split(node.region):
                part = self._node(region, node.floor, node.value)
                node.parts.append(part)
                if part.value < self.best.value:
                    count += 1
                    heapq.heappush(heap, (part.value, count, part))
                    if None not in region.innermost and not region.fixed:
                        self._climb(part)
        proven = min(self.best.value, closed, heap[0][0] if heap else inf)
        if proven >= self.best.value * (1.0 - ROUNDING):
            proven = self.best.value
        self._done(proven)
        return self._mapping(self.best), self._certificate(roots, relaxed, proven)

    def _begin(self) -> None:
        """Find some first mapping."""
        for keep in self.space.keeps:
            if self.best is None or not self._interrupted():
                self._offer(self.explorer.start(keep))

    def _interrupted(self) -> bool:
        return self.limits.stopped() or monotonic() - self.started > self.limits.seconds

    def _done(self, bound: float) -> bool:
        assert self.best is not None
        self.report(self.best.value, min(bound, self.best.value))
        return (bound >= self.best.value * (1.0 - max(self.limits.gap, ROUNDING))
                or self.solves >= self.limits.bounds + len(self.space.keeps) * 2
                or self._interrupted())

    def _offer(self, found: Found | None) -> None:
        if found is not None and (self.best is None or found.value < self.best.value):
            self.best = found

    def _below(self, node: Node) -> bool:
        """Whether the region may hold a mapping better than the best by more than rounding."""
        assert self.best is not None
        return node.value < self.best.value * (1.0 - ROUNDING)

    def _ruled_out(self, node: Node) -> bool:
        """Whether its bound alone shows that the region holds nothing better than the best."""
        return not (node.parts or node.method or self._below(node))

    # ---- one region ----------------------------------------------------------------------------

    def _root(self, keep: Keep) -> Node:
        region = self.space.root(keep)
        if self._interrupted():
            return Node(region, Bound(0.0, None), 0.0, 0.0)
        floor = 0.0
        if min(self.powers) > 0:
            self.solves += 1
            floor, self.floors[keep] = energy_floor(self.relaxation, region)
        return self._node(region, floor, 0.0)

    def _node(self, region: Region, floor: float, least: float) -> Node:
        self.solves += 1
        bound = bound_region(self.relaxation, region, *self.powers, floor)
        return Node(region, bound, max(bound.value, least), floor)

    def _close(self, node: Node) -> bool:
        """Whether the region was treated as a whole; its value is then what that has proven."""
        if self.space.combinations(node.region) <= ENUMERATE:
            self._enumerate(node)
            return True
        fresh = node.region == self.space.root(node.region.keep)
        closed = fresh and self.powers[0] > 0 and self.lattice.applies and self._by_lattice(node)
        # The lattice does not know of constraints on orders: where they bind, the parts are looked into.
        return closed and not (self.space.rules.orders_loops and self._below(node))

    def _enumerate(self, node: Node) -> None:
        """Evaluate every mapping of the region, under every order that is tried."""
        factors = self.space.enumerate(node.region)
        for orders in product(*self.space.order_options(node.region)):
            self._offer(self.explorer.best_of(node.region.keep, orders, factors))
        if self.space.orders_complete:
            node.method, node.value = "enumerated", inf

    def _by_lattice(self, node: Node) -> bool:
        """Bound the region by whole factors, and try the tilings at which the bound is attained."""
        assert self.best is not None
        found = LatticeBound(self.lattice, node.region.keep, *self.powers).solve(self.best.value)
        if found is None:
            return False
        node.method = "lattice"
        cutoff, (bound, tilings) = self.best.value, found
        options = self.space.order_options(node.region)
        tried = []
        for tiling in tilings:
            start = Found(inf, node.region.keep, tuple(o[0] for o in options),
                          self.space.from_tiling(self.lattice.ranks, tiling))
            tried.append(self.explorer.best_order(start, options))
            self._offer(tried[-1])
        for start in sorted(tried, key=lambda f: f.value)[:2]:
            if start.value < cutoff * 1.1:
                self._offer(self.explorer.climb(start, options))
        node.value = max(node.value, bound)
        return True

    def _climb(self, node: Node) -> None:
        """Round the region's relaxed optimum and improve it."""
        if self.climbs >= self.limits.climbs or node.bound.point is None or self._interrupted():
            return
        self.climbs += 1
        options = self.space.order_options(node.region)
        found = self.explorer.round(node.region.keep, tuple(o[0] for o in options), node.bound.point)
        self._improve(found)

    def _wander(self, keep: Keep) -> None:
        """Improve the best of some mappings drawn at random."""
        self._improve(self.explorer.draw(keep, self.rng))

    def _improve(self, found: Found | None) -> None:
        if found is not None:
            options = self.space.order_options(self.space.root(found.keep))
            found = self.explorer.best_order(found, options)
            self._offer(self.explorer.climb(found, options))

    # ---- the answer ------------------------------------------------------------------------------

    def _mapping(self, found: Found) -> Mapping:
        levels = tuple(level.name for level in self.space.architecture.levels)
        template = Template(levels, found.keep, found.orders, self.space.rules.no_multicast)
        return template.mapping(self.space.einsum, found.factors)

    def _certificate(self, roots: list[Node], relaxed: float, proven: float) -> Certificate:
        assert self.best is not None
        value = self.best.value
        if proven >= value:
            status = "optimal"
        elif (value - proven) / value <= self.limits.gap:
            status = "gap_reached"
        else:
            status = "time_limit" if self._interrupted() else "heuristic"
        regions = [region for root in roots for region in root.all()]
        floors = [self.floors.get(node.region.keep) for node in roots]
        return Certificate(
            objective=self.objective, value=value, lower_bound=proven,
            relaxed_bound=min(relaxed, value), status=status, mapspace_size=self.space.size,
            classes=len(regions), classes_pruned=sum(map(self._ruled_out, regions)), bound_solves=self.solves,
            evaluated=self.explorer.evaluated, seconds=monotonic() - self.started,
            dual={"floors": [None if m is None else m.flat() for m in floors],
                  "regions": [_proof(node, proven) for node in roots]})


def _proof(node: Node, proven: float) -> dict[str, Any]:
    """What re-derives that no mapping of the region is below `proven`: its multipliers and, where
    they do not suffice, how it was closed or the proofs of its parts (see `search.check`)."""
    multipliers = node.bound.multipliers
    proof: dict[str, Any] = {"multipliers": None if multipliers is None else multipliers.flat()}
    if node.bound.value >= proven:
        return proof
    if node.method:
        proof["method"] = node.method
    if node.parts:
        proof["parts"] = [_proof(part, proven) for part in node.parts]
    return proof
