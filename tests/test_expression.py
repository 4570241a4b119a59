"""Expressions: what the grammar computes, what it refuses, and that nothing else is reachable."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.spec.expression import ExpressionError, evaluate, parse

NAMES = {"depth": 100, "width": 64, "ratio": 0.5, "technology": "45nm", "ranks": ("N", "C", "K"), "zero": 0}


@pytest.mark.parametrize(("text", "value"), [
    ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ** 3 ** 2", 512), ("-2 ** 2", -4), ("2 ** -1", 0.5),
    ("7 // 2 + 7 % 4", 6), ("7 / 2", 3.5), ("1 - 2 - 3", -4), ("--3", 3), ("+3", 3), ("1e3", 1000.0),
    ("1_000", 1000), (".5 * 4", 2.0), ("width * 3", 192), ("depth >= 1", True), ("1 < 2 < 3", True),
    ("1 < 3 < 2", False), ("not 1 == 2", True), ("not not 0", False), ("0 or 5", 5), ("0 and 1", 0),
    ("1 if zero else 2", 2), ("1 if zero else 2 if depth else 3", 2), ("technology == '45nm'", True),
    ("technology", "45nm"), ("max(1, ceil(log2(depth))) if depth >= 1 else 1", 7),
    ("max(1, ceil(log2(zero))) if zero >= 1 else 1", 1), ("0 and 1 / 0", 0), ("min(3, 2, 1)", 1),
    ("floor(2.9) + round(2.6)", 5), ("round(2.567, 1)", 2.6), ("sqrt(16)", 4.0), ("len(ranks)", 3),
    ("int(ratio * 10)", 5), ("abs(-3)", 3), ("True", True), ("max(1, 2,)", 2)])
def test_values(text: str, value: object) -> None:
    found = evaluate(text, NAMES)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("text", [
    "__import__('os')", "__import__", "().__class__", "width.bit_length()", "width.__class__", "ranks[0]",
    "[1]", "{}", "{1: 2}", "lambda: 1", "x := 1", "width = 1", "1; 2", "exec('1')", "open('a')",
    "getattr(1, 2)", "eval('1')", "print(1)", "'%s' % 1", "f'{width}'", "'a' * 9", "'a' + 'b'",
    "min('a', 'b')", "len('abc')",
    "int('7')", "`ls`", "$(ls)", "1 if 2", "1 else 2", "if", "", "   ", "1 2", "width width", "0x10",
    "1..2", "()", "max()", "sqrt(1, 2)", "1 +", "* 2", "(1", "1)", "a b c", "45nm", "\u0661",
    "~1", "1 << 2", "1 & 2",
    "width is 3", "1 in ranks", "@", "\\", "\x00"])
def test_nothing_else_is_reachable(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, NAMES)


@pytest.mark.parametrize("text", [
    "9 ** 9 ** 9", "10 ** 10 ** 10", "(2 ** 1000) ** 1000", "2 ** 1e9", "1e308 * 10", "1e999", "9" * 400,
    "int(1e308) * int(1e308)", "(" * 200 + "1" + ")" * 200, "2 **" * 200 + "1", "1" + " + 1" * 2000,
    "max(" * 60 + "1" + ")" * 60, "-1 ** 0.5 ** (-9999)", "1 / 0", "1 % 0", "sqrt(-1)", "(-8) ** 0.5",
    "log2(0)"])
def test_what_has_no_value_or_none_within_reason(text: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(text, NAMES)


def test_faults_say_what_was_expected() -> None:
    with pytest.raises(ExpressionError, match=r"unknown name 'dept' in .*; expected one of .*'depth'\?"):
        evaluate("2 * dept", NAMES)
    with pytest.raises(ExpressionError, match=r"function 'cel' in .*; did you mean 'ceil'\?"):
        evaluate("cel(2.5)", NAMES)


def test_an_expression_says_which_names_and_functions_it_has() -> None:
    found = parse("max(width, spec.problem.instance) + depth")
    assert found.names == {"width", "spec.problem.instance", "depth"} and found.calls == {"max"}


@given(st.recursive(
    st.integers(0, 99).map(str) | st.just("width"),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "<", "=="]), inner).map(
        lambda parts: f"({' '.join(parts)})") | inner.map(lambda text: f"max({text}, 3)"), max_leaves=8))
def test_agrees_with_python(text: str) -> None:
    try:
        expected = eval(text, {"max": max, "width": 64})
    except ZeroDivisionError:
        with pytest.raises(ExpressionError):
            evaluate(text, NAMES)
        return
    assert math.isclose(evaluate(text, NAMES), expected)


@given(st.text(alphabet="0123456789abw+-*/%()., <>=!'\"_\n[]{}e", max_size=30))
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    try:
        evaluate(text, NAMES)
    except ExpressionError as error:
        assert "expected" in str(error)
