"""Tiles and tensor shapes over arrays of factors (the batch runs along the last axis).

All counts are held in float64, whose arithmetic is several times faster than that of int64: the
batch evaluator refuses problems whose counts could reach `EXACT`, below which sums, products and the
quotients rounded up or down here are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import mul
from typing import Sequence, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..mapping.template import slot
from ..workload.einsum import Einsum, Tensor

Array = NDArray[np.float64]
Count = Array | float       # an array over the batch, or a number when it is the same for all

EXACT = 2.0 ** 52


N = TypeVar("N", np.float64, np.int64)


def product_of(arrays: Sequence[NDArray[N]]) -> NDArray[N]:
    """Product of one array or more; with a single one, that array itself."""
    return reduce(mul, arrays)


class Nest:
    """The loop nests of one chunk of mappings.

    `factors` has shape (slots, ranks, batch); ranks are those of extent 2 or more. `tiles[k]` holds
    the rank extents in a tile of level k (one past the last level: a point), `unions[k]` those of
    all tiles below one instance of level k together, both of shape (ranks, batch).
    """

    def __init__(self, factors: Array, spatial: Sequence[tuple[int, ...]]) -> None:
        levels = len(factors) // 3
        self.factors = factors
        self.unions: list[Array] = [factors[0]] * levels
        self.tiles: list[Array] = [factors[0]] * levels + [np.ones_like(factors[0])]
        for level in reversed(range(levels)):
            union = self.tiles[level + 1]
            for row in spatial[level]:
                union = union * factors[row]
            self.unions[level] = union
            self.tiles[level] = union * factors[slot(level, "temporal")]
        self._volumes: dict[tuple[str, int], Array] = {}

    @property
    def batch(self) -> int:
        """Number of mappings."""
        return int(self.factors.shape[-1])

    def volume(self, shape: TensorShape, level: int) -> Array:
        """Words of a tensor in the tile of `level`."""
        key = shape.name, level
        if key not in self._volumes:
            self._volumes[key] = shape.volume(self.tiles[level])
        return self._volumes[key]

    def temporal(self, level: int, rank: int) -> Array:
        """Factors of the temporal loop of `rank` at `level`."""
        loop: Array = self.factors[slot(level, "temporal"), rank]
        return loop


@dataclass(frozen=True, slots=True)
class Side:
    """One tensor axis: the sum of `terms`, pairs of a rank column and its coefficient."""

    terms: tuple[tuple[int, int], ...]

    @property
    def unit(self) -> bool:
        """Whether the axis is as long as one rank."""
        return len(self.terms) == 1 and abs(self.terms[0][1]) == 1

    def length(self, extents: Array) -> Count:
        """Length of the axis for rank `extents` of shape (ranks, batch)."""
        if self.unit:
            single: Array = extents[self.terms[0][0]]
            return single
        weights = [abs(c) for _, c in self.terms]
        total: Count = float(1 - sum(weights))
        for (rank, _), weight in zip(self.terms, weights, strict=True):
            total = total + (extents[rank] if weight == 1 else weight * extents[rank])
        return total


@dataclass(frozen=True, slots=True)
class Move:
    """A temporal loop, or a run of loops that leave the tensor in place, as a stream meets it.

    `steps` is its displacement along each window axis in units of its inner extent; None for a loop
    along a plain axis, () for loops that do not move the tensor.
    """

    level: int
    ranks: tuple[int, ...]
    steps: tuple[int, ...] | None


class TensorShape:
    """How the ranks of extent 2 or more (columns of `Nest`) address one tensor.

    A *plain* axis is moved by one rank that moves no other axis. Steps along it are never shorter
    than the tile, so every move loads the whole tile. All other axes are *windows*, where tiles can
    overlap and coincide.
    """

    def __init__(self, tensor: Tensor, einsum: Einsum) -> None:
        self.name, self.is_output = tensor.name, tensor.is_output
        columns = {r: i for i, r in enumerate(x for x in einsum.ranks if einsum.extent[x] > 1)}
        sides = [Side(tuple((columns[t.rank], t.coefficient) for t in axis
                            if t.rank in columns and t.coefficient)) for axis in tensor.projection]
        used = [rank for side in sides for rank in {r for r, _ in side.terms}]
        self.plain = [s for s in sides if len(s.terms) == 1 and used.count(s.terms[0][0]) == 1]
        self.windows = [s for s in sides if s.terms and s not in self.plain]
        self.plain_ranks = [s.terms[0][0] for s in self.plain]
        #: rank column -> net coefficient along each window axis, for ranks that move one.
        self.steps: dict[int, tuple[int, ...]] = {}
        for rank in {r for side in self.windows for r, _ in side.terms}:
            steps = tuple(sum(c for r, c in side.terms if r == rank) for side in self.windows)
            if any(steps):
                self.steps[rank] = steps
        #: Whether no sum of moves along a window can cancel another.
        self.one_way = all(len({c > 0 for _, c in side.terms}) == 1 for side in self.windows)
        #: Whether, moreover, a loop along one window never repeats what one along another did.
        self.apart = self.one_way and all(sum(map(bool, s)) == 1 for s in self.steps.values())
        largest = np.array([einsum.extent[r] for r in columns], dtype=np.float64)[:, None]
        self.words = float(self.volume(largest)[0])
        #: Larger than any displacement along each window axis.
        self.bounds = [int(np.max(side.length(largest))) for side in self.windows]
        terms = [t for axis in tensor.projection for t in axis if t.rank in columns]
        #: No count of this tensor is larger: a box has at most the product of its terms' spans.
        self.largest_count = max(
            prod((abs(t.coefficient) or 1) * einsum.extent[t.rank] for t in terms)
            * prod(einsum.extent[r] for r in columns if r not in {t.rank for t in terms}),
            self.words * prod(np.max(s.length(largest)) for s in (*self.plain, *self.windows) if not s.unit))

    def sides(self, extents: Array) -> list[Count]:
        """Lengths of the window axes."""
        return [side.length(extents) for side in self.windows]

    def volume(self, extents: Array) -> Array:
        """Words in a box of the given rank extents of shape (ranks, batch)."""
        words: Count = 1.0
        for side in (*self.plain, *self.windows):
            words = words * side.length(extents)
        return np.broadcast_to(words, extents.shape[1:])

    def partitions(self, nest: Nest, spatial: Sequence[dict[int, tuple[int, ...]]]) -> list[Count]:
        """Words of the whole tensor that fall to one instance of each level (see `traffic`)."""
        shares: list[Count] = [self.words]
        for level in range(1, len(nest.unions)):
            unrolled = {rank for rank, rows in spatial[level - 1].items() if rows}
            share = shares[-1]
            if unrolled:
                inner: Count = 1.0
                outer: Count = 1.0
                for side in (*self.plain, *self.windows):
                    if side.unit:       # its quotient is known: keeps the products small
                        for row in spatial[level - 1][side.terms[0][0]]:
                            outer = outer * nest.factors[row, side.terms[0][0]]
                    elif not unrolled.isdisjoint(rank for rank, _ in side.terms):
                        inner = inner * side.length(nest.tiles[level])
                        outer = outer * side.length(nest.unions[level - 1])
                share = np.floor(share * inner / outer)
            shares.append(share)
        return shares

    def moves(self, orders: Sequence[Sequence[int]]) -> tuple[Move, ...]:
        """The temporal loops around a tile, innermost first, from those of each level outside it, rank
        columns outermost first.

        Loops inside every loop that moves the tensor are left out: they never reload a tile.
        """
        moves: list[Move] = []
        for outer in reversed(range(len(orders))):
            for rank in reversed(orders[outer]):
                if rank in self.plain_ranks:
                    moves.append(Move(outer, (rank,), None))
                elif rank in self.steps:
                    moves.append(Move(outer, (rank,), self.steps[rank]))
                elif moves and moves[-1].steps == () and moves[-1].level == outer:
                    moves[-1] = Move(outer, (*moves[-1].ranks, rank), ())
                elif moves:
                    moves.append(Move(outer, (rank,), ()))
        return tuple(moves)
