"""Search mappings in which each tensor cuts the loop nest at a place of its own (see `mapping.parts`).

Chains of cuts, found by dynamic programming (`bounds.chains.cuts`), bound all such mappings from below, and
each makes a mapping; where that costs what the chain says, this is the proof. Windows that slide, and
bandwidths, of which chains know less, leave a gap; then the best even mapping is looked for as well.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from math import inf, prod
from time import monotonic
from typing import Any, Callable, Collection

import numpy as np

from ...bounds.cap import UNCAPPED, Cap
from ...bounds.chains.cuts import Cuts
from ...bounds.chains.nests import Nests
from ...bounds.lattice.lattice import Lattice
from ...bounds.programs.bound import ROUNDING
from ...bounds.scenario import Scenario
from ...bounds.tower.tower import Tower
from ...errors import InfeasibleError
from ...hardware.architecture import Architecture
from ...mapping.constraints import NONE, Constraints, LoopRules, violations
from ...mapping.nest import Mapping
from ...mapping.parts import by_levels, is_uneven, part_reasons
from ...mapping.template import Keep
from ...model.evaluate import evaluate
from ...workload.einsum import Einsum
from ..certificate import Certificate
from ..imperfect import ImperfectSearch, layer_search
from ..layer import LayerSearch
from ..limits import NO_LIMITS, Limits, never
from ..local import Explorer, Found, as_found
from ..objectives import OBJECTIVES, cap, ended, objective_value, stages
from ..space import Mapspace
from ..stages import joined, unfinished
from ..trace import Trace
from ..whole_factors import KEEPS
from .arranged import ArrangedSearch, asked_of_parts, least_steps
from .blocks import Blocks
from .cut_bounds import ByNests, ByTower
from .cuts import CutSearch
from .space import UnevenSpace

#: Chains that are looked at.
MOST_CHAINS = 2000
#: And shape by shape.
MOST_SHAPES = 100
#: Where the first chain that fits is not attained, so many more are looked at, and made into mappings.
_MORE_CHAINS, _LEAVES = 60, 12
_MORE_SHAPES = 10
#: For a bound that is to take no time: choices of what levels keep, chains, and tiles times shapes of the
#: array in all of them.
_FEW_KEEPS, _FEW_CHAINS, _CELLS = 1024, 16, 500_000


class UnevenSearch:
    """The search of one layer for one objective; `run` returns the best mapping and its certificate.

    It may begin from a mapping that is `known`, and look only for mappings that have no more of another
    objective than `among` says (its name, and how much). `ruled_out`: choices of what levels keep of which
    there are no mappings (of whole factors) of the value found.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, objective: str,
                 limits: Limits = NO_LIMITS, seed: int = 0,
                 report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, known: Mapping | None = None,
                 among: tuple[str, float] | None = None) -> None:
        self.architecture, self.einsum, self.constraints = architecture, einsum, constraints
        self.objective, self.powers = objective, OBJECTIVES[objective]
        self.limits, self.seed, self.report = limits, seed, report or (lambda value, bound: None)
        self.among, self.cap = among, cap(among)
        self.space = Mapspace(architecture, einsum, constraints)
        self.nests = Nests(self.space.scenario)
        self.started, self.evaluated, self.solves, self.proven = monotonic(), 0, 0, 0.0
        self.dual: dict[str, Any] = {}
        self.best = self.even = inf     # of all mappings, and of those that are cut level by level
        self.mapping = known
        self.without = self.ruled_out = frozenset[Keep]()
        self.level: Mapping | None = None           # the best that is cut level by level
        self.whole: UnevenSearch | None = None      # for whole factors, where there may be remainders
        if known is not None:
            cost = evaluate(architecture, einsum, known)
            self.best = objective_value(objective, cost.energy_pj, cost.cycles)
        self.chains: CutSearch | None = None
        self.shapes: CutSearch | None = None
        self.slowed = False             # by bandwidths, of which chains around one array know nothing
        self.trace = Trace(self.started)

    @cached_property
    def size(self) -> float:
        """How many mappings there are."""
        return UnevenSpace(self.space).size

    def share_tiles(self, other: UnevenSearch) -> None:
        """Have the same splits and tables of tiles as another search for the layer, and know what it does."""
        self.space, self.nests, self.size = other.space, other.nests, other.size
        self.whole, self.level = other.whole, other.level

    def go_on_from(self, first: UnevenSearch) -> None:
        """The same with a first stage, and what that has proven worse."""
        self.share_tiles(first)
        self.without = first.ruled_out

    def forget(self) -> None:
        """Let go of what takes much room, and is for nothing but explanations."""
        self.chains = self.shapes = None

    def run(self) -> tuple[Mapping, Certificate]:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        self._start()
        found = self.chains = cut_search(self.space, self.nests, self.powers, self.cap, without=self.without)
        bound = self._at_least
        if found is not None:
            self._by_chains(found, _MORE_CHAINS)
            bound = found.bound
        even = self._even() if self._is_open(bound) or self.mapping is None else None
        if self.mapping is None:
            raise InfeasibleError(f"layer {self.einsum.name}: no uneven mapping fits that was looked at")
        if self._is_open(bound) and (found is None or self.slowed):
            self.shapes = shape_search(self.space, self.powers, self.cap, found, self.best,
                                       stopped=self._interrupted)
        if self.shapes is not None:
            self._by_chains(self.shapes, _MORE_SHAPES)
            bound = proven_by(found, self.shapes, self.best)[1]
        elif found is None:
            bound = self._arranged(self.mapping) if self._is_open(0.0) else 0.0
        proven, status = ended(self.best, bound, self.limits.gap, self._interrupted())
        if found is not None:
            self.ruled_out = found.ruled_out(self.best)
        self._proven(proven)
        return self.mapping, self._certificate(found, proven, status, even)

    @property
    def _at_least(self) -> float:
        """Cycles that all mappings take, where nothing else matters."""
        return 0.0 if self.powers[0] else least_steps(self.space) ** self.powers[1]

    def _is_open(self, bound: float) -> bool:
        """Whether there is more to find or to prove, and time for it."""
        return bound < self.best * (1.0 - max(self.limits.gap, ROUNDING)) and not self._interrupted()

    def _arranged(self, even: Mapping) -> float:
        """Look at all orders in which tensors may be cut; what they prove."""
        search = ArrangedSearch(self.space, self.objective, replace(
            self.limits, seconds=self.limits.seconds - (monotonic() - self.started)), self.among)
        bound, proofs = search.prove(self.best, even)
        if proofs:
            self.dual = {"method": "arranged", "parts": proofs}
        for value, mapping in search.improve(self.best, even):
            if value < self.best and self._obeys(mapping):
                self._take(value, mapping)
        self.evaluated, self.solves = self.evaluated + search.evaluated, search.solves
        return bound

    def _start(self) -> None:
        """Take a mapping that is cut level by level, which is there soon, unless one is known; with
        remainders the best one without."""
        if self.space.imperfect:
            self._hurry()
            if self._is_open(self._at_least):
                self._whole()
            return
        even = LayerSearch(self.architecture, self.einsum, self.objective, self.limits, self.seed,
                           constraints=replace(self.constraints, uneven=False), among=self.among)
        found = even.start() if self.mapping is None else None
        if found is not None:
            self._take(found.value, even.mapping(found))
            self.even = found.value
        elif self.mapping is None:
            self._both_axes()

    def _both_axes(self) -> None:
        """Take a mapping cut level by level in which ranks may be unrolled along both axes of an array."""
        explorer = Explorer(self.space, *self.powers, self.cap)
        for keep in self.space.choices.smallest():
            found = explorer.start(keep)
            if found is not None:
                mapping = self.space.template(found.keep, found.orders).mapping(self.einsum, found.factors)
                if self._obeys(mapping):
                    self._take(found.value, mapping)
                    return

    def _hurry(self) -> None:
        """Take a mapping cut level by level that takes few steps in time, if that is better."""
        limits = replace(self.limits, seconds=self.limits.seconds / 4)
        search = ImperfectSearch(self.architecture, self.einsum, self.objective, limits, self.seed,
                                 constraints=self.constraints, among=self.among)
        search.hurry()
        found = search.best
        if found is not None and found.value < self.best:
            self._take(found.value, search.mapping(found))

    def _whole(self) -> None:
        """Take the best mapping of whole factors."""
        def heard(value: float, bound: float) -> None:
            if whole.mapping is not None and whole.best < self.best:
                self._take(whole.best, whole.mapping)

        known = self.mapping if self.mapping is not None and self.mapping.perfect else None
        limits = replace(self.limits, seconds=self.limits.seconds / 2)
        whole = UnevenSearch(self.architecture, self.einsum, self.objective, limits, self.seed, heard,
                             self.constraints.whole, known, self.among)
        if self.whole is not None:
            whole.share_tiles(self.whole)
        whole.without, self.whole = self.without, whole
        with suppress(InfeasibleError):     # with remainders something may fit
            whole.run()
        self.evaluated, self.ruled_out = self.evaluated + whole.evaluated, whole.ruled_out
        whole.forget()

    def _take(self, value: float, mapping: Mapping) -> None:
        """Take a mapping that is better."""
        self.best, self.mapping = value, mapping
        self.trace.offered(self.kept(mapping), value, self.evaluated, True)
        self.report(value, min(self.proven, value))

    def _proven(self, bound: float) -> None:
        """Take note of what is proven."""
        self.proven = max(self.proven, min(bound, self.best))
        self.trace.proven(self.evaluated, self.proven)
        self.report(self.best, self.proven)

    def kept(self, mapping: Mapping) -> Keep:
        """What each level keeps in all its blocks."""
        names = {t.name for t in self.einsum.tensors}
        return tuple(block.keep & names for block in by_levels(self.architecture, mapping))

    def sketch(self) -> tuple[Mapping, Certificate] | None:
        """The best so far, and a certificate that proves nothing."""
        return None if self.mapping is None else (
            self.mapping, self._certificate(None, 0.0, "time_limit", None))

    def _interrupted(self) -> bool:
        return self.limits.over(self.started)

    # ---- from chains to mappings -------------------------------------------------------------------

    def _by_chains(self, search: CutSearch, more: int) -> None:
        best, leaves = [self.best], 0
        for leaf in search.leaves(best, self._interrupted):
            self._proven(search.bound)
            for cuts in leaf.cuts:
                self.offer(leaf.keep, cuts)
            best[0], leaves = self.best, leaves + 1
            self._proven(search.bound)
            search.most = min(search.most, search.chains + more) if leaves == 1 else search.most
            if leaves >= _LEAVES:
                break

    def offer(self, keep: Keep, cuts: Cuts) -> tuple[float, Mapping] | None:
        """Make a chain into a mapping, and improve that: its value, and it; None where there is none."""
        blocks = Blocks(self.architecture, self.einsum, keep, cuts)
        space = Mapspace(blocks.machine, self.einsum, asked_of_parts(
            self.architecture, blocks.machine, blocks.order, self.constraints))
        explorer = Explorer(space, *self.powers, self.cap)
        options = space.order_options(space.root(blocks.keep))
        first = tuple(o[0] for o in options)
        found = explorer.best_of(blocks.keep, first, blocks.factors[None])
        if found is None and self.mapping is not None:
            found = explorer.best_of(blocks.keep, first, blocks.holding(self.mapping)[None])
        elif found is None and all(space.counts.values()):
            found = explorer.draw(blocks.keep, np.random.default_rng(self.seed))
        if found is not None:
            found = explorer.best_order(found, options)
            if found.value < 1.5 * self.best:
                found = explorer.climb(found, options)
        self.evaluated += explorer.evaluated
        if found is None:
            return None
        mapping = blocks.mapping(space.template(found.keep, found.orders), found.factors)
        if part_reasons(self.architecture, mapping) or not self._obeys(mapping):
            return None
        self.trace.offered(keep, found.value, self.evaluated, False)
        cost = evaluate(self.architecture, self.einsum, mapping)
        self.slowed |= cost.cycles > cost.compute.cycles
        if found.value < self.best:
            self._take(found.value, mapping)
        return found.value, mapping

    def _obeys(self, mapping: Mapping) -> bool:
        return not violations(self.constraints, self.architecture, self.einsum, mapping)

    def level_by_level(self) -> float:
        """What no mapping that is cut level by level lies below; the best of them counts as met."""
        return self._even().trace.bound

    def _even(self) -> LayerSearch:
        """Search the mappings that are cut level by level, and take the best if it is better."""
        limits = self.limits.left(self.started)
        if self.space.imperfect:        # the rest of the time is for all orders of cuts
            limits = replace(limits, seconds=limits.seconds / 2)
        even = layer_search(
            self.architecture, self.einsum, self.objective, limits, self.seed,
            constraints=replace(self.constraints, uneven=False), known=self._level(), among=self.among)

        def heard(value: float, bound: float) -> None:
            if even.best is not None and even.best.value < self.best:
                self._take(even.best.value, even.mapping(even.best))

        even.report = heard
        with suppress(InfeasibleError):     # an uneven one may fit
            even.run()
        if even.best is not None:
            self.even, self.level = min(self.even, even.best.value), even.mapping(even.best)
        for keep, value in even.trace.best.items():
            self.trace.offered(keep, value, self.evaluated, False)
        return even

    def _level(self) -> Found | None:
        """Under a cap, a mapping with remainders that is cut level by level, to begin from: few are."""
        for mapping in (self.mapping, self.level):
            if mapping is None or not self.space.imperfect or is_uneven(self.architecture, mapping):
                continue
            cost = evaluate(self.architecture, self.einsum, mapping)
            along_both = any({x.rank for x in block.spatial_x} & {x.rank for x in block.spatial_y}
                             for block in mapping)
            if self.cap and self.cap.admits(cost.energy_pj, cost.cycles) and not along_both:
                return as_found(self.einsum, mapping)
        return None

    # ---- the answer ---------------------------------------------------------------------------------

    def _certificate(self, search: CutSearch | None, proven: float, status: str,
                     even: LayerSearch | None) -> Certificate:
        dual, relaxed, chains = self.dual, proven, [x for x in (search, self.shapes) if x is not None]
        if chains:
            relaxed = proven_by(search, self.shapes, self.best)[0]
            dual = {"method": "cuts", "chains": 0 if search is None else search.chains}
            dual |= {} if self.shapes is None else {"shapes": self.shapes.chains}
        return Certificate(
            objective=self.objective, value=self.best, lower_bound=proven,
            relaxed_bound=min(relaxed, proven), status=status, mapspace_size=self.size,
            classes=sum(x.classes for x in chains),
            classes_pruned=sum(len(x.pruned(self.best)) for x in chains),
            bound_solves=self.solves + sum(x.chains for x in chains) + (even.solves if even else 0),
            evaluated=self.evaluated + (even.evaluated if even else 0),
            seconds=monotonic() - self.started, dual=dual, among=self.among)


