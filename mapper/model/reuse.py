"""How often a tile must be sent: reuse in time (stationarity, sliding windows) and in space (multicast).

For perfectly nested loops with exact factors the words that enter one instance of a level have a
closed form, because the tile is a box that every loop moves by a constant vector.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Mapping as MappingOf
from typing import Sequence

from ..mapping.nest import Mapping
from ..workload.einsum import Tensor, axis_extent, footprint

#: A displacement over the axes of a tensor, words.
Vector = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PlacedLoop:
    """A loop of the nest with its storage level and the extent of its rank inside one iteration."""

    level: int
    rank: str
    factor: int
    spatial: bool
    inside: int

    def step(self, tensor: Tensor) -> Vector:
        """How far one iteration moves the part of `tensor` that is worked on."""
        return tuple(self.inside * sum(t.coefficient for t in axis if t.rank == self.rank)
                     for axis in tensor.projection)


def placed_loops(mapping: Mapping) -> tuple[PlacedLoop, ...]:
    """The loops of the nest that do iterate, outermost first."""
    inside: dict[str, int] = {}
    placed: list[PlacedLoop] = []
    for level in reversed(range(len(mapping.blocks))):
        block = mapping.blocks[level]
        for position, loop in reversed(list(enumerate(block.loops))):
            if loop.factor == 1:
                continue
            extent = inside.get(loop.rank, 1)
            placed.append(PlacedLoop(level, loop.rank, loop.factor,
                                     position >= len(block.temporal), extent))
            inside[loop.rank] = extent * loop.factor
    return tuple(reversed(placed))


@dataclass(frozen=True, slots=True)
class Advance:
    """One kind of step: a loop advances and those inside it start again. It happens `times` times
    in the nest; each time the tile makes a `move`, and loads a box of words at the end that it
    moves towards: the `sides` of that box, None where nothing is new."""

    times: int
    move: Vector
    sides: Vector | None

    @property
    def words(self) -> int:
        """Words loaded each time."""
        return 0 if self.sides is None else prod(self.sides)


def tile_sides(tensor: Tensor, tile: MappingOf[str, int]) -> Vector:
    """Sides of the box of `tensor` that a tile of the rank extents `tile` covers."""
    return tuple(axis_extent(axis, tile) for axis in tensor.projection)


def advances(tensor: Tensor, loops: Sequence[PlacedLoop],
             tile: MappingOf[str, int]) -> tuple[Advance, ...]:
    """What advancing each of the temporal `loops` around a tile (outermost first) makes it load.

    When a loop advances, the box moves by that loop's step less the steps of the loops inside it,
    which start again; only words that the box did not cover before are loaded. Two rules are
    Timeloop's (loop-analysis/nest-analysis.cpp) and part of the specification:

    - only the innermost loop that moves the box (and a move by that same vector) finds the part of
      the tile that overlaps; any other move loads the whole tile again;
    - the second iteration of a loop stands for all later ones.
    """
    whole = tile_sides(tensor, tile)
    sliding: Vector | None = None       # the step of the innermost loop that moves the box
    inside = (0,) * len(tensor.projection)
    kinds: list[Advance] = []
    for i, loop in reversed(list(enumerate(loops))):
        step = loop.step(tensor)
        if sliding is None and any(step):
            sliding = step
        move = tuple(own - other for own, other in zip(step, inside, strict=True))
        inside = tuple(own + other for own, other in zip(step, inside, strict=True))
        loaded = None if not any(move) else _new_part(whole, move) if move == sliding else whole
        times = (loop.factor - 1) * prod(outer.factor for outer in loops[:i])
        kinds.append(Advance(times, move, loaded))
    return tuple(reversed(kinds))


def words_received(tensor: Tensor, loops: Sequence[PlacedLoop], tile: MappingOf[str, int]) -> int:
    """Words of `tensor` that enter one instance holding tiles of the rank extents `tile`.

    `loops` are the temporal loops around the tile, outermost first. The first tile is loaded whole,
    after that comes what `advances` says.
    """
    return footprint(tensor, tile) + sum(x.times * x.words for x in advances(tensor, loops, tile))


def _new_part(whole: Vector, move: Vector) -> Vector:
    """Sides of what was not in the tile one `move` before (a box less a box)."""
    moved = [axis for axis, distance in enumerate(move) if distance]
    if len(moved) != 1:     # the difference is no box: the reference loads the whole tile
        return whole
    axis, = moved
    return (*whole[:axis], min(abs(move[axis]), whole[axis]), *whole[axis + 1:])


def multicast_groups(tensor: Tensor, loops: Sequence[PlacedLoop], multicast: bool) -> dict[int, int]:
    """How many instances share a tile: {instances in the group: number of such groups}.

    `loops` are the spatial loops of one level. Instances share a word only when their tiles are
    equal; tiles that merely overlap (halos) are sent separately.
    """
    count = prod(loop.factor for loop in loops)
    if not multicast:
        return {1: count}
    offsets: Counter[Vector] = Counter({(0,) * len(tensor.projection): 1})
    for loop in loops:
        step, spread = loop.step(tensor), Counter[Vector]()
        for offset, members in offsets.items():
            for i in range(loop.factor):
                spread[tuple(o + i * s for o, s in zip(offset, step, strict=True))] += members
        offsets = spread
    return dict(sorted(Counter(offsets.values()).items()))
