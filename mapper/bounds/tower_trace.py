"""Where the least cost of a shape is attained: the way back through the moves of a `Steps`."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from .tower_steps import Held, Move, State, Steps

#: Tiles (outside, inside) of the loops of every level, and the ranks of these, innermost first.
Loops = list[tuple[tuple[int, int], tuple[str, ...]]]


def loops_of(steps: Steps) -> Loops:
    """The loops in time of the first shape of `steps`, whose moves are noted, outermost level first."""
    assert steps.moves is not None
    levels = {level: list(own) for level, own in groupby(steps.moves, key=lambda move: move.level)}
    state, point, found = frozenset[Held](), len(steps.l.points) - 1, Loops()
    for level in range(steps.f.depth):
        walk = Walk(steps, level, levels[level])
        outside = point
        state, point = walk.back(state, point)
        found.append(((outside, point), tuple(reversed(walk.ranks))))
        if level + 1 < steps.f.depth:
            state = state - {held for held in state if held.level == level + 1}
        point = int(steps.t.inside(steps.f.shapes.both[:1, level])[0, point])
    return found


class Walk:
    """The way back through the loops of one level; `ranks`: of its loops, the outermost first."""

    def __init__(self, steps: Steps, level: int, moves: list[Move]) -> None:
        self.steps, self.l, self.moves = steps, steps.l, moves
        self.admitted = steps.t.admitted[level]
        self.ranks: list[str] = []

    def back(self, state: State, point: int) -> tuple[State, int]:
        """The state and the tile with which the level begins, of those with which it ends."""
        ends = [move for move in self.moves if frozenset(x for x in move.state if x.level) == state]
        move, inner = min(((move, self._inner(move, point)) for move in ends),
                          key=lambda own: float(own[0].values[0, own[1]]))
        while True:
            self._note(point, inner)
            point = inner
            if move.before is None:
                return move.state, point
            if move.rank:
                point = self._slid(move, point)
            before = move.before
            into = [own for own in self.moves if own.state == before]
            move, inner = min(((own, self._inner(own, point)) for own in into),
                              key=lambda own: float(own[0].values[0, own[1]]))

    def _inner(self, move: Move, point: int) -> int:
        """The tile inside the loops that follow in a move, of the least value."""
        fits = np.ones(len(self.l.points), dtype=bool)
        for grid, rank, admitted in zip(self.l.grid, self.l.ranks, self.admitted, strict=True):
            own = grid[point]
            fits &= admitted[grid, own] if rank in move.then else grid == own
        some = np.flatnonzero(fits)
        return int(some[move.values[0, some].argmin()]) if len(some) else point

    def _note(self, point: int, inner: int) -> None:
        iterate = self.l.points[point] > self.l.points[inner]
        self.ranks += [rank for rank, more in zip(self.l.ranks, iterate, strict=True) if more]

    def _slid(self, move: Move, point: int) -> int:
        """The tile inside the loop that slides."""
        self.ranks.append(move.rank)
        ends = [(tiles[outside == point], values[outside == point]) for tiles, outside, values in move.slid]
        _, inner = min((float(value), int(tile)) for own in ends for tile, value in zip(*own, strict=True))
        return inner
