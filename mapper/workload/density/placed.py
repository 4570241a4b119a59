"""Models that know where every non-zero is: tiles are counted, not guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .places import ByPlace
from .protocol import Floats, Integers, Occupancies, Tile, clipped

#: Number of non-zeros before a point: those whose every index is below the one given for its axis.
#: The arguments, one array an axis, broadcast.
Prefix = Callable[..., Integers]


@dataclass(frozen=True, eq=False)
class Regions(ByPlace):
    """Boxes of words in one tensor, each as likely as the others, whose non-zeros are known.

    Attributes
    ----------
    shape : extents of a box
    prefix : counts the non-zeros of the whole tensor
    corners, ends : first words of the boxes, and where they end, shape (boxes, axes); a box that the
        edge of the tensor cuts ends sooner
    """

    shape: Tile
    prefix: Prefix
    corners: Integers
    ends: Integers
    _known: dict[Tile, Occupancies] = field(default_factory=dict, init=False, repr=False)

    def pmf(self, tile: Tile) -> Occupancies:
        tile = clipped(self.shape, tile)
        if tile not in self._known:
            self._known[tile] = self._tally(tile)
        return self._known[tile]

    def at(self, corner: Tile, tile: Tile) -> Occupancies:
        starts = np.minimum(self.corners + np.array(corner, np.int64), self.ends)
        stops = np.minimum(starts + clipped(self.shape, tile, corner), self.ends)
        there = (starts < stops).all(axis=1)
        if not there.any():
            raise ValueError(f"no box reaches as far as {corner}")
        return distribution(_inside(self.prefix, starts[there], stops[there]))

    def given(self, tile: Tile, nnz: int) -> Regions:
        """The tiles that have `nnz` non-zeros; raises ValueError when there is none."""
        tile = clipped(self.shape, tile)
        edges = self._edges(tile)
        counts, there = self._counts(edges)
        chosen = there & (counts == nnz)
        if not chosen.any():
            raise ValueError(f"no tile {tile} has {nnz} non-zeros")

        def ends(side: slice) -> Integers:
            return np.stack([np.broadcast_to(_along(edge[:, side], axis, len(edges)), counts.shape)[chosen]
                             for axis, edge in enumerate(edges)], axis=1)
        return Regions(tile, self.prefix, ends(slice(None, -1)), ends(slice(1, None)))

    @property
    def mean(self) -> float:
        return float(_inside(self.prefix, self.corners, self.ends).sum()
                     / (self.ends - self.corners).prod(axis=1).sum())

    def expected_many(self, tiles: ArrayLike) -> Floats:
        if (self.ends - self.corners == self.shape).all():
            return super().expected_many(tiles)
        return np.array([self.pmf(tuple(row)).mean for row in np.asarray(tiles, np.int64).tolist()])

    def _tally(self, tile: Tile) -> Occupancies:
        counts, there = self._counts(self._edges(tile))
        return distribution(counts.reshape(-1) if there.all() else counts[there])

    def _edges(self, tile: Tile) -> list[Integers]:
        """Where the tiles of each box begin and end along each axis, shape (boxes, tiles + 1)."""
        steps = [extent * np.arange(-(-whole // extent) + 1)
                 for whole, extent in zip(self.shape, tile, strict=True)]
        return [np.minimum(self.corners[:, axis, None] + step, self.ends[:, axis, None])
                for axis, step in enumerate(steps)]

    def _counts(self, edges: list[Integers]) -> tuple[Integers, NDArray[np.bool_]]:
        """Non-zeros of each tile, shape (boxes, tiles of axis 0, ...), and which of them are there: a
        box cut short has fewer."""
        counts = self.prefix(*(_along(edge, axis, len(edges)) for axis, edge in enumerate(edges)))
        counts = np.broadcast_to(counts, (len(self.corners), *(edge.shape[1] for edge in edges)))
        there = np.ones((1,) * counts.ndim, bool)
        for axis, edge in enumerate(edges):
            counts = np.diff(counts, axis=axis + 1)
            there = there & _along(np.diff(edge, axis=1) > 0, axis, len(edges))
        return counts, there


def whole(shape: Tile) -> tuple[Integers, Integers]:
    """The one region that is the whole tensor, as `corners` and `ends`."""
    return np.zeros((1, len(shape)), np.int64), np.array([shape], np.int64).reshape(1, len(shape))


def distribution(counts: Integers) -> Occupancies:
    """Of a list of numbers, each as likely as the others."""
    if counts.max() < 4 * len(counts):
        times = np.bincount(counts)
        values = np.flatnonzero(times).astype(np.int64)
        return Occupancies(values, times[values] / len(counts))
    values, times = np.unique(counts, return_counts=True)
    return Occupancies(values, times / len(counts))


def _along(values: NDArray[np.generic], axis: int, axes: int) -> NDArray[np.generic]:
    """Shape (boxes, n) as (boxes, 1, ..., n, ..., 1), with n in the place of `axis`."""
    return values.reshape(len(values), *(-1 if other == axis else 1 for other in range(axes)))


def _inside(prefix: Prefix, starts: Integers, stops: Integers) -> Integers:
    """Non-zeros of the boxes between `starts` and `stops`, shape (boxes, axes)."""
    counts = np.zeros(len(starts), np.int64)
    for corner in product((True, False), repeat=starts.shape[1]):
        at = np.where(np.array(corner, bool), stops, starts)
        counts += (-1) ** corner.count(False) * np.broadcast_to(prefix(*at.T), counts.shape)
    return counts
