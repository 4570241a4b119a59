"""Walks a loop nest and counts the words of one tensor that cross one boundary between two levels.

This is the general account of what `reuse` and `links` say in closed form about perfect nests. Loops
may have remainders: a rank is then not a whole number of tiles, the last tile is cut off, and an
instance whose tile lies outside of the rank has nothing to do. The walk carries how much of each rank
is left inside the current iteration (the *room*), so that it never needs absolute positions, and walks
that start alike are walked once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import prod
from operator import itemgetter
from typing import Any, Hashable, Iterable, Sequence
from typing import Mapping as MappingOf

from ..mapping.nest import Skew
from ..workload.einsum import Tensor
from .hops import hops
from .reuse import Vector
from .spans import Points, Span, new_words, opposite, shift, volume

#: What an instance loads.
Load = Span | Points | None
#: Coordinates of each rank that exist inside an iteration; None where nothing is left of one.
Room = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Stride:
    """A loop of the walk. `rank` counts the ranks of the Einsum; an iteration spans `inside` of its
    coordinates and moves the tensor by `step`. `layer` is the storage level it belongs to. A spatial
    loop above the boundary stands at index `fixed`; one below it (None) runs over all instances."""

    rank: int
    factor: int
    inside: int
    step: Vector
    layer: int
    spatial: bool = False
    fixed: int | None = None

    def cut(self, room: Room, index: int) -> Room:
        """The room inside iteration `index`."""
        if room is None or room[self.rank] <= index * self.inside:
            return None
        left = min(room[self.rank] - index * self.inside, self.inside)
        return (*room[:self.rank], left, *room[self.rank + 1:])


@dataclass(frozen=True, slots=True)
class Held:
    """What an instance remembers: the box that it holds and the last move of that box."""

    box: Span | None = None
    move: Vector | None = None

    def shifted(self, by: Vector) -> Held:
        return Held(shift(self.box, by), self.move)


@dataclass(frozen=True, slots=True)
class Memory:
    """What all instances below the boundary remember, each under a key, and what was loaded in the
    step before, by position in the mesh."""

    held: tuple[tuple[Hashable, Held], ...] = ()
    before: tuple[tuple[int, Span | None], ...] = ()

    def shifted(self, by: Vector) -> Memory:
        if not any(by):
            return self
        return Memory(tuple((key, x.shifted(by)) for key, x in self.held),
                      tuple((i, shift(box, by)) for i, box in self.before))


@dataclass(frozen=True, slots=True)
class Sent:
    """Key of a tally: words that instances of level `layer` send to `members` instances at once, in
    `groups` groups of that size; `by_hops`: multiplied by the links that they pass over."""

    layer: int
    members: int
    groups: int
    by_hops: bool = False


@dataclass(frozen=True, slots=True)
class Sampled:
    """Key of a tally: the instance above the boundary that was looked at stood at `place`."""

    place: int


#: Other keys of a tally: words that neighbours passed on, words that arrived from above.
PASSED, RECEIVED = "passed", "received"

#: Counts by key; all but those with hops are integers.
Tally = dict[Hashable, Any]


@dataclass(frozen=True, slots=True)
class Crossing:
    """The network below one level: whether a word sent may reach several instances, and the width
    and height of the mesh that they stand in."""

    layer: int
    multicast: bool
    mesh: tuple[int, int]


@dataclass(frozen=True)
class Boundary:
    """What lies between two levels: the networks crossed, outermost first.

    `buffered`: the instances below hold tiles, else they are units that keep nothing. `reuse`: what
    is still held is not loaded again. `linked`: neighbours pass words on; `torus`: so do those at
    the two ends of a row or column.
    """

    crossings: tuple[Crossing, ...]
    buffered: bool
    reuse: bool = True
    linked: bool = False
    torus: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """Where the walk is: the room of each instance (of one, until loops are spread); how far the
    temporal loops turn a skewed array, and where they put the instance above the boundary."""

    rooms: tuple[Room, ...]
    turn: int = 0
    place: int | None = None


class Turning:
    """Where the skew of level `layer` puts instances; without a skew, where they are."""

    def __init__(self, column: dict[str, int], skew: Skew | None = None, layer: int = -1) -> None:
        self.layer = layer
        self.modulo = skew.modulo if skew else 0
        terms = skew.terms if skew else ()
        self.start = sum(x.constant for x in terms if x.rank is None)
        self.by_rank = [(column[x.rank], x.spatial, x.constant) for x in terms if x.rank is not None]

    def of(self, stride: Stride) -> int:
        """How far one iteration turns the array."""
        return sum(constant for rank, spatial, constant in self.by_rank
                   if (rank, spatial, self.layer) == (stride.rank, stride.spatial, stride.layer))

    def place(self, turn: int) -> int:
        return (self.start + turn) % self.modulo


class Walk:
    """One boundary of one tensor.

    Parameters
    ----------
    tensor : Tensor
    ranks : names of the ranks, in the order of `Room`
    strides : the loops above the instances, outermost first
    boundary : Boundary
    sampled : walk as Timeloop does (loop-analysis/nest-analysis.cpp). Only the first instance is
        looked at, the others are taken to be its translations; when the last pass of a loop is cut
        off, the walk jumps there, and counts it like any other if only the loops inside have
        remainders. Otherwise every instance is followed through every kind of pass.
    skew : (level, how the instances below it change places as its loops advance); with `sampled`
    """

    def __init__(self, tensor: Tensor, ranks: Sequence[str], strides: Sequence[Stride],
                 boundary: Boundary, sampled: bool, skew: tuple[int, Skew] | None = None) -> None:
        self.tensor = tensor
        self.column = {rank: i for i, rank in enumerate(ranks)}
        self.strides = tuple(strides)
        self.boundary = boundary
        self.sampled = sampled
        self.spread = [s for s in strides if s.spatial and s.fixed is None]
        self.turning = Turning(self.column, skew[1], skew[0]) if skew else Turning(self.column)
        self.offsets, self.turns = [(0,) * len(tensor.projection)], [0]
        for stride in self.spread:
            self.offsets = [tuple(a + q * b for a, b in zip(offset, stride.step, strict=True))
                            for offset in self.offsets for q in range(stride.factor)]
            self.turns = [turn + q * self.turning.of(stride)
                          for turn in self.turns for q in range(stride.factor)]
        self.known: dict[Hashable, tuple[Tally, Memory]] = {}

    def total(self, extents: Sequence[int]) -> Tally:
        """Counts of a walk through the whole nest."""
        return self.run(0, Position((tuple(extents),)), Memory())[0]

    def run(self, depth: int, here: Position, memory: Memory) -> tuple[Tally, Memory]:
        """Counts of the loops from `depth` inwards, and what is remembered afterwards."""
        key = depth, here, memory
        if key not in self.known:
            self.known[key] = self.step(depth, here, memory) if any(here.rooms) else ({}, memory)
        return self.known[key]

    def step(self, depth: int, here: Position, memory: Memory) -> tuple[Tally, Memory]:
        """The same, not looked up."""
        if depth == len(self.strides):
            return self.deliver(here, memory)
        stride = self.strides[depth]
        if not stride.spatial:
            return self.iterate(depth, stride, here, memory)
        if stride.fixed is not None:
            return self.at_instance(depth, stride, here, memory)
        spread = tuple(stride.cut(room, i) for room in here.rooms for i in range(stride.factor))
        return self.run(depth + 1, replace(here, rooms=spread), memory)

    def at_instance(self, depth: int, stride: Stride, here: Position,
                    memory: Memory) -> tuple[Tally, Memory]:
        """Go on inside one instance above the boundary."""
        assert stride.fixed is not None
        by = tuple(stride.fixed * x for x in stride.step)
        place = self.turning.place(here.turn) if stride.layer == self.turning.layer else here.place
        inner = Position(tuple(stride.cut(r, stride.fixed) for r in here.rooms), here.turn, place)
        tally, memory = self.run(depth + 1, inner, memory.shifted(opposite(by)))
        return tally, memory.shifted(by)

    def iterate(self, depth: int, stride: Stride, here: Position,
                memory: Memory) -> tuple[Tally, Memory]:
        """Run a temporal loop: its first iteration, its second, which stands for all that are like
        it, and those that are cut off."""
        tally: Tally = {}
        at, turn = 0, self.turning.of(stride)
        feeds = depth + 1 == len(self.strides) and stride.layer == self.boundary.crossings[-1].layer
        for index, repeat, direct in self.passes(stride, here.rooms):
            distance = index - at if self.sampled else min(index, 1)
            memory = memory.shifted(tuple(-distance * x for x in stride.step))
            inner = Position(tuple(stride.cut(r, index) for r in here.rooms),
                             here.turn + index * turn, here.place)
            found, memory = self.run(depth + 1, inner, memory)
            add(tally, found, direct if feeds else repeat)
            at = index
        return tally, memory.shifted(tuple(at * x for x in stride.step))

    def passes(self, stride: Stride, rooms: tuple[Room, ...]) -> list[tuple[int, int, int]]:
        """The iterations to look at: (index, how many it stands for, the same when the loop itself
        is the one that feeds the boundary)."""
        left = [room[stride.rank] for room in rooms if room]
        count = -(-max(left) // stride.inside)
        if self.turning.of(stride):
            return [(i, 1, 1) for i in range(count)]
        if self.sampled:
            return sampled_passes(count, count < stride.factor, left[0] % stride.inside != 0
                                  and left[0] < count * stride.inside)
        starts = {0, 1} | {x // stride.inside for x in left} | {-(-x // stride.inside) for x in left}
        ordered = sorted(x for x in starts if x < count)
        ends = [*ordered[1:], count]
        return [(start, end - start, end - start) for start, end in zip(ordered, ends, strict=True)]

    # What happens inside all loops

    def deliver(self, here: Position, memory: Memory) -> tuple[Tally, Memory]:
        """Every instance gets what it needs at this position."""
        held = dict(memory.held)
        load = self.load_first if self.sampled else self.load_all
        boxes = load(here, held)
        tally = self.meet(boxes, dict(memory.before))
        if here.place is not None:
            tally[Sampled(here.place)] = 1
        return tally, Memory(tuple(held.items()), self.remembered(boxes, memory.before))

    def remembered(self, boxes: MappingOf[int, Span | None],
                   before: Iterable[tuple[int, Span | None]]) -> tuple[tuple[int, Span | None], ...]:
        """What neighbours can pass on in the next step; an array that idles keeps what it had."""
        if not self.boundary.linked:
            return ()
        awake = {self.array(i) for i in boxes}
        asleep = [(i, box) for i, box in before if self.array(i) not in awake]
        return tuple(sorted([*asleep, *boxes.items()], key=itemgetter(0)))

    def meet(self, boxes: MappingOf[int, Load], before: MappingOf[int, Load]) -> Tally:
        """Counts of one step in which instances load `boxes`, after they loaded those `before`."""
        asking = self.without_neighbours(boxes, before) if self.boundary.linked else boxes
        tally = self.climb(asking)
        tally[PASSED] = sum(volume(boxes[i]) for i in boxes.keys() - asking.keys())
        tally[RECEIVED] = sum(map(volume, boxes.values()))
        return tally

    def load_all(self, here: Position, held: dict[Hashable, Held]) -> dict[int, Span | None]:
        """What each instance loads, by its number."""
        boxes: dict[int, Span | None] = {}
        for i, room in enumerate(here.rooms):
            if room:
                boxes[i], held[i] = self.load(self.tile(room, self.offsets[i]), held.get(i, Held()))
        return boxes

    def load_first(self, here: Position, held: dict[Hashable, Held]) -> dict[int, Span | None]:
        """What the first instance loads, and its translations. They are numbered one after another,
        also where some are absent, but for a skew."""
        present = [i for i, room in enumerate(here.rooms) if room]
        places = list(range(len(present)))
        if self.spread and self.spread[0].layer == self.turning.layer:
            places = [self.turning.place(here.turn + self.turns[i]) for i in present]
        first, key = present[0], (here.place, places[0])
        room = here.rooms[first]
        assert room is not None
        box, held[key] = self.load(self.tile(room, self.offsets[first]), held.get(key, Held()))
        return {place: shift(box, self.offsets[i])
                for place, i in zip(places, present, strict=True)}

    def tile(self, room: tuple[int, ...], offset: Vector) -> Span:
        """The box that a tile of extents `room` covers."""
        span = []
        for axis, start in zip(self.tensor.projection, offset, strict=True):
            reach = [x.coefficient * (room[self.column[x.rank]] - 1) for x in axis]
            span.append((start + sum(min(x, 0) for x in reach),
                         start + sum(max(x, 0) for x in reach) + 1))
        return tuple(span)

    def load(self, need: Span, held: Held) -> tuple[Span | None, Held]:
        """What an instance must load to hold the box `need`, and what it remembers.

        As long as its box makes the same move, only words that are new to it are loaded. After a
        different move the box is loaded whole and the move forgotten.
        """
        if not self.boundary.buffered or not self.boundary.reuse:
            return need, held
        if held.box is None:
            return need, Held(need)
        move = tuple(new[0] - old[0] for new, old in zip(need, held.box, strict=True))
        if any(move) and held.move not in (None, move):
            return need, Held(need)
        return new_words(need, held.box), Held(need, move if any(move) else held.move)

    def climb(self, boxes: MappingOf[int, Load]) -> Tally:
        """Words sent at every level crossed, when the instances in `boxes` ask for those boxes. Equal
        requests of siblings are met at once, and go on upwards as one."""
        tally: Tally = {}
        requests: dict[int, Hashable] = {i: box for i, box in boxes.items() if volume(box)}
        sizes: dict[Hashable, int] = {box: volume(box) for box in boxes.values()}
        for crossing in reversed(self.boundary.crossings):
            requests, sizes = self.merge(crossing, requests, sizes, tally)
        return tally

    def merge(self, crossing: Crossing, requests: dict[int, Hashable], sizes: dict[Hashable, int],
              tally: Tally) -> tuple[dict[int, Hashable], dict[Hashable, int]]:
        """Count what the instances of one level send for `requests`, of so many words each; what they
        ask for in turn, and its words."""
        fanout = prod(s.factor for s in self.spread if s.layer == crossing.layer)
        families: dict[int, dict[Hashable, list[int]]] = defaultdict(lambda: defaultdict(list))
        for i, request in requests.items():
            families[i // fanout][request].append(i % fanout)
        bundles: dict[int, Hashable] = {}
        bundled: dict[Hashable, int] = {}
        for parent, family in families.items():
            groups = [(sizes[request], group) for request, members in family.items()
                      for group in ([members] if crossing.multicast else [[i] for i in members])]
            for size, number in Counter(len(group) for _, group in groups).items():
                alike = [(words, group) for words, group in groups if len(group) == size]
                words = sum(words for words, _ in alike)
                way = sum(hops(group, *crossing.mesh) for _, group in alike) if fanout > 1 else 0.0
                entry = Sent(crossing.layer, size, number)
                add(tally, {entry: words, replace(entry, by_hops=True): words * way / number}, 1)
            bundle = frozenset((request, 1 if crossing.multicast else len(members))
                               for request, members in family.items())
            bundles[parent] = bundle
            bundled[bundle] = sum(number * sizes[request] for request, number in bundle)
        return bundles, bundled

    def without_neighbours(self, boxes: MappingOf[int, Load],
                           before: MappingOf[int, Load]) -> dict[int, Load]:
        """The requests that no neighbour can meet with what it received in the step before; all of
        an array, unless that saves the level above it some words."""
        arrays: dict[int, dict[int, Load]] = defaultdict(dict)
        for i, box in boxes.items():
            arrays[self.array(i)][i] = box
        found: dict[int, Load] = {}
        for first, array in arrays.items():
            asking = {i: box for i, box in array.items() if box is None or all(
                before.get(j) != box for j in self.neighbours(i, first))}
            found |= asking if self.load_of(asking) < self.load_of(array) else array
        return found

    def load_of(self, boxes: MappingOf[int, Load]) -> int:
        """Words that the level above sends to meet these requests."""
        found: Iterable[Load] = boxes.values()
        return sum(map(volume, set(found) if self.boundary.crossings[-1].multicast else found))

    def array(self, i: int) -> int:
        """The first instance of the array that instance `i` stands in; there are several where levels
        between do not hold the tensor."""
        if len(self.boundary.crossings) == 1:
            return 0
        size = prod(s.factor for s in self.spread if s.layer == self.boundary.crossings[-1].layer)
        return i - i % size

    def neighbours(self, i: int, first: int) -> list[int]:
        """Seats around instance `i` of the array that begins with instance `first`."""
        width, height = self.boundary.crossings[-1].mesh
        x, y = (i - first) % width, (i - first) // width
        seats = [(x - 1, y), (x + 1, y)] * (width > 1) + [(x, y - 1), (x, y + 1)] * (height > 1)
        if self.boundary.torus:
            seats = [(u % width, v % height) for u, v in seats]
        near = [v * width + u for u, v in seats if 0 <= u < width and 0 <= v < height]
        return [first + j for j in near if self.array(first + j) == first]


def sampled_passes(count: int, short: bool, cut_off: bool) -> list[tuple[int, int, int]]:
    """Timeloop's choice of iterations for a loop of `count` iterations. `cut_off`: the tile of the
    last one is; `short`: the loop itself has fewer iterations than in other passes."""
    if not cut_off:
        return [(0, 1, 1), (1, count - 1, count - 1)][:count]
    if short and count >= 4:
        return [(0, 1, 1), (1, count - 3, count - 2), (count - 2, 1, 0), (count - 1, 1, 1)]
    if not short and count >= 3:
        return [(0, 1, 1), (1, count - 2, count - 1), (count - 1, 1, 0)]
    return [(i, 1, 1) for i in range(count)]


def add(tally: Tally, other: Tally, times: int) -> None:
    """Add `times` the counts of `other` to `tally`."""
    for key, count in other.items():
        tally[key] = tally.get(key, 0) + count * times
