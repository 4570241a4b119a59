"""What is known of the zeros of one tensor, asked for arrays of tiles.

A tile is an array of shape (axes, batch): its extents along the axes of the tensor, or its words alone
(one "axis") where a density model knows no more. Answers about equal tiles are remembered.
"""

from __future__ import annotations

from math import prod
from typing import Callable, TypeVar

import numpy as np

from ...workload.density.draws import none_drawn
from ...workload.density.protocol import BoundDensity, Floats, Integers, Occupancies
from ...workload.density.uniform import BoundBinomial, BoundFixedStructured, FixedStructured, Scattered
from ...workload.einsum import Einsum, Tensor
from ..cost import Semantics
from .nest import Array, Extents, Shape

Key = tuple[int, ...]
T = TypeVar("T")


class Zeros:
    """The zeros of `tensor`, which is dense where it says nothing of them."""

    def __init__(self, einsum: Einsum, tensor: Tensor, semantics: Semantics) -> None:
        self.shape, self.semantics = Shape(einsum, tensor), semantics
        size = einsum.tensor_shape(tensor.name)
        self.words = prod(size)
        self.density: BoundDensity = (tensor.density or FixedStructured(1.0)).bind(size)
        self.mean = self.density.mean
        self._most: dict[Key, float] = {}
        self._sums: dict[Key, float] = {}
        self._smallest: dict[Key, float] = {}
        self.units: dict[tuple[object, ...], list[float]] = {}      # see `metadata`

    def tile(self, extents: Extents) -> Array:
        """The tile of the given rank extents."""
        if self.density.by_volume:
            return self.shape.words(extents)[None]
        return np.stack(self.shape.lengths(extents))

    def point(self, size: int) -> Array:
        """Tiles of one word."""
        return np.ones((1 if self.density.by_volume else len(self.shape.axes), size))

    def empty(self, tile: Array) -> Array:
        """Probability that a tile has no non-zero."""
        return self.density.p_empty_many(tile.T)

    def expected(self, tile: Array) -> Array:
        """Expected number of non-zeros."""
        return self.density.expected_many(tile.T)

    def most(self, tile: Array) -> Array:
        """The most non-zeros that a tile can have."""
        return distinct(tile, lambda key: remember(
            self._most, key, lambda: float(self.density.max_occupancy(key))))

    def filled(self, tile: Array) -> tuple[Array, Array]:
        """Of tiles of which the empty ones are left out: expected number of non-zeros, and the share
        that they are of all."""
        if self.semantics == "timeloop":
            number = distinct(tile, lambda key: self._summed(key, True))
            return number, 1.0 - distinct(tile, self._left_out)
        expected, present = self.expected(tile), 1.0 - self.empty(tile)
        return np.where(present > 0, expected / np.where(present > 0, present, 1.0), 0.0), present

    def held(self, tile: Array) -> Array:
        """Expected number of non-zeros, as Timeloop adds it up where it reproduces that program."""
        if self.semantics == "exact":
            return self.expected(tile)
        return distinct(tile, lambda key: self._summed(key, False))

    def _summed(self, key: Key, filled: bool) -> float:
        def find() -> float:
            pmf = self.occupancies(key, filled)
            return added_up(pmf.values * pmf.probabilities)
        return remember(self._sums, (*key, filled), find)

    def _left_out(self, key: Key) -> float:
        """Probability of the tiles that count as empty. Timeloop takes the smallest number of
        non-zeros that occurs for none, but in the whole tensor (sparse-analysis.cpp)."""
        if isinstance(self.density, BoundFixedStructured):
            return self.density.p_empty(key)
        if prod(key) >= self.words:
            return 0.0
        return remember(self._smallest, key, lambda: float(self.density.pmf(key).probabilities[0]))

    def occupancies(self, key: Key, filled: bool) -> Occupancies:
        """The distribution for one tile; of those that do not count as empty where `filled`."""
        pmf = self.density.pmf(key)
        if not filled or self._left_out(key) == 0:
            return pmf
        return Occupancies(pmf.values[1:], pmf.probabilities[1:] / (1.0 - pmf.probabilities[0]))

    def empty_given(self, key: Key, counts: Integers, inner: Key) -> Floats:
        """Probability that the part `inner` of a tile has no non-zero where the tile has `counts`."""
        whole, part = prod(key), min(prod(inner), prod(key))
        if isinstance(self.density, Scattered | BoundBinomial):
            return none_drawn(whole, part, counts)
        if isinstance(self.density, BoundFixedStructured):
            return np.maximum(0.0, 1.0 - part * (counts / whole))
        found = np.array([self.density.given(key, int(n)).p_empty(inner) for n in counts])
        if self.semantics == "timeloop":     # it only knows the inside of the fullest tiles
            found = np.where(counts < self.density.max_occupancy(key), 1.0, found)
        return found


def added_up(numbers: Floats) -> float:
    """The sum, added one by one: in rounding up what follows, the last digit shows."""
    return float(np.cumsum(numbers)[-1]) if len(numbers) else 0.0


def remember(known: dict[Key, T], key: Key, find: Callable[[], T]) -> T:
    """What is `known` of a key, found where it is not."""
    if key not in known:
        known[key] = find()
    return known[key]


def distinct(rows: Array, answer: Callable[[Key], float]) -> Array:
    """`answer` for each column of an array of shape (numbers, batch), asked once for equal ones."""
    keys, where = distinct_keys(rows)
    return np.array([answer(key) for key in keys])[where]


def distinct_keys(rows: Array) -> tuple[list[Key], Integers]:
    """The different columns of an array of whole numbers of shape (numbers, batch), and which of them
    each column is."""
    whole = rows.astype(np.int64)
    code = np.zeros(whole.shape[1], dtype=np.int64)
    first = np.zeros(1, dtype=np.int64)
    for row in whole:       # a sort of numbers for each row is faster than one of whole columns
        values, place = np.unique(row, return_inverse=True)
        _, first, code = np.unique(code * len(values) + place, return_index=True, return_inverse=True)
    return [tuple(key) for key in whole[:, first].T.tolist()], code
