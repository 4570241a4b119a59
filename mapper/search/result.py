"""What a search returns: layers with their mappings, costs and proofs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Mapping
from ..model.cost import Cost, Semantics
from ..model.options import DEFAULT, Options
from ..workload.einsum import Einsum
from .certificate import Certificate, LayerFront
from .combine import NetworkFront, combine


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
