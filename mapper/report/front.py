"""Fronts of cycles and energy: tables, and a drawing as plain geometry for a template."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from . import units
from .chart import Tick, tick_step
from .schema import FrontEntry, LayerEntry, NetworkPointEntry, ResultDocument
from .tables import Table

WIDTH, HEIGHT = 760, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 16, 12, 34


@dataclass(frozen=True)
class Dot:
    """A point of the front; `chosen`: its mappings are shown below."""

    x: float
    y: float
    label: str
    chosen: bool


@dataclass(frozen=True)
class Plot:
    """A scatter of cycles (x) and energy (y). `stairs` is the edge of what some point is at least as good as,
    as the points of an SVG polyline."""

    title: str
    dots: tuple[Dot, ...]
    stairs: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def chosen(document: ResultDocument, front: FrontEntry) -> int:
    """Which point of the network's front the document shows the mappings of."""
    total = document["total"]
    return next((i for i, p in enumerate(front["points"]) if p["cycles"] == total["cycles"]), 0)


def summary(document: ResultDocument, most: int = 20) -> Table | None:
    """The front of the network, at most about `most` of its points; None where there is none."""
    front = document.get("front")
    if front is None:
        return None
    points, own = front["points"], chosen(document, front)
    step = ceil(len(points) / most)
    table = Table(("cycles", "energy", "EDP", ""), left=frozenset({3}))
    for i, p in enumerate(points):
        if i % step == 0 or i in (own, len(points) - 1):
            table.add(f"{p['cycles']:,}", units.energy(p["energy_pj"]),
                      units.objective("edp", p["energy_pj"] * p["cycles"]),
                      "least EDP: shown below" if i == own else "")
    return table


def note(front: FrontEntry) -> str:
    """What the front of the network is proved to be."""
    count = len(front["points"])
    if front["tolerance"] is None:
        return f"{count} points found; the search ended before anything was proved of slower mappings"
    if front["tolerance"] == 0.0:
        return f"{count} points, proved complete: no choice of mappings is better than all of them"
    return (f"{count} points; for every choice of mappings there is one with "
            f"{units.about('at most', front['tolerance'])} more cycles, and energy")


def layer_table(layer: LayerEntry) -> Table | None:
    """The front of one occurrence of a layer; None where there is none."""
    front = layer.get("front")
    if front is None:
        return None
    table = Table(("cycles", "energy", "least up to", "gap", "status"), left=frozenset({4}))
    for p in front["points"]:
        proof = p["certificate"]
        upto = f"{proof['among']['most']:,.0f} cycles" if "among" in proof else "any cycles"
        table.add(f"{p['cycles']:,}", units.energy(p["energy_pj"]), upto, units.percent(proof["gap"]),
                  proof["status"])
    return table


def plot(document: ResultDocument) -> Plot | None:
    """The drawing of the network's front; None where there is none."""
    front = document.get("front")
    if front is None or not front["points"]:
        return None
    points, own = front["points"], chosen(document, front)
    across, x_ticks = _axis([float(p["cycles"]) for p in points], _LEFT, WIDTH - _RIGHT, "")
    up, y_ticks = _axis([p["energy_pj"] * 1e-12 for p in points], HEIGHT - _BOTTOM, _TOP, "J")
    dots = tuple(Dot(across(p["cycles"]), up(p["energy_pj"] * 1e-12), _label(p), i == own)
                 for i, p in enumerate(points))
    return Plot("Front of energy and cycles", dots, _stairs(dots), x_ticks, y_ticks)


def _label(point: NetworkPointEntry) -> str:
    return f"{point['cycles']:,} cycles, {units.energy(point['energy_pj'])}"


def _stairs(dots: tuple[Dot, ...]) -> str:
    corners, height = [], float(_TOP)
    for dot in dots:
        corners += [(dot.x, height), (dot.x, dot.y)]
        height = dot.y
    corners.append((float(WIDTH - _RIGHT), height))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


class _Scale:
    """From a value to its place on an axis."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self.low, self.start, self.slope = low, start, (end - start) / (high - low)

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) * self.slope, 2)


def _axis(values: list[float], start: float, end: float, unit: str) -> tuple[_Scale, tuple[Tick, ...]]:
    """An axis from just below the least value to just above the largest, with round ticks."""
    least, most = min(values), max(values)
    room = 0.08 * (most - least) or 0.1 * most or 1.0
    least, most = max(least - room, 0.0), most + room
    step = tick_step(most - least, 5)
    scale = _Scale(least, most, start, end)
    marks = [i * step for i in range(ceil(least / step), floor(most / step) + 1)]
    return scale, tuple(Tick(scale(x), units.short(units.si(x, unit))) for x in marks)
