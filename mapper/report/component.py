"""Components of the energy library, and what one of them costs, as JSON-ready values and as tables."""

from __future__ import annotations

from typing import Any, Iterable, Mapping, Sequence

from ..energy.component import DOUBTFUL, Component, Estimate, Parameter, Value
from ..errors import Problem, SpecError
from ..hardware.architecture import Figure
from ..spec.nodes import did_you_mean, one_of
from .tables import Table

#: The capacity, which may be given in place of the rows.
_SIZE = Parameter("size", "capacity, in place of depth", "bit", kind="number")
_TYPED = ("nm", "mm", "ns")     # units that stand behind a number on the command line


def read_parameters(component: Component, fixed: Mapping[str, Value], pairs: Sequence[str],
                    first: int = 2) -> dict[str, Value]:
    """The values of the parameters of `component` given as KEY=VALUE: those `fixed` by the class, those
    of `pairs`, and defaults.

    Raises
    ------
    SpecError
        With every fault: a text without `=`, a key that is unknown or there twice, a value of another
        kind or unit, each with the position of its argument, counted from `first`; and what is missing.
    """
    known = {parameter.name: parameter for parameter in component.parameters}
    if {"depth", "width"} <= set(known) and "size" not in known:
        known["size"] = _SIZE
    values: dict[str, Value] = dict(fixed)
    faults: list[Problem] = []
    seen: dict[str, int] = {}
    for place, pair in enumerate(pairs, first):
        fault = _read(pair, place, known, values, seen)
        if fault:
            faults.append(Problem(f"argument {place}", 0, 0, fault))
    if "size" in seen and "depth" in seen:
        faults.append(Problem(f"argument {max(seen['size'], seen['depth'])}", 0, 0,
                              "both size and depth; expected one of the two"))
    given = {*values, *seen, *(["depth"] if "size" in seen else [])}
    for parameter in component.parameters:
        if parameter.name in given:
            continue
        if parameter.default is None:
            faults.append(Problem(component.name, 0, 0, f"no {parameter.name}; expected "
                                  f"{parameter.name}=VALUE ({_about(parameter)})"))
        else:
            values[parameter.name] = parameter.default
    if faults:
        raise SpecError(faults)
    if "size" in seen:
        values["depth"] = float(values.pop("size")) / float(values["width"])
    return values


def _read(pair: str, place: int, known: Mapping[str, Parameter], values: dict[str, Value],
          seen: dict[str, int]) -> str:
    """Put the value of one KEY=VALUE into `values`; what is wrong with it, or ""."""
    name, equals, text = pair.partition("=")
    if not equals:
        return f"{pair!r}; expected key=value with {one_of(known, 30)}{did_you_mean(name, known)}"
    if name not in known:
        return f"unknown parameter {name!r}; expected {one_of(known, 30)}{did_you_mean(name, known)}"
    if name in seen:
        return f"{name} a second time; the first is argument {seen[name]}"
    seen[name] = place
    try:
        values[name] = known[name].read(text)
    except ValueError as error:
        return str(error)
    return ""


def _about(parameter: Parameter) -> str:
    """What a parameter means, and its choices."""
    return parameter.meaning + (f": {', '.join(parameter.choices)}" if parameter.choices else "")


def component_entry(name: str, component: Component, values: Mapping[str, Value],
                    estimate: Estimate) -> dict[str, Any]:
    """What `estimate` says of the class `name`, ready for JSON. pJ by action, um^2, mW."""
    known = {parameter.name: parameter for parameter in component.parameters}
    return {
        "schema": "tilebound.component/1", "class": name, "component": component.name,
        "parameters": {key: {"value": value, "unit": known[key].unit if key in known else ""}
                       for key, value in values.items()},
        "actions": {action: _figure(figure) for action, figure in estimate.actions.items()},
        "access_bits": estimate.access_bits,
        "area_um2": _figure(estimate.area), "leakage_mw": _figure(estimate.leakage),
        "refresh_mw": _figure(estimate.refresh),
        "warnings": list(estimate.warnings), "source": component.source,
    }


def _figure(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return {"value": figure.value, "source": figure.source, "basis": figure.basis}


def component_table(entry: Mapping[str, Any]) -> Table:
    """One row an action, then area and leakage, each with its basis and source."""
    table = Table(("what", "value", "unit", "bits", "pJ / bit", "basis", "source"),
                  left=frozenset({0, 2, 5, 6}))
    bits = entry["access_bits"]
    for action, figure in entry["actions"].items():
        each = f"{figure['value'] / bits:.4g}" if bits else "-"
        table.add(action, f"{figure['value']:.4g}", "pJ", str(bits or "-"), each, figure["basis"],
                  figure["source"])
    for what, unit in (("area", "um2"), ("leakage", "mW"), ("refresh", "mW")):
        figure = entry[f"{what}_{unit.lower()}"]
        if figure is not None:
            table.add(what, f"{figure['value']:.4g}", unit, "-", "-", figure["basis"], figure["source"])
        elif what != "refresh":
            table.add(what, "not known", unit, "-", "-", "-", "")
    return table


def remarks(entry: Mapping[str, Any]) -> list[str]:
    """What to know before one relies on the figures, in sentences."""
    figures = {**entry["actions"], "area": entry["area_um2"], "leakage": entry["leakage_mw"]}
    said = [f"{warning}." for warning in entry["warnings"]]
    for basis in DOUBTFUL:
        if names := [name for name, x in figures.items() if x and x["basis"] == basis]:
            said.append(f"{basis.capitalize()}: {', '.join(names)}.")
    return said


def parameters_text(entry: Mapping[str, Any]) -> str:
    """The parameters on one line, as they may be typed again."""
    return " ".join(f"{name}={_value(value['value'])}{value['unit'] if value['unit'] in _TYPED else ''}"
                    for name, value in entry["parameters"].items())


def _value(value: Value | None) -> str:
    """A value of a parameter as one types it."""
    if value is None:
        return "required"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def library(components: Iterable[Component]) -> Table:
    """Every class with its parameters: unit, default, meaning."""
    table = Table(("class", "parameter", "unit", "default", "meaning"), left=frozenset({0, 1, 2, 3, 4}))
    for component in components:
        first = component.name
        for parameter in component.parameters:
            table.add(first, parameter.name, parameter.unit, _value(parameter.default), _about(parameter))
            first = ""
    return table


def library_entry(components: Iterable[Component]) -> list[dict[str, Any]]:
    """The same, ready for JSON."""
    return [{"component": x.name, "classes": sorted(x.classes), "source": x.source, "parameters": [
        {"name": p.name, "unit": p.unit, "default": p.default, "kind": p.kind, "choices": list(p.choices),
         "meaning": p.meaning} for p in x.parameters]} for x in components]
