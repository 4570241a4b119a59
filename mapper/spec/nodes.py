"""Values that remember where in which file they were written, and the collector of faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Iterable

from ..errors import Problem, SpecError

Scalar = str | int | float | bool | None
Value = Scalar | tuple["Node", ...] | Mapping[str, "Node"]


@dataclass(frozen=True, eq=False)
class Node:
    """A scalar, a tuple of nodes or a mapping of nodes, with its place in the user's text.

    Lines and columns count from 1; 0 means that the value came from Python. A key of a mapping has
    a place of its own, see `key`.

    >>> node = locate({"levels": [{"name": "DRAM"}]})
    >>> node["levels"][0].get("name").value, node.plain()
    ('DRAM', {'levels': [{'name': 'DRAM'}]})
    """

    value: Value
    file: str = "<dict>"
    line: int = 0
    column: int = 0
    #: Where the keys of a mapping stand; a key's value is its own text.
    keys: Mapping[str, Node] = field(default_factory=dict, repr=False)
    #: The tag that stands before the value, such as `!Container`.
    tag: str = ""

    @property
    def is_map(self) -> bool:
        return isinstance(self.value, Mapping)

    @property
    def is_list(self) -> bool:
        return isinstance(self.value, tuple)

    @property
    def is_scalar(self) -> bool:
        return not (self.is_map or self.is_list)

    @property
    def place(self) -> str:
        """`FILE:LINE`, or `FILE` where there is no line, for provenance."""
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def position(self) -> str:
        """`FILE:LINE:COLUMN`, or "" where there is no line."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else ""

    def items(self) -> Iterable[tuple[str, Node]]:
        """Key and value of each entry of a mapping; empty for anything else."""
        return self.value.items() if isinstance(self.value, Mapping) else ()

    def __iter__(self) -> Iterator[Node]:
        """The elements of a list; empty for anything else."""
        return iter(self.value if isinstance(self.value, tuple) else ())

    def __len__(self) -> int:
        return len(self.value) if isinstance(self.value, (tuple, Mapping)) else 0

    def __bool__(self) -> bool:
        return True          # a node is there even when it is empty

    def __contains__(self, key: object) -> bool:
        return isinstance(self.value, Mapping) and key in self.value

    def get(self, key: str) -> Node | None:
        """The entry `key` of a mapping; None when there is none or this is no mapping."""
        return self.value.get(key) if isinstance(self.value, Mapping) else None

    def __getitem__(self, key: str | int) -> Node:
        if isinstance(key, int) and isinstance(self.value, tuple):
            return self.value[key]
        found = self.get(key) if isinstance(key, str) else None
        if found is None:
            raise KeyError(key)
        return found

    def key(self, name: str) -> Node:
        """The place where the key `name` is written (this node's own place when unknown)."""
        return self.keys.get(name, self)

    def at(self, value: Value, keys: Mapping[str, Node] | None = None) -> Node:
        """Another value written at the same place."""
        return replace(self, value=value, keys=keys or {}, tag="")

    def plain(self) -> Any:
        """The value as dicts, lists and scalars, without places."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value


def locate(data: object, file: str = "<dict>") -> Node:
    """Plain dicts, lists and scalars as nodes without a line; nodes inside stay as they are.

    Raises
    ------
    SpecError
        For a value that no YAML file could hold.
    """
    if isinstance(data, Node):
        return data
    if isinstance(data, Mapping):
        # YAML 1.1, and so PyYAML, takes the key `on` for a truth value; no key here is one
        entries = {"on" if key is True else str(key): locate(value, file) for key, value in data.items()}
        return Node(entries, file)
    if isinstance(data, (list, tuple)):
        return Node(tuple(locate(value, file) for value in data), file)
    if data is None or isinstance(data, (str, int, float, bool)):
        return Node(data, file)
    if hasattr(data, "item"):            # numpy scalars
        return locate(data.item(), file)
    raise SpecError([Problem(file, 0, 0, f"a value of type {type(data).__name__}; "
                             "expected a mapping, a list, text, a number, a boolean or None")])


class Problems:
    """Collects every fault of a set of inputs, to raise them together.

    `errors` make the input unusable. `unsupported` are constructs that were read and understood
    but cannot be evaluated; whoever evaluates must refuse them. `notes` are no faults.
    """

    def __init__(self) -> None:
        self.errors: list[Problem] = []
        self.unsupported: list[Problem] = []
        self.notes: list[Problem] = []

    def error(self, node: Node, message: str) -> None:
        """Record a fault at the place of `node`; `message` is "WHAT; expected WHAT; hint"."""
        self.errors.append(Problem(node.file, node.line, node.column, message))

    def refuse(self, node: Node, message: str) -> None:
        """Record something at `node` that loads but cannot be evaluated."""
        self.unsupported.append(Problem(node.file, node.line, node.column, message, "unsupported"))

    def note(self, node: Node, message: str) -> None:
        """Record something at `node` that a reader of results should know."""
        self.notes.append(Problem(node.file, node.line, node.column, message, "note"))

    def raise_if_any(self) -> None:
        """Raise a SpecError with all errors so far, if there are any."""
        if self.errors:
            raise SpecError(list(dict.fromkeys(self.errors)))


def one_of(names: Iterable[str], limit: int = 12) -> str:
    """The names as part of a sentence: "one of a, b, c"."""
    listed = list(names)
    shown = ", ".join(listed[:limit]) + (", ..." if len(listed) > limit else "")
    return f"one of {shown}" if len(listed) > 1 else shown or "nothing"


def did_you_mean(word: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """`; did you mean 'NAME'?` for the name closest to `word`, or nothing below the `cutoff`."""
    listed = list(names)
    folded = {name.lower(): name for name in listed}
    close = get_close_matches(word.lower(), list(folded), n=1, cutoff=cutoff)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""
