"""Permuted-diagonal matrices: in every square block one diagonal, shifted around."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Iterator

import numpy as np

from .draws import added, mixed
from .places import LARGEST, ByPlace, check_axes, others, pieces, product_without, segments, sizes
from .protocol import BoundDensity, Occupancies, Tile, clipped
from .uniform import scattered


@dataclass(frozen=True)
class PermutedDiagonal:
    """The matrix over two `axes` is made of blocks of `block` by `block` words, and in each of them the
    non-zeros are a diagonal shifted cyclically (C. Deng et al., PermDNN, MICRO 2018).

    Shifts are independent and any one as likely as any other. Along other axes the words are alike:
    all zero or all non-zero. A block that the edge of the tensor cuts is a part of a whole one.

    >>> PermutedDiagonal(4).bind((8, 8)).pmf((4, 8)).values.tolist()
    [8]
    """

    block: int
    axes: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if not 1 <= self.block <= LARGEST or len(self.axes) != 2:
            raise ValueError(f"blocks of {self.block} words over {len(self.axes)} axes; "
                             f"expected 1 to {LARGEST}, and 2 axes")

    def bind(self, shape: Tile) -> BoundPermuted:
        check_axes(shape, self.axes)
        return BoundPermuted(shape, self.block, self.axes)


@dataclass(frozen=True)
class BoundPermuted(ByPlace):
    shape: Tile
    block: int
    axes: tuple[int, int]

    @property
    def mean(self) -> float:
        return 1 / self.block

    def pmf(self, tile: Tile) -> Occupancies:
        tile = clipped(self.shape, tile)
        depths = sizes(self.shape, tile, others(self.shape, self.axes))
        return mixed([(_stretched(_matrix(self.block, *rows, *columns), depth), weight * share)
                      for rows, columns, weight in self._places(tile) for depth, share in depths])

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        tile = clipped(self.shape, tile, corner)
        rows, columns = ((corner[axis] % self.block, tile[axis]) for axis in self.axes)
        return _stretched(_matrix(self.block, *rows, *columns), product_without(tile, self.axes))

    def given(self, tile: Tile, nnz: int) -> BoundDensity:
        inside = clipped(self.shape, tile)
        whole = all(inside[axis] % self.block == 0 for axis in self.axes)
        if whole and self.pmf(tile).values.tolist() == [nnz]:
            return BoundPermuted(inside, self.block, self.axes)  # every tile has as many: nothing new
        return scattered(self.shape, inside, nnz)

    def p_empty(self, tile: Tile) -> float:
        return sum(weight * _matrix(self.block, *rows, *columns).empty
                   for rows, columns, weight in self._places(clipped(self.shape, tile)))

    def max_occupancy(self, tile: Tile) -> int:
        tile = clipped(self.shape, tile)
        return product_without(tile, self.axes) * max(
            _matrix(self.block, *rows, *columns).largest for rows, columns, _ in self._places(tile))

    def _places(self, tile: Tile) -> Iterator[tuple[tuple[int, int], tuple[int, int], float]]:
        """(start in the block, length) of the rows, of the columns, and the share of such tiles."""
        down, across = (segments(self.shape[axis], tile[axis], self.block) for axis in self.axes)
        for start, rows, share in down:
            for left, columns, part in across:
                yield (start, rows), (left, columns), share * part


def _stretched(number: Occupancies, depth: int) -> Occupancies:
    return Occupancies(number.values * depth, number.probabilities)


@lru_cache(maxsize=4096)
def _matrix(block: int, top: int, rows: int, left: int, columns: int) -> Occupancies:
    """Non-zeros of `rows` by `columns` words that start at (`top`, `left`) of a block."""
    above, middle, below = pieces(top, rows, block)
    before, within, after = pieces(left, columns, block)
    # a row of a whole block has one non-zero, and so has a column
    sure = middle * columns + (above + below) * within
    result = Occupancies.exactly(sure)
    for height in (above, below):
        for width in (before, after):
            result = added(result, _corner(block, height, width))
    return result


@lru_cache(maxsize=4096)
def _corner(block: int, height: int, width: int) -> Occupancies:
    """Non-zeros of a part of one block: how many of `height` consecutive places of a cycle fall into an
    interval of `width`, with the shift at random."""
    low, high = sorted((height, width))
    least = max(0, low + high - block)
    if least == low:
        return Occupancies.exactly(low)
    weights = np.full(low - least + 1, 2.0)      # on its way in and on its way out
    weights[0], weights[-1] = abs(block - low - high) + 1, high - low + 1
    return Occupancies.of(np.arange(least, low + 1), weights)
