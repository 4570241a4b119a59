"""Timeloop's problem (a shape and an instance of it) as a native workload of one layer."""

from __future__ import annotations

from .fields import describe, whole
from .nodes import Node, Problems, did_you_mean, locate, one_of
from .timeloop_density import lower_densities
from .timeloop_names import look_at_keys, nearly
from .timeloop_shapes import DEFAULT, SHAPES, stock_shape

#: Keys of a problem that are not extents.
_NOT_EXTENTS = ("version", "shape", "instance", "densities", "commonDensity", "common_density", "name")
_SHAPE_KEYS = ("name", "version", "dimensions", "data_spaces", "coefficients", "flatten")


def lower_problem(node: Node, problems: Problems) -> Node:
    """The native `workload` that `node`, a Timeloop problem, describes.

    Faults, and constructs that cannot be evaluated, go to `problems`.
    """
    if not node.is_map:
        problems.error(node, f"problem is {describe(node)}; expected a mapping with 'shape' and 'instance'")
        return _stand_in(node)
    node = underscored(node)
    shape = _shape(node, problems)
    if shape is None:
        return _stand_in(node)
    _check_shape(shape, problems)
    instance = node.get("instance") or node
    if not instance.is_map:
        problems.error(instance, f"instance is {describe(instance)}; expected a mapping of ranks to extents")
        return _stand_in(node)
    ranks = [str(rank.value) for rank in shape.get("dimensions") or ()]
    defaults = {str(c["name"].value): c.get("default") or c.at(1)
                for c in shape.get("coefficients") or () if "name" in c}
    _check_problem(node, [*ranks, *defaults], problems)
    coefficients = {}
    for name, default in defaults.items():
        given = instance.get(name) or default
        value = whole(given)
        if value is None:
            problems.error(given, f"coefficient {name} is {describe(given)}; expected a whole number")
        coefficients[name] = 1 if value is None else value
    extents = {rank: instance[rank] for rank in ranks if rank in instance}
    for rank in ranks:
        if rank not in extents:
            problems.error(instance, f"no extent for rank {rank}; expected the key {rank!r}")
            extents[rank] = instance.at(1)
    tensors: dict[str, Node] = {}
    for space in shape.get("data_spaces") or ():
        label = space.get("name")
        if label is None or str(label.value) in tensors:
            problems.error(space, "a data space without a name of its own; expected unique names")
            continue
        text = _projection(space, ranks, coefficients, problems)
        tensors[str(label.value)] = space.at({"projection": (space.get("projection") or space).at(text),
                                              "output": space.get("read_write") or space.at(False)})
    title = shape.get("name")
    title = title if title is not None and title.value else shape.at("problem")
    densities = lower_densities(instance, list(tensors), problems)
    layer = node.at({"name": title, "ranks": instance.at(extents), "tensors": shape.at(tensors),
                     **({"densities": instance.at(densities)} if densities else {}),
                     **({"flatten": _flatten(shape["flatten"], problems)} if "flatten" in shape else {})})
    return node.at({"name": title, "layers": node.at((layer,))})


def _stand_in(node: Node) -> Node:
    """A workload in place of one that cannot be made out, so that one fault does not bring others."""
    tensor = {"projection": "X", "output": True}
    return locate({"name": "problem", "layers": [{"name": "problem", "ranks": {"X": 1}, "tensors": {
        "Z": tensor}}]}, node.file)


def _flatten(node: Node, problems: Problems) -> Node:
    """Flattened ranks as the native mapping from their names to those of their parts."""
    found = {}
    for entry in node:
        name, parts = entry.get("name"), entry.get("dimensions")
        if name is None or parts is None or not parts.is_list or not len(parts):
            problems.error(entry, "a flattened rank; expected the keys 'name' and 'dimensions' (a list)")
        else:
            found[str(name.value)] = parts
    return node.at(found)


def tensor_ranks(node: Node | None) -> dict[str, tuple[str, ...]]:
    """The data spaces of a problem, each with the ranks that it depends on; those of convolutions, of
    no rank, when there is no problem."""
    shape = _shape(underscored(node), Problems()) if node is not None else None
    if shape is None:
        return {"Weights": (), "Inputs": (), "Outputs": ()}
    shape = underscored(shape)
    ranks = {str(rank.value) for rank in shape.get("dimensions") or ()}
    return {str(space["name"].value): tuple(dict.fromkeys(
        name for name in _texts(space.get("projection") or space.at(())) if name in ranks))
        for space in shape["data_spaces"] if "name" in space}


def _texts(node: Node) -> list[str]:
    """Every text in a list of lists."""
    return [text for part in node for text in _texts(part)] if node.is_list else [str(node.value)]


