"""Search all layers of a workload: equal layers once, layers side by side in processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable

from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints, violations
from ..mapping.nest import Mapping
from ..model.cost import Semantics
from ..model.evaluate import evaluate
from ..signals import interrupts
from ..workload.einsum import Einsum
from ..workload.graph import WorkloadGraph
from .certificate import Certificate, LayerFront
from .combine import combine
from .differences import difference
from .front import POINTS
from .limits import Limits
from .processes import Clock, in_processes, one_by_one
from .progress import ProgressEvent
from .refusals import require_options, require_searchable
from .result import LayerResult, NetworkResult
from .task import Answer, Sketch, Task

Watch = Callable[[ProgressEvent], None]


def search_network(architecture: Architecture, graph: WorkloadGraph, *, objective: str = "edp",
                   gap: float = 0.0, time_limit: float | None = None, jobs: int = 1, seed: int = 0,
                   constraints: Constraints = NONE, semantics: Semantics = "exact", points: int = POINTS,
                   explain: bool = False, progress: Watch | None = None,
                   save: Callable[[NetworkResult], None] | None = None) -> NetworkResult:
    """The best mapping found of every layer of `graph`, each with its certificate.

    Parameters
    ----------
    objective : str
        One of `OBJECTIVES`, or two with a comma between (see `stages`), or `PARETO`: then every layer has
        a front, and the mappings are those of that point of the network's of which the EDP is least
        (`NetworkResult.front`).
    gap : float
        Stop at a layer once (value - lower bound) / value is no more than this.
    time_limit : float, optional
        Seconds for all layers together; what is left is shared among the layers to come.
    jobs : int
        Processes; the answer does not depend on it, unless a time limit ends the search.
    seed : int
        Seed of the mappings that are drawn at random as starting points.
    constraints : Constraints
        Which mappings are considered.
    semantics : "exact" or "timeloop"
        How the mappings found are counted; on whole factors of dense machines the two agree, and all
        others are searched in exact semantics only.
    points : int
        Of a front, at most so many searches a layer, each of which finds a point or shows that there is none.
    explain : bool
        Look closely at what runner-up classes lose, which takes up to as long again as the search.
    progress : callable, optional
        Is handed a `ProgressEvent` now and then.
    save : callable, optional
        Is handed the layers found so far (marked as interrupted) whenever one is done and others
        are still to come, and the best so far of those in flight as soon as there is something, then
        whenever that is much better, and every few seconds: with a bound of 0, since nothing is proved of
        them yet. So a run that is killed loses little.

    Ctrl-C ends the search soon, with the best mappings so far of the layers that were begun
    (`NetworkResult.interrupted`).

    Raises
    ------
    InfeasibleError
        A layer has no mapping; the message names what rules all out, `conflict` holds it.
    SpecError
        A network charges for what the search cannot reckon with, or a layer or a machine is one of which no
        bound is known: flattened ranks, too many operations, zeros in timeloop semantics.
    ValueError
        An option is out of its range.
    """
    require_options(objective, gap, time_limit, jobs, seed, points)
    groups = graph.distinct()
    firsts = [graph[names[0]] for names in groups.values()]
    tasks = [Task(architecture, einsum, objective, Limits(gap=gap), seed, i, len(firsts), constraints,
                   points, explain, save is not None)
             for i, einsum in enumerate(firsts)]
    empty = NetworkResult(architecture, graph.name, objective, (), True, semantics, constraints)
    with interrupts() as stop:
        require_searchable(architecture, graph, constraints, semantics)
        clock = Clock(time_limit, min(jobs, len(tasks)))
        parallel = jobs > 1 and len(tasks) > 1
        keeper = _Keeper(empty, graph, firsts, progress, save)
        search = (in_processes(tasks, jobs, clock, stop, keeper.heed) if parallel else
                  one_by_one(tasks, clock, stop, keeper.heed))
        for index, answer in search:
            keeper.keep(index, answer)
        return replace(_assemble(empty, graph, keeper.found), interrupted=stop.is_set())


class _Keeper:
    """What is found of the layers, and the best so far of those in flight; `save` is handed both when a
    layer is done and others are to come, and whenever there is something new of one in flight."""

    def __init__(self, empty: NetworkResult, graph: WorkloadGraph, firsts: list[Einsum],
                 progress: Watch | None, save: Callable[[NetworkResult], None] | None) -> None:
        self.empty, self.graph, self.firsts = empty, graph, firsts
        self.progress, self.save = progress, save
        self.found: dict[tuple[object, ...], Answer] = {}
        self.sketched: dict[tuple[object, ...], Answer] = {}

    def heed(self, event: ProgressEvent | Sketch) -> None:
        """Take in what a search tells while it runs."""
        if isinstance(event, Sketch):
            self.sketched[self.firsts[event.index].canonical] = event.answer
            self._hand_over()
        elif self.progress is not None:
            self.progress(event)

    def keep(self, index: int, answer: Answer) -> None:
        """Take in the answer for a layer."""
        self.found[self.firsts[index].canonical] = answer
        if len(self.found) < len(self.firsts):
            self._hand_over()

    def _hand_over(self) -> None:
        if self.save is not None:
            self.save(_assemble(self.empty, self.graph, {**self.sketched, **self.found}))


def _assemble(empty: NetworkResult, graph: WorkloadGraph,
              found: dict[tuple[object, ...], Answer]) -> NetworkResult:
    """`empty` with all layers whose form has been searched, in the order of the graph."""
    layers = []
    done = [(einsum, graph.count(einsum.name)) for einsum in graph if einsum.canonical in found]
    fronts = [(answer, count) for einsum, count in done
              if isinstance(answer := found[einsum.canonical], LayerFront)]
    choice = iter(combine(fronts).least_edp.choice)
    for einsum, count in done:
        answer = found[einsum.canonical]
        if isinstance(answer, LayerFront):
            point = answer.points[next(choice)]
            layer = _layer(empty, einsum, count, point.mapping, point.certificate)
            layers.append(replace(layer, front=answer))
        else:
            layers.append(_layer(empty, einsum, count, *answer))
    return replace(empty, layers=tuple(layers))


def _layer(result: NetworkResult, einsum: Einsum, count: int, mapping: Mapping,
           certificate: Certificate) -> LayerResult:
    """A layer of `result` with what was found for it."""
    architecture, semantics = result.architecture, result.semantics
    if broken := violations(result.constraints, architecture, einsum, mapping):
        raise RuntimeError(f"{einsum.name}: the search broke a constraint: {'; '.join(broken)}")
    cost = evaluate(architecture, einsum, mapping, semantics)
    return LayerResult(einsum, count, mapping, cost, certificate,
                       difference(architecture, einsum, mapping, cost, semantics))


