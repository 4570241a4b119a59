"""What a bound over numbers of tiles leaves: nests with known loops around the array, costed one after
another until what is proven of the next is no better than the best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import compress, permutations, product
from math import inf
from typing import Callable

import numpy as np

from ..bounds.programs.bound import ROUNDING
from ..bounds.tiles.bound import Left, TileBound
from ..bounds.tiles.last import Ways, least, nests
from ..bounds.tiles.tiles import Tiles
from ..mapping.template import slot
from ..model.imperfect_batch import is_exact
from ..model.network import counts_hops
from .local import Explorer, Found, Orders

#: Pairs of which the nests are looked at; mappings that are costed, many at a time or one by one.
_PAIRS, _MAPPINGS, _WALKS = 20_000, 200_000, 200
_NESTS = 20_000
#: Pairs that are looked at first, and four times as many each time.
_SOON = 100
#: Nests costed together, where many mappings are at a time.
_TOGETHER = 1000
#: Orders of loops that are tried for one nest.
_ORDERS = 36


@dataclass(frozen=True)
class _Nest:
    """Mappings that differ in the order of loops alone, of which no less than `value` is proven: factors,
    shape (slots, ranks), and the ranks whose loops are innermost, by level."""

    value: float
    factors: np.ndarray
    innermost: tuple[int | None, ...]


class Leftover:
    """Of the mappings of one layer those that bounds over numbers of tiles do not rule out."""

    def __init__(self, explorer: Explorer, tiles: Tiles) -> None:
        self.explorer, self.space, self.tiles = explorer, explorer.space, tiles
        self.fast = is_exact(self.space.architecture, self.space.einsum, self.space.rules.no_multicast)
        self._limit, self._done = _MAPPINGS if self.fast else _WALKS, 0

    @cached_property
    def _ways(self) -> list[Ways]:
        return [Ways(self.tiles, i, self.space.ways[rank]) for i, rank in enumerate(self.tiles.ranks)]

    def least(self, bound: TileBound, cutoff: float,
              offer: Callable[[Found], None] = lambda found: None) -> float:
        """What is proven of all mappings of a keep/bypass choice, at most `cutoff`; all that are costed are
        offered."""
        hops = any(counts_hops(self.tiles.arch, i) for i in range(self.tiles.depth))
        if hops or (self.tiles.inside is not None and not bound.held):      # there is more to a mapping
            return 0.0
        proven, pairs = bound.left(cutoff, _PAIRS)
        self._done, count = 0, _SOON
        while pairs and pairs[0].value < proven * (1.0 - ROUNDING):
            some, pairs, count = pairs[:count], pairs[count:], 4 * count
            bound.cutoff = proven
            proven = min(proven, self._costed(bound, some, proven, offer))
            if self._done > self._limit:
                break
        return min([proven, *(pair.value for pair in pairs[:1])])

    def _costed(self, bound: TileBound, pairs: list[Left], proven: float,
                offer: Callable[[Found], None]) -> float:
        """What is proven of some pairs, at most what is `proven` before."""
        most, waiting = self._nests(bound, pairs)
        proven = min(proven, most)
        together = _TOGETHER if self.fast else 1
        near = [nest for nest in waiting if nest.value < proven * (1.0 - ROUNDING)]
        if not self.fast and self._done + sum(len(self._orders(nest)) for nest in near) > self._limit:
            self._done = self._limit        # to walk through some of them would prove next to nothing
        while waiting and waiting[0].value < proven * (1.0 - ROUNDING):
            some, waiting = waiting[:together], waiting[together:]
            orders = [self._orders(nest) for nest in some]
            self._done += sum(map(len, orders))
            if self._done > self._limit or any(len(own) > _ORDERS for own in orders):
                return some[0].value
            found = self._cost(bound, some, orders, offer)
            if self.explorer.stopped():     # what was not costed any more proves nothing
                return some[0].value
            proven = min(proven, found)
        return min([proven, *(nest.value for nest in waiting[:1])])

    def _nests(self, bound: TileBound, pairs: list[Left]) -> tuple[float, list[_Nest]]:
        """The nests of the pairs, the least first; and what is proven of those that are too many."""
        found = [(values, own, (j, i) if self.tiles.middle else (i,))
                 for i, every in nests(bound, self._ways, pairs) for j, own, values in least(bound, every, i)]
        every = np.sort(np.concatenate([values for values, _, _ in found] or [np.zeros(0)]))
        most = float(every[_NESTS]) if len(every) > _NESTS else inf
        kept = list[_Nest]()
        for values, own, innermost in found:
            near = np.flatnonzero(values < most)
            kept += [_Nest(float(value), factors, innermost) for value, factors in zip(
                values[near], own.at(near).factors(), strict=True)]
        return most, sorted(kept, key=lambda nest: nest.value)

    def _orders(self, nest: _Nest) -> list[Orders]:
        """All orders of the loops that iterate around the array, with the `innermost` as they are."""
        ranks = self.space.einsum.ranks
        options = list[list[tuple[str, ...]]]()
        for level in range(self.space.depth):
            last = nest.innermost[level] if level < len(nest.innermost) else None
            inner = () if last is None else (self.tiles.ranks[last],)
            iterates = nest.factors[slot(level, "temporal")] > 1
            loops = [rank for rank in compress(ranks, iterates) if rank not in inner]
            idle = tuple(rank for rank in ranks if rank not in loops and rank not in inner)
            around = permutations(loops) if level < len(nest.innermost) else [tuple(loops)]
            options.append([(*idle, *order, *inner) for order in around])
        return list(product(*options))

    def _cost(self, bound: TileBound, some: list[_Nest], orders: list[list[Orders]],
              offer: Callable[[Found], None]) -> float:
        """The least that mappings of these nests cost; of nests that constraints rule out, and may admit in
        other ways to spread over the array, what is proven of them."""
        proven, groups = inf, dict[Orders, list[_Nest]]()
        for nest, own in zip(some, orders, strict=True):
            if not self.space.allowed(nest.factors[None])[0]:
                proven = min(proven, nest.value)
            for order in own:
                groups.setdefault(order, []).append(nest)
        for order, alike in groups.items():
            factors = np.stack([nest.factors for nest in alike])
            values = self.explorer.values(bound.keep, order, factors)
            best = int(values.argmin())
            if values[best] < inf:
                proven = min(proven, float(values[best]))
                offer(Found(float(values[best]), bound.keep, order, factors[best]))
        return proven
