"""The lattice of divisors of a layer's extents, on a machine with one array of units."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from typing import Hashable

import numpy as np

from ...mapping.template import Keep
from ...workload.einsum import Axis, Tensor
from ..divisors import divisors
from ..scenario import Scenario
from ..unrolled import Sides, unrolled
from .points import Points
from .windows import Windows

_MOST_POINTS = 400_000        # lattice points


@dataclass(frozen=True)
class Tiling:
    """A candidate of which no less than `value` is proven: its factors, shape (slots, ranks), by level
    the loop orders that may attain it, of all ranks that can iterate, the innermost first, and where it was
    open what levels keep, what they keep in it."""

    value: float
    factors: np.ndarray
    orders: tuple[tuple[tuple[str, ...], ...], ...]
    keep: Keep = ()


class Lattice(Points):
    """The lattice points of one scenario, with what its machine makes of a single tile."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario.einsum)
        self.scenario = scenario
        self.arch, self.rules = scenario.architecture, scenario.rules
        self.prices, self.depth, self.columns = scenario.prices, scenario.depth, scenario.columns
        self._filled: dict[str, np.ndarray] = {}
        #: Outer costs that bounds of several keep/bypass choices share (see `LatticeBound`).
        self.outside: dict[Hashable, tuple[
            dict[str, np.ndarray], dict[tuple[str, frozenset[str]], np.ndarray]]] = {}
        self.coarse = False          # whether tiles that leave much of a level empty are left out
        self.windows = Windows(self)

    @cached_property
    def array_level(self) -> int:
        """The level with the array below it, or else one with none, as if it were one of a single unit."""
        return self.scenario.wide[0] if self.scenario.wide else min(1, self.depth - 1)

    @property
    def applies(self) -> bool:
        """Whether the machine has at most one fanout, below the outermost level or the next, and the
        outermost level keeps everything; no tensor moves diagonally, and units do not skip in step."""
        return (len(self.scenario.wide) <= 1 and self.array_level <= 1
                and self.scenario.all_outside
                and not any(t.has_shared_ranks for t in self.einsum.tensors)
                and self.arch.compute.lockstep is None
                and bool(self.ranks) and prod(self.shape) <= _MOST_POINTS)

    def coarsened(self) -> Lattice:
        """The same, in which tiles below the array fill their levels at least by half, as far as any do: it
        proves nothing, but finds good tilings early."""
        other = copy(self)
        other.coarse = True
        return other

    @property
    def limited(self) -> bool:
        """Whether a bandwidth may hold the units back."""
        return any(x is not None for level in self.arch.levels for x in (
            level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth))

    # ---- tables over lattice points ------------------------------------------------------------

    def times(self, points: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which of `points` times which of `others` are lattice points, and these."""
        exponents, guards = self._packed
        rest = (exponents[-1] | guards) - exponents[points][:, None] - exponents[others][None, :]
        first, second = np.nonzero((rest & guards) == guards)
        code, point = self._codes
        return first, second, point[code[points[first]] + code[others[second]]]

    @cached_property
    def one_of_two(self) -> np.ndarray:
        """At every point, whether it counts: of two that are mirror images of each other one does."""
        columns = [self.ranks.index(self.scenario.mirror.get(rank, rank)) for rank in self.ranks]
        return np.asarray(self.index(self.points[:, columns]) >= np.arange(len(self.points)))

    def quotient_tables(self, level: int, kind: int) -> list[np.ndarray]:
        """For each rank, whether its first divisor divides its second and the constraints admit that many
        iterations of a loop of one `kind` (a row of `Rules.least`) at `level`."""
        return self.once(("quotients", level, kind), lambda: self._quotient_tables(level, kind))

    def _quotient_tables(self, level: int, kind: int) -> list[np.ndarray]:
        tables = []
        for n, column in zip(self.extents.tolist(), self.columns, strict=True):
            inner, outer = np.array(divisors(n))[:, None], np.array(divisors(n))[None, :]
            least, most = self.rules.least[level, kind, column], self.rules.most[level, kind, column]
            tables.append((outer % inner == 0) & (least * inner <= outer) & (outer <= most * inner))
        return tables

    @cached_property
    def classes(self) -> dict[frozenset[str], frozenset[str]]:
        """By tensors the ranks that move all but these, which stay when such a loop is innermost."""
        still = {r: frozenset(t.name for t in self.einsum.tensors if r not in t.ranks) for r in self.ranks}
        return {names: frozenset(r for r in self.ranks if still[r] == names)
                for names in dict.fromkeys(still.values())}

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
        if not self.arch.levels[self.array_level].network.multicast:
            return self.product(frozenset(self.ranks))[shape]
        count = np.ones(len(tile))
        for axis in tensor.projection:
            count *= self.distinct_along(axis, tile, shape)
        return count

    def distinct_along(self, axis: Axis, tile: np.ndarray, shape: np.ndarray) -> np.ndarray:
        """The same along one axis, where instances share words."""
        terms = [t for t in axis if t.rank in self.ranks]
        columns = [self.ranks.index(t.rank) for t in terms]
        if len(terms) != 2:
            return np.asarray(1.0 + (self.points[:, columns] - 1).sum(axis=1)[shape])
        table = _distinct_table(*((int(self.extents[i]), abs(t.coefficient))
                                  for i, t in zip(columns, terms, strict=True)))
        both = self.grid[columns[0]] * self.shape[columns[1]] + self.grid[columns[1]]
        return np.asarray(table[both[tile], both[shape]], dtype=float)

    @cached_property
    def arrays(self) -> dict[int, Sides]:
        """Lattice points that fit the array, each with one way to split it over x and y."""
        ways: dict[int, Sides] = {}
        every = list(unrolled(self.scenario, self.array_level))
        both = np.array(every, dtype=np.int64).reshape(len(every), 2, -1).prod(axis=1)
        enough = both.prod(axis=1) >= self.rules.workers
        for way, point, good in zip(every, self.index(both).tolist(), enough.tolist(), strict=True):
            if good:
                ways.setdefault(point, way)
        return ways

    @cached_property
    def shapes(self) -> np.ndarray:
        """The lattice points that fit the array."""
        return np.array(list(self.arrays), dtype=np.int64)

    @cached_property
    def instances(self) -> np.ndarray:
        """How many units the array has at work in each of the `shapes`."""
        return np.asarray(self.points[self.shapes].prod(axis=1, dtype=float))

    def quotients(self, level: int, kind: int, factors: np.ndarray) -> np.ndarray:
        """Whether the constraints admit the `factors`, shape (points, ranks), of loops of one `kind`
        (a row of `Rules.least`) at `level`."""
        least = self.rules.least[level, kind, self.columns]
        most = self.rules.most[level, kind, self.columns]
        return np.asarray(((least <= factors) & (factors <= most)).all(axis=1))


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
