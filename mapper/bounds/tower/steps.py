"""The best loops in time around the tiles of given shapes: dynamic programming, the innermost level first.

A *state* names the streams that are still in place: none of the loops so far moves their tensor. For every
state and tile b the least cost is known of all other streams, and of everything inside, when the loops so far
make b. Of the loops of a level, those that leave all streams of the state in place come first, all of them;
then a tensor is moved, so that its streams are paid for, and so on. Windows slide along loops that move them.

What levels keep may be open. What a stream costs depends on the level that it comes from, which therefore is
decided when it is paid for: a state also says which level keeps next what has been moved. A level that may
keep a tensor whose streams are in place had better not, since it would be filled as often as what is inside.
"""

from __future__ import annotations

from itertools import pairwise, product
from math import inf, prod
from typing import Iterator, NamedTuple, Protocol

import numpy as np

from ...workload.einsum import Tensor
from .flow import Flow, Flows


class Held(NamedTuple):
    """A stream (tensor and level) that is in place; or, with a `slider` and no level, a tensor that slides
    along the axis of this rank, which loops further out may go on with: until then none of another axis moves
    it."""

    tensor: str
    level: int
    slider: str = ""


class State(NamedTuple):
    """What is in place; of each tensor that is not, the level that keeps it next."""

    held: frozenset[Held]
    due: frozenset[tuple[str, int]]

    @property
    def in_place(self) -> dict[str, list[int]]:
        """By tensor the levels with streams in place, innermost first."""
        found = dict[str, list[int]]()
        for name, level, _ in sorted(self.held, reverse=True):
            if level:
                found.setdefault(name, []).append(level)
        return found


#: A tensor, the level that it is brought to, the one it comes from, and that with the first loops to move it.
Stream = tuple[Tensor, int, int, int]


class Pay(Protocol):
    """What streams cost."""

    def computes(self) -> float:
        """What the units cost."""
        ...

    def at_units(self, tensor: Tensor, parent: int) -> np.ndarray:
        """What the units ask for, (shapes,)."""
        ...

    def ways(self, tensor: Tensor) -> list[np.ndarray]:
        """The least that it costs to bring a tensor to each level, and to the units, (shapes,)."""
        ...

    def of(self, flow: Flow, words: np.ndarray) -> np.ndarray:
        """So many words of a stream that enter, by shape and point."""
        ...


class Step(NamedTuple):
    """Loops that are innermost, and what is paid for what they move, by shape and point: of some axes from
    which divisor (its index) to which they lead."""

    paid: np.ndarray
    loops: tuple[tuple[int, int, int], ...] = ()


class Source(NamedTuple):
    """One way to a state: from the state `before`, of the values `own`, by any of some steps with loops of
    these `ranks`, the innermost first."""

    before: State
    own: np.ndarray
    steps: list[Step]
    ranks: tuple[str, ...] = ()


class Move:
    """How a state at a level may come about, where loops of the ranks `then` follow upon the least `values`;
    with no `sources` the level begins."""

    def __init__(self, level: int, state: State, then: frozenset[str], values: np.ndarray) -> None:
        self.level, self.state, self.then, self.values = level, state, then, values
        self.sources: list[Source] = []
        self.least: np.ndarray | None = None        # of all moves to the state, noted with the first


#: By state how it may come about.
Moves = dict[State, list[Move]]


