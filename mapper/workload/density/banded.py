"""Band matrices: non-zeros within a distance of the diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .placed import Regions, whole
from .places import check_axes, others, sizes
from .protocol import Integers, Occupancies, Tile


@dataclass(frozen=True)
class Banded:
    """The word (i, j) of the matrix over two `axes` is non-zero when |i - j| <= `half_width`. Along
    other axes the words are alike.

    >>> Banded(1).bind((4, 4)).pmf((2, 2)).values.tolist()
    [1, 4]
    """

    half_width: int
    axes: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        if self.half_width < 0 or len(self.axes) != 2:
            raise ValueError(f"half a width of {self.half_width} over {len(self.axes)} axes; "
                             "expected 0 or more, and 2 axes")

    def bind(self, shape: Tile) -> BoundBanded:
        check_axes(shape, self.axes)
        band = _Band(min(self.half_width, max(shape)), self.axes)
        return BoundBanded(shape, band, *whole(shape))


@dataclass(frozen=True)
class _Band:
    """Counts the non-zeros of a band matrix before a point."""

    half_width: int
    axes: tuple[int, int]

    def __call__(self, *ends: Integers) -> Integers:
        rows, columns = (ends[axis] for axis in self.axes)
        below = np.maximum(rows - self.half_width - 1, 0)
        counts = _staircase(rows, columns, self.half_width + 1) - _staircase(below, columns, 1)
        for axis, end in enumerate(ends):
            if axis not in self.axes:
                counts = counts * end
        return counts


def _staircase(rows: Integers, columns: Integers, first: int) -> Integers:
    """Words of `rows` rows of which the first has `first` words, each next one more, none above `columns`."""
    rising = np.clip(columns - first, 0, rows)
    return rising * first + rising * (rising - 1) // 2 + (rows - rising) * columns


class BoundBanded(Regions):
    """A band matrix, of which only the tiles at the edge of the band are looked at."""

    prefix: _Band

    def _tally(self, tile: Tile) -> Occupancies:
        """Tiles within the band are full, those that do not touch it empty; the others are counted."""
        (rows, columns), (height, width) = ([extents[axis] for axis in self.prefix.axes]
                                            for extents in (self.shape, tile))
        reach = self.prefix.half_width
        tops = np.arange(0, rows, height)
        bottoms = np.minimum(tops + height, rows)
        # columns of tiles: those from `first` to `last` touch the band, those from `full` to `end` are in it
        first = np.clip(tops - reach, 0, columns) // width
        last = np.maximum(-(-np.clip(bottoms + reach, 0, columns) // width), first)
        full = np.clip(-(-(bottoms - 1 - reach) // width), first, last)
        end = np.clip(np.minimum(tops + reach + 1, columns) // width, full, last)
        row, left = _ranges(np.concatenate([first, end]), np.concatenate([full, last]))
        row, left = row % len(tops), left * width
        counts = _inside(tops[row], bottoms[row], left, np.minimum(left + width, columns), reach)
        values = np.concatenate([counts, (bottoms - tops) * width, [0]])
        empty = len(tops) * -(-columns // width) - (last - first).sum()
        weights = np.concatenate([np.ones(len(counts)), end - full, [empty]])
        depths = sizes(self.shape, tile, others(self.shape, self.prefix.axes))
        return Occupancies.of(np.concatenate([values * depth for depth, _ in depths]),
                              np.concatenate([weights * share for _, share in depths]))


def _ranges(starts: Integers, stops: Integers) -> tuple[Integers, Integers]:
    """All numbers of several ranges, as (index of the range, number)."""
    lengths = stops - starts
    index = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return index, starts[index] + np.arange(len(index)) - before[index]


def _inside(top: Integers, bottom: Integers, left: Integers, right: Integers, half_width: int) -> Integers:
    """Words of the band in boxes of a matrix."""
    band = _Band(half_width, (0, 1))
    return band(bottom, right) - band(top, right) - band(bottom, left) + band(top, left)
