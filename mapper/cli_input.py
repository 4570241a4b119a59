"""What the SPECs of a command hold, and what is done with them before the command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Sequence

import click

from .cli_values import defined
from .errors import MappingError, Problem, SpecError

if TYPE_CHECKING:
    from .hardware.architecture import Architecture
    from .loading import Loaded
    from .model.cost import Semantics
    from .model.options import Options
    from .search.result import LayerResult
    from .workload.graph import WorkloadGraph


def load(specs: Sequence[str], define: Sequence[str]) -> tuple[Loaded, Architecture, WorkloadGraph]:
    """What the SPECs hold, when that can be evaluated."""
    from .loading import load_specs

    loaded = load_specs(specs, define=defined(define))
    for note in loaded.notes:
        click.echo(str(note), err=True)
    problems = list(loaded.unsupported)
    if loaded.architecture is None:
        problems.append(_missing(specs, "architecture", "arch"))
    if loaded.workload is None:
        problems.append(_missing(specs, "workload", "workloads"))
    if problems or loaded.architecture is None or loaded.workload is None:
        raise SpecError(problems)
    return loaded, loaded.architecture, loaded.workload


def _missing(specs: Sequence[str], what: str, kind: str) -> Problem:
    return Problem(" ".join(specs), 0, 0, f"no {what} given; expected a SPEC with the key {what!r} or the "
                   f"name of a library entry; `tilebound list {kind}` shows them")


def note_unused(loaded: Loaded, keys: Sequence[str]) -> None:
    """Say on stderr which sections were read and count for nothing here."""
    nodes = dict(loaded.sections)
    if loaded.mappings:
        nodes["mapping"] = next(iter(loaded.mappings.values()))
    for key in keys:
        if (node := nodes.get(key)) is not None:
            note = Problem(node.file, node.line, node.column, f"{key!r} is not used here", "note")
            click.echo(str(note), err=True)


def refuse_switches(loaded: Loaded) -> None:
    """Raise a SpecError for switches that a search cannot honour."""
    if loaded.options.changed():
        from .model.options import refuse_changed
        from .spec.nodes import Problems

        problems = Problems()
        refuse_changed(loaded.sections["globals"], problems)
        raise SpecError(problems.unsupported)


def evaluated(loaded: Loaded, architecture: Architecture, workload: WorkloadGraph,
              semantics: Semantics, options: Options) -> tuple[LayerResult, ...]:
    """Every layer with the mapping given for it, evaluated."""
    from .api import evaluate_layer

    mappings = dict(loaded.mappings)
    names = [einsum.name for einsum in workload]
    if "" in mappings and len(names) == 1:
        mappings.setdefault(names[0], mappings.pop(""))
    problems = [Problem(node.file, node.line, node.column, f"a mapping for layer {name!r}; expected one of "
                        f"{', '.join(names)} under `layer`")
                for name, node in mappings.items() if name not in names]
    problems += [Problem(workload.name, 0, 0, f"no mapping for layer {name!r}; expected the key 'mapping'")
                 for name in names if name not in mappings]
    layers = []
    for einsum in workload:
        if problems or einsum.name not in mappings:
            continue
        try:
            layers.append(evaluate_layer(architecture, einsum, mappings[einsum.name],
                                         workload.count(einsum.name), semantics, options))
        except MappingError as error:
            node = mappings[einsum.name]
            problems += [Problem(node.file, node.line, node.column, f"layer {einsum.name}: {reason}")
                         for reason in error.reasons]
    if problems:
        raise SpecError(problems)
    return tuple(layers)
