"""Traffic of nests that have no closed form: with remainders, or with directives that change what is
loaded. `walk` counts the words that cross each boundary; here they become reads, fills and updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, product
from math import prod
from typing import Any, Sequence

from ..mapping.nest import Mapping
from ..workload.einsum import Einsum, Tensor, footprint
from .links import Entry
from .points import PointWalk
from .remainder import Path, instances_at_work, paths, truncated_instances, words_touched
from .reuse import PlacedLoop
from .traffic import (
    Accesses,
    Delivery,
    Fabric,
    Rules,
    Traffic,
    accesses_of,
    by_multicast,
    number,
    partitions,
    rules_of,
)
from .walk import PASSED, RECEIVED, Boundary, Crossing, Sampled, Sent, Stride, Tally, Walk, add


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

    def rules(self, level: int) -> Rules:
        """How `level` treats the tensor."""
        return rules_of(self.mapping.blocks[level], self.tensor.name, level == self.kept[0],
                        self.elision)

    def tally(self, outer: int, inner: int, path: Path, sampled: bool) -> Tally:
        """Counts between one instance of level `outer`, where `path` leads, and the instances of
        level `inner` below it; `inner` may be one past the last level (the compute units)."""
        skew = next(((i, x.skew) for i, x in enumerate(self.mapping) if x.skew), None)
        walk = Walk(self.tensor, self.einsum.ranks, self.strides(inner, path),
                    self.boundary(outer, inner), sampled, skew)
        return walk.total(self.einsum.extents)

    def strides(self, inner: int, path: Path) -> list[Stride]:
        """The loops above level `inner`; spatial ones stand still where `path` leads."""
        return [Stride(self.einsum.ranks.index(x.rank), x.factor, x.inside, x.step(self.tensor),
                       x.level, x.spatial, path.get(i))
                for i, x in enumerate(self.loops) if x.level < inner]

    def boundary(self, outer: int, inner: int) -> Boundary:
        """What lies between two levels."""
        crossings = tuple(Crossing(i, self.fabrics[i].multicast, self.meshes[i])
                          for i in range(outer, inner))
        buffered = inner < self.levels
        reuse = buffered and self.tensor.name not in self.mapping.blocks[inner].no_temporal_reuse
        array = self.fabrics[inner - 1]
        spread = any(x.spatial and x.level == inner - 1 for x in self.loops)
        return Boundary(crossings, buffered, reuse, spread and array.linked_width is not None, array.torus)


# As it is

def exact_traffic(case: Case) -> Traffic:
    """What happens on every instance of every level, as an average over those at work."""
    all_instances = _all_points if case.einsum.flattened else _all_instances
    levels, extent = case.levels, case.einsum.extent
    accesses: list[Accesses | None] = [None] * levels
    deliveries: list[tuple[Delivery, ...]] = [()] * levels
    sent: list[dict[int, float]] = [{}] * levels
    passed = [0.0] * levels
    at_work = [instances_at_work(case.loops, extent, i) for i in range(levels + 1)]
    shares = partitions(case.einsum, case.tensor, case.mapping)
    received = peers = Fraction(0)
    for level, inner in zip(case.kept, [*case.kept[1:], levels], strict=True):
        tally, visited = all_instances(case, level, inner)
        for i in range(level, inner):
            deliveries[i], sent[i] = _average(tally, i, at_work[i], case.fabrics[i].mesh is not None)
        passed[inner - 1] = float(tally[PASSED] / at_work[inner - 1])
        content = sum(_entries(tally, level).values()) / at_work[level]
        accesses[level] = accesses_of(
            case.tensor, case.einsum.tile_words(case.tensor, case.mapping.tile(level, extent)),
            visited / at_work[level] if case.tensor.is_output else shares[level],
            content, received, peers, case.rules(level))
        peers = tally[PASSED] / at_work[inner]
        received = tally[RECEIVED] / at_work[inner] - peers
    return Traffic(tuple(accesses), tuple(sent), tuple(deliveries), tuple(passed))


def _all_instances(case: Case, level: int, inner: int) -> tuple[Tally, int]:
    """Counts of all instances of `level` together, and the distinct words of an output that they
    ever hold."""
    total: Tally = dict.fromkeys((PASSED, RECEIVED), 0)
    visited = 0
    for count, path in paths(case.loops, case.einsum.extent, level):
        add(total, case.tally(level, inner, path, sampled=False), count)
        if case.tensor.is_output:
            visited += count * words_touched(case.tensor, case.loops, case.einsum.extent, level, path)
    return total, visited


def _all_points(case: Case, level: int, inner: int) -> tuple[Tally, int]:
    """The same where ranks are flattened, and no two instances are alike."""
    total: Tally = dict.fromkeys((PASSED, RECEIVED), 0)
    visited = 0
    above = [i for i, x in enumerate(case.loops) if x.spatial and x.level < level]
    for index in product(*(range(case.loops[i].factor) for i in above)):
        strides = case.strides(inner, dict(zip(above, index, strict=True)))
        tally, touched = PointWalk(case.einsum, case.tensor, strides, case.boundary(level, inner)).total()
        add(total, tally, 1)
        visited += len(touched)
    return total, visited


def _average(tally: Tally, layer: int, instances: Fraction,
             count_hops: bool) -> tuple[tuple[Delivery, ...], dict[int, float]]:
    """What an average instance of `layer` sends, by entry and by multicast factor."""
    words, hops = _entries(tally, layer), _entries(tally, layer, by_hops=True)
    sent: dict[int, int] = {}
    for (members, _), count in sorted(words.items()):
        sent[members] = sent.get(members, 0) + count
    return (tuple(Delivery(*entry, number(count / instances),
                           float(hops[entry] / instances) if count_hops else None)
                  for entry, count in sorted(words.items())),
            {members: number(count / instances) for members, count in sent.items()})


def _entries(tally: Tally, layer: int, by_hops: bool = False) -> dict[Entry, Any]:
    """What `layer` sends, by entry."""
    return {(key.members, key.groups): count for key, count in tally.items()
            if isinstance(key, Sent) and key.layer == layer and key.by_hops == by_hops}


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
    deliveries = tuple(tuple(Delivery(*entry, words, level.hops[entry] if fabric.mesh else None)
                             for entry, words in sorted(level.entries.items()))
                       for level, fabric in zip(levels, case.fabrics, strict=True))
    accesses = tuple(_sampled_accesses(case, i, level, shares[i]) if i in case.kept else None
                     for i, level in enumerate(levels))
    points = tallies[-1][RECEIVED] // levels[-1].fanout // _places(tallies[-1])
    return Traffic(accesses, tuple(by_multicast(x) for x in deliveries), deliveries,
                   tuple(level.passed for level in levels)), points


def _level(case: Case, index: int, tally: Tally) -> _Level:
    fanout = prod(x.factor for x in case.loops if x.spatial and x.level == index)
    places = _places(tally)
    words, hops = _entries(tally, index), _entries(tally, index, by_hops=True)
    if places > 1:
        words = {entry: count / places for entry, count in words.items()}
        hops = {entry: count / places for entry, count in hops.items()}
    return _Level(words, hops, fanout, tally[PASSED] // places)


def _places(tally: Tally) -> int:
    """Instances that the program takes a skewed one for: it averages over all places where the first
    instance ever stood, as if each had stood there all the time."""
    return sum(isinstance(key, Sampled) for key in tally) or 1


def _sampled_accesses(case: Case, index: int, level: _Level, partition: int) -> Accesses:
    tile = footprint(case.tensor, case.mapping.tile(index, case.einsum.extent))
    return accesses_of(case.tensor, tile, partition, level.content, level.share, level.peers,
                       case.rules(index))


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
