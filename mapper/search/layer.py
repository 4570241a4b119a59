"""Search one layer: best-first branch and bound over regions of its mapspace.

Regions are bounded by geometric programs, the one with the lowest bound is split first (what levels
keep before all else), relaxed optima are rounded to whole mappings, and small regions are enumerated.
What has been proven when the search stops is the least bound among the regions left.
"""

from __future__ import annotations

import heapq
from functools import cached_property, partial
from math import inf
from time import monotonic
from typing import Any, Callable

import numpy as np

from ..bounds.bound import ROUNDING, Bound, bound_region, energy_floor, parts_values
from ..bounds.lattice import Lattice, Tiling
from ..bounds.lattice_bound import LatticeBound
from ..bounds.region import Region
from ..bounds.relax import Relaxation
from ..bounds.whole import has_open_bound, has_whole_bound, whole_bound
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .diagnose import why_nothing_fits
from .keeps import Keep
from .limits import NO_LIMITS, Limits
from .local import Explorer, Found
from .result import OBJECTIVES, Certificate, cap, ended
from .space import Mapspace
from .trace import Trace
from .tree import Node, proof_of, relaxed

#: Regions with at most so many mappings are enumerated instead of bounded.
ENUMERATE = 60_000
#: Those with at most so many soon have parts that are.
_SOON = 100 * ENUMERATE
#: So many choices of what levels keep are all looked at by their lattices.
KEEPS = 512
#: At so many of them there is a glimpse before anything is proven.
_GLIMPSES = 8
#: Lattices tell mappings apart from the best that are worse by this share of its value, or by half of that.
_TIES = 8 * ROUNDING


