"""The best loops in time around the tiles of given shapes: dynamic programming, the innermost level first.

A *state* names the streams that are still in place: none of the loops so far moves their tensor. For every
state and tile b the least cost is known of all other streams, and of everything inside, when the loops so far
make b. Of the loops of a level, those that leave all streams of the state in place come first, all of them;
then a tensor is moved, so that its streams are paid for, and so on. Windows slide along loops that move them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple, Protocol

import numpy as np

from ..workload.einsum import Tensor
from .lattice_windows import Reach
from .tower_flow import Cells, Flow, Flows, part


class Held(NamedTuple):
    """A stream (tensor and level) that is in place; or, with a `slider` and no level, a tensor that slides
    along this rank, which loops further out may go on with: until then none of another axis moves it."""

    tensor: str
    level: int
    slider: str = ""


State = frozenset[Held]
#: A tensor, the level that it is brought to, and the one with the first loops that move it.
Stream = tuple[Tensor, int, int]


#: Tiles inside and outside of a loop that a window slides along, of one shape, and the values after it.
Slid = tuple[np.ndarray, np.ndarray, np.ndarray]


class Pay(Protocol):
    """What streams cost."""

    def fixed(self) -> np.ndarray:
        """What does not depend on tiles in time, (shapes,)."""
        ...

    def whole(self, tensor: Tensor, child: int, level: int) -> np.ndarray:
        """A stream that brings in whole tiles, (shapes, points)."""
        ...

    def of(self, flow: Flow, words: np.ndarray, cells: Cells) -> np.ndarray:
        """So many words of a stream that enter at some cells."""
        ...


@dataclass(frozen=True)
class Move:
    """How a state at a level came about: from another one, where loops of the ranks `then` follow upon the
    values; None where the level begins. `rank`: whose loop is first, along which a window slides, and `slid`
    by how far."""

    level: int
    state: State
    before: State | None
    then: frozenset[str]
    values: np.ndarray
    rank: str = ""
    slid: list[Slid] = field(default_factory=list)


class Steps:
    """The dynamic programme for a batch of shapes, from what is paid at the units outwards. `moves` are noted
    where that is asked for."""

    def __init__(self, flows: Flows, pay: Pay, note: bool = False) -> None:
        self.f, self.t, self.l, self.pay, self.fixed = flows, flows.t, flows.l, pay, pay.fixed()
        self.moves: list[Move] | None = [] if note else None
        self._known_free: dict[State, frozenset[str]] = {}
        self.size = (len(self.fixed), *self.l.shape)

    def least(self) -> np.ndarray:
        """The least cost of each shape, inf where nothing fits."""
        first = np.full((len(self.fixed), len(self.l.points)), inf)
        first[:, 0] = self.fixed
        values: dict[State, np.ndarray] = {frozenset(): first}
        for level in reversed(range(self.f.depth)):
            values = self._loops(level, self._spread(level, values))
            if level:
                values = self._kept(level, values)
        return values[frozenset()][:, -1] if frozenset() in values else np.full(len(self.fixed), inf)

    def _spread(self, level: int, values: dict[State, np.ndarray]) -> dict[State, np.ndarray]:
        """With the array below `level` around the tiles."""
        if not (self.f.shapes.spread[:, level] > 1).any():
            return values
        around = self.t.inside(self.f.shapes.both[:, level])
        return {state: np.where(around < 0, inf, np.take_along_axis(own, np.maximum(around, 0), axis=1))
                for state, own in values.items()}

    def _kept(self, level: int, values: dict[State, np.ndarray]) -> dict[State, np.ndarray]:
        """With the streams that `level` keeps, where its tiles fit."""
        fits, new = self.t.fits(level, self.f.keep[level]), [Held(name, level) for name in self.f.keep[level]]
        return {state.union(new): np.where(fits, own, inf) for state, own in values.items()}

    # ---- the loops of one level ------------------------------------------------------------------

    def further(self, level: int) -> bool:
        """Whether there may be loops outside those of a level."""
        return level > 0

    def _loops(self, level: int, values: dict[State, np.ndarray]) -> dict[State, np.ndarray]:
        """The states outside the loops of a level."""
        found: dict[State, np.ndarray] = {}
        for state, own in values.items():
            self._enter(found, Move(level, state, None, self._free(state), own))
        for count in reversed(range(1, len(self.l.einsum.tensors) + 1)):
            for state in [s for s in found if len(_moved(s)) == count]:
                for name in sorted(_moved(state)):
                    self._move(level, found, state, name)
        least, ended = self.t.least_iterations(level), dict[State, np.ndarray]()
        for state, own in found.items():
            idle = [rank not in self._free(state) for rank in self.l.ranks]
            if (least[idle] <= 1).all():
                _merge(ended, frozenset(held for held in state if held.level), own)
        return ended

    def _free(self, state: State) -> frozenset[str]:
        """The ranks whose loops leave everything in place."""
        if state not in self._known_free:
            self._known_free[state] = self.f.everything.difference(*(self._moving(held) for held in state))
        return self._known_free[state]

    def _moving(self, held: Held) -> frozenset[str]:
        ranks = self.f.ranks[held.tensor]
        return ranks if held.level else ranks - {
            t.rank for t in self.l.windows.axes[held.tensor][held.slider]}

    def _move(self, level: int, found: dict[State, np.ndarray], state: State, name: str) -> None:
        """Let the next loop be one that moves a tensor."""
        tensor, own = self.l.einsum.tensor(name), found[state]
        rest = frozenset(held for held in state if held.tensor != name)
        streams = [(tensor, held.level, level) for held in sorted(state) if held.tensor == name]
        then = self._free(rest) - self._free(state)
        self._enter(found, Move(level, rest, state, then, own + sum(self.pay.whole(*x) for x in streams)))
        for slider in sorted(self.l.windows.sliders(tensor) & then):
            self._slide(found, Move(level, rest, state, then - {slider}, own, slider), streams, False)
            if self.further(level):
                run = rest | {Held(name, 0, slider)}
                after = (self._free(run) - self._free(state)) - {slider}
                self._slide(found, Move(level, run, state, after, own, slider), streams, True)

    def _slide(self, found: dict[State, np.ndarray], move: Move, streams: list[Stream], run: bool) -> None:
        """Let a window slide with the first of the loops; with a `run`, loops further out may go on."""
        rows, columns = np.nonzero(np.isfinite(move.values))
        axis, after, slid = self.l.ranks.index(move.rank), np.full_like(move.values, inf), list[Slid]()
        every = self._slid(move, streams, None, (rows, columns)) if run else None
        for n, shifts in self.t.iterations(move.level, axis):
            shift = shifts[self.l.grid[axis][columns]]
            some = np.flatnonzero(shift)
            cells = rows[some], columns[some]
            paid = self._slid(move, streams, n, cells) if every is None else every[some]
            target = cells[1] + shift[some]
            after[cells[0], target] = np.minimum(after[cells[0], target], paid)
            if self.moves is not None:
                slid.append((cells[1], target, paid))
        self._enter(found, replace(move, values=after, slid=slid))

    def _slid(self, move: Move, streams: list[Stream], n: float | None,
              cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Values of some cells when a window slides in `n` steps (None: as often as is best), paid for."""
        reach: Reach = "any" if n is None else "level"
        total = move.values[cells]
        for flow in (self.f.flow(*stream) for stream in streams):
            words = part(flow.words, cells) * self.f.share(flow, move.level, move.rank, n, reach, cells)
            total = total + self.pay.of(flow, words, cells)
        return total

    def _enter(self, found: dict[State, np.ndarray], move: Move) -> None:
        """Enter a state at the least cost, with all the loops that follow."""
        if self.moves is not None:
            self.moves.append(move)
        _merge(found, move.state, self._closed(move))

    def _closed(self, move: Move) -> np.ndarray:
        """The values of a move with the least over all loops that follow."""
        values = move.values.reshape(self.size).copy() if move.then else move.values
        for axis, rank in enumerate(self.l.ranks):
            if rank in move.then:
                rows = np.moveaxis(values, axis + 1, 0)
                if self.t.unlimited[move.level][axis]:
                    for i, j in self.t.primes[axis]:
                        np.minimum(rows[j], rows[i], out=rows[j])
                else:
                    admitted = self.t.admitted[move.level][axis]
                    rows[:] = [rows[admitted[:, j]].min(axis=0, initial=inf) for j in range(len(rows))]
        return values.reshape(len(values), -1)


def _moved(state: State) -> set[str]:
    """The tensors with streams in place."""
    return {held.tensor for held in state if held.level}


def _merge(found: dict[State, np.ndarray], state: State, values: np.ndarray) -> None:
    found[state] = np.minimum(found[state], values) if state in found else values
