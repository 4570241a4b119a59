"""Arithmetic of ranks that the loops over them do not divide evenly.

A loop that spans `inside` coordinates an iteration stops early in its last pass; the last tile may be
cut off. All of it follows from the extent of the rank, rank by rank.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import product
from math import prod
from typing import Iterable, Iterator, Sequence
from typing import Mapping as MappingOf

from ..workload.einsum import Tensor
from .reuse import PlacedLoop

#: Index of an instance in each spatial loop, by the position of the loop in the nest.
Path = dict[int, int]


def instances_at_work(loops: Sequence[PlacedLoop], extent: MappingOf[str, int], level: int) -> Fraction:
    """Instances of storage level `level` that have something to do, on average over the passes of
    the spatial loops above it."""
    return prod((Fraction(*_passes(loop, extent)) for loop in loops
                 if loop.spatial and loop.level < level), start=Fraction(1))


def truncated_instances(loops: Sequence[PlacedLoop], extent: MappingOf[str, int], level: int) -> int:
    """The same as Timeloop has it: in floating point, and cut off to a whole number."""
    mean = 1.0
    for loop in loops:
        if loop.spatial and loop.level < level:
            tiles, passes = _passes(loop, extent)
            mean *= tiles / passes
    return int(mean)


def _passes(loop: PlacedLoop, extent: MappingOf[str, int]) -> tuple[int, int]:
    """Iterations of the loop in all its passes over the rank, and the number of these passes."""
    return -(-extent[loop.rank] // loop.inside), -(-extent[loop.rank] // (loop.inside * loop.factor))


def steps(loops: Sequence[PlacedLoop], extent: MappingOf[str, int]) -> int:
    """Steps of the machine, whose instances work in lock-step: those of the temporal loops in which
    at least one compute unit has a point to compute."""
    return prod(_rank_steps([x for x in loops if x.rank == rank], extent[rank]) for rank in extent)


def _rank_steps(loops: Sequence[PlacedLoop], room: int) -> int:
    """Steps over one rank, of which `room` coordinates are left in this pass."""
    if not loops:
        return 1
    loop, inner = loops[0], loops[1:]
    full, rest = divmod(room, loop.inside)
    if loop.spatial:
        return _rank_steps(inner, loop.inside if full else rest)
    return full * _rank_steps(inner, loop.inside) + (_rank_steps(inner, rest) if rest else 0)


def paths(loops: Sequence[PlacedLoop], extent: MappingOf[str, int],
          level: int) -> Iterator[tuple[int, Path]]:
    """Instances of `level` of every kind: (how many are alike, where one of them is).

    Instances differ by what is left for them in the last pass of the spatial loops above: a whole
    tile, a part of one, or nothing.
    """
    positions = [i for i, loop in enumerate(loops) if loop.spatial and loop.level < level]
    kinds = [_kinds(loops[i], extent[loops[i].rank]) for i in positions]
    for choice in product(*kinds):
        yield prod(count for count, _ in choice), {
            position: index for position, (_, index) in zip(positions, choice, strict=True)}


def _kinds(loop: PlacedLoop, extent: int) -> list[tuple[int, int]]:
    """(number, index of the first) of the iterations that have as much left in the last pass."""
    last = (extent - 1) % (loop.inside * loop.factor) + 1
    left = [min(max(last - i * loop.inside, 0), loop.inside) for i in range(loop.factor)]
    return [(count, left.index(words)) for words, count in Counter(left).items()]


def words_touched(tensor: Tensor, loops: Sequence[PlacedLoop], extent: MappingOf[str, int],
                  level: int, path: Path) -> int:
    """Distinct words of `tensor` in all the tiles that one instance of `level` ever holds."""
    around = [(loop, path.get(i)) for i, loop in enumerate(loops) if loop.level < level]
    tiles = {rank: _tiles([x for x in around if x[0].rank == rank], extent[rank]) for rank in extent}
    if not all(tiles.values()):     # an instance that never has anything to do
        return 0
    count = 1
    for axis in tensor.projection:
        words: set[int] = set()
        for choice in product(*(tiles[term.rank] for term in axis)):
            low = high = 0
            for term, (start, room) in zip(axis, choice, strict=True):
                ends = term.coefficient * start, term.coefficient * (start + room - 1)
                low, high = low + min(ends), high + max(ends)
            words.update(range(low, high + 1))
        count *= len(words)
    return count


def _tiles(loops: Iterable[tuple[PlacedLoop, int | None]], extent: int) -> list[tuple[int, int]]:
    """(first coordinate, extent) of the tiles of one rank inside `loops`; a loop with an index
    stands still there."""
    tiles = [(0, extent)]
    for loop, fixed in loops:
        tiles = [(start + i * loop.inside, min(room - i * loop.inside, loop.inside))
                 for start, room in tiles
                 for i in (range(loop.factor) if fixed is None else (fixed,))
                 if room > i * loop.inside]
    return tiles
