"""Links that words pass over on a mesh, over arrays of factors (the batch runs along the last axis)."""

from __future__ import annotations

from functools import lru_cache
from typing import Sequence

import numpy as np

from ..mapping.template import slot
from ..workload.einsum import Einsum, Tensor
from .batch_shape import Array, Nest


class Ways:
    """Links that a word of one tensor passes over, on average, on the mesh below one level.

    The way depends on the loops that are spread over the mesh and, where these move a window, on how far.
    Few such combinations differ in a batch, so that each is reckoned once, as for a single mapping.
    """

    def __init__(self, einsum: Einsum, tensor: Tensor, level: int, ranks: Sequence[str],
                 spatial: dict[int, tuple[int, ...]], multicast: bool, mesh: tuple[int, int]) -> None:
        """`ranks` are those of the columns of a `Nest`; `spatial`: by column, the slots in which that rank
        may be unrolled."""
        self.level, self.multicast, self.mesh = level, multicast, mesh
        self.loops = sorted((row, column) for column, rows in spatial.items() for row in rows)
        self.moves = [tuple(sum(t.coefficient for t in axis if t.rank == ranks[column])
                            for axis in tensor.projection) for _, column in self.loops]
        moving = [rank for axis in tensor.projection for rank in {t.rank for t in axis if t.rank in ranks}]
        plain = len(set(moving)) == len(moving) and all(
            len({t.rank for t in axis if t.rank in ranks}) < 2 for axis in tensor.projection)
        self.apart = plain and all(len(rows) < 2 for rows in spatial.values())

    def __call__(self, nest: Nest) -> Array:
        """The mean way of a word, by mapping."""
        factors = [nest.factors[row, column] for row, column in self.loops]
        inside = [] if self.apart else [self._inside(nest, row, column) for row, column in self.loops]
        keys = np.stack([*factors, *inside]).astype(np.int64)
        found, where = np.unique(keys, axis=1, return_inverse=True)
        ways = np.array([self._mean(key) for key in found.T.tolist()])
        return ways[where.reshape(-1)]

    def _inside(self, nest: Nest, row: int, column: int) -> Array:
        """Extent of a rank inside one iteration of its loop at `row`."""
        extent: Array = nest.tiles[self.level + 1][column]
        x = slot(self.level, "x")
        return extent * nest.factors[x, column] if row != x and (x, column) in self.loops else extent

    def _mean(self, key: list[int]) -> float:
        count = len(self.loops)
        inside = key[count:] or [1] * count
        iterating = [i for i in range(count) if key[i] > 1]
        steps = tuple(tuple(inside[i] * each for each in self.moves[i]) for i in iterating)
        return mean_way(steps, tuple(key[i] for i in iterating), self.multicast, self.mesh)


@lru_cache(maxsize=1 << 16)
def mean_way(steps: tuple[tuple[int, ...], ...], factors: tuple[int, ...], multicast: bool,
             mesh: tuple[int, int]) -> float:
    """Links that a word sent passes over, on average over the groups of instances that share one: the mean of
    `hops.hops`. Loops over `factors` instances move the tile by `steps`, outermost first (y before x)."""
    if not factors:
        return 0.0
    width, height = mesh
    index = np.indices(factors).reshape(len(factors), -1)
    place = np.arange(index.shape[1])
    group = np.unique(index.T @ np.array(steps), axis=0, return_inverse=True)[1].reshape(-1) \
        if multicast else place
    row, column = place // width, place % width
    cells, cell = np.unique(group * width + column, return_inverse=True)      # columns of a group
    top, bottom = np.full(len(cells), height), np.zeros(len(cells))
    np.minimum.at(top, cell, row)
    np.maximum.at(bottom, cell, row)
    last = np.zeros(int(group.max()) + 1)
    np.maximum.at(last, group, column)
    entrance = (height - 1) / 2
    vertical = np.maximum(entrance - top, 0.0) + np.maximum(bottom - entrance, 0.0)
    return float((last.sum() + vertical.sum()) / len(last))
