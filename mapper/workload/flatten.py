"""Tiles of an Einsum with flattened ranks: sets of words, since an interval of such a rank is no box."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Iterator, Sequence
from typing import Mapping as MappingOf

from .einsum import Einsum, Tensor

#: Operations of an Einsum with flattened ranks; its tiles are counted one by one.
LIMIT = 1 << 20
#: Words of a tensor, by their coordinates.
Points = frozenset[tuple[int, ...]]
#: The interval (first, one past the last) of each rank that projections use.
Box = dict[str, tuple[int, int]]


def tile_points(einsum: Einsum, tensor: Tensor, starts: MappingOf[str, int],
                extents: MappingOf[str, int]) -> Points:
    """Words of `tensor` that a tile touches which begins at `starts` and has the rank `extents`.

    The tile is cut into boxes of points; each touches a box of words, gaps of strides included.
    """
    words: set[tuple[int, ...]] = set()
    for box in _boxes(einsum, tensor, starts, extents):
        sides = []
        for axis in tensor.projection:
            ends = [sorted((t.coefficient * box[t.rank][0], t.coefficient * (box[t.rank][1] - 1)))
                    for t in axis]
            sides.append(range(sum(low for low, _ in ends), sum(high for _, high in ends) + 1))
        words.update(product(*sides))
    return frozenset(words)


def largest_tile(einsum: Einsum, tensor: Tensor, extents: MappingOf[str, int]) -> int:
    """Words of the largest of the tiles of `extents` that perfect loops cut `einsum` into."""
    places = [range(0, x.extent, max(extents[x.rank], 1)) for x in einsum.flattened]
    origin = dict.fromkeys(einsum.ranks, 0)
    return max(len(tile_points(einsum, tensor, origin | dict(zip(
        (x.rank for x in einsum.flattened), place, strict=True)), extents)) for place in product(*places))


def _boxes(einsum: Einsum, tensor: Tensor, starts: MappingOf[str, int],
           extents: MappingOf[str, int]) -> Iterator[Box]:
    plain = {rank: (starts[rank], starts[rank] + extents[rank]) for rank in einsum.ranks}
    cuts = [list(_cut(starts[x.rank], starts[x.rank] + extents[x.rank], x.parts))
            for x in einsum.flattened if tensor.ranks & {name for name, _ in x.parts}]
    for parts in product(*cuts):
        yield {name: interval for box in (plain, *parts) for name, interval in box.items()}


def _cut(low: int, high: int, parts: Sequence[tuple[str, int]]) -> Iterator[Box]:
    """Boxes of the parts that make up the interval from `low` to `high` of their flattened rank: what
    is left of a first row of the slowest part, the whole rows, and what there is of a last one."""
    *faster, (slowest, _) = parts
    row = prod(extent for _, extent in faster)
    if not faster:
        yield {slowest: (low, high)}
        return
    first, last = -(-low // row), high // row       # whole rows
    if first < last:
        yield {slowest: (first, last), **{name: (0, extent) for name, extent in faster}}
    inside = first > last       # of one row
    ends = [(low, high)] if inside else [(low, first * row), (last * row, high)]
    for begin, end in ends:
        if begin < end:
            index = begin // row
            for box in _cut(begin - index * row, end - index * row, faster):
                yield {slowest: (index, index + 1), **box}
