"""An oracle for the access counts: walks the loops of a small mapping and moves data about.

Nothing here is shared with `tilebound.model`. Every instance of every level has a buffer a kept
tensor, holding a set of coordinates. A step of the nest makes buffers ask for what they lack; a
request climbs to the nearest level above that keeps the tensor, merged on its way with the equal
requests of siblings; the words are counted where they are sent and where they arrive.

Two conventions of the reference program are obeyed. A buffer whose box moves fetches only what is
new when the box slides along one tensor axis, unless the move differs from the last one that it
remembers: then it fetches all and forgets. And when an outer loop advances, the loops inside are
taken to have stood at their second iteration; for loops of two iterations that is the plain truth.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product

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
    factor; points computed and the steps that took."""

    counts: dict[tuple[str, str], Count] = field(default_factory=dict)
    sent: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    macs: int = 0
    steps: int = 0


@dataclass
class Buffer:
    """What one instance of a level holds of one tensor."""

    low: Point | None = None       # first corner of the box
    move: Point | None = None      # the last move remembered
    held: set[Point] = field(default_factory=set)      # coordinates ever held
    updated: set[Point] = field(default_factory=set)   # output coordinates ever updated


@lru_cache(maxsize=100_000)
def points(low: Point, shape: Point) -> Request:
    """All coordinates of a box."""
    return frozenset(product(*(range(a, a + n) for a, n in zip(low, shape, strict=True))))


@lru_cache(maxsize=100_000)
def missing(need: Point, low: Point, shape: Point) -> Request:
    """What a box at `need` has and the same box at `low` has not."""
    return points(need, shape) - points(low, shape)


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


def simulate(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Result:
    """Run the nest of `mapping` and count what moves."""
    machine = Machine(architecture, einsum, mapping)
    machine.walk(0, 0)
    return machine.result()


class Machine:
    """All buffers of an architecture, and the position of the nest."""

    def __init__(self, architecture: Architecture, einsum: Einsum, mapping: Mapping) -> None:
        self.einsum = einsum
        self.blocks = mapping.blocks
        self.depth = len(self.blocks)
        self.multicast = [level.network.multicast for level in architecture.levels]
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
        self.visited: set[Point] = set()
        self.macs = self.steps = 0

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
        for i in range(loop.factor):
            self.now[loop.rank] = start + i * stride
            self.walk(level, depth + 1)
        self.now[loop.rank] = start
        if loop.factor > 2:
            self.shift_below(level, loop.rank, (2 - loop.factor) * stride)

    def shift_below(self, level: int, rank: str, distance: int) -> None:
        """Pretend that all buffers below `level` stand elsewhere along `rank`."""
        for (inner, name, _), buffer in self.buffers.items():
            if inner > level and buffer.low is not None:
                by = tuple(sum(x.coefficient * distance for x in axis if x.rank == rank)
                           for axis in self.einsum.tensor(name).projection)
                buffer.low = tuple(a + b for a, b in zip(buffer.low, by, strict=True))

    def compute(self) -> None:
        """All compute units do one point each."""
        self.steps += 1
        for offset in self.places[-1].values():
            self.visited.add(tuple(self.now[r] + offset[r] for r in self.einsum.ranks))
            self.macs += 1

    # Data movement

    def feed(self, level: int) -> None:
        """Whatever stands below `level` gets what it needs at this position."""
        inner = level + 1
        for tensor in self.einsum.tensors:
            name = tensor.name
            is_compute = inner == self.depth
            if inner <= self.home[name] or not (is_compute or name in self.blocks[inner].keep):
                continue
            requests = {}
            for place, offset in self.places[inner].items():
                low, shape = self.box(tensor, inner, offset)
                asked = points(low, shape) if is_compute else self.fetch(
                    self.buffers[inner, name, place], low, shape)
                if asked:
                    requests[place] = asked
                if not is_compute:
                    self.arrive(tensor, inner, place, asked)
            self.climb(tensor, level, requests)

    def box(self, tensor: Tensor, level: int, offset: dict[str, int]) -> tuple[Point, Point]:
        """First corner and shape of the box that the instance at `offset` needs now."""
        shape = self.shapes[level][tensor.name]
        low = []
        for axis, length in zip(tensor.projection, shape, strict=True):
            corner = sum(x.coefficient * (self.now[x.rank] + offset[x.rank]) for x in axis)
            down = sum(x.coefficient * self.reach(level, x.rank) for x in axis if x.coefficient < 0)
            low.append(corner + down)
            assert length >= 1
        return tuple(low), shape

    @cache  # noqa: B019  (a machine lives for one simulation)
    def reach(self, level: int, rank: str) -> int:
        """Last index of `rank` in a tile of `level`, counted from its first."""
        return sum((x.factor - 1) * stride for block, strides in zip(
            self.blocks[level:], self.strides[level:], strict=True)
            for x, stride in zip(block.loops, strides, strict=True) if x.rank == rank)

    def fetch(self, buffer: Buffer, need: Point, shape: Point) -> Request:
        """Move the box of `buffer` to `need`; what it has to ask for."""
        low, buffer.low = buffer.low, need
        if low is None:
            return points(need, shape)
        move = tuple(a - b for a, b in zip(need, low, strict=True))
        if not any(move):
            return frozenset()
        if buffer.move not in (None, move):
            buffer.move = None
            return points(need, shape)
        buffer.move = move
        along_one_axis = sum(x != 0 for x in move) == 1
        return missing(need, low, shape) if along_one_axis else points(need, shape)

    def arrive(self, tensor: Tensor, level: int, place: Instance, asked: Request) -> None:
        """Count the fills of a buffer; an output coordinate that it never held starts at zero."""
        held = self.buffers[level, tensor.name, place].held
        count = self.total[level, tensor.name]
        count.fills += len(asked & held) if tensor.is_output else len(asked)
        held |= asked

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
        result = Result(macs=self.macs, steps=self.steps)
        for i, block in enumerate(self.blocks):
            instances = len(self.places[i])

            def each(total: int, instances: int = instances) -> int:
                assert total % instances == 0
                return total // instances

            for name in block.keep:
                x = self.total[i, name]
                held = sum(len(self.buffers[i, name, p].held) for p in self.places[i])
                result.counts[block.level, name] = Count(
                    each(x.reads), each(x.fills), each(x.updates),
                    len(points((0,) * len(self.shapes[i][name]), self.shapes[i][name])), each(held))
            for tensor in self.einsum.tensors:
                sent = self.sent[i, tensor.name]
                result.sent[block.level, tensor.name] = {m: each(n) for m, n in sorted(sent.items()) if n}
        return result
