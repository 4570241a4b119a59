"""What a description says of components: rows and compounds of its own, and parameters of levels."""

from __future__ import annotations

from ..spec.fields import describe
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from .component import Component
from .read_compounds import read_compounds
from .read_rows import read_rows
from .registry import Registry

#: Keys of a level that are parameters of its component. A node may be given whatever the component.
_SHORT = ("type", "cell", "ports", "banks")
#: Parameters that follow from the shape of a level.
_OF_LEVEL = ("width", "depth", "bits")


def read_components(section: Node | None, problems: Problems) -> list[Component]:
    """The components in the section `components`: a list of rows, or a mapping with a list `classes` of
    compounds; where files join, a list of both. Faults go to `problems`."""
    if section is None:
        return []
    if section.is_scalar:
        problems.error(section, f"components is {describe(section)}; expected a list of rows, or a mapping "
                       "with a list of classes")
        return []
    entries = tuple(section) if section.is_list else (section,)
    classes = [part for entry in entries for part in entry.get("classes") or ()]
    rows = [entry for entry in entries if "classes" not in entry and section.is_list]
    return [*read_compounds(classes, problems), *read_rows(rows, problems)]


def check_parameters(architecture: Node, registry: Registry, problems: Problems) -> None:
    """Report parameters in the levels of a native architecture that their components do not have."""
    bottom = architecture.get("compute")
    for level in (*(architecture.get("levels") or ()), *((bottom,) if bottom is not None else ())):
        kind, given = level.get("class"), level.get("parameters")
        found = registry.find(str(kind.value)) if kind is not None else None
        if found is None:
            continue
        known = [parameter.name for parameter in found[0].parameters if parameter.name not in _OF_LEVEL]
        written = [(key, given.key(key)) for key, _ in given.items()] if given is not None else []
        written += [(key, level.key(key)) for key in _SHORT if key in level]
        for key, place in written:
            if key in _OF_LEVEL:
                problems.error(place, f"{key} among the parameters; expected it as a key of the level itself "
                               "(bits are its word_bits)")
            elif key not in known:
                problems.error(place, f"{found[0].name} has no parameter {key!r}; expected "
                               f"{one_of(known, 30)}{did_you_mean(key, known)}")