def underscored(node: Node) -> Node:
    """The same value with underscores for the hyphens that old files have in their keys."""
    if node.is_list:
        return node.at(tuple(underscored(part) for part in node))
    if not node.is_map:
        return node
    return node.at({key.replace("-", "_"): underscored(value) for key, value in node.items()},
                   {key.replace("-", "_"): place for key, place in node.keys.items()})


def _shape(node: Node, problems: Problems) -> Node | None:
    """The shape that a problem spells out or names; None when there is none to work with."""
    shape = node.get("shape")
    if shape is None or isinstance(shape.value, str):
        name = DEFAULT if shape is None else str(shape.value)
        known = stock_shape(name)
        if known is not None:
            return locate(known, node.file)
        problems.error(shape or node, f"shape {name!r}; expected a mapping, or {one_of(SHAPES, 30)}"
                       f"{did_you_mean(name, SHAPES)}")
        return None
    if not shape.is_map:
        problems.error(shape, f"shape is {describe(shape)}; expected a mapping, or {one_of(SHAPES, 30)}")
        return None
    before = len(problems.errors)
    for key, what in (("dimensions", "names of ranks"), ("data_spaces", "data spaces")):
        listed = shape.get(key)
        if listed is None:
            problems.error(shape, f"shape has no {key!r}; expected the key {key!r}")
        elif not listed.is_list or not len(listed):
            found = "an empty list" if listed.is_list else describe(listed)
            problems.error(listed, f"{key} is {found}; expected a list of {what}, one or more")
    seen: set[str] = set()
    for rank in shape.get("dimensions") or ():
        if not isinstance(rank.value, str) or rank.value in seen:
            problems.error(rank, f"dimension {describe(rank)}; expected names of ranks, each once")
        seen.add(str(rank.value))
    if len(problems.errors) > before:
        look_at_keys(shape, _SHAPE_KEYS, "a shape", problems)
        return None
    return shape


def _check_shape(shape: Node, problems: Problems) -> None:
    """The keys of a shape, its data spaces and its coefficients; a stock shape has none to check."""
    look_at_keys(shape, _SHAPE_KEYS, "a shape", problems)
    for what, key, known in (("a data space", "data_spaces", ("name", "projection", "read_write")),
                             ("a coefficient", "coefficients", ("name", "default")),
                             ("a flattened rank", "flatten", ("name", "dimensions"))):
        for entry in shape.get(key) or ():
            look_at_keys(entry, known, what, problems)


def _check_problem(problem: Node, known: list[str], problems: Problems) -> None:
    """The keys of a problem and of its instance. Timeloop lets an instance say more than the shape asks
    for; what looks like a misspelt name that is absent is a fault, the rest is noted."""
    instance = problem.get("instance")
    names, own = (*known, *_NOT_EXTENTS), []
    for node in (problem, *([] if instance is None else [instance])):
        absent = [name for name in names if name not in node]
        for key, _ in node.items():
            if key in names:
                continue
            if close := nearly(key, absent):
                problems.error(node.key(key), f"unknown rank or coefficient {key!r}; expected "
                               f"{one_of(known)}; did you mean {close!r}?")
            else:
                own.append((key, node.key(key)))
    if own:
        listed = ", ".join(f"{key} (line {at.line})" if at.line else key for key, at in own)
        problems.note(own[0][1], f"names in the problem that count for nothing here: {listed}; expected "
                      f"{one_of(known)}")


def _projection(space: Node, ranks: list[str], coefficients: dict[str, int], problems: Problems) -> str:
    """The projection in native text, with the values of the coefficients in it."""
    projection = space.get("projection")
    if projection is None or not projection.is_list:
        problems.error(space, "a data space without a list as projection; expected the key 'projection'")
        return ""
    axes = []
    for axis in projection:
        terms = [_term(term, ranks, coefficients, problems) for term in (axis if axis.is_list else (axis,))]
        if text := "".join(terms).removeprefix("+"):
            axes.append(text)
    return ", ".join(axes)


def _term(node: Node, ranks: list[str], coefficients: dict[str, int], problems: Problems) -> str:
    """One term: a rank, or the list [rank] or [rank, coefficient]. Empty for a coefficient of 0."""
    parts = list(node) if node.is_list else [node]
    names = [str(part.value) for part in parts]
    if not 1 <= len(parts) <= 2 or not all(part.is_scalar for part in parts) or names[0] not in ranks:
        problems.error(node, f"a projection term {names!r}; expected [RANK] or [RANK, COEFFICIENT] "
                       f"with a rank among {', '.join(ranks)}")
        return ""
    if len(parts) == 1:
        return f"+{names[0]}"
    factor = coefficients.get(names[1], whole(parts[1]))
    if factor is None:
        problems.error(parts[1], f"unknown coefficient {names[1]!r}; expected {one_of(coefficients)}"
                       f"{did_you_mean(names[1], coefficients)}")
        return ""
    return f"{factor:+d}*{names[0]}" if factor else ""
