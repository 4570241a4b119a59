"""`SramTable`: energy, leakage and area of memory arrays, interpolated between rows of CACTI output."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import Mapping, Sequence

import numpy as np

from .kinds import Figures, Kind, Kinds, Row
from .organisation import QUANTITIES, Organisation, Partition
from .surface import EXTRAPOLATED, Array, Region, Surface

#: Widest row (bits) that CACTI was asked for, and of a macro where a wider one is cut into several.
WIDEST, STRIPE = 1024, 512
_FIGURES = ("read_pj", "write_pj", "leak_bank_mw", "area_um2")


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory array. Energies are pJ an access to one whole row; leakage (mW) and area (um^2) are
    of the whole array."""

    read_pj: float
    write_pj: float
    leakage_mw: float
    area_um2: float
    provenance: str


class SramTable:
    """A table of memory arrays.

    Between its rows stands a model of how CACTI partitions arrays, fitted to all rows (`organisation`), and
    corrected so that it meets them; kinds without one are splines over log2 of depth and width. Nodes in
    between are interpolated. docs/energy.md has the errors of all this.

    Parameters
    ----------
    rows
        One mapping a tabulated array with the keys node_nm, cell, ports, banks, width_bits,
        capacity_bytes, read_pj, write_pj, leak_bank_mw (one bank, and the wires between banks),
        area_um2 (a `csv.DictReader` will do); ndwl, ndbl, nspd, ndcm where the partition is known.
    coefficients
        What partitions cost, one mapping a coefficient: node_nm, cell, ports, part ("bank" or "tree"),
        quantity, term, coefficient.
    name
        What provenance texts call the table.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]], coefficients: Sequence[Mapping[str, str]] = (),
                 name: str = "sram.csv") -> None:
        self.name = name
        known: dict[Kind, dict[tuple[float, float], Row]] = {}
        for row in rows:
            kind = Kind(float(row["node_nm"]), row["cell"], row["ports"], int(row["banks"]))
            figures = Figures(*(float(row[key]) for key in _FIGURES))
            partition = Partition(*(int(row[key]) for key in Partition._fields)) if row.get("ndwl") else None
            known.setdefault(kind, {})[int(row["width_bits"]), 8 * int(row["capacity_bytes"])] = Row(
                figures, partition)
        self._rows = known
        self._kinds = Kinds(known, _organisations(coefficients))

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds that there are rows of, in order."""
        return tuple(sorted(self._rows))

    def lookup(self, depth: float, width: int, kind: Kind, *, monotone: bool = False,
               macro_bits: int | None = None) -> Memory:
        """An array of `depth` rows of `width` bits.

        Parameters
        ----------
        monotone
            Take the smoothed table, in which an array never costs less than one with fewer rows or
            narrower ones.
        macro_bits
            Widest row of one macro; a wider one is cut into equal macros side by side. By default
            rows are cut where they are wider than the table goes (1024 bits), into macros of at most
            512 bits; with `monotone`, into a whole or broken number of 1024 bits.

        Raises
        ------
        ValueError
            A kind that the table does not cover, less than one row, or a capacity of more than 16
            times the largest row's.

        >>> from tilebound.energy import EnergyTable
        >>> table = EnergyTable.default().srams
        >>> table.lookup(8192, 64, Kind(45, "itrs-lstp")).read_pj
        25.8695
        """
        arrays, each = _cut(width, monotone, macro_bits)
        row = self._row(kind, depth, each) if not monotone else None
        if row:
            note, basis = "", "table row"
            read, write, leakage, area = row
        else:
            surface = self._surface(kind, monotone)
            x, y = log2(depth) if depth >= 1 else -1.0, log2(each)
            note, basis = surface.note, self._basis(x, y, surface.region)
            read, write, leakage, area = surface.point(x, y)
        text = (f"{self.name} {kind}{note}, {basis} depth {depth:.8g} width {each:.8g}"
                f"{f', {arrays:.4g} side by side' if arrays != 1 else ''}{', smoothed' if monotone else ''}")
        return Memory(arrays * read, arrays * write, arrays * leakage, arrays * area, text)

    def lookup_batch(self, depths: Array, widths: Array, kind: Kind, *, monotone: bool = False,
                     macro_bits: int | None = None) -> Figures:
        """`lookup` of many arrays of one kind: arrays of figures, of the shape of `depths` and `widths`."""
        surface = self._surface(kind, monotone)
        depths, widths = np.broadcast_arrays(np.asarray(depths, float), np.asarray(widths, float))
        arrays, each = _cut_batch(widths, monotone, macro_bits)
        x, y = np.log2(np.maximum(depths, 0.5)), np.log2(each)
        region = surface.region
        past = x + np.maximum(y, region.min_width) > region.max_bits + EXTRAPOLATED
        if np.any(outside := (x < 0) | past):
            first = np.unravel_index(np.argmax(outside), outside.shape)
            self._basis(float(x[first]), float(y[first]), region)
        figures = np.exp(surface.logs(x, y)) * arrays[..., None]
        return Figures(*np.moveaxis(figures, -1, 0))

    def _row(self, kind: Kind, depth: float, width: float) -> Figures | None:
        """The row of an array, if there is one, with the leakage of all banks, whose wires leak once."""
        row = self._rows.get(kind, {}).get((width, depth * width)) if self._kinds.exact(kind) else None
        if row is None or kind.banks == 1:
            return row and row.figures
        bank = self.lookup(depth / kind.banks, int(width), Kind(kind.node_nm, kind.cell))
        return row.figures._replace(leakage_mw=row.figures.leakage_mw + (kind.banks - 1) * bank.leakage_mw)

    def _basis(self, depth: float, width: float, region: Region) -> str:
        """How the figures of an array (log2) that is no row come about."""
        if depth < 0:
            raise ValueError(f"less than one row of {2**width:.8g} bits")
        low, high = region.depths(max(width, region.min_width))
        if depth > high + EXTRAPOLATED:
            raise ValueError(f"{2**depth:.8g} rows of {2**width:.8g} bits: {self.name} has {2**low:.0f} to "
                             f"{2**high:.0f} rows at that width, and goes on to "
                             f"{2**(high + EXTRAPOLATED):.0f}")
        if depth > high or not region.min_width <= width <= region.max_width:
            return "extrapolated"
        return "interpolated" if depth >= low else f"clamped to {2**low:.0f} rows at"

    def _surface(self, kind: Kind, monotone: bool) -> Surface:
        try:
            return self._kinds.surface(kind, monotone)
        except ValueError as error:
            raise ValueError(f"{self.name} has {error}") from None


