"""The least that words and computes cost while it is open which levels keep which tensors."""

from __future__ import annotations

from functools import cache
from itertools import chain, combinations, product
from typing import Callable, Iterator

from ...mapping.template import Keep
from ..prices import Prices
from ..region import Region

#: Levels that keep a tensor, and levels that may.
_Levels = tuple[tuple[int, ...], tuple[int, ...]]


class OpenPrices:
    """`Prices` at the keep/bypass choice of a region that is cheapest, taken for every price anew.

    What a word of a tensor costs depends on the levels that keep this tensor, what a compute costs on
    the innermost ones that keep each operand.
    """

    def __init__(self, prices: Prices) -> None:
        self.prices = prices
        self.einsum = prices.einsum
        self.depth = len(prices.levels)
        self._words = cache(self._least_word)

    def word(self, region: Region, level: int, tensor: str, action: str) -> float:
        """pJ for a word of `tensor` that a dense run reads, fills or updates at a level that keeps it,
        or may."""
        if not self._matters(region):
            return self.prices.word(region.keep, level, tensor, action)
        return self._words(region.levels(tensor), level, tensor, action)

    def moved(self, region: Region, level: int, tensor: str) -> float:
        """Share of the words a dense run moves between a level and what is below it that surely move."""
        if not self._matters(region):
            return self.prices.moved(region.keep, level, tensor)
        return self._words(region.levels(tensor), level, tensor, "")

    def held(self, level: int, tensor: str) -> float:
        """Share of the words of a tile that surely take room."""
        return self.prices.held(level, tensor)

    @property
    def awake(self) -> float:
        """Share of the instances with work in a dense run that surely are awake."""
        return self.prices.awake

    @property
    def effectual(self) -> float:
        """Share of the computes none of whose operands is zero."""
        return self.prices.effectual

    def busy(self, region: Region) -> float:
        """Share of the computes that surely take a cycle."""
        return self._over_operands(region, self.prices.busy)

    def computes(self, region: Region) -> float:
        """pJ for all computes."""
        return self._over_operands(region, self.prices.computes)

    def rounded_away(self, region: Region) -> float:
        """pJ that rounding down what is left can take off, at the most."""
        if not self._matters(region):
            return self.prices.rounded_away(region.keep)
        outputs = [t.name for t in self.einsum.tensors if t.is_output]
        return sum(max(self.prices.rounded_away(self._keep({name: levels}))
                       for levels in _subsets(region.levels(name))) for name in outputs)

    def _matters(self, region: Region) -> bool:
        return bool(region.open) and self.prices.sparse

    def _least_word(self, levels: _Levels, level: int, tensor: str, action: str) -> float:
        keeps = (self._keep({tensor: kept}) for kept in _subsets(levels) if level in kept)
        return min(self.prices.word(keep, level, tensor, action) if action else
                   self.prices.moved(keep, level, tensor) for keep in keeps)

    def _over_operands(self, region: Region, price: Callable[[Keep], float]) -> float:
        """The least price over all choices of the innermost level that keeps each operand."""
        if not self._matters(region):
            return price(region.keep)
        names = [t.name for t in self.einsum.tensors if not t.is_output]
        ends = []
        for name in names:
            kept, loose = region.levels(name)
            last = max(kept, default=-1)
            ends.append([(*kept, i) for i in (last, *loose) if i >= max(last, 0)])
        return min(price(self._keep(dict(zip(names, choice, strict=True)))) for choice in product(*ends))

    def _keep(self, levels: dict[str, tuple[int, ...]]) -> Keep:
        return tuple(frozenset(name for name, kept in levels.items() if i in kept)
                     for i in range(self.depth))


def _subsets(levels: _Levels) -> Iterator[tuple[int, ...]]:
    """Every choice of the levels that keep a tensor."""
    kept, loose = levels
    more = chain.from_iterable(combinations(loose, n) for n in range(len(loose) + 1))
    return (tuple(sorted((*kept, *own))) for own in more)
