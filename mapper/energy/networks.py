"""What words cost on the wires of networks: pJ a bit and mm of the table, lengths of the floorplan."""

from __future__ import annotations

from dataclasses import replace

from ..hardware.architecture import Architecture, Figure, Network
from ..hardware.floorplan import tile_side
from .table import EnergyTable

TOGGLING = 0.5      # share of the bits of a word that differ from those of the word before: random data


def price_network(network: Network, architecture: Architecture, index: int, table: EnergyTable) -> Network:
    """`network`, below storage level `index`, with the energy of the wires that it asks for and their
    length, where it states neither these nor the energy of a hop.

    Areas below have to be known already. Raises ValueError for what the table or the floorplan lacks.
    """
    if network.wires is None or network.hop_pj is not None:
        return network
    energy, side = network.wire_pj_bit_mm, network.tile_um
    if energy is None:
        energy = _wire(network.wires, architecture.node_nm, table)
    return replace(network, wire_pj_bit_mm=energy, tile_um=side or tile_side(architecture, index))


def _wire(kind: str, node_nm: float | None, table: EnergyTable) -> Figure:
    """pJ a bit and mm."""
    if node_nm is None:
        raise ValueError("wires without a node; expected `technology` in the architecture")
    found = table.wire(node_nm=node_nm, kind=kind)
    return Figure(found.transfer_pj(TOGGLING), f"{found.provenance}, {TOGGLING:.0%} of the bits toggle")
