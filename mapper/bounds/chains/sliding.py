"""The least of a window that loops bring in.

Words that enter a place are `tile x visits x share`, where `visits` are the iterations of all loops further
out, and `share` is 1 unless a window slides. Which part of the tile a loop brings in when it advances follows
from how far it moves the window, and how far the loops inside it moved it before they start again
(`model.reuse.advances`): the part one step of the innermost loop is long, if it moves by that step; none, if
it does not move; else all of it. Loops of ranks that the tensor does not have, and of its other axes, bring
in all of it wherever they stand.
"""

from __future__ import annotations

from functools import cache
from math import prod

from ..divisors import divisors

Ints = tuple[int, ...]


class Axis:
    """The loops of one axis around a tile, of which an array may have several side by side.

    Parameters
    ----------
    steps
        Words that one iteration of each rank of the axis moves the window by, none negative.
    tile
        Extents of the ranks in the tile.
    spread
        So many tiles side by side each rank has in an array around the tile, with loops inside and outside.
    loops
        Iterations of all loops of each rank, which divide into loops as is best.
    """

    def __init__(self, steps: Ints, tile: Ints, spread: Ints, loops: Ints) -> None:
        self.unit = tuple(s * t for s, t in zip(steps, tile, strict=True))
        self.spread, self.loops = spread, loops
        self.width = 1 + sum(s * (t - 1) for s, t in zip(steps, tile, strict=True))
        self._known: dict[object, float] = {}

    def least(self, outside: bool = False) -> float:
        """The least share over all orders of the loops; all of them may be `outside` the array."""
        start = (1,) * len(self.loops)
        return self._least(start, 0, outside, None)

    def bonus(self, rank: int, n: int) -> float:
        """By how much less than all of it the visits bring in at the most that do not follow from `n`
        iterations of the innermost loop, of `rank`, in parts of all visits."""
        done, first = tuple(n if k == rank else 1 for k in range(len(self.loops))), self.unit[rank]
        return 1.0 / n - min(self._least(done, first * own, False, first, rank) for own in _strides(n))

    def _least(self, done: Ints, moved: int, outside: bool, first: int | None,
               but: int | None = None) -> float:
        """The share of the visits that follow after loops that are `done`: iterations of each rank; one
        iteration of each loop, together, has `moved` the window. `outside`: some stand outside the array.
        `first`: the step of the innermost loop. The next is not of the rank `but`, which would go on, unless
        with what stands beside."""
        key = done, moved, outside, first, but
        if key not in self._known:
            visits = prod(done)
            found = 1.0 / visits       # whatever stands further out brings in all of it
            for beyond in {outside, prod(self.spread) > 1 or outside}:
                for k, n in enumerate(self.loops):
                    if k == but and not (beyond and not outside and self.spread[k] > 1):
                        continue
                    step = self.unit[k] * done[k] * (self.spread[k] if beyond else 1)
                    share = self._brought(step, moved, first)
                    for p in divisors(n // done[k])[1:]:
                        more = tuple(m * p if i == k else m for i, m in enumerate(done))
                        there = self._least(more, moved + step, beyond, step if first is None else first)
                        found = min(found, share * (1.0 / visits - 1.0 / prod(more)) + there)
            self._known[key] = found
        return self._known[key]

    def _brought(self, step: int, moved: int, first: int | None) -> float:
        """What an iteration of the next loop brings in of the tile."""
        if first is None or step == moved + first:
            return min((first or step) / self.width, 1.0)
        return 0.0 if step == moved else 1.0


@cache
def _strides(n: int) -> frozenset[int]:
    """How many steps one iteration of each loop, together, makes, whichever loops the `n` iterations are."""
    return frozenset({1, *(1 + d * more for d in divisors(n)[1:-1] for more in _strides(n // d))})


@cache
def axis(steps: Ints, tile: Ints, spread: Ints, loops: Ints) -> Axis:
    """One of each, which knows what it has been asked."""
    return Axis(steps, tile, spread, loops)
