"""The loops of many mappings of one class as arrays with an entry a mapping.

A class of mappings keeps the same tensors at the same levels and runs its loops in the same order; only
the factors differ. A loop whose factor is 1 in some mapping does not exist there: nothing may
depend on where it stands, so rules ask for loops through `Loop.real`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import mul
from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from ...hardware.architecture import Architecture
from ...mapping.nest import Mapping
from ...mapping.template import Template, slot
from ...workload.einsum import Einsum, Tensor

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
#: Extents of a tile along each rank of the Einsum, one array a rank.
Extents = tuple[Array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Loop:
    """A loop at storage level `level` over the rank in column `rank`. `real`: where it has more than
    one iteration. `extents`: of the tile that all its iterations cover."""

    level: int
    rank: int
    spatial: bool
    factor: Array
    real: Mask
    extents: Extents


@dataclass(frozen=True, eq=False)
class SparseNest:
    """The loop nests of a batch.

    `loops` has the loops of each storage level, innermost first, those over instances below the level
    before those in time. `tiles` are the rank extents of the tile of each level (one more entry: of
    a single point), `unrolled` says below which levels there are several instances.
    """

    einsum: Einsum
    keep: tuple[frozenset[str], ...]
    loops: tuple[tuple[Loop, ...], ...]
    tiles: tuple[Extents, ...]
    unrolled: tuple[bool, ...]
    size: int

    @property
    def factors(self) -> NDArray[np.int64]:
        """Factors of shape (batch, slots, ranks), spatial loops all along x."""
        found = np.ones((self.size, 3 * len(self.loops), len(self.einsum.ranks)), np.int64)
        for loop in (loop for loops in self.loops for loop in loops):
            found[:, slot(loop.level, "x" if loop.spatial else "temporal"), loop.rank] *= \
                loop.factor.astype(np.int64)
        return found

    @classmethod
    def of_mapping(cls, architecture: Architecture, einsum: Einsum, mapping: Mapping) -> SparseNest:
        """A batch of one. Where loops have remainders, tiles are those of full passes."""
        column = {rank: i for i, rank in enumerate(einsum.ranks)}
        blocks = [[(column[loop.rank], i >= len(block.temporal), np.full(1, float(loop.factor)))
                   for i, loop in enumerate(block.loops)][::-1] for block in mapping]
        return cls._built(architecture, einsum, tuple(block.keep for block in mapping), blocks, 1)

    @classmethod
    def of_factors(cls, architecture: Architecture, einsum: Einsum, template: Template,
                   factors: NDArray[np.int64]) -> SparseNest:
        """The mappings of a class with the given factors of shape (batch, slots, ranks)."""
        column = {rank: i for i, rank in enumerate(einsum.ranks)}
        by_place = np.ascontiguousarray(np.moveaxis(factors, 0, -1)).astype(np.float64)
        used: Mask = np.any(factors > 1, axis=0)
        blocks = []
        for level, order in enumerate(template.orders):
            rows = [(slot(level, "temporal"), False, [column[rank] for rank in order]),
                    (slot(level, "y"), True, list(range(len(column)))),
                    (slot(level, "x"), True, list(range(len(column))))]
            blocks.append([(rank, spatial, by_place[row, rank]) for row, spatial, ranks in rows
                           for rank in ranks if used[row, rank]][::-1])
        return cls._built(architecture, einsum, template.keep, blocks, len(factors))

    @classmethod
    def _built(cls, architecture: Architecture, einsum: Einsum, keep: Sequence[frozenset[str]],
               blocks: Sequence[Sequence[tuple[int, bool, Array]]], size: int) -> SparseNest:
        """The nest of blocks of (rank, spatial, factors), outermost level first, innermost loop first."""
        extents: Extents = (np.ones(size),) * len(einsum.ranks)
        tiles, loops = [extents], []
        for level in reversed(range(len(blocks))):
            placed = []
            for rank, spatial, factor in blocks[level]:
                whole = np.minimum(extents[rank] * factor, einsum.extents[rank])
                extents = (*extents[:rank], whole, *extents[rank + 1:])
                placed.append(Loop(level, rank, spatial, factor, factor > 1, extents))
            loops.append(tuple(placed))
            tiles.append(extents)
        return cls(einsum, tuple(keep), tuple(loops[::-1]), tuple(tiles[::-1]),
                   tuple(prod(architecture.fanout(i)) > 1 for i in range(len(blocks))), size)

    def between(self, inner: int, outer: int) -> list[Loop]:
        """The loops of levels `inner` up to `outer`, both included, innermost first."""
        return [loop for level in range(inner, outer - 1, -1) for loop in self.loops[level]]

    def kept(self, tensor: str) -> list[int]:
        """The levels that keep `tensor`, outermost first."""
        return [level for level, names in enumerate(self.keep) if tensor in names]

    def below(self, tensor: str, level: int) -> int:
        """The next level inside `level` that keeps `tensor`; one past the last level where none does."""
        return next((i for i in self.kept(tensor) if i > level), len(self.keep))


class Shape:
    """How the ranks of an Einsum address one tensor."""

    def __init__(self, einsum: Einsum, tensor: Tensor) -> None:
        column = {rank: i for i, rank in enumerate(einsum.ranks)}
        self.axes = [[(column[term.rank], abs(term.coefficient)) for term in axis]
                     for axis in tensor.projection]
        self.ranks = frozenset(rank for axis in self.axes for rank, _ in axis)

    def lengths(self, extents: Sequence[Array]) -> list[Array]:
        """Extents of a tile along each axis of the tensor."""
        return [_length(axis, extents) for axis in self.axes]

    def words(self, extents: Sequence[Array]) -> Array:
        """Words in a tile."""
        return reduce(mul, self.lengths(extents), np.ones_like(extents[0]))


def _length(axis: Sequence[tuple[int, int]], extents: Sequence[Array]) -> Array:
    if len(axis) == 1 and axis[0][1] == 1:
        return extents[axis[0][0]]
    return sum((weight * (extents[rank] - 1.0) for rank, weight in axis), np.ones_like(extents[0]))
