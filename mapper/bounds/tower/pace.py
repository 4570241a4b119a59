"""Energy against the cycles that a port asks for, on machines with arrays at several levels.

Of one shape the least of `energy + weight * cycles` is known for any weight. With m(w) the least of one,
mappings of c cycles need m(w) - w c at least: lines, of which the highest bounds the energy at every c. The
objective along a line has its least at an end of it, so it is enough to look where two lines meet.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import inf

import numpy as np

#: From weights and which shapes, the least of energy and so many times the cycles.
Weigh = Callable[[np.ndarray], np.ndarray]
#: The objective, of energy and cycles by shape.
Objective = Callable[[np.ndarray, np.ndarray], np.ndarray]

_ROUNDS = 8
_SMALL = 1e-6
_ROUNDING = 1e-12


def whole(cycles: np.ndarray) -> np.ndarray:
    """Cycles as whole numbers, no fewer than there are."""
    return np.asarray(np.ceil(cycles * (1.0 - _ROUNDING)))


class Trade:
    """The lines known of some shapes: the first from their least `energy`. They take `cycles` or more, and
    no more than `most`."""

    def __init__(self, energy: np.ndarray, cycles: np.ndarray, most: float, objective: Objective) -> None:
        self.objective, self.most = objective, most
        self.cycles = whole(cycles)
        self.weights, self.least = [np.zeros_like(energy)], [energy]

    def add(self, weights: np.ndarray, least: np.ndarray) -> None:
        """Add a line of every shape."""
        self.weights.append(weights)
        self.least.append(least)

    def best(self) -> tuple[np.ndarray, np.ndarray]:
        """The least objective by shape, and the cycles where that is."""
        meet = [self.cycles, self.cycles if self.most == inf else np.full_like(self.cycles, self.most)]
        for (w, m), (v, n) in combinations(zip(self.weights, self.least, strict=True), 2):
            steeper = np.where(w == v, 1.0, w - v)
            at = np.where(w == v, 0.0, (m - n) / steeper)
            meet += [np.floor(at), np.ceil(at)]
        cycles = np.clip(np.array(meet), self.cycles, np.maximum(self.most, self.cycles))
        values = np.array([self.objective(self.energy(own), own) for own in cycles])
        values[:, self.cycles > self.most] = inf
        best, every = values.argmin(axis=0), np.arange(values.shape[1])
        return values[best, every], cycles[best, every]

    def energy(self, cycles: np.ndarray) -> np.ndarray:
        """What mappings of so many cycles need at least, by shape."""
        return np.asarray(np.max(self._lines(cycles), axis=0))

    def _lines(self, cycles: np.ndarray) -> np.ndarray:
        return np.array([m - w * cycles for w, m in zip(self.weights, self.least, strict=True)])

    def bracket(self, cycles: np.ndarray) -> np.ndarray:
        """The weights of the two lines that are highest at so many cycles, (2, shapes)."""
        high = np.argsort(-self._lines(cycles), axis=0, kind="stable")[:2]
        return np.sort(np.take_along_axis(np.array(self.weights), high, axis=0), axis=0)


def binds(energy: np.ndarray, cycles: np.ndarray, first: np.ndarray, weigh: Weigh) -> np.ndarray:
    """Whether mappings of the least `energy` may take more `cycles` than these, by shape: then some small
    weight of them tells more."""
    small = first * _SMALL
    return np.asarray(weigh(small) - small * cycles > energy * (1.0 + _ROUNDING))


def traded(energy: np.ndarray, cycles: np.ndarray, most: float, first: np.ndarray, weigh: Weigh,
           objective: Objective, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    """The least objective by shape, as far as it is below the cutoff, and two weights that show it, shape
    (2, shapes). Known are the least `energy` and the fewest `cycles` of each shape; `most`: cycles that count
    at all; `first`: weights to begin with."""
    trade, weights = Trade(energy, cycles, most, objective), first
    for _ in range(_ROUNDS):
        trade.add(weights, weigh(weights))
        values, at = trade.best()
        low, high = bracket = trade.bracket(at)
        weights = np.where(low > 0.0, np.sqrt(low * high), high / 4)
        if (values >= cutoff).all():
            break
    return values, bracket
