"""The best chain of cuts on any machine, for one choice of what levels keep: bandwidths count, and arrays may
be several. It is found shape by shape, as that of even mappings is (see `tower.bound`)."""

from __future__ import annotations

from math import inf
from typing import Sequence

import numpy as np

from ...mapping.template import Keep
from ..cap import UNCAPPED, Cap
from ..chains.cuts import Cuts
from .batch import Batch
from .bound import Best, TowerBound
from .cuts import CutSteps, Room
from .tower import Tower


class TowerChain(TowerBound):
    """Least objective over all mappings in which tensors are cut anywhere and whose tiles keep to `room`."""

    together = 40_000

    def __init__(self, tower: Tower, keep: Keep, powers: tuple[int, int], room: Room,
                 cap: Cap = UNCAPPED) -> None:
        super().__init__(tower, keep, *powers, cap)
        self.room = room

    def floor(self) -> float:
        """A bound that is known at once."""
        assert self.t.shapes is not None
        return float(self.quick(self.t.shapes).min(initial=inf))

    def chains(self, cutoff: float) -> tuple[float, list[Cuts]]:
        """A bound, at most `cutoff`, and chains that attain it where it is below."""
        least, found = self.bounded(cutoff)
        return least, [cuts for best in found[:1] for cuts in self._cuts(best)]

    def _batch(self, shapes: np.ndarray) -> Batch:
        assert self.t.shapes is not None
        return Batch(self.t, self.keep, self.t.shapes.at(shapes), room=self.room)

    def _cuts(self, best: Best) -> list[Cuts]:
        """The chains with a shape that have the least energy, or the least of energy and cycles weighed."""
        batch, found = self._batch(np.array([best.shape])), list[Cuts]()
        arrays = {i: (self._unrolled(batch.shapes.x[0, i]), self._unrolled(batch.shapes.y[0, i]))
                  for i in self.t.l.scenario.wide}
        for port, weight in best.weighed:
            steps = batch.steps(port, np.array([weight]), note=True)
            assert isinstance(steps, CutSteps)
            if steps.least()[0] < inf and (cuts := Cuts(steps.tiles(), arrays)) not in found:
                found.append(cuts)
        return found

    def _unrolled(self, factors: Sequence[int]) -> dict[str, int]:
        return dict(zip(self.t.l.ranks, map(int, factors), strict=True))
