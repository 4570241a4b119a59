"""SRAM scratchpads, and embedded DRAM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ...hardware.architecture import Basis, Figure
from ..component import Estimate, Values
from ..figures import of_memory
from ..kinds import Kind
from ..sram import STRIPE
from ..table import EnergyTable
from .shared import BANKS, CELL, DEPTH, NODE, PORTS, WIDTH


@dataclass(frozen=True)
class Array:
    """Figures of one array: pJ an access to a row, um^2, mW (None where it is unknown)."""

    read: Figure
    write: Figure
    area: Figure
    leakage: Figure | None
    warnings: tuple[str, ...] = ()


class Sram:
    """An SRAM, or an embedded DRAM of cell `lp-dram`. Rows of more than 512 bits are macros side by side."""

    name = "sram"
    classes: Mapping[str, Values] = {"scratchpad": {}, "storage": {}, "edram": {"cell": "lp-dram"}}
    parameters = (WIDTH, DEPTH, NODE, CELL, PORTS, BANKS)
    source = "CACTI 7, interpolated; beyond its nodes scaled as logic"

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        found = array(given, table)
        return Estimate({"read": found.read, "write": found.write}, found.area, found.leakage,
                        access_bits=int(given["width"]), warnings=found.warnings)


def array(given: Values, table: EnergyTable) -> Array:
    """The array with the parameters of `Sram`."""
    node, cell = float(given["node"]), str(given["cell"])
    nodes = [kind.node_nm for kind in table.srams.kinds if kind.cell == cell]
    if not nodes:
        raise ValueError(f"{table.srams.name} has no cell {cell}")
    edge = min(max(node, min(nodes)), max(nodes))
    kind = Kind(edge, cell, str(given["ports"]), int(given["banks"]))
    memory = table.srams.lookup(float(given["depth"]), int(given["width"]), kind, monotone=table.monotone,
                                macro_bits=STRIPE)
    read, write, area, leakage = of_memory(memory)
    warnings = []
    if read.basis == "extrapolated":
        warnings.append(f"an array beyond the table: {memory.provenance}")
    if cell == "lp-dram":
        warnings.append("CACTI charges a write to embedded DRAM with every bit line of the row, 7 to 70 "
                        "times a read, and says nothing of its refresh, which is not counted")
    if edge == node:
        return Array(read, write, area, leakage, tuple(warnings))
    energy, space = table.units.scaling.between(edge, node)
    warnings.append(f"an array at {node:g}nm is scaled from {edge:g}nm as logic is, each node at its nominal "
                    "supply; its leakage there is unknown")
    return Array(_scaled(read, energy, node, edge), _scaled(write, energy, node, edge),
                 _scaled(area, space, node, edge), None, tuple(warnings))


def _scaled(figure: Figure, factor: float, node: float, edge: float) -> Figure:
    basis: Basis = "extrapolated" if figure.basis == "extrapolated" else "scaled"
    return Figure(figure.value * factor, f"at {node:g}nm scaled from {edge:g}nm ({figure.source})", basis)


COMPONENTS = (Sram(),)
