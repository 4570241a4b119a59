"""The cost of one mapping on a machine that does something about zeros."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping as MappingOf

import numpy as np

from ...errors import MappingError
from ...hardware.architecture import Architecture
from ...mapping.nest import Mapping
from ...workload.einsum import Einsum, Tensor
from ..cost import Cost, LevelCost, NetworkCost, Semantics, SparseTensorCost, Tally, TensorCost
from ..counts import Counts
from ..network import network_costs
from ..traffic import Delivery, Traffic, by_multicast
from .analyse import SparseModel
from .bits import Access, moved_bits, stored_bits
from .costs import SparseCosts, sparse_costs
from .counts import SparseCounts, Split, TensorCounts
from .dense import DenseCounts
from .nest import Array, SparseNest
from .networks import share_moved


def refuse(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> None:
    """Raise a MappingError for what is not known how to count where zeros are left out."""
    reasons = []
    if not mapping.perfect:
        reasons.append(f"{einsum.name}: loops with remainders, ")
    if einsum.flattened:
        reasons.append(f"{einsum.name}: flattened ranks, ")
    for level, block in zip(architecture.levels, mapping, strict=True):
        reasons += [f"{level.name}: {what}, " for what, there in (
            ("no_coalesce", block.no_coalesce), ("skewed loops", block.skew),
            ("no_temporal_reuse", block.no_temporal_reuse), ("copies shared over an M:N network",
                                                             level.network.distributed)) if there]
    if reasons:
        raise MappingError([reason + "which cannot be counted on a machine that gates, skips or compresses"
                            for reason in reasons])


def sparse_cost(architecture: Architecture, einsum: Einsum, mapping: Mapping, dense: Counts,
                semantics: Semantics) -> Cost:
    """Cost of a mapping from what it does in a `dense` run.

    Raises
    ------
    MappingError
        Tiles, their metadata or the instances needed do not fit, or formats lack ranks for the loops.
    """
    refuse(architecture, einsum, mapping)
    model = SparseModel(architecture, einsum, semantics)
    nest = SparseNest.of_mapping(architecture, einsum, mapping)
    counts = model(nest, DenseCounts.of(dense))
    costs = sparse_costs(architecture, nest, model.zeros, counts, semantics)
    if not costs.fit.valid[0]:
        reasons = [f"{limit.what}: needs {limit.need[0]:g}, has {limit.have:g}"
                   for limit in costs.fit.limits if not limit.kept[0]]
        raise MappingError(reasons or [f"{einsum.name}: formats have fewer ranks than there are loops to "
                                       "write down"])
    return cost_of(architecture, nest, dense, counts, costs, semantics)


def cost_of(architecture: Architecture, nest: SparseNest, dense: Counts, counts: SparseCounts,
            costs: SparseCosts, semantics: Semantics) -> Cost:
    """The cost of the one mapping in `nest`."""
    busy, cycles = (int(x[0]) for x in (costs.busy, costs.cycles))
    levels = tuple(_level(architecture, nest, dense, counts, costs, i)
                   for i in range(len(architecture.levels)))
    unit = architecture.compute
    compute = LevelCost(unit.name, unit.instances, _number(counts.active[-1]), int(costs.compute_cycles[0]),
                        float(costs.compute[0]), 0.0,
                        None if unit.area is None else unit.area.value * unit.instances, {},
                        dense_instances=dense.instances[-1])
    outputs = [tensor.name for tensor in nest.einsum.tensors if tensor.is_output]
    traffic = dense.traffic if semantics == "timeloop" else _left(architecture, nest, dense.traffic, counts)
    networks: tuple[NetworkCost, ...] = tuple(cost for i in range(len(levels)) for cost in network_costs(
        architecture, i, traffic, outputs, _number(counts.active[i]), semantics))
    areas = [x.area_um2 for x in (*levels, compute)]
    states = _tally(counts.computes)
    return Cost(
        cycles=cycles,
        energy_pj=sum(x.energy_pj for x in (*levels, compute)) + sum(x.energy_pj for x in networks),
        computes=int(states.actual),
        utilization=(states.actual + states.gated) / unit.instances / cycles,
        bottleneck="compute" if busy == compute.cycles else next(x.name for x in levels if x.cycles == busy),
        area_um2=None if None in areas else sum(a for a in areas if a is not None),
        levels=levels, compute=compute, networks=networks, compute_states=states)


def _level(architecture: Architecture, nest: SparseNest, dense: Counts, counts: SparseCounts,
           costs: SparseCosts, index: int) -> LevelCost:
    level, pace = architecture.levels[index], costs.paces[index]
    tensors = {tensor.name: _tensor(architecture, tensor, dense, counts, costs, index)
               for tensor in nest.einsum.tensors if tensor.name in counts.levels[index]}
    leakage = float(costs.leakage[index][0])
    return LevelCost(
        level.name, level.instances, _number(counts.active[index]), int(pace.cycles[0]),
        sum(x.energy_pj for x in tensors.values()) + leakage, leakage,
        None if level.area is None else level.area.value * level.instances, tensors,
        float(pace.throttling[0]), dense.instances[index])


def _tensor(architecture: Architecture, tensor: Tensor, dense: Counts, counts: SparseCounts,
            costs: SparseCosts, index: int) -> TensorCost:
    x, price = counts.levels[index][tensor.name], costs.tensors[index][tensor.name]
    pace, words = costs.paces[index], costs.fit.words[index][tensor.name]
    held = dense.traffic[tensor.name].accesses[index]
    assert held is not None
    return TensorCost(
        int(words[0]), held.partition_words, _number(x.data.reads.actual), _number(x.data.fills.actual),
        _number(x.data.updates.actual), _number(x.temporal_reductions), _number(price.address_generations),
        float(price.energy[0]), float(price.addresses[0]), float(pace.read[tensor.name][0]),
        float(pace.write[tensor.name][0]),
        _sparse(architecture, tensor.name, x, costs, index))


def _sparse(architecture: Architecture, name: str, x: TensorCounts, costs: SparseCosts,
            index: int) -> SparseTensorCost:
    level, price = architecture.levels[index], costs.tensors[index][name]
    form = level.sparsity.formats.get(name)
    ranks = form.ranks if form is not None else ()

    def metadata(access: Access) -> Tally:
        states = [moved_bits(level.sparsity, ranks, x.ranks, access, state)
                  for state in ("algorithmic", "actual", "gated", "skipped")]
        return Tally(*map(_number, states))

    return SparseTensorCost(
        _tally(x.data.reads), _tally(x.data.fills), _tally(x.data.updates),
        float(_one(x.density)), float(_one(x.present)),
        float(_one(costs.fit.confidence[index])) if level.sparsity.compressed(name) else 1.0,
        tuple(rank.kind for rank in ranks), metadata("read"), metadata("fill"), metadata("update"),
        _number(costs.fit.words[index][name]) * level.word_bits,
        _number(stored_bits(level.sparsity, ranks, x.ranks)), _number(x.compressions),
        _number(x.decompressions), *(float(_one(part)) for part in (
            price.data, price.metadata, price.conversion, price.refetched)))


def _left(architecture: Architecture, nest: SparseNest, traffic: MappingOf[str, Traffic],
          counts: SparseCounts) -> dict[str, Traffic]:
    """`traffic` with what is left of the words on networks, see `share_moved`."""
    result = {}
    for tensor in nest.einsum.tensors:
        x = traffic[tensor.name]
        shares = [_one(share_moved(architecture, nest, tensor, counts, i)) for i in range(len(nest.keep))]
        deliveries = tuple(tuple(_scaled(d, share) for d in entries)
                           for entries, share in zip(x.deliveries, shares, strict=True))
        result[tensor.name] = replace(x, deliveries=deliveries, sent=tuple(map(by_multicast, deliveries)),
                                      passed=tuple(n * s for n, s in zip(x.passed, shares, strict=True)))
    return result


def _scaled(x: Delivery, share: float) -> Delivery:
    return replace(x, words=x.words * share, hops=None if x.hops is None else x.hops * share)


def _tally(split: Split) -> Tally:
    return Tally(*map(_number, (split.algorithmic, split.actual, split.gated, split.skipped)))


def _one(x: Array) -> float:
    """The only entry."""
    return float(np.asarray(x).reshape(-1)[0])


def _number(x: Array) -> float:
    """The only entry, as an integer where it is one."""
    value = _one(x)
    return int(value) if value.is_integer() else value
