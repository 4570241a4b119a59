"""`EnergyTable`: what one access, operation or bit costs, and where the figure comes from."""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Iterable, Mapping

from .component import Component, Estimate, checked
from .kinds import Figures, Kind
from .published import Row, Scaling, UnitTable
from .registry import Registry, registry
from .sram import Memory, SramTable
from .wires import ChipTable, MainMemory, Wire, WireTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class EnergyTable:
    """Figures of components: `estimate` of any class, and the tables below it.

    Every method raises ValueError, with what is known, for what the tables do not cover. docs/energy.md
    says how far the figures of arrays are from CACTI's own.

    >>> table = EnergyTable.default()
    >>> glb = table.sram(bits=64 * 1024 * 8, width=64, node_nm=45)
    >>> glb.read_pj, glb.provenance
    (25.8695, 'sram.csv 45nm itrs-lstp 1RW, table row depth 8192 width 64')
    >>> table.estimate("intmac", {"bits": 8, "node": "45nm"}).actions["compute"].value
    0.23
    """

    def __init__(self, srams: SramTable, units: UnitTable, wires: WireTable | None = None,
                 chips: ChipTable | None = None, *, components: Iterable[Component] = (),
                 monotone: bool = False) -> None:
        self.srams = srams
        self.units = units
        self.wires = wires or WireTable([])
        self.chips = chips or ChipTable([])
        self.components = tuple(components)
        self.monotone = monotone

    @classmethod
    def default(cls, *, monotone: bool = False, components: Iterable[Component] = ()) -> EnergyTable:
        """The tables that come with tilebound (arch/tables), and `components` of one's own.

        With `monotone`, the arrays are smoothed: more rows or wider ones never cost less. CACTI itself
        jumps, which a sweep over capacities would take for a gain.
        """
        return cls(*_shipped(), components=components, monotone=monotone)

    @property
    def registry(self) -> Registry:
        """The components that `estimate` knows."""
        return registry(self.components)

    def estimate(self, name: str, given: Mapping[str, object]) -> Estimate:
        """What a component of class `name` costs, with parameters as in its documentation.

        Raises
        ------
        ValueError
            A class that means nothing, faults of the parameters (one a line), and what its figures do
            not cover.
        """
        component, fixed = self.registry.named(name)
        return component.estimate(checked(component, {**given, **fixed}), self)

    def sram(self, *, bits: float | None = None, depth: float | None = None, width: int, node_nm: float,
             cell: str = "itrs-lstp", ports: str = "1RW", banks: int = 1, monotone: bool | None = None,
             macro_bits: int | None = None) -> Memory:
        """A memory array of `bits` bits, or of `depth` rows, in rows of `width` bits.

        Parameters
        ----------
        bits, depth
            Exactly one of them: bits of the array in all, or its rows.
        cell
            "itrs-hp", "itrs-lop" or "itrs-lstp" (SRAM), or "lp-dram" (embedded DRAM).
        ports
            Such as "1RW" or "1R1W"; `banks` is a power of two. Either differs from one, not both.
        monotone
            Take the smoothed figures; default as the table was made.
        macro_bits
            Widest row of one macro: wider ones are cut into equal macros side by side. Default: as
            wide as CACTI's own (1024 bits), and macros of at most 512 bits beyond.
        """
        _one_size(bits, depth)
        rows = depth or 0.0 if bits is None else bits / width
        return self.srams.lookup(
            rows, width, Kind(node_nm, cell, ports, banks), macro_bits=macro_bits,
            monotone=self.monotone if monotone is None else monotone)

    def sram_batch(self, *, bits: ArrayLike | None = None, depth: ArrayLike | None = None, width: ArrayLike,
                   node_nm: float, cell: str = "itrs-lstp", ports: str = "1RW", banks: int = 1,
                   monotone: bool | None = None, macro_bits: int | None = None) -> Figures:
        """`sram` for arrays of `bits` or `depth`, and `width`, which broadcast: figures have that shape."""
        import numpy as np

        _one_size(bits, depth)
        widths = np.asarray(width, dtype=float)
        rows = np.asarray(depth if bits is None else bits, dtype=float)
        return self.srams.lookup_batch(
            rows if bits is None else rows / widths, widths, Kind(node_nm, cell, ports, banks),
            macro_bits=macro_bits, monotone=self.monotone if monotone is None else monotone)

    def wire(self, *, node_nm: float, kind: str = "itrs-hp", overhead_pct: int = 30) -> Wire:
        """A millimetre of a repeated wire, `overhead_pct` slower than the fastest."""
        return self.wires.lookup(node_nm, kind, overhead_pct)

    def main_memory(self, *, capacity_bytes: float, width: int, node_nm: float,
                    page_bits: int = 8192) -> MainMemory:
        """A DRAM chip, action by action, without its input and output."""
        return self.chips.lookup(capacity_bytes, width, node_nm, page_bits)


def _one_size(bits: object, depth: object) -> None:
    if (bits is None) == (depth is None):
        raise ValueError("an array is given by its bits or by its depth, exactly one of them")


@cache
def _shipped() -> tuple[SramTable, UnitTable, WireTable, ChipTable]:
    def number(text: str) -> float | None:
        return float(text) if text else None

    units = [Row(r["component"], number(r["node_nm"]), int(r["bits"]), float(r["energy_pj"]),
                 number(r["area_um2"]), number(r["leakage_mw"]), r["basis"], r["source"])
             for r in _rows("components.csv")]
    scaling = Scaling({float(r["node_nm"]): (float(r["energy"]), float(r["area"]))
                       for r in _rows("scaling.csv")})
    arrays = SramTable(_rows("sram.csv"), _rows("organisation.csv"))
    return (arrays, UnitTable(units, scaling), WireTable(_rows("wires.csv")), ChipTable(_rows("dram.csv")))


def _rows(name: str) -> list[dict[str, str]]:
    """Rows of a table in arch/tables; lines that begin with # are comments."""
    text = (resources.files("tilebound.library.arch") / "tables" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
