"""`SramTable`: energy, leakage and area of SRAM arrays, interpolated between rows of CACTI output."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, log2, pow
from typing import Mapping, NamedTuple, Sequence


class Figures(NamedTuple):
    """What is tabulated for one array: pJ an access, mW, um^2."""

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_um2: float


@dataclass(frozen=True)
class Memory:
    """One memory array. Energies are pJ an access to one whole row; leakage (mW) and area (um^2) are
    of the whole array."""

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_um2: float
    provenance: str


class Kind(NamedTuple):
    """Arrays that may be interpolated between: all but depth and width fixed."""

    node_nm: float
    cell: str
    ports: str
    banks: int

    def __str__(self) -> str:
        banks = f" {self.banks} banks" if self.banks > 1 else ""
        return f"{self.node_nm:g}nm {self.cell} {self.ports}{banks}"


class _Line(NamedTuple):
    """The rows of one width, by rising depth."""

    depths: list[int]
    figures: list[Figures]


class SramTable:
    """A table of SRAM arrays.

    Parameters
    ----------
    rows
        One mapping a tabulated array with the keys node_nm, cell, ports, banks, width_bits, depth,
        read_pj, write_pj, leakage_mw, area_um2 (a `csv.DictReader` will do). The depths may differ
        from one width to the next.
    name
        What provenance texts call the table.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], name: str = "sram.csv") -> None:
        self.name = name
        self._lines: dict[Kind, dict[int, _Line]] = {}
        for row in sorted(rows, key=lambda r: (int(r["width_bits"]), int(r["depth"]))):
            kind = Kind(float(row["node_nm"]), row["cell"], row["ports"], int(row["banks"]))
            line = self._lines.setdefault(kind, {}).setdefault(int(row["width_bits"]), _Line([], []))
            line.depths.append(int(row["depth"]))
            line.figures.append(Figures(*(float(row[key]) for key in Figures._fields)))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What the table holds, in order."""
        return tuple(sorted(self._lines))

    def lookup(self, depth: float, width: int, kind: Kind) -> Memory:
        """An array of `depth` rows of `width` bits.

        The logarithm of each figure is interpolated linearly over log2 of the depth and log2 of the
        width, which follows CACTI more closely than capacity and width do. A row wider than the
        widest in the table is cut into equal arrays side by side. ValueError outside the table.

        >>> from tilebound.energy import EnergyTable
        >>> table = EnergyTable.default().srams
        >>> table.lookup(8192, 64, Kind(45, "itrs-lstp", "1RW", 1)).read_pj
        25.8695
        """
        lines = self._lines.get(kind)
        if lines is None:
            known = ", ".join(str(k) for k in self.kinds)
            raise ValueError(f"{self.name} has no {kind} SRAM; it has {known}")
        widths = list(lines)
        arrays = ceil(width / widths[-1])
        if width < widths[0]:
            raise ValueError(f"rows of {width} bits: {self.name} begins at {widths[0]} bits")
        low, high, share = _bracket(widths, width / arrays)
        narrow, wide = (self._at_depth(lines[w], w, depth) for w in (widths[low], widths[high]))
        figures = Figures(*(arrays * x for x in _between(narrow, wide, share)))
        exact = low == high and depth in lines[widths[low]].depths
        return Memory(*figures, provenance=(
            f"{self.name} {kind}, {'' if exact else 'interpolated '}depth {depth:.8g} "
            f"width {width / arrays:.8g}{f', {arrays} side by side' if arrays > 1 else ''}"))

    def _at_depth(self, line: _Line, width: int, depth: float) -> Figures:
        first, last = line.depths[0], line.depths[-1]
        if not first <= depth <= last:
            raise ValueError(f"{depth:.8g} rows of {width} bits: {self.name} has {first} to {last} rows "
                             "at that width")
        low, high, share = _bracket(line.depths, depth)
        return _between(line.figures[low], line.figures[high], share)


def geometric(a: float, b: float, share: float) -> float:
    """The point that lies `share` of the way from `a` to `b`, on a logarithmic scale."""
    return a * pow(b / a, share)


def _between(a: Figures, b: Figures, share: float) -> Figures:
    return Figures(*(geometric(x, y, share) for x, y in zip(a, b, strict=True)))


def _bracket(points: Sequence[int], x: float) -> tuple[int, int, float]:
    """Indices of the rising `points` on either side of `x` (equal on a hit), and where `x` lies
    between them on a logarithmic scale. `x` must be inside their range."""
    high = bisect_left(points, x)
    if points[high] == x:
        return high, high, 0.0
    low = high - 1
    return low, high, log2(x / points[low]) / log2(points[high] / points[low])
