"""The answers of `tilebound energy`, as text or as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterator, Sequence

import click

from .errors import Problem, SpecError

if TYPE_CHECKING:
    from .energy.component import Component


def classes(as_json: bool) -> None:
    """All classes of components with their parameters."""
    from .energy.registry import registry
    from .report.component import library, library_entry

    known = registry().components.values()
    if as_json:
        click.echo(_json({"schema": "tilebound.components/1", "components": library_entry(known)}))
        return
    _show([library(known)])
    click.echo("\nFigures of one: tilebound energy CLASS PARAMETER=VALUE ...", err=True)


def component(name: str, pairs: Sequence[str], specs: Sequence[str], define: dict[str, object],
              as_json: bool) -> None:
    """What one component of the class `name`, of the library or of those in `specs`, costs; SpecError with
    every fault of the arguments."""
    from .energy.table import EnergyTable
    from .report.component import component_entry, component_table, parameters_text, read_parameters, remarks

    if _is_spec(name):
        raise SpecError([Problem("argument 1", 0, 0, f"{name!r} is a machine or a file, no class of "
                                 "components; expected --arch before it")])
    table = EnergyTable.default(components=_own(specs, define))
    try:
        found, fixed = table.registry.named(name)
    except ValueError as error:
        raise SpecError([Problem("argument 1", 0, 0, f"class {name!r}: {error}")]) from None
    values = read_parameters(found, fixed, pairs)
    try:
        estimate = found.estimate(values, table)
    except ValueError as error:
        raise SpecError([Problem(name, 0, 0, line) for line in str(error).splitlines()]) from None
    entry = component_entry(name, found, values, estimate)
    if as_json:
        click.echo(_json(entry))
        return
    kind = "" if found.name == name else f" ({found.name})"
    click.echo(f"{name}{kind} {parameters_text(entry)}\n")
    _show([component_table(entry)], remarks(entry))


def _is_spec(name: str) -> bool:
    """Whether a name is that of a description, where a class should stand."""
    from .loading import library_names

    return name.endswith((".yaml", ".yml", ".jinja2")) or name in dict(library_names("arch"))


def _own(specs: Sequence[str], define: dict[str, object]) -> list[Component]:
    """The components that `specs` describe."""
    if not specs:
        return []
    from .energy.user import read_components
    from .loading import load_specs
    from .spec.nodes import Problems

    problems = Problems()
    found = read_components(load_specs(specs, define=define).sections.get("components"), problems)
    problems.raise_if_any()
    return found


def machine(specs: Sequence[str], define: dict[str, object], as_json: bool) -> None:
    """Every level, network and unit of the architecture in `specs`."""
    from .loading import load_specs
    from .report.figures import figure_table, machine_table, notes
    from .report.machine import architecture_entry

    loaded = load_specs(specs, define=define)
    for note in loaded.notes:
        click.echo(str(note), err=True)
    if loaded.architecture is None:
        raise SpecError([*loaded.unsupported, Problem(" ".join(specs), 0, 0, (
            "no architecture given; expected a SPEC with the key 'architecture' or the name of a library "
            "entry; `tilebound list arch` shows them"))])
    entry = architecture_entry(loaded.architecture)
    if as_json:
        told = {key: value for key, value in entry.items() if key != "spec"}
        click.echo(_json({"schema": "tilebound.energy/1", **told, "notes": notes(entry)}))
        return
    click.echo(", ".join(_machine(entry)) + "\n")
    _show([figure_table(entry), machine_table(entry)], notes(entry))


def _machine(entry: Any) -> Iterator[str]:
    """Name, node and clock of a machine."""
    from .report.units import short, si

    yield entry["name"]
    if entry["technology_nm"]:
        yield f"{entry['technology_nm']:g} nm"
    if entry["cycle_seconds"]:
        yield f"{short(si(1 / entry['cycle_seconds'], 'Hz'))}"


def _show(tables: Sequence[Any], lines: Sequence[str] = ()) -> None:
    from .report.tables import show

    for index, table in enumerate(tables):
        if index:
            click.echo()
        show(table)
    if lines:
        click.echo("\n" + "\n".join(lines))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, allow_nan=False)
