"""`EnergyTable`: what one access, operation or bit costs, and where the figure comes from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import log2
from typing import Iterable, Mapping

from ..hardware.architecture import Figure
from .sram import Kind, Memory, SramTable, geometric

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
    """Figures of SRAM arrays, register files, arithmetic and DRAM.

    Every method raises ValueError, with what is known, for what the tables do not cover.

    >>> glb = EnergyTable.default().sram(bits=64 * 1024 * 8, width=64, node_nm=45)
    >>> glb.read_pj, glb.provenance
    (25.8695, 'sram.csv 45nm itrs-lstp 1RW, depth 8192 width 64')
    """

    def __init__(self, srams: SramTable, components: Iterable[Component],
                 scaling: Mapping[float, tuple[float, float]]) -> None:
        self.srams = srams
        self.components = tuple(components)
        self.scaling = dict(scaling)        # node in nm -> (energy, area), relative to each other

    @classmethod
    def default(cls) -> EnergyTable:
        """The tables that come with tilebound (arch/tables)."""
        return _shipped()

    def sram(self, *, bits: int, width: int, node_nm: float, cell: str = "itrs-lstp",
             ports: str = "1RW", banks: int = 1) -> Memory:
        """An SRAM array of `bits` bits in rows of `width` bits."""
        return self.srams.lookup(bits / width, width, Kind(node_nm, cell, ports, banks))

    def regfile(self, *, bits: int, width: int, node_nm: float, cell: str = "itrs-lstp") -> Memory:
        """A register file of `bits` bits in rows of `width` bits.

        From 64 rows on it is a small SRAM. Below, it is made of registers: area and leakage are
        theirs; the energy of an access lies between that of a single row of registers and that of
        an SRAM of 64 rows, interpolated over log2 of the depth.
        """
        depth = bits / width
        if depth >= SMALLEST_SRAM:
            return self.sram(bits=bits, width=width, node_nm=node_nm, cell=cell)
        if depth < 1:
            raise ValueError(f"{bits} bits do not hold one row of {width} bits")
        bit = self._component("register", 1)
        energy, area = self._scale(bit, node_nm)
        row_pj = bit.energy_pj * energy * width
        read = write = row_pj
        text = f"components.csv register {width} bits at {node_nm:g}nm ({bit.source})"
        if depth > 1:
            array = self.sram(bits=SMALLEST_SRAM * width, width=width, node_nm=node_nm, cell=cell)
            share = log2(depth) / log2(SMALLEST_SRAM)
            read, write = geometric(row_pj, array.read_pj, share), geometric(row_pj, array.write_pj, share)
            text = f"interpolated depth {depth:g} between {text} and {array.provenance}"
        return Memory(read, write, bit.leakage_mw * energy * bits, bit.area_um2 * area * bits, text)

    def mac(self, *, bits: int, node_nm: float, number: str = "int") -> Operation:
        """A multiply-accumulate unit for operands of `bits` bits; `number` is "int" or "fp"."""
        unit = self._component(f"{number}_mac", bits)
        energy, area = self._scale(unit, node_nm)
        source = f"components.csv {unit.name} {bits} bits at {node_nm:g}nm ({unit.source})"
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
        for node in (component.node_nm, node_nm):
            if node not in self.scaling:
                known = ", ".join(f"{n:g}nm" for n in self.scaling)
                raise ValueError(f"no figures for {component.name} at {node:g}nm: scaling.csv has {known}")
        (energy, area), (energy_from, area_from) = self.scaling[node_nm], self.scaling[component.node_nm]
        return energy / energy_from, area / area_from


@cache
def _shipped() -> EnergyTable:
    def number(text: str) -> float:
        return float(text or 0)

    components = [
        Component(r["component"], float(r["node_nm"]) if r["node_nm"] else None, int(r["bits"]),
                  number(r["energy_pj"]), number(r["area_um2"]), number(r["leakage_mw"]), r["source"])
        for r in _rows("components.csv")]
    scaling = {float(r["node_nm"]): (float(r["energy"]), float(r["area"])) for r in _rows("scaling.csv")}
    return EnergyTable(SramTable(_rows("sram.csv")), components, scaling)


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.upper(), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _rows(name: str) -> list[dict[str, str]]:
    """Rows of a table in arch/tables; lines that begin with # are comments."""
    text = (resources.files("tilebound.library.arch") / "tables" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
