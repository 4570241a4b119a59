"""Splits of a rank whose factors need not multiply to its extent.

The factors of a rank, outermost first, are the bases of a mixed-radix number. The digits of the last
coordinate, `extent - 1`, are the last indices of the loops when all loops outside are at their last
iteration; so they say how many iterations the last pass of each loop has. The outermost loop that
iterates has one pass only, and no remainder.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from typing import Sequence

import numpy as np

#: Rows of a table of splits that are built at most.
MOST_SPLITS = 1_000_000
#: Of splits with the smallest tiles; where there are more, loops in time divide evenly.
MOST_SMALLEST = 200_000


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


#: How many tiles there are; the level over whose array the rank runs, or -1; and whether a loop is longer
#: than it need be unless a single instance outside is at work in the last pass.
_State = tuple[int, int, bool]


@dataclass(frozen=True)
class Place:
    """A slot in which a rank may iterate `least` to `most` times. `level`: of the storage level.
    `spatial`: over an array, along one axis of it only. `held`: levels inside hold tiles."""

    level: int
    least: int
    most: int
    spatial: bool
    held: bool

    @property
    def any(self) -> bool:
        """Whether fewer iterations would do as well, if as many tiles are visited."""
        return not self.spatial and self.least == 1


def smallest_splits(extent: int, places: Sequence[Place]) -> np.ndarray:
    """The ways to split `extent` over `places`, outermost first, but for those of which another one has no
    larger tile, takes no more steps and visits as many tiles of every level. Shape (ways, places).

    Tiles of `t` coordinates number `ceil(extent / t)`, which takes about `2 sqrt(extent)` values, and each
    can be had with a smallest tile. A loop in time may still be longer, where that leaves it one or two
    iterations in its last pass: tiles inside may then stay where they are. Or where a single instance of an
    array outside is at work in the last pass, and has the less left to do the more all did before. Every
    split into whole factors is among the ways. Where they are more than `MOST_SMALLEST`, loops in time
    divide the tiles evenly, as few of them as need be, the outermost first.

    >>> smallest_splits(5, [Place(0, 1, 5, False, True), Place(1, 1, 5, False, False)])
    array([[5, 1],
           [3, 2],
           [2, 3],
           [1, 5]])
    """
    even = bisect_left(range(len(places)), True, key=lambda n: _count(extent, places, n) <= MOST_SMALLEST)
    table = {(extent, -1, False): np.ones((1, len(places)), dtype=np.int64)}
    for row in reversed(range(len(places))):
        parts: dict[_State, list[np.ndarray]] = {}
        for state, ways in table.items():
            for factor, after in _steps_outwards(state, places, row, even):
                wider = ways.copy()
                wider[:, row] = factor
                parts.setdefault(after, []).append(wider)
        table = {key: np.concatenate(found) for key, found in parts.items()}
    found = [ways for (tiles, _, longer), ways in table.items() if tiles == 1 and not longer]
    return np.concatenate(found) if found else np.ones((0, len(places)), dtype=np.int64)


def _count(extent: int, places: Sequence[Place], even: int) -> int:
    """How many ways there are with so many places that divide evenly."""
    table = {(extent, -1, False): 1}
    for row in reversed(range(len(places))):
        counts: dict[_State, int] = {}
        for state, number in table.items():
            for _, after in _steps_outwards(state, places, row, even):
                counts[after] = counts.get(after, 0) + number
        table = counts
    return sum(number for (tiles, _, longer), number in table.items() if tiles == 1 and not longer)


def _steps_outwards(state: _State, places: Sequence[Place], row: int,
                    even: int) -> list[tuple[int, _State]]:
    """The factors of one more place, with the state then."""
    place, outermost, (tiles, used, longer) = places[row], row == 0, state
    if place.spatial and used == place.level:
        return [(1, state)] if tiles == 1 or not outermost else []
    if outermost:
        return [(tiles, (1, used, longer))] if place.least <= tiles <= place.most else []
    found: list[tuple[int, _State]] = []
    few = _factors(tiles, place.most, place.any, place.held and place.any)
    alone = any(x.spatial and x.most > 1 and x.level != used for x in places[:row])
    for f in _factors(tiles, place.most, False, False) if place.any and alone and row > even else few:
        if f < place.least or not (row > even or place.spatial or tiles % f == 0):
            continue
        if not place.spatial or f == 1:
            found.append((f, (-(-tiles // f), used, longer or f not in few)))
        elif not longer or tiles % f == 1:
            found.append((f, (-(-tiles // f), place.level, False)))
    return found


@cache
def _factors(tiles: int, most: int, smallest: bool, short: bool) -> tuple[int, ...]:
    """Iterations of one loop around `tiles` tiles: all numbers of them, or the `smallest` for each number of
    passes, and those with a `short` last pass."""
    factors = np.arange(1, min(tiles, most) + 1)
    if not smallest:
        return tuple(factors.tolist())
    passes = -(-tiles // factors)
    chosen = np.diff(passes, prepend=0) != 0
    if short:
        last = tiles - (passes - 1) * factors
        chosen |= (last <= 2) & (factors > 1)
    return tuple(factors[chosen].tolist())


def steps(ways: np.ndarray, extent: int, temporal: np.ndarray) -> np.ndarray:
    """Steps in time of each way, shape (ways, slots), to run through a rank, where `temporal` marks
    the slots of loops in time; `model.remainder.steps` for many at once."""
    inside = ways.prod(axis=1)                       # coordinates of a whole pass of what is inside a slot
    pace = ways.prod(axis=1, where=temporal)         # and its steps
    total, room = np.zeros(len(ways), dtype=np.int64), np.full(len(ways), extent, dtype=np.int64)
    for row, in_time in enumerate(temporal):
        inside //= ways[:, row]
        if in_time:
            pace //= ways[:, row]
        full, rest = room // inside, room % inside
        total += (full if in_time else np.minimum(full, 1)) * pace
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
