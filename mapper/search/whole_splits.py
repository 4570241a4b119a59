"""The splits of a rank into whole factors, counted and drawn at random without being listed."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Sequence

import numpy as np

from ..bounds.divisors import divisors
from ..hardware.architecture import Architecture
from ..mapping.rules import SPATIAL, Rules
from ..mapping.template import slot

#: Slots that are decided together, and the factors that they may have.
Place = tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]


class WholeSplits:
    """The ways to write `extent` as a product with one of the factors of each of the `places`.

    >>> WholeSplits(12, [((0,), ((1,), (3,), (12,))), ((1,), ((1,), (4,), (12,)))]).count
    3
    """

    def __init__(self, extent: int, places: Sequence[Place]) -> None:
        self.extent, self.places = extent, places
        after = {1: 1}              # in how many ways the places to come make what is left of the extent
        self._after = [after]
        for _, options in reversed(places):
            factors = [prod(x) for x in options]
            after = {left: sum(after.get(left // n, 0) for n in factors if left % n == 0)
                     for left in divisors(extent)}
            self._after.append(after)
        self._after.reverse()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._after[0].get(self.extent, 0)

    def draw(self, rng: np.random.Generator, number: int, slots: int) -> np.ndarray:
        """Some of them, all equally likely, where there are any; shape (number, slots)."""
        drawn = np.ones((number, slots), dtype=np.int64)
        left = np.full(number, self.extent, dtype=np.int64)
        for (rows, options), after in zip(self.places, self._after[1:], strict=True):
            chance, taken = rng.random(number), np.zeros(number, dtype=np.int64)
            factors, products = np.array(options, dtype=np.int64), [prod(x) for x in options]
            for n in np.unique(left).tolist() if len(options) > 1 else ():
                shares = np.cumsum([float(after.get(n // f, 0) if n % f == 0 else 0) for f in products])
                here = left == n
                taken[here] = np.searchsorted(shares, chance[here] * shares[-1], side="right")
            drawn[:, list(rows)] = factors[taken]
            left = left // np.array(products, dtype=np.int64)[taken]
        return drawn


def whole_splits(architecture: Architecture, rules: Rules, slots: Sequence[int], rank: str,
                 extent: int) -> WholeSplits:
    """The splits of `rank` that constraints and arrays admit, with factors above 1 in `slots` only."""
    places: list[Place] = []
    for level in range(len(architecture.levels)):
        time = slot(level, "temporal")
        least, most = rules.limits(time, rank)
        places.append(((time,), tuple((n,) for n in divisors(extent)
                                      if least <= n <= most and (n == 1 or time in slots))))
        across = tuple(slot(level, kind) for kind in ("x", "y"))
        open_ = [[n for n in divisors(extent) if n <= width and (n == 1 or row in slots)]
                 for row, width in zip(across, architecture.fanout(level), strict=True)]
        column = rules.ranks.index(rank)
        least, most = int(rules.least[level, SPATIAL, column]), int(rules.most[level, SPATIAL, column])
        places.append((across, tuple((x, y) for x, y in product(*open_) if least <= x * y <= most
                                     and (1 in (x, y) or rules.both_axes))))
    return WholeSplits(extent, places)
