"""What a mapping makes a machine do, before anything is priced: words moved, points computed, cycles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Mapping as MappingOf
from typing import Sequence

from ..errors import MappingError
from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..mapping.parts import unfold
from ..workload.einsum import Einsum
from ..workload.flatten import LIMIT
from .cost import Semantics
from .imperfect import Case, exact_traffic, sampled_traffic
from .network import counts_hops
from .options import DEFAULT, Options
from .remainder import instances_at_work, steps, truncated_instances
from .reuse import PlacedLoop, placed_loops
from .traffic import Fabric, Traffic, number, tensor_traffic
from .updates import updated


@dataclass(frozen=True)
class Counts:
    """`traffic` by tensor; `instances` at work, of each storage level and of the compute units, on
    average (Timeloop says how many of the units ever are); `computes` of all units together, and
    the `cycles` that these take."""

    traffic: MappingOf[str, Traffic]
    instances: tuple[float, ...]
    computes: int
    cycles: int


def count(architecture: Architecture, einsum: Einsum, mapping: Mapping,
          semantics: Semantics = "exact", options: Options = DEFAULT) -> Counts:
    """What `count_plain` says, with the other rule for partial sums where `options` ask for it; of a level
    with several blocks, what they do together."""
    machine, nest = unfold(architecture, mapping)
    if architecture.sparse and machine is not architecture:
        raise MappingError(["tensors cut at places of their own are not known where zeros are left out"])
    counts = count_plain(machine, einsum, nest, semantics, options)
    if options.updated_rmw and not options.first_read_elision:
        raise MappingError(["updated read-modify-write is not known without first read elision"])
    if options.updated_rmw:
        counts = replace(counts, traffic=updated(machine, einsum, nest, counts.traffic))
    return counts if machine is architecture else _of_storages(architecture, machine, counts)


def _of_storages(architecture: Architecture, machine: Architecture, counts: Counts) -> Counts:
    """The counts of the levels of `architecture`, of which those of `machine` are parts. What leaves a zone
    leaves it from the innermost part in it."""
    names = [level.name for level in architecture.levels]
    storages = sorted(machine.storages, key=lambda parts: names.index(machine.levels[parts[-1]].name))
    inner = [max(storages[k][-1] for k in zone) if i == zone[-1] else storages[i][-1]
             for zone in architecture.zones for i in zone]
    traffic = {name: Traffic(
        tuple(next((x.accesses[i] for i in parts if x.accesses[i]), None) for parts in storages),
        tuple(x.sent[i] for i in inner), tuple(x.deliveries[i] for i in inner),
        tuple(x.passed[i] for i in inner)) for name, x in counts.traffic.items()}
    return replace(counts, traffic=traffic,
                   instances=(*(counts.instances[i] for i in inner), counts.instances[-1]))


def count_plain(architecture: Architecture, einsum: Einsum, mapping: Mapping,
                semantics: Semantics = "exact", options: Options = DEFAULT) -> Counts:
    """Count what a valid `mapping` does.

    Nests with perfect factors have a closed form, in which both semantics agree unless neighbours pass
    words on. The others are walked: "exact" follows every kind of instance, "timeloop" the first one only.

    Raises
    ------
    MappingError
        The mapping asks for something of which only Timeloop's number is known, or for flattened ranks
        in a way that cannot be counted.
    """
    loops = placed_loops(mapping)
    cases = tensor_cases(architecture, einsum, mapping, options)
    levels = range(len(architecture.levels) + 1)
    if einsum.flattened:
        _refuse_flattened(einsum, mapping, semantics)
        return Counts({x.tensor.name: exact_traffic(x) for x in cases},
                      tuple(at_work(loops, i) for i in levels), einsum.macs, steps(loops, einsum.extent))
    if not needs_walk(mapping, options):
        traffic = {x.tensor.name: _whole_factors(x, semantics) for x in cases}
        cycles = prod(loop.factor for loop in loops if not loop.spatial)
        return Counts(traffic, tuple(at_work(loops, i) for i in levels), einsum.macs, cycles)
    if semantics == "exact":
        _refuse(mapping)
        return Counts({x.tensor.name: exact_traffic(x) for x in cases},
                      tuple(number(instances_at_work(loops, einsum.extent, i)) for i in levels),
                      einsum.macs, steps(loops, einsum.extent))
    return _sampled(cases, loops, einsum)


def _whole_factors(case: Case, semantics: Semantics) -> Traffic:
    """Traffic of one tensor, in closed form. Of what neighbours pass on that has averages in whole
    words, of one array where there are many; exact semantics then walk the nest."""
    def closed(fabrics: Sequence[Fabric]) -> Traffic:
        return tensor_traffic(case.einsum, case.tensor, case.mapping, case.loops, fabrics, case.elision)

    found = closed(case.fabrics)
    if semantics == "timeloop" or any(case.tensor.name in block.no_coalesce for block in case.mapping):
        return found
    linked = any(x.linked_width is not None for x in case.fabrics)
    if not linked or found == closed([replace(x, linked_width=None) for x in case.fabrics]):
        return found
    return exact_traffic(case)


def _refuse(mapping: Mapping) -> None:
    """Nests for which it is not known what is right."""
    hint = "only Timeloop's numbers are known; evaluate it with timeloop semantics"
    reasons = [f"{block.level}: no_coalesce where loops have remainders or tensors are loaded again, {hint}"
               for block in mapping if block.no_coalesce]
    reasons += [f"{block.level}: skewed loops, {hint}" for block in mapping if block.skew]
    if reasons:
        raise MappingError(reasons)


def _refuse_flattened(einsum: Einsum, mapping: Mapping, semantics: Semantics) -> None:
    """Nests over flattened ranks that are too long, or of which nothing is known."""
    reasons = []
    if einsum.macs > LIMIT:
        reasons.append(f"{einsum.name}: {einsum.macs} operations over flattened ranks, which are run one "
                       f"by one, at most {LIMIT} can be")
    if not mapping.perfect:
        reasons.append(f"{einsum.name}: loops with remainders over flattened ranks cannot be evaluated")
    for block in mapping:
        if block.no_coalesce or block.skew:
            reasons.append(f"{block.level}: no_coalesce and skew cannot be evaluated with flattened ranks")
        if block.spatial and semantics == "timeloop":
            reasons.append(f"{block.level}: spatial loops with flattened ranks are counted in exact "
                           "semantics only; what Timeloop makes of them is not known")
    if reasons:
        raise MappingError(reasons)


def tensor_cases(architecture: Architecture, einsum: Einsum, mapping: Mapping,
                 options: Options = DEFAULT) -> list[Case]:
    """What there is to know of each tensor, to count its traffic."""
    loops = placed_loops(mapping)
    meshes = [architecture.fanout(i) for i in range(len(architecture.levels))]
    return [Case(einsum, tensor, mapping, loops,
                 fabrics(architecture, mapping, tensor.name, options.torus), meshes,
                 options.first_read_elision) for tensor in einsum.tensors]


def _sampled(cases: Sequence[Case], loops: Sequence[PlacedLoop], einsum: Einsum) -> Counts:
    """What Timeloop makes of the first instances: numbers of instances are cut off to whole ones,
    and no pass is taken to be shorter than others."""
    found = {x.tensor.name: sampled_traffic(x) for x in cases}
    levels = cases[0].levels
    instances = [truncated_instances(loops, einsum.extent, i) for i in range(levels)]
    units = instances[-1] * prod(x.factor for x in loops if x.spatial and x.level == levels - 1)
    computes = next(points for _, points in found.values()) * units
    ever = at_work(loops, levels)
    cycles = -(-computes // ever) if cases[0].mapping.perfect else prod(
        x.factor for x in loops if not x.spatial)
    return Counts({name: traffic for name, (traffic, _) in found.items()}, (*instances, ever),
                  computes, cycles)


def needs_walk(mapping: Mapping, options: Options) -> bool:
    """Whether a nest has no closed form."""
    return not mapping.perfect or options.torus or any(
        block.no_temporal_reuse or block.skew for block in mapping)


def at_work(loops: Sequence[PlacedLoop], level: int) -> int:
    """Instances of `level` (one past the last storage level: units) at work in a perfect nest."""
    return prod(x.factor for x in loops if x.spatial and x.level < level)


def fabrics(architecture: Architecture, mapping: Mapping, tensor: str, torus: bool) -> list[Fabric]:
    """What the network below each level does for `tensor`."""
    return [Fabric(level.network.multicast and tensor not in block.no_multicast,
                   architecture.fanout(i)[0] if level.network.links and tensor not in block.no_links
                   else None, architecture.fanout(i) if counts_hops(architecture, i) else None, torus)
            for i, (level, block) in enumerate(zip(architecture.levels, mapping, strict=True))]
