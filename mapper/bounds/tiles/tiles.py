"""The numbers of tiles that a layer can be cut into where the last tile of a rank may be cut off.

Tiles of `t` coordinates of a rank of extent `D` number `ceil(D / t)`, which takes about `2 sqrt(D)` values. A
*point* is one such number a rank. What all tiles of a point hold together depends on the numbers alone, since
with the last one cut off they have every coordinate once: `c D - (c - 1) n` words along an axis `c p`, and

    n_r u D_p + n_p d D_r - (u + d - 1) n_p n_r

along a window `u p + d r`, less where it slides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Callable, Hashable, Sequence

import numpy as np

from ...mapping.rules import SPATIAL
from ...workload.einsum import Axis, Tensor
from ..scenario import Scenario

_MOST_POINTS = 2_000_000
_MOST_SHAPES = 100_000        # of the array


def tile_counts(extent: int) -> np.ndarray:
    """How many tiles there may be of a rank, ascending.

    >>> tile_counts(13)
    array([ 1,  2,  3,  4,  5,  7, 13])
    """
    return np.unique(-(-extent // np.arange(1, extent + 1)))


@dataclass(frozen=True)
class Spread:
    """What becomes of each number of tiles of a rank (columns) when so many instances (rows) work on them
    side by side: the place of the number of passes among all numbers; `steps` in time, at the least, inf
    where an instance would be left out; and which share of all words may rest while the last loop in time
    around the array makes a pass, since their instance has one iteration of it: when that pass is cut short
    to one iteration (`alone`), or to two of which some instances do not take part in the second
    (`idle`)."""

    passes: np.ndarray
    steps: np.ndarray
    alone: np.ndarray
    idle: np.ndarray


class Tiles:
    """The points of one scenario, and the shapes of its array."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.arch, self.einsum, self.rules = scenario.architecture, scenario.einsum, scenario.rules
        self.ranks, self.columns, self.depth = scenario.ranks, scenario.columns, scenario.depth
        self.extents = [self.einsum.extent[r] for r in self.ranks]
        self.counts = [tile_counts(n) for n in self.extents]
        #: Coordinates of the smallest and of the largest tile for each of the counts.
        self.least = [-(-n // own) for n, own in zip(self.extents, self.counts, strict=True)]
        self.most = [np.where(own > 1, (n - 1) // np.maximum(own - 1, 1), n)
                     for n, own in zip(self.extents, self.counts, strict=True)]
        self.shape = tuple(map(len, self.counts))
        self.strides = [prod(self.shape[i + 1:]) for i in range(len(self.shape))]
        #: What bounds of several keep/bypass choices share, by what the middle keeps (see `Outside`).
        self.outside: dict[tuple[Hashable, frozenset[str]],
                           tuple[list[np.ndarray], dict[Hashable, np.ndarray]]] = {}
        self.floors: dict[tuple[Hashable, frozenset[str]], float] = {}

    @property
    def applies(self) -> bool:
        """Whether the machine has at most one array, below the outermost level or the next, with at most one
        level inside it, and the outermost level keeps everything; no tensor moves diagonally or along three
        ranks at once, and machines do nothing about zeros."""
        axes = [self.own(axis) for t in self.einsum.tensors for axis in t.projection]
        return (len(self.scenario.wide) <= 1 and self.middle <= 1 and self.depth <= self.middle + 2
                and self.scenario.all_outside
                and not any(t.has_shared_ranks for t in self.einsum.tensors)
                and all(len(own) <= 2 for own in axes) and not self.arch.sparse and not self.rules.both_axes
                and self.arch.compute.lockstep is None and bool(self.ranks)
                and prod(self.shape) <= _MOST_POINTS and self.shapes is not None)

    @property
    def middle(self) -> int:
        """The level with the array below it, or else one with none, as if it were one of a single unit."""
        return self.scenario.wide[0] if self.scenario.wide else min(1, self.depth - 1)

    @property
    def inside(self) -> int | None:
        """The level inside the array, if there is one."""
        return self.middle + 1 if self.depth > self.middle + 1 else None

    @property
    def multicast(self) -> bool:
        """Whether instances that hold the same are sent one copy together."""
        return self.arch.levels[self.middle].network.multicast

    # ---- ranks and tensors ---------------------------------------------------------------------

    def own(self, axis: Axis) -> list[tuple[int, int]]:
        """The ranks of an axis that iterate, by their place, each with its coefficient."""
        return [(self.ranks.index(t.rank), abs(t.coefficient)) for t in axis if t.rank in self.ranks]

    def windows(self, tensor: Tensor) -> list[list[tuple[int, int]]]:
        """The axes of a tensor along which two ranks move, likewise."""
        return [own for axis in tensor.projection if len(own := self.own(axis)) > 1]

    def sliders(self, tensor: Tensor) -> list[int]:
        """The ranks along which a window of the tensor may slide."""
        return [i for own in self.windows(tensor) for i, _ in own]

    def moving(self, tensor: Tensor) -> list[int]:
        """The ranks that move a tensor."""
        return [i for i, rank in enumerate(self.ranks) if rank in tensor.ranks]

    def others(self, tensor: Tensor) -> list[int]:
        """The ranks that do not."""
        return [i for i, rank in enumerate(self.ranks) if rank not in tensor.ranks]

    def floor(self, tensor: Tensor) -> float:
        """Words that are loaded at least once."""
        return prod((float(max(self.extents[i] for i, _ in own)) for axis in tensor.projection
                     if (own := self.own(axis))), start=1.0)

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether all tiles together hold `floor` words, however many they are."""
        return all(len(own) < 2 and all(c == 1 for _, c in own)
                   for own in map(self.own, tensor.projection))

    # ---- tables over points, to be broadcast ---------------------------------------------------

    def along(self, i: int, values: np.ndarray) -> np.ndarray:
        """Values by count of one rank."""
        return values.reshape([-1 if j == i else 1 for j in range(len(self.ranks))])

    def where(self, i: int, chosen: np.ndarray) -> tuple[slice | np.ndarray, ...]:
        """The points with the `chosen` counts of one rank."""
        return tuple(chosen if j == i else slice(None) for j in range(len(self.ranks)))

    def number(self, i: int) -> np.ndarray:
        """The counts of one rank."""
        return self.along(i, self.counts[i].astype(float))

    def times(self, ranks: Sequence[int]) -> np.ndarray:
        """Product of the counts of some ranks."""
        return prod((self.number(i) for i in ranks), start=np.ones((1,) * len(self.ranks)))

    def volume(self, tensor: Tensor, tiles: list[np.ndarray] | None = None) -> np.ndarray:
        """Words in the smallest tile, or in `tiles` of so many coordinates, by rank."""
        words, tiles = np.ones((1,) * len(self.ranks)), tiles or self.least
        for axis in tensor.projection:
            words = words * (1.0 + sum(c * (self.along(i, tiles[i]) - 1.0) for i, c in self.own(axis)))
        return words

    def loads(self, tensor: Tensor, slider: int | None) -> np.ndarray:
        """Words that all tiles load, each once, if nothing slides (None), or at the least where windows slide
        along a rank, between the outermost level and the next."""
        words = np.ones((1,) * len(self.ranks))
        for axis in tensor.projection:
            own = self.own(axis)
            if slider in [i for i, _ in own]:
                words = words * self._sliding(own if own[0][0] == slider else own[::-1])
            else:
                words = words * every_tile([(c, self.extents[i], self.number(i)) for i, c in own])
        return words

    def _sliding(self, own: list[tuple[int, int]]) -> np.ndarray:
        """Words along a window that slides along the first of its ranks."""
        (p, u), (r, d) = own
        n, m, wide = self.number(p), self.number(r), self.along(r, self.most[r])
        words = swept(u * self.extents[p], (self.extents[r], d), u, m, wide, n, lambda around: around)
        # A step of the other rank is counted as if it undid a single one of these, or two (see `evaluate`).
        least, most = (u * self.along(p, own[p]) for own in (self.least, self.most))
        undone = (d * wide >= least) & (d * self.along(r, self.least[r]) <= 2 * most) & (n > 1)
        box = most - u + d * (wide - 1) + 1
        back = np.where(undone, (m - 1) * box, 0.0)
        return np.maximum(words - back, max(self.extents[p], self.extents[r]))

    # ---- arrays --------------------------------------------------------------------------------

    @cached_property
    def shapes(self) -> np.ndarray | None:
        """The shapes of the array, iterations by rank, shape (shapes, ranks), of two that are mirror images
        of each other one; None where they are too many."""
        level = self.arch.levels[self.middle]
        x, y = (_within(most, self._limits(allowed)) for most, allowed in zip(
            self.arch.fanout(self.middle), (level.spatial_x, level.spatial_y), strict=True))
        if x is None or y is None or len(x) * len(y) > 20 * _MOST_SHAPES:
            return None
        first, second = np.nonzero(((x > 1).astype(int) @ (y > 1).astype(int).T) == 0)
        shapes = x[first] * y[second]
        image = [self.ranks.index(self.scenario.mirror.get(rank, rank)) for rank in self.ranks]
        differ = shapes != shapes[:, image]
        here = np.arange(len(shapes)), differ.argmax(axis=1)        # the first rank in which the two differ
        shapes = np.unique(shapes[shapes[here] >= shapes[:, image][here]], axis=0)
        return shapes if len(shapes) <= _MOST_SHAPES else None

    def sides(self, shape: np.ndarray) -> tuple[list[int], list[int]]:
        """One way to spread a shape over x and y, iterations by rank."""
        level, fanout = self.arch.levels[self.middle], self.arch.fanout(self.middle)
        limits = [self._limits(level.spatial_x), self._limits(level.spatial_y)]
        wide = [i for i, n in enumerate(shape.tolist()) if n > 1]
        for chosen in product((0, 1), repeat=len(wide)):
            sides = [[1] * len(shape), [1] * len(shape)]
            for i, side in zip(wide, chosen, strict=True):
                sides[side][i] = int(shape[i])
            if all(prod(own) <= most and all(n <= limit for n, limit in zip(own, limited, strict=True))
                   for own, most, limited in zip(sides, fanout, limits, strict=True)):
                return sides[0], sides[1]
        raise ValueError(f"the array has no room for {shape}")

    def _limits(self, allowed: tuple[str, ...] | None) -> list[int]:
        most = self.rules.most[self.middle, SPATIAL, self.columns].tolist()
        return [int(n) if allowed is None or rank in allowed else 1
                for rank, n in zip(self.ranks, most, strict=True)]

    @cached_property
    def spreads(self) -> list[Spread]:
        """By rank."""
        assert self.shapes is not None
        return [_spread(extent, counts, largest, int(n)) for extent, counts, largest, n in zip(
            self.extents, self.counts, self.most, self.shapes.max(axis=0), strict=True)]

    @cached_property
    def quickest(self) -> np.ndarray:
        """Steps in time with each shape, at the least."""
        assert self.shapes is not None
        return np.prod([spread.steps[self.shapes[:, i]].min(axis=1)
                        for i, spread in enumerate(self.spreads)], axis=0)


def every_tile(terms: list[tuple[int, int, np.ndarray]]) -> np.ndarray | float:
    """Words of all tiles along an axis with up to two ranks: (coefficient, extent, number of tiles) each."""
    if not terms:
        return 1.0
    (u, extent, n), *rest = terms
    if not rest:
        return np.asarray(u * float(extent) - (u - 1) * n)
    (d, other, m), = rest
    return np.asarray(m * u * extent + n * d * other - (u + d - 1) * n * m)


def swept(new: float, other: tuple[int, int], unit: int, m: np.ndarray, wide: np.ndarray, n: np.ndarray,
          held: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Words of `m` sweeps of a window, one for each tile of its other rank, of which `other` has extent and
    coefficient: `new` words that steps of `unit` bring in, and those around them, all or, once the window has
    come to lie somewhere, what `held` says; less for `n` gaps between steps that leave some out. Tiles of the
    other rank have as many coordinates as can be (`wide`): the more they differ, the less they hold."""
    (extent, d), words = other, m * new
    for tiles, width in ((m - 1, wide), (1.0, extent - (m - 1) * wide)):
        around = d * width + 1 - d - unit
        words = words + tiles * np.where(around < 0, n * around, held(around))
    return words


def _within(most: int, limits: list[int]) -> np.ndarray | None:
    """All factors within `limits`, by rank, with a product of at most `most`; None where they are too
    many."""
    found: list[tuple[tuple[int, ...], int]] = [((), most)]
    for limit in limits:
        found = [((*own, f), left // f) for own, left in found for f in range(1, min(left, limit) + 1)]
        if len(found) > _MOST_SHAPES:
            return None
    return np.array([own for own, _ in found], dtype=np.int64).reshape(len(found), len(limits))


def _spread(extent: int, counts: np.ndarray, largest: np.ndarray, most: int) -> Spread:
    instances = np.maximum(np.arange(most + 1), 1)[:, None]
    passes = -(-counts // instances)
    last = counts - (passes - 1) * instances        # instances at work in the last pass
    # A single one has the less left to do the more all did before.
    steps = np.where((last == 1) & (passes > 1), extent - (passes - 1) * (instances - 1) * largest,
                     passes * -(-extent // counts))
    steps = np.where((instances == counts) | ((passes > 1) & (instances < counts)), steps, np.inf)
    # Instances that do not take part in the last pass have one pass less than the others.
    alone = np.where(passes > 2, last / counts, 0.0)
    idle = np.where((passes > 1) & (last < instances), (instances - last) / np.maximum(counts - 1, 1), 0.0)
    return Spread(np.searchsorted(counts, passes), steps, alone, np.minimum(idle, 1.0))
