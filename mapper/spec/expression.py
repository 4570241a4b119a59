"""Arithmetic in the values of specifications: an own small grammar, so that a file can never do more
than compute a number.

Numbers, texts in quotes, names, + - * / // % **, comparisons, and / or / not, `a if c else b`, and
the functions below. Nothing else can be said: no attributes, no indices, no other calls.
"""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from .nodes import did_you_mean, one_of

#: What an expression works on and gives. A tuple of names is only good for `len`.
Value = int | float | bool | str | tuple[str, ...]
Names = Mapping[str, Value]
_Term = Callable[[Names], Value]

_TOKEN = re.compile(r"""\s*(?:(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<sign>\*\*|//|<=|>=|==|!=|[-+*/%<>(),]))""", re.VERBOSE | re.ASCII)
_WORDS = ("if", "else", "and", "or", "not")
_CONSTANTS: Names = {"True": True, "False": False}
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
                "==": operator.eq, "!=": operator.ne}
_SUMS = {"+": operator.add, "-": operator.sub}
_PRODUCTS = {"*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod}
#: Each function with the least and the most arguments that it takes.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "min": (min, 1, 64), "max": (max, 1, 64), "ceil": (math.ceil, 1, 1), "floor": (math.floor, 1, 1),
    "round": (round, 1, 2), "log2": (math.log2, 1, 1), "sqrt": (math.sqrt, 1, 1), "abs": (abs, 1, 1),
    "int": (int, 1, 1), "float": (float, 1, 1), "len": (len, 1, 1)}
#: Bounds that no honest specification meets.
_MOST_TEXT, _MOST_DEPTH, _MOST_BITS = 2000, 50, 1024


class ExpressionError(ValueError):
    """What is wrong with an expression, in a form that fits behind a place."""


@dataclass(frozen=True)
class Expression:
    """A text that was understood: the names in it, the functions that it calls, and its value."""

    text: str
    names: frozenset[str]
    calls: frozenset[str]
    _term: _Term

    def evaluate(self, names: Names) -> Value:
        """The value, with `names` for the names; ExpressionError when there is none."""
        try:
            return self._term({**_CONSTANTS, **names})
        except (ArithmeticError, ValueError, TypeError) as error:
            if isinstance(error, ExpressionError):
                raise
            raise ExpressionError(f"expression {self.text!r}: {error}; expected one with a value") from None


def evaluate(text: str, names: Names | None = None) -> Value:
    """The value of the expression `text`.

    Raises
    ------
    ExpressionError
        For a text outside the grammar, an unknown name, or a value that does not exist or is
        beyond reason.

    >>> evaluate("max(1, ceil(log2(depth))) if depth >= 1 else 1", {"depth": 100})
    7
    >>> evaluate("2 ** 10 // 3 - width % 5", {"width": 64})
    337
    """
    return parse(text).evaluate(names or {})


