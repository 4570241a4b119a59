"""The best loops in time where tensors are cut anywhere: the dynamic programme of `tower.steps` over what is
cut already.

An *item* is a tensor at a level that keeps it, other than the outermost. Levels without an array between them
stand side by side, and between two of their items there may be loops of any kind. So what is known of the
levels of a zone is known for every set of their items that may have been cut so far.
"""

from __future__ import annotations

from math import inf
from typing import Mapping

import numpy as np

from ...hardware.parts import passes_freely
from .flow import Flows
from .steps import Held, Moves, Pay, State, Steps, before
from .trace import Walk

#: Most words of the tile of a tensor at a level.
Room = Mapping[tuple[int, str], float]
#: A level, and a tensor that it keeps.
Item = tuple[int, str]
Values = dict[State, np.ndarray]


class CutSteps(Steps):
    """The programme for a batch of shapes. A zone goes by its outermost level, as if all of its loops were
    there: none of its levels has an array around it. What `tiles` needs to know is noted where asked for."""

    def __init__(self, flows: Flows, pay: Pay, room: Room, note: bool = False) -> None:
        super().__init__(flows, pay, note=note)
        self.room, self.zones = room, flows.l.arch.zones
        self._outermost = False
        #: By zone and the items that are cut there, the moves that follow, and the values after these.
        self._noted: dict[tuple[int, frozenset[Item]], tuple[Moves, Values]] = {}

    def least(self) -> np.ndarray:
        """The least cost of each shape, inf where nothing fits."""
        values = dict(self._units())
        for zone in reversed(self.zones):
            values = self._cut(zone, self._spread(zone[-1], values))
        return self._all(values)

    def further(self, level: int) -> bool:
        return not self._outermost

    def origins(self, level: int, name: str, child: int) -> list[int]:
        return self.f.parents(name, child)

    def _cut(self, zone: tuple[int, ...], inside: Values) -> Values:
        """With all items of a zone, and the loops around them."""
        items = [(i, name) for i in zone if i for name in sorted(self.f.keep[i])]
        before = self._before(zone, items)
        tables: dict[frozenset[Item], Values] = {frozenset(): inside}
        for _ in items:
            wider: dict[frozenset[Item], Values] = {}
            for done, values in tables.items():
                values = self._around(zone, done, values, False)
                for item in items:
                    if item not in done and before[item] <= done:
                        self._add(wider.setdefault(done | {item}, {}), item, values)
            tables = wider
        return self._around(zone, frozenset(items), tables.get(frozenset(items), {}), not zone[0])

    def _before(self, zone: tuple[int, ...], items: list[Item]) -> dict[Item, set[Item]]:
        """By item those that must be cut further in: the same tensor at inner levels, or all of these."""
        free = passes_freely(self.l.arch, zone)
        return {(i, name): {(j, other) for j, other in items if j > i and (other == name or not free)}
                for i, name in items}

    def _around(self, zone: tuple[int, ...], done: frozenset[Item], values: Values,
                outermost: bool) -> Values:
        """With loops around the items that are done."""
        self._outermost = outermost
        moves = self.moves(zone[0], values)
        found = self._ended(zone[0], moves)
        if self.note:
            self._noted[zone[0], done] = moves, found
        return found

    def _add(self, found: Values, item: Item, values: Values) -> None:
        """Cut one more item at tiles that have room."""
        fits = self._fits(item)
        for state, own in values.items():
            held = state.held | {Held(item[1], item[0])}
            other, own = State(held, state.due - {(item[1], item[0])}), np.where(fits, own, inf)
            found[other] = np.minimum(found[other], own) if other in found else own

    def _fits(self, item: Item) -> np.ndarray:
        return np.asarray(self.l.volumes[item[1]] <= self.room.get(item, inf))

    # ---- the way back ----------------------------------------------------------------------------

    def tiles(self) -> dict[Item, dict[str, int]]:
        """Where the items of the first shape are cut: extents inside, by rank."""
        state, point, found = self.end, len(self.l.points) - 1, dict[Item, dict[str, int]]()
        for zone in self.zones:
            done = frozenset((i, name) for i in zone if i for name in self.f.keep[i])
            state, point = self._back(zone[0], done, state, point)
            while done:
                item = self._last(zone[0], done, state, point)
                found[item] = self._extents(point)
                done, state = done - {item}, before(state, item)
                state, point = self._back(zone[0], done, state, point)
            point = int(self.t.inside(self.f.shapes.both[:1, zone[-1]])[0, point])
        return found

    def _back(self, zone: int, done: frozenset[Item], state: State, point: int) -> tuple[State, int]:
        """The state and the tile with which the loops around some items begin, of those with which they
        end."""
        return Walk(self, zone, self._noted[zone, done][0]).back(state, point)

    def _last(self, zone: int, done: frozenset[Item], state: State, point: int) -> Item:
        """Which of the items was cut last, at that tile."""
        values = {}
        for item in sorted(done):
            if Held(item[1], item[0]) not in state.held:
                continue
            own = self._noted.get((zone, done - {item}), ({}, {}))[1].get(before(state, item))
            if own is not None and self._fits(item)[point]:
                values[item] = float(own[0, point])
        return min(values, key=lambda item: values[item])

    def _extents(self, point: int) -> dict[str, int]:
        whole = dict.fromkeys(self.l.einsum.ranks, 1)
        return whole | dict(zip(self.l.ranks, self.l.points[point].tolist(), strict=True))
