"""`evaluate`: the cost of one mapping, written to be read. `batch` gives the same numbers, fast."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod

from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .cost import Cost, LevelCost, Semantics, TensorCost
from .counts import Counts, count
from .distribute import share_copies
from .energy import access_energy, action_energy, address_energy, clusters, gate, leakage_energy
from .latency import Pace, level_pace
from .network import network_costs, network_cycles
from .options import DEFAULT, Options
from .sparse.evaluate import sparse_cost


def evaluate(architecture: Architecture, einsum: Einsum, mapping: Mapping,
             semantics: Semantics = "exact", options: Options = DEFAULT) -> Cost:
    """Cost of running `einsum` on `architecture` as the valid `mapping` says.

    Parameters
    ----------
    architecture : Architecture
        Every level must know the energy of the actions it performs.
    einsum : Einsum
    mapping : Mapping
        One block a storage level; its loops cover every rank. Not checked here.
    semantics : "exact" or "timeloop"
        Whether to count right, or with the defects of that program.
    options : Options
        Rules that hold for the whole machine.

    Returns
    -------
    Cost
        Energies in pJ, latencies in cycles, counts in words.

    Raises
    ------
    ValueError
        A level performs an action whose energy is not known.
    MappingError
        The mapping asks for something that cannot be counted or, on a machine that does something
        about zeros, needs more than there is.
    SpecError
        A network has wires whose length does not follow from what is known.
    """
    if semantics not in ("exact", "timeloop"):
        raise ValueError(f"semantics is {semantics!r}; expected 'exact' or 'timeloop'")
    counts = count(architecture, einsum, mapping, semantics, options)
    if architecture.sparse:
        return sparse_cost(architecture, einsum, mapping, counts, semantics)
    outputs = [t.name for t in einsum.tensors if t.is_output]
    traffic = share_copies(architecture, counts.traffic, outputs, semantics)
    counts = replace(counts, traffic=traffic)
    shares = [_share(architecture, mapping, i, counts, semantics) for i in range(len(architecture.levels))]
    paces = [level_pace(level, {t: x for t in traffic if (x := traffic[t].accesses[i])}, counts.cycles,
                        shares[i]) for i, level in enumerate(architecture.levels)]
    busy = max(counts.cycles, *(pace.cycles for pace in paces))
    levels = tuple(_level_cost(architecture, einsum, counts, i, paces[i], busy, shares[i])
                   for i in range(len(architecture.levels)))
    compute = _compute_cost(architecture, counts)
    networks = tuple(cost for i in range(len(levels)) for cost in network_costs(
        architecture, i, traffic, outputs, counts.instances[i], semantics))
    cycles = busy + network_cycles(architecture, semantics)
    areas = [x.area_um2 for x in (*levels, compute)]
    return Cost(
        cycles=cycles,
        energy_pj=sum(x.energy_pj for x in (*levels, compute)) + sum(x.energy_pj for x in networks),
        computes=counts.computes,
        utilization=counts.computes / architecture.compute.instances / cycles,
        bottleneck="compute" if busy == counts.cycles
        else next(x.name for x in levels if x.cycles == busy),
        area_um2=None if None in areas else sum(a for a in areas if a is not None),
        levels=levels, compute=compute, networks=networks)


def _share(architecture: Architecture, mapping: Mapping, level: int, counts: Counts,
           semantics: Semantics) -> Fraction:
    """Instances of storage level `level` that Timeloop has at work, to those that ever are."""
    if semantics == "exact":
        return Fraction(1)
    first = next(zone[0] for zone in architecture.zones if level in zone)
    outside = {x.name for x in architecture.levels[:first]}
    ever = prod(loop.factor for block in mapping if block.level in outside for loop in block.spatial)
    return Fraction(counts.instances[level]) / ever


def _level_cost(architecture: Architecture, einsum: Einsum, counts: Counts, index: int, pace: Pace,
                cycles: int, share: Fraction) -> LevelCost:
    level, utilized, traffic = architecture.levels[index], counts.instances[index], counts.traffic
    at_once, tensors = clusters(level, utilized, share), {}
    for tensor in einsum.tensors:
        x = traffic[tensor.name].accesses[index]
        if x is None:
            continue
        outermost = not any(traffic[tensor.name].accesses[:index])
        addresses = address_energy(level, x, at_once)
        tensors[tensor.name] = TensorCost(
            x.tile_words, x.partition_words, x.reads, x.fills, x.updates, x.temporal_reductions,
            x.address_generations,
            access_energy(level, x, tensor.is_output, outermost, at_once) + addresses, addresses,
            pace.read[tensor.name], pace.write[tensor.name])
    switch, switched = gate(architecture, index)
    leakage = leakage_energy(level, cycles, counts.instances[switch] * switched)
    return LevelCost(
        level.name, level.instances, utilized, pace.cycles,
        sum(x.energy_pj for x in tensors.values()) + leakage, leakage,
        None if level.area is None else level.area.value * level.instances, tensors, pace.throttling)


def _compute_cost(architecture: Architecture, counts: Counts) -> LevelCost:
    compute = architecture.compute
    return LevelCost(
        compute.name, compute.instances, counts.instances[-1], counts.cycles,
        counts.computes * action_energy(compute, "compute"), 0.0,
        None if compute.area is None else compute.area.value * compute.instances, {})
