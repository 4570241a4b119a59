"""What every density model answers: how many non-zeros a tile of a sparse tensor holds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Tile = tuple[int, ...]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Occupancies:
    """A distribution of the number of non-zeros.

    `values` (int64, ascending, without repetition) are the numbers that occur, `probabilities`
    (float64, all above 0, with the sum 1) how likely each one is.

    >>> half = Occupancies.of([0, 3, 3], [2, 1, 1])
    >>> half.values.tolist(), half.probabilities.tolist(), half.mean, half.empty
    ([0, 3], [0.5, 0.5], 1.5, 0.5)
    """

    values: Integers
    probabilities: Floats

    def __post_init__(self) -> None:
        self.values.setflags(write=False)        # models remember what they gave
        self.probabilities.setflags(write=False)

    @classmethod
    def of(cls, values: ArrayLike, weights: ArrayLike) -> Occupancies:
        """Of numbers in any order and their weights, whatever these add up to."""
        found, where = np.unique(np.asarray(values, np.int64), return_inverse=True)
        mass = np.bincount(where, np.asarray(weights, np.float64))
        return cls(found[mass > 0], mass[mass > 0] / mass.sum())

    @classmethod
    def exactly(cls, value: int) -> Occupancies:
        """The same number always."""
        return cls(np.array([value], np.int64), np.ones(1))

    @property
    def mean(self) -> float:
        """The expected number."""
        return float(self.values @ self.probabilities)

    @property
    def empty(self) -> float:
        """The probability of no non-zero at all."""
        return float(self.probabilities[0]) if self.values[0] == 0 else 0.0

    @property
    def largest(self) -> int:
        return int(self.values[-1])


class BoundDensity(Protocol):
    """A density model over one tensor.

    A tile is a box of words, given by its extent along each axis of the tensor. Where no place is
    given, a model that tells places apart speaks of all tiles that the tensor is cut into, each as
    likely as the others; those that hang over its edge are cut off there. A model that does not tell
    them apart (`by_volume`) speaks of a whole tile.

    Attributes
    ----------
    shape : extents of the tensor's axes, in words
    by_volume : only the product of a tile's extents counts, so any tuple with that product will do;
        it counts for no more than the whole tensor
    """

    shape: Tile
    by_volume: bool = False

    @property
    def mean(self) -> float:
        """Expected share of non-zeros in the whole tensor."""
        return self.expected(self.shape) / prod(self.shape)

    def pmf(self, tile: Tile) -> Occupancies:
        """The distribution of the number of non-zeros in a tile."""
        ...

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        """The distribution for the one tile whose first word is `corner`."""
        ...

    def given(self, tile: Tile, nnz: int) -> BoundDensity:
        """The model inside a tile that is known to have `nnz` non-zeros."""
        ...

    def expected(self, tile: Tile) -> float:
        """Expected number of non-zeros in a tile."""
        return self.pmf(tile).mean

    def p_empty(self, tile: Tile) -> float:
        """Probability that a tile has no non-zero."""
        return self.pmf(tile).empty

    def max_occupancy(self, tile: Tile) -> int:
        """The most non-zeros that any tile can have."""
        return self.pmf(tile).largest

    def expected_many(self, tiles: ArrayLike) -> Floats:
        """`expected` for each row of `tiles`, shape (n, axes); gives shape (n,)."""
        rows, where = _distinct(tiles)
        return np.array([self.expected(row) for row in rows])[where]

    def p_empty_many(self, tiles: ArrayLike) -> Floats:
        """`p_empty` for each row of `tiles`, shape (n, axes); gives shape (n,)."""
        rows, where = _distinct(tiles)
        return np.array([self.p_empty(row) for row in rows])[where]


@runtime_checkable
class Density(Protocol):
    """What is known of the non-zeros of a tensor whose shape is not known yet.

    Implementations are immutable, equal by value and hashable.
    """

    def bind(self, shape: Tile) -> BoundDensity:
        """The model over a tensor of the given extents, in words.

        Raises
        ------
        ValueError
            When no tensor of that shape can be like this; the message says why.
        """
        ...


def _distinct(tiles: ArrayLike) -> tuple[list[Tile], NDArray[np.intp]]:
    rows, where = np.unique(np.asarray(tiles, np.int64), axis=0, return_inverse=True)
    return [tuple(row) for row in rows.tolist()], where.reshape(-1)


def clipped(shape: Tile, tile: Tile, corner: Tile = ()) -> Tile:
    """The extents of `tile` without what hangs over the edge when it starts at `corner`.

    Raises ValueError for a tile with another number of axes or an extent below 1, and for a corner
    outside.
    """
    corner = corner or (0,) * len(shape)
    if not len(tile) == len(shape) == len(corner) or min(tile, default=1) < 1:
        raise ValueError(f"a tile {tile} of a tensor {shape}; expected {len(shape)} extents, 1 or more")
    if any(not 0 <= at < extent for at, extent in zip(corner, shape, strict=True)):
        raise ValueError(f"a tile at {corner} of a tensor {shape}; expected a corner inside")
    return tuple(min(t, n - at) for t, n, at in zip(tile, shape, corner, strict=True))


def check_share(name: str, share: float) -> None:
    """Raises ValueError unless `share` lies within [0, 1]."""
    if not 0 <= share <= 1:
        raise ValueError(f"{name} is {share}; expected a number from 0 to 1")
