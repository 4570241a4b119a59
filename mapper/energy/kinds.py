"""Surfaces of every kind of array, from rows of CACTI output."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from typing import Any, Mapping, NamedTuple

import numpy as np

from .surface import EXTRAPOLATED, Array, Axes, Region, Surface, fitted, spread

_FULL = 40          # rows from which on a kind has a surface of its own; fewer correct that of others
_LEAKAGE, _AREA = 2, 3      # columns of `Figures`


class Figures(NamedTuple):
    """What is tabulated for an array: pJ an access, mW, um^2. Floats, or arrays of one shape."""

    read_pj: Any
    write_pj: Any
    leakage_mw: Any
    area_um2: Any


class Kind(NamedTuple):
    """Arrays that may be interpolated between: all but depth and width fixed."""

    node_nm: float
    cell: str
    ports: str = "1RW"
    banks: int = 1

    def __str__(self) -> str:
        banks = f" {self.banks} banks" if self.banks > 1 else ""
        return f"{self.node_nm:g}nm {self.cell} {self.ports}{banks}"


class Kinds:
    """Surfaces by kind, each made when it is first asked for.

    Parameters
    ----------
    rows
        Figures by kind and by (width in bits, bits of the array). Leakage is that of one bank, and of
        the wires between banks.
    """

    def __init__(self, rows: Mapping[Kind, Mapping[tuple[float, float], Figures]]) -> None:
        self.rows = rows
        self._axes = _axes([array for known in rows.values() for array in known])
        self._surfaces: dict[tuple[Kind, bool], Surface] = {}

    def surface(self, kind: Kind, monotone: bool = False) -> Surface:
        """The figures of a kind over depth and width. ValueError when the table does not cover it."""
        known = self._surfaces.get((kind, monotone))
        if known is None:
            if monotone:
                known = self.surface(kind).monotone()
            elif kind.ports == "1RW" and kind.banks == 1:
                known = self._plain(kind)
            else:
                known = self._variant(kind)
            self._surfaces[kind, monotone] = known
        return known

    def exact(self, kind: Kind) -> bool:
        """Whether the surface of a kind goes through rows of its own."""
        return len(self.rows.get(kind, ())) >= _FULL or (kind in self.rows and kind[2:] != ("1RW", 1))

    def _plain(self, kind: Kind) -> Surface:
        """One port and one bank: rows of its own, or those of the nodes on either side."""
        nodes = [k.node_nm for k in self._alike(kind)]
        full = [n for n in nodes if self.exact(kind._replace(node_nm=n))]
        if kind.node_nm in full:
            points, logs, region = self._points(kind)
            return fitted(self._axes, points, logs, region)
        if not full or not full[0] < kind.node_nm < full[-1]:
            raise ValueError(self._missing(kind))
        if kind not in self.rows:
            return self._between(kind, nodes)
        # The few rows of the node say how far it lies off its neighbours; the partitions in which single
        # arrays differ say nothing about others, and so the median counts.
        points, logs, _ = self._points(kind)
        surface = self._between(kind, full)
        shift = np.median(logs - surface.logs(points[:, 0], points[:, 1]), axis=0)
        return replace(surface, values=surface.values + shift,
                       note=f"{surface.note} and corrected by {len(points)} rows")

    def _between(self, kind: Kind, nodes: list[float]) -> Surface:
        """Between the next two nodes: figures by log of the node, leakage (mW) by the node itself."""
        low = max(n for n in nodes if n < kind.node_nm)
        high = min(n for n in nodes if n > kind.node_nm)
        below, above = (self.surface(kind._replace(node_nm=n)) for n in (low, high))
        share = log2(kind.node_nm / low) / log2(high / low)
        values = below.values * (1 - share) + above.values * share
        share = (kind.node_nm - low) / (high - low)
        values[..., _LEAKAGE] = np.log(np.exp(below.values[..., _LEAKAGE]) * (1 - share)
                                       + np.exp(above.values[..., _LEAKAGE]) * share)
        return Surface(self._axes, values, below.region, f" scaled from {low:g}nm and {high:g}nm")

    def _variant(self, kind: Kind) -> Surface:
        """Other ports or several banks; at a node without rows, what they cost elsewhere relative to one."""
        if kind in self.rows:
            return self._banked(kind) if kind.banks > 1 else self._ported(kind)
        nodes = [k.node_nm for k in self._alike(kind)]
        if not nodes:
            raise ValueError(self._missing(kind))
        plain = self.surface(Kind(kind.node_nm, kind.cell))
        near = sorted({max([n for n in nodes if n < kind.node_nm], default=nodes[0]),
                       min([n for n in nodes if n > kind.node_nm], default=nodes[-1])})
        share = 0.0 if len(near) == 1 else log2(kind.node_nm / near[0]) / log2(near[1] / near[0])
        ratios = [self.surface(kind._replace(node_nm=n)).values - self.surface(Kind(n, kind.cell)).values
                  for n in near]
        return Surface(self._axes, plain.values + ratios[0] * (1 - share) + ratios[-1] * share,
                       self.surface(kind._replace(node_nm=near[0])).region,
                       f"{plain.note}, ports and banks as at {' and '.join(f'{n:g}nm' for n in near)}")

    def _ported(self, kind: Kind) -> Surface:
        """What one port costs, times what the rows of this kind cost relative to it."""
        plain = self.surface(Kind(kind.node_nm, kind.cell))
        points, logs, region = self._points(kind)
        ratio = spread(self._axes, _lines(points, logs - plain.logs(points[:, 0], points[:, 1])))
        return Surface(self._axes, plain.values + ratio, region)

    def _banked(self, kind: Kind) -> Surface:
        """One bank, plus a term for the wires between banks, times what the rows cost relative to that.

        The wires are as long as the side of the array and as many as a row has bits, so the term is
        width x sqrt(area of the banks) x a figure fitted to the rows, for each quantity. Leakage
        becomes that of all banks.
        """
        plain = self.surface(Kind(kind.node_nm, kind.cell))
        points, logs, region = self._points(kind)
        banks, length = _banks_and_wires(plain, points[:, 0], points[:, 1], kind.banks)
        share = length / np.exp(logs)       # least squares of the relative error
        wires = np.maximum(np.sum((1 - banks / np.exp(logs)) * share, axis=0) / np.sum(share**2, axis=0), 0.0)
        ratio = spread(self._axes, _lines(points, logs - np.log(banks + wires * length)))
        depths, widths = np.meshgrid(*self._axes, indexing="ij")
        banks, length = _banks_and_wires(plain, depths, widths, kind.banks)
        figures = (banks + wires * length) * np.exp(ratio)
        figures[..., _LEAKAGE] += (kind.banks - 1) * banks[..., _LEAKAGE]
        return Surface(self._axes, np.log(figures), region)

    def _points(self, kind: Kind) -> tuple[Array, Array, Region]:
        """log2 depths and widths of the rows of a kind (n, 2), their log figures, and where they lie."""
        rows = self.rows[kind]
        points = np.array([(log2(bits / width), log2(width)) for width, bits in rows])
        sizes = points.sum(axis=1)
        region = Region(points[:, 0].min(), sizes.min(), sizes.max(), points[:, 1].min(), points[:, 1].max())
        return points, np.log(np.array(list(rows.values()))), region

    def _alike(self, kind: Kind) -> list[Kind]:
        """Kinds that differ from this one by the node at most, by rising node."""
        return [k for k in sorted(self.rows) if k[1:] == kind[1:]]

    def _missing(self, kind: Kind) -> str:
        cells = sorted({k.cell for k in self.rows})
        if kind.cell not in cells:
            return f"no {kind} array; known are the cells {', '.join(cells)}"
        variants = dict.fromkeys(str(k).split(" ", 2)[2] for k in sorted(self.rows) if k.cell == kind.cell)
        nodes = [k.node_nm for k in self._alike(kind._replace(ports="1RW", banks=1))]
        return (f"no {kind} array; known are {kind.cell} from {nodes[0]:g}nm to {nodes[-1]:g}nm with "
                f"{', '.join(variants)}")


def _axes(arrays: list[tuple[float, float]]) -> Axes:
    """Depths and widths of all rows, so that a surface meets them, and steps in between and beyond."""
    depths = [log2(bits / width) for width, bits in arrays]
    widths = [log2(width) for width, _ in arrays]
    deepest = max(depths) + EXTRAPOLATED
    return Axes(_merged(depths, np.arange(min(depths), deepest + 0.5, 0.5)),
                _merged(widths, np.arange(min(widths), max(widths), 0.25)))


def _merged(points: list[float], steps: Array) -> Array:
    """The points, and those steps that are none of them."""
    known = np.unique(points)
    return np.union1d(known, [x for x in steps if np.abs(known - x).min() > 1e-9])


def _lines(points: Array, values: Array) -> dict[float, tuple[Array, Array]]:
    """Rising depths and their values (n, figures), by width."""
    lines = {}
    for width in np.unique(points[:, 1]):
        own = np.flatnonzero(points[:, 1] == width)
        own = own[np.argsort(points[own, 0])]
        lines[float(width)] = points[own, 0], values[own]
    return lines


def _banks_and_wires(plain: Surface, depths: Array, widths: Array, banks: int) -> tuple[Array, Array]:
    """Figures of one bank, but the area of all, and bits of a row times the side of that area (um)."""
    figures = np.exp(plain.logs(depths - log2(banks), widths))
    figures[..., _AREA] *= banks
    return figures, (np.exp2(widths) * np.sqrt(figures[..., _AREA]))[..., None]