def parse(text: str) -> Expression:
    """Understand an expression without computing it; ExpressionError when it is none."""
    if len(text) > _MOST_TEXT:
        raise ExpressionError(f"an expression of {len(text)} characters; expected {_MOST_TEXT} or fewer")
    parser = _Parser(text)
    term = parser.conditional()
    if parser.position < len(parser.tokens):
        raise parser.fault("the end")
    return Expression(text, frozenset(parser.names), frozenset(parser.calls), term)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def bounded(value: Any) -> Any:
    """`value`, unless it is a number beyond reason (OverflowError)."""
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise OverflowError("a number beyond reason")
    if isinstance(value, float) and not math.isfinite(value):
        raise OverflowError("a number without a finite value")
    return value


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, refused before it is computed when it would be beyond reason."""
    if not (is_number(base) and is_number(exponent)):
        raise TypeError("a power of something that is no number")
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 \
            and base.bit_length() * exponent > 2 * _MOST_BITS:
        raise OverflowError("a power beyond reason")
    result = base ** exponent
    if isinstance(result, complex):
        raise ValueError("a root of a negative number")
    return bounded(result)


class _Parser:
    """Recursive descent over the tokens; every rule gives a function from names to a value."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str]] = []
        self.position = 0
        self.depth = 0
        self.names: set[str] = set()
        self.calls: set[str] = set()
        at = 0
        while text[at:].strip():
            match = _TOKEN.match(text, at)
            if match is None:
                raise ExpressionError(f"{text[at:].strip()[:20]!r} in expression {text!r}; expected numbers, "
                                      "names, + - * / // % **, comparisons or conditions")
            kind = str(match.lastgroup)
            word = match[kind]
            self.tokens.append(("sign" if word in _WORDS else kind, word))
            at = match.end()

    def fault(self, expected: str) -> ExpressionError:
        found = repr(self.tokens[self.position][1]) if self.position < len(self.tokens) else "the end"
        return ExpressionError(f"{found} in expression {self.text!r}; expected {expected}")

    def sign(self, *wanted: str) -> str:
        """Take the next token when it is one of the signs or words `wanted`; else the empty text."""
        if self.position < len(self.tokens):
            kind, word = self.tokens[self.position]
            if kind == "sign" and word in wanted:
                self.position += 1
                return word
        return ""

    def expect(self, wanted: str) -> None:
        if not self.sign(wanted):
            raise self.fault(repr(wanted))

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _MOST_DEPTH:
            raise ExpressionError(f"an expression nested more than {_MOST_DEPTH} deep; "
                                  "expected a flatter one")

    def conditional(self) -> _Term:
        self.deeper()
        value = self.either()
        if self.sign("if"):
            condition = self.either()
            self.expect("else")
            other, first = self.conditional(), value
            value = _choice(condition, first, other)
        self.depth -= 1
        return value

    def either(self) -> _Term:
        value = self.both()
        while self.sign("or"):
            value = _lazy(value, self.both(), stop=True)
        return value

    def both(self) -> _Term:
        value = self.negation()
        while self.sign("and"):
            value = _lazy(value, self.negation(), stop=False)
        return value

    def negation(self) -> _Term:
        count = 0
        while self.sign("not"):
            count += 1
        value = self.comparison()
        return (lambda names: bool(value(names)) is (count % 2 == 0)) if count else value

    def comparison(self) -> _Term:
        first = self.chain(_SUMS, lambda: self.chain(_PRODUCTS, self.unary))
        links = []
        while word := self.sign(*_COMPARISONS):
            links.append((_COMPARISONS[word], self.chain(_SUMS, lambda: self.chain(_PRODUCTS, self.unary))))
        return _compared(first, links) if links else first

    def chain(self, operators: Mapping[str, Callable[[Any, Any], Any]], part: Callable[[], _Term]) -> _Term:
        """Parts joined by operators of one rank, from left to right."""
        links = [(operator.add, part())]
        while word := self.sign(*operators):
            links.append((operators[word], part()))
        return _folded(links) if len(links) > 1 else links[0][1]

    def unary(self) -> _Term:
        minus = False
        while word := self.sign("-", "+"):
            minus ^= word == "-"
        value = self.atom()
        if self.sign("**"):
            self.deeper()
            base, exponent = value, self.unary()
            self.depth -= 1

            def value(names: Names) -> Value:
                result: Value = power(base(names), exponent(names))
                return result
        return _minus(value) if minus else value

    def atom(self) -> _Term:
        if self.sign("("):
            inner = self.conditional()
            self.expect(")")
            return inner
        kind, word = self.tokens[self.position] if self.position < len(self.tokens) else ("end", "")
        if kind not in ("number", "name", "text"):
            raise self.fault("a number, a name or '('")
        self.position += 1
        if kind == "number":
            return _constant(number(word))
        if kind == "text":
            return _constant(word[1:-1])
        return self.call(word) if self.sign("(") else self.name(word)

    def name(self, word: str) -> _Term:
        self.names.add(word)

        def value(names: Names) -> Value:
            if word not in names:
                known = [name for name in names if name not in _CONSTANTS]
                raise ExpressionError(f"unknown name {word!r} in expression {self.text!r}; expected "
                                      f"{one_of(known) if known else 'a number'}{did_you_mean(word, known)}")
            return names[word]
        return value

    def call(self, word: str) -> _Term:
        """A call; its opening bracket is taken."""
        if word not in _FUNCTIONS:
            raise ExpressionError(f"function {word!r} in expression {self.text!r}; expected "
                                  f"{one_of(_FUNCTIONS)}{did_you_mean(word, _FUNCTIONS)}")
        self.calls.add(word)
        function, least, most = _FUNCTIONS[word]
        arguments = []
        while not self.sign(")"):
            arguments.append(self.conditional())
            if not self.sign(","):
                self.expect(")")
                break
        if not least <= len(arguments) <= most:
            raise ExpressionError(f"{word} with {len(arguments)} arguments in expression {self.text!r}; "
                                  f"expected {least if least == most else f'{least} to {most}'}")

        def value(names: Names) -> Value:
            values = [argument(names) for argument in arguments]
            wanted = tuple if word == "len" else (int, float)
            if not all(isinstance(v, wanted) for v in values):
                raise TypeError(f"{word} of something that it is not made for")
            result: Value = bounded(function(*values))
            return result
        return value


def number(word: str) -> int | float:
    """A number as it is written; an OverflowError becomes an ExpressionError."""
    plain = word.replace("_", "")
    value = int(plain) if plain.isdigit() and len(plain) < 300 else float(plain)
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError(f"number {word[:20]!r} without a finite value; expected a smaller one")
    return value


def _constant(value: Value) -> _Term:
    return lambda names: value


def _minus(value: _Term) -> _Term:
    def result(names: Names) -> Value:
        found = value(names)
        if not isinstance(found, (int, float)):
            raise TypeError("the negative of something that is no number")
        return -found
    return result


def _choice(condition: _Term, first: _Term, other: _Term) -> _Term:
    return lambda names: first(names) if condition(names) else other(names)


def _lazy(left: _Term, right: _Term, stop: bool) -> _Term:
    """`or` (stop at a true value) or `and` (stop at a false one)."""
    def result(names: Names) -> Value:
        found = left(names)
        return found if bool(found) is stop else right(names)
    return result


def _compared(first: _Term, links: list[tuple[Callable[[Any, Any], bool], _Term]]) -> _Term:
    def result(names: Names) -> Value:
        left = first(names)
        for compare, term in links:
            right = term(names)
            if not compare(left, right):
                return False
            left = right
        return True
    return result


def _folded(links: list[tuple[Callable[[Any, Any], Any], _Term]]) -> _Term:
    def result(names: Names) -> Value:
        total: Any = links[0][1](names)
        for apply, term in links[1:]:
            right = term(names)
            if not (isinstance(total, (int, float)) and isinstance(right, (int, float))):
                raise TypeError("arithmetic with something that is no number")
            total = bounded(apply(total, right))
        return total
    return result
