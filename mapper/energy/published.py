"""`UnitTable`: published figures of units that are no arrays, and `Scaling` of them to other nodes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, log2
from typing import Iterable, Mapping

from ..hardware.architecture import Basis, Figure

#: How far beyond the narrowest and the widest row of a unit its width may lie.
_BEYOND = 8.0


@dataclass(frozen=True)
class Row:
    """One row of components.csv: the figures of a unit of `bits` bits; None where its source has none."""

    name: str
    node_nm: float | None       # None: the same at every node
    bits: int
    energy_pj: float
    area_um2: float | None
    leakage_mw: float | None
    basis: str                  # published, derived or recalled
    source: str


@dataclass(frozen=True)
class Unit:
    """Figures of one unit at some node: pJ an action, um^2, mW, and what to know of them."""

    energy: Figure
    area: Figure | None
    leakage: Figure | None
    warnings: tuple[str, ...] = ()


class Scaling:
    """Energy and area of logic at one node relative to another. There is none for leakage, which follows no
    rule that holds from node to node."""

    def __init__(self, factors: Mapping[float, tuple[float, float]]) -> None:
        self._factors = dict(sorted(factors.items()))

    @property
    def nodes(self) -> tuple[float, float]:
        """The first and the last node, nm."""
        return min(self._factors), max(self._factors)

    def between(self, from_nm: float, to_nm: float) -> tuple[float, float]:
        """Factors on energy and on area; ValueError for a node beyond the table."""
        if from_nm == to_nm:
            return 1.0, 1.0
        (energy, area), (energy_from, area_from) = self._at(to_nm), self._at(from_nm)
        return energy / energy_from, area / area_from

    def _at(self, node_nm: float) -> tuple[float, float]:
        """Relative to no node in particular; between rows by the logs."""
        low = max((n for n in self._factors if n <= node_nm), default=None)
        high = min((n for n in self._factors if n >= node_nm), default=None)
        if low is None or high is None:
            first, last = self.nodes
            raise ValueError(f"no figures at {node_nm:g}nm: scaling.csv has {first:g}nm to {last:g}nm")
        share = 0.0 if low == high else log2(node_nm / low) / log2(high / low)
        energy, area = (a * (b / a) ** share
                        for a, b in zip(self._factors[low], self._factors[high], strict=True))
        return energy, area


class UnitTable:
    """Rows of components.csv by name, width and node."""

    def __init__(self, rows: Iterable[Row], scaling: Scaling) -> None:
        self.rows = tuple(rows)
        self.scaling = scaling

    def names(self, prefix: str) -> tuple[str, ...]:
        """What follows `prefix` in the names of rows."""
        return tuple(row.name.removeprefix(prefix) for row in self.rows if row.name.startswith(prefix))

    def unit(self, name: str, bits: float, node_nm: float | None, *, linear: bool = False,
             square: bool = False) -> Unit:
        """The unit `name` of `bits` bits.

        Parameters
        ----------
        linear
            Every bit costs the same, as in a register; of such units the narrowest row counts. Otherwise
            widths between rows are interpolated over the logs, and a few beyond extrapolated.
        square
            Likewise, but it grows with the square of the width, as a multiplier.

        Raises
        ------
        ValueError
            No such unit, a width far beyond the rows, or a node to which nothing can be scaled.
        """
        known = {row.bits: row for row in self.rows if row.name == name}
        if not known:
            raise ValueError(f"components.csv has no {name}")
        if linear or square:
            row = known[min(known)]
            share = (bits / row.bits) ** (2 if square else 1)
            return self._scaled(_times(row, share), _row_basis(row), row, node_nm, bits)
        if bits in known:
            row = known[int(bits)]
            return self._scaled((row.energy_pj, row.area_um2, row.leakage_mw), _row_basis(row), row,
                                node_nm, bits)
        widths = sorted(known)
        low = max((w for w in widths if w <= bits), default=widths[0])
        inside = widths[0] < bits < widths[-1]
        start = min(widths.index(low), len(widths) - 2)
        if len(widths) < 2 or not widths[0] / _BEYOND <= bits <= widths[-1] * _BEYOND:
            raise ValueError(f"components.csv has no {name} of {bits:g} bits; it has "
                             f"{', '.join(map(str, widths))}, and goes as far as {_BEYOND:g} times that")
        a, b = known[widths[start]], known[widths[start + 1]]
        return self._scaled(_between(a, b, bits), "interpolated" if inside else "extrapolated", a, node_nm,
                            bits, f" from {a.bits} and {b.bits} bits")

    def _scaled(self, figures: tuple[float, float | None, float | None], basis: Basis, row: Row,
                node_nm: float | None, bits: float, how: str = "") -> Unit:
        energy, area, leakage = figures
        what = f"components.csv {row.name} {bits:g} bits{f', {basis}{how}' if how else ''}"
        origin = f"{'recalled: ' if row.basis == 'recalled' else ''}{row.source}"
        warnings = [f"{row.name} of {bits:g} bits lies beyond the table"] if basis == "extrapolated" else []
        if row.basis == "recalled":
            warnings.append(f"{row.name}: the figure is recalled, not checked against its publication")
        if row.node_nm is None or node_nm is None or row.node_nm == node_nm:
            source = f"{what}{f' at {row.node_nm:g}nm' if row.node_nm else ''} ({origin})"
            return Unit(Figure(energy, source, basis), _maybe(area, source, basis),
                        _maybe(leakage, source, basis), tuple(warnings))
        by_energy, by_area = self.scaling.between(row.node_nm, node_nm)
        source = f"{what} at {node_nm:g}nm scaled from {row.node_nm:g}nm ({origin})"
        warnings.append(f"logic is scaled from {row.node_nm:g}nm to {node_nm:g}nm, each at its nominal "
                        "supply; its leakage there is unknown")
        whole: Basis = "extrapolated" if basis == "extrapolated" else "scaled"
        return Unit(Figure(energy * by_energy, source, whole),
                    _maybe(area, source, whole, by_area), None, tuple(warnings))


def _row_basis(row: Row) -> Basis:
    return "derived" if row.basis == "derived" else "published"


def _times(row: Row, share: float) -> tuple[float, float | None, float | None]:
    area, leakage = (None if x is None else x * share for x in (row.area_um2, row.leakage_mw))
    return row.energy_pj * share, area, leakage


def _between(a: Row, b: Row, bits: float) -> tuple[float, float | None, float | None]:
    share = log(bits / a.bits) / log(b.bits / a.bits)

    def at(low: float | None, high: float | None) -> float | None:
        return None if low is None or high is None else low * (high / low) ** share
    return (a.energy_pj * (b.energy_pj / a.energy_pj) ** share, at(a.area_um2, b.area_um2),
            at(a.leakage_mw, b.leakage_mw))


def _maybe(value: float | None, source: str, basis: Basis, factor: float = 1.0) -> Figure | None:
    return None if value is None else Figure(value * factor, source, basis)
