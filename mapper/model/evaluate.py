"""`evaluate`: the cost of one mapping, written to be read. `batch` gives the same numbers, fast."""

from __future__ import annotations

from math import prod

from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .cost import Cost, LevelCost, Semantics, TensorCost
from .energy import access_energy, action_energy, address_energy, gate, leakage_energy
from .latency import Pace, level_pace
from .network import counts_hops, network_costs, network_cycles
from .reuse import placed_loops
from .traffic import Fabric, Traffic, tensor_traffic


def evaluate(architecture: Architecture, einsum: Einsum, mapping: Mapping,
             semantics: Semantics = "exact") -> Cost:
    """Cost of running `einsum` on `architecture` as the valid `mapping` says.

    Parameters
    ----------
    architecture : Architecture
        Every level must know the energy of the actions it performs.
    einsum : Einsum
    mapping : Mapping
        One block a storage level; its loops cover every rank exactly. Not checked here.
    semantics : "exact" or "timeloop"
        Whether to count right, or with the defects of that program.

    Returns
    -------
    Cost
        Energies in pJ, latencies in cycles, counts in words.

    Raises
    ------
    ValueError
        A level performs an action whose energy is not known.
    SpecError
        A network has wires whose length does not follow from what is known.
    """
    loops = placed_loops(mapping)
    traffic = {
        t.name: tensor_traffic(einsum, t, mapping, loops, _fabrics(architecture, mapping, t.name))
        for t in einsum.tensors}
    compute_cycles = prod(loop.factor for loop in loops if not loop.spatial)
    paces = [level_pace(level, {t: x for t in traffic if (x := traffic[t].accesses[i])}, compute_cycles)
             for i, level in enumerate(architecture.levels)]
    busy = max(compute_cycles, *(pace.cycles for pace in paces))
    levels = tuple(_level_cost(architecture, einsum, mapping, i, traffic, paces[i], busy)
                   for i in range(len(architecture.levels)))
    compute = _compute_cost(architecture, einsum, utilized_instances(mapping, len(levels)),
                            compute_cycles)
    outputs = [t.name for t in einsum.tensors if t.is_output]
    networks = tuple(cost for i in range(len(levels)) for cost in network_costs(
        architecture, i, traffic, outputs, utilized_instances(mapping, i), semantics))
    cycles = busy + network_cycles(architecture, semantics)
    areas = [x.area_um2 for x in (*levels, compute)]
    return Cost(
        cycles=cycles,
        energy_pj=sum(x.energy_pj for x in (*levels, compute)) + sum(x.energy_pj for x in networks),
        computes=einsum.macs,
        utilization=einsum.macs / architecture.compute.instances / cycles,
        bottleneck="compute" if busy == compute_cycles
        else next(x.name for x in levels if x.cycles == busy),
        area_um2=None if None in areas else sum(a for a in areas if a is not None),
        levels=levels, compute=compute, networks=networks)


def _fabrics(architecture: Architecture, mapping: Mapping, tensor: str) -> list[Fabric]:
    """What the network below each level does for `tensor`."""
    return [Fabric(level.network.multicast and tensor not in block.no_multicast,
                   architecture.fanout(i)[0] if level.network.links and tensor not in block.no_links
                   else None, architecture.fanout(i) if counts_hops(architecture, i) else None)
            for i, (level, block) in enumerate(zip(architecture.levels, mapping, strict=True))]


def utilized_instances(mapping: Mapping, level: int) -> int:
    """Instances at work of storage level `level`, or of the compute units one past the last."""
    return prod(loop.factor for block in mapping.blocks[:level] for loop in block.spatial)


def _level_cost(architecture: Architecture, einsum: Einsum, mapping: Mapping, index: int,
                traffic: dict[str, Traffic], pace: Pace, cycles: int) -> LevelCost:
    level = architecture.levels[index]
    utilized = utilized_instances(mapping, index)
    tensors = {}
    for tensor in einsum.tensors:
        x = traffic[tensor.name].accesses[index]
        if x is None:
            continue
        outermost = not any(traffic[tensor.name].accesses[:index])
        addresses = address_energy(level, x, utilized)
        tensors[tensor.name] = TensorCost(
            x.tile_words, x.partition_words, x.reads, x.fills, x.updates, x.temporal_reductions,
            x.address_generations,
            access_energy(level, x, tensor.is_output, outermost, utilized) + addresses, addresses,
            pace.read[tensor.name], pace.write[tensor.name])
    switch, switched = gate(architecture, index)
    leakage = leakage_energy(level, cycles, utilized_instances(mapping, switch) * switched)
    return LevelCost(
        level.name, level.instances, utilized, pace.cycles,
        sum(x.energy_pj for x in tensors.values()) + leakage, leakage,
        None if level.area is None else level.area.value * level.instances, tensors, pace.throttling)


def _compute_cost(architecture: Architecture, einsum: Einsum, utilized: int,
                  cycles: int) -> LevelCost:
    compute = architecture.compute
    return LevelCost(
        compute.name, compute.instances, utilized, cycles,
        einsum.macs * action_energy(compute, "compute"), 0.0,
        None if compute.area is None else compute.area.value * compute.instances, {})
