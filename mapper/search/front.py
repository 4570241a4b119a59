"""The front of cycles and energy of one layer: mappings of which none is better in both, and a proof.

Every search asks for the least energy among mappings with no more cycles than a cap, so its certificate
holds for all mappings to the left of the cap. Caps are set where the most is still unknown.
"""

from __future__ import annotations

from dataclasses import replace
from math import isqrt
from time import monotonic
from typing import Callable

from ..bounds.bound import ROUNDING
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..model.evaluate import evaluate
from ..workload.einsum import Einsum
from .explain import class_of, explained
from .imperfect import kind_of_search
from .layer import LayerSearch
from .limits import Limits
from .local import Found
from .result import Certificate, FrontPoint, LayerFront

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
        self.kind = kind_of_search(architecture, einsum, constraints)
        self.found: dict[float, Found] = {}      # by energy, as the search sees it
        self.tried: set[int] = set()             # caps
        self.barren: set[float] = set()          # energies of points after which a search found nothing
        self.front: LayerFront | None = None
        self.first: LayerSearch | None = None    # for the fewest cycles
        self.explain = explain                   # whether to say of each point why it is the best

    def run(self) -> LayerFront:
        """Raises InfeasibleError, naming the constraint, when no mapping fits."""
        self.first = first = self._search("latency")
        first.report = self.report
        _, fastest = first.run()
        assert first.best is not None
        quick = self._least_energy(round(fastest.value), first.best)
        if quick.cycles < fastest.value:        # the fewest were not found at once
            fastest = replace(fastest, value=float(quick.cycles))
        self.front = front = LayerFront(fastest, (quick,))
        if self.left and not self._stopped():
            front = self._with(front, self._least_energy(None, self.found[quick.energy_pj]))
        while self.left and not self._stopped():
            self.front = front
            self.report(1.0 + front.tolerance, 1.0)
            cap = self._next_cap(front)
            if cap is None:
                break
            start = max((p for p in front.points if p.cycles <= cap), key=lambda p: p.cycles)
            self.tried.add(cap)
            point = self._least_energy(cap, self.found[start.energy_pj])
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

    def _search(self, objective: str, known: Found | None = None,
                among: tuple[str, float] | None = None) -> LayerSearch:
        """The next search, with its share of the time."""
        seconds = self.limits.left(self.started).seconds / max(self.left, 1)
        self.left -= objective == "energy"
        dives = self.limits.dives if known is None else min(self.limits.dives, 1)
        limits = replace(self.limits, seconds=seconds, dives=dives)
        search = self.kind(self.architecture, self.einsum, objective, limits, self.seed,
                           constraints=self.constraints, known=known, among=among)
        if self.first is not None:
            search.share_tiles(self.first)
        return search

    def _least_energy(self, cap: int | None, known: Found) -> FrontPoint:
        """The mapping of least energy with no more cycles than `cap`, and of such the fewest cycles that
        are found."""
        search = self._search("energy", known, None if cap is None else ("latency", float(cap)))
        mapping, certificate = search.run()
        best = search.best
        assert best is not None
        quicker = self.kind(self.architecture, self.einsum, "latency", search.limits, self.seed,
                            constraints=self.constraints, known=best, among=("energy", best.value)).refine()
        if quicker is not None:
            value, = search.explorer.values(quicker.keep, quicker.orders, quicker.factors[None])
            if value <= best.value:
                best = replace(quicker, value=float(value))
                mapping = search.mapping(best)
        cost = evaluate(self.architecture, self.einsum, mapping)
        self.found[cost.energy_pj] = best
        if self.explain and not self._stopped():
            certificate = replace(certificate, explanation=explained(search, mapping, certificate))
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
        one, two = (class_of(self.first.space, x.mapping) for x in (point, other))
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
        return replace(front, points=tuple(sorted([*kept, point], key=lambda p: p.cycles)))
