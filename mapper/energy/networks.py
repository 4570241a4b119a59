"""What words cost on the wires of networks: pJ a bit and mm of the table, lengths of the floorplan."""

from __future__ import annotations

from dataclasses import replace

from ..hardware.architecture import Architecture, Basis, Figure, Network
from ..hardware.floorplan import tile_side
from .table import EnergyTable

TOGGLING = 0.5      # share of the bits of a word that differ from those of the word before: random data


def price_network(network: Network, architecture: Architecture, index: int, table: EnergyTable) -> Network:
    """`network`, below storage level `index`, with the energy of the wires that it asks for, their length
    and what a word and hop therefore costs. What it states itself stays.

    Areas below have to be known already. Raises ValueError for what the table or the floorplan lacks.
    """
    if network.wires is None or network.hop_pj is not None:
        return network
    energy = network.wire_pj_bit_mm or _wire(network.wires, architecture.node_nm, table)
    side = network.tile_um or tile_side(architecture, index)
    bits = network.word_bits or architecture.levels[index].word_bits
    hop = Figure(bits * side.value / 1000 * energy.value,
                 f"{bits} bits x {side.value / 1000:.4g} mm x {energy.value:.4g} pJ", "derived")
    return replace(network, wire_pj_bit_mm=energy, tile_um=side, hop_pj=hop)


def _wire(kind: str, node_nm: float | None, table: EnergyTable) -> Figure:
    """pJ a bit and mm."""
    if node_nm is None:
        raise ValueError("wires without a node; expected `technology` in the architecture")
    found = table.wire(node_nm=node_nm, kind=kind)
    basis: Basis = "table row" if found.provenance.endswith("table row") else "interpolated"
    source = f"{found.provenance}, {TOGGLING:.0%} of the bits toggle"
    return Figure(found.transfer_pj(TOGGLING), source, basis)
