"""Good mappings of a layer: the best so far, and steps to better ones. What is proven is no matter here."""

from __future__ import annotations

from time import monotonic
from typing import Callable

import numpy as np

from ..mapping.nest import Mapping
from ..mapping.template import Keep
from .limits import Limits
from .local import Explorer, Found
from .objectives import OBJECTIVES, cap
from .space import Mapspace
from .trace import Trace


class Finder:
    """The best mapping of one layer so far.

    It may begin from a mapping that is `known`, and look only for mappings that have no more of another
    objective than `among` says (its name, and how much).
    """

    def __init__(self, space: Mapspace, objective: str, limits: Limits,
                 report: Callable[[float, float], None] | None, known: Found | None,
                 among: tuple[str, float] | None) -> None:
        self.space, self.objective, self.powers = space, objective, OBJECTIVES[objective]
        self.known, self.among, self.cap = known, among, cap(among)
        self.limits = limits
        self.report = report or (lambda value, bound: None)
        self.explorer = self._explorer()
        self.explorer.stopped = self._interrupted
        self.rng = np.random.default_rng(0)
        self.started = monotonic()
        self.best: Found | None = None
        self.trace = Trace(self.started)

    @property
    def evaluated(self) -> int:
        """Mappings costed so far."""
        return self.explorer.evaluated

    def _explorer(self) -> Explorer:
        return Explorer(self.space, *self.powers, self.cap)

    def start(self) -> Found | None:
        """A first mapping, there soon; None where there is none."""
        if self.best is None and self.space.choices.count:
            self._begin()
        return self.best

    def _begin(self) -> None:
        """Find some first mapping, and go on from there by small steps."""
        if self.known is not None:
            known = self.known.factors[None]
            self._offer(self.explorer.best_of(self.known.keep, self.known.orders, known))
        everything = next(self.space.choices.completions(self.space.whole))
        for keep in (everything, *self.space.choices.smallest()):
            if self.best is None or (self.known is None and not self._interrupted()):
                self._offer(self.explorer.start(keep))
        if self.best is not None and self.known is None:
            options = self.space.order_options(self.space.root(self.best.keep))
            self._offer(self.explorer.rise(self.best, options))

    def refine(self) -> Found | None:
        """Improve the mapping that is known, and prove nothing."""
        self._begin()
        self._improve(self.best)
        return self.best

    def _interrupted(self) -> bool:
        return self.limits.over(self.started)

    def _offer(self, found: Found | None) -> None:
        if found is not None:
            better = self.best is None or found.value < self.best.value
            self.trace.offered(found.keep, found.value, self.evaluated, better)
            if better:
                self.best = found
                self.report(found.value, min(self.trace.bound, found.value))

    def _elsewhere(self, keep: Keep) -> Found | None:
        """A mapping that keeps what `keep` says: the best one's factors, or else any that fit."""
        assert self.best is not None
        best = self.explorer.best_of(keep, self.best.orders, self.best.factors[None])
        return best or self.explorer.start(keep)

    def _wander(self, keep: Keep) -> None:
        """Improve the best of some mappings drawn at random."""
        self._improve(self.explorer.draw(keep, self.rng))

    def _improve(self, found: Found | None) -> None:
        """Climb from a mapping, and on with other choices of what levels keep while that helps."""
        while found is not None and not self._interrupted():
            options = self.space.order_options(self.space.root(found.keep))
            top = self.explorer.climb(self.explorer.best_order(found, options), options)
            self._offer(top)
            others = (self.explorer.best_of(keep, top.orders, top.factors[None])
                      for keep in self.space.choices.neighbours(top.keep))
            found = min((x for x in others if x is not None and x.value < top.value),
                        key=lambda x: x.value, default=None)

    def mapping(self, found: Found) -> Mapping:
        return self.space.template(found.keep, found.orders).mapping(self.space.einsum, found.factors)