class Steps:
    """The dynamic programme for a batch of shapes, from what is paid at the units outwards; what costs more
    than `most`, (shapes,), is left out. The values with which each level begins are noted in `began` where
    that is asked for."""

    def __init__(self, flows: Flows, pay: Pay, most: np.ndarray | float = inf, note: bool = False) -> None:
        self.f, self.t, self.l, self.pay = flows, flows.t, flows.l, pay
        self.most, self.note = np.broadcast_to(most, len(flows.shapes.x)), note
        self.began = dict[int, dict[State, np.ndarray]]()
        self._known_free: dict[frozenset[Held], frozenset[str]] = {}
        self._paid: dict[tuple[tuple[Stream, ...], str, float, float | None], np.ndarray] = {}
        self.shapes = len(flows.shapes.x)
        limited = np.isfinite(self.most).any()
        self._ways = {t.name: pay.ways(t) for t in self.l.einsum.tensors if limited}

    def least(self) -> np.ndarray:
        """The least cost of each shape, inf where nothing fits."""
        values = dict(self._units())
        for level in reversed(range(self.f.depth)):
            values = self._spread(level, values)
            if self.note:
                self.began[level] = values
            values = self._ended(level, self.moves(level, values))
            if level:
                values = self._kept(level, values)
        return self._all(values)

    @property
    def end(self) -> State:
        """The state with everything moved."""
        return State(frozenset(), frozenset((t.name, 0) for t in self.l.einsum.tensors))

    def _all(self, values: dict[State, np.ndarray]) -> np.ndarray:
        """The values of the whole with everything moved, (shapes,)."""
        return values[self.end][:, -1] if self.end in values else np.full(self.shapes, inf)

    def _spread(self, level: int, values: dict[State, np.ndarray]) -> dict[State, np.ndarray]:
        """With the array below `level` around the tiles."""
        if not (self.f.shapes.spread[:, level] > 1).any():
            return values
        around = self.t.inside(self.f.shapes.both[:, level])
        return {state: np.where(around < 0, inf, np.take_along_axis(own, np.maximum(around, 0), axis=1))
                for state, own in values.items()}

    def _units(self) -> Iterator[tuple[State, np.ndarray]]:
        """The states at the units, which ask for everything in every step."""
        every = [[(t.name, level, self.pay.at_units(t, level))
                  for level in self.f.parents(t.name, self.f.depth)] for t in self.l.einsum.tensors]
        for ways in product(*every):
            state = State(frozenset(), frozenset((name, level) for name, level, _ in ways))
            cost = self.pay.computes() + sum(paid for *_, paid in ways)
            if (cost <= self._left(state)).any():
                own = np.full((self.shapes, len(self.l.points)), inf)
                own[:, 0] = cost
                yield state, own

    def _kept(self, level: int, values: dict[State, np.ndarray]) -> dict[State, np.ndarray]:
        """With the streams to `level`, where its tiles fit."""
        found = dict[State, np.ndarray]()
        for state, own in values.items():
            names = [name for name, parent in state.due if parent == level]
            names += [name for name in state.in_place if name in self.f.keep[level]]
            rest = [name for name, levels in state.in_place.items() if name in self.f.loose[level]
                    and not self.f.in_vain(name, level, levels[-1])]
            for more in product(*((False, True) for _ in rest)):
                every = frozenset(names) | {name for name, kept in zip(rest, more, strict=True) if kept}
                after = State(state.held.union(Held(name, level) for name in every),
                              frozenset(due for due in state.due if due[0] not in every))
                fits = np.where(self.t.fits(level, every), own, inf) if every else own
                if np.isfinite(fits).any():
                    _merge(found, after, fits)
        return found

    # ---- the loops of one level ------------------------------------------------------------------

    def further(self, level: int) -> bool:
        """Whether there may be loops outside those of a level."""
        return level > 0

    def origins(self, level: int, name: str, child: int) -> list[int]:
        """Where a tensor may come from that `child` holds, if loops of `level` move it."""
        return [parent for parent in self.f.parents(name, child) if parent <= level]

    def moves(self, level: int, values: dict[State, np.ndarray]) -> Moves:
        """By state how it may come about at a level that begins with these values."""
        self._paid.clear()
        moves = Moves()
        for state, own in values.items():
            moves[state] = [Move(level, state, self._free(state.held), own)]
        for count in reversed(range(1, len(self.l.einsum.tensors) + 1)):
            for state in [s for s in moves if len(s.in_place) == count]:
                own = self._least_of(moves[state])
                for name, levels in state.in_place.items() if np.isfinite(own).any() else ():
                    for parent in self.origins(level, name, levels[-1]):
                        self._move(level, moves, state, own, name, parent)
        return moves

    def _ended(self, level: int, moves: Moves) -> dict[State, np.ndarray]:
        """The states outside the loops of a level."""
        least, ended = self.t.least_iterations(level), dict[State, np.ndarray]()
        for state, own in moves.items():
            idle = [rank not in self._free(state.held) for rank in self.l.ranks]
            if (least[idle] <= 1).all():
                _merge(ended, without_runs(state), self._least_of(own))
        return ended

    def _least_of(self, moves: list[Move]) -> np.ndarray:
        """The least values of a state, as far as they may matter."""
        if moves[0].least is None:
            values = np.minimum.reduce([self._closed(move) for move in moves])
            moves[0].least = np.where(values <= self._left(moves[0].state)[:, None], values, inf)
        return moves[0].least

    def _left(self, state: State) -> np.ndarray:
        """What may be spent at a state, at the most: what is to come costs something too, (shapes,)."""
        if not self._ways:
            return self.most
        levels = {name: own[-1] for name, own in state.in_place.items()} | dict(state.due)
        return self.most - sum(self._ways[name][level] for name, level in levels.items())

    def _free(self, held: frozenset[Held]) -> frozenset[str]:
        """The ranks whose loops leave everything in place."""
        if held not in self._known_free:
            self._known_free[held] = self.f.everything.difference(*map(self._moving, held))
        return self._known_free[held]

    def _moving(self, held: Held) -> frozenset[str]:
        ranks = self.f.ranks[held.tensor]
        return ranks if held.level else ranks - self._axis(held.tensor, held.slider)

    def _axis(self, name: str, slider: str) -> frozenset[str]:
        return frozenset(t.rank for t in self.l.windows.axes[name][slider])

    def _move(self, level: int, moves: Moves, state: State,
              own: np.ndarray, name: str, parent: int) -> None:
        """Let the next loop be one that moves a tensor, which comes from the level `parent`."""
        tensor, levels = self.l.einsum.tensor(name), [*state.in_place[name], parent]
        streams = tuple((tensor, a, b, level) for a, b in pairwise(levels))
        rest = State(frozenset(held for held in state.held if held.tensor != name),
                     state.due | {(name, parent)})
        then = self._free(rest.held) - self._free(state.held)
        self._enter(level, moves, rest, then, Source(state, own, [Step(self._price(streams))]))
        for slider in sorted(self.l.windows.sliders(tensor) & then):
            partner = self.l.windows.partner(tensor, slider)
            # A partner that moves what is still in place may come next all the same, once that is paid for.
            once = 1.0 if then.issuperset(partner) else None
            slid = Source(state, own, self._slid(level, streams, slider, once), (slider,))
            self._enter(level, moves, rest, then - {slider}, slid)
            for other in then.intersection(partner):
                slid = Source(state, own, self._met(level, streams, slider, other), (slider, other))
                self._enter(level, moves, rest, then - {slider, other}, slid)
            if self.further(level):
                run = State(rest.held | {Held(name, 0, min(self._axis(name, slider)))}, rest.due)
                after = (self._free(run.held) - self._free(state.held)) - {slider}
                slid = Source(state, own, self._slid(level, streams, slider, inf), (slider,))
                self._enter(level, moves, run, after, slid)

    def _slid(self, level: int, streams: tuple[Stream, ...], slider: str,
              then: float | None) -> list[Step]:
        """A window slides with the first of the loops; `then`: see `Flows.share`."""
        axis = self.l.ranks.index(slider)
        return [Step(self._price(streams, slider, n, then), ((axis, i, j),))
                for n, pairs in self.t.iterations(level, axis).items() for i, j in pairs]

    def _met(self, level: int, streams: tuple[Stream, ...], slider: str, other: str) -> list[Step]:
        """A window slides with the first of the loops, and the next one, of the `other` rank of the axis,
        undoes such a step or goes on with it."""
        first, second, windows = self.l.ranks.index(slider), self.l.ranks.index(other), self.l.windows
        meets = windows.meets(streams[0][0], slider, 1) | windows.meets(streams[0][0], slider, 2)
        at = self.l.strides[first], self.l.strides[second]
        return [Step(self._price(streams, slider, n, m), ((first, *own), (second, *its)))
                for n, pairs in self.t.iterations(level, first).items()
                for m, others in self.t.iterations(level, second).items()
                for own, its in product(pairs, others) if meets[own[0] * at[0] + its[0] * at[1]]]

    def _price(self, streams: tuple[Stream, ...], slider: str = "", n: float = 1.0,
               then: float | None = 1.0) -> np.ndarray:
        """What some streams cost: of whole tiles; or where a window slides, in `n` steps."""
        key = streams, slider, n, then
        if key not in self._paid:
            total = np.zeros((1, 1))
            for stream in streams:
                flow = self.f.flow(*stream)
                share = self.f.share(flow, stream[3], slider, n, then) if slider else np.ones(1)
                total = total + self.pay.of(flow, flow.words * share)
            self._paid[key] = total
        return self._paid[key]

    def _enter(self, level: int, moves: Moves, state: State,
               then: frozenset[str], source: Source) -> None:
        """Enter a state at the least cost, before all the loops that follow."""
        if not source.steps:
            return
        known = moves.setdefault(state, [])
        move = next((move for move in known if move.then == then and move.sources), None)
        if move is None:
            move = Move(level, state, then, np.full((self.shapes, len(self.l.points)), inf))
            known.append(move)
        move.sources.append(source)
        after, before = self._by_rank(move.values), self._by_rank(source.own)
        for paid, loops in source.steps:
            inner, outer = ({axis + 1: own[k] for axis, *own in loops} for k in (0, 1))
            start, end = (tuple(own.get(axis, slice(None)) for axis in range(after.ndim))
                          for own in (inner, outer))
            np.minimum(after[end], before[start] + self._by_rank(paid)[start], out=after[end])

    def _by_rank(self, values: np.ndarray) -> np.ndarray:
        """With an axis for each rank, after that of shapes."""
        return values.reshape(len(values), *self.l.shape)

    def _along(self, values: np.ndarray, rank: str) -> np.ndarray:
        """A view with the divisors of one rank as the third of four axes."""
        axis = self.l.ranks.index(rank)
        return values.reshape(len(values), prod(self.l.shape[:axis]), self.l.shape[axis], -1)

    def _closed(self, move: Move) -> np.ndarray:
        """The values of a move with the least over all loops that follow."""
        values = move.values.copy() if move.then else move.values
        for axis, rank in enumerate(self.l.ranks):
            if rank in move.then:
                rows = np.moveaxis(self._along(values, rank), 2, 0)
                if self.t.unlimited[move.level][axis]:
                    for i, j in self.t.primes[axis]:
                        np.minimum(rows[j], rows[i], out=rows[j])
                else:
                    admitted = self.t.admitted[move.level][axis]
                    rows[:] = [rows[admitted[:, j]].min(axis=0, initial=inf) for j in range(len(rows))]
        return values


def before(state: State, item: tuple[int, str]) -> State:
    """The state before a stream was put in place (its level and tensor)."""
    level, name = item
    held = state.held - {Held(name, level)}
    return State(held, state.due if any(x.tensor == name for x in held) else state.due | {(name, level)})


def without_runs(state: State) -> State:
    """The state outside the loops of a level: those further out may do as they like."""
    return State(frozenset(held for held in state.held if held.level), state.due)


def _merge(found: dict[State, np.ndarray], state: State, values: np.ndarray) -> None:
    found[state] = np.minimum(found[state], values) if state in found else values
