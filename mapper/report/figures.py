"""What the energy model takes for every component, as tables: the energy page of reports and the answer of
`tilebound energy`."""

from __future__ import annotations

from typing import Iterator

from . import units
from .schema import ArchitectureEntry, ComponentEntry, FigureEntry
from .tables import Table

_UNITS = {"leak": "pJ / cycle", "area": "µm²", "compute": "pJ / op", "address": "pJ / word",
          "ingress": "pJ / word", "hop": "pJ / word and hop", "wire": "pJ / bit and mm",
          "tile width": "µm", "router": "pJ / word", "adder": "pJ / addition",
          "gated_compute": "pJ / op", "skipped_compute": "pJ / op", "compress": "pJ / word",
          "decompress": "pJ / word"}
_FIRST = ("read", "fill", "update", "compute")
#: What to think of figures of some bases.
_REMARKS = {"extrapolated": "beyond the rows of the table", "scaled": "taken from another node"}


def figure_table(architecture: ArchitectureEntry) -> Table:
    """Every figure, with its unit, what it comes to a bit, how it came about and where from."""
    table = Table(("level", "class", "action", "value", "unit", "pJ / bit", "basis", "source"),
                  left=frozenset({0, 1, 2, 4, 6, 7}))
    for level in architecture["levels"]:
        for action, figure in sorted(level["figures"].items(), key=_place):
            table.add(level["name"], level["component"], action, _number(figure["value"]), unit(action),
                      per_bit(figure), figure.get("basis", "-"), figure["source"])
    return table


def _place(item: tuple[str, FigureEntry]) -> int:
    """Where a figure stands in the table: what every machine does first, areas last."""
    return _FIRST.index(item[0]) if item[0] in _FIRST else len(_FIRST) + (item[0] == "area")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.4g}"


def unit(action: str) -> str:
    """Unit of the figure called `action`."""
    name = action.removeprefix("up ")
    if "metadata_" in name:
        return "pJ / row"
    return "pJ / word" if name.startswith("transfer to ") else _UNITS.get(name, "pJ / access")


def per_bit(figure: FigureEntry) -> str:
    """pJ a bit of an access, '-' for what is none."""
    return f"{figure['value'] / figure['bits']:.4g}" if figure.get("bits") else "-"


def machine_table(architecture: ArchitectureEntry) -> Table:
    """Instances, area and leakage of every component, and of all together."""
    table = Table(("level", "class", "instances", "area each", "area", "share", "leakage each", "leakage"),
                  left=frozenset({0, 1}), total=True)
    total, cycle = architecture.get("total"), architecture["cycle_seconds"]
    if total is None:               # a document of an older version
        return table
    for level in architecture["levels"]:
        figures, area = level["figures"], level.get("area_um2")
        table.add(level["name"], level["component"], f"{level['instances']:,}",
                  _each(figures.get("area")), _area(area),
                  "-" if area is None else units.percent(area / (total["area_um2"] or 1.0)),
                  _leak(figures["leak"]["value"] if "leak" in figures else None),
                  power(level.get("leakage_pj_cycle"), cycle))
    parts = len(table.rows)
    table.add("total", "", "", "", _sum(_area(total["area_um2"]), total["area_unknown"], parts), "", "",
              _sum(power(total["leakage_pj_cycle"], cycle), total["leakage_unknown"], parts))
    return table


def _sum(text: str, unknown: list[str], parts: int) -> str:
    """The sum over the parts that are known."""
    if len(unknown) == parts:
        return "not known"
    return f"> {text}" if unknown else text


def _each(figure: FigureEntry | None) -> str:
    """The area of one instance; where it takes none, why."""
    if figure is not None and figure["value"] == 0:
        return figure["source"]
    return _area(None if figure is None else figure["value"])


def _area(um2: float | None) -> str:
    """An area as people read it."""
    if um2 is None:
        return "not known"
    if um2 >= 1e5:
        return f"{um2 / 1e6:.4g} mm²"
    return f"{um2:,.0f} µm²" if um2 >= 1000 else f"{um2:.4g} µm²"


def _leak(pj_cycle: float | None) -> str:
    return "not known" if pj_cycle is None else f"{pj_cycle:.4g} pJ/cycle"


def power(pj_cycle: float | None, cycle_seconds: float | None) -> str:
    """What leaks in a cycle as a power, as far as the time of a cycle is known."""
    if pj_cycle is None or cycle_seconds is None:
        return _leak(pj_cycle)
    return units.si(pj_cycle * 1e-12 / cycle_seconds, "W")


def notes(architecture: ArchitectureEntry) -> list[str]:
    """What to know before one relies on the figures, in sentences."""
    found = [f"{basis.capitalize()} ({remark}): {'; '.join(names)}." for basis, remark in _REMARKS.items()
             if (names := list(_named(architecture["levels"], basis)))]
    free = [f"{level['name']} {action}" for level in architecture["levels"]
            for action, figure in level["figures"].items()
            if figure["value"] == 0 and figure.get("basis") == "user" and action != "area"]
    if free:
        found.append(f"Zero, as the description says: {', '.join(free)}.")
    ruled = [level["name"] for level in architecture["levels"] if any(
        figure.get("basis") == "rule" and action != "area" for action, figure in level["figures"].items())]
    if ruled:
        found.append(f"Some actions of {', '.join(ruled)} have no figures, but cost what a rule says: see "
                     "their sources.")
    total = architecture.get("total")
    if total and total["area_unknown"]:
        found.append(f"Area not known, and not in the sum: {', '.join(total['area_unknown'])}.")
    if total and total["leakage_unknown"]:
        found.append(f"Leakage not known, and none counted: {', '.join(total['leakage_unknown'])}.")
    return found


def _named(levels: list[ComponentEntry], basis: str) -> Iterator[str]:
    """Components with figures of that `basis`, each with what these are for."""
    for level in levels:
        actions = [name for name, figure in level["figures"].items() if figure.get("basis") == basis]
        if actions:
            yield f"{level['name']} {', '.join(actions)}"
