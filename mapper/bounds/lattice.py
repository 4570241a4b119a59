"""The lattice of divisors of a layer's extents, on a machine of three storage levels.

Every tile is a lattice point: one divisor a rank. What the lattice bound needs of a single tile
(words, copies, array shapes) is kept as one array over all points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from math import inf, prod

import numpy as np

from ..hardware.architecture import Architecture
from ..mapping.rules import SPATIAL, TEMPORAL, Rules
from ..mapping.template import slot
from ..workload.einsum import Axis, Einsum, Tensor, Term
from .arrays import divisors, smallest_prime
from .prices import Prices

_MOST_PAIRS = 12_000_000      # pairs (a, t) kept in memory at a time
_MOST_POINTS = 400_000        # lattice points


@dataclass(frozen=True)
class Tiling:
    """A candidate: extents by rank held by the middle level, the array, one inner instance, and
    how the array's factors split over x and y."""

    middle: tuple[int, ...]
    array: tuple[int, ...]
    inner: tuple[int, ...]
    x: tuple[int, ...]
    y: tuple[int, ...]


@dataclass(frozen=True)
class Pairs:
    """Pairs of an inner tile t and an array shape s, and the tile a = t s of the array: lattice points."""

    t: np.ndarray
    s: np.ndarray
    a: np.ndarray


