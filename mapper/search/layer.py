"""Search one layer: best-first branch and bound over regions of its mapspace.

Regions are bounded by geometric programs, the one with the lowest bound is split first (what levels
keep before all else), relaxed optima are rounded to whole mappings, and small regions are enumerated.
What has been proven when the search stops is the least bound among the regions left.
"""

from __future__ import annotations

import heapq
from functools import cached_property
from math import inf
from time import monotonic
from typing import Any, Callable

import numpy as np

from ..bounds.programs.bound import ROUNDING, Bound, bound_region, energy_floor, parts_values
from ..bounds.programs.relax import Relaxation
from ..bounds.region import Region
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Mapping
from ..mapping.template import Keep
from ..workload.einsum import Einsum
from .certificate import Certificate
from .conflict.diagnose import why_nothing_fits
from .limits import NO_LIMITS, Limits
from .local import Found
from .objectives import ended
from .space import Mapspace
from .tree import Node, proof_of, relaxed
from .whole_factors import WholeFactors

#: Regions with at most so many mappings are enumerated instead of bounded.
ENUMERATE = 60_000
#: Those with at most so many soon have parts that are.
_SOON = 100 * ENUMERATE


class LayerSearch(WholeFactors):
    """The state of one search; `run` returns the best mapping and its certificate.

    It may begin from a mapping that is `known`, and look only for mappings that have no more of another
    objective than `among` says (its name, and how much).
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, objective: str,
                 limits: Limits = NO_LIMITS, seed: int = 0,
                 report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, known: Found | None = None,
                 among: tuple[str, float] | None = None) -> None:
        super().__init__(Mapspace(architecture, einsum, constraints), objective, limits, report, known, among)
        self.seed = seed
        self.solves = 0
        self.climbs = {True: 0, False: 0}      # by whether nothing is decided but what levels keep
        self.inside = 0              # solves in which more is decided than what levels keep
        self.heap: list[tuple[float, int, Node]] = []
        self.pushed = 0

    @cached_property
    def relaxation(self) -> Relaxation:
        """What the programs of regions are built from."""
        return self.space.relaxation(self.cap)

    @property
    def _by_product(self) -> bool:
        """Whether a product of energy and cycles matters, which is bounded by way of the energy alone."""
        return min(self.powers) > 0 or min(self.cap.energy_power, self.cap.cycles_power) > 0

    # ---- the search --------------------------------------------------------------------------

    def run(self) -> tuple[Mapping, Certificate]:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        if self.start() is None:
            raise InfeasibleError(why_nothing_fits(self.space))
        assert self.best is not None
        if self.known is not None:
            self._improve(self.best)
        covered = self._covered
        if self.limits.dives and not covered:
            self._wander(self.best.keep)      # something good, however soon the search is stopped
        self.trace.root = root = self._node(self.space.whole, 0.0, 0.0)
        dived = []
        if covered:
            parts = self._by_keeps(root)
            self._push(parts)
            self._glimpse(parts)
        else:
            self._push([root])
            dives = 0 if self._at_once else self.limits.dives
            dived = [node for node in [self._dive() for _ in range(dives)] if node is not None]
            self._push(dived)
        closed = inf                 # least bound among the regions that are not looked into further
        while self.heap and not self._done(min(self.heap[0][0], closed)):
            node = self._pop()
            if self._fresh(node.region) and node not in dived and not self._for_lattice:
                self._climb(node)
            if self._close(node):
                closed = min(closed, node.value)
                continue
            parts = self._split(node)
            self._push(parts)
            for part in parts:
                if not (part.region.open or None in part.region.innermost or part.region.fixed):
                    self._climb(part)
        least = min(closed, self.heap[0][0] if self.heap else inf)
        self._draw(least)
        proven, status = ended(self.best.value, least, self.limits.gap, self._interrupted())
        self._done(proven)
        return self.mapping(self.best), self._certificate(root, proven, status)

    def _by_keeps(self, root: Node) -> list[Node]:
        """A part of everything for each choice of what levels keep, bounded by its lattice alone."""
        for region in self.space.choices.decide(root.region, None):
            if self._interrupted():     # what is known of some parts proves nothing
                root.parts = []
                return [root]
            root.parts.append(Node(region, Bound(0.0, None), max(self._quick(region.keep), root.value),
                                   root.floor, method="lattice"))
        return root.parts

    def _draw(self, proven: float) -> None:
        """Where a gap is left, try to close it from mappings drawn anew. Until here nothing depends on the
        seed, so that no optimum that was proved does."""
        assert self.best is not None
        self.rng = np.random.default_rng([self.seed, 1])
        for _ in range(0 if self.space.imperfect else self.limits.draws):
            if proven < self.best.value * (1.0 - max(self.limits.gap, ROUNDING)) and not self._interrupted():
                self._wander(self.best.keep)

    def _dive(self) -> Node | None:
        """Decide what levels keep, from the least region on always to the part with the least bound, and
        improve what is found there; the region at the end."""
        if not self.heap or self._interrupted():
            return None
        node = self._pop()
        while node.region.open and not self._interrupted():
            parts = sorted(self._split(node), key=lambda part: part.value)
            if not parts:
                return None
            node = parts[0]
            self._push(parts[1:])
        if not node.region.open:
            self._climb(node)
            if not self._interrupted():
                self._wander(node.region.keep)
        return node

    def _push(self, nodes: list[Node]) -> None:
        for node in nodes:
            if node.value < inf:
                self.pushed += 1
                heapq.heappush(self.heap, (node.value, self.pushed, node))

    def _pop(self) -> Node:
        return heapq.heappop(self.heap)[2]

    def _split(self, node: Node) -> list[Node]:
        """The parts of a region that may hold something better than the best."""
        assert self.best is not None
        if node.region.open:
            node.decision = self.space.choices.next_decision(node.region)
            regions = self.space.choices.decide(node.region, node.decision)
        else:
            regions = self.space.split(node.region)
        shown = parts_values(node.bound.plane, self.relaxation, regions)
        for region, least in zip(regions, shown, strict=True):
            if self._interrupted():     # what is known of some parts proves nothing
                node.parts = []
                return [node]
            node.parts.append(self._node(region, node.floor, max(node.value, least)))
        node.split = True
        return [part for part in node.parts if part.value < self.best.value]

    def _done(self, bound: float) -> bool:
        assert self.best is not None
        self.report(self.best.value, min(bound, self.best.value))
        self.trace.proven(self.evaluated, bound)
        return (bound >= self.best.value * (1.0 - max(self.limits.gap, ROUNDING))
                or self.inside >= self.limits.bounds or self.solves - self.inside >= self.limits.choices
                or self._interrupted())

    def _ruled_out(self, node: Node) -> bool:
        """Whether its bound alone shows that the region holds nothing better than the best."""
        return not (node.parts or node.method or self._below(node))

    def relaxed(self, best: Found, solves: int, worth: float) -> tuple[float, dict[str, Any]]:
        """A bound on the whole mapspace, no more than the value of `best`, and its proof: by programs alone,
        about so many, while nothing but what levels keep is decided. It need not come nearer to the value
        than a share `worth` of it."""
        self.best, closed = best, best.value
        root = self._node(self.space.whole, 0.0, 0.0)
        self._push([root])
        while (self.heap and self.solves < solves and self.heap[0][0] < best.value * (1.0 - worth)
               and not self._interrupted()):
            node = self._pop()
            if node.region.open:
                self._push(self._split(node))
            else:
                closed = min(closed, node.value)
        bound = min([closed, *(value for value, *_ in self.heap)])
        return bound, proof_of(root, bound)

    # ---- one region ----------------------------------------------------------------------------

    def _node(self, region: Region, floor: float, least: float) -> Node:
        """Bound a region, of whose mappings `floor` and `least` have been proven."""
        if self.best is not None and least >= self.best.value:      # nothing better is in it
            return Node(region, Bound(least, None), least, floor)
        fresh, proof = self._fresh(region), None
        if self._by_product and (fresh or not self.solves):
            self.solves += 1
            own, proof = energy_floor(self.relaxation, region)
            floor = max(floor, own)
        self.solves += 1
        self.inside += not (fresh or region.open)
        bound = bound_region(self.relaxation, region, *self.powers, floor)
        return Node(region, bound, max(bound.value, least), floor, proof)

    def _fresh(self, region: Region) -> bool:
        """Whether it is decided what levels keep, all of it, and nothing else."""
        return region == self.space.root(region.keep)

    def _close(self, node: Node) -> bool:
        """Whether the region was treated as a whole; its value is then what that has proven."""
        if node.region.open:
            return self._at_once and self._by_lattice(node)
        mappings = self.space.combinations(node.region)
        if mappings <= ENUMERATE:
            self._enumerate(node)
            return True
        fresh = self._fresh(node.region)
        closed = fresh and self._for_lattice and self._by_lattice(node)
        # The lattice does not know of constraints on orders: where these matter, the parts are looked into.
        # Of what zeros leave it knows only the least: parts tell more where they come to be enumerated.
        # Of cycles that bandwidths ask for it knows the least as well.
        short = (self.space.rules.orders_loops or (self.lattice.limited and self.lattice.applies)
                 or (self.space.architecture.sparse and mappings <= _SOON))
        return closed and not (short and self._below(node))

    def _enumerate(self, node: Node) -> None:
        """Evaluate every mapping of the region, under every order that is tried."""
        for orders, factors in self.space.in_order(node.region, self.space.enumerate(node.region)):
            self._offer(self.explorer.best_of(node.region.keep, orders, factors))
        if self.space.orders_complete:
            node.method, node.value = "enumerated", inf

    def _climb(self, node: Node) -> None:
        """Round the region's relaxed optimum and improve it."""
        fresh = self._fresh(node.region)
        if self.climbs[fresh] >= self.limits.climbs or node.bound.point is None or self._interrupted():
            return
        self.climbs[fresh] += 1
        options = self.space.order_options(node.region)
        found = self.explorer.round(node.region.keep, tuple(o[0] for o in options), node.bound.point)
        self._improve(found or self._elsewhere(node.region.keep))

    # ---- the answer ------------------------------------------------------------------------------

    def go_on_from(self, first: LayerSearch) -> None:
        """Take over what does not depend on the objective, and what a first stage has proven worse."""
        self.share_tiles(first)
        self.capped = first.least_by_keep()

    def share_tiles(self, other: LayerSearch) -> None:
        """Have the same splits and tiles as another search for the layer; much is known of them by then."""
        self.space = self.explorer.space = other.space
        self.lattice = other.lattice

    def least_by_keep(self) -> dict[Keep, float]:
        """By what levels keep, where that was looked at, a value that no such mapping is below; of what was
        enumerated only the best is known."""
        parts = self.trace.root.parts if self.trace.root is not None else []
        return {part.region.keep: part.value for part in parts
                if self._fresh(part.region) and part.method != "enumerated"}

    def sketch(self) -> tuple[Mapping, Certificate] | None:
        """The best so far, and a certificate that proves nothing."""
        if self.best is None:
            return None
        value = self.best.value
        return self.mapping(self.best), Certificate(
            objective=self.objective, value=value, lower_bound=0.0, relaxed_bound=0.0, status="time_limit",
            mapspace_size=self.space.size, classes=0, classes_pruned=0, bound_solves=self.solves,
            evaluated=self.evaluated, seconds=monotonic() - self.started, among=self.among)

    def _certificate(self, root: Node, proven: float, status: str) -> Certificate:
        assert self.best is not None
        value = self.best.value
        regions = list(root.all())
        return Certificate(
            objective=self.objective, value=value, lower_bound=proven,
            relaxed_bound=min(relaxed(root, 0.0), value), status=status, mapspace_size=self.space.size,
            classes=len(regions), classes_pruned=sum(map(self._ruled_out, regions)), bound_solves=self.solves,
            evaluated=self.evaluated, seconds=monotonic() - self.started,
            dual=proof_of(root, proven), among=self.among)
