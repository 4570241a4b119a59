"""What words cost on the wires of networks: pJ a bit and mm of the table, lengths of the floorplan."""

from __future__ import annotations

from dataclasses import replace

from ..hardware.architecture import Architecture, Figure, Network
from ..hardware.floorplan import tile_side
from .component import checked
from .table import EnergyTable


def price_network(network: Network, architecture: Architecture, index: int, table: EnergyTable) -> Network:
    """`network`, below storage level `index`, with the energies that it asks for: of its wires, their length
    and what a word and hop therefore costs, and of its routers. What it states itself stays.

    Areas below have to be known already. Raises ValueError for what the table or the floorplan lacks.
    """
    bits = network.word_bits or architecture.levels[index].word_bits
    if network.routers and network.router_pj is None:
        network = replace(network, router_pj=_figure(
            table, "router", "hop", width=bits, node=_node(architecture)))
    if network.wires is None or network.hop_pj is not None:
        return network
    energy = network.wire_pj_bit_mm or _figure(table, "wire", "transfer", width=1, length=1.0,
                                               transistors=network.wires, node=_node(architecture))
    side = network.tile_um or tile_side(architecture, index)
    hop = Figure(bits * side.value / 1000 * energy.value,
                 f"{bits} bits x {side.value / 1000:.4g} mm x {energy.value:.4g} pJ", "derived")
    return replace(network, wire_pj_bit_mm=energy, tile_um=side, hop_pj=hop)


def _node(architecture: Architecture) -> float:
    if architecture.node_nm is None:
        raise ValueError("no node to price it at; expected `technology` in the architecture")
    return architecture.node_nm


def _figure(table: EnergyTable, name: str, action: str, **given: object) -> Figure:
    """pJ of one `action` of the component that the class `name` means."""
    component, fixed = table.registry.named(name)
    return component.estimate(checked(component, {**given, **fixed}), table).actions[action]
