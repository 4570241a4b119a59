"""Bounds over whole factors for machines with arrays at several levels, for one keep/bypass choice.

For every shape of all arrays at once, dynamic programming over tiles gives the least energy (see
`tower.steps`). Cycles of the units follow from the shape. Where bandwidths are limited, energy and the cycles
of a port are weighed against each other (see `tower.pace`); where cycles alone count, those of every port are
made least for themselves, and the slowest one tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Callable, Iterable

import numpy as np

from ...mapping.template import Keep
from ...model.network import network_cycles
from ..cap import UNCAPPED, Cap
from ..lattice.lattice import Tiling
from .batch import Batch, Weighed
from .pace import binds, traded, whole
from .tower import Shapes, Tower
from .trace import loops_of

_FIRST_TOGETHER = 20_000     # shapes times points looked at together, at first
_STATES = 8                  # of one keep/bypass choice
_KEPT = 4                    # shapes of which tilings are handed on,
_NEAR = 1.02                 # if they are so near the best
_BETTER = 0.95               # told of at once: shapes with so much of the value of the last one, or less
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Best:
    """The least objective of a shape, its least energy without leakage, and what was weighed to know that."""

    shape: int
    value: float
    energy: float
    weighed: tuple[Weighed, ...] = ((None, 0.0),)


class TowerBound:
    """Least objective over every factorisation and loop order that may lie within a `cap`, where levels
    `keep` tensors for sure, and `loose` ones perhaps: the interface of `LatticeBound`."""

    together = 200_000       # shapes times points looked at together, at most

    def __init__(self, tower: Tower, keep: Keep, energy_power: int, cycles_power: int,
                 cap: Cap = UNCAPPED, loose: Keep = ()) -> None:
        self.t, self.keep, self.loose = tower, keep, loose
        self.powers, self.cap = (energy_power, cycles_power), cap
        self.stopped: Callable[[], bool] = lambda: False      # whether to end with what is known at once

    def solve(self, cutoff: float, tell: Callable[[Tiling], None] | None = None
              ) -> tuple[float, Iterable[Tiling]] | None:
        """(proven bound, at most `cutoff`; tilings that attain bounds below it), None when there are too many
        tiles or shapes. `tell` is handed tilings that are clearly better than any before as soon as they are
        found."""
        if self.t.shapes is None:
            return None
        told: dict[Best, list[Tiling]] = {}

        def better(best: Best) -> None:
            if tell is not None and best.value < min([cutoff, *(x.value for x in told)]) * _BETTER:
                told[best] = self._tilings(best)
                for tiling in told[best]:
                    tell(tiling)

        least, found = self.bounded(cutoff, better)
        return least, (tiling for best in found for tiling in told.get(best) or self._tilings(best))

    def bounded(self, cutoff: float, better: Callable[[Best], None] = lambda best: None
                ) -> tuple[float, list[Best]]:
        """A bound, at most `cutoff`, and what shapes attain where that is below or near; `better` is handed
        the best as it is found."""
        assert self.t.shapes is not None
        quick = self.quick(self.t.shapes)
        # Where much is open there are many states, though few at each tile.
        cells = max(self.t.ways_to_keep(self.loose) // _STATES, len(self.t.l.points))
        order, start, together = np.argsort(quick, kind="stable"), 0, min(_FIRST_TOGETHER, self.together)
        least, found = cutoff, list[Best]()
        while start < len(order):
            most = max(together // cells, 1)
            own = order[start:start + most]
            start, together = start + most, min(2 * together, self.together)
            own = own[quick[own] < least]
            if not len(own):
                break
            if self.stopped():
                return float(quick[own].min()), []
            found += self._bests(own, least)
            if found and (best := min(found, key=lambda x: x.value)).value < least:
                least = best.value
                better(best)
        found = sorted((x for x in found if x.value <= least * _NEAR), key=lambda x: x.value)[:_KEPT]
        return least, found

    # ---- what shapes cost ------------------------------------------------------------------------

    def _batch(self, shapes: np.ndarray) -> Batch:
        assert self.t.shapes is not None
        return Batch(self.t, self.keep, self.t.shapes.at(shapes), self.loose)

    def quick(self, shapes: Shapes) -> np.ndarray:
        """The least objective by shape, as far as it is known at once."""
        batch = Batch(self.t, self.keep, shapes, self.loose)
        energy = batch.energy.least()
        return batch.objective(self.powers, self.cap, energy, batch.soonest())

    def _bests(self, shapes: np.ndarray, cutoff: float) -> list[Best]:
        """The least objective of each shape for which it is below the cutoff."""
        batch = self._batch(shapes)
        if not (self.powers[0] or self.cap):
            return self._fastest(batch, shapes, cutoff)
        energy = batch.least(None, batch.busy, self._most(batch, cutoff))
        values = batch.objective(self.powers, self.cap, energy, batch.busy)
        found = [Best(int(shapes[i]), float(values[i]), float(energy[i]))
                 for i in np.flatnonzero((values < cutoff) & (energy < inf))]     # or nothing fits
        slow = self.powers[1] or self.cap or batch.leak.any()
        for port in range(len(batch.ports) if slow else 0):
            found = self._paced(found, port, cutoff)
        return found

    def _most(self, batch: Batch, value: float) -> np.ndarray | float:
        """The energy that matters, where cycles are those of the units at least."""
        return batch.most_energy(self.powers, value) * (1.0 + _ROUNDING) if self.powers[0] else inf

    def _fastest(self, batch: Batch, shapes: np.ndarray, cutoff: float) -> list[Best]:
        """The same where cycles alone count: no port is quicker than when all else is arranged for it."""
        ports = range(len(batch.ports))
        energy = batch.least(None, batch.busy)
        cycles = np.max([np.where(energy < inf, batch.busy, inf), *map(batch.cycles, ports)], axis=0)
        values = (whole(cycles) + network_cycles(self.t.l.arch, "exact")) ** self.powers[1]
        weighed: tuple[Weighed, ...] = ((None, 0.0), *((port, inf) for port in ports))
        return [Best(int(shapes[i]), float(values[i]), float(energy[i]), weighed)
                for i in np.flatnonzero(values < cutoff)]

    def _paced(self, known: list[Best], port: int, cutoff: float) -> list[Best]:
        """The same, with the cycles of one port, which may be more than those of the units."""
        if not known:
            return []
        batch, energy = self._batch(np.array([x.shape for x in known])), np.array([x.energy for x in known])
        first = energy / batch.busy * self.powers[1] / max(self.powers[0], 1) + batch.leak
        first = np.where(first > 0.0, first, energy / batch.busy)
        slow = binds(energy, batch.busy, first, partial(batch.least, port))
        found, known = [x for x, own in zip(known, slow, strict=True) if not own], [
            x for x, own in zip(known, slow, strict=True) if own]
        if not known:
            return found
        batch = self._batch(np.array([x.shape for x in known]))
        most = self.cap.most_cycles - network_cycles(self.t.l.arch, "exact")
        values, weights = traded(
            energy[slow], batch.cycles(port), most, first[slow], partial(batch.least, port),
            partial(batch.objective, self.powers, UNCAPPED), cutoff)
        for best, value, own in zip(known, values.tolist(), weights.T.tolist(), strict=True):
            if value < cutoff:
                weighed = (*best.weighed, *((port, weight) for weight in own))
                found.append(replace(best, value=max(value, best.value), weighed=weighed))
        return found

    # ---- what attains it -------------------------------------------------------------------------

    def _tilings(self, best: Best) -> list[Tiling]:
        """The tilings with a shape that have the least energy, or the least of energy and cycles weighed."""
        batch, found = self._batch(np.array([best.shape])), dict[bytes, Tiling]()
        for port, weight in best.weighed:
            most = inf if weight else self._most(batch, best.value)
            steps = batch.steps(port, np.array([weight]), most, note=True)
            if steps.least()[0] < inf:
                loops, keep = loops_of(steps)
                factors = self.t.factors(batch.shapes, [tiles for tiles, _ in loops])
                orders = tuple(self._orders(ranks) for _, ranks in loops)
                found.setdefault(factors.tobytes(), Tiling(best.value, factors, orders, keep))
        return list(found.values())

    def _orders(self, ranks: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Orders of the loops of a level, the innermost first, which may attain a bound: that of the ranks,
        and those in which another rank of a window comes sooner."""
        found, lattice = [ranks], self.t.l
        for axis in (axis for own in lattice.windows.axes.values() for axis in own.values()):
            window = [rank for rank in ranks if rank in {t.rank for t in axis}]
            if len(window) > 1:
                first = ranks.index(window[0]) + 1
                found.append((*ranks[:first], *window[1:], *(r for r in ranks[first:] if r not in window)))
        rest = tuple(rank for rank in lattice.ranks if rank not in ranks)
        return tuple(dict.fromkeys((*own, *rest) for own in found))
