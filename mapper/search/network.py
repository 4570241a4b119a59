"""Search all layers of a workload: equal layers once, layers side by side in processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from time import monotonic
from typing import Any, Callable, Iterator

from ..errors import InfeasibleError, Problem, SpecError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints, violations
from ..mapping.nest import Mapping
from ..mapping.parts import unfold
from ..mapping.splits import MOST_SPLITS, TooManySplits
from ..model.cost import Semantics
from ..model.evaluate import evaluate
from ..model.network import require_tolls
from ..workload.einsum import Einsum
from ..workload.graph import WorkloadGraph
from .combine import combine
from .demands import Case
from .differences import difference
from .explain import explained
from .front import POINTS, FrontSearch
from .imperfect import layer_search
from .layer import LayerSearch, Limits
from .local import never
from .potential import potentials
from .progress import ProgressEvent
from .relief import with_conflict
from .result import (
    PARETO,
    Certificate,
    LayerFront,
    LayerResult,
    NetworkResult,
    require_objective,
    stages,
)
from .space import Mapspace
from .stages import second_stage
from .uneven import search_uneven, uneven_problems

Watch = Callable[[ProgressEvent], None]
_Answer = tuple[Mapping, Certificate] | LayerFront
#: Seconds between saves of what was found so far in layers that are still being searched.
_SKETCHES = 2.0
#: Counts stay exact in the floats of the fast evaluation up to here.
MOST_OPERATIONS = 2 ** 50
_PATIENCE = 0.1      # seconds between looks at what the processes report


@dataclass(frozen=True)
class _Task:
    """One layer to search: all that a process needs."""

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
class _Sketch:
    """The best so far of the layer at place `index`, which is still being searched."""

    index: int
    answer: _Answer


_Send = Callable[["ProgressEvent | _Sketch"], None]


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
        are still to come, and the best so far of those in flight as soon as there is something, then every
        few seconds: with a bound of 0, since nothing is proved of them yet. So a run that is killed loses
        little.

    Ctrl-C ends the search soon, with the best mappings so far (`NetworkResult.interrupted`).

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
    _require_options(objective, gap, time_limit, jobs, seed, points)
    _require_searchable(architecture, graph, constraints, semantics)
    if objective == PARETO and (constraints.uneven or constraints != constraints.whole):
        asked = "uneven mappings" if constraints.uneven else "remainders"
        raise SpecError([Problem(architecture.name, 0, 0, f"{asked} in the constraints; a search for a "
                                 "front expects none")])
    groups = graph.distinct()
    firsts = [graph[names[0]] for names in groups.values()]
    tasks = [_Task(architecture, einsum, objective, Limits(gap=gap), seed, i, len(firsts), constraints,
                   points, explain, save is not None)
             for i, einsum in enumerate(firsts)]
    empty = NetworkResult(architecture, graph.name, objective, (), True, semantics, constraints)
    with _interrupts() as stop:
        clock = _Clock(time_limit, min(jobs, len(tasks)))
        parallel = jobs > 1 and len(tasks) > 1
        keeper = _Keeper(empty, graph, firsts, progress, save)
        search = (_in_processes(tasks, jobs, clock, stop, keeper.heed) if parallel else
                  _one_by_one(tasks, clock, stop, keeper.heed))
        for index, answer in search:
            keeper.keep(index, answer)
        return replace(_assemble(empty, graph, keeper.found), interrupted=stop.is_set())


class _Keeper:
    """What is found of the layers, and the best so far of those in flight; `save` is handed both when a
    layer is done and others are to come, and every few seconds."""

    def __init__(self, empty: NetworkResult, graph: WorkloadGraph, firsts: list[Einsum],
                 progress: Watch | None, save: Callable[[NetworkResult], None] | None) -> None:
        self.empty, self.graph, self.firsts = empty, graph, firsts
        self.progress, self.save = progress, save
        self.found: dict[tuple[object, ...], _Answer] = {}
        self.sketched: dict[tuple[object, ...], _Answer] = {}
        self.saved = -inf

    def heed(self, event: ProgressEvent | _Sketch) -> None:
        """Take in what a search tells while it runs."""
        if isinstance(event, _Sketch):
            self.sketched[self.firsts[event.index].canonical] = event.answer
            if monotonic() - self.saved > _SKETCHES:
                self._hand_over()
        elif self.progress is not None:
            self.progress(event)

    def keep(self, index: int, answer: _Answer) -> None:
        """Take in the answer for a layer."""
        self.found[self.firsts[index].canonical] = answer
        if len(self.found) < len(self.firsts):
            self._hand_over()

    def _hand_over(self) -> None:
        if self.save is not None:
            self.save(_assemble(self.empty, self.graph, {**self.sketched, **self.found}))
            self.saved = monotonic()


def require_boxes(graph: WorkloadGraph) -> None:
    """Raise a SpecError that names every layer with flattened ranks: bounds and the fast evaluation
    of many mappings take tiles for boxes."""
    problems = [Problem(graph.name, 0, 0, f"layer {einsum.name}: flattened rank {flat.rank}; a search "
                        "expects plain ranks; given mappings can be evaluated")
                for einsum in graph for flat in einsum.flattened]
    if problems:
        raise SpecError(problems)


def _require_searchable(architecture: Architecture, graph: WorkloadGraph, constraints: Constraints,
                        semantics: Semantics) -> None:
    """Raise a SpecError for what cannot be searched."""
    require_tolls(architecture, ways=semantics == "exact")
    require_boxes(graph)
    _require_bounded(architecture, constraints, semantics)
    _require_size(architecture, graph, constraints)


def _require_bounded(architecture: Architecture, constraints: Constraints, semantics: Semantics) -> None:
    """Raise a SpecError for what no bound is known of."""
    problems = []
    if semantics != "exact":
        theirs = "a search in timeloop semantics expects none: what Timeloop counts for them is not bounded"
        if constraints != constraints.whole:
            problems.append(f"remainders in the constraints; {theirs}")
        if architecture.sparse:
            problems.append(f"formats, gating or skipping; {theirs}")
    elif architecture.sparse and constraints != constraints.whole:
        problems.append("remainders in the constraints; a search where zeros are left out or gated "
                        "expects none")
    if constraints.uneven:
        problems += uneven_problems(architecture, constraints)
    if problems:
        raise SpecError([Problem(architecture.name, 0, 0, text) for text in problems])


def _require_options(objective: str, gap: float, time_limit: float | None, jobs: int, seed: int,
                     points: int) -> None:
    require_objective(objective)
    if not 0.0 <= gap <= 1.0:
        raise ValueError(f"gap is {gap}; expected a number from 0 to 1")
    if time_limit is not None and not time_limit > 0.0:
        raise ValueError(f"time_limit is {time_limit}; expected seconds, more than 0")
    if jobs < 1 or seed < 0:
        raise ValueError(f"jobs is {jobs} and seed {seed}; expected 1 or more, and 0 or more")
    if points < 2:
        raise ValueError(f"points is {points}; expected 2 or more")


def _require_size(architecture: Architecture, graph: WorkloadGraph, constraints: Constraints) -> None:
    """Raise a SpecError where counts would not be exact, or splits are too many to list."""
    problems = []
    for einsum in graph:
        if einsum.macs > MOST_OPERATIONS:
            problems.append(Problem(graph.name, 0, 0, f"layer {einsum.name}: {einsum.macs} operations; a "
                                    f"search expects at most {MOST_OPERATIONS}"))
            continue
        space = Mapspace(architecture, einsum, constraints)
        try:
            space.require_ways()
        except TooManySplits:
            problems.append(Problem(graph.name, 0, 0, f"layer {einsum.name}: remainders allow too many ways "
                                    f"to split a rank; a search expects at most {MOST_SPLITS}"))
    if problems:
        raise SpecError(problems)


def _assemble(empty: NetworkResult, graph: WorkloadGraph,
              found: dict[tuple[object, ...], _Answer]) -> NetworkResult:
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


def _one_by_one(tasks: list[_Task], clock: _Clock, stop: threading.Event,
                send: _Send) -> Iterator[tuple[int, _Answer]]:
    for task in tasks:
        seconds = clock.share(len(tasks) - task.index)
        limits = replace(task.limits, seconds=seconds, stopped=stop.is_set)
        yield task.index, _search(replace(task, limits=limits), send)


class _Clock:
    """Shares a time limit among layers that are searched `jobs` at a time."""

    def __init__(self, limit: float | None, jobs: int) -> None:
        self.end = inf if limit is None else monotonic() + limit
        self.jobs = jobs

    def share(self, layers_left: int) -> float:
        """Seconds for the next layer."""
        rounds = max(layers_left / self.jobs, 1.0)
        return max(self.end - monotonic(), 0.0) / rounds


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts as usual."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def first(*_: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)


def _search(task: _Task, send: _Send) -> _Answer:
    started = monotonic()
    state = (inf, 0.0)
    search: LayerSearch | FrontSearch | None = None
    sketched = -inf

    def report(value: float, bound: float, done: bool = False) -> None:
        nonlocal state, sketched
        state = value, bound
        now = monotonic()
        send(ProgressEvent(task.einsum.name, task.index, task.total, value, bound, now - started, done))
        if (task.sketches and search is not None and now - sketched > _SKETCHES
                and (sketch := search.sketch()) is not None):
            if not isinstance(sketch, LayerFront):
                sketch = _without_links(task.architecture, task.einsum, sketch[0]), sketch[1]
            send(_Sketch(task.index, sketch))
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


def _found(task: _Task, report: Callable[[float, float], None],
           begun: Callable[[LayerSearch | FrontSearch], None]) -> _Answer:
    """The best mapping of a layer, explained, or its front; `begun` is handed the search at its start."""
    if task.constraints.uneven:
        mapping, certificate = search_uneven(task.architecture, task.einsum, task.objective, task.limits,
                                             task.seed, report, task.constraints)
        return _without_links(task.architecture, task.einsum, mapping), certificate
    if task.objective == PARETO:
        front = FrontSearch(task.architecture, task.einsum, task.points, task.limits, task.seed, report,
                            task.constraints, partial(_without_links, task.architecture, task.einsum))
        begun(front)
        return front.run()
    search = layer_search(task.architecture, task.einsum, stages(task.objective)[0], task.limits, task.seed,
                          report, task.constraints)
    begun(search)
    mapping, certificate = second_stage(search, *search.run(), task.objective, task.limits)
    certificate = replace(certificate, explanation=explained(search, mapping, certificate, task.closely),
                          potential=potentials(search, certificate))
    return _without_links(task.architecture, task.einsum, mapping), certificate


def _without_links(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Mapping:
    """The mapping with transfers between neighbours turned off: the search does not count on them."""
    names = frozenset(t.name for t in einsum.tensors)
    return Mapping(tuple(
        replace(block, no_links=names) if level.network.links and block.spatial else block
        for level, block in zip(unfold(architecture, mapping)[0].levels, mapping, strict=True)))


# ---- processes -----------------------------------------------------------------------------------

_worker: dict[str, Any] = {}     # what a process is given when it starts


def _start_worker(queue: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)     # the parent tells the processes to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_heed_parent, daemon=True).start()
    _worker.update(queue=queue, stop=stop)


def _end_with_parent() -> None:
    """Wait for the parent to go, however it goes, and go as well."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _heed_parent() -> None:
    """Go on SIGTERM from the parent. From others it reaches the parent too, which lets the search end."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(1)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started inside do not hear Ctrl-C and SIGTERM, not even before they have started up."""
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(task: _Task) -> _Answer:
    limits = replace(task.limits, stopped=_worker["stop"].is_set)
    return _search(replace(task, limits=limits), _worker["queue"].put)


def _in_processes(tasks: list[_Task], jobs: int, clock: _Clock, stop: threading.Event,
                  send: _Send) -> Iterator[tuple[int, _Answer]]:
    context = multiprocessing.get_context("spawn")
    queue, stopped = context.Queue(), context.Event()
    waiting = list(reversed(tasks))
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, _start_worker, (queue, stopped)) as pool:
        running: dict[Future[_Answer], int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = waiting.pop()
                    seconds = clock.share(len(waiting) + 1)
                    limits = replace(task.limits, seconds=seconds, stopped=never)
                    with _deaf_children():
                        running[pool.submit(_work, replace(task, limits=limits))] = task.index
                done, _ = wait(running, _PATIENCE, FIRST_COMPLETED)
                if stop.is_set():
                    stopped.set()
                _hand_on(queue, send)
                for future in done:
                    yield running.pop(future), future.result()
        except BaseException:
            stopped.set()        # let the other processes end before the error is raised
            raise


def _hand_on(queue: Any, send: _Send) -> None:
    while not queue.empty():
        send(queue.get())
