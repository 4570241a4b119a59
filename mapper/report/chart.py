"""Bar charts as plain geometry: numbers and texts that a template draws as SVG."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Callable, Sequence
from typing import Mapping as MappingOf

from .units import short

#: Okabe and Ito's colours, which the colour-blind tell apart, in the order of use.
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#b8a200")
GREY, PALE = "#7f8790", "#c3c9cf"

ROW = 22            # height of a bar with the space below it
WIDTH = 560
TOP = 20            # room for the ticks above the bars
VALUE = 76          # room for the value at the end of a bar
LETTER = 6.3        # mean width of a letter of the labels


@dataclass(frozen=True)
class Segment:
    """One coloured piece of a bar; `label` tells what it stands for when pointed at."""

    x: float
    width: float
    color: str
    label: str


@dataclass(frozen=True)
class Bar:
    """One row: a name on the left, segments, and the value written after them."""

    name: str
    y: float
    segments: tuple[Segment, ...]
    value: str
    value_x: float


@dataclass(frozen=True)
class Tick:
    x: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Horizontal stacked bars under an axis with ticks."""

    title: str
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    left: float
    height: float
    width: float = WIDTH
    legend: tuple[tuple[str, str], ...] = field(default=())     # (name, colour)


def colors(names: Sequence[str], grey: MappingOf[str, str] | None = None) -> dict[str, str]:
    """A colour for each name; those in `grey` get the one given there."""
    fixed = grey or {}
    free = [name for name in names if name not in fixed]
    return {**{name: PALETTE[i % len(PALETTE)] for i, name in enumerate(free)},
            **{name: fixed[name] for name in names if name in fixed}}


def stacked(title: str, rows: Sequence[tuple[str, MappingOf[str, float]]],
            color: MappingOf[str, str], text: Callable[[float], str],
            limit: float | None = None, letters: int = 22) -> Chart:
    """A chart with one bar a row, `(name, {part: value})`, parts stacked in the order of `color`.

    Parts without a colour are left out. `text` writes a value with its unit; `limit` is where the
    axis ends, by default a round figure past the longest bar. The legend names the parts that
    occur, and is empty for a single one. Names are cut short after so many `letters`.
    """
    sums = [sum(parts.get(name, 0.0) for name in color) for _, parts in rows]
    step = tick_step(limit or max(sums, default=0.0) or 1.0)
    end = limit or step * max(1, ceil(max(sums, default=0.0) / step - 1e-9))
    left = name_room([name for name, _ in rows], letters)
    scale = (WIDTH - left - VALUE) / end
    bars = []
    for index, ((name, parts), total) in enumerate(zip(rows, sums, strict=True)):
        segments, x = [], left
        for part, fill in color.items():
            width = max(0.0, parts.get(part, 0.0)) * scale
            if width > 0:
                segments.append(Segment(round(x, 2), round(width, 2), fill,
                                        f"{name}, {part}: {text(parts[part])}"))
            x += width
        bars.append(Bar(shown_name(name, letters), TOP + index * ROW, tuple(segments), text(total),
                        round(x + 5, 2)))
    ticks = tuple(Tick(round(left + i * step * scale, 2), short(text(i * step)))
                  for i in range(round(end / step) + 1))
    seen = {part for _, parts in rows for part, value in parts.items() if value > 0}
    legend = tuple((part, fill) for part, fill in color.items() if part in seen)
    return Chart(title, tuple(bars), ticks, round(left, 2), TOP + len(rows) * ROW,
                 legend=legend if len(legend) > 1 else ())


def name_room(names: Sequence[str], letters: int) -> float:
    """Room for the names of bars, each cut short after so many letters."""
    # Short names may be of wide letters alone.
    longest = max((len(shown_name(name, letters)) for name in names), default=0)
    return min(6.0 * letters + 18.0, longest * LETTER + 20)


def shown_name(name: str, letters: int = 22) -> str:
    """A name, cut short where it has more letters than that."""
    return name if len(name) <= letters else name[:letters - 1] + "…"


def tick_step(end: float, wanted: int = 4) -> float:
    """A step of 1, 2, 2.5 or 5 times a power of ten that makes about `wanted` ticks up to `end`."""
    rough = end / wanted
    power: float = 10.0 ** floor(log10(rough))
    return next((f * power for f in (1, 2, 2.5, 5) if f * power >= rough * 0.999), 10 * power)
