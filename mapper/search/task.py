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
from .certificate import Certificate, LayerFront
from .conflict.demands import Case
from .conflict.relief import with_conflict
from .front import FrontSearch
from .imperfect import layer_search
from .layer import LayerSearch
from .limits import Limits
from .objectives import PARETO, stages
from .progress import ProgressEvent
from .stages import second_stage
from .uneven.uneven import UnevenSearch, search_uneven
from .why.explain import explained
from .why.explain_uneven import explained_uneven
from .why.potential import potentials

Answer = tuple[Mapping, Certificate] | LayerFront
_Search = LayerSearch | FrontSearch | UnevenSearch
#: Of a layer that is still being searched the best so far is sent after so many seconds, or as soon as it is
#: so much better than what was sent.
_SKETCHES, _MUCH = 2.0, 0.8


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


class _Reporter:
    """Tells how the search of one layer goes, and now and then the best so far."""

    def __init__(self, task: Task, send: Send) -> None:
        self.task, self.send = task, send
        self.value, self.bound, self.started = inf, 0.0, monotonic()
        self.search: _Search | None = None       # what is asked for the best so far
        self.sent, self.sent_at = inf, -inf      # the value of the last sketch

    def begun(self, search: _Search) -> None:
        """Take note of the search that is about to run."""
        self.search = search

    def __call__(self, value: float, bound: float) -> None:
        self.value, self.bound = value, bound
        self._tell()
        late = monotonic() - self.sent_at > _SKETCHES
        if self.task.sketches and (value < self.sent * _MUCH or (late and value < self.sent)):
            self._sketch()

    def done(self) -> None:
        """There is nothing more to tell."""
        self._tell(done=True)

    def _tell(self, done: bool = False) -> None:
        task, seconds = self.task, monotonic() - self.started
        self.send(ProgressEvent(
            task.einsum.name, task.index, task.total, self.value, self.bound, seconds, done))

    def _sketch(self) -> None:
        sketch = None if self.search is None else self.search.sketch()
        if sketch is not None:
            self.send(Sketch(self.task.index, sketch))
            self.sent, self.sent_at = self.value, monotonic()


def search_layer(task: Task, send: Send) -> Answer:
    """The answer for one layer; `send` is told how it goes.

    Raises InfeasibleError, with what conflicts, when no mapping fits.
    """
    report = _Reporter(task, send)
    try:
        answer = _found(task, report)
    except InfeasibleError as error:
        objective = "edp" if task.objective == PARETO else stages(task.objective)[0]
        case = Case(task.architecture, task.constraints)
        raise with_conflict(error, task.einsum, case, objective) from None
    report.done()
    return answer


def _found(task: Task, report: _Reporter) -> Answer:
    """The best mapping of a layer, explained, or its front."""
    if task.objective == PARETO:
        front = FrontSearch(task.architecture, task.einsum, task.points, task.limits, task.seed, report,
                            task.constraints, task.closely)
        report.begun(front)
        return front.run()
    if task.constraints.uneven:
        mapping, certificate = search_uneven(task.architecture, task.einsum, task.objective, task.limits,
                                             task.seed, report, task.constraints, report.begun)
        assert isinstance(report.search, UnevenSearch)
        why = explained_uneven(report.search, mapping, certificate, task.closely)
        return mapping, replace(certificate, explanation=why)
    search = layer_search(task.architecture, task.einsum, stages(task.objective)[0], task.limits, task.seed,
                          report, task.constraints)
    report.begun(search)
    mapping, certificate = second_stage(search, *search.run(), task.objective, task.limits)
    return mapping, replace(
        certificate, explanation=explained(search, mapping, certificate, task.closely),
        potential=potentials(search, certificate))
