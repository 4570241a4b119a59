"""Tables over the tiles of one Einsum on one machine, for chains of cuts (`bounds.chains.cuts`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import product
from math import inf, prod
from operator import mul

import numpy as np
from numpy.typing import NDArray

from ...workload.einsum import Tensor
from ..divisors import divisors
from ..scenario import Scenario
from ..unrolled import unrolled
from .grid import Array, Grid
from .windows import Windows

_MOST_TILES = 60_000
_MOST_SHAPES = 20_000


@dataclass(frozen=True)
class Shape:
    """How the instances below the fanout are used: factors along x and along y, by rank. `asked`: by tensor
    the share of requests that multicast leaves, when the tile of one instance is one of `where` (None: any).
    """

    x: dict[str, int]
    y: dict[str, int]
    asked: dict[str, float] = field(default_factory=dict)
    where: NDArray[np.bool_] | None = None

    @property
    def factors(self) -> dict[str, int]:
        """How many instances each rank is spread over."""
        return {r: n * self.y[r] for r, n in self.x.items()}


class Nests:
    """Tables of a scenario on a machine with at most one fanout among its levels."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.arch, self.einsum, self.rules = scenario.architecture, scenario.einsum, scenario.rules
        self.prices, self.depth = scenario.prices, scenario.depth
        self.grid = Grid(self.einsum)
        #: The level with the fanout below it.
        self.border = scenario.wide[0] if scenario.wide else self.depth - 1
        self._below: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}
        self._parts: dict[tuple[int, ...], Grid] = {}
        self._product: dict[tuple[int, int], NDArray[np.intp]] = {}
        self._least_once: dict[tuple[str, bool, float], Array] = {}

    @cached_property
    def applies(self) -> bool:
        """Whether the machine has one fanout at most, its outermost level may keep everything, no tensor
        moves diagonally or back and forth, and no rank leaves two tensors in place."""
        tensors = self.einsum.tensors
        return (len(self.scenario.wide) <= 1 and not self.arch.sparse and self.arch.compute.lockstep is None
                and self.scenario.all_outside
                and not self.einsum.flattened and bool(self.grid.ranks)
                and not any(t.has_shared_ranks for t in tensors)
                and all(len({x.coefficient > 0 for x in axis}) <= 1 for t in tensors for axis in t.projection)
                and all(sum(r not in t.ranks for t in tensors) <= 1 for r in self.grid.ranks)
                and prod(self.grid.shape) <= _MOST_TILES and 0 < len(self.shapes) <= _MOST_SHAPES)

    @cached_property
    def shapes(self) -> list[Shape]:
        """One way to unroll ranks for every product of factors by rank, and for what multicast then makes of
        it."""
        return [x for shape in self._unrolled() for x in self._told_apart(shape)]

    def _unrolled(self) -> list[Shape]:
        ranks, found = self.grid.ranks, dict[tuple[int, ...], Shape]()
        image = [ranks.index(self.scenario.mirror.get(rank, rank)) for rank in ranks]
        for x, y in unrolled(self.scenario, self.border):
            both = tuple(map(mul, x, y))
            if prod(both) >= self.rules.workers and tuple(both[i] for i in image) >= both:
                along_x, along_y = (dict(zip(ranks, own, strict=True)) for own in (x, y))
                found.setdefault(both, Shape(along_x, along_y))
        return list(found.values())

    @cached_property
    def factors(self) -> NDArray[np.int64]:
        """The factors of each shape by rank, shape (shapes, ranks)."""
        return np.array([[s.factors[r] for r in self.grid.ranks] for s in self.shapes], dtype=np.int64)

    @cached_property
    def units(self) -> NDArray[np.int64]:
        """Instances at work, for each shape."""
        return np.asarray(self.factors.prod(axis=1))

    def along(self, tensor: Tensor, own: bool) -> NDArray[np.int64]:
        """For each shape the product of the factors of the ranks that `tensor` has, or has not."""
        columns = [i for i, r in enumerate(self.grid.ranks) if (r in tensor.ranks) == own]
        return np.asarray(self.factors[:, columns].prod(axis=1))

    def asked(self, tensor: Tensor) -> Array:
        """For each shape the share of requests that multicast leaves."""
        return self._asked[tensor.name]

    @cached_property
    def _asked(self) -> dict[str, Array]:
        return {t.name: np.array([shape.asked[t.name] for shape in self.shapes]) for t in self.einsum.tensors}

    def _told_apart(self, shape: Shape) -> list[Shape]:
        """The shape once for each share of requests that multicast may leave: where several ranks of a window
        are unrolled, it depends on the tile of one instance which of them have the same."""
        factors, einsum = shape.factors, self.einsum
        units = prod(factors.values())
        wide = {r for r, n in factors.items() if n > 1}
        axes = [wide & {t.rank for t in axis} for tensor in einsum.tensors for axis in tensor.projection]
        clash = frozenset().union(*(ranks for ranks in axes if len(ranks) > 1))
        ranks = [r for r in self.grid.ranks if r in clash]
        options = [[d for d in divisors(einsum.extent[r]) if einsum.extent[r] % (d * factors[r]) == 0]
                   for r in ranks]
        same = {t.name: self._distinct(t, factors, {}) / units for t in einsum.tensors if not clash & t.ranks}
        sides = [n if r in clash else 1 for r, n in zip(self.grid.ranks, self.grid.shape, strict=True)]
        found: dict[tuple[float, ...], NDArray[np.bool_]] = {}
        for tile in product(*options):
            inner = dict(zip(ranks, tile, strict=True))
            asked = tuple(same[t.name] if t.name in same else self._distinct(t, factors, inner) / units
                          for t in einsum.tensors)
            here = found.setdefault(asked, np.zeros(sides, dtype=bool))
            here[tuple(divisors(einsum.extent[r]).index(inner[r]) if r in inner else 0
                       for r in self.grid.ranks)] = True
        names = [t.name for t in einsum.tensors]
        return [replace(shape, asked=dict(zip(names, asked, strict=True)), where=where if ranks else None)
                for asked, where in found.items()]

    def _distinct(self, tensor: Tensor, factors: dict[str, int], tile: dict[str, int]) -> int:
        """How many instances, with such a `tile` where that matters, have different ones of `tensor`."""
        apart = self.rules.no_multicast[self.border]
        if not self.arch.levels[self.border].network.multicast or tensor.name in apart:
            return prod(factors.values())
        count = 1
        for axis in tensor.projection:
            unrolled = tuple((abs(t.coefficient) * tile.get(t.rank, 1), factors[t.rank]) for t in axis
                             if factors.get(t.rank, 1) > 1)
            count *= _sums(unrolled)
        return count

    # ---- tables over tiles -----------------------------------------------------------------------

    @cached_property
    def words(self) -> dict[str, Array]:
        """Words in each tile, by tensor."""
        return {t.name: self.grid.words(t) for t in self.einsum.tensors}

    @cached_property
    def windows(self) -> dict[str, Windows]:
        """What enters each tile, by tensor."""
        return {t.name: Windows(self.grid, t) for t in self.einsum.tensors}

    def entering(self, tensor: Tensor, s: int | None = None, outside: bool = False) -> Array:
        """Words that enter all instances where a tensor is cut into each tile, outside the fanout or inside
        shape `s` of the array; with all loops in time `outside` that."""
        return self.windows[tensor.name].entering({} if s is None else self.shapes[s].factors, outside)

    def slides(self, tensor: Tensor) -> NDArray[np.int64]:
        """The factors of each shape of the ranks that move windows of `tensor`, shape (shapes, ranks)."""
        return self.factors[:, [self.grid.ranks.index(r) for r in self.windows[tensor.name].ranks]]

    def once(self, tensor: Tensor, inside: bool, most: float = inf) -> Array:
        """For each shape, words that enter all tiles of at most so many words, or one of the copies of them,
        for every visit by loops that `tensor` does not have, at the least."""
        key = tensor.name, inside, most
        if key not in self._least_once:
            self._least_once[key] = self._onces(tensor, inside, most)
        return self._least_once[key]

    def _onces(self, tensor: Tensor, inside: bool, most: float) -> Array:
        if not inside:
            return np.full(len(self.shapes), self._once(tensor, None, most))
        _, first, of = np.unique(self.slides(tensor), axis=0, return_index=True, return_inverse=True)
        return np.array([self._once(tensor, int(s), most) for s in first])[of.ravel()]

    def _once(self, tensor: Tensor, s: int | None, most: float) -> float:
        words = self.entering(tensor, s) / self.again(tensor)
        return float(words[(words > 0.0) & (self.words[tensor.name] <= most)].min(initial=inf))

    def again(self, tensor: Tensor) -> Array:
        """How often each tile is visited by loops that `tensor` does not have."""
        return self.grid.visits(r for r in self.grid.ranks if r not in tensor.ranks)

    def around(self, tensor: Tensor) -> tuple[int, ...]:
        """The axes of the ranks that `tensor` does not have."""
        return self.grid.axes(r for r in self.grid.ranks if r not in tensor.ranks)

    def below(self, s: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The tiles of one instance that shape `s` admits, in its `part`, and those of the whole array; flat
        indices."""
        if s not in self._below:
            into = [self._times(i, int(f)) for i, f in enumerate(self.factors[s])]
            fits = [np.flatnonzero(x >= 0) for x in into]
            where = self.shapes[s].where
            sides = fits, [x[k] for x, k in zip(into, fits, strict=True)]
            own, whole = (np.ravel_multi_index(np.ix_(*x), shape).ravel() for x, shape in zip(
                sides, (self.part(s).shape, self.grid.shape), strict=True))
            if where is not None:
                good = np.broadcast_to(where, self.grid.shape)[np.ix_(*fits)].ravel()
                own, whole = own[good], whole[good]
            self._below[s] = own.astype(np.int32), whole.astype(np.int32)
        return self._below[s]

    def part(self, s: int) -> Grid:
        """The tiles that one instance of shape `s` may have, and some more."""
        lengths = tuple(int(n) for n in self.lengths[s])
        if lengths not in self._parts:
            self._parts[lengths] = Grid(self.einsum, lengths)
        return self._parts[lengths]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """For each shape how many divisors of each rank are not too large for one instance."""
        return np.stack([np.searchsorted(d, d[-1] // f, side="right") for d, f in zip(
            self.grid.divisors, self.factors.T, strict=True)], axis=1)

    def _times(self, i: int, factor: int) -> NDArray[np.intp]:
        """Along axis `i`: where each divisor times a factor stands; -1 for nowhere."""
        if (i, factor) not in self._product:
            numbers = [int(n) for n in self.grid.divisors[i]]
            place = {n: k for k, n in enumerate(numbers)}
            self._product[i, factor] = np.array([place.get(n * factor, -1) for n in numbers])
        return self._product[i, factor]


@cache
def _sums(steps: tuple[tuple[int, int], ...]) -> int:
    """How many different sums of one multiple each there are, of so many first multiples of steps."""
    places = np.zeros(1, dtype=np.int64)
    for step, number in steps:
        places = np.unique(np.add.outer(places, step * np.arange(number)))
    return len(places)