class Lattice:
    """The divisors of all extents of one Einsum, with what depends on a single tile."""

    def __init__(self, architecture: Architecture, einsum: Einsum, rules: Rules | None = None) -> None:
        self.arch = architecture
        self.einsum = einsum
        self.rules = rules or Rules(architecture, einsum)
        self.prices = Prices(architecture, einsum)
        self._filled: dict[str, np.ndarray] = {}
        self.ranks = tuple(r for r in einsum.ranks if einsum.extent[r] > 1)
        self.extents = np.array([einsum.extent[r] for r in self.ranks], dtype=np.int64)
        self.shape = tuple(len(divisors(int(n))) for n in self.extents)

    @property
    def applies(self) -> bool:
        """Whether the machine has three storage levels, the outermost of which keeps everything, and
        one fanout, below the middle one; no tensor moves diagonally, and units do not skip in step."""
        fanouts = [prod(self.arch.fanout(i)) for i in range(len(self.arch.levels))]
        return (len(self.arch.levels) == 3 and fanouts[0] == fanouts[2] == 1
                and self.arch.levels[0].bypass.isdisjoint(t.name for t in self.einsum.tensors)
                and not any(t.has_shared_ranks for t in self.einsum.tensors)
                and self.arch.compute.lockstep is None
                and bool(self.ranks) and prod(self.shape) <= _MOST_POINTS)

    # ---- tables over lattice points ------------------------------------------------------------

    @cached_property
    def points(self) -> np.ndarray:
        """Extents of every lattice point, shape (points, ranks)."""
        values = [np.array(divisors(int(n))) for n in self.extents]
        return np.stack([v[g] for v, g in zip(values, self.grid, strict=True)], axis=1)

    @cached_property
    def grid(self) -> np.ndarray:
        """For each rank which of its divisors every lattice point has, shape (ranks, points)."""
        return np.indices(self.shape).reshape(len(self.shape), -1)

    @cached_property
    def _products(self) -> list[np.ndarray]:
        """For each rank, of two divisors, the flat-index step of their product; far below zero where
        the product does not divide the extent."""
        tables = []
        for n, steps in zip(self.extents.tolist(), self._positions, strict=True):
            both = np.multiply.outer(divisors(n), divisors(n))
            tables.append(np.where(n % both == 0, steps[np.minimum(both, n)], -_MOST_POINTS * 10))
        return tables

    @cached_property
    def _positions(self) -> list[np.ndarray]:
        """For each rank the flat-index step of a divisor, by its value."""
        strides = [int(np.prod(self.shape[i + 1:], dtype=np.int64)) for i in range(len(self.shape))]
        tables = []
        for n, stride in zip(self.extents, strides, strict=True):
            table = np.full(int(n) + 1, -1, dtype=np.int64)
            table[list(divisors(int(n)))] = stride * np.arange(len(divisors(int(n))))
            tables.append(table)
        return tables

    def index(self, extents: np.ndarray) -> np.ndarray:
        """Flat lattice index of extents that divide, shape (..., ranks) to (...)."""
        index = np.zeros(extents.shape[:-1], dtype=np.int64)
        for i, table in enumerate(self._positions):
            index = index + table[extents[..., i]]
        return index

    def product(self, ranks: frozenset[str]) -> np.ndarray:
        """Product of the extents of `ranks` at every point, as float."""
        chosen = [i for i, r in enumerate(self.ranks) if r in ranks]
        return np.prod(self.points[:, chosen], axis=1, dtype=float)

    def interval(self, axis: Axis) -> np.ndarray:
        """Length of the tile along `axis` at every point."""
        length = np.ones(len(self.points))
        for term in axis:
            if term.rank in self.ranks:
                length += abs(term.coefficient) * (self.points[:, self.ranks.index(term.rank)] - 1)
        return length

    @cached_property
    def volumes(self) -> dict[str, np.ndarray]:
        """Words of each tensor's tile at every point."""
        return {t.name: np.prod([self.interval(axis) for axis in t.projection], axis=0)
                for t in self.einsum.tensors}

    def filled(self, tensor: str) -> np.ndarray:
        """At every point, the share of tiles that are not empty to that of words that are not zero."""
        if tensor not in self._filled:
            density = self.einsum.tensor(tensor).density
            bound = None if density is None else density.bind(self.einsum.tensor_shape(tensor))
            if bound is None or not bound.by_volume:
                self._filled[tensor] = np.ones(len(self.points))
            else:
                share = 1.0 - bound.p_empty_many(self.volumes[tensor][:, None].astype(np.int64))
                self._filled[tensor] = np.maximum(share / self.prices.density[tensor], 1.0)
        return self._filled[tensor]

    def distinct(self, tensor: Tensor, tile: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """Different tiles of `tensor` among the instances of an array, or less.

        `tile` and `shape` are lattice points: what an instance holds and what the array unrolls.
        Offsets i * a + j * b with i < m, j < n repeat every (b, -a) / gcd(a, b), so there are
        m n - (m - b / gcd)+ (n - a / gcd)+ of them.
        """
        if not self.arch.levels[1].network.multicast:
            return self.product(frozenset(self.ranks))[shape]
        count = np.ones(len(tile))
        for axis in tensor.projection:
            terms = [t for t in axis if t.rank in self.ranks]
            columns = [self.ranks.index(t.rank) for t in terms]
            if len(terms) == 2:
                table = _distinct_table(*((int(self.extents[i]), abs(t.coefficient))
                                          for i, t in zip(columns, terms, strict=True)))
                both = self.grid[columns[0]] * self.shape[columns[1]] + self.grid[columns[1]]
                count *= table[both[tile], both[shape]]
            elif terms:
                count *= (1 + (self.points[:, columns] - 1).sum(axis=1))[shape]
        return count

    @cached_property
    def arrays(self) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Lattice points that fit the array, each with one way to split it over x and y."""
        level, (width, height) = self.arch.levels[1], self.arch.fanout(1)
        ways: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        along_x = self._within(width, level.spatial_x)
        along_y = self._within(height, level.spatial_y)
        for x in along_x:
            both = along_y * x
            # A rank runs along one axis of the array only, as in Timeloop's mappings.
            fits = (self.extents % both == 0).all(axis=1) & ((along_y == 1) | (x == 1)).all(axis=1)
            if self.rules.constraints:
                fits &= self._admitted(np.broadcast_to(x, along_y.shape), along_y)
            for y, point in zip(along_y[fits], self.index(both[fits]), strict=True):
                ways.setdefault(int(point), (tuple(map(int, x)), tuple(map(int, y))))
        return ways

    def _within(self, most: int, allowed: tuple[str, ...] | None) -> np.ndarray:
        """Points whose product is at most `most` and whose other ranks are 1."""
        fits = self.points.prod(axis=1) <= most
        for i, rank in enumerate(self.ranks):
            if allowed is not None and rank not in allowed:
                fits &= self.points[:, i] == 1
        return np.compress(fits, self.points, axis=0)

    def _admitted(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether the constraints admit the factors `x` and `y` of the array, shape (arrays, ranks)."""
        factors = np.ones((len(x), 9, len(self.einsum.ranks)), dtype=np.int64)
        columns = [self.einsum.ranks.index(rank) for rank in self.ranks]
        factors[:, slot(1, "x"), columns], factors[:, slot(1, "y"), columns] = x, y
        return self.quotients(1, SPATIAL, x * y) & self.rules.joint(factors)

    def quotients(self, level: int, kind: int, factors: np.ndarray) -> np.ndarray:
        """Whether the constraints admit the `factors`, shape (points, ranks), of loops of one `kind`
        (a row of `Rules.least`) at `level`."""
        columns = [self.einsum.ranks.index(rank) for rank in self.ranks]
        least, most = self.rules.least[level, kind, columns], self.rules.most[level, kind, columns]
        return np.asarray(((least <= factors) & (factors <= most)).all(axis=1))

    def sliding(self, tensor: Tensor, tile: np.ndarray, outer: np.ndarray,
                sliders: frozenset[str]) -> np.ndarray:
        """Least share of a tile that a step brings in when one of `sliders` steps innermost.

        `tile` and `outer` are lattice points: the tile of an instance, and the extents one step of
        the loops above moves by. The result is at most 1 and never above the true share.
        """
        share = np.ones(len(tile))
        for axis in tensor.projection:
            moving = [t for t in axis if t.rank in self.ranks]
            if len(moving) < 2:
                continue
            width = self.interval(axis)[tile]
            for term in moving:
                if term.rank not in sliders:
                    continue
                i = self.ranks.index(term.rank)
                held = self.points[:, i][outer]
                steps = self.extents[i] / held
                fresh = np.minimum(width, abs(term.coefficient) * held)
                piece = (width + (steps - 1) * fresh) / steps
                undone = self._may_undo(axis, term, outer) & (steps > 1)
                least = fresh * (1 - 1 / smallest_prime(int(self.extents[i])))
                piece = np.where(undone, least, piece)
                share = np.minimum(share, piece / width)
        return share

    def _may_undo(self, axis: Axis, slider: Term, outer: np.ndarray) -> np.ndarray:
        """Where a step of another window rank may equal steps of the slider, so that it moves
        nothing or seems to slide on: the sum of steps of either rank is then a multiple of the
        smallest step of the other."""
        others = [t for t in axis if t.rank in self.ranks and t is not slider]
        i = self.ranks.index(slider.rank)
        if len(others) > 1:
            indices = [self.ranks.index(t.rank) for t in others]
            return np.any(self.points[outer][:, indices] < self.extents[indices], axis=1)
        j = self.ranks.index(others[0].rank)
        table = _undo_table(int(self.extents[i]), abs(slider.coefficient),
                            int(self.extents[j]), abs(others[0].coefficient))
        return np.asarray(table[self.grid[i], self.grid[j]][outer])

    def pairs(self, inner_words: np.ndarray, least_parallel: float) -> Pairs | None:
        """Pairs (t, s) with t within the inner capacity, t * s dividing the extents and at least
        `least_parallel` instances at work; None when they are too many."""
        capacity = self.arch.levels[2].capacity_words
        fits = inner_words <= (inf if capacity is None else capacity)
        tiles = np.flatnonzero(fits & self.quotients(2, TEMPORAL, self.points))
        shapes = np.array([p for p in self.arrays if self.points[p].prod() >= least_parallel], dtype=np.int64)
        if len(tiles) * len(shapes) > 60 * _MOST_PAIRS:
            return None
        grid, found, total = self.grid[:, tiles], list[Pairs](), 0
        for s in shapes:
            array = np.zeros(len(tiles), dtype=np.int64)
            for table, rows, i in zip(self._products, grid, self.grid[:, s], strict=True):
                array += table[i][rows]
            fits = array >= 0
            found.append(Pairs(tiles[fits], np.full(int(fits.sum()), s), array[fits]))
            total += len(found[-1].t)
            if total > _MOST_PAIRS:
                return None
        empty = np.zeros(0, dtype=np.int64)
        return Pairs(*(np.concatenate([empty, *(getattr(p, name) for p in found)]) for name in "tsa"))


@cache
def _distinct_table(first: tuple[int, int], second: tuple[int, int]) -> np.ndarray:
    """Distinct sums of two ranks' offsets, by what a tile holds (rows) and the array unrolls
    (columns): all pairs of divisors of the ranks. A rank is its extent and its coefficient."""
    (extent, unit), (other_extent, other_unit) = first, second
    held, other = np.array(divisors(extent)), np.array(divisors(other_extent))
    step, other_step = unit * held[:, None], other_unit * other[None, :]
    common = np.gcd(step, other_step)
    lap, other_lap = (other_step // common)[:, :, None], (step // common)[:, :, None]
    over = np.maximum(held - lap, 0)[:, :, :, None] * np.maximum(other - other_lap, 0)[:, :, None, :]
    pairs = len(held) * len(other)
    return (held[:, None] * other - over).reshape(pairs, pairs)


@cache
def _undo_table(extent: int, unit: int, other_extent: int, other_unit: int) -> np.ndarray:
    """`Lattice._may_undo` for every pair of divisors held: the slider's and the other rank's.

    A rank steps at up to two levels, by unit * v and unit * w with v | w | extent, both below the
    extent. A step of one loop undoes others only if it equals their sum, in which the slider's
    innermost step counts once or twice.
    """
    table = np.zeros((len(divisors(extent)), len(divisors(other_extent))), dtype=bool)
    for i, held in enumerate(divisors(extent)):
        for j, other in enumerate(divisors(other_extent)):
            small, other_small = unit * held, other_unit * other
            large = [unit * w for w in divisors(extent) if w < extent and w % held == 0]
            other_large = [other_unit * w for w in divisors(other_extent)
                           if w < other_extent and w % other == 0]
            sums = {c * small for c in (1, 2)} | {c * small + w for c in (1, 2) for w in large}
            sums |= {w - c * small for c in (1, 2) for w in large}
            other_sums = set(other_large) | {w + other_small for w in other_large}
            other_sums |= {w - other_small for w in other_large}
            table[i, j] = (held < extent and other < other_extent
                           and any(x > 0 and x % other_small == 0 for x in sums)
                           and any(x > 0 and x % small == 0 for x in other_sums))
    return table
