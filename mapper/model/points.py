"""Counts of Einsums with flattened ranks: every step of the nest is run, every tile a set of words.

Tiles of a flattened rank change their form as they move, so nothing stands for anything else here.
An instance loads what its last tile did not have: a true difference of sets, however the tile moved.
"""

from __future__ import annotations

from itertools import product
from typing import Sequence

from ..workload.einsum import Einsum, Tensor
from ..workload.flatten import tile_points
from .spans import Points
from .walk import PASSED, RECEIVED, Boundary, Stride, Tally, Walk, add

#: What an instance holds before its first tile.
_NOTHING: Points = frozenset()


class PointWalk:
    """One boundary of one tensor, below one instance of the level above it.

    Parameters
    ----------
    einsum, tensor
    strides : the loops above the instances, outermost first, without remainders
    boundary : what lies between
    """

    def __init__(self, einsum: Einsum, tensor: Tensor, strides: Sequence[Stride],
                 boundary: Boundary) -> None:
        self.einsum, self.tensor, self.boundary = einsum, tensor, boundary
        self.walk = Walk(tensor, einsum.ranks, strides, boundary, sampled=False)
        self.temporal = [s for s in strides if not s.spatial]
        fixed = [s for s in strides if s.fixed is not None]
        corner = self.moved([0] * len(einsum.ranks), fixed, [s.fixed or 0 for s in fixed])
        self.seats = [self.moved(corner, self.walk.spread, index)
                      for index in product(*(range(s.factor) for s in self.walk.spread))]
        sides = list(einsum.extents)
        for stride in strides:
            sides[stride.rank] //= stride.factor
        self.sides = dict(zip(einsum.ranks, sides, strict=True))
        used = [i for i, rank in enumerate(einsum.ranks) if rank in tensor.ranks or any(
            x.rank == rank and tensor.ranks & dict(x.parts).keys() for x in einsum.flattened)]
        self.used = used
        self.known: dict[tuple[int, ...], Points] = {}

    def total(self) -> tuple[Tally, Points]:
        """Counts of all steps, and the words that arrive in any of them."""
        tally: Tally = {PASSED: 0, RECEIVED: 0}
        held = [_NOTHING] * len(self.seats)
        before: dict[int, Points] = {}
        touched: set[tuple[int, ...]] = set()
        reuse = self.boundary.buffered and self.boundary.reuse
        for index in product(*(range(s.factor) for s in self.temporal)):
            tiles = [self.tile(self.moved(seat, self.temporal, index)) for seat in self.seats]
            loads = {i: tile - old if reuse else tile
                     for i, (tile, old) in enumerate(zip(tiles, held, strict=True))}
            add(tally, self.walk.meet(loads, before), 1)
            touched.update(*loads.values())
            held, before = tiles, loads
        return tally, frozenset(touched)

    def moved(self, start: Sequence[int], strides: Sequence[Stride],
              index: Sequence[int]) -> list[int]:
        """The first coordinates of a tile, as far as `strides` at `index` move it from `start`."""
        place = list(start)
        for stride, i in zip(strides, index, strict=True):
            place[stride.rank] += i * stride.inside
        return place

    def tile(self, start: Sequence[int]) -> Points:
        """The words of the tile that begins at `start`."""
        key = tuple(start[i] for i in self.used)
        if key not in self.known:
            starts = dict(zip(self.einsum.ranks, start, strict=True))
            self.known[key] = tile_points(self.einsum, self.tensor, starts, self.sides)
        return self.known[key]
