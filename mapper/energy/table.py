"""`EnergyTable`: what one access, operation or bit costs, and where the figure comes from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import log2
from typing import TYPE_CHECKING, Iterable, Mapping

from ..hardware.architecture import Figure
from .kinds import Figures, Kind
from .sram import STRIPE, Memory, SramTable
from .wires import ChipTable, MainMemory, Wire, WireTable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Rows from which on a register file is a small SRAM; below it is made of registers. CACTI builds
#: arrays of 64 rows at every tabulated width.
SMALLEST_SRAM = 64


@dataclass(frozen=True)
class Component:
    """One row of components.csv: the figures of a unit of `bits` bits."""

    name: str
    node_nm: float | None       # None: the same at every node
    bits: int
    energy_pj: float
    area_um2: float
    leakage_mw: float
    source: str


@dataclass(frozen=True)
class Operation:
    """An arithmetic unit: pJ an operation, um^2 a unit."""

    energy: Figure
    area: Figure


class EnergyTable:
    """Figures of memory arrays, register files, arithmetic, wires and DRAM.

    Every method raises ValueError, with what is known, for what the tables do not cover. docs/energy.md
    says how far the figures of arrays are from CACTI's own.

    >>> glb = EnergyTable.default().sram(bits=64 * 1024 * 8, width=64, node_nm=45)
    >>> glb.read_pj, glb.provenance
    (25.8695, 'sram.csv 45nm itrs-lstp 1RW, table row depth 8192 width 64')
    """

    def __init__(self, srams: SramTable, components: Iterable[Component],
                 scaling: Mapping[float, tuple[float, float]], wires: WireTable | None = None,
                 chips: ChipTable | None = None, *, monotone: bool = False) -> None:
        self.srams = srams
        self.components = tuple(components)
        self.scaling = dict(sorted(scaling.items()))    # node in nm -> (energy, area), relative to each other
        self.wires = wires or WireTable([])
        self.chips = chips or ChipTable([])
        self.monotone = monotone

    @classmethod
    def default(cls, *, monotone: bool = False) -> EnergyTable:
        """The tables that come with tilebound (arch/tables).

        With `monotone`, the arrays are smoothed: more rows or wider ones never cost less. CACTI itself
        jumps, which a sweep over capacities would take for a gain.
        """
        return _shipped(monotone)

    def sram(self, *, bits: int, width: int, node_nm: float, cell: str = "itrs-lstp", ports: str = "1RW",
             banks: int = 1, monotone: bool | None = None, macro_bits: int | None = None) -> Memory:
        """A memory array of `bits` bits in rows of `width` bits.

        Parameters
        ----------
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
        return self.srams.lookup(
            bits / width, width, Kind(node_nm, cell, ports, banks), macro_bits=macro_bits,
            monotone=self.monotone if monotone is None else monotone)

    def sram_batch(self, *, bits: ArrayLike, width: ArrayLike, node_nm: float, cell: str = "itrs-lstp",
                   ports: str = "1RW", banks: int = 1, monotone: bool | None = None,
                   macro_bits: int | None = None) -> Figures:
        """`sram` for arrays of `bits` and `width`, which broadcast: figures are arrays of that shape."""
        import numpy as np

        widths = np.asarray(width, dtype=float)
        return self.srams.lookup_batch(
            np.asarray(bits, dtype=float) / widths, widths, Kind(node_nm, cell, ports, banks),
            macro_bits=macro_bits, monotone=self.monotone if monotone is None else monotone)

    def wire(self, *, node_nm: float, kind: str = "itrs-hp", overhead_pct: int = 30) -> Wire:
        """A millimetre of a repeated wire, `overhead_pct` slower than the fastest."""
        return self.wires.lookup(node_nm, kind, overhead_pct)

    def main_memory(self, *, capacity_bytes: float, width: int, node_nm: float,
                    page_bits: int = 8192) -> MainMemory:
        """A DRAM chip, action by action, without its input and output."""
        return self.chips.lookup(capacity_bytes, width, node_nm, page_bits)

    def regfile(self, *, bits: int, width: int, node_nm: float, cell: str = "itrs-lstp") -> Memory:
        """A register file of `bits` bits in rows of `width` bits.

        From 64 rows on it is a small SRAM. Below, it is made of registers: area and leakage are
        theirs; the energy of an access lies between that of a single row of registers and that of
        an SRAM of 64 rows, interpolated over log2 of the depth. Rows of more than 512 bits are cut
        into arrays side by side.
        """
        depth = bits / width
        if depth >= SMALLEST_SRAM:
            return self.sram(bits=bits, width=width, node_nm=node_nm, cell=cell, macro_bits=STRIPE)
        if depth < 1:
            raise ValueError(f"{bits} bits do not hold one row of {width} bits")
        bit = self._component("register", 1)
        energy, area = self._scale(bit, node_nm)
        row_pj = bit.energy_pj * energy * width
        read = write = row_pj
        text = f"components.csv register {width} bits {_at(bit, node_nm)} ({bit.source})"
        if depth > 1:
            array = self.sram(bits=SMALLEST_SRAM * width, width=width, node_nm=node_nm, cell=cell,
                              macro_bits=STRIPE)
            share = log2(depth) / log2(SMALLEST_SRAM)
            read, write = (_geometric(row_pj, full, share) for full in (array.read_pj, array.write_pj))
            text = f"interpolated depth {depth:g} between {text} and {array.provenance}"
        return Memory(read, write, bit.leakage_mw * energy * bits, bit.area_um2 * area * bits, text)

    def mac(self, *, bits: int, node_nm: float, number: str = "int") -> Operation:
        """A multiply-accumulate unit for operands of `bits` bits; `number` is "int" or "fp"."""
        unit = self._component(f"{number}_mac", bits)
        energy, area = self._scale(unit, node_nm)
        source = f"components.csv {unit.name} {bits} bits {_at(unit, node_nm)} ({unit.source})"
        return Operation(Figure(unit.energy_pj * energy, source), Figure(unit.area_um2 * area, source))

    def dram(self, *, kind: str, width: int) -> Figure:
        """pJ to move `width` bits to or from DRAM of the given `kind`, e.g. "LPDDR4"."""
        known = {name.lower(): name for name in self.dram_kinds}
        if kind.lower() not in known:
            raise ValueError(f"components.csv has no DRAM of type {kind!r}{_hint(kind, known.values())}; "
                             f"it has {', '.join(known.values())}")
        bit = self._component(f"dram_{known[kind.lower()]}", 1)
        return Figure(bit.energy_pj * width, f"components.csv {known[kind.lower()]} {bit.energy_pj:g} pJ/bit "
                                             f"x {width} bits ({bit.source})")

    @property
    def dram_kinds(self) -> tuple[str, ...]:
        """The kinds of DRAM in the table."""
        return tuple(c.name.removeprefix("dram_") for c in self.components if c.name.startswith("dram_"))

    def _component(self, name: str, bits: int) -> Component:
        known = [c for c in self.components if c.name == name]
        for component in known:
            if component.bits == bits:
                return component
        raise ValueError(f"components.csv has no {name} of {bits} bits; "
                         f"it has {', '.join(str(c.bits) for c in known) or 'no ' + name}")

    def _scale(self, component: Component, node_nm: float) -> tuple[float, float]:
        """Factors on energy and area from the node of `component` to `node_nm`."""
        if component.node_nm is None or component.node_nm == node_nm:
            return 1.0, 1.0
        (energy, area), (energy_from, area_from) = self._relative(node_nm), self._relative(component.node_nm)
        return energy / energy_from, area / area_from

    def _relative(self, node_nm: float) -> tuple[float, float]:
        """Energy and area of logic at a node, between the tabulated nodes by the log of the node."""
        low = max((n for n in self.scaling if n <= node_nm), default=None)
        high = min((n for n in self.scaling if n >= node_nm), default=None)
        if low is None or high is None:
            first, last = min(self.scaling), max(self.scaling)
            raise ValueError(f"no figures for logic at {node_nm:g}nm: scaling.csv has {first:g}nm to "
                             f"{last:g}nm")
        share = 0.0 if low == high else log2(node_nm / low) / log2(high / low)
        energy, area = (_geometric(a, b, share)
                        for a, b in zip(self.scaling[low], self.scaling[high], strict=True))
        return energy, area


