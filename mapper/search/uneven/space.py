"""How many uneven mappings there are: of a choice of what levels keep, the orders in which tensors may be
cut, times the splits over a level for each block, times the loop orders of these."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import chain
from math import factorial, prod

import numpy as np

from ...hardware.parts import arranged, passes_freely
from ...mapping.template import Keep
from ..space import Mapspace
from ..why.waterfall import DRAWN, fitting
from .arranged import asked_of_parts

#: Choices of what levels keep that are all counted.
_MOST = 4096
#: Of so many orders of cuts as many mappings are drawn.
_ORDERS = 16

#: A level, and the tensors that one of its blocks keeps.
Block = tuple[int, frozenset[str]]


class UnevenSpace:
    """Counts the uneven mappings of a mapspace: those of each choice of what levels keep are as many as of
    one `order` of cuts, times the number of `orders`."""

    def __init__(self, space: Mapspace) -> None:
        self.space, self.architecture = space, space.architecture
        #: Whether they are counted: not with remainders, nor where levels may keep very many things.
        self.counted = space.choices.count <= _MOST and not space.imperfect
        self.opened = cache(self._opened)

    @property
    def size(self) -> float:
        """How many there are; where they are not counted, those that are cut level by level."""
        return sum(map(self.size_of, self.space.keeps)) if self.counted else self.space.size

    def size_of(self, keep: Keep) -> float:
        """How many of them keep that."""
        own = self.opened(tuple(i for i, _ in self._blocks(keep)))
        return self._orders(keep) * prod(map(float, own.counts.values())) * own.order_count

    def fitting_share(self) -> tuple[float, str]:
        """The share that fits, from mappings drawn at random (see `waterfall.fitting_share`)."""
        rng = np.random.default_rng(0)
        sizes = np.array([self.size_of(keep) for keep in self.space.keeps])
        hits = 0
        for k in rng.choice(len(sizes), _ORDERS, p=sizes / sizes.sum()):
            blocks = self._drawn(self.space.keeps[k], rng)
            own = self.opened(tuple(i for i, _ in blocks))
            factors = own.drawn(rng, DRAWN // _ORDERS)
            kept = [dict.fromkeys(names, np.ones(len(factors))) for _, names in blocks]
            hits += int(fitting(own, factors, kept).sum())
        return (hits / DRAWN, "about") if hits else (3.0 / DRAWN, "at most")

    def _opened(self, levels: tuple[int, ...]) -> Mapspace:
        """The mappings cut in this order of levels."""
        order = [self.architecture.levels[i].name for i in levels]
        machine = arranged(self.architecture, order)
        asked = asked_of_parts(self.architecture, machine, order, self.space.rules.constraints)
        return Mapspace(machine, self.space.einsum, asked)

    def _blocks(self, keep: Keep) -> list[Block]:
        """A block for each tensor that is cut at a level, and one of each level that keeps nothing."""
        return [(i, own) for i, names in enumerate(keep) for own in (
            [names] if not i or not names else [frozenset({name}) for name in sorted(names)])]

    def _orders(self, keep: Keep) -> int:
        """In how many orders tensors may be cut."""
        found = 1
        for zone in self.architecture.zones:
            own = [[name for name in keep[i] if i] for i in zone]
            if passes_freely(self.architecture, zone):      # in any, a tensor at one level after another
                tied = Counter(chain(*own)).values()
                found *= factorial(sum(tied)) // prod(map(factorial, tied))
            else:
                found *= prod(factorial(len(names)) for names in own)
        return found

    def _drawn(self, keep: Keep, rng: np.random.Generator) -> list[Block]:
        """One of these orders, all equally likely."""
        found: list[Block] = []
        for zone in self.architecture.zones:
            own = [block for block in self._blocks(keep) if block[0] in zone]
            cut = [own[k] for k in rng.permutation(len(own)) if own[k][0] and own[k][1]]
            levels = {names: iter(sorted(i for i, other in cut if other == names)) for _, names in cut}
            cut = ([(next(levels[names]), names) for _, names in cut]
                   if passes_freely(self.architecture, zone) else sorted(cut, key=lambda block: block[0]))
            rest = [block for block in own if block not in cut]
            found += [*rest, *cut] if not zone[0] else [*cut, *rest]
        return found
