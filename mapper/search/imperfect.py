"""Search one layer where loops may have remainders, after the best whole factors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from math import inf, prod
from typing import Callable

from ..bounds.programs.bound import ROUNDING
from ..bounds.scenario import Scenario
from ..bounds.tiles.bound import TileBound
from ..bounds.tiles.tiles import Tiles
from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.template import Keep
from ..workload.einsum import Einsum
from .certificate import Certificate
from .imperfect_explorer import ENUMERATE, ImperfectExplorer, may_enumerate
from .layer import LayerSearch
from .leftover import Leftover
from .limits import Limits
from .local import Explorer, Found
from .tree import Node
from .whole_factors import KEEPS

_WALKS = 8000
_CLIMBS = 6
_BOUNDS = 60
#: Ways to spread ranks over arrays from which one is improved.
_QUICKEST = 500
#: Of the mappings that a bound suggests, so many are improved.
_TRIED = 2
#: Unless they cost more than so many times the best.
_PROMISING = 1.2
#: Regions are split by the factors of a rank into so many parts at most.
_PARTS = 200


class ImperfectSearch(LayerSearch):
    """The state of one search with remainders, which starts from the best whole factors."""

    explorer: ImperfectExplorer
    whole: LayerSearch | None = None
    low = 1.0                    # what mappings cost at the least, to what they do by estimate

    @cached_property
    def waiting(self) -> set[Keep]:
        """What levels keep in regions that were bounded by numbers of tiles, and come again."""
        return set()

    @cached_property
    def leftover(self) -> Leftover:
        """What bounds by numbers of tiles leave."""
        return Leftover(self.explorer, self.tiles)

    @cached_property
    def tiles(self) -> Tiles:
        """The numbers of tiles that ranks can be cut into."""
        return Tiles(self.space.scenario)

    def share_tiles(self, other: LayerSearch) -> None:
        super().share_tiles(other)
        assert isinstance(other, ImperfectSearch)
        self.tiles = other.tiles

    @property
    def _for_tiles(self) -> bool:
        """Whether numbers of tiles bound what levels keep."""
        return self._by_energy and self.tiles.applies

    @property
    def _covered(self) -> bool:
        return self._for_tiles and bool(self.space.whole.open) and self.space.choices.count <= KEEPS

    def _quick(self, keep: Keep) -> float:
        return inf if self._worse(keep) else TileBound(self.tiles, keep, *self.powers, self.cap).quick()

    def _glimpse(self, nodes: list[Node]) -> None:
        """Whole factors have been looked at before."""

    def _explorer(self) -> Explorer:
        return ImperfectExplorer(self.space, *self.powers, self.cap)

    def _begin(self) -> None:
        self.limits = replace(self.limits, climbs=_CLIMBS)
        if not self.explorer.fast:      # bounds of parts prove next to nothing where none is enumerated
            self.limits = replace(self.limits, bounds=min(self.limits.bounds, _BOUNDS))
        if self.known is not None:      # good, whatever its estimate
            keep, orders, factors = self.known.keep, self.known.orders, self.known.factors
            value = self.explorer.exact(keep, orders, factors, anyway=True)
            LayerSearch._offer(self, replace(self.known, value=value))
            return
        self.whole = whole = LayerSearch(
            self.space.architecture, self.space.einsum, self.objective,
            replace(self.limits, seconds=self.limits.seconds / 2), self.seed, self._hear,
            self.space.rules.constraints.whole, among=self.among)
        whole.start()                   # while it takes long to list all remainders
        if self.explorer.fast and prod(len(x) for x in self.space.ways.values()) <= ENUMERATE:
            super()._begin()            # proven by itself
            return
        with suppress(InfeasibleError):     # with remainders something may fit
            whole.run()
        self._improve(self.best)
        self.hurry()
        if self.best is None:
            super()._begin()

    def _hear(self, value: float, bound: float) -> None:
        """Take over what the search for whole factors has found."""
        assert self.whole is not None
        super()._offer(self.whole.best)
        self.report(value, 0.0)

    @property
    def evaluated(self) -> int:
        """Mappings costed so far."""
        return self.explorer.evaluated + (0 if self.whole is None else self.whole.evaluated)

    def hurry(self) -> None:
        """Improve a mapping that takes few steps in time."""
        if not self.powers[1] or self._covered:
            return
        orders = tuple(orders[0] for orders in self.space.orders)
        keeps = [] if self.best is None else [self.best.keep]
        for keep in (*keeps, *self.space.choices.smallest()):
            found = self.explorer.best_of(keep, orders, self.space.quickest(_QUICKEST))
            if found is not None:
                self._improve(found)
                return

    def _offer(self, found: Found | None) -> None:
        """Evaluate what is good by estimate, as far as earlier estimates were right, and keep the best."""
        if found is None or self.explorer.fast:
            super()._offer(found)
        elif self.best is None or found.value * self.low < self.best.value:
            value = self.explorer.exact(found.keep, found.orders, found.factors, anyway=self.best is None)
            if found.value < value < inf:
                self.low = min(self.low, value / found.value) if self.low > 1.0 else value / found.value
            super()._offer(replace(found, value=value))

    def _certificate(self, root: Node, proven: float, status: str) -> Certificate:
        found = super()._certificate(root, proven, status)
        if self.whole is None:
            return found
        return replace(found, bound_solves=found.bound_solves + self.whole.solves)

    def _close(self, node: Node) -> bool:
        mappings = self.space.combinations(node.region)
        fast = self.explorer.fast
        if may_enumerate(self.space, mappings) and (fast or self.explorer.evaluated + mappings <= _WALKS):
            self._enumerate(node)
            return True
        if self._fresh(node.region) and self._for_tiles:
            if not self._below(node) or node.region.keep in self.waiting:
                self.waiting.discard(node.region.keep)
                self._by_nests(node)
            else:
                self._by_tiles(node)
            return node.region.keep not in self.waiting
        # Where every choice is made, or the next one has too many sides, its bound is all there is to say.
        fixed = dict(node.region.fixed)
        parts = min((len(self.space.ways[r]) for r in self.space.ranks if r not in fixed), default=inf)
        return None not in node.region.innermost and parts > _PARTS

    def _split(self, node: Node) -> list[Node]:
        """A region that waits comes again when its bound is the lowest once more, and the best is better."""
        return [node] if node.region.keep in self.waiting else super()._split(node)

    def _by_nests(self, node: Node) -> None:
        """Cost what the bound by numbers of tiles leaves of the region."""
        assert self.best is not None
        if self._below(node):
            bound = TileBound(self.tiles, node.region.keep, *self.powers, self.cap)
            node.value = max(node.value, self.leftover.least(bound, self.best.value, self._offer))

    def _by_tiles(self, node: Node) -> None:
        """Bound the region by numbers of tiles, and improve the mappings at which the bound may be
        attained."""
        assert self.best is not None
        bound = TileBound(self.tiles, node.region.keep, *self.powers, self.cap)
        value, found = bound.solve(self.best.value)
        node.value, node.method = max(node.value, value), "lattice"
        options = self.space.order_options(node.region)
        orders, tried = tuple(own[0] for own in options), list[Found]()
        for cut in found:
            if self._interrupted() or cut.value >= self.best.value * (1.0 - ROUNDING):
                break
            start = Found(inf, node.region.keep, orders, cut.factors)
            tried.append(self.explorer.best_order(start, options))
        for start in sorted(tried, key=lambda found: found.value)[:_TRIED]:
            if start.value < self.best.value * _PROMISING:
                self._offer(self.explorer.climb(start, options))
        if self._below(node):
            self.waiting.add(node.region.keep)

    def _enumerate(self, node: Node) -> None:
        """Evaluate every mapping of the region, under every order that is tried."""
        for orders, factors in self.space.in_order(node.region, self.space.enumerate(node.region)):
            super()._offer(Explorer.best_of(self.explorer, node.region.keep, orders, factors))     # exact
        if self.space.orders_complete and not self._interrupted():
            node.method, node.value = "enumerated", inf


def kind_of_search(architecture: Architecture, einsum: Einsum, constraints: Constraints) -> type[LayerSearch]:
    """That with remainders where the constraints allow some in the layer."""
    return ImperfectSearch if Scenario(architecture, einsum, constraints).imperfect else LayerSearch


def layer_search(architecture: Architecture, einsum: Einsum, objective: str, limits: Limits,
                 seed: int = 0, report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE, known: Found | None = None,
                 among: tuple[str, float] | None = None) -> LayerSearch:
    """The search for a layer: with remainders where the constraints allow some in it."""
    kind = kind_of_search(architecture, einsum, constraints)
    return kind(architecture, einsum, objective, limits, seed, report, constraints, known, among)