def _organisations(coefficients: Sequence[Mapping[str, str]]) -> dict[Kind, Organisation]:
    """What partitions cost, by kind; those of several banks under the number 2."""
    parts: dict[tuple[Kind, str], dict[str, dict[str, float]]] = {}
    for row in coefficients:
        kind = Kind(float(row["node_nm"]), row["cell"], row["ports"])
        quantities = parts.setdefault((kind, row["part"]), {name: {} for name in QUANTITIES})
        quantities[row["quantity"]][row["term"]] = float(row["coefficient"])
    found = {kind: Organisation(bank, {}) for (kind, part), bank in parts.items() if part == "bank"}
    return found | {kind._replace(banks=2): Organisation(found[kind].bank, tree, 2)
                    for (kind, part), tree in parts.items() if part == "tree"}


def _cut(width: float, monotone: bool, macro_bits: int | None) -> tuple[float, float]:
    """Macros side by side (a fraction where smoothed), and the bits of a row of each."""
    if width < 1:
        raise ValueError(f"rows of {width:g} bits")
    if monotone:
        arrays = max(width / (macro_bits or WIDEST), 1.0)
    else:
        whole = macro_bits or WIDEST
        arrays = 1.0 if width <= whole else ceil(width / (macro_bits or STRIPE))
    return arrays, width / arrays


def _cut_batch(widths: Array, monotone: bool, macro_bits: int | None) -> tuple[Array, Array]:
    if np.any(widths < 1):
        raise ValueError(f"rows of {widths.min():g} bits")
    if monotone:
        arrays = np.maximum(widths / (macro_bits or WIDEST), 1.0)
    else:
        arrays = np.where(widths <= (macro_bits or WIDEST), 1.0, np.ceil(widths / (macro_bits or STRIPE)))
    return arrays, widths / arrays
