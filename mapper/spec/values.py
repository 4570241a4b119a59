"""Values in specifications that are written as expressions, and the `variables` that they use."""

from __future__ import annotations

from dataclasses import replace

from .expression import ExpressionError, Names, Value, parse
from .fields import describe
from .nodes import Node, Problems


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


def resolve_all(node: Node, names: Names, problems: Problems, numeric: tuple[str, ...] = ()) -> Node:
    """`resolve` for every value inside `node`; a number is wanted under the keys `numeric`."""
    if node.is_map:
        return replace(node, value={
            key: resolve(value, names, problems, key in numeric) if value.is_scalar
            else resolve_all(value, names, problems, numeric) for key, value in node.items()})
    if node.is_list:
        return replace(node, value=tuple(resolve_all(part, names, problems, numeric) for part in node))
    return resolve(node, names, problems)
