"""Compound components, as Accelergy 0.4 writes them, to `Compound`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Iterable

from ..spec.nodes import Node, Problems, did_you_mean, one_of
from .component import Component
from .compound import Compound, Part, Use

#: A name, with one instance or a range of them: `storage`, `counters[1]`, `registers[1..width*depth]`.
_RANGE = re.compile(r"(?P<name>[^\[\]]+?)\s*(\[\s*(?P<first>.+?)\s*(\.\.\s*(?P<last>.+?)\s*)?\])?")


def read_compounds(classes: Iterable[Node], problems: Problems) -> list[Component]:
    """The compound classes among `classes`; those of which nothing is put together are left out. A class
    with faults is left out too, with a note of each."""
    found = []
    for entry in classes:
        if entry.get("subcomponents") is None or "name" not in entry:
            continue
        faults = Problems()
        found.append(_compound(entry, faults))
        for fault in faults.errors:
            problems.notes.append(replace(fault, severity="note", message=(
                f"the class {entry['name'].value} counts for nothing: {fault.message}")))
    return [compound for compound in found if compound is not None and not _circular(compound, found)]


def _circular(compound: Compound, others: Iterable[Compound | None]) -> bool:
    """Whether a class is made of itself, so that what it wraps is meant, or nothing is."""
    known = {other.name.lower(): other for other in others if other is not None}
    waiting, seen = [part.kind.lower() for part in compound.parts], set[str]()
    while waiting:
        name = waiting.pop()
        if name == compound.name.lower():
            return True
        if name in known and name not in seen:
            seen.add(name)
            waiting += [part.kind.lower() for part in known[name].parts]
    return False


def _compound(entry: Node, problems: Problems) -> Compound | None:
    before = len(problems.errors)
    attributes = entry.get("attributes")
    given = {key: value.plain() for key, value in (attributes.items() if attributes else ())}
    parts = tuple(part for node in entry["subcomponents"] if (part := _read_part(node, problems)))
    names = {part.name for part in parts}
    uses = {}
    for action in entry.get("actions") or ():
        name = action.get("name")
        if name is None:
            problems.error(action, "an action without a name; expected the key 'name'")
            continue
        uses[str(name.value)] = tuple(use for part in action.get("subcomponents") or ()
                                      for use in _read_uses(part, names, problems))
    if len(problems.errors) > before:
        return None
    return Compound(str(entry["name"].value), given, parts, uses, f"compound of {entry.place}")


def _read_part(node: Node, problems: Problems) -> Part | None:
    name, kind = node.get("name"), node.get("class")
    match = _RANGE.fullmatch(str(name.value)) if name is not None else None
    if match is None or kind is None:
        problems.error(node, "a subcomponent without a name and a class; expected {name: NAME, class: CLASS}")
        return None
    attributes, scale = node.get("attributes"), node.get("area_scale")
    first = match["first"] or "1"
    return Part(match["name"], str(kind.value),
                {key: value.plain() for key, value in (attributes.items() if attributes else ())},
                first, match["last"] or first, 1 if scale is None else scale.value)


def _read_uses(node: Node, known: set[str], problems: Problems) -> list[Use]:
    name = node.get("name")
    match = _RANGE.fullmatch(str(name.value)) if name is not None else None
    if match is None or match["name"] not in known:
        text = str(name.value) if name is not None else ""
        problems.error(name or node, f"no subcomponent {text!r}; expected {one_of(known)}"
                       f"{did_you_mean(text, known)}")
        return []
    found = []
    for action in node.get("actions") or ():
        what, scale = action.get("name"), action.get("energy_scale")
        if what is None:
            problems.error(action, "an action without a name; expected the key 'name'")
            continue
        found.append(Use(match["name"], str(what.value), match["first"], match["last"] or match["first"],
                         1 if scale is None else scale.value))
    return found