def cut_search(space: Mapspace, nests: Nests, powers: tuple[int, int], limit: Any,
               most: int = MOST_CHAINS, without: Collection[Keep] = ()) -> CutSearch | None:
    """All chains of cuts on a machine; None where these do not bound its mappings."""
    if space.imperfect or not nests.applies:
        return None
    if any(t.name not in keep[0] for keep in space.keeps for t in space.einsum.tensors):
        return None
    return CutSearch(space, ByNests(nests, powers, limit), most, without)


def shape_search(space: Mapspace, powers: tuple[int, int], limit: Cap, known: CutSearch | None,
                 enough: float, most: int = MOST_SHAPES,
                 stopped: Callable[[], bool] = never) -> CutSearch | None:
    """All chains of cuts, shape by shape of the arrays, of which it is not `known` that they are no better
    than `enough`; None where that would take long."""
    if space.imperfect or space.choices.count > KEEPS:
        return None
    free = tuple(replace(x, temporal=LoopRules()) for x in space.rules.constraints.levels)
    scenario = Scenario(space.architecture, space.einsum, replace(space.rules.constraints, levels=free))
    tower = Tower(Lattice(scenario))
    if not tower.covers:
        return None
    keeps = space.keeps if known is None else [
        keep for keep, bound in known.bounds.items() if bound < enough * (1.0 - ROUNDING)]
    return CutSearch(space, ByTower(tower, powers, limit, stopped), most, (), keeps)


