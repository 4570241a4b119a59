"""YAML text to located nodes: syntax, duplicate keys and tags are checked here, meaning is not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Callable, Sequence

import yaml  # type: ignore[import-untyped]

from ..errors import Problem
from ..files import read_bytes
from .nodes import Node, Problems, Scalar, one_of

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_TAGS = frozenset("tag:yaml.org,2002:" + name for name in (
    "map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value"))
_MERGE_TAG = "tag:yaml.org,2002:merge"
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
#: Tags that a node keeps: the kinds of node in Timeloop's architectures.
NODE_TAGS = ("!Container", "!Component", "!Parallel", "!Hierarchical", "!Array", "!Pipelined", "!Nothing")
#: What stands for the value that `!include` names.
INCLUDE_TAG = "!include"
#: Merged into a mapping part by part, where `<<` takes each part of the one or of the other.
DEEP_MERGE = "<<<"
#: Aliases let a short text stand for a huge value; no honest input needs this many nodes.
_MOST_NODES = 2_000_000


#: Gives the value for a node tagged `!include`; reports its own faults.
Include = Callable[[Node], Node]


def load_text(path: str | Path, problems: Problems, label: str) -> str | None:
    """The text of a file; None, and a fault, when it cannot be read."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        problems.errors.append(Problem(label, 0, 0, "cannot read the file: "
                                       f"{error.strerror or error}; expected a readable YAML file"))
    except UnicodeDecodeError as error:
        problems.errors.append(Problem(label, 0, 0, f"byte {error.start} is not UTF-8; "
                                       "expected a text file in UTF-8"))
    return None


