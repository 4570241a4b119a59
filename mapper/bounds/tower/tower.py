"""Machines with arrays at several levels: the shapes of all arrays at once, over the lattice of divisors.

A *shape* here says what every array of the machine unrolls. For one shape all that a stream of words costs
depends on a single tile (see `tower.flow`), so that the best loops in time are found by dynamic programming
over tiles, from the innermost level outwards (see `tower.bound`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from math import inf, prod
from operator import mul

import numpy as np

from ...mapping.rules import TEMPORAL
from ...mapping.template import Keep, slot
from ...model.batch_hops import mean_way
from ...model.network import toll
from ...workload.einsum import Tensor
from ..divisors import divisors, prime_factors
from ..lattice.lattice import Lattice
from ..unrolled import Sides, unrolled

_MOST_SHAPES = 100_000        # of all arrays together
_MOST_POINTS = 100_000        # lattice points
_FAR = -(1 << 40)             # an index that no sum with others makes positive


@dataclass(frozen=True)
class Shapes:
    """Some shapes: what each array unrolls along x and along y, (shapes, levels, ranks)."""

    x: np.ndarray
    y: np.ndarray

    def at(self, where: np.ndarray) -> Shapes:
        """Some of them."""
        return Shapes(self.x[where], self.y[where])

    @cached_property
    def both(self) -> np.ndarray:
        """Iterations of every rank over the array below every level, (shapes, levels, ranks)."""
        return np.asarray(self.x * self.y)

    @cached_property
    def spread(self) -> np.ndarray:
        """Instances at work below one of each level, (shapes, levels)."""
        return np.asarray(self.both.prod(axis=2, dtype=float))

    @cached_property
    def instances(self) -> np.ndarray:
        """Instances at work of every level, and of the units, (shapes, levels + 1)."""
        return np.cumprod(np.concatenate([np.ones((len(self.x), 1)), self.spread], axis=1), axis=1)


class Tower:
    """The tables of one Einsum on one machine, with the `lattice` of its tiles."""

    def __init__(self, lattice: Lattice) -> None:
        self.l = lattice
        self.depth = lattice.depth
        self._iterations: dict[tuple[int, int], dict[float, list[tuple[int, int]]]] = {}

    @property
    def applies(self) -> bool:
        """Whether the outermost level keeps everything, no tensor moves diagonally, nothing is done about
        zeros, tiles and shapes are not too many, and mappings are cut level by level."""
        return self.covers and not self.l.rules.both_axes

    @property
    def covers(self) -> bool:
        """The same, of mappings in which tensors are cut anywhere as well (see `tower.cuts`)."""
        lattice, arch = self.l, self.l.arch
        return (lattice.scenario.all_outside
                and not any(t.has_shared_ranks for t in lattice.einsum.tensors)
                and not arch.sparse
                and bool(lattice.ranks) and prod(lattice.shape) <= _MOST_POINTS and self.shapes is not None)

    def ways_to_keep(self, loose: Keep) -> int:
        """About how many values a bound knows at a time, while it is open what levels keep of `loose`: of
        each tensor the level that holds it or the one that keeps it next, at every lattice point."""
        levels = [1 + sum(t.name in names for names in loose) for t in self.l.einsum.tensors]
        return prod(levels) * prod(self.l.shape)

    # ---- shapes ----------------------------------------------------------------------------------

    @cached_property
    def shapes(self) -> Shapes | None:
        """All shapes that the constraints admit; None where they are too many."""
        levels = [self._unrolled(level) for level in range(self.depth)]
        if prod(map(len, levels)) > _MOST_SHAPES:
            return None
        ways = list(product(*levels))
        x = np.array([[own[0] for own in way] for way in ways], dtype=np.int64)
        y = np.array([[own[1] for own in way] for way in ways], dtype=np.int64)
        fits = (self.l.extents % (x * y).prod(axis=1) == 0).all(axis=1)
        fits &= (x * y).prod(axis=(1, 2)) >= self.l.rules.workers
        return Shapes(x[fits], y[fits])

    def _unrolled(self, level: int) -> list[Sides]:
        """What the array below `level` may unroll along x and along y, not many more than `_MOST_SHAPES`; of
        ways that differ in the way of words alone only one, where that costs nothing."""
        if self._counts_hops(level):
            return list(islice(unrolled(self.l.scenario, level), _MOST_SHAPES + 1))
        found: dict[tuple[int, ...], Sides] = {}
        for x, y in unrolled(self.l.scenario, level):
            found.setdefault(tuple(map(mul, x, y)), (x, y))
            if len(found) > _MOST_SHAPES:
                break
        return list(found.values())

    def _counts_hops(self, level: int) -> bool:
        price = toll(self.l.arch, level)
        return price is not None and bool(price.hop or price.router)

    # ---- networks --------------------------------------------------------------------------------

    def multicast(self, level: int, tensor: Tensor) -> bool:
        """Whether instances below `level` share words of `tensor`."""
        apart = self.l.rules.no_multicast
        return self.l.arch.levels[level].network.multicast and tensor.name not in apart[level]

    def way(self, level: int, tensor: Tensor, shapes: Shapes) -> np.ndarray:
        """Links that a word of `tensor` passes over below `level`, on average, (shapes,); 0 where that
        depends on the tile, since several ranks of a window are unrolled."""
        return np.array([self._way(level, tensor, x, y) for x, y in zip(
            shapes.x[:, level].tolist(), shapes.y[:, level].tolist(), strict=True)])

    def _way(self, level: int, tensor: Tensor, x: list[int], y: list[int]) -> float:
        # A rank along both axes goes on along y where it has come to an end along x.
        loops = [(r, n, inside) for own, within in ((y, x), (x, [1] * len(x)))
                 for r, n, inside in zip(self.l.ranks, own, within, strict=True) if n > 1]
        ranks = {rank for rank, *_ in loops}
        if any(len(ranks & {t.rank for t in axis}) > 1 for axis in tensor.projection):
            return 0.0
        steps = tuple(tuple(inside * sum(t.coefficient for t in axis if t.rank == rank)
                            for axis in tensor.projection) for rank, _, inside in loops)
        return mean_way(steps, tuple(n for _, n, _ in loops), self.multicast(level, tensor),
                        self.l.arch.fanout(level))

    # ---- tiles -----------------------------------------------------------------------------------

    @cached_property
    def _quotients(self) -> list[np.ndarray]:
        """For each rank the step in the flat index of a divisor (columns) over another (rows); far below
        zero where that is none. The last row is for what is no divisor."""
        tables = []
        for n, stride in zip(self.l.extents.tolist(), self.l.strides, strict=True):
            own = np.array(divisors(n))
            steps = stride * np.searchsorted(own, own[None, :] // own[:, None])
            steps = np.where(own[None, :] % own[:, None] == 0, steps, _FAR)
            tables.append(np.pad(steps, ((0, 1), (0, 0)), constant_values=_FAR))
        return tables

    def _row(self, axis: int, unrolled: np.ndarray) -> np.ndarray:
        """Rows of the table of quotients of a rank."""
        own = np.array((*divisors(int(self.l.extents[axis])), 0))
        rows = np.searchsorted(own[:-1], unrolled)
        return np.where(own[rows] == unrolled, rows, len(own) - 1)

    def inside(self, unrolled: np.ndarray, axes: tuple[int, ...] | None = None) -> np.ndarray:
        """The lattice points of all tiles over what is `unrolled`, (shapes, ranks) to (shapes, points); -1
        where that does not divide them. With `axes`, of the tiles of these ranks alone."""
        axes = tuple(range(len(self.l.shape))) if axes is None else axes
        index = np.zeros((len(unrolled), *(self.l.shape[axis] for axis in axes)), dtype=np.int64)
        for place, axis in enumerate(axes):
            own = self._quotients[axis][self._row(axis, unrolled[:, axis])]
            index += own.reshape(len(own), *(-1 if i == place else 1 for i in range(len(axes))))
        return np.maximum(index.reshape(len(unrolled), -1), -1)

    @cached_property
    def admitted(self) -> list[list[np.ndarray]]:
        """By level, for each rank, which of its divisors (columns) loops around another one (rows) make."""
        return [self.l.quotient_tables(level, TEMPORAL) for level in range(self.depth)]

    @cached_property
    def unlimited(self) -> list[list[bool]]:
        """By level, for each rank, whether loops may have any number of iterations that divides."""
        tables = [o[None, :] % o[:, None] == 0 for o in self.l.divisors]
        return [[bool((own == table).all()) for own, table in zip(level, tables, strict=True)]
                for level in self.admitted]

    @cached_property
    def primes(self) -> list[list[tuple[int, int]]]:
        """For each rank the pairs of its divisors that differ by a prime, in an order in which least values
        go from every divisor to all its multiples."""
        found = []
        for n, own in zip(self.l.extents.tolist(), self.l.divisors, strict=True):
            place = {d: i for i, d in enumerate(own.tolist())}
            found.append([(i, place[d * prime]) for prime in dict.fromkeys(prime_factors(n))
                          for d, i in place.items() if d * prime in place])
        return found

    def iterations(self, level: int, axis: int) -> dict[float, list[tuple[int, int]]]:
        """By how often a loop of one rank may iterate at `level`, more than once, from which of its divisors
        to which that leads."""
        if (level, axis) not in self._iterations:
            own, found = self.l.divisors[axis].tolist(), dict[float, list[tuple[int, int]]]()
            for i, j in np.argwhere(np.triu(self.admitted[level][axis], 1)).tolist():
                found.setdefault(own[j] / own[i], []).append((i, j))
            self._iterations[level, axis] = found
        return self._iterations[level, axis]

    def fits(self, level: int, names: frozenset[str]) -> np.ndarray:
        """Which tiles fit a level that keeps the tensors `names`."""
        capacity, words = self.l.arch.levels[level].capacity_words, np.zeros(len(self.l.points))
        for name in names:
            words = words + self.l.volumes[name]
        return np.asarray(words <= (inf if capacity is None else capacity))

    def least_iterations(self, level: int) -> np.ndarray:
        """Of the loop of each rank at `level`."""
        return np.asarray(self.l.rules.least[level, TEMPORAL, self.l.columns])

    def factors(self, shapes: Shapes, chain: list[tuple[int, int]]) -> np.ndarray:
        """The factors of the first of some shapes, with the tile (outside, inside) of each level's loops,
        outermost first; shape (slots, ranks)."""
        factors = np.ones((3 * self.depth, len(self.l.einsum.ranks)), dtype=np.int64)
        for level, (outside, inside) in enumerate(chain):
            factors[slot(level, "temporal"), self.l.columns] = self.l.points[outside] // self.l.points[inside]
            factors[slot(level, "x"), self.l.columns] = shapes.x[0, level]
            factors[slot(level, "y"), self.l.columns] = shapes.y[0, level]
        return factors
