"""`evaluate`: the cost of one mapping, written to be read. `batch` gives the same numbers, fast."""

from __future__ import annotations

from math import prod

from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .cost import Cost, LevelCost, NetworkCost, TensorCost, TransferCost
from .energy import access_energy, action_energy, leakage_energy
from .latency import level_cycles
from .reuse import placed_loops
from .traffic import Fabric, Traffic, tensor_traffic


def evaluate(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Cost:
    """Cost of running `einsum` on `architecture` as the valid `mapping` says.

    Parameters
    ----------
    architecture : Architecture
        Every level must know the energy of the actions it performs.
    einsum : Einsum
    mapping : Mapping
        One block a storage level; its loops cover every rank exactly. Not checked here.

    Returns
    -------
    Cost
        Energies in pJ, latencies in cycles, counts in words.

    Raises
    ------
    ValueError
        A level performs an action whose energy is not known.
    """
    loops = placed_loops(mapping)
    traffic = {
        t.name: tensor_traffic(einsum, t, mapping, loops, _fabrics(architecture, mapping, t.name))
        for t in einsum.tensors}
    compute_cycles = prod(loop.factor for loop in loops if not loop.spatial)
    cycles_by_level = [
        level_cycles(level, {t: x for t in traffic if (x := traffic[t].accesses[i])}, compute_cycles)
        for i, level in enumerate(architecture.levels)]
    cycles = max(compute_cycles, *cycles_by_level)
    levels = tuple(_level_cost(architecture, einsum, mapping, i, traffic, cycles_by_level[i], cycles)
                   for i in range(len(architecture.levels)))
    compute = _compute_cost(architecture, einsum, utilized_instances(mapping, len(levels)),
                            compute_cycles)
    networks = tuple(_network_cost(architecture, mapping, i, traffic) for i in range(len(levels)))
    areas = [x.area_um2 for x in (*levels, compute)]
    return Cost(
        cycles=cycles,
        energy_pj=sum(x.energy_pj for x in (*levels, compute)) + sum(x.energy_pj for x in networks),
        computes=einsum.macs,
        utilization=einsum.macs / architecture.compute.instances / cycles,
        bottleneck="compute" if cycles == compute_cycles
        else architecture.levels[cycles_by_level.index(cycles)].name,
        area_um2=None if None in areas else sum(a for a in areas if a is not None),
        levels=levels, compute=compute, networks=networks)


def _fabrics(architecture: Architecture, mapping: Mapping, tensor: str) -> list[Fabric]:
    """What the network below each level does for `tensor`."""
    return [Fabric(level.network.multicast and tensor not in block.no_multicast,
                   architecture.fanout(i)[0] if level.network.links and tensor not in block.no_links
                   else None)
            for i, (level, block) in enumerate(zip(architecture.levels, mapping, strict=True))]


def utilized_instances(mapping: Mapping, level: int) -> int:
    """Instances at work of storage level `level`, or of the compute units one past the last."""
    return prod(loop.factor for block in mapping.blocks[:level] for loop in block.spatial)


def _level_cost(architecture: Architecture, einsum: Einsum, mapping: Mapping, index: int,
                traffic: dict[str, Traffic], level_cycles: int, cycles: int) -> LevelCost:
    level = architecture.levels[index]
    utilized = utilized_instances(mapping, index)
    tensors = {}
    for tensor in einsum.tensors:
        x = traffic[tensor.name].accesses[index]
        if x is None:
            continue
        outermost = not any(traffic[tensor.name].accesses[:index])
        tensors[tensor.name] = TensorCost(
            x.tile_words, x.partition_words, x.reads, x.fills, x.updates, x.temporal_reductions,
            x.address_generations,
            access_energy(level, x, tensor.is_output, outermost, utilized))
    leakage = leakage_energy(level, cycles, utilized)
    return LevelCost(
        level.name, level.instances, utilized, level_cycles,
        sum(x.energy_pj for x in tensors.values()) + leakage, leakage,
        None if level.area is None else level.area.value * level.instances, tensors)


def _compute_cost(architecture: Architecture, einsum: Einsum, utilized: int,
                  cycles: int) -> LevelCost:
    compute = architecture.compute
    return LevelCost(
        compute.name, compute.instances, utilized, cycles,
        einsum.macs * action_energy(compute, "compute"), 0.0,
        None if compute.area is None else compute.area.value * compute.instances, {})


def _network_cost(architecture: Architecture, mapping: Mapping, index: int,
                  traffic: dict[str, Traffic]) -> NetworkCost:
    level = architecture.levels[index]
    network, senders = level.network, utilized_instances(mapping, index)
    ingress = 0.0 if network.ingress is None else network.ingress.value
    tensors = {name: TransferCost(x.sent[index], sum(x.sent[index].values()) * senders * ingress)
               for name, x in traffic.items() if x.sent[index]}
    return NetworkCost(network.name or f"{level.name} <==> {architecture.below(index).name}",
                       sum(x.energy_pj for x in tensors.values()), tensors)
