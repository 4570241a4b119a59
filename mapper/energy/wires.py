"""`WireTable` and `ChipTable`: on-chip wires and main memory chips, from rows of CACTI output."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Mapping, Sequence

_CHIP = ("activate_pj", "read_pj", "write_pj", "precharge_pj", "standby_mw", "refresh_mw", "area_um2")
ROW = "table row"
BURST = 8      # words that a chip of the table moves in one access


@dataclass(frozen=True, slots=True)
class Wire:
    """A millimetre of a repeated wire of one bit: pJ a transition, mW of its repeaters, ns."""

    transition_pj: float
    leakage_mw: float
    delay_ns: float
    provenance: str

    def transfer_pj(self, toggling: float = 0.5) -> float:
        """pJ a bit and mm, where that share of the bits differs from the one before."""
        return self.transition_pj * toggling


@dataclass(frozen=True, slots=True)
class MainMemory:
    """A DRAM chip without its input and output: pJ to open and to close a page, pJ a bit read or written
    in an open page, mW of standby (all pages closed) and of refresh, um^2."""

    activate_pj: float
    precharge_pj: float
    read_pj_bit: float
    write_pj_bit: float
    standby_mw: float
    refresh_mw: float
    area_um2: float
    provenance: str

    def access_pj_bit(self, bits_per_page: float, *, write: bool = False) -> float:
        """pJ a bit where so many bits are moved for each page that is opened and closed."""
        moved = self.write_pj_bit if write else self.read_pj_bit
        return moved + (self.activate_pj + self.precharge_pj) / bits_per_page


class WireTable:
    """Repeated wires by node, kind of transistor and delay given up for energy.

    Parameters
    ----------
    rows
        Mappings with the keys node_nm, kind, overhead_pct, delay_ns, dynamic_pj, leakage_mw.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._rows: dict[tuple[str, int], dict[float, tuple[float, ...]]] = {}
        for row in rows:
            nodes = self._rows.setdefault((row["kind"], int(row["overhead_pct"])), {})
            nodes[float(row["node_nm"])] = tuple(
                float(row[key]) for key in ("dynamic_pj", "leakage_mw", "delay_ns"))

    def lookup(self, node_nm: float, kind: str = "itrs-hp", overhead_pct: int = 30) -> Wire:
        """A wire, `overhead_pct` slower than the fastest. ValueError for what the table does not cover.

        >>> from tilebound.energy import EnergyTable
        >>> wire = EnergyTable.default().wire(node_nm=45)
        >>> wire.transition_pj, wire.transfer_pj(0.5)
        (0.249489, 0.1247445)
        """
        lines = self._rows.get((kind, overhead_pct))
        if lines is None:
            known = ", ".join(f"{k} {overhead}%" for k, overhead in sorted(self._rows))
            raise ValueError(f"wires.csv has no {kind} wire of {overhead_pct}% overhead; it has {known}")
        figures, basis = _between(lines, node_nm, "wires.csv", "nm")
        energy, leakage, delay = figures
        return Wire(energy, leakage, delay,
                    f"wires.csv {node_nm:g}nm {kind} {overhead_pct}% overhead, {basis}")


class ChipTable:
    """Main memory chips by node, width, page and capacity.

    Parameters
    ----------
    rows
        Mappings with the keys node_nm, width_bits, page_bits, capacity_bytes, activate_pj, read_pj and
        write_pj (a burst of eight words), precharge_pj, standby_mw, refresh_mw, area_um2.
    """

    def __init__(self, rows: Sequence[Mapping[str, str]]) -> None:
        self._rows: dict[tuple[int, int], dict[float, dict[float, tuple[float, ...]]]] = {}
        for row in rows:
            chip = int(row["width_bits"]), int(row["page_bits"])
            nodes = self._rows.setdefault(chip, {}).setdefault(float(row["node_nm"]), {})
            nodes[float(row["capacity_bytes"])] = tuple(float(row[key]) for key in _CHIP)

    def lookup(self, capacity_bytes: float, width: int, node_nm: float, page_bits: int = 8192) -> MainMemory:
        """A chip of that capacity and width. ValueError for what the table does not cover.

        >>> from tilebound.energy import EnergyTable
        >>> chip = EnergyTable.default().main_memory(capacity_bytes=2**30, width=64, node_nm=45)
        >>> round(chip.read_pj_bit, 2), round(chip.access_pj_bit(512), 2)
        (6.88, 7.75)
        """
        nodes = self._rows.get((width, page_bits))
        if nodes is None:
            known = ", ".join(f"{bits} bits with pages of {page}" for bits, page in sorted(self._rows))
            raise ValueError(f"dram.csv has no chip of {width} bits with pages of {page_bits}; "
                             f"it has {known}")
        chips = {node: _between(sizes, capacity_bytes, "dram.csv", " bytes")
                 for node, sizes in nodes.items()}
        figures, basis = _between({node: chip[0] for node, chip in chips.items()}, node_nm, "dram.csv", "nm")
        size = next(iter(chips.values()))[1]
        activate, read, write, precharge, standby, refresh, area = figures
        burst = BURST * width
        text = f"dram.csv {node_nm:g}nm {capacity_bytes / 2**20:g} MiB x{width}, "
        return MainMemory(activate, precharge, read / burst, write / burst, standby, refresh, area,
                          text + (basis if size == ROW else size if basis == ROW else f"{basis}, {size}"))


def _between(known: Mapping[float, tuple[float, ...]], x: float, table: str,
             unit: str) -> tuple[tuple[float, ...], str]:
    """Figures at x, and how they come about: a row, or logs interpolated over log x."""
    if x in known:
        return known[x], ROW
    low, high = max((k for k in known if k < x), default=None), min((k for k in known if k > x), default=None)
    if low is None or high is None:
        raise ValueError(f"{x:g}{unit}: {table} has {min(known):g} to {max(known):g}{unit}")
    share = log(x / low) / log(high / low)
    figures = tuple(a if a == b else exp(log(a) * (1 - share) + log(b) * share)
                    for a, b in zip(known[low], known[high], strict=True))
    return figures, f"interpolated from {low:g}{unit} and {high:g}{unit}"
