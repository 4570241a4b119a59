"""Jinja2 templates of specifications, in a sandbox that they can neither leave nor overrun.

A template may hold {% set %}, {% if %}, {% for %} and expressions of plain values. Of jinja2's
language all else is refused before anything runs; what runs has a budget of steps and sizes.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment
from jinja2.visitor import NodeTransformer

from ..errors import Problem
from .expression import bounded, is_number, power
from .nodes import Problems

_FILTERS = ("default", "d", "int", "float", "abs", "lower", "upper", "trim", "length", "count", "first",
            "last")
_TESTS = ("defined", "undefined", "none", "number", "string", "odd", "even", "true", "false", "in")
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Assign, nodes.For, nodes.Name,
    nodes.Const, nodes.Call, nodes.Keyword, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand,
    nodes.And, nodes.Or, nodes.Not, nodes.Concat, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos, nodes.CondExpr, nodes.Getattr,
    nodes.Getitem, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair)
_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
               "//": operator.floordiv, "%": operator.mod, "**": power}
_MOST_STEPS, _MOST_ITEMS, _MOST_TEXT, _MOST_OUTPUT = 20_000, 10_000, 100_000, 5_000_000
#: What a faulty template may raise while it is read or run.
_FAULTS = (TemplateError, RecursionError, MemoryError, SyntaxError, ArithmeticError, ValueError, TypeError,
           AttributeError, LookupError)
#: Around the number of a line, at the start of each line of the template's text.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


def render(text: str, label: str, values: Mapping[str, Any], functions: Mapping[str, Any], problems: Problems,
           asked: set[str]) -> tuple[str, list[int]] | None:
    """What the template `text` gives for `values` and `functions` by name. The names that it takes values
    by, whether there are any or not, are added to `asked`.

    Returns
    -------
    The text, and for each of its lines the line of the template that it comes from; None, and a
    fault at the line of the template, when something is wrong.
    """
    if _OPEN in text or _CLOSE in text or len(text) > _MOST_OUTPUT:
        problems.errors.append(Problem(label, 0, 0, "a template with private characters, or of millions of "
                                       "characters; expected plain text"))
        return None
    environment = _Environment()
    environment.globals = {"range": environment.globals["range"], **functions}
    try:
        asked |= find_undeclared_variables(environment.parse(text)) - environment.globals.keys()
        environment.globals = {**values, **environment.globals}
        pieces, length = [], 0
        for piece in environment.from_string(text).generate():
            pieces.append(piece)
            length += len(piece)
            if length > _MOST_OUTPUT:
                raise SecurityError("millions of characters of output")
    except _FAULTS as error:
        what = "nested too deeply" if isinstance(error, (RecursionError, MemoryError)) else str(error)
        hint = "" if "; expected " in what else \
            "; expected names that are defined, plain values, {% set %}, {% if %} and {% for %}"
        if isinstance(error, UndefinedError):
            hint += _without_value(environment, text)
        problems.errors.append(Problem(label, _line(error), 0, f"template: {what}{hint}"))
        return None
    return _unmarked("".join(pieces))


def _without_value(environment: _Environment, text: str) -> str:
    """A hint that names all variables of the template that nothing gives a value: those that are tested
    for, or have a default, need none."""
    tree = environment.parse(text)
    known = ("default", "d", "defined", "undefined")
    optional = {node.node.name for node in tree.find_all((nodes.Filter, nodes.Test))
                if isinstance(node.node, nodes.Name) and node.name in known}
    missing = sorted(find_undeclared_variables(tree) - optional - set(environment.globals))
    values = " ".join(f"-D {name}=VALUE" for name in missing)
    return values and f"; values can be given: {values}"


def _line(error: BaseException) -> int:
    """The line of the template where an error arose; 0 when unknown."""
    line = error.lineno if isinstance(error, TemplateSyntaxError) else 0
    trace = error.__traceback__
    while trace is not None and not isinstance(error, TemplateSyntaxError):
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _unmarked(text: str) -> tuple[str, list[int]]:
    """The text without the marks, and the line that each of its lines was marked with."""
    plain, lines, current = [], [], 1
    for line in text.split("\n"):
        found = _MARK.findall(line)
        current = int(found[0]) if found and line.startswith(_OPEN) else current
        lines.append(current)
        current = int(found[-1]) if found else current
        plain.append(_MARK.sub("", line))
    return "\n".join(plain), lines


class _Lines(Extension):
    """Marks every line of the text between the statements with its number."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for token in stream:
            if token.type == "data":
                first, *rest = token.value.split("\n")
                marked = [f"{_OPEN}{token.lineno + i + 1}{_CLOSE}{line}" for i, line in enumerate(rest)]
                token = Token(token.lineno, "data", "\n".join([first, *marked]))
            yield token


