"""Values of options of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import click

if TYPE_CHECKING:
    from .model.options import Options


class Number(click.FloatRange):
    """A number in a range, which NaN is not."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is no number.", param, ctx)
        return number


class Whole(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class File(click.Path):
    """A path, which empty text is not: `pathlib` would take that for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("expected a path, not empty text.", param, ctx)
        return super().convert(value, param, ctx)


class Objective(click.ParamType):      # type: ignore[type-arg]  # generic in newer versions only
    """An objective, two of them with a comma between, or what asks for a front."""

    name = "objective"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from .search.objectives import require_objective

        asked = str(value).replace(" ", "")
        try:
            require_objective(asked)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return asked


def defined(pairs: Sequence[str]) -> dict[str, object]:
    """Names and values given as NAME=VALUE; a value is read as in YAML."""
    from .spec.nodes import Problems
    from .spec.reader import read_text

    result: dict[str, object] = {}
    for pair in pairs:
        name, text = _pair(pair, "VALUE", "--define")
        if not name.isidentifier():
            raise click.BadParameter(f"{pair!r}; expected NAME=VALUE", param_hint="--define")
        documents = read_text(text, Problems())
        result[name] = documents[0].plain() if documents and documents[0].is_scalar else text
    return result


def switched(options: Options, pairs: Sequence[str]) -> Options:
    """`options` with the switches given as NAME=on or NAME=off."""
    from .model.options import with_switches

    try:
        return with_switches(options, dict(_pair(pair, "on|off", "--option") for pair in pairs))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--option") from None


def _pair(text: str, what: str, option: str) -> tuple[str, str]:
    """What stands before and after the `=` of an option."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r}; expected NAME={what}", param_hint=option)
    return name, value
