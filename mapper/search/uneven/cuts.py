"""The proof of an uneven search: chains of cuts for every choice of what levels keep, best first.

The tiles of one level share its room. A chain whose tiles do not fit is split in two: one of the tensors has
a smaller tile, or one as large, which leaves less to the others.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Callable, Collection, Iterator, NamedTuple, Sequence

from ...bounds.chains.cuts import Cuts
from ...bounds.programs.bound import ROUNDING
from ...mapping.template import Keep
from ..limits import never
from ..space import Mapspace
from .cut_bounds import CutBounds

Place = tuple[int, str]
#: Chains that are worse than the best by this share of its value, or more, need not be told apart.
_TIES = 16 * ROUNDING


@dataclass(frozen=True)
class Rooms:
    """Most and least words of the tile of a tensor at a level."""

    most: dict[Place, float]
    least: dict[Place, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Leaf:
    """The best chain with one choice of what levels keep, or some that are as good; no mapping of any other
    chain that has not been looked at is below its `value`."""

    value: float
    keep: Keep
    cuts: list[Cuts]


class Entry(NamedTuple):
    """The value of chains, or a bound of such as were not looked at. Of equal ones the others come first,
    and of these the last, whose tiles soon fit."""

    value: float
    unknown: bool
    number: int
    keep: Keep
    rooms: Rooms
    cuts: list[Cuts]


class CutSearch:
    """Goes through all chains of cuts, the least objective first.

    `bound` is what is proven of all uneven mappings so far, `relaxed` what is without regard to the room that
    tensors share; `chains` were looked at, at most `most`. Choices of what levels keep that are known to have
    none may be left out (`without`). Looked at are all `keeps` (default: all there are).
    """

    def __init__(self, space: Mapspace, by: CutBounds, most: int, without: Collection[Keep] = (),
                 keeps: Sequence[Keep] | None = None) -> None:
        self.by, self.most = by, most
        self.architecture, self.einsum = space.architecture, space.einsum
        self.chains = self.classes = 0
        self.relaxed: float | None = None
        self.ended: dict[Keep, float] = {}      # values of the best chains that fit
        self._count = count()
        self.heap: list[Entry] = []
        self._every: list[Keep] = []
        self._opened: set[Keep] = set()         # of which chains came first, and of which any was looked at
        self._looked_at: set[Keep] = set()
        for keep in space.keeps if keeps is None else keeps:
            if keep in without:
                self.chains += 1        # those who repeat this do not know
                continue
            self._every.append(keep)
            rooms = Rooms(self._rooms(keep))
            self._push(by.floor(keep, rooms.most), keep, rooms, [])
            self.classes += 1

    @property
    def bound(self) -> float:
        """No uneven mapping lies below."""
        return min([*self.ended.values(), self.heap[0].value if self.heap else inf])

    @property
    def bounds(self) -> dict[Keep, float]:
        """By what levels keep, what is proven of mappings that do; inf where none fits."""
        found = dict.fromkeys(self._every, inf) | self.ended
        for x in self.heap:
            found[x.keep] = min(found[x.keep], x.value)
        return found

    def pruned(self, value: float) -> set[Keep]:
        """The choices of what levels keep no chain of which was looked at, since all are above `value`."""
        return {x.keep for x in self.heap if x.value >= value * (1.0 - ROUNDING)} - self._looked_at

    def ruled_out(self, value: float) -> frozenset[Keep]:
        """The choices of what levels keep all chains of which are above a value, whatever room there is: that
        is seen again, chain by chain, where the value is a limit."""
        near = {x.keep for x in self.heap if x.value <= value * (1.0 + 8 * ROUNDING)}
        return frozenset(self._every) - self._opened - near

    def _rooms(self, keep: Keep) -> dict[Place, float]:
        found = {}
        for i, level in enumerate(self.architecture.levels):
            if level.capacity_words is not None:
                found.update({(i, name): float(level.capacity_words) for name in keep[i]})
        return found

    def _push(self, value: float, keep: Keep, rooms: Rooms, cuts: list[Cuts]) -> None:
        if value < inf:
            heapq.heappush(self.heap, Entry(value, not cuts, -next(self._count), keep, rooms, cuts))

    def leaves(self, best: list[float], stopped: Callable[[], bool] = never) -> Iterator[Leaf]:
        """The chains that fit, as they are found, while any may be below `best`, which has one number and
        may change."""
        while (self.heap and self.heap[0].value < best[0] * (1.0 - ROUNDING) and self.chains < self.most
               and not stopped()):
            value, _, _, keep, rooms, cuts = heapq.heappop(self.heap)
            if not cuts:
                self._solve(value, keep, rooms, best[0])
                continue
            if self.relaxed is None:
                self.relaxed = value
            self._opened.add(keep)
            parts = self._split(rooms, cuts)
            if parts is None:
                self.ended[keep] = min(value, self.ended.get(keep, inf))
                yield Leaf(value, keep, cuts)
                continue
            for part in reversed(parts):
                self._solve(value, keep, part, best[0])

    def beyond(self, most: float, chains: int) -> Iterator[Leaf]:
        """The best chains of other choices of what levels keep than those that were found, as far as so many
        chains go, and below `most`."""
        self.most = self.chains + chains
        while True:
            self.heap = [x for x in self.heap if x.keep not in self.ended]
            heapq.heapify(self.heap)
            leaf = next(self.leaves([most]), None)
            if leaf is None:
                return
            yield leaf

    def _solve(self, least: float, keep: Keep, rooms: Rooms, best: float) -> None:
        self.chains += 1
        self._looked_at.add(keep)
        value, cuts = self.by.solve(keep, rooms.most, best * (1.0 + _TIES))
        self._push(max(least, value), keep, rooms, cuts)

    def words(self, cuts: Cuts) -> dict[Place, int]:
        """Words of each tile."""
        return {(i, name): self.einsum.tile_words(self.einsum.tensor(name), tile)
                for (i, name), tile in cuts.tiles.items()}

    def _split(self, rooms: Rooms, cuts: list[Cuts]) -> list[Rooms] | None:
        """The two parts of chains one of which needs more room than there is; None where all fit."""
        return next((parts for own in cuts if (parts := self._parts(rooms, self.words(own)))), None)

    def _parts(self, rooms: Rooms, words: dict[Place, int]) -> list[Rooms] | None:
        for i, level in enumerate(self.architecture.levels):
            own = {place: n for place, n in words.items() if place[0] == i}
            have = level.capacity_words
            if have is None or sum(own.values()) <= have:
                continue
            largest = max(own, key=lambda place: (own[place], place))
            smaller = Rooms({**rooms.most, largest: own[largest] - 1.0}, rooms.least)
            least = {**rooms.least, largest: float(own[largest])}
            left = have - sum(least.get(place, 1.0) for place in own)
            most = {**rooms.most, **{place: min(rooms.most[place], left + least.get(place, 1.0))
                                     for place in own if place != largest}}
            return [smaller, Rooms(most, least)]
        return None
