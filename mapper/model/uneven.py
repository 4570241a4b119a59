"""Traffic of nests that have no closed form: with remainders, or with directives that change what is
loaded. `walk` counts the words that cross each boundary; here they become reads, fills and updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import prod
from typing import Sequence

from ..mapping.nest import Mapping
from ..workload.einsum import Einsum, Tensor, footprint
from .links import Entry
from .remainder import Path, instances_at_work, paths, truncated_instances, words_touched
from .reuse import PlacedLoop
from .traffic import (
    Accesses,
    Delivery,
    Fabric,
    Traffic,
    accesses_of,
    by_multicast,
    number,
    partitions,
    rules_of,
)
from .walk import PASSED, RECEIVED, Boundary, Crossing, Sent, Stride, Tally, Walk, add


@dataclass(frozen=True)
class Case:
    """One tensor of one nest on one machine: what all functions here need to know."""

    einsum: Einsum
    tensor: Tensor
    mapping: Mapping
    loops: Sequence[PlacedLoop]
    fabrics: Sequence[Fabric]
    meshes: Sequence[tuple[int, int]]
    elision: bool = True

    @property
    def levels(self) -> int:
        return len(self.mapping.blocks)

    @property
    def kept(self) -> list[int]:
        return [i for i, block in enumerate(self.mapping) if self.tensor.name in block.keep]

    def tally(self, outer: int, inner: int, path: Path, sampled: bool) -> Tally:
        """Counts between one instance of level `outer`, where `path` leads, and the instances of
        level `inner` below it; `inner` may be one past the last level (the compute units)."""
        ranks, extents = self.einsum.ranks, self.einsum.extents
        strides = [Stride(ranks.index(x.rank), x.factor, x.inside, x.step(self.tensor), x.level,
                          x.spatial, path.get(i))
                   for i, x in enumerate(self.loops) if x.level < inner]
        crossings = tuple(Crossing(i, self.fabrics[i].multicast, self.meshes[i])
                          for i in range(outer, inner))
        buffered = inner < self.levels
        reuse = buffered and self.tensor.name not in self.mapping.blocks[inner].no_temporal_reuse
        spread = any(x.spatial and x.level == outer for x in self.loops)
        linked = inner == outer + 1 and spread and self.fabrics[outer].linked_width is not None
        boundary = Boundary(crossings, buffered, reuse, linked, self.fabrics[outer].torus)
        return Walk(self.tensor, ranks, strides, boundary, sampled).total(extents)


# As it is

def exact_traffic(case: Case) -> Traffic:
    """What happens on every instance of every level, as an average over those at work."""
    accesses: list[Accesses | None] = [None] * case.levels
    deliveries: list[tuple[Delivery, ...]] = [()] * case.levels
    passed = [Fraction(0)] * case.levels
    extent = case.einsum.extent
    at_work = [instances_at_work(case.loops, extent, i) for i in range(case.levels + 1)]
    received = peers = Fraction(0)
    for level, inner in zip(case.kept, [*case.kept[1:], case.levels], strict=True):
        tally: Tally = dict.fromkeys((PASSED, RECEIVED), 0)
        share = 0
        for count, path in paths(case.loops, extent, level):
            add(tally, case.tally(level, inner, path, sampled=False), count)
            share += count * words_touched(case.tensor, case.loops, extent, level, path)
        for i in range(level, inner):
            deliveries[i] = _deliveries(tally, i, at_work[i])
        passed[level] = tally[PASSED] / at_work[level]
        content = sum((words for key, words in tally.items() if isinstance(key, Sent)
                       and key.layer == level and not key.by_hops), Fraction(0)) / at_work[level]
        block = case.mapping.blocks[level]
        accesses[level] = accesses_of(
            case.tensor, footprint(case.tensor, case.mapping.tile(level, extent)),
            share / at_work[level], content, received, peers,
            rules_of(block, case.tensor.name, level == case.kept[0], case.elision))
        received = (tally[RECEIVED] - tally[PASSED]) / at_work[inner]
        peers = tally[PASSED] / at_work[inner]
    return Traffic(tuple(accesses), tuple(by_multicast(x) for x in deliveries), tuple(deliveries),
                   tuple(float(x) for x in passed))


def _deliveries(tally: Tally, layer: int, instances: Fraction) -> tuple[Delivery, ...]:
    """What an average instance of `layer` sends."""
    return tuple(Delivery(key.members, key.groups, number(words / instances),
                          float(tally[Sent(layer, key.members, key.groups, True)] / instances))
                 for key, words in sorted(tally.items(), key=str)
                 if isinstance(key, Sent) and key.layer == layer and not key.by_hops)


# As Timeloop has it

@dataclass
class _Level:
    """What Timeloop knows about one level: words sent by entry, with the links they pass over; words
    that reach an average instance from above, and those that neighbours pass on."""

    entries: dict[Entry, float]
    hops: dict[Entry, float]
    fanout: int
    passed: float
    share: float = 0.0
    peers: float = 0.0
    content: float = field(init=False)

    def __post_init__(self) -> None:
        self.content = sum(self.entries.values())

    @property
    def received_below(self) -> float:
        """Words that all instances below receive."""
        return sum(words * members for (members, _), words in self.entries.items())

    def scale(self, factor: float) -> None:
        for counts in (self.entries, self.hops):
            for entry in counts:
                counts[entry] *= factor
        self.passed = 0.0
        self.content = sum(self.entries.values())


def sampled_traffic(case: Case) -> tuple[Traffic, int]:
    """What Timeloop derives from the first instance of every level (loop-analysis/tiling.cpp), and
    the points that one compute unit has, on average, below the first instances."""
    tallies = [case.tally(i, i + 1, {j: 0 for j, x in enumerate(case.loops)
                                     if x.spatial and x.level < i}, sampled=True)
               for i in range(case.levels)]
    levels = [_level(case, i, tally) for i, tally in enumerate(tallies)]
    for above, level in pairwise(levels):
        for (members, _), words in above.entries.items():
            level.share += words * members / above.fanout
    _bypass(case, levels)
    for i, (above, level) in enumerate(pairwise(levels), start=1):
        if i in case.kept:
            level.peers = above.passed / truncated_instances(case.loops, case.einsum.extent, i)
    shares = partitions(case.einsum, case.tensor, case.mapping)
    deliveries = tuple(tuple(Delivery(*entry, words, level.hops[entry])
                             for entry, words in sorted(level.entries.items())) for level in levels)
    accesses = tuple(_sampled_accesses(case, i, level, shares[i]) if i in case.kept else None
                     for i, level in enumerate(levels))
    points = tallies[-1][RECEIVED] // levels[-1].fanout
    return Traffic(accesses, tuple(by_multicast(x) for x in deliveries), deliveries,
                   tuple(level.passed for level in levels)), points


def _level(case: Case, index: int, tally: Tally) -> _Level:
    entries: dict[Entry, float] = {}
    hops: dict[Entry, float] = {}
    for key, words in tally.items():
        if isinstance(key, Sent):
            (hops if key.by_hops else entries)[key.members, key.groups] = words
    fanout = prod(x.factor for x in case.loops if x.spatial and x.level == index)
    return _Level(entries, hops, fanout, tally[PASSED])


def _sampled_accesses(case: Case, index: int, level: _Level, partition: int) -> Accesses:
    tile = footprint(case.tensor, case.mapping.tile(index, case.einsum.extent))
    block = case.mapping.blocks[index]
    return accesses_of(case.tensor, tile, partition, level.content, level.share, level.peers,
                       rules_of(block, case.tensor.name, index == case.kept[0],
                                case.elision))


def _bypass(case: Case, levels: list[_Level]) -> None:
    """What a level does not hold, or does not hold back, is asked of the next level outside: its
    entries are scaled to that. Levels outside of the first that keeps the tensor see nothing."""
    name, kept = case.tensor.name, case.kept
    for i in range(case.levels - 1, kept[0], -1):
        if i in kept and name not in case.mapping.blocks[i].no_coalesce:
            continue
        above, content = levels[i - 1], levels[i].content
        asked = above.received_below
        above.scale(content * above.fanout / asked if asked else 0.0)
    for level in levels[:kept[0]]:
        level.entries.clear()
        level.passed = 0.0
    levels[kept[0]].share = 0.0
