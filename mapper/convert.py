"""Specifications from one dialect to the other."""

from __future__ import annotations

from typing import Any, Literal, Mapping

from .api import read_constraints, read_mapping
from .errors import Problem, SpecError
from .hardware.architecture import Architecture
from .loading import Loaded
from .mapping.constraints import NONE, Constraints
from .mapping.nest import Mapping as LoopNest
from .mapping.read_constraints import SECTIONS
from .workload.graph import WorkloadGraph

Dialect = Literal["native", "timeloop"]


def convert(loaded: Loaded, dialect: Dialect, layer: str | None = None) -> list[dict[str, Any]]:
    """The documents that say in `dialect` what `loaded` holds; mappings of several layers have a
    document each.

    Timeloop's problem is a single layer: of a workload with several, `layer` names the one. Sections
    without a form of their own in either dialect (`mapper`, say) are handed on as they are.

    Raises
    ------
    SpecError
        The layer is not named or unknown, a mapping or a constraint is wrong, or something was read
        that has no form to be written in.
    """
    if loaded.unsupported:
        raise SpecError(loaded.unsupported)
    architecture, graph = loaded.architecture, loaded.workload
    if graph is not None and (layer is not None or dialect == "timeloop"):
        graph = _single(graph, layer)
    constraints = _constraints(loaded, architecture, graph)
    mappings = _mappings(loaded, architecture, graph)
    write = _to_timeloop if dialect == "timeloop" else _to_native
    documents = write(architecture, graph, constraints, mappings)
    for key in ("mapper", "globals"):
        if key in loaded.sections:
            documents[0][key] = loaded.sections[key].plain()
    if not any(documents):
        raise SpecError([Problem("input", 0, 0, "nothing to convert; expected an architecture, a workload or "
                                 "a `mapper`")])
    return [document for document in documents if document]


def _single(graph: WorkloadGraph, layer: str | None) -> WorkloadGraph:
    names = [einsum.name for einsum in graph]
    if layer is None and len(names) == 1:
        return graph
    if layer not in names:
        found = "no layer chosen" if layer is None else f"no layer {layer!r}"
        raise SpecError([Problem(graph.name, 0, 0, f"{found}; expected one of {', '.join(names)}")])
    return WorkloadGraph(graph.name, [(graph[layer], graph.count(layer))])


def _constraints(loaded: Loaded, architecture: Architecture | None,
                 graph: WorkloadGraph | None) -> Constraints:
    sections = [loaded.sections[key] for key in SECTIONS if key in loaded.sections]
    if not sections:
        return NONE
    if architecture is None or graph is None:
        raise SpecError([Problem(x.file, x.line, x.column, "constraints without the architecture and the "
                                 "workload that they are about; expected these as well") for x in sections])
    return read_constraints(sections, architecture, graph)


def _mappings(loaded: Loaded, architecture: Architecture | None,
              graph: WorkloadGraph | None) -> Mapping[str, LoopNest]:
    found = {}
    for name, node in loaded.mappings.items():
        if architecture is None or graph is None:
            raise SpecError([Problem(node.file, node.line, node.column, "a mapping without the architecture "
                                     "and the workload that it is for; expected these as well")])
        names = [einsum.name for einsum in graph]
        target = names[0] if name == "" and len(names) == 1 else name
        if target in names:
            found[target] = read_mapping(node, architecture, graph[target])
    return found


def _to_native(architecture: Architecture | None, graph: WorkloadGraph | None, constraints: Constraints,
               mappings: Mapping[str, LoopNest]) -> list[dict[str, Any]]:
    from .hardware.write import architecture_to_dict
    from .mapping.text import format_nest
    from .mapping.write_constraints import constraints_to_dict
    from .workload.build import workload_to_dict

    first: dict[str, Any] = {}
    if architecture is not None:
        first["architecture"] = architecture_to_dict(architecture)
    if graph is not None:
        first["workload"] = workload_to_dict(graph)
    if constraints:
        first["constraints"] = constraints_to_dict(constraints)
    if architecture is None or graph is None:
        return [first]
    return [first, *({"layer": name, "mapping": format_nest(mapping, architecture, graph[name])}
                     for name, mapping in mappings.items())]


def _to_timeloop(architecture: Architecture | None, graph: WorkloadGraph | None, constraints: Constraints,
                 mappings: Mapping[str, LoopNest]) -> list[dict[str, Any]]:
    from .energy.ert import area_table, energy_table
    from .hardware.write_sparsity import overbooking_to_timeloop, sparsity_to_timeloop
    from .hardware.write_timeloop import architecture_to_timeloop
    from .mapping.timeloop import to_timeloop
    from .mapping.write_constraints import constraints_to_timeloop
    from .workload.write_timeloop import einsum_to_timeloop

    document: dict[str, Any] = {}
    ranks = None if graph is None else next(iter(graph)).ranks
    if architecture is not None:
        document["architecture"] = architecture_to_timeloop(architecture)
    if graph is not None:
        einsum = next(iter(graph))
        document["problem"] = einsum_to_timeloop(einsum)
        if einsum.name in mappings:
            document["mapping"] = to_timeloop(mappings[einsum.name], einsum)
    if architecture is not None:
        asked = constraints_to_timeloop(constraints, architecture)
        targets = asked["targets"] if graph is not None else []
        if targets := [*targets, *overbooking_to_timeloop(architecture)]:
            document["architecture_constraints"] = {**asked, "targets": targets}
        if sparse := sparsity_to_timeloop(architecture, ranks):
            document["sparse_optimizations"] = sparse
        document["ERT"], document["ART"] = energy_table(architecture), area_table(architecture)
    return [document]


def dump(documents: list[dict[str, Any]]) -> str:
    """The documents as YAML."""
    import yaml  # type: ignore[import-untyped]

    return str(yaml.safe_dump_all(documents, sort_keys=False, width=120, allow_unicode=True))
