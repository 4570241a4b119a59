"""What Timeloop's front-end adds to constraints, said in the constraints that its mapper knows."""

from __future__ import annotations

from collections.abc import Mapping

from .fields import describe
from .nodes import Node, Problems, did_you_mean, one_of

#: The ranks that each tensor depends on.
Tensors = Mapping[str, tuple[str, ...]]

_MACROS = ("factors_only", "keep_only", "no_iteration_over_dataspaces")
#: Rules of thumb that narrow the mapspace; a search that covers the whole of it has no use for them.
_HINTS = ("maximize_dims", "maximize_dims_capacity")


def plain_constraint(entry: Node, tensors: Tensors, problems: Problems) -> Node:
    """One entry of a list of constraints without the keys that only the front-end has.

    `factors_only: F` fixes the factors F and sets all others to 1; `keep_only: T` keeps the tensors
    T and no other; `no_iteration_over_dataspaces: T` sets the ranks of the tensors T to 1.
    """
    if not any(key in entry for key in (*_MACROS, *_HINTS)):
        return entry
    entries = dict(entry.items())
    for key in _HINTS:
        if key in entries:
            problems.note(entry.key(key), f"{key} is not applied; expected limits that narrow "
                          "the mapspace by themselves")
            del entries[key]
    if (only := entries.pop("factors_only", None)) is not None:
        entries["factors"] = _joined(entries.get("factors"), only)
        entries["default_max_factor"] = only.at(1)
    if (only := entries.pop("keep_only", None)) is not None:
        names = _known(only, tensors, problems)
        entries["keep"] = _joined(entries.get("keep"), only)
        others = [only.at(tensor) for tensor in tensors if tensor not in names]
        entries["bypass"] = _joined(entries.get("bypass"), only.at(tuple(others)))
    if (still := entries.pop("no_iteration_over_dataspaces", None)) is not None:
        ranks = dict.fromkeys(rank for name in _known(still, tensors, problems) for rank in tensors[name])
        fixed = tuple(still.at(f"{rank}=1") for rank in ranks)
        entries["factors"] = _joined(entries.get("factors"), still.at(fixed))
    return entry.at(entries, entry.keys)


def _joined(first: Node | None, second: Node) -> Node:
    """Two lists, or single values, as one list; what is said twice is said once."""
    parts = [part for node in (first, second) if node is not None
             for part in (node if node.is_list else (node,)) if part.value is not None]
    return second.at(tuple({str(part.value): part for part in parts}.values()))


def _known(node: Node, tensors: Tensors, problems: Problems) -> list[str]:
    """The tensors that a list names; others are faults."""
    names = []
    for part in node if node.is_list else (node,):
        if part.is_scalar and part.value in tensors:
            names.append(str(part.value))
        else:
            problems.error(part, f"no tensor {describe(part)}; expected {one_of(tensors)}"
                           f"{did_you_mean(str(part.value), tensors)}")
    return names
