"""Words that neighbours pass on to each other instead of asking the level above for them.

An instance takes what it needs from one of its four neighbours when that neighbour received exactly
the same box of words in the step before. The rules are Timeloop's (loop-analysis/
nest-analysis.cpp), its economies included: the second iteration of a loop stands for all later ones,
so that the steps of a nest fall into a few kinds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import product
from typing import Iterator, Sequence
from typing import Mapping as MappingOf

from ..workload.einsum import Tensor
from .hops import hops
from .reuse import Advance, PlacedLoop, Vector, advances, tile_sides

#: Multicast factor, and the number of groups of that size in the same step.
Entry = tuple[int, int]


@dataclass(frozen=True)
class Deliveries:
    """How all instances below one instance of a level received a tensor: `sent` from the level, in
    words by entry; `passed` on by neighbours, in words. `hops` are the links that all words sent
    passed over together, by entry (empty: nobody asked)."""

    sent: MappingOf[Entry, int]
    passed: int
    hops: MappingOf[Entry, float]


def neighbour_deliveries(tensor: Tensor, around: Sequence[PlacedLoop],
                         spatial: Sequence[PlacedLoop], tile: MappingOf[str, int] | None,
                         width: int, multicast: bool,
                         mesh: tuple[int, int] | None = None) -> Deliveries | None:
    """Deliveries over a network whose neighbours are linked; None when the links carry nothing.

    Parameters
    ----------
    tensor : Tensor
    around : the temporal loops above the instances, outermost first
    spatial : the loops that are spread over the instances, outermost first (y before x)
    tile : rank extents of the tile of one instance; None for compute units, which keep nothing and
        ask for a word in every step
    width : instances in one row of the mesh; the rows are filled one after another
    multicast : whether a word sent can reach several instances
    mesh : width and height of the mesh, where hops are to be counted
    """
    if not spatial or not around:
        return None
    offsets = _offsets(tensor, spatial)
    near = _neighbours(len(offsets), width)
    sent: Counter[Entry] = Counter()
    far: dict[Entry, float] = defaultdict(float)
    passed = 0
    known: dict[Vector | None, list[int]] = {}
    for times, words, shift in _steps(tensor, around, tile):
        if shift not in known:
            known[shift] = _without_neighbour(offsets, near, shift, multicast)
        asking = known[shift]
        length = _entry_hops(offsets, asking, multicast, mesh)
        sizes = _group_sizes([offsets[i] for i in asking], multicast)
        for members, groups in Counter(sizes).items():
            sent[members, groups] += groups * words * times
            far[members, groups] += length.get((members, groups), 0.0) * words * times
        passed += (len(offsets) - len(asking)) * words * times
    if not passed:
        return None
    return Deliveries(dict(sorted(sent.items())), passed, dict(far) if mesh else {})


def group_hops(tensor: Tensor, spatial: Sequence[PlacedLoop], multicast: bool,
               mesh: tuple[int, int] | None) -> MappingOf[Entry, float]:
    """Links that one word for each group passes over, all groups together, by entry.

    `spatial` are the loops spread over the instances, outermost first (y before x). Empty when
    `mesh`, its width and height, is None: hops are not asked for.
    """
    if mesh is None:
        return {}
    offsets = _offsets(tensor, spatial)
    return _entry_hops(offsets, range(len(offsets)), multicast, mesh) if spatial else {(1, 1): 0.0}


def _entry_hops(offsets: Sequence[Vector], asking: Sequence[int], multicast: bool,
                mesh: tuple[int, int] | None) -> dict[Entry, float]:
    """Hops of all groups of instances that are sent a word at once, by entry."""
    if mesh is None:
        return {}
    groups: dict[object, list[int]] = defaultdict(list)
    for i in asking:
        groups[offsets[i] if multicast else i].append(i)
    by_size: dict[int, list[float]] = defaultdict(list)
    for members in groups.values():
        by_size[len(members)].append(hops(members, *mesh))
    return {(size, len(found)): sum(found) for size, found in by_size.items()}


def _offsets(tensor: Tensor, spatial: Sequence[PlacedLoop]) -> list[Vector]:
    """How far the tile of each instance lies from that of the first, in the order of the mesh."""
    steps = [loop.step(tensor) for loop in spatial]
    return [tuple(sum(i * step[axis] for i, step in zip(index, steps, strict=True))
                  for axis in range(len(tensor.projection)))
            for index in product(*(range(loop.factor) for loop in spatial))]


def _neighbours(count: int, width: int) -> list[list[int]]:
    """The neighbours of each of `count` instances that fill rows of `width`."""
    return [[j for j, exists in ((i - 1, i % width), (i + 1, (i + 1) % width),
                                 (i - width, i >= width), (i + width, True)) if exists and j < count]
            for i in range(count)]


def _steps(tensor: Tensor, around: Sequence[PlacedLoop],
           tile: MappingOf[str, int] | None) -> Iterator[tuple[int, int, Vector | None]]:
    """The kinds of steps in which something is needed: how often, how many words by each instance,
    and how far from an instance another must stand to have had just these words in the step before
    (None: nobody had).

    Any loop but the innermost advances right after the innermost has; the innermost advances after
    any other, or after the first step of all. Boxes with the same sides lie at the same place in
    their tiles, so that the move of the tile is the distance between them.
    """
    whole = tile_sides(tensor, tile or {})
    start = Advance(1, (0,) * len(whole), whole)
    kinds = advances(tensor, around, tile or {})
    if tile is None:
        kinds = tuple(Advance(x.times, x.move, whole) for x in kinds)
    *outer, innermost = kinds
    again = around[-1].factor - 1
    pairs = [(x.times, x, innermost) for x in outer]
    pairs += [(x.times * again, innermost, x) for x in (start, *outer)]
    yield 1, start.words, None
    for times, now, before in pairs:
        if now.sides is not None:
            yield times, now.words, now.move if before.sides == now.sides else None


def _without_neighbour(offsets: Sequence[Vector], near: Sequence[Sequence[int]],
                       shift: Vector | None, multicast: bool) -> list[int]:
    """The instances that ask the level above: all of them, unless the links save it some words."""
    everyone = list(range(len(offsets)))
    if shift is None:
        return everyone
    asking = []
    for i, offset in enumerate(offsets):
        source = tuple(a + b for a, b in zip(offset, shift, strict=True))
        if all(offsets[j] != source for j in near[i]):
            asking.append(i)
    before = _group_sizes(offsets, multicast)
    after = _group_sizes([offsets[i] for i in asking], multicast)
    return asking if len(after) < len(before) else everyone


def _group_sizes(offsets: Sequence[Vector], multicast: bool) -> list[int]:
    """Sizes of the groups of instances that are sent a word at once."""
    return list(Counter(offsets).values()) if multicast else [1] * len(offsets)
