"""Sections as people write them to sections that hold plain values only: variables and arithmetic
computed, trees of nodes resolved, compound components reduced to what their energy needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .expression import Value
from .nodes import Node, Problems
from .timeloop_arch import COMPUTE_CLASSES, STORAGE_CLASSES
from .timeloop_macros import plain_constraint
from .timeloop_nodes import NUMERIC, Resolved, renamed, resolve_nodes
from .timeloop_problem import tensor_ranks
from .values import read_variables, resolve, resolve_factors

#: Sections with a list of entries that each name a level as `target`.
_TARGETED = ("constraints", "architecture_constraints", "mapspace_constraints", "extra_mapping_constraints")
_MOST_DEEP = 20
_BITS = ("metadata_word_bits", "payload_word_bits")


def resolve_sections(sections: Mapping[str, Node], mappings: Mapping[str, Node],
                     problems: Problems) -> tuple[dict[str, Node], dict[str, Node]]:
    """`sections` (by top-level key) and `mappings` (by layer) without anything left to compute.

    Constraints inside the architecture are added to the section `architecture_constraints`, and its
    sparse optimisations to `sparse_optimizations`. Faults go to `problems`.
    """
    result = dict(sections)
    variables = read_variables(result.get("variables"), problems)
    if "problem" in result:
        result["problem"] = _instance(result["problem"], variables, problems)
    _note_globals(result.get("globals"), problems)
    tensors = {**_native_tensors(result.get("workload")), **tensor_ranks(result.get("problem"))}
    node, mappings = result.get("architecture"), dict(mappings)
    compounds = _compounds(result.get("components"))
    if node is not None and "subtree" in node:
        result["architecture"] = _tree(node, variables, compounds, problems)
    elif node is not None and "nodes" in node:
        scope = dict[str, Value](variables)
        if "problem" in result:
            instance = result["problem"].get("instance") or result["problem"]
            scope["spec.problem.instance"] = tuple(key for key, _ in instance.items())
        resolved = resolve_nodes(node, scope, tuple(tensors), problems)
        result["architecture"] = _tree(resolved.tree, None, compounds, problems)
        _spread(result, resolved, node)
        mappings = {layer: renamed(entries, resolved) for layer, entries in mappings.items()}
    _extra(result)
    _inside(result)
    _overbooked(result)
    if "sparse_optimizations" in result:
        result["sparse_optimizations"] = _bits(result["sparse_optimizations"], variables, problems)
    for key in _TARGETED:
        if key in result:
            result[key] = _each(result[key], lambda entry: plain_constraint(
                resolve_factors(entry, variables, problems), tensors, problems))
    return result, {layer: _each(entries, lambda entry: resolve_factors(entry, variables, problems))
                    for layer, entries in mappings.items()}


def _spread(sections: dict[str, Node], resolved: Resolved, node: Node) -> None:
    """Put what stood inside the tree into the sections that hold it otherwise."""
    for key in _TARGETED:
        if key in sections:
            sections[key] = _each(sections[key], lambda entry: renamed(entry, resolved))
    for key, entries in (("architecture_constraints", resolved.constraints),
                         ("sparse_optimizations", resolved.sparse)):
        if entries:
            sections[key] = _extended(sections.get(key), node.at(tuple(entries)))


def _extra(sections: dict[str, Node]) -> None:
    """Constraints that come from a given mapping are constraints like the others."""
    extra = sections.pop("extra_mapping_constraints", None)
    targets = extra.get("targets") if extra is not None and extra.is_map else extra
    if targets is not None and targets.is_list:
        sections["architecture_constraints"] = _extended(sections.get("architecture_constraints"), targets)


def _inside(sections: dict[str, Node]) -> None:
    """Constraints under the architecture of a resolved file are constraints of the architecture."""
    architecture = sections.get("architecture")
    own = architecture.get("constraints") if architecture is not None else None
    targets = own.get("targets") if own is not None and own.is_map else own
    if architecture is None or "levels" in architecture or targets is None or not targets.is_list:
        return
    sections["architecture_constraints"] = _extended(sections.get("architecture_constraints"), targets)


def _overbooked(sections: dict[str, Node]) -> None:
    """Constraints on how many tiles may be too full are said where their level's zeros are spoken of."""
    for key in _TARGETED:
        section = sections.get(key)
        entries = (section if section.is_list else section.get("targets")) if section is not None else None
        if section is None or entries is None:
            continue
        found = [entry for entry in entries if {"target", "type", "proportion"} <= set(dict(entry.items()))
                 and entry["type"].value == "max_overbooked_proportion"]
        if not found:
            continue
        rest = entries.at(tuple(entry for entry in entries if entry not in found))
        sections[key] = rest if section.is_list else _with(section, "targets", rest)
        sections["sparse_optimizations"] = _extended(sections.get("sparse_optimizations"), entries.at(tuple(
            entry.at({"name": entry["target"], "max_overbooked_proportion": entry["proportion"]})
            for entry in found)))
        if not len(rest):
            del sections[key]


