"""The least that a pair may cost, as a sum of what its three tiles do, each taken for itself."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Callable, Hashable

import numpy as np

from ...workload.einsum import Tensor
from .traffic import Pairs, Traffic
from .ways import Ways


class Least(Traffic):
    """Bounds on the energy of pairs (t, s) by a = t s, by t, and by s."""

    def _cached(self, key: tuple[Hashable, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        """What `make` gives, which depends on `key` only (where zeros are left out, on all that is kept)."""
        return self.l.once((*key, self.keep if self.prices.sparse else ()), make)

    def _parts(self, ways: Ways) -> list[tuple[np.ndarray, np.ndarray]]:
        """By class of ranks what `_part` gives."""
        return [self._part(ways, still, ranks) for still, ranks in self.l.classes.items()]

    def _part(self, ways: Ways, still: frozenset[str],
              ranks: frozenset[str]) -> tuple[np.ndarray, np.ndarray]:
        """Energy at the least by the tile of the array, and by the way through a pass, if a loop of one of
        `ranks` is innermost, which leave the tensors `still` in place. Leakage aside."""
        stays = frozenset(name for name, _ in ways.stays)
        array, inside = self.base + self._table("", frozenset()), np.zeros(len(ways.tile))
        for tensor in self.tensors:
            if self.places[tensor.name][1] == self.l.depth:
                continue
            stationary = tensor.name in still & stays
            sliders = self.l.windows.sliders(tensor) if tensor.name in stays else frozenset[str]()
            sliders = sliders if stationary else sliders & ranks
            kept = tensor.name in stays
            array = array + self._cached(
                ("array", tensor.name, self.places[tensor.name][0], stationary, kept, sliders),
                partial(self._by_array, tensor, stationary, kept, sliders))
            inside = inside + self._cached(
                ("way", self.l.coarse, tensor.name, self.keep[self.middle + 1:], ways.stays, stationary,
                 sliders),
                partial(self._by_way, tensor, ways, stationary, sliders))
        return array, inside

    def _arrays(self) -> list[np.ndarray]:
        """Energy at the least by the tile of the array, for each class of ranks, whatever stays in a pass."""
        total = []
        for still, ranks in self.l.classes.items():
            array = self.base + self._table("", frozenset())
            for tensor in self.tensors:
                first, second, *_ = self.places[tensor.name]
                if second == self.l.depth:
                    continue
                stationary, sliders = tensor.name in still, self.l.windows.sliders(tensor)
                sliders = sliders if stationary else sliders & ranks
                options = [(stationary, True, sliders), (False, False, frozenset[str]())]
                array = array + np.minimum.reduce([self._cached(
                    ("array", tensor.name, first, *x), partial(self._by_array, tensor, *x)) for x in options])
            total.append(array)
        return total

    def _by_array(self, tensor: Tensor, stationary: bool, stays: bool, sliders: frozenset[str]) -> np.ndarray:
        """Energy of a tensor above the array, at the least, by the tile of the array.

        The tiles of the instances together have at least the positions of the tile of the array, of
        which along a window there are at least as many as either rank has; a step along it brings in at
        least those of the slider, or half of them where one in two may be undone."""
        words = self._passes(tensor) if stationary else self.above
        for axis in tensor.projection:
            ranks = [t.rank for t in axis if t.rank in self.l.ranks]
            own = {rank: self.l.points[:, self.l.ranks.index(rank)] for rank in ranks}
            if len(own) == 1:
                words = words * np.minimum.reduce(list(own.values()))
            elif own and stays:
                steps = [own[rank] * np.where(self.l.windows.undone(axis, rank, False), 0.5, 1.0)
                         for rank in own if rank in sliders]
                words = words * np.minimum.reduce([np.maximum.reduce(list(own.values())), *steps])
        place, one = (self.places[tensor.name][0], np.arange(len(words))), np.ones(len(words))
        return self._transfer(tensor, place, (self.l.depth, place[1]), words, words, one, one)

    def _by_way(self, tensor: Tensor, ways: Ways, stationary: bool, sliders: frozenset[str]) -> np.ndarray:
        """Energy of a tensor where it enters the instances, at the least, by the way through a pass."""
        level, spared = self.places[tensor.name][1], np.zeros(len(ways.tile))
        passes = self._passes(tensor) if stationary else self.above
        words = ways.words[tensor.name, level] * passes[ways.tile]
        for rank in sliders:
            axis = self.l.windows.axes[tensor.name][rank]
            unit = next(abs(t.coefficient) for t in axis if t.rank == rank)
            held = unit * self.l.points[ways.tile, self.l.ranks.index(rank)]
            spared = np.maximum(spared, 1.0 - np.minimum(held / self.l.interval(axis)[ways.tile], 1.0) / 2)
        words = words * (1.0 - spared)
        if tensor.is_output:
            copies = self.l.product(self.everything) / self.l.product(tensor.ranks)
            units = prod(self.l.arch.fanout(self.middle))
            most = np.minimum(copies[-1] / copies[ways.tile], units)
            words = np.maximum(words - self.l.einsum.tensor_words(tensor.name) * most, 0.0)
            words = words if tensor.has_disjoint_tiles else np.zeros(len(words))
        price = self.prices.word(self.keep, level, tensor.name, "fill")
        return np.asarray(words * price)

    def _by_shape(self) -> np.ndarray:
        """Energy of what the units ask, at the least, by the shape of the array."""
        total = np.zeros(len(self.l.shapes))
        for tensor in self.tensors:
            *around, units = self.places[tensor.name]
            total += self._cached(("shape", tensor.name, around[-1], units, len(around) > 1),
                                  partial(self._asked, tensor))
        return total

    def _asked(self, tensor: Tensor) -> np.ndarray:
        """Energy of what the units ask of a tensor, at the least, by the shape of the array."""
        shapes = self.l.shapes
        point = np.zeros(len(shapes), dtype=np.int64)
        pairs = Pairs(frozenset(), point, point, shapes, shapes, {},
                      self.l.points[shapes].prod(axis=1, dtype=float))
        if len(self.places[tensor.name]) > 2 or not self.l.windows.sliders(tensor):
            return self._at_compute(tensor, pairs)
        asked = self.macs / pairs.instances
        for axis in tensor.projection:
            asked = asked * (1 + sum(self.l.points[shapes, self.l.ranks.index(t.rank)] - 1 for t in axis
                                     if t.rank in self.l.ranks))
        place = self.places[tensor.name][0], shapes
        return self._transfer(tensor, place, (self.l.depth, point), asked, asked, asked, asked)
