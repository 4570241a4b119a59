"""What a search returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any
from typing import Mapping as MappingOf

from ..bounds.bound import ROUNDING
from ..bounds.cap import UNCAPPED, Cap
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Mapping
from ..model.cost import Cost, Semantics
from ..model.options import DEFAULT, Options
from ..workload.einsum import Einsum
from .explanation import Explanation

if TYPE_CHECKING:
    from .combine import NetworkFront

#: What asks for the front of cycles and energy.
PARETO = "pareto"

#: Objectives, with the exponents of energy and of cycles in what is minimised.
OBJECTIVES: dict[str, tuple[int, int]] = {
    "energy": (1, 0), "latency": (0, 1), "edp": (1, 1), "ed2p": (1, 2)}


def objective_value(objective: str, energy_pj: float, cycles: float) -> float:
    """The figure that `objective` minimises: pJ, cycles, pJ x cycles or pJ x cycles^2."""
    energy_power, cycles_power = OBJECTIVES[objective]
    return energy_pj ** energy_power * cycles ** cycles_power


#: How a search may end for one layer, the best end first.
STATUSES = ("optimal", "gap_reached", "heuristic", "time_limit")


def ended(value: float, bound: float, gap: float, stopped: bool) -> tuple[float, str]:
    """How a search has ended that has found a mapping of `value` and proven that none lies below `bound`: its
    lower bound, which is the value where the two are equal but for rounding, and its status."""
    if bound >= value * (1.0 - ROUNDING):
        return value, "optimal"
    if (value - bound) / value <= gap:
        return bound, "gap_reached"
    return bound, "time_limit" if stopped else "heuristic"


#: Among mappings that are equal in an objective, the one with the least of this.
_THEN = {"energy": "latency", "latency": "energy"}


def stages(objective: str) -> tuple[str, ...]:
    """What is made least, and what among mappings that are equal in that.

    >>> stages("edp"), stages("latency"), stages("edp,energy")
    (('edp',), ('latency', 'energy'), ('edp', 'energy'))

    Raises ValueError for what is no objective, or more than two.
    """
    names = tuple(name.strip() for name in objective.split(","))
    for name in names:
        if name not in OBJECTIVES:
            raise ValueError(f"objective {name!r}; expected one of {', '.join(OBJECTIVES)}, or two of them "
                             f"with a comma between, or {PARETO}")
    if len(names) > 2 or len(set(names)) < len(names):
        raise ValueError(f"objectives {objective!r}; expected one, or two that differ: mappings equal in two "
                         "are equal in all")
    return names if len(names) > 1 or objective not in _THEN else (objective, _THEN[objective])


def require_objective(asked: str) -> None:
    """Raise ValueError unless a search can be asked for this: `PARETO`, or what `stages` takes."""
    if asked != PARETO:
        stages(asked)


def cap(among: tuple[str, float] | None) -> Cap:
    """The mappings of which a certificate speaks (see `Certificate.among`)."""
    return UNCAPPED if among is None else Cap(*OBJECTIVES[among[0]], among[1])


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


@dataclass(frozen=True)
class Difference:
    """What the other `semantics` make of one occurrence of a layer; None where they refuse it."""

    semantics: Semantics
    energy_pj: float | None
    cycles: int | None
    computes: int | None


@dataclass(frozen=True)
class LayerResult:
    """One layer: its mapping, the cost of ONE occurrence, and the proof where it was searched.
    `difference` is there where the other semantics would give another cost."""

    einsum: Einsum
    count: int
    mapping: Mapping
    cost: Cost
    certificate: Certificate | None = None
    difference: Difference | None = None
    front: LayerFront | None = None

    @property
    def name(self) -> str:
        return self.einsum.name


@dataclass(frozen=True)
class NetworkResult:
    """All layers of a workload on one architecture, counted with `semantics` and (given mappings)
    `options`; a search considered the mappings that the `constraints` admit."""

    architecture: Architecture
    workload: str
    objective: str
    layers: tuple[LayerResult, ...]
    interrupted: bool = False
    semantics: Semantics = "exact"
    constraints: Constraints = NONE
    options: Options = DEFAULT

    @cached_property
    def front(self) -> NetworkFront | None:
        """The front of cycles and energy of the whole network, where that was searched for."""
        from .combine import combine

        fronts = [(x.front, x.count) for x in self.layers if x.front is not None]
        return combine(fronts) if fronts and len(fronts) == len(self.layers) else None

    @property
    def energy_pj(self) -> float:
        """Energy of the whole network, repeated layers included, pJ."""
        return sum(x.cost.energy_pj * x.count for x in self.layers)

    @property
    def cycles(self) -> int:
        """Cycles of the whole network, layers one after another."""
        return sum(x.cost.cycles * x.count for x in self.layers)

    @property
    def macs(self) -> int:
        return sum(x.einsum.macs * x.count for x in self.layers)
