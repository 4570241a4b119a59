"""Non-zeros anywhere: models for which only the number of words in a tile counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, prod

import numpy as np
from numpy.typing import ArrayLike

from .draws import binomial, hypergeometric, none_drawn
from .protocol import BoundDensity, Floats, Occupancies, Tile, check_share, clipped


class ByVolume(BoundDensity):
    """Base of the models that only know the number of words, which they are asked for as `tile`."""

    by_volume = True

    def words(self, tile: Tile) -> int:
        """Words of a tile, at most those of the tensor."""
        return min(prod(tile), prod(self.shape))

    def words_many(self, tiles: ArrayLike) -> Floats:
        """Words of each row of `tiles`, shape (n, axes)."""
        return np.minimum(np.asarray(tiles, np.float64).prod(axis=1), prod(self.shape))

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        return self.pmf(clipped(self.shape, tile, corner))


@dataclass(frozen=True)
class Hypergeometric:
    """A known number of non-zeros, any set of places as likely as any other: the share `density` of
    the tensor's words, rounded up.

    >>> Hypergeometric(0.25).bind((4, 4)).p_empty((2, 1))
    0.55
    """

    density: float

    def __post_init__(self) -> None:
        check_share("density", self.density)

    def bind(self, shape: Tile) -> Scattered:
        return Scattered(shape, ceil(self.density * prod(shape)))


@dataclass(frozen=True)
class Scattered(ByVolume):
    """`nonzeros` of them in a tensor of the given `shape`, any set of places as likely as any other."""

    shape: Tile
    nonzeros: int

    def __post_init__(self) -> None:
        if not 0 <= self.nonzeros <= prod(self.shape):
            raise ValueError(f"{self.nonzeros} non-zeros in {self.shape}; expected 0 to {prod(self.shape)}")

    @property
    def mean(self) -> float:
        return self.nonzeros / prod(self.shape)

    def pmf(self, tile: Tile) -> Occupancies:
        return hypergeometric(prod(self.shape), self.nonzeros, self.words(tile))

    def given(self, tile: Tile, nnz: int) -> Scattered:
        return scattered(self.shape, tile, nnz)

    def expected(self, tile: Tile) -> float:
        return self.words(tile) * self.nonzeros / prod(self.shape)

    def p_empty(self, tile: Tile) -> float:
        return float(none_drawn(prod(self.shape), self.nonzeros, self.words(tile)))

    def max_occupancy(self, tile: Tile) -> int:
        return min(self.words(tile), self.nonzeros)

    def expected_many(self, tiles: ArrayLike) -> Floats:
        return self.words_many(tiles) * self.nonzeros / prod(self.shape)

    def p_empty_many(self, tiles: ArrayLike) -> Floats:
        return none_drawn(prod(self.shape), self.nonzeros, self.words_many(tiles))


def scattered(shape: Tile, tile: Tile, nnz: int) -> Scattered:
    """Inside a `tile` with `nnz` non-zeros of which no more is known.

    Raises ValueError when the tile has not that many words.
    """
    return Scattered(tile if prod(tile) <= prod(shape) else clipped(shape, tile), nnz)


@dataclass(frozen=True)
class _Share(ByVolume):
    """Tiles have the share `density` of non-zeros on average, whatever their size."""

    shape: Tile
    density: float

    @property
    def mean(self) -> float:
        return self.density

    def expected(self, tile: Tile) -> float:
        return self.words(tile) * self.density

    def expected_many(self, tiles: ArrayLike) -> Floats:
        return self.words_many(tiles) * self.density


@dataclass(frozen=True)
class Binomial:
    """Every word is non-zero with the probability `density`, whatever the others are.

    >>> Binomial(0.5).bind((8,)).pmf((2,)).probabilities.tolist()
    [0.25, 0.5, 0.25]
    """

    density: float

    def __post_init__(self) -> None:
        check_share("density", self.density)

    def bind(self, shape: Tile) -> BoundBinomial:
        return BoundBinomial(shape, self.density)


@dataclass(frozen=True)
class BoundBinomial(_Share):
    def pmf(self, tile: Tile) -> Occupancies:
        return binomial(self.words(tile), self.density)

    def given(self, tile: Tile, nnz: int) -> Scattered:
        return scattered(self.shape, tile, nnz)

    def p_empty(self, tile: Tile) -> float:
        return float(np.power(1 - self.density, float(self.words(tile))))

    def max_occupancy(self, tile: Tile) -> int:
        return self.words(tile) if self.density else 0

    def p_empty_many(self, tiles: ArrayLike) -> Floats:
        return np.power(1 - self.density, self.words_many(tiles))


@dataclass(frozen=True)
class FixedStructured:
    """Every tile of n words has n * `density` non-zeros, the whole number below or above, such that
    this is the mean. A density that is written as a bare number is this one.

    >>> FixedStructured(0.3).bind((100,)).pmf((5,)).values.tolist()
    [1, 2]
    """

    density: float

    def __post_init__(self) -> None:
        check_share("density", self.density)

    def bind(self, shape: Tile) -> BoundFixedStructured:
        return BoundFixedStructured(shape, self.density)


@dataclass(frozen=True)
class BoundFixedStructured(_Share):
    def pmf(self, tile: Tile) -> Occupancies:
        exact = self.words(tile) * self.density
        low = floor(exact)
        above = exact - low
        if above == 0:
            return Occupancies.exactly(low)
        return Occupancies(np.array([low, low + 1], np.int64), np.array([1 - above, above]))

    def given(self, tile: Tile, nnz: int) -> BoundFixedStructured:
        inside = scattered(self.shape, tile, nnz)
        return BoundFixedStructured(inside.shape, inside.mean)

    def p_empty(self, tile: Tile) -> float:
        return max(0.0, 1 - self.words(tile) * self.density)

    def max_occupancy(self, tile: Tile) -> int:
        return ceil(self.words(tile) * self.density)

    def p_empty_many(self, tiles: ArrayLike) -> Floats:
        return np.maximum(0.0, 1 - self.words_many(tiles) * self.density)
