"""Lines over a horizontal axis, and bars on a logarithmic one, as plain geometry that a template draws."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Callable, Sequence

from .chart import ROW, TOP, VALUE, WIDTH, Bar, Chart, Segment, Tick, name_room, shown_name, tick_step

_HEIGHT, _LEFT, _RIGHT, _FOOT = 190.0, 62.0, 14.0, 22.0


@dataclass(frozen=True)
class Axis:
    """Places of values from `low` to `high`, on a logarithmic scale if `log`, from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        share = log10(value / self.low) / log10(self.high / self.low) if self.log else \
            (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self) -> list[float]:
        """Powers of ten, or round figures where there are none."""
        if self.log:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            every = max(1, ceil((last - first + 1) / 6))
            found = [10.0 ** power for power in range(first, last + 1, every)]
            if len(found) > 1:
                return found
        step = tick_step(self.high - self.low)
        return [step * i for i in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)]


def axis(values: Sequence[float], start: float, end: float, wide: float = 20.0) -> Axis:
    """An axis over positive values: logarithmic where they span more than a factor of `wide`."""
    low, high = min(values), max(values)
    if high <= low:
        low, high = low * 0.9, low * 1.1 or 1.0
    return Axis(low, high, start, end, high > wide * low)


@dataclass(frozen=True)
class Line:
    name: str
    color: str
    points: str        # of an SVG polyline


@dataclass(frozen=True)
class Curve:
    """Lines in a frame; ticks of the vertical axis have a `y`, in `rows`, as (y, text)."""

    title: str
    lines: tuple[Line, ...]
    ticks: tuple[Tick, ...]
    rows: tuple[tuple[float, str], ...]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = _HEIGHT - _FOOT
    top: float = 8.0
    width: float = WIDTH
    height: float = _HEIGHT

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        return tuple((line.name, line.color) for line in self.lines)


def steps(title: str, lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
          x_text: Callable[[float], str], y_text: Callable[[float], str]) -> Curve | None:
    """Lines, each (name, colour, points), that keep their height from point to point, over positive x and y.
    None where there is nothing to draw."""
    drawn = [(name, color, points) for name, color, points in lines if points]
    if not drawn:
        return None
    across = axis([x for _, _, points in drawn for x, _ in points], _LEFT, WIDTH - _RIGHT)
    up = axis([y for _, _, points in drawn for _, y in points], _HEIGHT - _FOOT - 4.0, 12.0)
    return Curve(
        title, tuple(Line(name, color, _path(points, across, up)) for name, color, points in drawn),
        tuple(Tick(across.place(x), x_text(x)) for x in across.ticks()),
        tuple((up.place(y), y_text(y)) for y in up.ticks()))


def _path(points: Sequence[tuple[float, float]], across: Axis, up: Axis) -> str:
    places = [(across.place(x), up.place(y)) for x, y in points]
    corners = [places[0]]
    for (_, before), (x, y) in pairwise(places):
        corners += [(x, before), (x, y)]
    corners.append((across.end, corners[-1][1]))
    return " ".join(f"{x:g},{y:g}" for x, y in corners)


def logarithmic(title: str, rows: Sequence[tuple[str, float, str]], color: str) -> Chart:
    """A bar a row, (name, value, text of the value), as long as the logarithm of the value; values below 1
    have none."""
    most = max((log10(value) for _, value, _ in rows if value > 1), default=1.0) or 1.0
    left = name_room([name for name, _, _ in rows], 40)
    scale = (WIDTH - left - VALUE - 20) / most
    bars = []
    for i, (name, value, text) in enumerate(rows):
        width = round(log10(value) * scale, 2) if value > 1 else 0.0
        piece = Segment(round(left, 2), width, color, f"{name}: {text}")
        bars.append(Bar(shown_name(name, 40), TOP + i * ROW, (piece,) if width else (), text,
                        round(left + width + 5, 2)))
    every = max(1, ceil(most / 5))
    ticks = tuple(Tick(round(left + power * scale, 2), "1" if power == 0 else f"1e{power}")
                  for power in range(0, floor(most) + 1, every))
    return Chart(title, tuple(bars), ticks, round(left, 2), TOP + len(rows) * ROW)