def proven_by(found: CutSearch | None, shapes: CutSearch | None, enough: float) -> tuple[float, float]:
    """What two searches of chains prove of all uneven mappings, without regard to the room that tensors share
    and with it; the second has looked at what the first has left open below `enough`."""
    bound, first = 0.0 if found is None else found.bound, found or shapes
    if shapes is not None:
        bound = max(bound, min(enough, shapes.bound))
    if first is None:
        return 0.0, bound
    return min(enough, first.bound if first.relaxed is None else first.relaxed), min(enough, bound)


def search_uneven(architecture: Architecture, einsum: Einsum, objective: str, limits: Limits, seed: int = 0,
                  report: Callable[[float, float], None] | None = None,
                  constraints: Constraints = NONE,
                  begun: Callable[[UnevenSearch], None] = lambda search: None) -> tuple[Mapping, Certificate]:
    """The best uneven mapping by all stages of `objective`, and its certificate; `begun` is handed the search
    of the first stage before it runs."""
    constraints = replace(constraints, uneven=True)
    first = UnevenSearch(architecture, einsum, stages(objective)[0], limits, seed, report, constraints)
    begun(first)
    mapping, certificate = first.run()
    later = stages(objective)[1:]
    if not later or limits.over(first.started):
        return mapping, unfinished(certificate, objective)
    second = UnevenSearch(
        architecture, einsum, later[0], limits.left(first.started), seed, None, constraints, mapping,
        (first.objective, first.best))
    second.go_on_from(first)
    mapping, then = second.run()
    cost = evaluate(architecture, einsum, mapping)
    value = min(objective_value(first.objective, cost.energy_pj, cost.cycles), first.best)
    return mapping, joined(certificate, value, then, "," in objective)


def uneven_bound(architecture: Architecture, einsum: Einsum, objective: str,
                 constraints: Constraints = NONE) -> tuple[float, dict[str, Any]] | None:
    """A value that no uneven mapping is below, found in some 20 to 200 ms, and what re-derives it (see
    `Certificate.dual`); None where no such bound is known."""
    constraints = replace(constraints, uneven=True)
    if architecture.sparse or any(x.temporal != LoopRules() for x in constraints.levels):
        return None         # chains do not know of these
    space = Mapspace(architecture, einsum, constraints)
    if space.choices.count > _FEW_KEEPS:
        return None
    nests = Nests(space.scenario)
    search = cut_search(space, nests, OBJECTIVES[objective], UNCAPPED)
    if search is None:
        return None
    runs = 1 + sum(len(windows.ranks) for windows in nests.windows.values())
    search.most = min(_FEW_CHAINS, _CELLS // (len(nests.shapes) * prod(nests.grid.shape) * runs))
    next(search.leaves([inf]), None)
    return search.bound, {"method": "cuts", "chains": search.chains}
