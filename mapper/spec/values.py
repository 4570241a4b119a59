"""Values in specifications that are written as expressions, and the `variables` that they use."""

from __future__ import annotations

import re

from .expression import ExpressionError, Names, Value, parse
from .fields import describe
from .nodes import Node, Problems

#: A factor whose value is no plain number (or a number and a remainder).
_FACTOR = re.compile(r"(?P<start>\s*\w+\s*(<=|>=|==?)\s*)(?P<value>(?!\s*-?\d+\s*(,\s*\d+\s*)?$).+)")


def read_variables(node: Node | None, problems: Problems) -> dict[str, Value]:
    """The values of the section `variables`. A later one may use those before it."""
    names: dict[str, Value] = {}
    if node is not None and not node.is_map:
        problems.error(node, f"variables is {describe(node)}; expected a mapping of names to values")
    for key, value in node.items() if node is not None else ():
        found = resolve(value, names, problems).value
        if isinstance(found, (str, int, float)):
            names[key] = found
        elif found is not None:
            problems.error(value, f"variable {key} is {describe(value)}; expected a number or a text")
    return names


def resolve(node: Node, names: Names, problems: Problems, numeric: bool = False) -> Node:
    """`node` with the value of the expression that it holds; other values stay as they are.

    Where a number is wanted (`numeric`), every text is an expression. Elsewhere a text is one when it
    reads as one and has a known name or a function in it: `LPDDR4` and `45nm` remain texts, and
    `2 * depth + deth` is a fault.
    """
    text = node.value
    if not isinstance(text, str):
        return node
    try:
        expression = parse(text)
    except ExpressionError as error:
        if numeric:
            problems.error(node, str(error))
        return node
    if not (numeric or expression.calls or expression.names & names.keys()):
        return node
    try:
        value = expression.evaluate(names)
    except ExpressionError as error:
        problems.error(node, str(error))
        return node
    if isinstance(value, tuple) or (numeric and isinstance(value, str)):
        problems.error(node, f"expression {text!r} has the value {value!r}; expected one with a number")
        return node
    return node.at(value)


def resolve_factors(entry: Node, names: Names, problems: Problems) -> Node:
    """An entry of a mapping or of constraints, with the values of factors such as `C<=WIDTH // 2`."""
    factors = entry.get("factors")
    if factors is None or not factors.is_list:
        return entry

    def value(node: Node) -> Node:
        match = _FACTOR.fullmatch(node.value) if isinstance(node.value, str) else None
        if match is None:
            return node
        found = resolve(node.at(match["value"]), names, problems, numeric=True)
        return node.at(f"{match['start']}{found.value}")

    listed = factors.at(tuple(value(node) for node in factors))
    return entry.at({**dict(entry.items()), "factors": listed}, entry.keys)
