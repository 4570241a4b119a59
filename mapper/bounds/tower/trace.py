"""Where the least cost of a shape is attained: the way back through the moves of a `Steps`."""

from __future__ import annotations

from itertools import chain
from typing import Mapping

import numpy as np

from ...mapping.template import Keep
from .steps import Move, Source, State, Steps, before, without_runs

#: Tiles (outside, inside) of the loops of every level, and the ranks of these, innermost first.
Loops = list[tuple[tuple[int, int], tuple[str, ...]]]


def loops_of(steps: Steps) -> tuple[Loops, Keep]:
    """The loops in time of the first shape of `steps`, which have noted where levels begin, and what levels
    keep, both the outermost level first."""
    names = frozenset(t.name for t in steps.l.einsum.tensors)
    state, point = steps.end, len(steps.l.points) - 1
    loops, keep = Loops(), [names]
    for level in range(steps.f.depth):
        walk = Walk(steps, level, steps.moves(level, steps.began[level]))
        outside = point
        state, point = walk.back(state, point)
        loops.append(((outside, point), tuple(dict.fromkeys(reversed(walk.ranks)))))
        if level + 1 < steps.f.depth:
            keep.append(frozenset(held.tensor for held in state.held if held.level == level + 1))
            for name in keep[-1]:
                state = before(state, (level + 1, name))
        point = int(steps.t.inside(steps.f.shapes.both[:1, level])[0, point])
    return loops, tuple(keep)


class Walk:
    """The way back through the loops of one level; `ranks`: of its loops, the outermost first."""

    def __init__(self, steps: Steps, level: int, moves: Mapping[State, list[Move]]) -> None:
        self.l, self.moves = steps.l, list(chain(*moves.values()))
        self.admitted = steps.t.admitted[level]
        self.ranks: list[str] = []

    def back(self, state: State, point: int) -> tuple[State, int]:
        """The state and the tile with which the level begins, of those with which it ends."""
        ends = [move for move in self.moves if without_runs(move.state) == state]
        while True:
            move, inner = min(((move, self._inner(move, point)) for move in ends),
                              key=lambda own: float(own[0].values[0, own[1]]))
            iterate = self.l.points[point] > self.l.points[inner]
            self.ranks += [rank for rank, more in zip(self.l.ranks, iterate, strict=True) if more]
            if not move.sources:
                return move.state, inner
            (_, point), source = min(((self._before(source, inner), source) for source in move.sources),
                                     key=lambda own: own[0])
            self.ranks += reversed(source.ranks)
            ends = [own for own in self.moves if own.state == source.before]

    def _inner(self, move: Move, point: int) -> int:
        """The tile inside the loops that follow in a move, of the least value."""
        fits = np.ones(len(self.l.points), dtype=bool)
        for grid, rank, admitted in zip(self.l.grid, self.l.ranks, self.admitted, strict=True):
            own = grid[point]
            fits &= admitted[grid, own] if rank in move.then else grid == own
        some = np.flatnonzero(fits)
        return int(some[move.values[0, some].argmin()]) if len(some) else point

    def _before(self, source: Source, point: int) -> tuple[float, int]:
        """The least value at which a way leads to a tile, and the tile from which."""
        found = [(np.inf, point)]
        for paid, loops in source.steps:
            if all(self.l.grid[axis][point] == j for axis, _, j in loops):
                inner = point + sum((i - j) * self.l.strides[axis] for axis, i, j in loops)
                found.append((float(source.own[0, inner] + paid[0, inner]), inner))
        return min(found)
