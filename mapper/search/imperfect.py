"""Search one layer where constraints allow remainders: loops whose last pass is shorter.

Exact evaluations of such mappings walk the loop nest, which takes a thousand times as long as the
arrays of whole factors. So mappings are found by an estimate, the arrays at factors that are not
rounded up, and only the best by estimate are evaluated. Bounds are those of `bounds.relax`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import product
from math import inf
from typing import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import InfeasibleError
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..mapping.nest import Kind, Mapping
from ..mapping.splits import real_factors, steps
from ..mapping.template import Template, slot
from ..model.batch import BatchEvaluator
from ..model.batch_shape import Nest
from ..model.evaluate import evaluate
from ..workload.einsum import Einsum, footprint
from .layer import LayerSearch, Limits, Node, never
from .local import Explorer, Found, Keep, Orders
from .result import Certificate
from .space import Mapspace

#: Regions with at most so many mappings, and so many operations in them together, are enumerated.
ENUMERATE = 4000
ENUMERATE_OPERATIONS = 2.0e8
#: Mappings evaluated in all enumerations together.
_EVALUATIONS = 8000
#: Of many mappings the best so many by estimate are evaluated.
_CLOSEST = 4
#: Splits of each rank that are tried together with those of another rank.
_TOGETHER = 40
_CLIMBS = 6


def may_enumerate(space: Mapspace, mappings: float) -> bool:
    """Whether a region of so many mappings is enumerated."""
    return mappings <= ENUMERATE and mappings * space.einsum.macs <= ENUMERATE_OPERATIONS


class _Estimate(BatchEvaluator):
    """Costs at factors that need not be whole, whether or not they fit."""

    def _fits(self, nest: Nest) -> NDArray[np.bool_]:
        return np.ones(nest.tiles[0].shape[1:], dtype=np.bool_)


class ImperfectExplorer(Explorer):
    """`factors` are rounded up; see `mapping.splits` for the remainders that they say."""

    def __init__(self, space: Mapspace, energy_power: int, cycles_power: int) -> None:
        super().__init__(space, energy_power, cycles_power)
        self.stopped = never
        self._estimates: dict[tuple[Keep, Orders], _Estimate] = {}
        self._known: dict[Mapping, float] = {}
        self._temporal = np.arange(3 * space.depth) % 3 == slot(0, "temporal")

    # ---- one by one ------------------------------------------------------------------------------

    def values(self, keep: Keep, orders: Orders, factors: np.ndarray) -> np.ndarray:
        """The objective of every factor array, inf where it does not fit (or when it is time to stop);
        shape (mappings,)."""
        values = np.full(len(factors), inf)
        fits = self.fits(keep, factors)
        whole = fits & (factors.prod(axis=1) == np.array(self.space.einsum.extents)).all(axis=1)
        values[whole] = super().values(keep, orders, factors[whole])
        template = Template(self._levels, keep, orders, self.space.rules.no_multicast)
        for i in np.flatnonzero(fits & ~whole):
            mapping = template.mapping(self.space.einsum, factors[i])
            if mapping not in self._known and not self.stopped():
                self.evaluated += 1
                cost = evaluate(self.space.architecture, self.space.einsum, mapping)
                self._known[mapping] = cost.energy_pj ** self.powers[0] * cost.cycles ** self.powers[1]
            values[i] = self._known.get(mapping, inf)
        return values

    def fits(self, keep: Keep, factors: np.ndarray) -> NDArray[np.bool_]:
        """Which factor arrays fit the machine and keep to the constraints; shape (mappings,)."""
        einsum, good = self.space.einsum, self.space.allowed(factors)
        for i, level in enumerate(self.space.architecture.levels):
            kinds: tuple[Kind, Kind] = ("x", "y")
            for kind, available in zip(kinds, self.space.architecture.fanout(i), strict=True):
                good &= factors[:, slot(i, kind)].prod(axis=1) <= available
            if level.capacity_words is not None:
                tiles = np.minimum(factors[:, 3 * i:].prod(axis=1), np.array(einsum.extents))
                extents = dict(zip(einsum.ranks, tiles.T, strict=True))
                words = sum(footprint(t, extents) for t in einsum.tensors if t.name in keep[i])
                good &= np.asarray(words <= level.capacity_words)
        return np.asarray(good)

    # ---- by estimate -----------------------------------------------------------------------------

    def estimates(self, keep: Keep, orders: Orders, factors: np.ndarray) -> np.ndarray:
        """About the objective of every factor array, inf where it does not fit."""
        if (keep, orders) not in self._estimates:
            template = Template(self._levels, keep, orders, self.space.rules.no_multicast)
            self._estimates[keep, orders] = _Estimate(self.space.architecture, self.space.einsum, template)
        fits = self.fits(keep, factors)
        factors = factors[fits]
        values = np.full(len(fits), inf)
        extents = np.array(self.space.einsum.extents)
        real = np.moveaxis(real_factors(np.moveaxis(factors, 0, 1), extents), 1, 0)
        cost = self._estimates[keep, orders](real)
        longer = np.ones(len(factors))          # by how much, since steps in time come whole
        for column, (rank, extent) in enumerate(self.space.einsum.extent.items()):
            if rank in self.space.imperfect:
                longer *= steps(factors[:, :, column], extent, self._temporal)
                longer /= real[:, self._temporal, column].prod(axis=1)
        values[fits] = cost.energy_pj ** self.powers[0] * (cost.cycles * longer) ** self.powers[1]
        return values

    def best_of(self, keep: Keep, orders: Orders, factors: np.ndarray) -> Found | None:
        """The best of the factor arrays that are best by estimate."""
        values = self.estimates(keep, orders, factors)
        near = np.argsort(values, kind="stable")[:_CLOSEST]
        return super().best_of(keep, orders, factors[near[np.isfinite(values[near])]])

    def best_order(self, found: Found, options: list[list[tuple[str, ...]]]) -> Found:
        """The same factors under the loop orders that are best by estimate, level by level."""
        return self._exact([self._reordered(found, options), found])

    def climb(self, found: Found, options: list[list[tuple[str, ...]]], rounds: int = 40) -> Found:
        """Replace the splits of one rank or of two, and the orders, while the estimate falls; the best
        on the way."""
        path = [found]
        here = replace(found, value=self._estimate(found))
        for _ in range(rounds):
            better = self._reordered(self._step(here), options)
            if self.stopped() or not better.value < here.value * (1 - 1e-12):
                break
            path.append(here := better)
        return self._exact([*path[-_CLOSEST:], found])

    def _estimate(self, found: Found) -> float:
        return float(self.estimates(found.keep, found.orders, found.factors[None])[0])

    def _exact(self, candidates: list[Found]) -> Found:
        """The best of some mappings, evaluated."""
        exact = [replace(x, value=float(self.values(x.keep, x.orders, x.factors[None])[0]))
                 for x in candidates]
        return min(exact, key=lambda x: x.value)

    def _reordered(self, found: Found, options: list[list[tuple[str, ...]]]) -> Found:
        best = replace(found, value=self._estimate(found))
        for i, level in enumerate(options):
            for order in level:
                other = replace(best, orders=(*best.orders[:i], order, *best.orders[i + 1:]))
                other = replace(other, value=self._estimate(other))
                best = min(best, other, key=lambda x: x.value)
        return best

    def _step(self, here: Found) -> Found:
        """The best by estimate among other splits of one rank, and of two."""
        best, near = here, dict[int, np.ndarray]()
        for column, rank in enumerate(self.space.einsum.ranks):
            ways = self.space.ways[rank]
            if len(ways) > 1:
                other = np.repeat(here.factors[None], len(ways), axis=0)
                other[:, :, column] = ways
                values = self.estimates(here.keep, here.orders, other)
                row = int(values.argmin())
                best = min(best, replace(here, value=float(values[row]), factors=other[row]),
                           key=lambda x: x.value)
                # A split that does not fit alone may fit with another one: the nearest ones.
                apart = np.abs(np.log(ways / here.factors[:, column])).sum(axis=1)
                near[column] = ways[np.lexsort((apart, values))[:_TOGETHER]]
        for first, second in product(near, near):
            if first < second:
                other = np.repeat(here.factors[None], len(near[first]) * len(near[second]), axis=0)
                other[:, :, first] = np.repeat(near[first], len(near[second]), axis=0)
                other[:, :, second] = np.tile(near[second], (len(near[first]), 1))
                values = self.estimates(here.keep, here.orders, other)
                row = int(values.argmin())
                best = min(best, replace(here, value=float(values[row]), factors=other[row]),
                           key=lambda x: x.value)
        return best


class ImperfectSearch(LayerSearch):
    """The state of one search with remainders, which starts from the best whole factors."""

    explorer: ImperfectExplorer
    whole: LayerSearch

    def _explorer(self) -> Explorer:
        explorer = ImperfectExplorer(self.space, *self.powers)
        explorer.stopped = self._interrupted
        return explorer

    def _begin(self) -> None:
        self.limits = replace(self.limits, climbs=_CLIMBS)
        whole = LayerSearch(self.space.architecture, self.space.einsum, self.objective,
                            replace(self.limits, seconds=self.limits.seconds / 2), self.seed,
                            lambda value, bound: self.report(value, 0.0), self.space.rules.constraints.whole)
        with suppress(InfeasibleError):     # with remainders something may fit
            whole.run()
        self.whole = whole
        self._offer(whole.best)
        self._improve(self.best)
        if self.best is None:
            super()._begin()

    def _certificate(self, root: Node, proven: float) -> Certificate:
        found = super()._certificate(root, proven)
        return replace(found, bound_solves=found.bound_solves + self.whole.solves,
                       evaluated=found.evaluated + self.whole.explorer.evaluated)

    def _close(self, node: Node) -> bool:
        mappings = self.space.combinations(node.region)
        if may_enumerate(self.space, mappings) and self.explorer.evaluated + mappings <= _EVALUATIONS:
            self._enumerate(node)
            return True
        # Where every choice is made, its bound is all that is left to say.
        return None not in node.region.innermost and len(node.region.fixed) == len(self.space.ranks)

    def _enumerate(self, node: Node) -> None:
        """Evaluate every mapping of the region, under every order that is tried."""
        for orders, factors in self.space.in_order(node.region, self.space.enumerate(node.region)):
            self._offer(Explorer.best_of(self.explorer, node.region.keep, orders, factors))
        if self.space.orders_complete and not self._interrupted():
            node.method, node.value = "enumerated", inf


def layer_search(architecture: Architecture, einsum: Einsum, objective: str, limits: Limits,
                 seed: int = 0, report: Callable[[float, float], None] | None = None,
                 constraints: Constraints = NONE) -> LayerSearch:
    """The search for a layer: with remainders where the constraints allow some in it."""
    imperfect = Mapspace(architecture, einsum, constraints).imperfect
    return (ImperfectSearch if imperfect else LayerSearch)(
        architecture, einsum, objective, limits, seed, report, constraints)
