"""The loop orders of a mapspace: which of them are tried, and which are the same."""

from __future__ import annotations

from functools import cached_property
from itertools import compress, permutations, product
from math import factorial, prod
from typing import Iterator, Sequence

import numpy as np

from ..bounds.region import TRIVIAL, Region
from ..mapping.template import slot
from .splits import Splits

#: Up to so many ranks that iterate and whose place is open, every loop order is tried.
_ALL_ORDERS = 4


class LoopOrders(Splits):
    """The orders of temporal loops at every level."""

    @cached_property
    def windows(self) -> frozenset[str]:
        """Ranks that share a tensor axis with another rank that iterates."""
        axes = [{t.rank for t in axis} & set(self.ranks)
                for tensor in self.einsum.tensors for axis in tensor.projection]
        return frozenset().union(*(a for a in axes if len(a) > 1))

    @cached_property
    def reused_by(self) -> dict[str, frozenset[str]]:
        """For each rank the tensors that do not move with it."""
        return {r: frozenset(t.name for t in self.einsum.tensors if r not in t.ranks) for r in self.ranks}

    def iterating(self, level: int) -> list[str]:
        """Ranks that may have a temporal loop at `level`."""
        return [r for r in self.ranks if slot(level, "temporal") in self.slots[r]]

    def _open_order(self, level: int) -> list[str]:
        """Those of them whose place in the loop order is open."""
        return [r for r in self.iterating(level) if self.rules.by_level[level].temporal.zone(r) == 0]

    @cached_property
    def orders(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """By level the loop orders that are tried, every rank of the Einsum outermost first.

        Only two things of an order matter: which tensors are stationary over the innermost loops,
        and, for a sliding window, which of its ranks moves first.
        """
        return tuple(self._orders(level) for level in range(self.depth))

    def _orders(self, level: int) -> tuple[tuple[str, ...], ...]:
        loose, zone = self._open_order(level), self.rules.by_level[level].temporal.zone
        if len(loose) <= _ALL_ORDERS:
            inner = {tuple(p) for p in permutations(loose)}
        else:
            inner = {tuple(self._order(first, then, loose)) for first in loose
                     for then in (self.windows & set(loose) or {first})}
        placed = sorted((r for r in self.iterating(level) if r not in loose), key=zone)
        first, last = [r for r in placed if zone(r) < 0], [r for r in placed if zone(r) > 0]
        idle = tuple(r for r in self.einsum.ranks if r not in self.iterating(level))
        return tuple(idle + tuple(reversed((*first, *order, *last))) for order in sorted(inner))

    def _order(self, first: str, then: str, loose: list[str]) -> list[str]:
        """Innermost first: `first`, the ranks that reuse the same tensors, `then`, all others."""
        group = [r for r in loose if self.reused_by[r] == self.reused_by[first]]
        return list(dict.fromkeys([first, *group, then, *loose]))

    @cached_property
    def orders_complete(self) -> bool:
        """Whether no order outside `orders` can be better than all of them: all are tried, or no
        window slides, no rank is reused by two tensors (then the order is the choice of the
        stationary tensor) and no pass of a loop is shorter."""
        return all(len(self._open_order(i)) <= _ALL_ORDERS for i in range(self.ordered)) or (
            not self.imperfect and not self.windows and self.ordered < self.depth
            and all(len(x) <= 1 for x in self.reused_by.values()))

    @property
    def ordered(self) -> int:
        """Levels whose loop order matters: not the innermost one, unless formats and savings ask which
        loop is which."""
        return self.depth - (not any(level.sparsity.active for level in self.architecture.levels))

    @property
    def order_count(self) -> float:
        """Loop orders of all levels together."""
        return prod(float(factorial(len(self._open_order(i)))) for i in range(self.ordered))

    def order_options(self, region: Region) -> list[list[tuple[str, ...]]]:
        """By level the loop orders that agree with `region`."""
        options = []
        for level, (inner, orders) in enumerate(zip(region.innermost, self.orders, strict=False)):
            if inner == TRIVIAL:
                orders = orders[:1]
            elif inner is not None:
                # Ranks that must run inside `inner` do not iterate: their order does not matter.
                inside = self.rules.inside(level, inner)
                agreeing = [o for o in orders if set(o[o.index(inner) + 1:]) <= inside]
                orders = tuple({tuple(r for r in o if r not in inside): o for o in agreeing}.values())
            options.append(list(orders))
        return [*options, list(self.orders[-1][:1 if self.ordered < self.depth else None])]

    def in_order(self, region: Region, factors: np.ndarray) -> Iterator[
            tuple[tuple[tuple[str, ...], ...], np.ndarray]]:
        """The combinations of loop orders of `region`, each with those of the `factors` for which it is not
        one of the others: loops of one iteration count for nothing."""
        options = self.order_options(region)
        firsts = [self._firsts(level, orders, factors) for level, orders in enumerate(options)]
        for chosen in product(*(range(len(orders)) for orders in options)):
            own = np.logical_and.reduce([first[i] for first, i in zip(firsts, chosen, strict=True)])
            if own.any():
                yield tuple(orders[i] for orders, i in zip(options, chosen, strict=True)), factors[own]

    def _firsts(self, level: int, orders: Sequence[tuple[str, ...]], factors: np.ndarray) -> np.ndarray:
        """Where each of the `orders` of `level` is the first of its equals; shape (orders, mappings)."""
        iterates = factors[:, slot(level, "temporal")] > 1
        bits = 1 << np.arange(len(self.einsum.ranks))
        codes = iterates @ bits
        table = np.zeros((len(orders), 2 * int(bits[-1])), dtype=bool)
        for code in np.flatnonzero(np.bincount(codes)):
            own = set(compress(self.einsum.ranks, code & bits))
            loops = [tuple(rank for rank in order if rank in own) for order in orders]
            table[[loops.index(x) for x in dict.fromkeys(loops)], code] = True
        return table[:, codes]
