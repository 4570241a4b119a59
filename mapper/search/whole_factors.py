"""What bounds over whole factors do for a search: they close regions, and tell of good mappings."""

from __future__ import annotations

import heapq
from functools import partial
from math import inf
from typing import Callable

from ..bounds.lattice.bound import LatticeBound
from ..bounds.lattice.lattice import Lattice, Tiling
from ..bounds.programs.bound import ROUNDING
from ..bounds.region import Region
from ..bounds.whole import has_open_bound, has_whole_bound, whole_bound
from ..mapping.template import Keep
from .finder import Finder
from .limits import Limits
from .local import Found
from .space import Mapspace
from .tree import Node

#: So many choices of what levels keep are all looked at by their lattices.
KEEPS = 512
#: At so many of them there is a glimpse before anything is proven.
_GLIMPSES = 8
#: Lattices tell mappings apart from the best that are worse by this share of its value, or by half of that.
_TIES = 8 * ROUNDING


class WholeFactors(Finder):
    """Regions of which it is decided, or open, what levels keep, and nothing else."""

    def __init__(self, space: Mapspace, objective: str, limits: Limits,
                 report: Callable[[float, float], None] | None, known: Found | None,
                 among: tuple[str, float] | None) -> None:
        super().__init__(space, objective, limits, report, known, among)
        self.lattice = Lattice(space.scenario)
        self.capped: dict[Keep, float] = {}     # by what levels keep, the least known of what `among` limits

    @property
    def _by_energy(self) -> bool:
        """Whether energy matters."""
        return self.powers[0] + self.cap.energy_power > 0

    @property
    def _for_lattice(self) -> bool:
        """Whether the lattice may close a keep/bypass choice: it finds the best of it without climbing."""
        return has_whole_bound(self.lattice, self._by_energy)

    @property
    def _covered(self) -> bool:
        """Whether lattices are likely to prove the optimum of everything that levels may keep."""
        return (self._for_lattice and self.lattice.applies and not self.space.imperfect
                and not self.space.rules.orders_loops and not self.space.architecture.sparse
                and bool(self.space.whole.open) and self.space.choices.count <= KEEPS)

    @property
    def _at_once(self) -> bool:
        """Whether there is a bound over whole factors of all that levels may keep."""
        return (not (self._covered or self.space.imperfect or self.space.rules.orders_loops)
                and has_open_bound(self.lattice, self.space.whole.open, self._by_energy))

    def _quick(self, keep: Keep) -> float:
        """What can be said soon of all mappings with one choice of what levels keep."""
        return inf if self._worse(keep) else LatticeBound(self.lattice, keep, *self.powers, self.cap).quick()

    def _worse(self, keep: Keep) -> bool:
        """Whether mappings that keep this are known to be worse in what is limited."""
        return self.capped.get(keep, 0.0) > self.cap.most * (1.0 + _TIES / 2)

    def _below(self, node: Node) -> bool:
        """Whether the region may hold a mapping better than the best by more than rounding."""
        assert self.best is not None
        return node.value < self.best.value * (1.0 - ROUNDING)

    def _glimpse(self, nodes: list[Node]) -> None:
        """Find something good soon: glimpse at those of the `nodes` that promise most, and improve
        the best mapping."""
        assert self.best is not None
        coarse = self.lattice.coarsened()
        most = _GLIMPSES if self.limits.dives else 0
        for node in heapq.nsmallest(most, nodes, key=lambda node: node.value):
            if self._below(node) and not self._interrupted():
                LatticeBound(coarse, node.region.keep, *self.powers, self.cap).glimpse(
                    self.best.value, partial(self._try, node.region))
        if self.limits.dives:
            self._improve(self.best)

    def _by_lattice(self, node: Node) -> bool:
        """Bound the region by whole factors, and try the tilings at which the bound is attained."""
        assert self.best is not None
        keep, loose, cutoff = node.region.keep, node.region.open, self.best.value
        found = whole_bound(self.lattice, keep, *self.powers, self.cap, loose).solve(
            cutoff * (1.0 + _TIES), partial(self._try, node.region))
        node.method = "" if found is None else "lattice"
        if found is None:
            return False
        node.value, tried = max(node.value, found[0]), list[Found]()
        options = self.space.order_options(node.region)
        for tiling in found[1]:
            if self._interrupted() or tiling.value >= self.best.value * (1.0 - ROUNDING):
                break
            start = self._likely(node.region, tiling)
            if start.value > tiling.value * (1.0 + ROUNDING):
                start = self.explorer.best_order(start, options)
            self._offer(start)
            tried.append(start)
        for start in sorted(tried, key=lambda f: f.value)[:2]:
            if node.value < self.best.value * (1.0 - ROUNDING) and start.value < cutoff * 1.1:
                self._offer(self.explorer.climb(start, options))
        return True

    def _try(self, region: Region, tiling: Tiling) -> None:
        """Offer what a lattice has found on its way, if it fits."""
        if not self._interrupted():
            found = self._likely(region, tiling)
            self._offer(found if found.value < inf else None)

    def _likely(self, region: Region, tiling: Tiling) -> Found:
        """A tiling under the best of the loop orders that may attain its bound; not evaluated where
        constraints say which orders there are."""
        options = self.space.order_options(region)
        start = Found(inf, tiling.keep or region.keep, tuple(o[0] for o in options), tiling.factors)
        return start if self.space.rules.orders_loops else self.explorer.best_order(
            start, self._likely_orders(tiling))

    def _likely_orders(self, tiling: Tiling) -> list[list[tuple[str, ...]]]:
        """By level the loop orders that may attain the bound of a tiling, as those of a template."""
        ranks = self.space.einsum.ranks
        idle = tuple(r for r in ranks if r not in self.lattice.ranks)
        return [[(*idle, *reversed(order)) for order in orders] for orders in tiling.orders]
