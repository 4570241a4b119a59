"""The geometric program under every mapping of a `Region`: its optimum is a lower bound.

Every count is replaced by a posynomial that is never above it, in the notation of
docs/search.md; v holds the logarithm of each factor. Where a count is a difference (first
touches of partial sums) the constant part is subtracted at the end (`Program.offset`).
"""

from __future__ import annotations

from functools import cached_property
from math import log
from typing import Any

import numpy as np

from ...mapping.template import slot
from ...workload.einsum import Tensor
from ..cap import UNCAPPED, Cap
from ..region import TRIVIAL, Region
from ..scenario import Scenario
from .assemble import Assembly, Row, folded
from .charges import Charges, TensorTerms
from .open_prices import OpenPrices
from .program import Label, Posynomial, Program
from .terms import is_plain
from .variables import Variables

#: Terms of tensors that are kept at most: a bound on memory.
_KEPT = 1024


class Relaxation:
    """Builds the programs of the regions of one scenario; `least_steps`: cycles that every mapping takes;
    `cap`: only mappings within it are asked for."""

    def __init__(self, scenario: Scenario, least_steps: float = 1.0, cap: Cap = UNCAPPED) -> None:
        self.scenario, self.cap = scenario, cap
        self.einsum, self.imperfect, self.limits = scenario.einsum, scenario.imperfect, scenario.limits
        self.variables, self.prices = Variables(scenario), OpenPrices(scenario.prices)
        self.least_cycles = max(self.einsum.macs / scenario.most_units, least_steps)
        self._compiled: dict[tuple[Any, ...], TensorTerms] = {}
        self._last: tuple[tuple[Region, float, bool], Program | None] | None = None

    def program(self, region: Region, energy_power: int, cycles_power: int,
                floor: float = 0.0) -> Program | None:
        """The program whose optimum bounds `log(energy^energy_power * cycles^cycles_power)` of
        every mapping in `region`, `Program.offset` left aside; None where its choices conflict. `floor`,
        a proven lower bound on the energy, pJ, matters where a product of energy and cycles is capped."""
        # Objectives are asked of the same constraints, and mostly one after the other.
        floor = floor if self.cap.energy_power and self.cap.cycles_power else 0.0
        key = region, floor, energy_power + self.cap.energy_power > 0
        if self._last is None or self._last[0] != key:
            whole = self.unfolded(*key)
            self._last = key, None if whole is None else folded(whole)
        program = self._last[1]
        return None if program is None else program.asking(energy_power, cycles_power)

    def unfolded(self, region: Region, floor: float, energy: bool = True) -> Program | None:
        """The same for the least energy, or without the energy, with the variables that the region fixes."""
        lower, upper = self.variables.ranges(region)
        if np.any(lower > upper + 1e-12):
            return None
        tensors = [self._terms(tensor, region, energy) for tensor in self.einsum.tensors]
        assembly = Assembly(self.variables, self.prices, region, tensors, self.least_cycles, self.cap)
        return assembly.program(self._arrays, floor, energy)

    @cached_property
    def _arrays(self) -> list[Row]:
        """What arrays have room for: the same for all regions."""
        rows = []
        for limit in self.limits:
            slots = [slot(limit.level, kind) for kind in limit.kinds]
            product = Posynomial(self.variables.product(slots)[None], np.array([log(1.0 / limit.most)]))
            rows.append(Row([(product, 0)], label=Label("array", limit.level, "".join(limit.kinds))))
        return rows

    # ---- what is compiled once -------------------------------------------------------------------

    def _terms(self, tensor: Tensor, region: Region, energy: bool) -> TensorTerms:
        """What `tensor` adds to the program of `region`: the same for all regions that agree in what is asked
        for here, whatever else they fix."""
        lower, upper = self.variables.ranges(region)
        exact, iterates, shaped = self._sight[tensor.name]
        kept, loose = region.levels(tensor.name)
        key = (tensor.name, energy, kept, loose, self._movers(tensor, region, (*kept, *loose), shaped),
               np.where(upper > lower, -1.0, lower)[exact].tobytes(), (upper[iterates] > 0.0).tobytes())
        if key not in self._compiled:
            if len(self._compiled) >= _KEPT:
                self._compiled.clear()
            self._compiled[key] = Charges(self.variables, self.prices, region).terms(tensor, energy)
        return self._compiled[key]

    def _movers(self, tensor: Tensor, region: Region, children: tuple[int, ...],
                shaped: frozenset[str]) -> tuple[Any, ...]:
        """What `Streams.refetched` finds of innermost loops: for each child the level of the innermost loop
        outside that moves `tensor`, and, where it is known, its rank, as far as that matters."""
        if self.imperfect & tensor.ranks:
            return region.innermost[:max(children)]
        found = []
        for child in children:
            sure = bool(shaped)
            for level in range(child - 1, -1, -1):
                inner = region.innermost[level]
                if inner and inner in tensor.ranks:
                    found.append((child, level, sure, inner if sure and inner in shaped else ""))
                    break
                sure = sure and inner == TRIVIAL
        return tuple(found)

    @cached_property
    def _sight(self) -> dict[str, tuple[np.ndarray, np.ndarray, frozenset[str]]]:
        """By tensor what matters of a region for its posynomials, besides levels that keep it and innermost
        loops: the slots whose factors matter where they are fixed, shape (slots, ranks), those of which it
        matters whether they may iterate; and the ranks whose extents are not simply those of an axis."""
        found, column = {}, self.variables.column
        spatial = [slot(i, kind) for i in range(self.scenario.depth) for kind in ("y", "x")]
        for tensor in self.einsum.tensors:
            shaped = frozenset(t.rank for axis in tensor.projection if not is_plain(axis) for t in axis)
            exact, iterates = np.zeros((2, 3 * self.scenario.depth, len(self.einsum.ranks)), dtype=bool)
            exact[:, [column[rank] for rank in shaped]] = True
            iterates[:, [column[rank] for rank in self.imperfect & tensor.ranks]] = True
            iterates[np.ix_(spatial, [column[rank] for rank in self.imperfect])] = True
            if tensor.is_output:        # copies of partial sums
                exact[np.ix_(spatial, [r not in tensor.ranks for r in self.einsum.ranks])] = True
            found[tensor.name] = exact, iterates, shaped
        return found
