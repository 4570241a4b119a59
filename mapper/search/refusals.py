"""What a search refuses before it begins."""

from __future__ import annotations

from typing import Iterator

from ..bounds.scenario import Scenario
from ..errors import Problem, SpecError
from ..hardware.architecture import Architecture
from ..mapping.constraints import Constraints
from ..mapping.splits import MOST_SPLITS, TooManySplits
from ..model.batch_shape import EXACT, TensorShape
from ..model.cost import Semantics
from ..model.network import require_tolls
from ..workload.einsum import Einsum
from ..workload.graph import WorkloadGraph
from .objectives import require_objective
from .space import Mapspace

#: Counts stay exact in the floats of the fast evaluation up to here.
MOST_OPERATIONS = 2 ** 50

#: Where loops may have remainders, any number up to the extent of a rank is a factor, and is listed.
MOST_LISTED = 2 ** 20


def require_options(objective: str, gap: float, time_limit: float | None, jobs: int, seed: int,
                    points: int) -> None:
    """Raise a ValueError for an option that is out of its range."""
    require_objective(objective)
    if not 0.0 <= gap <= 1.0:
        raise ValueError(f"gap is {gap}; expected a number from 0 to 1")
    if time_limit is not None and not time_limit > 0.0:
        raise ValueError(f"time_limit is {time_limit}; expected seconds, more than 0")
    if jobs < 1 or seed < 0:
        raise ValueError(f"jobs is {jobs} and seed {seed}; expected 1 or more, and 0 or more")
    if points < 2:
        raise ValueError(f"points is {points}; expected 2 or more")


def require_searchable(architecture: Architecture, graph: WorkloadGraph, constraints: Constraints,
                       semantics: Semantics) -> None:
    """Raise a SpecError for all that cannot be searched."""
    require_tolls(architecture, ways=semantics == "exact")
    problems = [_problem(architecture.place, architecture.name, reason)
                for reason in _of_machine(architecture, constraints, semantics)]
    problems += [_problem(einsum.place, graph.name, f"layer {einsum.name}: {reason}")
                 for einsum in graph for reason in _of_layer(architecture, einsum, constraints)]
    if problems:
        raise SpecError(problems)


def _problem(place: str, name: str, message: str) -> Problem:
    """A problem at a place FILE:LINE:COLUMN, or of what has that name where no place is known."""
    file, line, column = place.rsplit(":", 2) if place else (name, "0", "0")
    return Problem(file, int(line), int(column), message)


def _of_machine(architecture: Architecture, constraints: Constraints, semantics: Semantics) -> Iterator[str]:
    """What of a machine and of what is asked of its mappings cannot be bounded."""
    remainders = constraints != constraints.whole
    if semantics != "exact":
        theirs = "a search in timeloop semantics expects none: what Timeloop counts for them is not bounded"
        if remainders:
            yield f"imperfect factors or remainders; {theirs}"
        if architecture.sparse:
            yield f"formats, gating or skipping; {theirs}"
    elif architecture.sparse and remainders:
        yield "imperfect factors or remainders; a search where zeros are left out or gated expects none"
    if constraints.uneven and architecture.sparse:
        yield "formats, gating or skipping; a search for uneven mappings expects none"


def _of_layer(architecture: Architecture, einsum: Einsum, constraints: Constraints) -> Iterator[str]:
    """What of a layer cannot be searched: bounds and the fast evaluation of many mappings take tiles for
    boxes, and their counts have to be exact."""
    for flat in einsum.flattened:
        yield f"flattened rank {flat.rank}; a search expects plain ranks; given mappings can be evaluated"
    if einsum.macs > MOST_OPERATIONS:
        yield f"{einsum.macs} operations; a search expects at most {MOST_OPERATIONS}"
    elif not einsum.flattened and any(TensorShape(t, einsum).largest_count >= EXACT for t in einsum.tensors):
        yield f"tensors with too many words; a search expects counts below {EXACT:.0f}"
    elif not einsum.flattened:
        scenario = Scenario(architecture, einsum, constraints)
        if long := [rank for rank in einsum.ranks
                    if rank in scenario.imperfect and einsum.extent[rank] > MOST_LISTED]:
            yield (f"remainders of {long[0]}, which has an extent of {einsum.extent[long[0]]}; a search "
                   f"expects at most {MOST_LISTED} there")
            return
        try:
            Mapspace(architecture, einsum, constraints).require_ways()
        except TooManySplits:
            yield ("remainders allow too many ways to split a rank; a search expects at most "
                   f"{MOST_SPLITS}")
