"""The variables of programs: logarithms of factors, slot by slot, and what they range over in a region."""

from __future__ import annotations

from math import log

import numpy as np

from ...mapping.splits import real_factors
from ...mapping.template import slot
from ..divisors import smallest_prime
from ..region import TRIVIAL, Region
from ..scenario import Scenario

_HELPERS = 64     # room for helper variables; unused ones are dropped


class Variables:
    """Those of all programs of one scenario: `size` factors, the number of cycles, and helper variables."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.einsum = scenario, scenario.einsum
        self.rules, self.imperfect = scenario.rules, scenario.imperfect
        self.size = 3 * scenario.depth * len(self.einsum.ranks)
        self.width = self.size + 1 + _HELPERS
        self.column = {rank: i for i, rank in enumerate(self.einsum.ranks)}
        self._products: dict[tuple[tuple[int, ...], frozenset[str] | None], np.ndarray] = {}
        self._widest = self._whole_ranges()
        self._last: tuple[Region, np.ndarray, np.ndarray] | None = None

    def product(self, rows: list[int], ranks: frozenset[str] | None = None) -> np.ndarray:
        """Exponents of the product of the factors of `ranks` (default all) in the slots `rows`."""
        key = tuple(rows), ranks
        if key not in self._products:
            exponents = np.zeros(self.width)
            table = exponents[:self.size].reshape(-1, len(self.einsum.ranks))
            for rank in self.einsum.ranks if ranks is None else ranks:
                table[rows, self.column[rank]] = 1.0
            exponents.flags.writeable = False
            self._products[key] = exponents
        return self._products[key]

    def ranges(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Least and most of the logarithms of the factors in `region`, each of shape (slots, ranks)."""
        if self._last is None or self._last[0] is not region:       # mostly it is the one asked for last
            self._last = region, *self._narrowed(region)
        return self._last[1:]

    def point(self, region: Region, solution: np.ndarray) -> np.ndarray:
        """A solution of the region's program as logarithms of factors, shape (slots, ranks)."""
        lower, upper = self.ranges(region)
        free = upper > lower
        point = lower.copy()
        point[free] = solution[:np.count_nonzero(free)]
        return point

    def _whole_ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The ranges of all mappings (see `ranges`)."""
        lower, upper = np.zeros((2, 3 * self.scenario.depth, len(self.einsum.ranks)))
        for rank, rows in self.scenario.slots.items():
            for row in rows:
                least, most = self.rules.limits(row, rank)
                if rank in self.imperfect:      # the outermost one stands for extent / tile, not rounded
                    least = max(least - 1, 1)
                lower[row, self.column[rank]], upper[row, self.column[rank]] = log(least), log(most)
        return lower, upper

    def _narrowed(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = (table.copy() for table in self._widest)
        for rank, factors in region.fixed:
            real = real_factors(factors, self.einsum.extent[rank]) if rank in self.imperfect else factors
            lower[:, self.column[rank]] = upper[:, self.column[rank]] = np.log(real)
        for level, inner in enumerate(region.innermost):
            row = slot(level, "temporal")
            if inner == TRIVIAL:
                upper[row] = 0.0
            for rank in self.rules.inside(level, inner) if inner and self.rules.orders_loops else ():
                upper[row, self.column[rank]] = 0.0     # none runs inside `inner`
            if inner and inner not in self.imperfect:
                i = row, self.column[inner]
                lower[i] = max(lower[i], log(smallest_prime(self.einsum.extent[inner])))
        return lower, upper
