"""Where the two ways of counting come apart."""

from __future__ import annotations

from math import isclose

from ..errors import MappingError, SpecError
from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..model.cost import Cost, Semantics
from ..model.evaluate import evaluate
from ..model.options import DEFAULT, Options
from ..workload.einsum import Einsum
from .result import Difference


def difference(architecture: Architecture, einsum: Einsum, mapping: Mapping, cost: Cost,
               semantics: Semantics, options: Options = DEFAULT) -> Difference | None:
    """What the other semantics make of a mapping with this `cost`; None where they agree, as they do
    on perfect factors and plain networks. Figures are None where the other semantics refuse: exact
    counts need areas for the length of wires, say, which the program takes for 0 when unknown."""
    other: Semantics = "timeloop" if semantics == "exact" else "exact"
    try:
        found = evaluate(architecture, einsum, mapping, semantics=other, options=options)
    except (SpecError, MappingError):
        return Difference(other, None, None, None)
    same = (found.computes == cost.computes and found.cycles == cost.cycles
            and isclose(found.energy_pj, cost.energy_pj, rel_tol=1e-9))
    return None if same else Difference(other, found.energy_pj, found.cycles, found.computes)