class _Environment(SandboxedEnvironment):
    """A sandbox for one rendering, which counts what it spends."""

    intercepted_binops = frozenset(_ARITHMETIC)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, finalize=printed, extensions=[_Lines],
                         keep_trailing_newline=True, cache_size=0)
        self.spent = 0
        self.filters = {name: self.filters[name] for name in _FILTERS}
        self.tests = {name: self.tests[name] for name in _TESTS}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(nodes.Node):
            _check(node)
        guarded: nodes.Template = _Guard().visit(tree)
        return guarded

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if is_number(left) and is_number(right):
            return bounded(_ARITHMETIC[operator](left, right))
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return self.joined(left, right)
        raise SecurityError(f"{operator!r} between values that are no numbers")

    def joined(self, *parts: Any) -> str:
        """The texts of plain values, one after the other."""
        text = "".join(printed(part) for part in parts)
        if len(text) > _MOST_TEXT:
            raise SecurityError("a very long text")
        return text

    def steps(self, values: Any) -> Iterator[Any]:
        """The values of a loop, for as long as there is budget left."""
        for value in values:
            self.spent += 1
            if self.spent > _MOST_STEPS:
                raise SecurityError(f"more than {_MOST_STEPS} steps of loops")
            yield value

    def sized(self, value: Any) -> Any:
        """The value, unless it holds too many others."""
        left = [_MOST_ITEMS]

        def count(part: Any) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise SecurityError("a value of too many parts")
            for inner in (part.values() if isinstance(part, dict) else part):
                if isinstance(inner, (list, tuple, dict)):
                    count(inner)
                else:
                    left[0] -= 1 + len(inner) // 100 if isinstance(inner, str) else 1
        count(value)
        return value


def printed(value: Any) -> str:
    """A value as it stands in YAML. Whatever is no plain value is refused."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value)
    if value is None:
        return ""
    if isinstance(value, StrictUndefined):
        return str(value)           # raises: the name is not defined
    raise SecurityError(f"a value of type {type(value).__name__}")


def _check(node: nodes.Node) -> None:
    """Refuse what a template of a specification has no use for."""
    fault = ""
    if not isinstance(node, _ALLOWED):
        fault = f"{type(node).__name__.lower()} is not allowed in a specification"
    elif isinstance(node, nodes.Call) and not isinstance(node.node, nodes.Name):
        fault = "only functions that have a name can be called"
    elif isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        fault = f"filter {node.name!r} is not allowed; there are {', '.join(_FILTERS)}"
    elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        fault = f"access to {node.attr!r} is not allowed"
    elif isinstance(node, nodes.For) and node.recursive:
        fault = "a recursive loop is not allowed"
    if fault:
        raise TemplateSyntaxError(fault, node.lineno or 0)


class _Guard(NodeTransformer):
    """Puts the budgets around all that can grow or last."""

    def guarded(self, method: str, arguments: Iterable[nodes.Node], at: nodes.Node) -> nodes.Node:
        target = nodes.EnvironmentAttribute(method, lineno=at.lineno)
        return nodes.Call(target, list(arguments), [], None, None, lineno=at.lineno)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return self.guarded("joined", node.nodes, node)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = self.guarded("steps", [node.iter], node)
        return node

    def visit_literal(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        stored = getattr(node, "ctx", "load") != "load"
        return node if stored else self.guarded("sized", [node], node)

    visit_List = visit_Tuple = visit_Dict = visit_literal
