"""What is proven of the mapping of a layer, and of its front of cycles and energy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any
from typing import Mapping as MappingOf

from ..bounds.programs.bound import ROUNDING
from ..mapping.nest import Mapping
from .why.explanation import Explanation


@dataclass(frozen=True)
class Potential:
    """What an `option` of a search could save at most: no mapping that it brings in has less of the
    objective than `bound`, which `dual` re-derives."""

    option: str                 # "imperfect"
    bound: float
    dual: MappingOf[str, Any] = field(default_factory=dict)

    def share(self, value: float) -> float:
        """At most this share of the `value` found could be saved."""
        return max((value - self.bound) / value, 0.0) if value else 0.0


@dataclass(frozen=True)
class Certificate:
    """How good a mapping is proven to be. `value`, `lower_bound` and `relaxed_bound` are in the
    unit of the objective; no mapping of the mapspace lies below `lower_bound`, or none of those that
    have no more of another objective than `among` says (its name, and how much). `then` is that of the
    next objective, among mappings that are no worse in this one. `explanation`: why the mapping is the
    best. `potential`: what mappings that were not considered could save."""

    objective: str
    value: float
    lower_bound: float
    relaxed_bound: float
    status: str                 # one of STATUSES; of all objectives that were asked for
    mapspace_size: float        # factorisations x orders x keep/bypass choices, before pruning
    classes: int
    classes_pruned: int
    bound_solves: int
    evaluated: int
    seconds: float
    dual: MappingOf[str, Any] = field(default_factory=dict)   # JSON-ready; re-derives the bounds
    among: tuple[str, float] | None = None
    then: Certificate | None = None
    explanation: Explanation | None = None
    potential: tuple[Potential, ...] = ()

    @property
    def gap(self) -> float:
        """(value - lower_bound) / value."""
        return (self.value - self.lower_bound) / self.value if self.value else 0.0

    def about(self, value: float) -> Certificate:
        """The certificate of another mapping, with this value, no less than what is proven."""
        proven = self.lower_bound >= value * (1.0 - ROUNDING)
        status = "optimal" if proven else "heuristic" if self.status == "optimal" else self.status
        return replace(self, value=value, lower_bound=value if proven else self.lower_bound,
                       relaxed_bound=min(self.relaxed_bound, value), status=status)


@dataclass(frozen=True)
class FrontPoint:
    """A mapping on the front, the cost of one occurrence, and the certificate that no mapping with at most
    `cap` cycles needs less energy (or less than its lower bound)."""

    energy_pj: float
    cycles: int
    mapping: Mapping
    certificate: Certificate

    @property
    def cap(self) -> float:
        """The cycles up to which the certificate speaks; inf where it speaks of all mappings."""
        return inf if self.certificate.among is None else self.certificate.among[1]


@dataclass(frozen=True)
class LayerFront:
    """The front of cycles and energy of one layer: points with more and more cycles and less and less energy,
    and `fastest`, the certificate of the fewest cycles."""

    fastest: Certificate
    points: tuple[FrontPoint, ...]

    @cached_property
    def excesses(self) -> tuple[float, ...]:
        """For each point, by what share it (or the one before it) may have more of cycles and of energy than
        some mapping that has more cycles than the certificate before it speaks of."""
        shares, start, before = [], max(self.fastest.lower_bound, 1.0), None
        for point in self.points:
            least = max(point.certificate.lower_bound, 1e-300)
            share = max(point.cycles / start, point.energy_pj / least)
            if before is not None:
                share = min(share, before.energy_pj / least)
            shares.append(share - 1.0 if share > 1.0 + ROUNDING else 0.0)
            start, before = point.cap + 1.0, point
        if start < inf and before is not None:      # nothing is known of mappings with more cycles
            shares.append(inf)
        return tuple(shares)

    @property
    def tolerance(self) -> float:
        """For every mapping there is a point with no more than `1 + tolerance` times its cycles, and times
        its energy."""
        return max(self.excesses, default=inf)
