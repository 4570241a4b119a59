"""Energy and latency of the networks between levels, pJ and cycles."""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass
from math import floor, sqrt
from typing import Iterator, Sequence
from typing import Mapping as MappingOf

from ..errors import Problem, SpecError
from ..hardware.architecture import Architecture, Compute, Figure, Network, Storage
from ..hardware.floorplan import tile_side
from .cost import NetworkCost, Semantics, TransferCost
from .traffic import Delivery, Traffic

#: What rounding errors take off a mean that is a whole number, at the most.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Load:
    """What one instance of a level has a network carry for one tensor. `refetched` says that old
    values of an output travel down before they are added to, but for the first visit of each of
    the `partition_words`; `brings_up` that outputs come back up over this network."""

    deliveries: Sequence[Delivery]
    sent: MappingOf[int, float]         # the same words, by multicast factor
    passed: float
    refetched: bool
    brings_up: bool
    partition_words: float


def network_costs(architecture: Architecture, index: int, traffic: MappingOf[str, Traffic],
                  outputs: Collection[str], senders: float, semantics: Semantics) -> Iterator[NetworkCost]:
    """The networks below storage level `index`, of which `senders` instances are at work: the one
    that carries words down, and the one that brings outputs back up when that is another.

    `traffic` is by tensor; `outputs` names the tensors that are written.
    """
    level = architecture.levels[index]
    for network in (level.network, level.update_network):
        if network is None:
            continue
        down, up = network is level.network, network is (level.update_network or level.network)
        hop = hop_energy(architecture, index, network, semantics)
        tensors = {}
        for name, x in traffic.items():
            brings_up = up and name in outputs
            if not x.deliveries[index] or not (down or brings_up):
                continue
            kept = x.accesses[index]
            load = Load(x.deliveries[index], x.sent[index], x.passed[index] if down else 0.0,
                        down and brings_up and not level.reduces, brings_up,
                        kept.partition_words if kept else 0)
            tensors[name] = transfer_cost(network, hop, load, senders, semantics)
        name = network.name or f"{level.name} <==> {architecture.below(index).name}"
        yield NetworkCost(name if network.name or down else f"{name} (up)",
                          sum((x.energy_pj for x in tensors.values()), 0.0), tensors, level.name, hop)


def transfer_cost(network: Network, hop_pj: float, load: Load, senders: float,
                  semantics: Semantics) -> TransferCost:
    """Cost of one tensor on `network`, over all `senders` instances of the level above.

    `hop_pj` is the energy of a word and hop, see `hop_energy`.
    """
    entering = _entering(load, semantics)
    parts = {"mesh": _mesh, "multicast": _multicast, "tree": _tree}[network.kind](
        network, hop_pj, load, entering, semantics)
    total = {name: energy * senders for name, energy in parts.items() if energy}
    words = sum(entering)
    ways = [_way(network, x) for x in load.deliveries]
    known = [way for way in ways if way is not None]
    return TransferCost(
        accesses=dict(load.sent),
        energy_pj=sum(total.values(), 0.0), deliveries=tuple(load.deliveries), ingresses=words,
        hops=sum(known) / words if words and len(known) == len(ways) else None,
        reductions=sum((x.multicast - 1) * x.words for x in load.deliveries) if load.brings_up else 0.0,
        passed=load.passed, energy_parts=total)


def _entering(load: Load, semantics: Semantics) -> list[float]:
    """Words that enter the network, by entry: what is sent and, where the level above cannot add,
    the old values too. The program leaves the first visits out of every entry, not out of all
    entries together."""
    words = [x.words for x in load.deliveries]
    if not load.refetched:
        return words
    everything = sum(words)
    if semantics == "timeloop":
        return [2 * n - min(load.partition_words, n) for n in words]
    first = min(load.partition_words, everything)
    return [2 * n - first * n / everything if everything else 0.0 for n in words]


def _way(network: Network, x: Delivery) -> float | None:
    """Links that the words of one entry pass over; None when it is not known."""
    if network.kind == "tree":
        return x.words * (x.multicast.bit_length() - 1) / 2
    return x.hops if network.kind == "mesh" else None


def _mesh(network: Network, hop_pj: float, load: Load, entering: Sequence[float],
          semantics: Semantics) -> dict[str, float]:
    """Hops, a router more than hops for each word, and what neighbours pass on (one hop and two
    routers). The formula is Timeloop's (model/network-legacy.cpp)."""
    words, router = sum(entering), value(network.router_pj)
    way = sum(x.hops or 0.0 for x in load.deliveries)
    mean = way / words if words else 0.0
    routers = (1 + floor(mean if semantics == "timeloop" else mean + ROUNDING)) * words
    return {"hops": way * hop_pj, "routers": routers * router,
            "ingress": words * value(network.ingress), "links": load.passed * (hop_pj + 2 * router)}


def _multicast(network: Network, hop_pj: float, load: Load, entering: Sequence[float],
               semantics: Semantics) -> dict[str, float]:
    """Every word costs what its number of receivers says. The program keeps the last entry only."""
    each = [_transfer(network, x.multicast) * words
            for x, words in zip(load.deliveries, entering, strict=True) if words]
    moved = each[-1:] if semantics == "timeloop" else each
    return {"transfers": sum(moved), "ingress": sum(entering) * value(network.ingress)}


def _transfer(network: Network, receivers: int) -> float:
    figure = network.transfer_pj.get(receivers)
    if figure is None:
        known = ", ".join(map(str, sorted(network.transfer_pj))) or "none"
        raise ValueError(f"network {network.name}: no energy is known for a word to {receivers} "
                         f"receivers at once; known: {known}")
    return figure.value


