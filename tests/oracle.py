"""An oracle for the access counts: walks the loops of a small mapping and moves data about.

Nothing here is shared with `tilebound.model`. Every instance of every level has a buffer a kept
tensor, holding a set of coordinates. A step of the nest makes buffers ask for what they lack; a
request climbs to the nearest level above that keeps the tensor, merged on its way with the equal
requests of siblings; the words are counted where they are sent and where they arrive.

Where neighbours are linked, an instance takes a request from a neighbour that made the same one in
the step before, if that saves the level above some words.

Three conventions of the reference program are obeyed. A buffer whose box moves fetches only what is
new when the box slides along one tensor axis, unless the move differs from the last one that it
remembers: then it fetches all and forgets. The second iteration of a loop stands for all later
ones: each begins as the second did, and when an outer loop advances, the loops inside are taken to
have stood at their second; for loops of two iterations that is the plain truth. And of the words
that neighbours pass on, only those below the first instance of the level above are seen.

A nest with remainders is walked as it is: iterations that do not exist are left out, tiles are cut
off at the end of a rank, instances outside of it idle. The second convention is then not followed, nor
is the last, and what an array received last it can pass on after idling.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache
from itertools import product
from math import floor
from typing import Collection

from tilebound.hardware.architecture import Architecture
from tilebound.mapping.nest import Mapping
from tilebound.workload.einsum import Einsum, Tensor

Point = tuple[int, ...]
#: Spatial position: loop indices by rank-and-stride pairs, one entry a level crossed.
Instance = tuple[tuple[int, ...], ...]
#: Coordinates, or what several children ask for together: requests with their number.
Request = frozenset


@dataclass
class Count:
    """Words that one (average) instance of a level moved for one tensor."""

    reads: int = 0
    fills: int = 0
    updates: int = 0
    tile_words: int = 0
    distinct_words: int = 0   # coordinates that it ever held


@dataclass
class Result:
    """Counts by (level, tensor); words sent by one instance by (level, tensor) and multicast
    factor; points computed and the steps that took; words that neighbours passed on."""

    counts: dict[tuple[str, str], Count] = field(default_factory=dict)
    sent: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    macs: int = 0
    steps: int = 0
    passed: int = 0
    #: The same over all instances of a level, which need not do the same amount of work.
    totals: dict[tuple[str, str], Count] = field(default_factory=dict)
    sent_by_all: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)


@dataclass
class Buffer:
    """What one instance of a level holds of one tensor."""

    low: Point | None = None       # first corner of the box
    shape: Point = ()
    move: Point | None = None      # the last move remembered
    held: set[Point] = field(default_factory=set)      # coordinates ever held
    updated: set[Point] = field(default_factory=set)   # output coordinates ever updated


@dataclass(frozen=True)
class State:
    """What the next step depends on: low corner and move of buffers, and the last requests."""

    buffers: dict[tuple[int, str, Instance], tuple[Point | None, Point | None]]
    before: dict[tuple[int, str], dict[Instance, Request]]


def shifted(point: Point, by: Point) -> Point:
    return tuple(a + b for a, b in zip(point, by, strict=True))


@lru_cache(maxsize=100_000)
def points(low: Point, shape: Point) -> Request:
    """All coordinates of a box."""
    return frozenset(product(*(range(a, a + n) for a, n in zip(low, shape, strict=True))))


@lru_cache(maxsize=100_000)
def missing(need: Point, shape: Point, low: Point, held: Point) -> Request:
    """What a box at `need` has and another at `low` has not."""
    return points(need, shape) - points(low, held)


def words(request: Request, depth: int) -> int:
    """Words in a request that `depth` bypassed levels have bundled."""
    if not depth:
        return len(request)
    return sum(number * words(inner, depth - 1) for inner, number in request)


def coordinates(request: Request, depth: int) -> set[Point]:
    """The distinct coordinates in a request that `depth` bypassed levels have bundled."""
    if not depth:
        return set(request)
    return {x for inner, _ in request for x in coordinates(inner, depth - 1)}


def simulate(architecture: Architecture, einsum: Einsum, mapping: Mapping,
             all_arrays: bool = False) -> Result:
    """Run the nest of `mapping` and count what moves; with `all_arrays`, the last convention is not
    followed."""
    machine = Machine(architecture, einsum, mapping, all_arrays)
    machine.walk(0, 0)
    return machine.result()


class Machine:
    """All buffers of an architecture, and the position of the nest."""

    def __init__(self, architecture: Architecture, einsum: Einsum, mapping: Mapping,
                 all_arrays: bool) -> None:
        self.einsum = einsum
        self.all_arrays = all_arrays or not mapping.perfect
        self.blocks = mapping.blocks
        self.perfect = all(x.residual is None for block in mapping for x in block.loops)
        self.depth = len(self.blocks)
        # A level of which some tensors are cut further out than others has several blocks in a row.
        at = [architecture.level_index(block.level) for block in self.blocks]
        self.multicast = [architecture.levels[i].network.multicast for i in at]
        self.now = dict.fromkeys(einsum.ranks, 0)      # position, from the temporal loops
        self.strides = self.loop_strides(mapping)
        self.places = self.instance_places()
        self.home = {t.name: min(i for i, b in enumerate(self.blocks) if t.name in b.keep)
                     for t in einsum.tensors}
        self.shapes = [self.tile_shapes(mapping, i) for i in range(self.depth + 1)]
        self.buffers = {(i, t.name, place): Buffer() for i, block in enumerate(self.blocks)
                        for t in einsum.tensors if t.name in block.keep for place in self.places[i]}
        self.sent: dict[tuple[int, str], Counter[int]] = defaultdict(Counter)
        self.total: dict[tuple[int, str], Count] = defaultdict(Count)
        # Over linked networks: what each instance asked for in the step before, and the words that
        # the reference does not see.
        self.linked = {(i, t.name) for i, own in enumerate(at) for t in einsum.tensors
                       if architecture.levels[own].network.links and t.name not in mapping.blocks[i].no_links}
        self.widths = [architecture.fanout(i)[0] for i in at]
        self.before: dict[tuple[int, str], dict[Instance, Request]] = {}
        self.unseen: Counter[tuple[int, str]] = Counter()
        self.visited: set[Point] = set()
        self.macs = self.steps = self.passed = 0

    def loop_strides(self, mapping: Mapping) -> list[list[int]]:
        """How far each loop of each block moves its rank: the product of what is inside it."""
        inner = dict.fromkeys(self.einsum.ranks, 1)
        strides = []
        for block in reversed(mapping.blocks):
            row = []
            for loop in reversed(block.loops):
                row.append(inner[loop.rank])
                inner[loop.rank] *= loop.factor
            strides.append(row[::-1])
        return strides[::-1]

    def instance_places(self) -> list[dict[Instance, dict[str, int]]]:
        """By level (compute last): every instance at work, with the offset of each rank there."""
        places: list[dict[Instance, dict[str, int]]] = [{(): dict.fromkeys(self.einsum.ranks, 0)}]
        for block, strides in zip(self.blocks, self.strides, strict=True):
            steps = strides[len(block.temporal):]
            inner = {}
            for place, offset in places[-1].items():
                for index in product(*(range(x.factor) for x in block.spatial)):
                    there = dict(offset)
                    for loop, i, stride in zip(block.spatial, index, steps, strict=True):
                        there[loop.rank] += i * stride
                    inner[(*place, index)] = there
            places.append(inner)
        return places

    def tile_shapes(self, mapping: Mapping, level: int) -> dict[str, Point]:
        """Shape of the box of each tensor that one instance of `level` needs at a time."""
        size = dict.fromkeys(self.einsum.ranks, 1)
        for block in mapping.blocks[level:]:
            for loop in block.loops:
                size[loop.rank] *= loop.factor
        return {t.name: tuple(1 + sum(abs(x.coefficient) * (size[x.rank] - 1) for x in axis)
                              for axis in t.projection) for t in self.einsum.tensors}

    # The walk

    def walk(self, level: int, depth: int) -> None:
        """Run the temporal loops of `level` from the one at `depth` inwards."""
        block = self.blocks[level]
        if depth == len(block.temporal):
            self.feed(level)
            if level + 1 < self.depth:
                self.walk(level + 1, 0)
            else:
                self.compute()
            return
        loop, stride = block.temporal[depth], self.strides[level][depth]
        start = self.now[loop.rank]
        after_first = after_second = None
        for i in range(loop.factor):
            if start + i * stride >= self.einsum.extent[loop.rank]:
                break
            if i > 1 and self.perfect:
                self.recall(after_first, loop.rank, (i - 1) * stride)
            self.now[loop.rank] = start + i * stride
            self.walk(level, depth + 1)
            if i == 0:
                after_first = self.state(level)
            elif i == 1:
                after_second = self.state(level)
        self.now[loop.rank] = start
        if self.perfect:
            self.recall(after_second, loop.rank, 0)

    def state(self, level: int) -> State:
        """Where all buffers below `level` stand, and what was asked for last."""
        return State({key: (x.low, x.move) for key, x in self.buffers.items() if key[0] > level},
                     {key: x for key, x in self.before.items() if key[0] >= level})

    def recall(self, state: State, rank: str, distance: int) -> None:
        """Pretend that all is as it was in `state`, but further along `rank`."""
        by = {t.name: tuple(sum(x.coefficient * distance for x in axis if x.rank == rank)
                            for axis in t.projection) for t in self.einsum.tensors}
        for (level, name, place), (low, move) in state.buffers.items():
            buffer = self.buffers[level, name, place]
            buffer.low, buffer.move = low and shifted(low, by[name]), move
        for (level, name), asked in state.before.items():
            self.before[level, name] = {place: frozenset(shifted(x, by[name]) for x in request)
                                        for place, request in asked.items()}

    def compute(self) -> None:
        """All compute units do one point each."""
        self.steps += 1
        for offset in self.places[-1].values():
            if self.at_work(offset):
                self.visited.add(tuple(self.now[r] + offset[r] for r in self.einsum.ranks))
                self.macs += 1

    def at_work(self, offset: dict[str, int]) -> bool:
        """Whether the instance at `offset` has something to do at this position."""
        return all(self.now[r] + offset[r] < extent for r, extent in self.einsum.extent.items())

    # Data movement

    def feed(self, level: int) -> None:
        """Whatever stands below `level` gets what it needs at this position."""
        inner = level + 1
        for tensor in self.einsum.tensors:
            name = tensor.name
            is_compute = inner == self.depth
            if inner <= self.home[name] or not (is_compute or name in self.blocks[inner].keep):
                continue
            requests, awake = {}, set()
            for place, offset in self.places[inner].items():
                if not self.at_work(offset):
                    continue
                awake.add(place[:-1])
                low, shape = self.box(tensor, inner, offset)
                asked = points(low, shape) if is_compute else self.fetch(
                    self.buffers[inner, name, place], low, shape)
                if asked:
                    requests[place] = asked
                if not is_compute:
                    self.arrive(tensor, inner, place, asked)
            if (level, name) in self.linked:
                requests = self.pass_on(tensor, level, requests, awake)
            self.climb(tensor, level, requests)

    def box(self, tensor: Tensor, level: int, offset: dict[str, int]) -> tuple[Point, Point]:
        """First corner and shape of the box that the instance at `offset` needs now."""
        low, shape = [], []
        for axis in tensor.projection:
            corner, length = 0, 1
            for x in axis:
                first = self.now[x.rank] + offset[x.rank]
                reach = min(self.reach(level, x.rank), self.einsum.extent[x.rank] - 1 - first)
                corner += x.coefficient * first + min(x.coefficient * reach, 0)
                length += abs(x.coefficient) * reach
            low.append(corner)
            shape.append(length)
        return tuple(low), tuple(shape)

    @cache  # noqa: B019  (a machine lives for one simulation)
    def reach(self, level: int, rank: str) -> int:
        """Last index of `rank` in a whole tile of `level`, counted from its first."""
        return sum((x.factor - 1) * stride for block, strides in zip(
            self.blocks[level:], self.strides[level:], strict=True)
            for x, stride in zip(block.loops, strides, strict=True) if x.rank == rank)

    def fetch(self, buffer: Buffer, need: Point, shape: Point) -> Request:
        """Move the box of `buffer` to `need`; what it has to ask for."""
        low, held = buffer.low, buffer.shape
        buffer.low, buffer.shape = need, shape
        if low is None:
            return points(need, shape)
        move = tuple(a - b for a, b in zip(need, low, strict=True))
        if any(move) and buffer.move not in (None, move):
            buffer.move = None
            return points(need, shape)
        if any(move):
            buffer.move = move
        # What is new must be a box, or everything is fetched.
        differing = sum(a != b or n != m for a, b, n, m in zip(need, low, shape, held, strict=True))
        return missing(need, shape, low, held) if differing < 2 else points(need, shape)

    def arrive(self, tensor: Tensor, level: int, place: Instance, asked: Request) -> None:
        """Count the fills of a buffer; an output coordinate that it never held starts at zero."""
        held = self.buffers[level, tensor.name, place].held
        count = self.total[level, tensor.name]
        count.fills += len(asked & held) if tensor.is_output else len(asked)
        held |= asked

    def pass_on(self, tensor: Tensor, level: int, requests: dict[Instance, Request],
                awake: set[Instance]) -> dict[Instance, Request]:
        """The requests that neighbours below `level` cannot meet; arrays that are not `awake` keep what
        they asked for last."""
        name, left = tensor.name, {}
        before = self.before.get((level, name), {})
        asleep = {p: x for p, x in before.items() if p[:-1] not in awake}
        self.before[level, name] = asleep | requests
        for parent in self.places[level]:
            family = {p: x for p, x in requests.items() if p[:-1] == parent}
            alone = {p: x for p, x in family.items() if x not in self.heard(level, p, before)}
            if self.load(level, name, alone.values()) >= self.load(level, name, family.values()):
                alone = family
            left |= alone
            words_passed = sum(len(x) for p, x in family.items() if p not in alone)
            self.passed += words_passed
            if self.all_arrays or not any(map(any, parent)):
                self.total[level + 1, name].reads += words_passed
            else:
                self.unseen[level + 1, name] += words_passed
        return left

    def heard(self, level: int, place: Instance,
              before: dict[Instance, Request]) -> set[Request | None]:
        """What the neighbours of `place` asked for in the step before."""
        return {before.get((*place[:-1], index)) for index in self.adjacent(level, place[-1])}

    @cache  # noqa: B019  (a machine lives for one simulation)
    def adjacent(self, level: int, index: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The four neighbours of an instance in the mesh below `level`, or as many as there are."""
        x, y = self.seat(level, index)
        others = product(*(range(loop.factor) for loop in self.blocks[level].spatial))
        return [other for other in others for u, v in [self.seat(level, other)]
                if abs(x - u) + abs(y - v) == 1]

    def seat(self, level: int, index: tuple[int, ...]) -> tuple[int, int]:
        """Column and row of an instance below `level`; rows are filled one after another."""
        number = 0
        for i, loop in zip(index, self.blocks[level].spatial, strict=True):
            number = number * loop.factor + i
        return number % self.widths[level], number // self.widths[level]

    def load(self, level: int, name: str, requests: Collection[Request]) -> int:
        """Words that an instance of `level` sends to meet these requests."""
        share = self.multicast[level] and name not in self.blocks[level].no_multicast
        return sum(map(len, set(requests) if share else requests))

    def climb(self, tensor: Tensor, level: int, requests: dict[Instance, Request]) -> None:
        """Send requests of the instances below `level` up to where the tensor is kept."""
        name, bundled = tensor.name, 0
        while True:
            share = self.multicast[level] and name not in self.blocks[level].no_multicast
            asked: dict[Instance, Counter[Request]] = defaultdict(Counter)
            for place, request in requests.items():
                asked[place[:-1]][request] += 1
            for group in asked.values():
                for request, number in group.items():
                    self.sent[level, name][number if share else 1] += (
                        words(request, bundled) * (1 if share else number))
            bundles = {place: frozenset((r, 1 if share else n) for r, n in group.items())
                       for place, group in asked.items()}
            bundled += 1
            if name in self.blocks[level].keep:
                break
            requests, level = bundles, level - 1
        for place, bundle in bundles.items():
            self.serve(tensor, level, place, bundle, bundled)

    def serve(self, tensor: Tensor, level: int, place: Instance, bundle: Request, depth: int) -> None:
        """Read words for the levels below, or take their results."""
        count, number = self.total[level, tensor.name], words(bundle, depth)
        if not tensor.is_output:
            count.reads += number
            return
        updated = self.buffers[level, tensor.name, place].updated
        first = coordinates(bundle, depth) - updated
        updated |= first
        count.updates += number
        count.reads += number - len(first)

    # The outcome

    def result(self) -> Result:
        """Counts for one instance; all instances of a level do the same amount of work."""
        assert len(self.visited) == self.macs == self.einsum.macs
        result = Result(macs=self.macs, steps=self.steps, passed=self.passed)
        for i, block in enumerate(self.blocks):
            instances = len(self.places[i])
            for name in block.keep:
                result.totals[block.level, name] = self.total[i, name]
            for tensor in self.einsum.tensors:
                result.sent_by_all[block.level, tensor.name] = {
                    m: n for m, n in sorted(self.sent[i, tensor.name].items()) if n}
            if not self.perfect:
                continue

            def each(total: int, instances: int = instances) -> int:
                assert total % instances == 0
                return total // instances

            for name in block.keep:
                x = self.total[i, name]
                held = sum(len(self.buffers[i, name, p].held) for p in self.places[i])
                if (i - 1, name) in self.linked:
                    reads, fills = self.averages(i, name)
                else:
                    reads, fills = each(x.reads), each(x.fills)
                result.counts[block.level, name] = Count(
                    reads, fills, each(x.updates),
                    len(points((0,) * len(self.shapes[i][name]), self.shapes[i][name])), each(held))
            for tensor in self.einsum.tensors:
                sent = self.sent[i, tensor.name]
                result.sent[block.level, tensor.name] = {m: each(n) for m, n in sorted(sent.items()) if n}
        return result

    def averages(self, level: int, name: str) -> tuple[int, int]:
        """Reads and fills of an average instance where neighbours are linked: those at the rim pass
        on fewer words. Averages are rounded, but operand fills are cut off."""
        x, instances = self.total[level, name], len(self.places[level])
        half = Fraction(1, 2)
        fills = Fraction(x.fills - self.unseen[level, name], instances)
        if self.einsum.tensor(name).is_output:
            fills = max(fills + half, Fraction(0))
        return floor(Fraction(x.reads, instances) + half), floor(fills)