def read_text(text: str, problems: Problems, label: str = "<text>", include: Include | None = None,
              lines: Sequence[int] = ()) -> list[Node]:
    """The documents in YAML `text`, empty ones left out; faults go to `problems`.

    `include` resolves values tagged `!include`. Where `text` was made from another text, `lines`
    gives the line there for each of its own.

    >>> found = Problems()
    >>> read_text("levels: [{name: DRAM, size: 1e3}]", found)[0].plain()
    {'levels': [{'name': 'DRAM', 'size': 1000.0}]}
    """
    documents = []
    loader = _Loader(text)
    try:
        while loader.check_node():
            root = loader.get_node()
            documents.append(_Converter(label, problems, include, lines).node(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _mark(mark, lines) if mark else (0, 0)
        what = " ".join(filter(None, (error.context, error.problem)))
        problems.errors.append(Problem(label, line, column, f"YAML syntax: {what}; expected YAML"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        line = lines[line - 1] if line <= len(lines) else line
        problems.errors.append(Problem(label, line, 0, "a character that YAML does not allow; "
                                       "expected printable text"))
    except RecursionError:
        problems.errors.append(Problem(label, 0, 0, "nested too deeply; expected a flatter file"))
    finally:
        loader.dispose()
    return [document for document in documents if document.value is not None]


class _Converter:
    """PyYAML nodes of one document to ours. An alias gives the very node of its anchor.

    Nodes are known by their id, so their root must be kept alive for as long as this lives.
    """

    def __init__(self, label: str, problems: Problems, include: Include | None,
                 lines: Sequence[int]) -> None:
        self.label = label
        self.problems = problems
        self.include = include
        self.lines = lines
        self.done: dict[int, Node | None] = {}      # None while a node is being converted
        self.weight: dict[int, int] = {}            # nodes below, aliases expanded

    def node(self, source: yaml.Node) -> Node:
        key = id(source)
        if key in self.done:
            known = self.done[key]
            if known is None:
                return self.fault(source, "an alias that contains itself; expected a finite value")
            return known
        self.done[key] = None
        result = self.convert(source)
        self.done[key] = result
        return result

    def convert(self, source: yaml.Node) -> Node:
        tag = "" if source.tag in _PLAIN_TAGS else source.tag.replace("tag:yaml.org,2002:", "!!")
        if tag and tag not in NODE_TAGS and not (tag == INCLUDE_TAG and self.include):
            return self.fault(source, f"tag {tag!r}; expected plain YAML without tags, or "
                              f"{one_of(NODE_TAGS)}")
        if isinstance(source, yaml.ScalarNode):
            self.weight[id(source)] = 1
            result, children = self.place(source, scalar(source)), []
        elif isinstance(source, yaml.MappingNode):
            result = self.mapping(source)
            children = [value for _, value in source.value]
        else:
            result = self.place(source, tuple(self.node(child) for child in source.value))
            children = source.value
        if tag == INCLUDE_TAG and self.include:
            result = self.include(result)
            self.weight[id(source)] = size(result)
            return result
        if tag:
            result = replace(result, tag=tag)
        weight = self.weight[id(source)] = 1 + sum(self.weight.get(id(c), 1) for c in children)
        if weight > _MOST_NODES:
            return self.fault(source, "aliases expand to millions of values; expected fewer")
        return result

    def mapping(self, source: yaml.MappingNode) -> Node:
        values: dict[str, Node] = {}
        keys: dict[str, Node] = {}
        merged: list[tuple[Node, bool]] = []
        for key_source, value_source in source.value:
            if not isinstance(key_source, yaml.ScalarNode):
                self.fault(key_source, "a list or mapping as key; expected text as key")
                continue
            key = self.place(key_source, key_source.value)
            value = self.node(value_source)
            if key_source.tag == _MERGE_TAG or key.value == DEEP_MERGE:
                merged.append((value, key.value == DEEP_MERGE))
            elif key.value in keys:
                first = keys[str(key.value)]
                self.problems.error(key, f"duplicate key {key.value!r}; expected it once; "
                                    f"first given at line {first.line}")
            else:
                keys[str(key.value)], values[str(key.value)] = key, value
        for base, deep in merged:
            self.merge(base, values, keys, deep)
        return Node(values, self.label, *_mark(source.start_mark, self.lines), keys)

    def merge(self, base: Node, values: dict[str, Node], keys: dict[str, Node], deep: bool) -> None:
        """Take over from `base` (the value of `<<`) what is not given explicitly."""
        for part in (base if base.is_list else (base,)):
            if not part.is_map:
                self.problems.error(part, "'<<' merges a value that is no mapping; "
                                    "expected a mapping or a list of mappings")
            for name, value in part.items():
                if name not in values:
                    values[name], keys[name] = value, part.key(name)
                elif deep:
                    values[name] = merged_deep(values[name], value)

    def place(self, source: yaml.Node, value: Scalar | tuple[Node, ...]) -> Node:
        return Node(value, self.label, *_mark(source.start_mark, self.lines))

    def fault(self, source: yaml.Node, message: str) -> Node:
        """Record a fault at `source` and give an empty node in its stead."""
        node = self.place(source, None)
        self.problems.error(node, message)
        return node


def merged_deep(first: Node, second: Node) -> Node:
    """Two mappings as one, mappings inside them likewise; elsewhere `first` counts."""
    if not (first.is_map and second.is_map):
        return first
    values = dict(first.items())
    for name, value in second.items():
        values[name] = merged_deep(values[name], value) if name in values else value
    return replace(first, value=values, keys={**second.keys, **first.keys})


def size(node: Node, known: dict[int, int] | None = None) -> int:
    """Values in a node, those that it shares counted each time; what is shared is walked once."""
    known = {} if known is None else known
    if id(node) not in known:
        parts = [*node] + [value for _, value in node.items()]
        known[id(node)] = 1 + sum(size(part, known) for part in parts)
    return known[id(node)]


def _mark(mark: yaml.Mark, lines: Sequence[int]) -> tuple[int, int]:
    """Line and column of a mark; in a text made from another, the line there."""
    if not lines:
        return mark.line + 1, mark.column + 1
    return lines[min(mark.line, len(lines) - 1)], mark.column + 1


def scalar(source: yaml.ScalarNode) -> Scalar:
    """The value of a YAML scalar. Numbers are read as in YAML 1.2 (`1e-3` is a number, `010` is ten,
    `1:30` is text), because the older rules surprise people."""
    text: str = source.value
    kind = source.tag.rpartition(":")[2]
    if source.style in ("'", '"', "|", ">") or kind == "timestamp":
        return text
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if _INTEGER.fullmatch(text) and len(text) < 1000:
        return int(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if re.fullmatch(r"0x[0-9a-fA-F]+", text):
        return int(text, 16)
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)", text):
        return float(text.replace(".", ""))
    return text
