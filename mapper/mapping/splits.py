"""Splits of a rank whose factors need not multiply to its extent.

The factors of a rank, outermost first, are the bases of a mixed-radix number. The digits of the last
coordinate, `extent - 1`, are the last indices of the loops when all loops outside are at their last
iteration; so they say how many iterations the last pass of each loop has. The outermost loop that
iterates has one pass only, and no remainder.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

#: Rows of a table of splits that are built at most.
MOST_SPLITS = 1_000_000


class TooManySplits(ValueError):
    """There are more than `MOST_SPLITS` ways to split a rank."""


def last_passes(factors: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Iterations of the last pass of each loop; `factors` has shape (slots, ...), and so has the
    result. `extents` broadcasts to the other dimensions.

    >>> last_passes(np.array([[2], [8]]), np.array([13])).ravel()
    array([2, 5])
    """
    result = np.empty_like(factors)
    left = np.broadcast_to(extents, factors.shape[1:]) - 1
    for row in reversed(range(len(factors))):
        result[row] = left % factors[row] + 1
        left = left // factors[row]
    return result


def imperfect_splits(extent: int, limits: Sequence[tuple[int, int]]) -> np.ndarray:
    """Every way to split `extent` over slots with `limits` (most iterations, most of a shorter last
    pass; 0: none), outermost first. Shape (ways, slots).

    Raises
    ------
    TooManySplits

    >>> imperfect_splits(5, [(5, 0), (4, 2)])
    array([[5, 1],
           [3, 2],
           [2, 3],
           [2, 4]])
    """
    left = np.array([extent - 1], dtype=np.int64)      # index of the last tile, by way
    ways = np.ones((1, len(limits)), dtype=np.int64)
    for row in reversed(range(len(limits))):
        most, shorter = limits[row]
        # A factor of left + 1 ends the split; beyond that the loop would be longer than what is left.
        counts = np.minimum(left + 1, most)
        if counts.sum() > 8 * MOST_SPLITS:
            raise TooManySplits
        parent = np.repeat(np.arange(len(left)), counts)
        factor = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        last = left[parent] % factor + 1
        good = (last == factor) | (last <= shorter)
        if row == 0:
            good &= left[parent] < factor      # all must be covered
        parent, factor = parent[good], factor[good]
        ways, left = ways[parent], left[parent] // factor
        ways[:, row] = factor
        if len(ways) > MOST_SPLITS:
            raise TooManySplits
    return ways[left == 0]


def steps(ways: np.ndarray, extent: int, temporal: np.ndarray) -> np.ndarray:
    """Steps in time of each way, shape (ways, slots), to run through a rank, where `temporal` marks
    the slots of loops in time; `model.remainder.steps` for many at once."""
    inside = np.cumprod(np.c_[ways, np.ones(len(ways), dtype=np.int64)][:, ::-1], axis=1)[:, ::-1]
    pace = np.cumprod(np.c_[np.where(temporal, ways, 1), np.ones(len(ways), dtype=np.int64)][:, ::-1],
                      axis=1)[:, ::-1]     # steps of a whole pass from each slot inwards
    total, room = np.zeros(len(ways), dtype=np.int64), np.full(len(ways), extent, dtype=np.int64)
    for row, in_time in enumerate(temporal):
        full, rest = room // inside[:, row + 1], room % inside[:, row + 1]
        total += (full if in_time else np.minimum(full, 1)) * pace[:, row + 1]
        room = rest if in_time else np.where(full > 0, 0, rest)
    return total


def real_factors(factors: np.ndarray | Sequence[int], extents: np.ndarray | int) -> np.ndarray:
    """The factors, shape (slots, ...), with the outermost one of each rank made so small that they
    multiply to the extent: what a rank is split into when nothing is rounded up.

    >>> real_factors([2, 1, 8], 13)
    array([1.625, 1.   , 8.   ])
    """
    real = np.array(factors, dtype=float)
    excess = real.prod(axis=0) / extents
    outside = np.cumprod(np.concatenate([np.ones_like(real[:1]), real[:-1]]), axis=0) == 1
    return np.asarray(np.where(outside & (real > 1), real / excess, real))
