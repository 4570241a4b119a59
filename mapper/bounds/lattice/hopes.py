"""Loops outside an instance that undo steps that windows take inside, or go on with them."""

from __future__ import annotations

from functools import cache
from typing import Iterator, NamedTuple

import numpy as np

from ..divisors import divisors
from .points import Points


class State(NamedTuple):
    """Steps of a window: its `tensor`, the indices of its two `ranks`, the slider's first, their extents and
    coefficients (`around`), how far one iteration of all loops so far has moved (`inside`), the step of the
    innermost one (`first`), and what spares words: loops that undo steps (2) or also those that go on with
    them (1)."""

    tensor: str
    ranks: tuple[int, int]
    around: tuple[tuple[int, int], tuple[int, int]]
    inside: int
    first: int
    spares: int


class Hopes:
    """What ways through a pass ask of the loops outside: that one of them may undo steps of a window, or go
    on with them. Each has a number; 0 asks for nothing, 1 for what the tile of the array does not tell."""

    def __init__(self, points: Points) -> None:
        self.l = points
        #: By number, from 2 on, the steps; None where it is one of two.
        self._states: list[State | None] = []
        self._codes: dict[object, int] = {}
        self._may: list[np.ndarray] = []

    def code(self, state: State) -> int:
        """The number of what steps in this state ask for."""
        if state not in self._codes:
            _, (i, j), (own, other), inside, first, least = state
            table = np.array([[may_meet(own, other, held, its, inside, first) >= least
                               for its in divisors(other[0])] for held in divisors(own[0])])
            self._add(state, state, table[self.l.grid[i], self.l.grid[j]])
        return self._codes[state]

    def _add(self, key: object, state: State | None, may: np.ndarray) -> None:
        self._codes[key] = len(self._may) + 2
        self._may.append(may)
        self._states.append(state)

    def state(self, code: int) -> State:
        """The steps that ask for the one thing of this number."""
        state = self._states[code - 2]
        assert state is not None
        return state

    def of(self, tensors: frozenset[str], asked: np.ndarray
           ) -> Iterator[tuple[str, frozenset[str], np.ndarray]]:
        """Each of some `tensors` of which alone something is asked, the ranks of the axis, and where."""
        where: dict[tuple[str, tuple[int, int]], list[int]] = {}
        for code in np.unique(asked[asked > 1]).tolist():
            state = self._states[code - 2]
            if state is not None and state.tensor in tensors:
                where.setdefault((state.tensor, state.ranks), []).append(code)
        for (name, axis), codes in where.items():
            yield name, frozenset(self.l.ranks[k] for k in axis), np.isin(asked, codes)

    def ended(self, asked: np.ndarray, quotients: np.ndarray) -> np.ndarray:
        """Where loops of so many iterations around are such that nothing outside can do what is asked for:
        the next that moves the tensor is of another axis."""
        ended = np.zeros(len(asked), dtype=bool)
        for code, state in enumerate(self._states, 2):
            if state is not None and len(rows := np.flatnonzero(asked == code)):
                ranks = self.l.einsum.tensor(state.tensor).ranks
                others = [k for k, rank in enumerate(self.l.ranks) if rank in ranks and k not in state.ranks]
                moves = quotients[rows] > 1
                ended[rows] = moves[:, others].any(axis=1) & ~moves[:, list(state.ranks)].any(axis=1)
        return ended

    def either(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """What is asked for where one of two is enough: the other, where one asks for nothing."""
        result = np.maximum(first, second)
        both = np.flatnonzero((first > 0) & (second > 0) & (first != second))
        result[both] = 1
        pairs, which = np.unique(np.stack([first[both], second[both]], axis=1), axis=0, return_inverse=True)
        for n, (one, two) in enumerate(pairs.tolist()):
            if min(one, two) > 1:
                if (one, two) not in self._codes:
                    self._add((one, two), None, self._may[one - 2] | self._may[two - 2])
                result[both[which.ravel() == n]] = self._codes[one, two]
        return result

    def may(self, asked: np.ndarray, arrays: np.ndarray) -> np.ndarray:
        """Whether what is asked for may be, around the tiles of the array (lattice points)."""
        result = asked < 2
        some = np.flatnonzero(~result)
        if len(some):
            codes, which = np.unique(asked[some], return_inverse=True)
            table = np.stack([self._may[code - 2] for code in codes.tolist()])
            result[some] = table[which.ravel(), arrays[some]]
        return result


def advance(words: np.ndarray, inside: np.ndarray, first: np.ndarray, overlap: np.ndarray | float,
            step: np.ndarray, n: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Tiles loaded, and how far one iteration of all loops has moved, with a loop of `n` iterations more.
    `first`: the step of the innermost loop, which leaves an `overlap`."""
    spared = np.where(step == inside, 1.0, np.where(step - inside == first, overlap, 0.0))
    return words * n - (n - 1) * spared, inside + np.where(n > 1, step, 0.0)


@cache
def may_meet(own: tuple[int, int], other: tuple[int, int], held: int, its: int, inside: int, first: int,
              past: tuple[bool, bool] = (False, False)) -> int:
    """Whether some loop outside undoes the steps of the loops `inside` (2), or may only go on with the
    `first` of them (1), or neither (0).

    The two ranks of the axis (extent, coefficient) step by what is `held` of them, or by multiples that
    divide the extent: by more than that where such a loop is `past`."""
    found = 0
    for mine, (extent, unit), least in ((True, own, held), (False, other, its)):
        for x in divisors(extent):
            if x == extent or x % least or (past[not mine] and x == least):
                continue
            net = unit * x - inside
            after = (x, its, inside + unit * x, first, (True, past[1])) if mine else \
                (held, x, inside + unit * x, first, (past[0], True))
            found = max(found, 2 if net == 0 else int(net == first), may_meet(own, other, *after))
            if found == 2:
                return found
    return found
