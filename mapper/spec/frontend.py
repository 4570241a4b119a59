"""Sections as people write them to sections that hold plain values only: variables and arithmetic
computed, trees of nodes resolved, compound components reduced to what their energy needs."""

from __future__ import annotations

from collections.abc import Mapping

from .expression import Value
from .nodes import Node, Problems
from .timeloop_arch import COMPUTE_CLASSES, STORAGE_CLASSES
from .timeloop_nodes import NUMERIC, Resolved, renamed, resolve_nodes
from .timeloop_problem import tensor_names
from .values import read_variables, resolve

#: Sections with a list of entries that each name a level as `target`.
_TARGETED = ("constraints", "architecture_constraints", "mapspace_constraints", "extra_mapping_constraints")
_MOST_DEEP = 20


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
    node = result.get("architecture")
    if node is None or not ("nodes" in node or "subtree" in node):
        return result, dict(mappings)
    compounds = _compounds(result.get("components"))
    if "subtree" in node:
        result["architecture"] = _tree(node, variables, compounds, problems)
        return result, dict(mappings)
    names, scope = tensor_names(result.get("problem")), dict[str, Value](variables)
    instance = (result["problem"].get("instance") or result["problem"]) if "problem" in result else None
    if instance is not None:
        scope["spec.problem.instance"] = tuple(key for key, _ in instance.items())
    resolved = resolve_nodes(node, scope, names, problems)
    result["architecture"] = _tree(resolved.tree, {}, compounds, problems)
    _spread(result, resolved, node)
    return result, {layer: renamed(entries, resolved) for layer, entries in mappings.items()}


def _spread(sections: dict[str, Node], resolved: Resolved, node: Node) -> None:
    """Put what stood inside the tree into the sections that hold it otherwise."""
    for key in _TARGETED:
        section = sections.get(key)
        if section is None:
            continue
        if section.is_list:
            sections[key] = renamed(section, resolved)
        elif (targets := section.get("targets")) is not None:
            sections[key] = _with(section, "targets", renamed(targets, resolved))
    extra = sections.pop("extra_mapping_constraints", None)
    found = [*resolved.constraints, *((extra.get("targets") or ()) if extra is not None else ())]
    for key, entries in (("architecture_constraints", found), ("sparse_optimizations", resolved.sparse)):
        if entries:
            given = sections.get(key) or node.at({})
            present = given if given.is_list else given.get("targets") or ()
            sections[key] = _with(given if given.is_map else node.at({}), "targets",
                                  node.at((*present, *entries)))


def _with(node: Node, key: str, value: Node) -> Node:
    return node.at({**dict(node.items()), key: value}, node.keys)


def _instance(problem: Node, variables: Mapping[str, Value], problems: Problems) -> Node:
    """The problem with the values of its extents and coefficients, in `instance` or beside the shape."""
    given = problem.get("instance")
    inner = given if given is not None else problem
    plain = ("shape", "name", "version")
    values = {key: value if key in plain or not value.is_scalar
              else resolve(value, variables, problems, numeric=len(key) == 1) for key, value in inner.items()}
    found = inner.at(values, inner.keys)
    return found if given is None else _with(problem, "instance", found)


def _tree(node: Node, variables: Mapping[str, Value], compounds: Mapping[str, str], problems: Problems,
          depth: int = 0) -> Node:
    """A tree of subtrees with the values of the attributes, and plain classes for compound ones."""
    if not node.is_map or depth > 2 * _MOST_DEEP:
        return node
    entries = dict(node.items())
    if (attributes := entries.get("attributes")) is not None and attributes.is_map:
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
    return node.at(entries, node.keys)


def _compounds(section: Node | None) -> dict[str, str]:
    """For each compound class that a table of energies cannot know by its name, the class of the part
    that stores or computes. A class without parts costs nothing."""
    classes = section.get("classes") if section is not None else None
    known = {str(entry["name"].value): entry for entry in classes or () if "name" in entry}
    return {name: _main_part(name, known, 0) for name in known}


def _main_part(name: str, known: Mapping[str, Node], depth: int) -> str:
    """The class of the main part, through compound parts; the class itself when it is no compound."""
    if name not in known or depth > _MOST_DEEP:
        return name
    parts = [str(part["class"].value) for part in known[name].get("subcomponents") or () if "class" in part]
    if not parts and "subcomponents" in known[name]:
        return f"dummy_{name}"
    words = (*STORAGE_CLASSES, *COMPUTE_CLASSES)
    if any(word.lower() in name.lower() for word in words):
        return name
    found = [_main_part(part, known, depth + 1) for part in parts]
    return next((part for part in found if any(w.lower() in part.lower() for w in words)), name)
