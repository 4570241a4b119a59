"""A density for every channel."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .draws import added, hypergeometric, mixed, none_drawn, repeated
from .places import ByPlace, check_axes, others, product_without, sizes
from .protocol import Floats, Occupancies, Tile, check_share, clipped
from .uniform import Scattered, scattered


@dataclass(frozen=True)
class Histogram:
    """`densities` has the share of non-zeros of each channel, a slice across `axis`.

    Inside a channel the number of non-zeros is the nearest whole one, and any set of places as likely
    as any other.

    >>> Histogram((1.0, 0.5), axis=0).bind((2, 8)).at((1, 0), (1, 1)).mean
    0.5
    """

    densities: tuple[float, ...]
    axis: int = 0

    def __post_init__(self) -> None:
        for density in self.densities:
            check_share("density of a channel", density)

    @classmethod
    def of(cls, array: ArrayLike, axis: int = 0) -> Histogram:
        """Of the densities that the channels of a real array have."""
        array = np.asarray(array)
        rest = tuple(other for other in range(array.ndim) if other != axis)
        share = np.count_nonzero(array, axis=rest) * array.shape[axis] / array.size
        return cls(tuple(share.tolist()), axis)

    def bind(self, shape: Tile) -> BoundHistogram:
        check_axes(shape, [self.axis])
        if len(self.densities) != shape[self.axis]:
            raise ValueError(f"{len(self.densities)} densities for {shape[self.axis]} channels; "
                             "expected one for each")
        words = product_without(shape, [self.axis])
        return BoundHistogram(shape, self.axis, tuple(round(share * words) for share in self.densities))


@dataclass(frozen=True)
class BoundHistogram(ByPlace):
    shape: Tile
    axis: int
    nonzeros: tuple[int, ...]

    @property
    def mean(self) -> float:
        return sum(self.nonzeros) / prod(self.shape)

    def pmf(self, tile: Tile) -> Occupancies:
        tile = clipped(self.shape, tile)
        channels = tile[self.axis]
        groups = Counter(tuple(sorted(self.nonzeros[first:first + channels]))
                         for first in self._firsts(channels))
        return mixed([(self._sum(group, words), count * share) for group, count in groups.items()
                      for words, share in self._words_of(tile)])

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        inside = clipped(self.shape, tile, corner)
        first = corner[self.axis]
        return self._sum(self.nonzeros[first:first + inside[self.axis]], product_without(inside, [self.axis]))

    def given(self, tile: Tile, nnz: int) -> Scattered:
        return scattered(self.shape, clipped(self.shape, tile), nnz)

    def p_empty(self, tile: Tile) -> float:
        tile = clipped(self.shape, tile)
        firsts = self._firsts(tile[self.axis])
        return sum(share * float(np.multiply.reduceat(self._channel_empty(words), firsts).mean())
                   for words, share in self._words_of(tile))

    def max_occupancy(self, tile: Tile) -> int:
        tile = clipped(self.shape, tile)
        fullest = np.minimum(self.nonzeros, product_without(tile, [self.axis]))
        return int(np.add.reduceat(fullest, self._firsts(tile[self.axis])).max())

    @property
    def _words(self) -> int:
        """Words of a channel."""
        return product_without(self.shape, [self.axis])

    def _words_of(self, tile: Tile) -> list[tuple[int, float]]:
        """Words that the tiles have of each channel, and the share of such tiles."""
        return sizes(self.shape, tile, others(self.shape, [self.axis]))

    def _firsts(self, channels: int) -> NDArray[np.intp]:
        """The first channel of each tile."""
        return np.arange(0, self.shape[self.axis], channels)

    def _sum(self, channels: tuple[int, ...], words: int) -> Occupancies:
        """Non-zeros of `words` words in each of several channels, which have so many."""
        result = Occupancies.exactly(0)
        for nonzeros, count in Counter(channels).items():
            result = added(result, repeated(hypergeometric(self._words, nonzeros, words), count))
        return result

    def _channel_empty(self, words: int) -> Floats:
        """Probability that `words` words of a channel have no non-zero, for each channel."""
        kinds, where = np.unique(np.asarray(self.nonzeros), return_inverse=True)
        return none_drawn(self._words, words, kinds)[where]
