"""The counting rules of `reuse`, over arrays of factors (the batch runs along the last axis)."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from .batch_shape import Array, Count, Move, Nest, TensorShape, product_of

#: Larger than any displacement: a tile that has gone this far meets no earlier one.
FAR = 2.0 ** 100


def words_received(shape: TensorShape, moves: Sequence[Move], nest: Nest, level: int) -> Array:
    """Words that enter one instance of `level`, as `reuse.words_received` defines them.

    The total `words` is built from the innermost loop outwards. Were every move to load the whole
    tile, a loop of n iterations would multiply it by n; `saved` is what its own n - 1 moves load
    less than that. Loops of one iteration drop out by themselves.
    """
    volume = nest.volume(shape, level)
    words = volume
    window = _Window(shape, nest, level, volume) if shape.windows else None
    for move in moves:
        n = product_of([nest.temporal(move.level, rank) for rank in move.ranks])
        if move.steps is None:
            words = words * n
            if window:
                window.leave(n)
        elif not move.steps and shape.one_way:
            words = words * np.where(words > volume, n, 1.0)
        else:
            assert window is not None
            words = words * n - (n - 1.0) * window.saved(move, n, words)
    return words


class _Window:
    """The state of a stream whose tiles slide: what the loops met so far do along each window axis.

    `first` is the move of the innermost loop that moves the tensor (NaN before it is met), and
    `inside` the sum of the moves of all loops met.
    """

    def __init__(self, shape: TensorShape, nest: Nest, level: int, volume: Array) -> None:
        self.shape, self.nest, self.volume = shape, nest, volume
        self.sides = shape.sides(nest.tiles[level])
        self.first: list[Count] = [np.nan] * len(self.sides)
        self.inside: list[Count] = [0.0] * len(self.sides)
        self.overlap: Count = 0.0      # words that `first` finds loaded

    def leave(self, n: Array) -> None:
        """Note a loop of `n` iterations along a plain axis: no loop further out can repeat `first`
        or stand still."""
        away = (n - 1.0) * FAR
        self.inside = [inside + away for inside in self.inside]

    def saved(self, move: Move, n: Array, words: Array) -> Array:
        """Words that one move of this loop loads less than a whole tile."""
        moved = [axis for axis, coefficient in enumerate(move.steps or ()) if coefficient]
        steps: list[Count] = [0.0] * len(self.sides)
        for axis in moved:
            assert move.steps
            steps[axis] = move.steps[axis] * self.nest.unions[move.level][move.ranks[0]]
        iterates = n > 1.0
        if moved:
            self._start(steps, moved, iterates & (words == self.volume))
        compared = moved if self.shape.apart else range(len(steps))
        still: NDArray[np.bool_] | np.bool_ = np.True_
        repeat: NDArray[np.bool_] | np.bool_ = np.True_
        for axis in compared:
            net = steps[axis] - self.inside[axis]
            still = still & (net == 0.0)
            repeat = repeat & (net == self.first[axis])
        for axis in moved:
            self.inside[axis] = self.inside[axis] + np.multiply(iterates, steps[axis])
        if self.shape.apart:      # along the other windows no loop further out can
            away = (n - 1.0) * FAR
            self.inside = [x if axis in moved else x + away for axis, x in enumerate(self.inside)]
        return np.where(repeat, self.overlap, still * self.volume)

    def _start(self, steps: Sequence[Count], moved: Sequence[int], here: NDArray[np.bool_]) -> None:
        """Make `steps` the first move of the mappings marked in `here`."""
        for axis in moved if self.shape.apart else range(len(steps)):
            self.first[axis] = np.where(here, steps[axis], self.first[axis])
        if len(moved) == 1:
            side, step = self.sides[moved[0]], np.abs(steps[moved[0]])
            self.overlap = np.where(here, self.volume / side * (side - np.minimum(side, step)), self.overlap)


class Fanout:
    """How many different tiles of one tensor the instances below one level hold."""

    def __init__(self, shape: TensorShape, level: int, spatial: dict[int, tuple[int, ...]]) -> None:
        """`spatial`: by rank column, the slots in which that rank may be unrolled at `level`."""
        self.level, self.shape = level, shape
        self.plain = [(row, rank) for rank in shape.plain_ranks for row in spatial.get(rank, ())]
        #: Groups of ranks that move a common window axis.
        groups: list[set[int]] = []
        for axis in range(len(shape.windows)):
            group = {r for r, steps in shape.steps.items() if steps[axis] and spatial.get(r)}
            apart = [g for g in groups if not g & group]
            groups = [*apart, group.union(*(g for g in groups if g & group))]
        self.groups = [[(r, spatial[r]) for r in sorted(g)] for g in groups if g]

    def distinct(self, nest: Nest) -> Count:
        """Number of different tiles, over the batch."""
        count: Count = 1.0
        for row, rank in self.plain:
            count = count * nest.factors[row, rank]
        for group in self.groups:
            count = count * self._window_tiles(nest, group)
        return count

    def _window_tiles(self, nest: Nest, group: list[tuple[int, tuple[int, ...]]]) -> Array:
        """Different offsets along window axes; where two ranks or more are unrolled they can meet."""
        factors = [product_of([nest.factors[row, rank] for row in rows]) for rank, rows in group]
        tiles = product_of(factors)
        unrolled = sum((n > 1.0).astype(np.int8) for n in factors)
        where = np.flatnonzero(unrolled > 1)
        if len(group) == 1 or not where.size:
            return tiles
        counts = [n[where].astype(np.int64) for n in factors]
        steps = [[c * nest.tiles[self.level + 1][rank][where].astype(np.int64)
                  for c in self.shape.steps[rank]] for rank, _ in group]
        tiles = tiles.copy()
        if len(group) == 2 and all(sum(map(bool, self.shape.steps[r])) == 1 for r, _ in group):
            (a,), (b,) = ([s for s, c in zip(own, self.shape.steps[r], strict=True) if c]
                          for own, (r, _) in zip(steps, group, strict=True))
            tiles[where] = _sums_of_two(counts[0], np.abs(a), counts[1], np.abs(b))
        else:
            tiles[where] = _distinct_offsets(counts, steps, self.shape.bounds)
        return tiles


def _sums_of_two(n: NDArray[np.int64], a: NDArray[np.int64],
                 m: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values i*a + j*b takes for 0 <= i < n, 0 <= j < m.

    Pairs of equal value form chains in steps of (b, -a) / gcd(a, b): points less links.
    """
    common = np.gcd(a, b)
    links = np.maximum(n - b // common, 0) * np.maximum(m - a // common, 0)
    tiles: NDArray[np.int64] = n * m - links
    return tiles


def _distinct_offsets(counts: Sequence[NDArray[np.int64]], steps: Sequence[list[NDArray[np.int64]]],
                      bounds: Sequence[int]) -> NDArray[np.int64]:
    """How many different displacements the points of a box of `counts` indices have, by listing
    them; `bounds` are larger than any displacement along each axis."""
    total = product_of(counts)
    index = np.arange(total.max())[:, None] % total       # short lists repeat their points
    key = np.zeros(index.shape, dtype=np.int64)
    for n, displacement in zip(counts, steps, strict=True):
        digit, weight = index % n, 1
        index = index // n
        for step, bound in zip(displacement, bounds, strict=True):
            key += digit * step * weight
            weight *= 2 * bound + 1
    key.sort(axis=0)
    different: NDArray[np.int64] = 1 + (np.diff(key, axis=0) != 0).sum(axis=0)
    return different
