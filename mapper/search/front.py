"""The front of cycles and energy of one layer: mappings of which none is better in both, and a proof.

Every search asks for the least energy among mappings with no more cycles than a cap, so its certificate
holds for all mappings to the left of the cap. Caps are set where the most is still unknown.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from time import monotonic
from typing import Callable

from ..bounds.programs.bound import ROUNDING
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints, violations
from ..mapping.nest import Mapping
from ..mapping.parts import unfold
from ..mapping.validate import check_mapping
from ..model.evaluate import evaluate
from ..workload.einsum import Einsum
from .certificate import Certificate, FrontPoint, LayerFront
from .imperfect import layer_search
from .layer import LayerSearch
from .limits import Limits
from .local import as_found
from .uneven.arranged import asked_of_parts
from .uneven.uneven import UnevenSearch
from .why.explain import class_of, explained
from .why.explain_uneven import explained_uneven

#: Searches for one front, unless asked for otherwise.
POINTS = 20


class FrontSearch:
    """The state of the searches for one front; `run` makes at most `points` of them."""

    def __init__(self, architecture: Architecture, einsum: Einsum, points: int, limits: Limits,
                 seed: int = 0, report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, explain: bool = False) -> None:
        self.architecture, self.einsum, self.constraints = architecture, einsum, constraints
        self.left, self.limits, self.seed = points, limits, seed
        self.report = report or (lambda value, bound: None)
        self.started = monotonic()
        self.tried: set[int] = set()             # caps
        self.barren: set[float] = set()          # energies of points after which a search found nothing
        self.front: LayerFront | None = None
        self.first: LayerSearch | UnevenSearch | None = None      # for the fewest cycles
        self.explain = explain                   # whether to say of each point why it is the best

    def run(self) -> LayerFront:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        self.first = first = self._search("latency")
        first.report = self.report
        mapping, fastest = first.run()
        if isinstance(first, UnevenSearch):
            first.forget()
        quick = self._least_energy(round(fastest.value), mapping)
        if quick.cycles < fastest.value:        # the fewest were not found at once
            fastest = replace(fastest, value=float(quick.cycles))
        self.front = front = LayerFront(fastest, (quick,))
        if self.left and not self._stopped():
            front = self._with(front, self._least_energy(None, quick.mapping))
        while self.left and not self._stopped():
            self.front = front
            self.report(1.0 + front.tolerance, 1.0)
            cap = self._next_cap(front)
            if cap is None:
                break
            start = max((p for p in front.points if p.cycles <= cap), key=lambda p: p.cycles)
            self.tried.add(cap)
            point = self._least_energy(cap, start.mapping)
            if point.energy_pj >= start.energy_pj * (1.0 - ROUNDING):
                self.barren.add(start.energy_pj)
            front = self._with(front, point)
        self.report(1.0 + front.tolerance, 1.0)
        return front

    def sketch(self) -> LayerFront | None:
        """What was found so far; at the beginning the quickest mapping, of which nothing is proved."""
        begun = None if self.first is None else self.first.sketch()
        if self.front is not None or begun is None:
            return self.front
        mapping, fastest = begun
        cost = evaluate(self.architecture, self.einsum, mapping)
        energy = replace(fastest, objective="energy", value=cost.energy_pj)
        return LayerFront(fastest, (FrontPoint(cost.energy_pj, cost.cycles, mapping, energy),))

    def _stopped(self) -> bool:
        return self.limits.over(self.started)

    def _search(self, objective: str, known: Mapping | None = None,
                among: tuple[str, float] | None = None) -> LayerSearch | UnevenSearch:
        """The next search, with its share of the time and what the first one knows."""
        seconds = self.limits.left(self.started).seconds / max(self.left, 1)
        self.left -= objective == "energy"
        limits = replace(self.limits, seconds=seconds)
        if self.constraints.uneven:
            uneven = UnevenSearch(self.architecture, self.einsum, objective, limits, self.seed,
                                  constraints=self.constraints, known=known, among=among)
            if isinstance(self.first, UnevenSearch):
                uneven.share_tiles(self.first)
            return uneven
        begun = None if known is None else as_found(self.einsum, known)
        limits = limits if known is None else replace(limits, dives=min(limits.dives, 1))
        search = layer_search(self.architecture, self.einsum, objective, limits, self.seed,
                              constraints=self.constraints, known=begun, among=among)
        if isinstance(self.first, LayerSearch):
            search.share_tiles(self.first)
        return search

    def _least_energy(self, cap: int | None, known: Mapping) -> FrontPoint:
        """The mapping of least energy with no more cycles than `cap`, and of such the fewest cycles that
        are found."""
        search = self._search("energy", known, None if cap is None else ("latency", float(cap)))
        mapping, certificate = search.run()
        mapping = quicker(self.architecture, self.einsum, self.constraints, mapping, search.limits)
        cost = evaluate(self.architecture, self.einsum, mapping)
        if self.explain and not self._stopped():
            why = (explained(search, mapping, certificate) if isinstance(search, LayerSearch) else
                   explained_uneven(search, mapping, certificate))
            certificate = replace(certificate, explanation=why)
        return FrontPoint(cost.energy_pj, cost.cycles, mapping, certificate.about(cost.energy_pj))

    def _next_cap(self, front: LayerFront) -> int | None:
        """Where to look next: in the middle of the stretch of which least is known, or, where nothing was
        found in it, all of it; None when all stretches are within the gap asked for."""
        most, chosen = max(self.limits.gap, ROUNDING), None
        for point, later, excess in zip(front.points, front.points[1:], front.excesses[1:], strict=False):
            low, high = point.cap + 1, later.cycles - 1
            cap = high if point.energy_pj in self.barren else isqrt(int(low) * high) if low <= high else 0
            if excess > most and low <= cap and cap not in self.tried:
                most, chosen = excess, cap
        return chosen

    def _about(self, point: FrontPoint, other: FrontPoint) -> Certificate:
        """The certificate of a point for another one; also why that is the best, if they are of one class."""
        assert self.first is not None
        found = point.certificate.about(other.energy_pj)
        one, two = ((class_of(self.first.space, x.mapping), [block.level for block in x.mapping])
                    for x in (point, other))
        return found if one == two else replace(found, explanation=None)

    def _with(self, front: LayerFront, point: FrontPoint) -> LayerFront:
        """The front with one more point, or, where that has no less energy than a faster one, with what its
        certificate says of that one."""
        faster = [p for p in front.points if p.cycles <= point.cycles]
        if faster and point.energy_pj >= faster[-1].energy_pj * (1.0 - ROUNDING):
            same = faster[-1]
            wider = replace(same, certificate=self._about(point, same))
            others = tuple(wider if p is same else p for p in front.points)
            candidate = replace(front, points=others)
            return candidate if candidate.tolerance <= front.tolerance + ROUNDING else front
        kept = [p for p in front.points if p.cycles < point.cycles or p.energy_pj < point.energy_pj]
        fewest = min(front.fastest.value, float(point.cycles))      # a search cut short may have missed them
        return LayerFront(replace(front.fastest, value=fewest),
                          tuple(sorted([*kept, point], key=lambda p: p.cycles)))


def quicker(architecture: Architecture, einsum: Einsum, constraints: Constraints, mapping: Mapping,
            limits: Limits) -> Mapping:
    """A mapping with no more energy and fewer cycles than this one, if small steps lead to one; an uneven one
    keeps its order of cuts."""
    machine, parts = unfold(architecture, mapping)
    order, asked = [block.level for block in mapping], constraints
    if machine is not architecture:
        machine = keeping(machine, einsum, parts)
        asked = asked_of_parts(architecture, machine, order, constraints)
    cost = evaluate(architecture, einsum, mapping)
    search = layer_search(machine, einsum, "latency", limits, constraints=asked,
                          known=as_found(einsum, parts), among=("energy", cost.energy_pj))
    best = search.refine()
    if best is None:
        return mapping
    found = Mapping(tuple(replace(block, level=name) for block, name in zip(
        search.mapping(best), order, strict=True)))
    if check_mapping(architecture, einsum, found) or violations(constraints, architecture, einsum, found):
        return mapping
    other = evaluate(architecture, einsum, found)
    return found if other.energy_pj <= cost.energy_pj and other.cycles < cost.cycles else mapping


def keeping(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Architecture:
    """A machine whose levels keep what they do in a mapping, and nothing else."""
    names = frozenset(t.name for t in einsum.tensors)
    levels = [replace(level, keep=block.keep & names, bypass=names - block.keep)
              for level, block in zip(architecture.levels, mapping, strict=True)]
    return replace(architecture, levels=tuple(levels))
