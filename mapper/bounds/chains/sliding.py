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

from ..divisors import prime_factors

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
        return self._least(start, start if outside else None, None)

    def bonus(self, rank: int, n: int) -> float:
        """By how much less than all of it the visits bring in at the most that do not follow from `n`
        iterations of the innermost loop, of `rank`, in parts of all visits."""
        done = tuple(n if k == rank else 1 for k in range(len(self.loops)))
        return 1.0 / n - self._least(done, None, self.unit[rank], rank)

    def _least(self, done: Ints, inside: Ints | None, first: int | None, but: int | None = None) -> float:
        """The share of the visits that follow after loops that are `done`: iterations of each rank, and of
        those `inside` the array (None while none stands outside). `first`: the step of the innermost loop.
        The next is not of the rank `but`, which would go on, unless with what stands beside."""
        key = done, inside, first, but
        if key not in self._known:
            visits = prod(done)
            found = 1.0 / visits       # whatever stands further out brings in all of it
            for outside in {inside is not None, prod(self.spread) > 1 or inside is not None}:
                start = (inside or done) if outside else None
                for k, n in enumerate(self.loops):
                    if k == but and not (outside and inside is None and self.spread[k] > 1):
                        continue
                    for p in set(prime_factors(n // done[k])):
                        share, own = self._advance(done, start, k, first)
                        more = tuple(m * p if i == k else m for i, m in enumerate(done))
                        there = self._least(more, start, own)
                        found = min(found, share * (1.0 / visits - 1.0 / prod(more)) + there)
            self._known[key] = found
        return self._known[key]

    def _advance(self, done: Ints, inside: Ints | None, k: int, first: int | None) -> tuple[float, int]:
        """What an iteration of the next loop, of rank `k`, brings in of the tile; the step of the first."""
        moved = sum(u * (b - 1) + u * s * (d - b) for u, s, b, d in zip(
            self.unit, self.spread, inside or done, done, strict=True))
        step = self.unit[k] * done[k] * (1 if inside is None else self.spread[k])
        if first is None:
            return min(step / self.width, 1.0), step
        if step == moved:
            return 0.0, first
        return min(first / self.width, 1.0) if step == moved + first else 1.0, first


@cache
def axis(steps: Ints, tile: Ints, spread: Ints, loops: Ints) -> Axis:
    """One of each, which knows what it has been asked."""
    return Axis(steps, tile, spread, loops)
