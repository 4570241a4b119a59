"""Band matrices: non-zeros within a distance of the diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .placed import Regions, distribution, whole
from .places import check_axes
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
        return BoundBanded(shape, _Band(self.half_width, self.axes), *whole(shape))


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
    """A band matrix, of which only the tiles that touch the band are looked at."""

    prefix: _Band

    def _tally(self, tile: Tile) -> Occupancies:
        (rows, columns), (height, width) = ([extents[axis] for axis in self.prefix.axes]
                                            for extents in (self.shape, tile))
        tops = np.arange(0, rows, height)
        bottoms = np.minimum(tops + height, rows)
        firsts = np.clip(tops - self.prefix.half_width, 0, columns) // width
        lasts = -(-np.clip(bottoms + self.prefix.half_width, 0, columns) // width)
        touched = np.maximum(lasts - firsts, 0)
        before = np.repeat(np.cumsum(touched) - touched, touched)
        lefts = (np.repeat(firsts, touched) + np.arange(touched.sum()) - before) * width
        above, below = np.repeat(tops, touched), np.repeat(bottoms, touched)
        band = _Band(self.prefix.half_width, (0, 1))
        rights = np.minimum(lefts + width, columns)
        counts = band(below, rights) - band(above, rights) - band(below, lefts) + band(above, lefts)
        depths = np.ones(1, np.int64)
        for axis, (extent, cut) in enumerate(zip(self.shape, tile, strict=True)):
            if axis not in self.prefix.axes:
                lengths = np.minimum(cut, extent - np.arange(0, extent, cut))
                depths = np.multiply.outer(depths, lengths).reshape(-1)
        tiles = len(tops) * -(-columns // width)
        untouched = (tiles - len(counts)) * len(depths)
        return distribution(np.multiply.outer(counts, depths).reshape(-1), untouched)