@cache
def _arrays() -> SramTable:
    return SramTable(_rows("sram.csv"))


@cache
def _shipped(monotone: bool) -> EnergyTable:
    def number(text: str) -> float:
        return float(text or 0)

    components = [
        Component(r["component"], float(r["node_nm"]) if r["node_nm"] else None, int(r["bits"]),
                  number(r["energy_pj"]), number(r["area_um2"]), number(r["leakage_mw"]), r["source"])
        for r in _rows("components.csv")]
    scaling = {float(r["node_nm"]): (float(r["energy"]), float(r["area"])) for r in _rows("scaling.csv")}
    return EnergyTable(_arrays(), components, scaling, WireTable(_rows("wires.csv")),
                       ChipTable(_rows("dram.csv")), monotone=monotone)


def _at(component: Component, node_nm: float) -> str:
    """The node of a figure, and the one that it was scaled from."""
    if component.node_nm in (None, node_nm):
        return f"at {node_nm:g}nm"
    return f"at {node_nm:g}nm scaled from {component.node_nm:g}nm"


def _geometric(a: float, b: float, share: float) -> float:
    """The point that lies `share` of the way from `a` to `b`, on a logarithmic scale."""
    return a * pow(b / a, share)


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.upper(), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _rows(name: str) -> list[dict[str, str]]:
    """Rows of a table in arch/tables; lines that begin with # are comments."""
    text = (resources.files("tilebound.library.arch") / "tables" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