def _tree(network: Network, hop_pj: float, load: Load, entering: Sequence[float],
          semantics: Semantics) -> dict[str, float]:
    """Half a hop for each stage of the tree, and the additions (model/reduction-tree.cpp)."""
    way = sum(_way(network, x) or 0.0 for x in load.deliveries)
    added = sum((x.multicast - 1) * x.words for x in load.deliveries)
    return {"hops": way * hop_pj, "adders": added * value(network.adder_pj),
            "ingress": sum(entering) * value(network.ingress)}


def value(figure: Figure | None) -> float:
    """A figure; 0 where none is declared."""
    return 0.0 if figure is None else figure.value


def counts_hops(architecture: Architecture, index: int) -> bool:
    """Whether a network of storage level `index` charges for hops or for routers on the way."""
    level = architecture.levels[index]
    return any(x.kind == "mesh" and any(value(f) for f in (
        x.hop_pj, x.router_pj, wire(architecture, x))) for x in (level.network, level.update_network) if x)


@dataclass(frozen=True, slots=True)
class Toll:
    """What a word costs on a mesh, pJ: when it enters it, its first router included, for each hop, and for
    each further router, of which there is one a hop on average, rounded down."""

    entry: float
    hop: float = 0.0
    router: float = 0.0


def toll(architecture: Architecture, index: int) -> Toll | None:
    """What the network below storage level `index` charges for a word; None where it is free.

    Raises
    ------
    ValueError
        The network also charges for the receivers of a word or for additions.
    SpecError
        It has wires whose length does not follow from what is known.
    """
    level = architecture.levels[index]
    network = level.network
    if level.update_network is not None or network.kind != "mesh" or network.distributed:
        name = network.name or f"{level.name} <==> {architecture.below(index).name}"
        raise ValueError(f"network {name} is no mesh that carries words both ways")
    found = Toll(entry_price(network))
    if architecture.fanout(index) != (1, 1):         # one instance: no hops, but one router
        hop = hop_energy(architecture, index, network, "exact")
        found = Toll(found.entry, hop, value(network.router_pj))
    return None if found == Toll(0.0) else found


def entry_price(network: Network) -> float:
    """pJ of a word that enters a mesh, wherever it goes."""
    return value(network.ingress) + value(network.router_pj)


def require_tolls(architecture: Architecture, ways: bool = True) -> None:
    """Raise a SpecError that names every network whose energy `toll` cannot state or, without `ways`, that
    charges for hops: a search for mappings cannot reckon with them."""
    problems = []
    for index, level in enumerate(architecture.levels):
        try:
            found = toll(architecture, index)
        except ValueError as error:
            problems.append(f"{error}; a search expects such networks")
            continue
        if found and (found.hop or found.router) and not ways:
            name = level.network.name or f"{level.name} <==> {architecture.below(index).name}"
            problems.append(f"network {name} charges for hops; a search in timeloop semantics expects "
                            "networks that charge for the words that enter them only")
    if problems:
        raise SpecError([Problem(architecture.name, 0, 0, f"{text}; given mappings can be evaluated")
                         for text in problems])


def wire(architecture: Architecture, network: Network) -> Figure | None:
    """pJ a bit and mm of the wires of `network`."""
    return network.wire_pj_bit_mm or architecture.wire_pj_bit_mm


def hop_energy(architecture: Architecture, index: int, network: Network, semantics: Semantics) -> float:
    """pJ of a word and hop on a `network` of storage level `index`.

    As declared; else the energy of wires as long as the side of a square that holds one instance
    of the level below with all that stands below it (Timeloop's floorplan, model/topology.cpp).
    The program keeps areas, and the energy of wires that an ERT gives, in single precision.

    Raises
    ------
    SpecError
        Wires whose length does not follow, since an area is not known.
    """
    if network.hop_pj is not None:
        return network.hop_pj.value
    energy = value(wire(architecture, network))
    if not energy:
        return 0.0
    if semantics == "timeloop" and network.wire_pj_bit_mm is None:
        energy = single(energy)
    bits = network.word_bits or architecture.levels[index].word_bits
    width = value(network.tile_um) or _side(architecture, index, network, semantics)
    return bits * (width / 1000) * energy


def _side(architecture: Architecture, index: int, network: Network, semantics: Semantics) -> float:
    """um from one instance of the level below storage level `index` to the next."""
    if semantics == "timeloop":
        parts: list[Storage | Compute] = [*architecture.levels[index + 1:], architecture.compute]
        return sqrt(sum(single(value(part.area)) * (part.instances / parts[0].instances) for part in parts))
    try:
        return tile_side(architecture, index).value
    except ValueError as error:
        raise SpecError([Problem(architecture.name, 0, 0, (
            f"the wires of network {network.name or architecture.levels[index].name} have an energy, but "
            f"{error}; expected these areas, or the width of a tile or the energy of a hop of the network; "
            "with timeloop semantics they count as 0"))]) from None


def single(number: float) -> float:
    """`number` in single precision."""
    rounded: float = struct.unpack("f", struct.pack("f", number))[0]
    return rounded


def network_cycles(architecture: Architecture, semantics: Semantics) -> int:
    """Cycles in which the networks fill before, and drain after, the work.

    The drain latency that the program takes for a multicast network or a tree is that of filling.
    """
    total = 0
    for level in architecture.levels:
        up = level.update_network or level.network
        wrong = semantics == "timeloop" and up.kind != "mesh"
        total += level.network.fill_cycles + (up.fill_cycles if wrong else up.drain_cycles)
    return total