class LayerSearch:
    """The state of one search; `run` returns the best mapping and its certificate.

    It may begin from a mapping that is `known`, and look only for mappings that have no more of another
    objective than `among` says (its name, and how much).
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, objective: str,
                 limits: Limits = NO_LIMITS, seed: int = 0,
                 report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, known: Found | None = None,
                 among: tuple[str, float] | None = None) -> None:
        self.space = Mapspace(architecture, einsum, constraints)
        self.known, self.among, self.cap = known, among, cap(among)
        self.lattice = Lattice(self.space.problem)
        self.capped: dict[Keep, float] = {}     # by what levels keep, the least known of what `among` limits
        self.objective = objective
        self.powers = OBJECTIVES[objective]
        self.limits = limits
        self.report = report or (lambda value, bound: None)
        self.explorer = self._explorer()
        self.explorer.stopped = self._interrupted
        self.seed = seed
        self.rng = np.random.default_rng(0)
        self.started = monotonic()
        self.best: Found | None = None
        self.trace = Trace(self.started)
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
    def evaluated(self) -> int:
        """Mappings costed so far."""
        return self.explorer.evaluated

    @property
    def _by_energy(self) -> bool:
        """Whether energy matters."""
        return self.powers[0] + self.cap.energy_power > 0

    @property
    def _by_product(self) -> bool:
        """Whether a product of energy and cycles matters, which is bounded by way of the energy alone."""
        return min(self.powers) > 0 or min(self.cap.energy_power, self.cap.cycles_power) > 0

    @property
    def _for_lattice(self) -> bool:
        """Whether the lattice may close a keep/bypass choice: it finds the best of it without climbing."""
        return has_whole_bound(self.lattice, self._by_energy)

    def _explorer(self) -> Explorer:
        return Explorer(self.space, *self.powers, self.cap)

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
            self._push(self._by_keeps(root))
            self._glimpse()
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

    def start(self) -> Found | None:
        """A first mapping, there soon; None where there is none."""
        if self.best is None and self.space.choices.count:
            self._begin()
        return self.best

    @property
    def _covered(self) -> bool:
        """Whether lattices are likely to prove the optimum of everything that levels may keep."""
        return (self._for_lattice and self.lattice.applies and not self.space.imperfect
                and not self.space.rules.orders_loops and not self.space.architecture.sparse
                and bool(self.space.whole.open) and self.space.choices.count <= KEEPS)

    @property
    def _at_once(self) -> bool:
        """Whether there is a bound over whole factors of all that levels may keep."""
        return (not (self._covered or self.space.imperfect or self.space.rules.orders_loops)
                and has_open_bound(self.lattice, self.space.whole.open, self._by_energy))

    def _by_keeps(self, root: Node) -> list[Node]:
        """A part of everything for each choice of what levels keep, bounded by its lattice alone."""
        for region in self.space.choices.decide(root.region, None):
            if self._interrupted():     # what is known of some parts proves nothing
                root.parts = []
                return [root]
            root.parts.append(Node(region, Bound(0.0, None), max(self._quick(region.keep), root.value),
                                   root.floor, method="lattice"))
        return root.parts

    def _quick(self, keep: Keep) -> float:
        """What can be said soon of all mappings with one choice of what levels keep."""
        return inf if self._worse(keep) else LatticeBound(self.lattice, keep, *self.powers, self.cap).quick()

    def _worse(self, keep: Keep) -> bool:
        """Whether mappings that keep this are known to be worse in what is limited."""
        return self.capped.get(keep, 0.0) > self.cap.most * (1.0 + _TIES / 2)

    def _glimpse(self) -> None:
        """Find something good soon: glimpse at the choices of what levels keep that promise most, and improve
        the best mapping."""
        assert self.best is not None
        coarse = self.lattice.coarsened()
        for _, _, node in heapq.nsmallest(_GLIMPSES if self.limits.dives else 0, self.heap):
            if self._below(node) and not self._interrupted():
                LatticeBound(coarse, node.region.keep, *self.powers, self.cap).glimpse(
                    self.best.value, partial(self._try, node.region))
        if self.limits.dives:
            self._improve(self.best)

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

    def _begin(self) -> None:
        """Find some first mapping, and go on from there by small steps."""
        if self.known is not None:
            known = self.known.factors[None]
            self._offer(self.explorer.best_of(self.known.keep, self.known.orders, known))
        everything = next(self.space.choices.completions(self.space.whole))
        for keep in (everything, *self.space.choices.smallest()):
            if self.best is None or (self.known is None and not self._interrupted()):
                self._offer(self.explorer.start(keep))
        if self.best is not None and self.known is None:
            options = self.space.order_options(self.space.root(self.best.keep))
            self._offer(self.explorer.rise(self.best, options))

    def _interrupted(self) -> bool:
        return self.limits.over(self.started)

    def _done(self, bound: float) -> bool:
        assert self.best is not None
        self.report(self.best.value, min(bound, self.best.value))
        self.trace.proven(self.evaluated, bound)
        return (bound >= self.best.value * (1.0 - max(self.limits.gap, ROUNDING))
                or self.inside >= self.limits.bounds or self.solves - self.inside >= self.limits.choices
                or self._interrupted())

    def _offer(self, found: Found | None) -> None:
        if found is not None:
            better = self.best is None or found.value < self.best.value
            self.trace.offered(found.keep, found.value, self.evaluated, better)
            if better:
                self.best = found
                self.report(found.value, min(self.trace.bound, found.value))

    def _below(self, node: Node) -> bool:
        """Whether the region may hold a mapping better than the best by more than rounding."""
        assert self.best is not None
        return node.value < self.best.value * (1.0 - ROUNDING)

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

    def refine(self) -> Found | None:
        """Improve the mapping that is known, and prove nothing."""
        self._begin()
        self._improve(self.best)
        return self.best

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

    def _by_lattice(self, node: Node) -> bool:
        """Bound the region by whole factors, and try the tilings at which the bound is attained."""
        assert self.best is not None
        keep, loose, cutoff = node.region.keep, node.region.open, self.best.value
        found = whole_bound(self.lattice, keep, *self.powers, self.cap, loose).solve(
            cutoff * (1.0 + _TIES), partial(self._try, node.region))
        node.method = "" if found is None else "lattice"
        if found is None:
            return False
        node.value, tried = max(node.value, found[0]), list[Found]()
        options = self.space.order_options(node.region)
        for tiling in found[1]:
            if self._interrupted() or tiling.value >= self.best.value * (1.0 - ROUNDING):
                break
            start = self._likely(node.region, tiling)
            if start.value > tiling.value * (1.0 + ROUNDING):
                start = self.explorer.best_order(start, options)
            self._offer(start)
            tried.append(start)
        for start in sorted(tried, key=lambda f: f.value)[:2]:
            if node.value < self.best.value * (1.0 - ROUNDING) and start.value < cutoff * 1.1:
                self._offer(self.explorer.climb(start, options))
        return True

    def _try(self, region: Region, tiling: Tiling) -> None:
        """Offer what a lattice has found on its way, if it fits."""
        if not self._interrupted():
            found = self._likely(region, tiling)
            self._offer(found if found.value < inf else None)

    def _likely(self, region: Region, tiling: Tiling) -> Found:
        """A tiling under the best of the loop orders that may attain its bound; not evaluated where
        constraints say which orders there are."""
        options = self.space.order_options(region)
        start = Found(inf, tiling.keep or region.keep, tuple(o[0] for o in options), tiling.factors)
        return start if self.space.rules.orders_loops else self.explorer.best_order(
            start, self._likely_orders(tiling))

    def _likely_orders(self, tiling: Tiling) -> list[list[tuple[str, ...]]]:
        """By level the loop orders that may attain the bound of a tiling, as those of a template."""
        ranks = self.space.einsum.ranks
        idle = tuple(r for r in ranks if r not in self.lattice.ranks)
        return [[(*idle, *reversed(order)) for order in orders] for orders in tiling.orders]

    def _climb(self, node: Node) -> None:
        """Round the region's relaxed optimum and improve it."""
        fresh = self._fresh(node.region)
        if self.climbs[fresh] >= self.limits.climbs or node.bound.point is None or self._interrupted():
            return
        self.climbs[fresh] += 1
        options = self.space.order_options(node.region)
        found = self.explorer.round(node.region.keep, tuple(o[0] for o in options), node.bound.point)
        self._improve(found or self._elsewhere(node.region.keep))

    def _elsewhere(self, keep: Keep) -> Found | None:
        """A mapping that keeps what `keep` says: the best one's factors, or else any that fit."""
        assert self.best is not None
        best = self.explorer.best_of(keep, self.best.orders, self.best.factors[None])
        return best or self.explorer.start(keep)

    def _wander(self, keep: Keep) -> None:
        """Improve the best of some mappings drawn at random."""
        self._improve(self.explorer.draw(keep, self.rng))

    def _improve(self, found: Found | None) -> None:
        """Climb from a mapping, and on with other choices of what levels keep while that helps."""
        while found is not None and not self._interrupted():
            options = self.space.order_options(self.space.root(found.keep))
            top = self.explorer.climb(self.explorer.best_order(found, options), options)
            self._offer(top)
            others = (self.explorer.best_of(keep, top.orders, top.factors[None])
                      for keep in self.space.choices.neighbours(top.keep))
            found = min((x for x in others if x is not None and x.value < top.value),
                        key=lambda x: x.value, default=None)

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

    def mapping(self, found: Found) -> Mapping:
        return self.space.template(found.keep, found.orders).mapping(self.space.einsum, found.factors)

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
