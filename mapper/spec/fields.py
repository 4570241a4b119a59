"""`Record`: typed reading of one mapping in the user's text, where every fault is collected."""

from __future__ import annotations

from typing import Callable, Collection, Sequence, TypeVar

from .nodes import Node, Problems, did_you_mean, one_of

T = TypeVar("T")

_LONG = 200         # letters of a value in a message
#: Sizes beyond which sums and products of a few could no longer be told exactly, or at all.
MOST_WHOLE, _MOST, _LEAST = 2 ** 50, 1e100, 1e-100


class Record:
    """A mapping whose keys must be among `allowed`. Getters give the default when the key is absent
    or its value is wrong; a wrong value is reported once, at its own place.

    >>> from .nodes import locate
    >>> found = Problems()
    >>> level = Record(locate({"name": "RF", "dept": 4}), found, "level", ("name", "depth"))
    >>> level.text("name", ""), level.integer("depth", None)
    ('RF', None)
    >>> print(found.errors[0].message)
    unknown key 'dept' in level; expected one of name, depth; did you mean 'depth'?
    """

    def __init__(self, node: Node, problems: Problems, what: str, allowed: Sequence[str]) -> None:
        self.source = node
        self.problems = problems
        self.what = what
        self.ok = node.is_map
        if not node.is_map:
            problems.error(node, f"{what} is {describe(node)}; expected a mapping with keys "
                           f"such as {', '.join(allowed[:4])}")
        if node.tag:
            problems.error(node, f"{what} with the tag {node.tag!r}; expected no tag here")
        for key, _ in node.items():
            if key not in allowed:
                problems.error(node.key(key), f"unknown key {key!r} in {what}; expected "
                               f"{one_of(allowed, 30)}{did_you_mean(key, allowed)}")

    def node(self, key: str) -> Node | None:
        """The value of `key`; None when it is absent or null."""
        found = self.source.get(key)
        return None if found is None or found.value is None else found

    def has(self, key: str) -> bool:
        return self.node(key) is not None

    def fault(self, key: str, message: str) -> None:
        """Report `message` at the value of `key`, or at the record when there is none."""
        self.problems.error(self.node(key) or self.source, message)

    def require(self, *keys: str) -> bool:
        """Report each key that is absent; true when all are there."""
        absent = [key for key in keys if self.ok and not self.has(key)]
        for key in absent:
            self.problems.error(self.source, f"{self.what} has no {key!r}; expected the key {key!r}")
        return self.ok and not absent

    def text(self, key: str, default: str) -> str:
        """A text; numbers count as text, since names may look like numbers."""
        node = self.node(key)
        if node is None:
            return default
        if not node.is_scalar or isinstance(node.value, bool):
            self.problems.error(node, f"{key} is {describe(node)}; expected text")
            return default
        return str(node.value)

    def flag(self, key: str, default: bool) -> bool:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            self.problems.error(node, f"{key} is {describe(node)}; expected true or false")
            return default
        return node.value

    def integer(self, key: str, default: T, least: int = 1) -> int | T:
        node = self.node(key)
        if node is None:
            return default
        value = whole(node)
        if value is None or value < least:
            bound = f"at most {MOST_WHOLE}" if _beyond(node, MOST_WHOLE) else f"{least} or more"
            self.problems.error(node, f"{key} is {describe(node)}; expected a whole number, {bound}")
            return default
        return value

    def number(self, key: str, default: T, positive: bool = False) -> float | T:
        node = self.node(key)
        if node is None:
            return default
        value = finite(node)
        if value is None or value < 0 or (positive and value < _LEAST):
            bound = f"of up to {_MOST:g}" if _beyond(node, _MOST) else "above 0" if positive else "0 or more"
            self.problems.error(node, f"{key} is {describe(node)}; expected a number {bound}")
            return default
        return float(value)

    def names(self, key: str, default: T) -> tuple[str, ...] | T:
        """A list of names, or a single one."""
        node = self.node(key)
        if node is None:
            return default
        entries = node if node.is_list else (node,)
        found = tuple(str(entry.value) for entry in entries if entry.is_scalar)
        if len(found) != len(node if node.is_list else (node,)):
            self.problems.error(node, f"{key} holds a value that is no name; expected a list of names")
        return found

    def parsed(self, key: str, parse: Callable[[object], T]) -> T | None:
        """A scalar that `parse` understands; its ValueError becomes a located fault."""
        node = self.node(key)
        if node is None:
            return None
        if not node.is_scalar:
            self.problems.error(node, f"{key} is {describe(node)}; expected a single value")
            return None
        try:
            return parse(node.value)
        except ValueError as error:
            self.problems.error(node, f"{key}: {error}")
            return None

    def entries(self, key: str) -> tuple[Node, ...]:
        """The elements of a list; a fault when it is anything else."""
        node = self.node(key)
        if node is None:
            return ()
        if not node.is_list:
            self.problems.error(node, f"{key} is {describe(node)}; expected a list")
            return ()
        return tuple(node)


def one_among(entry: Node, key: str, names: Collection[str], what: str, problems: Problems) -> str | None:
    """The value of `key` in a mapping, one of `names`. None, and a fault, where it is absent or another;
    `what` the mapping is called there.

    >>> from .nodes import locate
    >>> found = Problems()
    >>> one_among(locate({"type": "spacial"}), "type", ("temporal", "spatial"), "constraint", found)
    >>> one_among(locate({}), "type", ("temporal", "spatial"), "constraint", found)
    >>> for problem in found.errors: print(problem.message)
    constraint of type 'spacial'; expected one of temporal, spatial; did you mean 'spatial'?
    constraint without `type`; expected this key, with one of temporal, spatial
    """
    node = entry.get(key)
    if node is None or node.value is None:
        problems.error(node or entry, f"{what} without `{key}`; expected this key, with {one_of(names)}")
        return None
    word = str(node.value) if node.is_scalar else ""
    if word in names:
        return word
    problems.error(node, f"{what} of {key} {describe(node)}; expected {one_of(names)}"
                   f"{did_you_mean(word, names)}")
    return None


def whole(node: Node) -> int | None:
    """The value when it is a whole number (also written as `1e3`) that can be counted with, else None."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or _beyond(node, MOST_WHOLE):
        return None
    return int(value) if value == int(value) else None


def finite(node: Node) -> float | None:
    """The value when it is a number that can be reckoned with, else None."""
    value = node.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or _beyond(node, _MOST):
        return None
    return value


def _beyond(node: Node, most: float) -> bool:
    """Whether a value is a number larger than `most` (or none that is larger or smaller than others)."""
    return isinstance(node.value, (int, float)) and not abs(node.value) <= most


def describe(node: Node) -> str:
    """The value in a few words, for a message."""
    if node.is_map:
        return "a mapping" if len(node) else "an empty mapping"
    if node.is_list:
        return "a list" if len(node) else "an empty list"
    if isinstance(node.value, bool):
        return str(node.value).lower()
    text = "empty" if node.value is None else repr(node.value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}..."
