"""The functions of the public interface; `import tilebound` hands them out when they are used."""

from __future__ import annotations

import sys
from collections.abc import Mapping as MappingOf
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

from .errors import SpecError
from .hardware.architecture import Architecture
from .loading import Source, load_architecture, load_workload
from .mapping.constraints import NONE, Constraints
from .mapping.nest import Mapping
from .model.cost import Cost, Semantics
from .model.options import DEFAULT, Options
from .search.result import LayerResult, NetworkResult
from .workload.einsum import Einsum
from .workload.graph import WorkloadGraph

if TYPE_CHECKING:
    from .report.schema import ResultDocument
    from .search.combine import NetworkFront
    from .search.progress import ProgressEvent


@dataclass(frozen=True)
class Result:
    """What a search found for every layer of a workload, and the reports about it.

    `print(result)` shows a table; a notebook shows the whole report. `network` holds the figures,
    `graph` the workload.
    """

    network: NetworkResult
    graph: WorkloadGraph = field(compare=False, repr=False)

    @property
    def layers(self) -> tuple[LayerResult, ...]:
        """The layers in order, each with its `mapping`, `cost` and `certificate`."""
        return self.network.layers

    @property
    def architecture(self) -> Architecture:
        """What the workload runs on, every energy figure filled in."""
        return self.network.architecture

    @property
    def energy_pj(self) -> float:
        """Energy of the whole network, repeated layers included, pJ."""
        return self.network.energy_pj

    @property
    def cycles(self) -> int:
        """Cycles of the whole network, layers one after another."""
        return self.network.cycles

    @property
    def front(self) -> NetworkFront | None:
        """The front of energy and cycles of the whole network, where the objective was "pareto"."""
        return self.network.front

    @property
    def interrupted(self) -> bool:
        """Whether the search was stopped from outside before it was done."""
        return self.network.interrupted

    def to_dict(self) -> ResultDocument:
        """The result document, ready for JSON."""
        from .report.document import to_document

        return to_document(self.network, self.graph)

    def to_json(self, path: str | Path) -> None:
        """Write the result document to `path`."""
        from .files import write_atomic
        from .report.document import dumps

        write_atomic(path, dumps(self.to_dict()))

    def to_html(self, path: str | Path) -> None:
        """Write the report as one HTML file to `path`."""
        from .files import write_atomic

        write_atomic(path, self._html())

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row a layer: name, figures of one occurrence (pJ, cycles) and, where it
        was searched, of its certificate.

        Raises
        ------
        ImportError
            pandas is not installed; `pip install "tilebound[frames]"` does that.
        """
        from .report.rows import columns

        try:
            pandas: Any = import_module("pandas")
        except ImportError as error:
            raise ImportError('to_frame needs pandas: pip install "tilebound[frames]"') from error
        return pandas.DataFrame(columns(self.to_dict()))

    def to_text(self) -> str:
        """The report as plain text."""
        from .report.text import render_text

        return render_text(self.to_dict())

    def explain(self) -> str:
        """Why each mapping is the best, as text: what dominates, what binds, what other classes lose and
        where the mapspace went; empty where nothing was searched."""
        from .report.why import render

        return render(self.to_dict())

    def _html(self) -> str:
        from .report.html import render_html

        return render_html(self.to_dict())

    def _repr_html_(self) -> str:
        """The report in a frame, so that its style stays its own."""
        from html import escape

        return (f'<iframe srcdoc="{escape(self._html(), quote=True)}" sandbox '
                'style="width: 100%; height: 900px; border: 0"></iframe>')

    def __str__(self) -> str:
        from .report.text import summary

        return str(summary(self.to_dict()))


def load_result(source: str | Path | MappingOf[str, object]) -> Result:
    """What a result document holds, the path of one that `Result.to_json` or the command line wrote, or
    what such a file holds; see `SpecError`."""
    from .report.document import load_result as load

    return Result(*load(source))


def evaluate(architecture: Architecture | Source, einsum: Einsum, mapping: Mapping | object,
             semantics: Semantics = "exact", options: Options = DEFAULT) -> Cost:
    """The cost of one mapping.

    Parameters
    ----------
    architecture : Architecture, or what `load_architecture` takes
    einsum : Einsum
    mapping : Mapping, or its text (a list of Timeloop entries, or the lines of a loop nest)
    semantics : "exact", or "timeloop" to reproduce that program with its defects
    options : Options
        Switches that Timeloop takes from environment variables.

    Raises
    ------
    MappingError
        The mapping does not fit; every reason is listed.
    SpecError
        The text of a mapping or of an architecture is wrong.
    """
    return evaluate_layer(_architecture(architecture), einsum, mapping, semantics=semantics,
                          options=options).cost


def evaluate_layer(architecture: Architecture, einsum: Einsum, mapping: Mapping | object,
                   count: int = 1, semantics: Semantics = "exact",
                   options: Options = DEFAULT) -> LayerResult:
    """`evaluate`, with the mapping that was read and where the other semantics differ."""
    from .mapping.validate import validate
    from .model.evaluate import evaluate as evaluated
    from .search.differences import difference

    if not isinstance(mapping, Mapping):
        mapping = read_mapping(mapping, architecture, einsum)
    validate(architecture, einsum, mapping)
    cost = evaluated(architecture, einsum, mapping, semantics, options)
    return LayerResult(einsum, count, mapping, cost,
                       difference=difference(architecture, einsum, mapping, cost, semantics, options))


def read_mapping(data: object, architecture: Architecture, einsum: Einsum) -> Mapping:
    """A mapping given as a list of Timeloop entries, or as the lines of a loop nest."""
    from .mapping.text import parse_nest
    from .mapping.timeloop import from_timeloop
    from .spec.nodes import locate

    node = locate(data)
    entries = node.is_list and any(entry.is_map for entry in node)
    return (from_timeloop if entries else parse_nest)(node, architecture, einsum)


def search(architecture: Architecture | Source, workload: WorkloadGraph | Einsum | Source,
           objective: str = "edp", *, gap: float = 0.0, time_limit: float | None = None,
           jobs: int = 1, seed: int = 0, constraints: Constraints | object = NONE, imperfect: bool = False,
           uneven: bool = False, semantics: Semantics = "exact", points: int = 20,
           explain: bool = False, progress: bool | Callable[[ProgressEvent], None] = False) -> Result:
    """The best mapping of every layer, with a proof of how good it is.

    Parameters
    ----------
    architecture : Architecture, or what `load_architecture` takes
    workload : WorkloadGraph, Einsum, or what `load_workload` takes
    objective : "energy", "latency", "edp" or "ed2p"
        Or two of them with a comma between: the second decides among mappings that are equal in the
        first. After "energy" and "latency" the other of the two does so in any case. Or "pareto": the
        front of energy and cycles, of every layer (`LayerResult.front`) and of all (`Result.front`).
    gap : float
        Stop at a layer once (value - lower bound) / value is no more than this.
    time_limit : float, optional
        Seconds for all layers together.
    jobs : int
        Processes to use. The answer does not depend on it.
    seed : int
        For what is tried at random on the way.
    constraints : Constraints, or their text (native, or a list of Timeloop entries)
        Which mappings are considered.
    imperfect : bool
        Whether factors are considered as well that do not divide the ranks: any loop may have fewer
        iterations in its last pass.
    uneven : bool
        Whether mappings are considered as well in which each tensor cuts the loop nest at a place of its own.
    semantics : "exact" or "timeloop"
        How the mappings found are counted; on whole factors the two agree, and remainders are
        searched in exact semantics only.
    points : int
        Of a front, at most so many searches a layer, each of which finds a point or shows that there is none.
    explain : bool
        Look closely at what runner-up classes lose, which takes up to as long again (see `Result.explain`).
    progress : bool or callable
        True shows progress on a terminal; a callable is handed every `ProgressEvent`.

    Raises
    ------
    InfeasibleError
        A layer has no valid mapping; the message names what rules all out.
    ValueError
        An option is out of its range.
    SpecError
        The text of constraints, of a workload or of an architecture is wrong.
    """
    from .report.progress import ProgressDisplay
    from .search.network import search_network
    from .search.objectives import require_objective

    require_objective(objective)
    if isinstance(workload, Einsum):
        workload = WorkloadGraph(workload.name, [(workload, 1)])
    elif not isinstance(workload, WorkloadGraph):
        workload = load_workload(workload)
    architecture = _architecture(architecture)
    if not isinstance(constraints, Constraints):
        constraints = read_constraints([constraints], architecture, workload, semantics)
    constraints = replace(constraints.beyond(architecture), imperfect=imperfect or constraints.imperfect,
                          uneven=uneven or constraints.uneven)
    with ExitStack() as stack:
        watch = progress if callable(progress) else None
        if progress is True:
            watch = stack.enter_context(ProgressDisplay(objective, sys.stderr))
        return Result(search_network(
            architecture, workload, objective=objective, gap=gap, time_limit=time_limit, jobs=jobs,
            seed=seed, constraints=constraints, semantics=semantics, points=points, explain=explain,
            progress=watch), workload)


def read_constraints(sections: Sequence[object], architecture: Architecture,
                     workload: WorkloadGraph, semantics: Semantics = "exact") -> Constraints:
    """What constraints in the native dialect or as Timeloop's entries ask together, of a search with these
    semantics; see `SpecError`."""
    from .mapping.read_constraints import read_constraints as read
    from .spec.nodes import Problems, locate

    problems = Problems()
    found = read([locate(section) for section in sections], architecture, workload, problems,
                 semantics == "exact")
    if problems.errors or problems.unsupported:
        raise SpecError([*problems.errors, *problems.unsupported])
    return found


def _architecture(source: Architecture | Source) -> Architecture:
    """The architecture, with a figure for the energy of every action."""
    from .energy import price

    return price(source) if isinstance(source, Architecture) else load_architecture(source)
