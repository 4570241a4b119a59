"""Search one layer: best-first branch and bound over regions of its mapspace.

Regions are bounded by geometric programs, the one with the lowest bound is split first, relaxed
optima are rounded to whole mappings, and small regions are enumerated. What has been proven when
the search stops is the least bound among the regions left.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Any, Callable

from ..bounds.bound import Bound, bound_region, energy_floor
from ..bounds.region import Region
from ..bounds.relax import Relaxation
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..mapping.template import Template
from ..workload.einsum import Einsum
from .diagnose import why_nothing_fits
from .local import Explorer, Found, Keep
from .result import OBJECTIVES, Certificate
from .space import Mapspace

#: Regions with at most so many mappings are enumerated instead of bounded.
ENUMERATE = 60_000


@dataclass(frozen=True)
class Limits:
    """When a search stops: `gap` reached, `bounds` regions bounded, `deadline` (monotonic seconds)
    passed, or `stopped()` true. The first two do not depend on the clock."""

    gap: float = 0.0
    bounds: int = 400
    climbs: int = 24
    deadline: float = inf
    stopped: Callable[[], bool] = lambda: False

    def interrupted(self) -> bool:
        return self.stopped() or monotonic() > self.deadline


@dataclass(eq=False)
class _Node:
    """A region with what has been proven of it, and its parts once it is split."""

    region: Region
    bound: Bound
    value: float                     # proven: no mapping of the region lies below
    floor: float
    parts: list[_Node] = field(default_factory=list)
    enumerated: bool = False


class LayerSearch:
    """The state of one search; `run` returns the best mapping and its certificate."""

    def __init__(self, architecture: Architecture, einsum: Einsum, objective: str, limits: Limits,
                 report: Callable[[float, float], None] | None = None) -> None:
        self.space = Mapspace(architecture, einsum)
        self.relaxation = Relaxation(architecture, einsum)
        self.objective = objective
        self.powers = OBJECTIVES[objective]
        self.limits = limits
        self.report = report or (lambda value, bound: None)
        self.explorer = Explorer(self.space, *self.powers)
        self.best: Found | None = None
        self.solves = 0
        self.climbs = 0
        self.floors: dict[Keep, Any] = {}

    # ---- the search --------------------------------------------------------------------------

    def run(self) -> tuple[Mapping, Certificate]:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        started = monotonic()
        for keep in self.space.keeps:
            self._offer(self.explorer.start(keep, (self.space.orders[0],) * self.space.depth))
        roots = [self._root(keep) for keep in self.space.keeps]
        relaxed = min(node.value for node in roots)
        heap = [(node.value, i, node) for i, node in enumerate(roots) if node.value < inf]
        heapq.heapify(heap)
        closed = inf                 # least bound of what is left without being proven further
        count = len(roots)
        for _, _, node in heapq.nsmallest(3, heap):
            self._climb(node)
        while heap and not self._done(min(heap[0][0], closed)):
            _, _, node = heapq.heappop(heap)
            if self.space.combinations(node.region) <= ENUMERATE:
                closed = min(closed, self._enumerate(node))
                continue
            for region in self.space.split(node.region):
                part = self._bounded(region, node)
                node.parts.append(part)
                if part.value < self._value():
                    count += 1
                    heapq.heappush(heap, (part.value, count, part))
                    if None not in region.innermost and not region.fixed:
                        self._climb(part)
        if self.best is None:
            raise InfeasibleError(why_nothing_fits(self.space))
        proven = min(self.best.value, closed, heap[0][0] if heap else inf)
        return self._mapping(self.best), self._certificate(
            roots, relaxed, proven, len(heap), monotonic() - started)

    def _value(self) -> float:
        return inf if self.best is None else self.best.value

    def _done(self, bound: float) -> bool:
        self.report(self._value(), min(bound, self._value()))
        return (bound >= self._value() * (1.0 - self.limits.gap) or bound >= self._value()
                or self.solves >= self.limits.bounds or self.limits.interrupted())

    def _offer(self, found: Found | None) -> None:
        if found is not None and found.value < self._value():
            self.best = found

    # ---- one region ----------------------------------------------------------------------------

    def _root(self, keep: Keep) -> _Node:
        region = self.space.root(keep)
        floor = 1.0
        if min(self.powers) > 0:
            self.solves += 1
            floor, self.floors[keep] = energy_floor(self.relaxation, region)
        return self._node(region, floor, 0.0)

    def _bounded(self, region: Region, parent: _Node) -> _Node:
        return self._node(region, parent.floor, parent.value)

    def _node(self, region: Region, floor: float, least: float) -> _Node:
        self.solves += 1
        bound = bound_region(self.relaxation, region, *self.powers, floor)
        return _Node(region, bound, max(bound.value, least), floor)

    def _enumerate(self, node: _Node) -> float:
        """Evaluate every mapping of the region; the bound that this leaves standing."""
        factors = self.space.enumerate(node.region)
        for orders in self.space.orders_of(node.region):
            self._offer(self.explorer.best_of(node.region.keep, orders, factors))
        node.enumerated = self.space.orders_complete
        return inf if node.enumerated else node.value

    def _climb(self, node: _Node) -> None:
        """Round the region's relaxed optimum and improve it."""
        if self.climbs >= self.limits.climbs or node.bound.point is None:
            return
        self.climbs += 1
        choices = self.space.orders_of(node.region)
        found = self.explorer.round(node.region.keep, choices[0], node.bound.point)
        if found is not None:
            found = self.explorer.best_order(found, choices)
            self._offer(self.explorer.climb(found, self.space.orders_of(self.space.root(found.keep))))

    # ---- the answer ------------------------------------------------------------------------------

    def _mapping(self, found: Found) -> Mapping:
        levels = tuple(level.name for level in self.space.architecture.levels)
        return Template(levels, found.keep, found.orders).mapping(self.space.einsum, found.factors)

    def _certificate(self, roots: list[_Node], relaxed: float, proven: float, left: int,
                     seconds: float) -> Certificate:
        assert self.best is not None
        value = self.best.value
        gap = (value - proven) / value
        if proven >= value:
            status = "optimal"
        elif gap <= self.limits.gap:
            status = "gap_reached"
        else:
            status = "time_limit" if self.limits.interrupted() else "heuristic"
        return Certificate(
            objective=self.objective, value=value, lower_bound=proven,
            relaxed_bound=min(relaxed, value), status=status, mapspace_size=self.space.size,
            classes=self.solves, classes_pruned=self.solves - left, bound_solves=self.solves,
            evaluated=self.explorer.evaluated, seconds=seconds,
            dual={"floors": [None if m is None else m.flat()
                             for m in (self.floors.get(n.region.keep) for n in roots)],
                  "regions": [_proof(node, proven) for node in roots]})


def _proof(node: _Node, proven: float) -> dict[str, Any]:
    """What re-derives that no mapping of the region is below `proven`: its multipliers and, where
    they do not suffice, that it was enumerated or the proofs of its parts (see `search.check`)."""
    multipliers = node.bound.multipliers
    proof: dict[str, Any] = {"multipliers": None if multipliers is None else multipliers.flat()}
    if node.bound.value >= proven:
        return proof
    if node.enumerated:
        proof["enumerated"] = True
    elif node.parts:
        proof["parts"] = [_proof(part, proven) for part in node.parts]
    return proof
