"""Surfaces of every kind of array, from rows of CACTI output."""

from __future__ import annotations

from dataclasses import replace
from math import log2
from typing import Any, Callable, Mapping, NamedTuple

import numpy as np

from .organisation import LEAKAGE, Built, Census, Organisation, Partition, expected
from .surface import EXTRAPOLATED, Array, Axes, LogFigures, Region, Surface, sampled, spline

_FULL = 40          # rows from which on a kind has a surface of its own; fewer correct that of others
_STEPS = 8          # samples of a surface for each octave of depth and of width
_BYTE = 8


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


class Row(NamedTuple):
    """A tabulated array. Leakage is that of one bank and of the wires between banks."""

    figures: Figures
    partition: Partition | None = None


#: Log quantities (n, 5) of arrays by how they are partitioned.
Costs = Callable[[Built], Array]
#: The arrays of a kind by width in bits and bits in all.
Rows = Mapping[tuple[float, float], Row]


class Kinds:
    """Surfaces by kind, each made when it is first asked for.

    Parameters
    ----------
    rows
        Tabulated arrays by kind.
    organisations
        What partitions cost, by kind; those of several banks under the number 2. A kind without one is
        a spline through its rows.
    """

    def __init__(self, rows: Mapping[Kind, Rows],
                 organisations: Mapping[Kind, Organisation] | None = None) -> None:
        self.rows = rows
        self._organisations = organisations or {}
        self._census: Census | None = None
        self._surfaces: dict[tuple[Kind, bool], Surface] = {}

    def surface(self, kind: Kind, monotone: bool = False) -> Surface:
        """The figures of a kind over depth and width. ValueError when the table does not cover it."""
        known = self._surfaces.get((kind, monotone))
        if known is None:
            if monotone:
                known = self.surface(kind).monotone()
            elif self.exact(kind):
                known = self._own(kind)
            elif kind.ports == "1RW" and kind.banks == 1:
                known = self._between(kind)
            else:
                known = self._as_elsewhere(kind)
            self._surfaces[kind, monotone] = known
        return known

    def exact(self, kind: Kind) -> bool:
        """Whether the surface of a kind goes through rows of its own."""
        return len(self.rows.get(kind, ())) >= _FULL or (kind in self.rows and kind[2:] != ("1RW", 1))

    def _own(self, kind: Kind) -> Surface:
        """The surface through the rows of a kind, whose leakage becomes that of all banks."""
        points, logs, region = self._points(kind)
        costs, octaves = self._costs(kind), log2(kind.banks)
        if costs is None:
            reach, figures = region, spline(points, logs)
        else:
            plain = self._points(Kind(kind.node_nm, kind.cell))[2]
            reach = Region(plain.min_depth + octaves, plain.min_bits + octaves, region.max_bits,
                           plain.min_width, plain.max_width)
            model = self._modelled(costs, kind.banks)
            miss = spline(points, self._misses(kind, costs), plane=False)
            figures = _meeting(points, logs, lambda at: model(at) + miss(at))
        axes = _axes(reach, points)
        values = sampled(axes, reach, figures).values
        if kind.banks > 1:
            one = self.surface(Kind(kind.node_nm, kind.cell))
            bank = one.logs(axes.depths[:, None] - octaves, axes.widths)[..., LEAKAGE]
            values[..., LEAKAGE] = np.log(np.exp(values[..., LEAKAGE]) + (kind.banks - 1) * np.exp(bank))
        return Surface(axes, values, reach._replace(min_width=region.min_width, max_width=region.max_width))

    def _between(self, kind: Kind) -> Surface:
        """One port and bank at a node without rows, or with few: what there is on either side of it."""
        low, high = self._sides(kind)
        full = next(k for k in self._alike(kind) if self.exact(k))
        region, note = self._points(full)[2], f" scaled from {low.node_nm:g}nm and {high.node_nm:g}nm"
        costs = self._costs(kind)
        if costs is None:
            logs = _mixed(kind, low, high, self.surface(low).logs, self.surface(high).logs)
            return replace(sampled(_axes(region), region, lambda at: logs(at[:, 0], at[:, 1])), note=note)
        if kind in self.rows:
            note += f" and corrected by {len(self.rows[kind])} rows"
        return replace(sampled(_axes(region), region, self._modelled(costs)), note=note)

    def _as_elsewhere(self, kind: Kind) -> Surface:
        """Other ports or several banks at a node without rows: what they cost elsewhere relative to one."""
        nodes = [k.node_nm for k in self._alike(kind)]
        if not nodes:
            raise ValueError(self._missing(kind))
        plain = self.surface(Kind(kind.node_nm, kind.cell))
        near = sorted({max([n for n in nodes if n < kind.node_nm], default=nodes[0]),
                       min([n for n in nodes if n > kind.node_nm], default=nodes[-1])})
        share = 0.0 if len(near) == 1 else log2(kind.node_nm / near[0]) / log2(near[1] / near[0])
        where = plain.axes.depths[:, None], plain.axes.widths
        ratios = [self.surface(kind._replace(node_nm=n)).logs(*where)
                  - self.surface(Kind(n, kind.cell)).logs(*where) for n in near]
        return Surface(plain.axes, plain.values + ratios[0] * (1 - share) + ratios[-1] * share,
                       self.surface(kind._replace(node_nm=near[0])).region,
                       f"{plain.note}, ports and banks as at {' and '.join(f'{n:g}nm' for n in near)}")

    def _modelled(self, costs: Costs, banks: int = 1) -> LogFigures:
        """Expected figures over the partitions that `costs` prices."""
        census = self._census = self._census or self._counted()

        def logs(points: Array) -> Array:
            point, built, prior = census.candidates(points - (log2(banks), 0.0))
            return expected(point, costs(built), prior)

        return logs

    def _costs(self, kind: Kind) -> Costs | None:
        """What partitions of a kind cost, if that is known of it or of the nodes on either side."""
        known = self._organisations.get(kind._replace(banks=min(kind.banks, 2)))
        if known or self.exact(kind):
            return replace(known, banks=kind.banks).logs if known else None
        low, high = self._sides(kind)
        below, above = self._costs(low), self._costs(high)
        if below is None or above is None:
            return None
        costs = _mixed(kind, low, high, below, above)
        if kind not in self.rows:
            return costs
        # The few rows of the node say how far it lies off its neighbours, whatever the shape.
        shift = np.append(np.median(self._misses(kind, costs), axis=0), 0.0)
        return lambda built: costs(built) + shift

    def _sides(self, kind: Kind) -> tuple[Kind, Kind]:
        """The next kinds by node; for one with few rows of its own, the next with many."""
        alike = [k for k in self._alike(kind) if kind not in self.rows or self.exact(k)]
        if not alike or not alike[0].node_nm < kind.node_nm < alike[-1].node_nm:
            raise ValueError(self._missing(kind))
        return (max(k for k in alike if k.node_nm < kind.node_nm),
                min(k for k in alike if k.node_nm > kind.node_nm))

    def _misses(self, kind: Kind, costs: Costs) -> Array:
        """Log figures of the rows of a kind over what `costs` says of them, each as it is partitioned."""
        points, logs, _ = self._points(kind)
        partitions = np.array([row.partition for row in self.rows[kind].values()], dtype=float)
        built = Built.of(np.exp2(points[:, 0]) / kind.banks, np.exp2(points[:, 1]), partitions)
        return logs - costs(built)[:, :logs.shape[1]]

    def _counted(self) -> Census:
        """Of all rows whose partition is known, by the shape of a bank."""
        shapes, partitions = [], []
        for kind, rows in self.rows.items():
            for (width, bits), row in rows.items():
                if row.partition is not None:
                    shapes.append((log2(bits / width / kind.banks), log2(width)))
                    partitions.append(row.partition)
        return Census(np.array(shapes), partitions)

    def _points(self, kind: Kind) -> tuple[Array, Array, Region]:
        """log2 depths and widths of the rows of a kind (n, 2), their log figures, and where they lie."""
        rows = self.rows[kind]
        points = np.array([(log2(bits / width), log2(width)) for width, bits in rows])
        sizes = points.sum(axis=1)
        region = Region(points[:, 0].min(), sizes.min(), sizes.max(), points[:, 1].min(), points[:, 1].max())
        return points, np.log(np.array([row.figures for row in rows.values()])), region

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


