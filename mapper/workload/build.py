"""Native workload text to `WorkloadGraph`, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from ..errors import Problem, SpecError
from ..spec.fields import Record, describe, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from .einsum import Einsum, Flattened, Tensor, axis_extent
from .flatten import LIMIT
from .graph import WorkloadGraph
from .projection import parse_projection, projection_text

#: Keys of every layer. `extra_parameters` (biases and the like) takes no part in the loop nest.
_COMMON = ("name", "type", "count", "input", "extra_parameters", "densities")
_WINDOW = ("stride", "dilation")
#: Ranks of the shorthand layers, by type and all of them; those of `_OPTIONAL` default to 1.
_SHORTHANDS = {"conv": "NKCPQRS", "depthwise": "NCPQRS", "matmul": "MNK"}
RANKS = frozenset("G").union(*_SHORTHANDS.values())
_OPTIONAL = {"conv": "N", "depthwise": "N", "matmul": ""}
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class _Layer:
    """One layer with the names of its producers, before the graph is tied together."""

    node: Node
    einsum: Einsum
    count: int
    inputs: tuple[str, ...]
    extra_parameters: int


def build_workload(node: Node, problems: Problems) -> WorkloadGraph | None:
    """The graph that the value of the top-level key `workload` describes.

    Every fault goes to `problems`; the result is None when there was one.
    """
    before = len(problems.errors)
    record = Record(node, problems, "workload", ("name", "notes", "layers"))
    record.require("layers")
    layers: dict[str, _Layer] = {}
    edges: list[tuple[str, str, str]] = []
    for entry in record.entries("layers"):
        layer = _layer(entry, problems)
        if layer is None:
            continue
        name = layer.einsum.name
        if name in layers:
            problems.error(entry, f"a second layer {name!r}; expected unique layer names; the first "
                           f"is at {layers[name].node.place}")
            continue
        for producer in layer.inputs:
            if producer in layers:
                edges.append((producer, name, _output_alias(layers[producer].einsum)))
            else:
                problems.error(entry.get("input") or entry, f"input {producer!r} of layer {name!r} is no "
                               f"earlier layer; expected {one_of(layers)}{did_you_mean(producer, layers)}")
        layers[name] = layer
    if record.has("layers") and not record.entries("layers"):
        record.fault("layers", "a workload without layers; expected one or more")
    if len(problems.errors) > before:
        return None
    return WorkloadGraph(record.text("name", "workload"),
                         [(layer.einsum, layer.count) for layer in layers.values()], edges,
                         {name: layer.extra_parameters for name, layer in layers.items()})


def _layer(node: Node, problems: Problems) -> _Layer | None:
    """One entry of `layers`; None when it has a fault."""
    before = len(problems.errors)
    kind = node.get("type")
    if kind is None:
        record = Record(node, problems, "layer", (*_COMMON, "ranks", "tensors", "flatten"))
        record.require("name", "ranks", "tensors")
        parts = _explicit(record)
    elif str(kind.value) in _SHORTHANDS:
        name = str(kind.value)
        options = {"conv": (*_WINDOW, "groups"), "depthwise": _WINDOW, "matmul": ()}[name]
        record = Record(node, problems, f"{name} layer", (*_COMMON, *_SHORTHANDS[name], *options))
        record.require("name", *(r for r in _SHORTHANDS[name] if r not in _OPTIONAL[name]))
        parts = _shorthand(record, name)
    else:
        problems.error(kind, f"unknown layer type {describe(kind)}; expected {one_of(_SHORTHANDS)}"
                       f", or no type but ranks and tensors{did_you_mean(str(kind.value), _SHORTHANDS)}")
        return None
    count = record.integer("count", 1)
    extra_parameters = record.integer("extra_parameters", 0, least=0)
    inputs = record.names("input", ())
    if len(problems.errors) > before:
        return None
    extents, tensors, aliases = parts
    tensors = _with_densities(record, tensors, extents)
    name = record.text("name", "")
    aliases = {**_default_aliases(name, tensors, inputs), **aliases}
    flattened = _flattened(record, extents)
    if len(problems.errors) > before:
        return None
    for flat in reversed(flattened):
        extents = {flat.rank: flat.extent, **{r: n for r, n in extents.items() if r not in dict(flat.parts)}}
    einsum = Einsum(name, tuple(extents), tuple(extents.values()), tensors,
                    tuple((role, alias) for role, alias in aliases.items() if role != alias), flattened,
                    node.position)
    return _Layer(node, einsum, count, inputs, extra_parameters)


_Parts = tuple[dict[str, int], tuple[Tensor, ...], dict[str, str]]


def _shorthand(record: Record, kind: str) -> _Parts:
    """Extents and tensors of a `conv`, `depthwise` or `matmul` layer."""
    extents = {rank: record.integer(rank, 1) for rank in _SHORTHANDS[kind]}
    if kind == "matmul":
        return extents, _tensors("M, K", "K, N", "M, N"), {}
    stride, dilation = _pair(record, "stride"), _pair(record, "dilation")
    window = ", ".join(f"{s}*{out} + {d}*{tap}"
                       for s, d, out, tap in zip(stride, dilation, "PQ", "RS", strict=True))
    if kind == "depthwise":
        return extents, _tensors(f"N, C, {window}", "C, R, S", "N, C, P, Q"), {}
    groups = record.integer("groups", 1)
    if groups == 1:
        return extents, _tensors(f"N, C, {window}", "K, C, R, S", "N, K, P, Q"), {}
    for rank in "KC":      # written for the whole layer, counted per group
        if extents[rank] % groups:
            record.fault("groups", f"{groups} groups do not divide {rank} = {extents[rank]}; "
                         "expected a divisor of K and of C")
        extents[rank] //= groups
    ordered = {"N": extents.pop("N"), "G": groups, **extents}
    return ordered, _tensors(f"N, G, C, {window}", "G, K, C, R, S", "N, G, K, P, Q"), {}


def _tensors(inputs: str, weights: str, outputs: str) -> tuple[Tensor, ...]:
    return (Tensor("Weights", parse_projection(weights)), Tensor("Inputs", parse_projection(inputs)),
            Tensor("Outputs", parse_projection(outputs), is_output=True))


def _pair(record: Record, key: str) -> tuple[int, int]:
    """A number for both axes, or one for each: [height, width]."""
    node = record.node(key)
    if node is None:
        return 1, 1
    parts = [whole(part) for part in (node if node.is_list else (node, node))]
    if len(parts) != 2 or any(part is None or part < 1 for part in parts):
        record.fault(key, f"{key} is {describe(node)}; "
                     "expected a whole number, 1 or more, or [height, width]")
        return 1, 1
    return parts[0] or 1, parts[1] or 1


def _explicit(record: Record) -> _Parts:
    """Extents and tensors of a layer that is written as `ranks` and `tensors`."""
    extents: dict[str, int] = {}
    ranks = record.node("ranks")
    for rank, value in ranks.items() if ranks else ():
        extent = whole(value)
        if not _NAME.fullmatch(rank):
            record.problems.error(value, f"rank name {rank!r}; expected a letter, then letters or digits")
        elif extent is None or extent < 1:
            record.problems.error(value, f"extent of rank {rank} is {describe(value)}; "
                                  "expected a whole number, 1 or more")
        extents[rank] = extent or 1
    tensors, aliases = [], {}
    section = record.node("tensors")
    for name, value in section.items() if section else ():
        tensor, alias = _tensor(name, value, record.problems, extents)
        tensors.append(tensor)
        if alias:
            aliases[name] = alias
    for key in ("ranks", "tensors"):
        found = record.node(key)
        if found is not None and not len(found):
            record.fault(key, f"{key} is {describe(found)}; expected a mapping with one entry or more")
    if tensors and not any(tensor.is_output for tensor in tensors):
        record.fault("tensors", "no tensor is an output; expected `output: true` in one of them")
    return extents, tuple(tensors), aliases


def _flattened(record: Record, extents: dict[str, int]) -> tuple[Flattened, ...]:
    """Ranks that stand for others: `flatten: {X: [P, K]}`, where P runs fastest."""
    section = record.node("flatten")
    found: list[Flattened] = []
    taken: set[str] = set()
    for rank, value in section.items() if section else ():
        names = [str(part.value) for part in (value if value.is_list else (value,))]
        if not _NAME.fullmatch(rank) or rank in extents or rank in taken:
            record.problems.error(value, f"flattened rank {rank!r}; expected a new name of a rank")
        for name in names:
            if name not in extents or name in taken or names.count(name) > 1:
                record.problems.error(value, f"part {name!r} of the flattened rank {rank}; expected "
                                      f"{one_of(extents)}, each once")
        taken.update(names, (rank,))
        found.append(Flattened(rank, tuple((name, extents.get(name, 1)) for name in names)))
    if section is not None and prod(extents.values()) > LIMIT:
        record.problems.refuse(section, f"flattened ranks in a layer of {prod(extents.values())} operations; "
                               f"expected at most {LIMIT}, for its tiles are counted one by one")
    return tuple(found)


def _tensor(name: str, node: Node, problems: Problems, extents: dict[str, int]) -> tuple[Tensor, str]:
    """One tensor and its name in the graph ("" when none is given)."""
    if node.is_scalar:
        node = node.at({"projection": node})
    record = Record(node, problems, f"tensor {name}", ("projection", "output", "alias", "density"))
    record.require("projection")
    projection = record.parsed("projection", lambda text: parse_projection(str(text))) or ()
    for rank in sorted({term.rank for axis in projection for term in axis} - set(extents)):
        problems.error(record.node("projection") or node, f"unknown rank {rank!r} in the projection of "
                       f"{name}; expected {one_of(extents)}{did_you_mean(rank, extents)}")
    return Tensor(name, projection, record.flag("output", False)), record.text("alias", "")


def _with_densities(record: Record, tensors: tuple[Tensor, ...],
                    extents: dict[str, int]) -> tuple[Tensor, ...]:
    """The tensors with the densities that the layer gives them: under `densities`, or in the tensor."""
    section, written = record.node("densities"), record.node("tensors")
    found: dict[str, Node] = {}
    for name, node in written.items() if written else ():
        if (density := node.get("density")) is not None:
            found[name] = density
    if section is not None and not section.is_map:
        record.fault("densities", f"densities is {describe(section)}; expected a mapping from tensors "
                     "to densities")
    names = [tensor.name for tensor in tensors]
    for name, node in section.items() if section else ():
        if name not in names or name in found:
            what = "a second density of" if name in found else "density of an unknown tensor"
            record.problems.error(section.key(name) if section else node, f"{what} {name!r}; expected "
                                  f"{one_of(names)}, each once{did_you_mean(name, names)}")
        found[name] = node
    if not found:
        return tensors
    from .density.parse import parse_density

    def with_density(tensor: Tensor) -> Tensor:
        if tensor.name not in found:
            return tensor
        shape = tuple(axis_extent(axis, extents) for axis in tensor.projection)
        node = found[tensor.name]
        return replace(tensor, density=parse_density(node, record.problems, tensor.projection, shape))

    return tuple(map(with_density, tensors))


def _default_aliases(layer: str, tensors: tuple[Tensor, ...], inputs: tuple[str, ...]) -> dict[str, str]:
    """Names in the graph: the (first) output is called like its layer, and the tensor `Inputs`, or
    else the first read-only one, like the first producer."""
    outputs = [t.name for t in tensors if t.is_output]
    read = sorted((t.name for t in tensors if not t.is_output), key=lambda name: name != "Inputs")
    aliases = {outputs[0]: layer} if outputs else {}
    if read and inputs:
        aliases[read[0]] = inputs[0]
    return aliases


def _output_alias(einsum: Einsum) -> str:
    output = next(t.name for t in einsum.tensors if t.is_output)
    return dict(einsum.aliases).get(output, output)


def workload_to_dict(graph: WorkloadGraph) -> dict[str, object]:
    """The graph as the value of a native `workload` key; `build_workload` reads it back.

    Raises SpecError for a density of a class of the user's, which has no form to be written in.
    """
    return {"name": graph.name, "layers": [_layer_to_dict(graph, einsum) for einsum in graph]}


def _layer_to_dict(graph: WorkloadGraph, einsum: Einsum) -> dict[str, object]:
    aliases = dict(einsum.aliases)
    layer: dict[str, object] = {"name": einsum.name, "ranks": dict(einsum.point_extent), "tensors": {
        t.name: {"projection": projection_text(t.projection), "output": t.is_output,
                 "alias": aliases.get(t.name, t.name), **_density_to_dict(einsum, t)}
        for t in einsum.tensors}}
    if einsum.flattened:
        layer["flatten"] = {x.rank: [name for name, _ in x.parts] for x in einsum.flattened}
    if graph.count(einsum.name) != 1:
        layer["count"] = graph.count(einsum.name)
    if extra := graph.graph.nodes[einsum.name]["extra_parameters"]:
        layer["extra_parameters"] = extra
    if producers := list(graph.graph.predecessors(einsum.name)):
        layer["input"] = producers
    return layer


def _density_to_dict(einsum: Einsum, tensor: Tensor) -> dict[str, Any]:
    if tensor.density is None:
        return {}
    from .density.parse import density_to_dict

    try:
        return {"density": density_to_dict(tensor.density, tensor.projection)}
    except ValueError as error:
        raise SpecError([Problem(einsum.name, 0, 0, f"tensor {tensor.name}: {error}")]) from None