def _bits(node: Node, variables: Mapping[str, Value], problems: Problems) -> Node:
    """What a section says of formats, with the values of the bits in it."""
    if node.is_list:
        return node.at(tuple(_bits(part, variables, problems) for part in node))
    if not node.is_map:
        return node
    return node.at({key: resolve(value, variables, problems, numeric=True) if key in _BITS
                    else _bits(value, variables, problems) for key, value in node.items()}, node.keys)


def _extended(section: Node | None, entries: Node) -> Node:
    """A section with more entries in its list of targets."""
    if section is None or section.is_list:
        return entries.at({"targets": entries.at((*(section or ()), *entries))})
    return _with(section, "targets", entries.at((*(section.get("targets") or ()), *entries)))


def _each(section: Node, change: Callable[[Node], Node]) -> Node:
    """A section with every entry of its list of targets changed."""
    if section.is_list:
        return section.at(tuple(change(entry) for entry in section))
    targets = section.get("targets")
    return section if targets is None else _with(section, "targets", _each(targets, change))


def _native_tensors(workload: Node | None) -> dict[str, tuple[str, ...]]:
    """The tensors that layers of a native workload spell out."""
    layers = workload.get("layers") if workload is not None else None
    return {name: () for layer in layers or () for name, _ in (layer.get("tensors") or layer.at({})).items()}


def _note_globals(section: Node | None, problems: Problems) -> None:
    """Say that functions of the user's own are not known."""
    functions = section.get("expression_custom_functions") if section is not None else None
    if functions is not None and len(functions):
        problems.note(functions, "functions of one's own are not called; expected values that need none")


def _with(node: Node, key: str, value: Node) -> Node:
    return node.at({**dict(node.items()), key: value}, node.keys)


def _instance(problem: Node, variables: Mapping[str, Value], problems: Problems) -> Node:
    """The problem with the values of its extents, coefficients and densities, in `instance` or beside the
    shape."""
    given = problem.get("instance")
    inner = given if given is not None else problem
    if not inner.is_map:
        return problem

    def computed(key: str, value: Node) -> Node:
        if value.is_map and key not in ("shape", "instance"):
            return value.at({name: computed(name, part) for name, part in value.items()}, value.keys)
        if key in ("shape", "name", "version", "distribution") or not value.is_scalar:
            return value
        return resolve(value, variables, problems, numeric=inner.get(key) is value and len(key) == 1)
    found = inner.at({key: computed(key, value) for key, value in inner.items()}, inner.keys)
    return found if given is None else _with(problem, "instance", found)


def _tree(node: Node, variables: Mapping[str, Value] | None, compounds: Mapping[str, str],
          problems: Problems, depth: int = 0) -> Node:
    """A tree of subtrees with the values of the attributes (which are there already when there are no
    `variables`), and plain classes for compound ones."""
    if not node.is_map or depth > 2 * _MOST_DEEP:
        return node
    entries = dict(node.items())
    attributes = entries.get("attributes")
    if variables is not None and attributes is not None and attributes.is_map:
        scope, values = dict(variables), dict[str, Node]()
        for key, value in attributes.items():
            values[key] = resolve(value, {**scope}, problems, key.replace("-", "_") in NUMERIC)
            if isinstance(plain := values[key].value, (str, int, float)):
                scope[key] = plain
        entries["attributes"] = attributes.at(values, attributes.keys)
    for key in ("local", "subtree"):
        if key in entries and entries[key].is_list:
            entries[key] = entries[key].at(tuple(_tree(part, variables, compounds, problems, depth + 1)
                                                 for part in entries[key]))
    kind = entries.get("subclass") or entries.get("class")
    if kind is not None and str(kind.value) in compounds and "name" in entries:
        entries["subclass"] = kind.at(compounds[str(kind.value)])
        if compounds[str(kind.value)] != str(kind.value):
            given = entries.get("attributes") or kind.at({})
            entries["attributes"] = given.at({**dict(given.items()), "compound_class": kind}, given.keys)
    return node.at(entries, node.keys)


def _compounds(section: Node | None) -> dict[str, str]:
    """For each compound class that a table of energies cannot know by its name, the class of the part
    that stores or computes. A class without parts costs nothing."""
    sections = () if section is None else section if section.is_list else (section,)
    known = {str(entry["name"].value): entry for part in sections for entry in part.get("classes") or ()
             if "name" in entry}
    found: dict[str, str] = {}
    return {name: _main_part(name, known, found) for name in known}


def _main_part(name: str, known: Mapping[str, Node], found: dict[str, str], depth: int = 0) -> str:
    """The class of the main part, through compound parts; the class itself when it is no compound, or is
    made of itself. `found` keeps what is known already."""
    if name not in known or name in found or depth > _MOST_DEEP:
        return found.get(name, name)
    found[name] = name
    parts = [str(part["class"].value) for part in known[name].get("subcomponents") or () if "class" in part]
    words = [word.lower() for word in (*STORAGE_CLASSES, *COMPUTE_CLASSES)]
    if not parts and "subcomponents" in known[name]:
        found[name] = f"dummy_{name}"
    elif not any(word in name.lower() for word in words):
        inner = [_main_part(part, known, found, depth + 1) for part in parts]
        found[name] = next((part for part in inner if any(word in part.lower() for word in words)), name)
    return found[name]
