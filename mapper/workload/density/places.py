"""Where the tiles of a tensor stand: what models that tell places apart share."""

from __future__ import annotations

from functools import lru_cache
from math import gcd, prod
from typing import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .protocol import BoundDensity, Floats, Tile

#: Words of the longest block.
LARGEST = 1 << 31


class ByPlace(BoundDensity):
    """Base of the models that tell places apart: the tiles that they speak of are those that the tensor
    is cut into, so that the expected non-zeros of all tiles add up to those of the tensor."""

    def expected(self, tile: Tile) -> float:
        return float(self.expected_many([tile])[0])

    def expected_many(self, tiles: ArrayLike) -> Floats:
        rows = np.minimum(np.asarray(tiles, np.float64), self.shape)
        return self.mean * prod(self.shape) / np.ceil(np.divide(self.shape, rows)).prod(axis=1)


@lru_cache(maxsize=4096)
def segments(extent: int, tile: int, period: int) -> tuple[tuple[int, int, float], ...]:
    """The tiles along one axis, as (start modulo `period`, length, share of the tiles).

    >>> segments(10, 4, 8)
    ((0, 4, 0.3333333333333333), (4, 4, 0.3333333333333333), (0, 2, 0.3333333333333333))
    """
    whole, rest = divmod(extent, tile)
    tiles = whole + (rest > 0)
    cycle = period // gcd(tile, period)          # after so many tiles, starts repeat
    found = [(index * tile % period, tile, (whole // cycle + (index < whole % cycle)) / tiles)
             for index in range(min(cycle, whole))]
    return (*found, *([(whole * tile % period, rest, 1 / tiles)] if rest else []))


def pieces(phase: int, length: int, period: int) -> tuple[int, int, int]:
    """How many words of an interval lie in the block that it starts inside of, how many blocks it
    covers, and how many words lie in the last one, for blocks of `period` words.

    >>> pieces(2, 9, 4)
    (2, 1, 3)
    """
    head = min(length, -phase % period)
    whole, tail = divmod(length - head, period)
    return head, whole, tail


def check_axes(shape: Tile, axes: Sequence[int]) -> None:
    """Raises ValueError unless `axes` are different axes of a tensor of `shape`."""
    if len(set(axes)) < len(axes) or any(not 0 <= axis < len(shape) for axis in axes):
        raise ValueError(f"axes {', '.join(map(str, axes))} of a tensor with {len(shape)}; "
                         f"expected different ones from 0 to {len(shape) - 1}")


def product_without(extents: Sequence[int], axes: Sequence[int]) -> int:
    """The product of the extents along every other axis."""
    result = 1
    for axis, extent in enumerate(extents):
        if axis not in axes:
            result *= extent
    return result


def sizes(shape: Tile, tile: Tile, axes: Sequence[int]) -> list[tuple[int, float]]:
    """How far the tiles go along `axes` together, as (product of extents, share of the tiles).

    >>> sizes((4, 5), (4, 2), [0, 1])
    [(8, 0.6666666666666666), (4, 0.3333333333333333)]
    """
    found = {1: 1.0}
    for axis in axes:
        longer: dict[int, float] = {}
        for _, length, share in segments(shape[axis], tile[axis], 1):
            for size, weight in found.items():
                longer[size * length] = longer.get(size * length, 0.0) + share * weight
        found = longer
    return sorted(found.items(), reverse=True)


def others(shape: Tile, axes: Sequence[int]) -> list[int]:
    """The axes of a tensor of `shape` that are not among `axes`."""
    return [axis for axis in range(len(shape)) if axis not in axes]
