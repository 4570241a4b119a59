"""YAML text to located nodes: syntax, duplicate keys and tags are checked here, meaning is not."""

from __future__ import annotations

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from ..errors import Problem
from .nodes import Node, Problems, Scalar

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_TAGS = frozenset("tag:yaml.org,2002:" + name for name in (
    "map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value"))
_MERGE_TAG = "tag:yaml.org,2002:merge"
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*")
_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
#: Aliases let a short text stand for a huge value; no honest input needs this many nodes.
_MOST_NODES = 2_000_000


def read_file(path: str | Path, problems: Problems, label: str | None = None) -> list[Node]:
    """The documents of the YAML file at `path`; faults go to `problems`, positions name `label`."""
    label = label or str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        problems.errors.append(Problem(label, 0, 0, "cannot read the file: "
                                       f"{error.strerror or error}; expected a readable YAML file"))
        return []
    except UnicodeDecodeError as error:
        problems.errors.append(Problem(label, 0, 0, f"byte {error.start} is not UTF-8; "
                                       "expected a text file in UTF-8"))
        return []
    return read_text(text, problems, label)


def read_text(text: str, problems: Problems, label: str = "<text>") -> list[Node]:
    """The documents in YAML `text`, empty ones left out; faults go to `problems`.

    >>> found = Problems()
    >>> read_text("levels: [{name: DRAM, size: 1e3}]", found)[0].plain()
    {'levels': [{'name': 'DRAM', 'size': 1000.0}]}
    """
    documents = []
    loader = _Loader(text)
    try:
        while loader.check_node():
            root = loader.get_node()
            documents.append(_Converter(label, problems).node(root))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = " ".join(filter(None, (error.context, error.problem)))
        problems.errors.append(Problem(label, line, column, f"YAML syntax: {what}; expected YAML"))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
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

    def __init__(self, label: str, problems: Problems) -> None:
        self.label = label
        self.problems = problems
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
        if source.tag not in _PLAIN_TAGS:
            tag = source.tag.replace("tag:yaml.org,2002:", "!!")
            return self.fault(source, f"tag {tag!r}; expected plain YAML without tags")
        if isinstance(source, yaml.ScalarNode):
            self.weight[id(source)] = 1
            return self.place(source, scalar(source))
        if isinstance(source, yaml.MappingNode):
            result = self.mapping(source)
            children = [value for _, value in source.value]
        else:
            result = self.place(source, tuple(self.node(child) for child in source.value))
            children = source.value
        weight = self.weight[id(source)] = 1 + sum(self.weight.get(id(c), 1) for c in children)
        if weight > _MOST_NODES:
            return self.fault(source, "aliases expand to millions of values; expected fewer")
        return result

    def mapping(self, source: yaml.MappingNode) -> Node:
        values: dict[str, Node] = {}
        keys: dict[str, Node] = {}
        merged: list[Node] = []
        for key_source, value_source in source.value:
            if not isinstance(key_source, yaml.ScalarNode):
                self.fault(key_source, "a list or mapping as key; expected text as key")
                continue
            key = self.place(key_source, key_source.value)
            value = self.node(value_source)
            if key_source.tag == _MERGE_TAG:
                merged.append(value)
            elif key.value in keys:
                first = keys[str(key.value)]
                self.problems.error(key, f"duplicate key {key.value!r}; expected it once; "
                                    f"first given at line {first.line}")
            else:
                keys[str(key.value)], values[str(key.value)] = key, value
        for base in merged:
            self.merge(base, values, keys)
        return Node(values, self.label, *_mark(source), keys)

    def merge(self, base: Node, values: dict[str, Node], keys: dict[str, Node]) -> None:
        """Take over from `base` (the value of `<<`) what is not given explicitly."""
        for part in (base if base.is_list else (base,)):
            if not part.is_map:
                self.problems.error(part, "'<<' merges a value that is no mapping; "
                                    "expected a mapping or a list of mappings")
            for name, value in part.items():
                if name not in values:
                    values[name], keys[name] = value, part.key(name)

    def place(self, source: yaml.Node, value: Scalar | tuple[Node, ...]) -> Node:
        return Node(value, self.label, *_mark(source))

    def fault(self, source: yaml.Node, message: str) -> Node:
        """Record a fault at `source` and give an empty node in its stead."""
        node = self.place(source, None)
        self.problems.error(node, message)
        return node


def _mark(source: yaml.Node) -> tuple[int, int]:
    return source.start_mark.line + 1, source.start_mark.column + 1


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