def _meeting(points: Array, logs: Array, model: LogFigures) -> LogFigures:
    """`model`, but `logs` at `points`: as CACTI has them, whichever partition is likely."""
    known = {(depth, width): i for i, (depth, width) in enumerate(np.round(points, 9).tolist())}

    def meeting(at: Array) -> Array:
        found = model(at)
        row = np.array([known.get((depth, width), -1) for depth, width in np.round(at, 9).tolist()])
        found[row >= 0] = logs[row[row >= 0]]
        return found

    return meeting


def _mixed(kind: Kind, low: Kind, high: Kind, below: Callable[..., Array],
           above: Callable[..., Array]) -> Callable[..., Array]:
    """Log figures of a kind between two others: by the log of the node, leakage (mW) by the node itself."""
    share = log2(kind.node_nm / low.node_nm) / log2(high.node_nm / low.node_nm)
    linear = (kind.node_nm - low.node_nm) / (high.node_nm - low.node_nm)

    def logs(*where: Any) -> Array:
        first, second = below(*where), above(*where)
        mixed = first * (1 - share) + second * share
        mixed[..., LEAKAGE] = np.logaddexp(first[..., LEAKAGE] + np.log(1 - linear),
                                           second[..., LEAKAGE] + np.log(linear))
        return np.asarray(mixed)

    return logs


def _axes(region: Region, points: Array | None = None) -> Axes:
    """Depths and widths of the rows, so that a surface meets them, and steps in between and beyond."""
    points = np.empty((0, 2)) if points is None else points
    deepest = region.max_bits - region.min_width + EXTRAPOLATED
    depths = np.exp2(np.arange(region.min_depth, deepest + 0.1, 1 / _STEPS))
    widths = np.exp2(np.arange(region.min_width, region.max_width + 0.1, 1 / _STEPS))
    return Axes(_merged(points[:, 0], np.log2(np.unique(np.round(depths)))),
                _merged(points[:, 1], np.log2(np.unique(np.round(widths / _BYTE)) * _BYTE)))


def _merged(points: Array, steps: Array) -> Array:
    """The points, and those steps that are not close to one."""
    known = np.unique(np.round(points, 12))
    gap = np.abs(known[:, None] - steps).min(axis=0, initial=np.inf)
    return np.union1d(known, steps[gap > 0.4 / _STEPS])
