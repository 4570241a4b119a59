"""Rows of figures of components, in YAML or in a CSV file, to components."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Iterable, Iterator, Mapping

from ..spec import units
from ..spec.fields import Record, describe
from ..spec.nodes import Node, Problems, did_you_mean
from .component import Component, Parameter, Value
from .rows import RowComponent, UserRow

#: What a row may give the energy of.
ACTIONS = (*(f"{state}{kind}{access}" for kind in ("", "metadata_") for state in ("", "gated_", "skipped_")
             for access in ("read", "write", "fill", "update")),
           "compute", "gated_compute", "skipped_compute", "compress", "decompress", "transfer", "hop")
#: What a row may hold for; other names stand under `parameters`.
_PARAMETERS = ("bits", "width", "depth", "type", "cell", "ports", "banks")
_KEYS = ("class", "node", "source", "area", "leakage", "refresh", "parameters", *_PARAMETERS, *ACTIONS)
_PREFIX = "parameters."
_AMOUNT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\D\S*)?\s*")
#: Units of each kind of figure, in the unit that it is kept in.
_ENERGY = {"": 1.0, "pJ": 1.0, "fJ": 1e-3, "nJ": 1e3, "J": 1e12}
_AREA = {"": 1.0, "um2": 1.0, "um^2": 1.0, "µm2": 1.0, "mm2": 1e6, "mm^2": 1e6}
_POWER = {"": 1.0, "mW": 1.0, "uW": 1e-3, "µW": 1e-3, "nW": 1e-6, "W": 1e3}
_POWERS = ("leakage", "refresh")


def read_rows(entries: Iterable[Node], problems: Problems) -> list[Component]:
    """The components of a list of rows, one for each class. Faults go to `problems`."""
    found: dict[str, list[UserRow]] = {}
    for entry in _expanded(entries, problems):
        row = _row(entry, problems)
        if row is not None:
            found.setdefault(row.name.lower(), []).append(row)
    return [RowComponent(tuple(rows)) for rows in found.values()]


def _expanded(entries: Iterable[Node], problems: Problems) -> Iterator[Node]:
    """The entries, with the rows of CSV files in place of their names."""
    for entry in entries:
        if "csv" not in entry:
            yield entry
            continue
        record = Record(entry, problems, "entry of components", ("csv",))
        node = record.node("csv")
        if node is not None:
            yield from _file(node, record.text("csv", ""), problems)


def _file(node: Node, name: str, problems: Problems) -> Iterator[Node]:
    """The rows of a CSV file with a header, as entries whose places are in that file."""
    folder = Path(node.file).parent if node.line else Path()
    path = folder / name
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        problems.error(node, f"cannot read {name}: {why}; expected a CSV file, found from {folder}")
        return
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)
             if line.strip() and not line.lstrip().startswith("#")]
    cells = list(csv.reader(line for _, line in lines))
    for (number, _), row in zip(lines[1:], cells[1:], strict=False):
        place = Node(None, str(path), number, 1)
        if len(row) > len(cells[0]):
            problems.error(place, f"{len(row)} values under {len(cells[0])} names; expected one each")
        yield _entry(place, cells[0], row, lines[0][0])


def _entry(place: Node, header: list[str], row: list[str], first: int) -> Node:
    """A line of a CSV file as a mapping; what is empty stays out."""
    top: dict[str, Node] = {}
    own: dict[str, Node] = {}
    keys: dict[str, Node] = {}
    for name, text in zip(header, row, strict=False):
        key, value = name.strip(), text.strip()
        keys[key] = Node(key, place.file, first, 1)
        if value and key.startswith(_PREFIX):
            own[key.removeprefix(_PREFIX)] = place.at(_scalar(value))
        elif value:
            top[key] = place.at(_scalar(value))
    if own:
        top["parameters"] = place.at(own)
    return place.at(top, keys)


def _scalar(text: str) -> Value:
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _row(entry: Node, problems: Problems) -> UserRow | None:
    before = len(problems.errors)
    record = Record(entry, problems, "component", _KEYS)
    record.require("class")
    parameters = {name: _parameter(name, node.value) for name in _PARAMETERS if (node := record.node(name))}
    extra = record.node("parameters")
    if extra is not None and not extra.is_map:
        record.fault("parameters", f"parameters is {describe(extra)}; expected a mapping")
    parameters |= {key: _parameter(key, value.value) for key, value in (extra.items() if extra else ())}
    actions = {name: value for name in ACTIONS
               if (value := record.parsed(name, lambda text: _quantity(text, _ENERGY, "0.2 pJ"))) is not None}
    powers = {name: value for name in _POWERS
              if (value := record.parsed(name, lambda text: _quantity(text, _POWER, "0.01 mW"))) is not None}
    area = record.parsed("area", lambda text: _quantity(text, _AREA, "300 um2"))
    if area is not None:
        powers["area"] = area
    node_nm = record.parsed("node", units.nanometres)
    if len(problems.errors) == before and not actions:
        problems.error(entry, "a component without the energy of any action; expected compute, read, write "
                       f"or another of {', '.join(ACTIONS)}")
    if len(problems.errors) > before:
        return None
    return UserRow(record.text("class", ""), parameters, actions, powers, node_nm,
                   f"{record.text('source', 'user')} ({entry.place})")


def _parameter(name: str, value: object) -> Value:
    """A number where it is one, else a text; sizes in bits may have a unit."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return Parameter(name, "", "bit" if name in ("bits", "width") else "", kind="number").read(value)
    except ValueError:
        return str(value)


def _quantity(text: object, known: Mapping[str, float], example: str) -> float:
    match = _AMOUNT.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity; expected for example {example}")
    number, unit = float(match[1]), match[2] or ""
    if unit not in known:
        raise ValueError(f"unknown unit {unit!r} in {text!r}; expected for example {example}"
                         f"{did_you_mean(unit, [name for name in known if name])}")
    if number < 0:
        raise ValueError(f"{text!r} is negative; expected 0 or more")
    return number * known[unit]

