"""The front of a whole network from those of its layers: sums of cycles and of energies."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Sequence

import numpy as np

from .certificate import LayerFront

#: Points kept while layers are added, and in the end.
_BETWEEN, _POINTS = 20_000, 100


@dataclass(frozen=True)
class NetworkPoint:
    """A choice of one point of the front of every layer (`choice`, their places), used in all its
    occurrences; energy in pJ and cycles are those of the whole network."""

    energy_pj: float
    cycles: int
    choice: tuple[int, ...]


@dataclass(frozen=True)
class NetworkFront:
    """Points with more and more cycles and less and less energy. For every choice of a mapping for each
    layer there is one with no more than `1 + tolerance` times its cycles, and times its energy."""

    points: tuple[NetworkPoint, ...]
    tolerance: float

    @property
    def least_edp(self) -> NetworkPoint:
        """The point with the least product of energy and cycles; the first of equals."""
        return min(self.points, key=lambda p: p.energy_pj * p.cycles)


def combine(layers: Sequence[tuple[LayerFront, int]]) -> NetworkFront:
    """All sums of points of the fronts of layers, each given with how often the layer occurs, without those
    that are no better than others. Where they are too many, of points with about the same cycles the one
    with the least energy is kept, which adds to the tolerance of the layers."""
    cycles, energy = np.zeros(1, dtype=np.int64), np.zeros(1)
    choice = np.zeros((1, 0), dtype=np.int64)
    slack = 1.0
    for front, count in layers:
        own_cycles = np.array([p.cycles for p in front.points]) * count
        own_energy = np.array([p.energy_pj for p in front.points]) * count
        before, own = (x.ravel() for x in np.indices((len(cycles), len(front.points))))
        sums = cycles[before] + own_cycles[own], energy[before] + own_energy[own]
        kept, factor = _front(*sums, _BETWEEN)
        cycles, energy = sums[0][kept], sums[1][kept]
        choice = np.column_stack([choice[before[kept]], own[kept]])
        slack *= factor
    kept, factor = _front(cycles, energy, _POINTS)
    widest = max((1.0 + front.tolerance for front, _ in layers), default=1.0)
    found = tuple(NetworkPoint(float(energy[i]), int(cycles[i]), tuple(map(int, choice[i]))) for i in kept)
    return NetworkFront(found, slack * factor * widest - 1.0)


def _front(cycles: np.ndarray, energy: np.ndarray, most: int) -> tuple[np.ndarray, float]:
    """Which points to keep, with the fewest cycles first: those that none is better than, at most `most`;
    and by what factor a point that is kept may have more cycles than one that is not (and more energy)."""
    order = np.lexsort((energy, cycles))
    least = np.minimum.accumulate(energy[order])
    better = np.concatenate([[True], energy[order][1:] < least[:-1]])
    kept = order[better]
    if len(kept) <= most:
        return kept, 1.0
    position = np.log(cycles[kept] / cycles[kept[0]])
    stretch = np.ceil(position / log(cycles[kept[-1]] / cycles[kept[0]]) * (most - 1) * (1.0 - 1e-12))
    last = np.concatenate([stretch[1:] > stretch[:-1], [True]])     # of each stretch: the least energy
    chosen = kept[last]
    standing = chosen[np.searchsorted(np.flatnonzero(last), np.arange(len(kept)))]
    return chosen, float((cycles[standing] / cycles[kept]).max())
