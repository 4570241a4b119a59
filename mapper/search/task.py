"""One layer of a network: what is asked of its search, and the search that answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from time import monotonic
from typing import Callable

from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import Constraints
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .demands import Case
from .explain import explained
from .front import FrontSearch
from .imperfect import layer_search
from .layer import LayerSearch, Limits
from .potential import potentials
from .progress import ProgressEvent
from .relief import with_conflict
from .result import PARETO, Certificate, LayerFront, stages
from .stages import second_stage
from .uneven import search_uneven

Answer = tuple[Mapping, Certificate] | LayerFront
#: Seconds between looks at, and saves of, what was found so far in layers that are still being searched.
SKETCHES = 2.0


@dataclass(frozen=True)
class Task:
    """One layer to search, out of `total`: all that a process needs."""

    architecture: Architecture
    einsum: Einsum
    objective: str
    limits: Limits
    seed: int
    index: int
    total: int
    constraints: Constraints
    points: int
    closely: bool                # whether runner-up classes are looked into
    sketches: bool = False       # whether the best so far is sent now and then


@dataclass(frozen=True)
class Sketch:
    """The best so far of the layer at place `index`, which is still being searched."""

    index: int
    answer: Answer


Send = Callable[["ProgressEvent | Sketch"], None]


def search_layer(task: Task, send: Send) -> Answer:
    """The answer for one layer; `send` is told how it goes.

    Raises InfeasibleError, with what conflicts, when no mapping fits.
    """
    started = monotonic()
    state = (inf, 0.0)
    search: LayerSearch | FrontSearch | None = None
    sketched = -inf

    def report(value: float, bound: float, done: bool = False) -> None:
        nonlocal state, sketched
        state = value, bound
        now = monotonic()
        send(ProgressEvent(task.einsum.name, task.index, task.total, value, bound, now - started, done))
        if (task.sketches and search is not None and now - sketched > SKETCHES
                and (sketch := search.sketch()) is not None):
            send(Sketch(task.index, sketch))
            sketched = now

    def begun(new: LayerSearch | FrontSearch) -> None:
        nonlocal search
        search = new

    try:
        answer = _found(task, report, begun)
    except InfeasibleError as error:
        objective = "edp" if task.objective == PARETO else stages(task.objective)[0]
        case = Case(task.architecture, task.constraints)
        raise with_conflict(error, task.einsum, case, objective) from None
    report(*state, done=True)
    return answer


def _found(task: Task, report: Callable[[float, float], None],
           begun: Callable[[LayerSearch | FrontSearch], None]) -> Answer:
    """The best mapping of a layer, explained, or its front; `begun` is handed the search at its start."""
    if task.constraints.uneven:
        return search_uneven(task.architecture, task.einsum, task.objective, task.limits, task.seed, report,
                             task.constraints)
    if task.objective == PARETO:
        front = FrontSearch(task.architecture, task.einsum, task.points, task.limits, task.seed, report,
                            task.constraints)
        begun(front)
        return front.run()
    search = layer_search(task.architecture, task.einsum, stages(task.objective)[0], task.limits, task.seed,
                          report, task.constraints)
    begun(search)
    mapping, certificate = second_stage(search, *search.run(), task.objective, task.limits)
    return mapping, replace(
        certificate, explanation=explained(search, mapping, certificate, task.closely),
        potential=potentials(search, certificate))
