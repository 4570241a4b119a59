"""Good mappings early: round the relaxed optimum to whole factors, then improve it step by step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import inf, prod
from typing import Callable

import numpy as np
from numpy.typing import NDArray

from ..bounds.cap import UNCAPPED, Cap
from ..bounds.divisors import prime_factors
from ..errors import Problem, SpecError
from ..mapping.nest import Mapping
from ..mapping.template import KINDS, Keep, slot
from ..model.batch import BatchCost, BatchEvaluator
from ..model.batch_orders import OrderEvaluator
from ..model.batch_shape import Nest
from ..model.batch_sparse import batch_evaluator
from ..model.sparse.analyse import SparseModel
from ..workload.einsum import Einsum
from .feasible import first_fit
from .limits import never
from .space import Mapspace

Orders = tuple[tuple[str, ...], ...]

_CANDIDATES = 4096      # roundings tried at a time
_LISTED = 200_000       # splits of a rank, to find those near a point
_DRAWN, _DRAWS = 1 << 16, 8     # draws at a time and times, of which as many are taken that are fast enough
_ALL_COMBINATIONS = 150
_LIKELY = 1             # loop orders of a level tried where zeros are left out
_CHUNK = 65536          # mappings handed to the evaluator at a time
_STEPS = 200            # of single factors, which are quick


@dataclass(frozen=True)
class Found:
    """A mapping and the value of the objective there. `factors` has shape (slots, ranks)."""

    value: float
    keep: Keep
    orders: Orders
    factors: np.ndarray


def as_found(einsum: Einsum, mapping: Mapping) -> Found:
    """A mapping for a start, of no value yet; of several loops over a rank in one block their product."""
    keep, orders = tuple(block.keep for block in mapping), []
    factors = np.ones((3 * len(mapping.blocks), len(einsum.ranks)), dtype=np.int64)
    for i, block in enumerate(mapping):
        present = dict.fromkeys(loop.rank for loop in block.temporal)
        orders.append((*(rank for rank in einsum.ranks if rank not in present), *present))
        for kind in KINDS:
            for rank, factor in block.factors(kind).items():
                factors[slot(i, kind), einsum.ranks.index(rank)] = factor
    return Found(inf, keep, tuple(orders), factors)


class _DenseRun(BatchEvaluator):
    """Costs of mappings with all their zeros, whether or not the tiles then fit."""

    def _held(self, nest: Nest) -> NDArray[np.bool_]:
        return np.ones(nest.batch, dtype=np.bool_)


class Explorer:
    """Evaluates and improves mappings of one mapspace; counts what it evaluates. Those outside the
    `cap` count as if they did not fit."""

    def __init__(self, space: Mapspace, energy_power: int, cycles_power: int,
                 cap: Cap = UNCAPPED) -> None:
        self.space = space
        self.cap = cap
        self.powers = (energy_power, cycles_power)
        self.evaluated = 0
        self.stopped: Callable[[], bool] = never
        self._evaluators: dict[tuple[Keep, Orders], BatchEvaluator] = {}
        self._model = SparseModel(space.architecture, space.einsum) if space.architecture.sparse else None
        self._without_zeros = space.architecture.without_zeros()
        self._dense_runs: dict[tuple[Keep, Orders], BatchEvaluator] = {}
        self._moves = self._single_moves()

    def values(self, keep: Keep, orders: Orders, factors: np.ndarray) -> np.ndarray:
        """The objective of every factor array, inf where it does not fit; shape (mappings,)."""
        if (keep, orders) not in self._evaluators:
            self._evaluators[keep, orders] = batch_evaluator(
                self.space.architecture, self.space.einsum, self.space.template(keep, orders), self._model)
        evaluate = self._evaluators[keep, orders]
        self.evaluated += len(factors)
        results = [self._evaluated(evaluate, factors[start:start + _CHUNK])
                   for start in range(0, len(factors), _CHUNK)]
        return np.concatenate(results) if results else np.zeros(0)

    def _evaluated(self, evaluate: BatchEvaluator, factors: np.ndarray) -> np.ndarray:
        """The objective as `evaluate` has it of every factor array, inf where that is not valid."""
        return np.where(self.space.allowed(factors), self._objective(evaluate(factors)), inf)

    def _objective(self, cost: BatchCost) -> np.ndarray:
        """The objective of mappings of such a `cost`, inf where these are not valid."""
        energy_power, cycles_power = self.powers
        with np.errstate(over="ignore"):
            value = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
        if not np.all(np.isfinite(value[cost.valid])):
            raise SpecError([Problem(self.space.architecture.name, 0, 0, "the objective overflows; "
                                     "a search expects figures that can be added and multiplied")])
        return np.where(cost.valid & self.cap.admits(cost.energy_pj, cost.cycles), value, inf)

    def best_of(self, keep: Keep, orders: Orders, factors: np.ndarray) -> Found | None:
        """The best of the factor arrays that fit; the first of equals."""
        values = self.values(keep, orders, factors)
        if not len(values) or not np.isfinite(values.min()):
            return None
        best = int(values.argmin())
        return Found(float(values[best]), keep, orders, factors[best])

    def best_order(self, found: Found, options: list[list[tuple[str, ...]]]) -> Found:
        """The same factors under the best loop orders: of all combinations where they are few, else
        of one level at a time."""
        options = [self._likely(found, level, self._distinct(found.factors, level, orders))
                   for level, orders in enumerate(options)]
        if prod(map(len, options)) <= _ALL_COMBINATIONS:
            return self._best_of_orders(found, list(product(*options)))
        while True:
            better = found
            for i, level in enumerate(options):
                better = self._best_of_orders(better, [
                    (*better.orders[:i], order, *better.orders[i + 1:]) for order in level])
            if better.value >= found.value:
                return found
            found = better

    def _distinct(self, factors: np.ndarray, level: int,
                  orders: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Those of the orders of `level` that differ in loops with more than one iteration."""
        iterating = {rank for rank, factor in zip(self.space.einsum.ranks, factors[slot(level, "temporal")],
                                                  strict=True) if factor > 1}
        return list({tuple(r for r in order if r in iterating): order for order in reversed(orders)}.values())

    def _best_of_orders(self, found: Found, choices: list[Orders]) -> Found:
        values = self._under_orders(found, choices)
        best = int(values.argmin())
        better = Found(float(values[best]), found.keep, choices[best], found.factors)
        return better if better.value < found.value else found

    def _under_orders(self, found: Found, choices: list[Orders]) -> np.ndarray:
        """The objective of the same factors under each of the orders; shape (orders,)."""
        if self._model is not None:
            return np.array([self.values(found.keep, orders, found.factors[None])[0] for orders in choices])
        self.evaluated += len(choices)
        evaluate = OrderEvaluator(
            self.space.architecture, self.space.einsum,
            [self.space.template(found.keep, orders) for orders in choices], found.factors)
        return np.where(self.space.allowed(found.factors[None]), self._objective(evaluate.costs), inf)

    def _likely(self, found: Found, level: int, orders: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """All of the orders of `level`; where it takes long to say what zeros leave, those that are best in a
        dense run with the other levels as they are."""
        if self._model is None or len(orders) <= _LIKELY:
            return orders
        energy_power, cycles_power = self.powers
        values = []
        for order in orders:
            run = self._dense_run(found.keep, (*found.orders[:level], order, *found.orders[level + 1:]))
            cost = run(found.factors[None])
            values.append(float(cost.energy_pj[0]) ** energy_power * float(cost.cycles[0]) ** cycles_power)
        return [orders[i] for i in np.argsort(values, kind="stable")[:_LIKELY]]

    def _dense_run(self, keep: Keep, orders: Orders) -> BatchEvaluator:
        if (keep, orders) not in self._dense_runs:
            self._dense_runs[keep, orders] = _DenseRun(
                self._without_zeros, self.space.einsum, self.space.template(keep, orders))
        return self._dense_runs[keep, orders]

    # ---- rounding ----------------------------------------------------------------------------

    def round(self, keep: Keep, orders: Orders, point: np.ndarray) -> Found | None:
        """The best whole factors near `point` (logarithms, shape (slots, ranks)); None where that would take
        long lists of splits."""
        ranks = self.space.einsum.ranks
        if max(self.space.counts.values()) > _LISTED:
            return None
        ways = [self.space.ways[r] for r in ranks]
        near = [w[np.argsort(((np.log(w) - point[:, i]) ** 2).sum(axis=1), kind="stable")]
                for i, w in enumerate(ways)]
        width = [1] * len(ranks)
        while True:        # widen the choice of the rank with the fewest taken, while there is room
            loose = [i for i, w in enumerate(near) if width[i] < len(w)]
            if not loose:
                break
            i = min(loose, key=lambda i: (width[i], i))
            if np.prod(width, dtype=float) / width[i] * (width[i] + 1) > _CANDIDATES:
                break
            width[i] += 1
        grid = np.indices(width).reshape(len(width), -1)
        return self.best_of(keep, orders, np.stack([w[g] for w, g in zip(near, grid, strict=True)], axis=2))

    def start(self, keep: Keep) -> Found | None:
        """A mapping with small inner tiles; None if nothing fits with this `keep`."""
        def fits(factors: np.ndarray) -> bool:
            return bool(np.isfinite(self.values(keep, self._first_orders, factors[None])[0]))

        outermost = np.ones((3 * self.space.depth, len(self.space.einsum.ranks)), dtype=np.int64)
        outermost[slot(0, "temporal")] = self.space.einsum.extents
        if fits(outermost):         # no tiles are smaller
            return self.best_of(keep, self._first_orders, outermost[None])
        factors = first_fit(self.space, keep, fits) if self._model else first_fit(self.space, keep)
        return None if factors is None else self.best_of(keep, self._first_orders, factors[None])

    @property
    def _first_orders(self) -> Orders:
        return tuple(orders[0] for orders in self.space.orders)

    def draw(self, keep: Keep, rng: np.random.Generator) -> Found | None:
        """The best of some factors drawn at random, under the first loop order."""
        drawn = (self._parallel(rng) if self.cap.most_cycles < inf and self._model is None else
                 self.space.drawn(rng, _CANDIDATES))
        return self.best_of(keep, self._first_orders, drawn)

    def _parallel(self, rng: np.random.Generator) -> np.ndarray:
        """Of splits drawn for each rank the first that fill arrays well enough to be as fast as asked."""
        levels = range(self.space.depth)
        spatial = [slot(i, kind) for i in levels for kind in ("x", "y")]
        fanouts = np.array([n for i in levels for n in self.space.architecture.fanout(i)])
        workers = self.space.einsum.macs / self.cap.most_cycles
        found = [self.space.drawn(rng, 0)]
        for _ in range(_DRAWS):
            drawn = self.space.drawn(rng, _DRAWN)
            spread = drawn[:, spatial].prod(axis=2)
            found.append(drawn[(spread <= fanouts).all(axis=1) & (spread.prod(axis=1) >= workers)])
            if sum(map(len, found)) >= _CANDIDATES:
                break
        return np.concatenate(found)[:_CANDIDATES]

    # ---- local improvement -------------------------------------------------------------------

    def _single_moves(self) -> np.ndarray:
        """Every move of one prime factor between two slots: rows (rank, from, to, prime)."""
        moves = []
        for i, rank in enumerate(self.space.einsum.ranks):
            primes = sorted(set(prime_factors(self.space.einsum.extent[rank])))
            slots = self.space.slots[rank]
            moves += [(i, a, b, p) for p in primes for a, b in product(slots, slots) if a != b]
        return np.array(moves, dtype=np.int64).reshape(-1, 4)

    def climb(self, found: Found, options: list[list[tuple[str, ...]]], rounds: int = 40) -> Found:
        """Move prime factors, one or two at a time, and change the orders, while that helps."""
        return self._ascend(found, options, self._neighbours, rounds, self.stopped)

    def rise(self, found: Found, options: list[list[tuple[str, ...]]]) -> Found:
        """The same with one factor at a time: from far off, much better so soon that nothing stops it."""
        return self._ascend(found, options, self._one_move_away, _STEPS, never)

    def _ascend(self, found: Found, options: list[list[tuple[str, ...]]],
                near: Callable[[np.ndarray], np.ndarray], rounds: int, stopped: Callable[[], bool]) -> Found:
        """Go to the best of what is `near`, or change the orders where that is no better, while it helps."""
        for _ in range(rounds):
            if stopped():
                return found
            better = self.best_of(found.keep, found.orders, near(found.factors))
            if better is not None and better.value < found.value:
                found = better
                continue
            reordered = self.best_order(found, options)
            if reordered.value >= found.value:
                return found
            found = reordered
        return found

    def _able(self, factors: np.ndarray) -> np.ndarray:
        """The moves of factors that are there."""
        rank, source, _target, prime = self._moves.T
        return self._moves[factors[source, rank] % prime == 0]

    def _one_move_away(self, factors: np.ndarray) -> np.ndarray:
        moves = self._able(factors)
        single = np.repeat(factors[None], len(moves), axis=0)
        _apply(single, moves)
        return single

    def _neighbours(self, factors: np.ndarray) -> np.ndarray:
        """All factor arrays one move away, and two moves of different ranks away."""
        moves = self._able(factors)
        first, second = np.triu_indices(len(moves), 1)
        apart = moves[first, 0] != moves[second, 0]
        first, second = first[apart], second[apart]
        single = self._one_move_away(factors)
        double = np.repeat(factors[None], len(first), axis=0)
        _apply(double, moves[first])
        _apply(double, moves[second])
        return np.concatenate([single, double])


def _apply(factors: np.ndarray, moves: np.ndarray) -> None:
    """Apply one move to each factor array, in place."""
    every = np.arange(len(moves))
    rank, source, target, prime = moves.T
    factors[every, source, rank] //= prime
    factors[every, target, rank] *= prime
