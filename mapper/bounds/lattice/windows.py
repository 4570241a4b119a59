"""Windows that slide: how much of a tile a step brings in, over the lattice of divisors.

The words that enter a tile over the whole nest are `tile x passes x share`, `passes` being the product of
the loops around that count. With f the part of the tile that one step of the innermost loop, of n
iterations, brings in, that loop alone gives the share f + (1 - f) / n. A loop of another rank of the same
axis may undo its steps or go on with them, if it is the next one that moves the tensor: of its n' iterations,
n' - 1 then load nothing, or but the part f. Over all loops that do so the shares lost add up to no more than
1 / n - 1 / N, with N the iterations of all loops of the axis together.
"""

from __future__ import annotations

from functools import cache, cached_property
from itertools import permutations
from math import lcm, prod
from typing import Literal, Sequence

import numpy as np

from ...workload.einsum import Axis, Tensor, Term
from ..divisors import divisors, smallest_prime
from .hopes import Hopes, State, advance, may_meet
from .points import Points

#: Which loops may undo steps of a window: those of the slider's own level, those of one more level as well,
#: or those of any number of levels.
Reach = Literal["level", "two", "any"]


#: What is loaded in any case, and what for each part of a tile that a step brings in.
Parts = tuple[np.ndarray, np.ndarray]

#: Of loops, how far an iteration moves a tensor, and how many there are.
Loops = list[tuple[np.ndarray, np.ndarray]]


class Windows:
    """The axes of the tensors of a lattice that several ranks move."""

    def __init__(self, points: Points) -> None:
        self.l = points
        #: By tensor and rank the axis that the rank moves together with others.
        self.axes: dict[str, dict[str, Axis]] = {
            t.name: {term.rank: axis for axis in t.projection if len(self._moving(axis)) > 1
                     for term in self._moving(axis)} for t in points.einsum.tensors}
        #: Tensors along which some ranks step forth and others back.
        self.both_ways = {t.name for t in points.einsum.tensors if any(
            len({term.coefficient > 0 for term in axis}) > 1 for axis in self.axes[t.name].values())}
        self.hopes = Hopes(points)
        self._inside: dict[tuple[str, str], tuple[np.ndarray, ...]] = {}

    def _moving(self, axis: Axis) -> list[Term]:
        return [term for term in axis if term.rank in self.l.ranks]

    def simple(self, tensor: Tensor, slider: str) -> bool:
        """Whether two ranks, and no more, move the axis of `slider`, and no axis is moved back."""
        return tensor.name not in self.both_ways and len(self._moving(self.axes[tensor.name][slider])) == 2

    def sliders(self, tensor: Tensor) -> frozenset[str]:
        """The ranks whose steps move a tile of `tensor` along a window."""
        return frozenset(self.axes[tensor.name])

    def share(self, tensor: Tensor, slider: str, tile: np.ndarray, outer: np.ndarray,
              steps: np.ndarray | None, reach: Reach) -> np.ndarray:
        """The share that is left when `slider` steps innermost, `steps` times (None: as often as is best),
        each time by the extents `outer`; or less. `tile` and `outer` are lattice points."""
        whole, part = self.parts(tensor, slider, outer, steps, reach)
        return np.asarray(whole + part * self.fresh(tensor, slider, tile, outer))

    def followed(self, tensor: Tensor, slider: str, tile: np.ndarray, outer: np.ndarray, n: np.ndarray,
                 m: float | None) -> np.ndarray:
        """The share that is left when `slider` steps innermost `n` times, each time by the extents `outer`,
        the other rank of its axis `m` times right after that (None: as often as is best), and next one of
        another axis; or less."""
        others = {} if m is None else {rank: np.full(len(outer), m) for rank in self.partner(tensor, slider)}
        whole, part = self.parts(tensor, slider, outer, n, "level", others)
        return np.asarray(whole + part * self.fresh(tensor, slider, tile, outer))

    def going_on(self, tensor: Tensor, slider: str, tile: np.ndarray, outer: np.ndarray,
                 n: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """The share that is left when `slider` steps innermost `n` times, each time by the extents `outer`,
        and loops further out may go on with its steps or undo them; or less. `apart`: iterations of arrays
        further out, (points, ranks)."""
        least = self.share(tensor, slider, tile, outer, n, "any")
        if not self.simple(tensor, slider):
            return least
        axis, fresh = self.axes[tensor.name][slider], self.fresh(tensor, slider, tile, outer)
        meets = self._met(tensor, slider, outer, n, apart)
        # The most that a single iteration of a loop outside loads less than a tile.
        spared = np.choose(meets, [0.0, 1.0 - fresh, 1.0])
        both = [self.l.ranks.index(term.rank) for term in self._moving(axis)]
        passes = self._passes(axis)[outer] / apart[:, both].prod(axis=1)
        lost = spared * np.maximum(1.0 / n - 1.0 / passes, 0.0)
        return np.asarray(np.maximum(least, fresh + (1.0 - fresh) / n - lost))

    def _met(self, tensor: Tensor, slider: str, outer: np.ndarray, n: np.ndarray,
             apart: np.ndarray) -> np.ndarray:
        """What `may_meet` says of loops outside those of `going_on`."""
        own, other = sorted(self._moving(self.axes[tensor.name][slider]), key=lambda t: t.rank != slider)
        i, j = (self.l.ranks.index(term.rank) for term in (own, other))
        held, its = self.l.points[outer, i], self.l.points[outer, j]
        # Where arrays have all that is left of a rank, no loop in time does.
        mine = np.where(held * n * apart[:, i] == self.l.extents[i], held * n, self.l.extents[i])
        theirs = np.where(its * apart[:, j] == self.l.extents[j], its, self.l.extents[j])
        cells, which = np.unique(np.stack([held, held * n, its, mine, theirs]).astype(np.int64),
                                 axis=1, return_inverse=True)
        unit, steps = abs(own.coefficient), abs(other.coefficient)
        found = [0 if int(self.l.extents[i]) % y else may_meet(
            (m, unit), (t, steps), y, z, unit * x, unit * x) for x, y, z, m, t in cells.T.tolist()]
        return np.array(found)[which.ravel()]

    def fresh(self, tensor: Tensor, slider: str, tile: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """The part of a `tile` that a step of `slider` by the extents `outer` brings in."""
        axis = self.axes[tensor.name][slider]
        unit = next(abs(t.coefficient) for t in axis if t.rank == slider)
        step = unit * self.l.points[:, self.l.ranks.index(slider)]
        return np.minimum(step[outer] / self.l.interval(axis)[tile], 1.0)

    def parts(self, tensor: Tensor, slider: str, outer: np.ndarray, steps: np.ndarray | None, reach: Reach,
              others: dict[str, np.ndarray] | None = None) -> Parts:
        """Of the share that is left (see `share`) what is loaded in any case, and what for each part of a
        tile that a step brings in (see `fresh`); neither is negative. `others`: how often other loops of the
        same level step, where that is known."""
        axis = self.axes[tensor.name][slider]
        i = self.l.ranks.index(slider)
        n = self.l.extents[i] / self.l.points[outer, i] if steps is None else steps
        if reach == "level" and self.simple(tensor, slider):
            next_to, = self.partner(tensor, slider)
            j = self.l.ranks.index(next_to)
            m = (others or {}).get(next_to, self.l.extents[j] / self.l.points[outer, j])
            once, twice = (self.meets(tensor, slider, times)[outer] * (1.0 - 1.0 / m) for times in (1, 2))
            return (1.0 - once - twice) / n, 1.0 - (1.0 - twice) / n
        undone = self.undone(axis, slider, reach == "any")[outer] & (n > 1)
        least = smallest_prime(int(self.l.extents[i])) if steps is None else n
        one_way = tensor.name not in self.both_ways
        every = 1.0 / self._passes(axis)[outer] if one_way else np.zeros(len(outer))
        return np.where(undone, every, 1.0 / n), 1.0 - 1.0 / np.where(undone, least, n)

    def run(self, tensor: Tensor, slider: str, array: np.ndarray, steps: dict[str, np.ndarray],
            between: np.ndarray | float) -> list[Parts]:
        """The share that is left, exactly, when no loop but those of the axis of `slider` moves the tensor at
        a level before loops of the same axis follow at the level outside; `steps` of both of its ranks, and
        the iterations of loops `between` that do not move it. As `parts`, for each of the orders outside, of
        which the one that leaves the least counts.

        `array` are lattice points; the tile of the level is larger than these by the steps."""
        axis = self.axes[tensor.name][slider]
        around = sorted(self._moving(axis), key=lambda term: term.rank != slider)
        inner, outer = self._loops(around, array, steps)
        (first, n), still = inner[0], (0.0 * inner[0][0], between)
        inside, found = np.where(n > 1, first, 0.0), list[Parts]()
        for order in permutations(outer):
            loops = (inner[1], still, *order)
            none, every = (_loaded(n - (n - 1) * overlap, inside, first, overlap, loops) / n
                           for overlap in (1.0, 0.0))     # of which it is a linear function
            found.append((none, every - none))
        return found

    def spared(self, asked: np.ndarray, tile: np.ndarray, array: np.ndarray, steps: dict[str, np.ndarray],
               between: np.ndarray | float | None, in_order: tuple[str, ...] | None = None) -> np.ndarray:
        """The share of the passes in which a tile need not be loaded, since loops of the axis outside an
        instance go on with steps inside or undo them, as `asked` (codes of one tensor and axis): those of the
        middle level, and then, after so many iterations `between` (None: not at all), of the outer one, with
        no other loop before them that moves the tensor; of the middle level those of some ranks `in_order`,
        if that is given, or else in the best order.

        `tile` and `array` are lattice points, of the level that the window slides at and of the array."""
        codes, which = np.unique(asked, return_inverse=True)
        states = [self.hopes.state(code) for code in codes.tolist()]
        inside = np.array([float(state.inside) for state in states])[which.ravel()]
        first = np.array([float(state.first) for state in states])[which.ravel()]
        axis = self.axes[states[0].tensor][self.l.ranks[states[0].ranks[0]]]
        around = self._moving(axis)
        inner, outer = self._loops(around, array, steps)
        overlap = np.maximum(1.0 - first / self.l.interval(axis)[tile], 0.0)
        known = dict(zip((term.rank for term in around), inner, strict=True))
        middle = permutations(inner) if in_order is None else [[known[rank] for rank in in_order]]
        orders = [[*order] if between is None else [*order, (0.0 * first, between), *then]
                  for order in middle for then in permutations(outer)]
        return -np.minimum.reduce([_loaded(0.0 * first, inside, first, overlap, order) for order in orders])

    def _loops(self, around: list[Term], array: np.ndarray,
               steps: dict[str, np.ndarray]) -> tuple[Loops, Loops]:
        """Step and iterations of the loops of some ranks: of the middle level, around the `array`, of which
        `steps` are known, and of the outer one."""
        inner, outer = [], []
        for term in around:
            k = self.l.ranks.index(term.rank)
            held, unit = self.l.points[array, k], abs(term.coefficient)
            n = steps.get(term.rank, np.ones(len(array)))
            inner.append((unit * held, n))
            outer.append((unit * held * n, self.l.extents[k] / (held * n)))
        return inner, outer

    def partner(self, tensor: Tensor, slider: str) -> list[str]:
        """The other rank of the axis of `slider`, if there is one other."""
        axis = self.axes[tensor.name][slider]
        return [t.rank for t in self._moving(axis) if t.rank != slider] if self.simple(tensor, slider) else []

    def inside(self, tensor: Tensor, slider: str, tile: np.ndarray, quotients: np.ndarray,
               ended: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The share that is left when `slider` steps innermost at a level with loops of so many iterations
        around `tile`: if no loop outside goes on with its steps or undoes some, and if one may, or less;
        and what that asks of the loops outside (see `Hopes`), 0 where it may not be. `ended`: where a loop of
        another axis is the next that moves the tensor."""
        if not self.simple(tensor, slider):
            n = quotients[:, self.l.ranks.index(slider)]
            least = self.share(tensor, slider, tile, tile, n, "any")
            return least, least, np.zeros(len(tile), dtype=np.int64)
        rest = [k for k, rank in enumerate(self.l.ranks) if rank in tensor.ranks
                and rank not in (slider, *self.partner(tensor, slider))]
        ends = (quotients[:, rest] > 1).any(axis=1)
        i, j = (self.l.ranks.index(rank) for rank in (slider, *self.partner(tensor, slider)))
        where = self.l.grid[i, tile], self._order[i][quotients[:, i]], self.l.grid[j, tile], \
            self._order[j][quotients[:, j]]
        share, slid, least, asks = (table[where] for table in self._tables(tensor, slider, i, j))
        share = np.where(ended, slid, share)
        return share, np.where(ends, share, least), np.where(ends, 0, asks)

    @cached_property
    def _order(self) -> list[np.ndarray]:
        """For each rank which of its divisors a number is."""
        return [np.searchsorted(divisors(int(n)), np.arange(int(n) + 1)) for n in self.l.extents]

    def _tables(self, tensor: Tensor, slider: str, i: int, j: int) -> tuple[np.ndarray, ...]:
        """By what a tile holds and how often loops iterate, of the slider's rank and of the other (`i`, `j`):
        the share if no loop outside goes on, without the other rank next, and if one may; what that asks."""
        if (tensor.name, slider) not in self._inside:
            sizes = [len(divisors(int(self.l.extents[k]))) for k in (i, i, j, j)]
            index = np.indices(sizes).reshape(4, -1)
            tile = index[0] * self.l.strides[i] + index[2] * self.l.strides[j]
            n, m = self.l.divisors[i][index[1]], self.l.divisors[j][index[3]]
            good = (self.l.extents[i] % (self.l.points[tile, i] * n) == 0) & (
                self.l.extents[j] % (self.l.points[tile, j] * m) == 0)
            tables = []
            for values in self._followed(tensor, slider, tile[good], n[good], m[good]):
                tables.append(np.zeros(len(tile), dtype=values.dtype))
                tables[-1][good] = values
            self._inside[tensor.name, slider] = tuple(table.reshape(sizes) for table in tables)
        return self._inside[tensor.name, slider]

    def _followed(self, tensor: Tensor, slider: str, tile: np.ndarray, n: np.ndarray,
                  m: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `_tables` holds, where loops of the two ranks iterate `n` and `m` times around `tile`."""
        axis, held = self.axes[tensor.name][slider], self.l.points[tile]
        own, other = sorted(self._moving(axis), key=lambda term: term.rank != slider)
        i, j = (self.l.ranks.index(term.rank) for term in (own, other))
        first = abs(own.coefficient) * held[:, i]
        overlap = np.maximum(1.0 - first / self.l.interval(axis)[tile], 0.0)
        slid = n - (n - 1) * overlap
        words, inside = advance(slid, np.where(n > 1, first, 0), first, overlap,
                                 abs(other.coefficient) * held[:, j], m)
        share, taken = words / (n * m), n * m
        around = [(int(self.l.extents[k]), abs(term.coefficient)) for term, k in ((own, i), (other, j))]
        states = np.stack([held[:, i] * n, held[:, j] * m, inside, first], axis=1).astype(np.int64).tolist()
        meets = np.array([may_meet(around[0], around[1], *state) for state in states])
        # The most that a single iteration of a loop outside loads less than a tile.
        spared = np.choose(meets, [0.0, overlap, 1.0])
        follows = share - spared * (1.0 - taken / self._passes(axis)[tile]) / taken
        least = np.maximum(self.share(tensor, slider, tile, tile, n, "any"), follows)
        asks = np.zeros(len(tile), dtype=np.int64)
        for row in np.flatnonzero(spared > 0).tolist():
            asks[row] = self.hopes.code(State(tensor.name, (i, j), (around[0], around[1]), states[row][2],
                                              states[row][3], 1 if overlap[row] > 0 else 2))
        return share, slid / n, np.where(spared > 0, least, share), asks

    def meets(self, tensor: Tensor, slider: str, times: int) -> np.ndarray:
        """At every point, whether the other rank of the axis steps so many times as far as the slider."""
        def meet() -> np.ndarray:
            unit = {term.rank: abs(term.coefficient) for term in self.axes[tensor.name][slider]}
            own, its = (unit[rank] * self.l.points[:, self.l.ranks.index(rank)]
                        for rank in (slider, *self.partner(tensor, slider)))
            return np.asarray(its == times * own)

        return self.l.once(("meets", tensor.name, slider, times), meet)

    def _passes(self, axis: Axis) -> np.ndarray:
        """Iterations of all loops above a point that move the axis."""
        ranks = frozenset(t.rank for t in self._moving(axis))
        return self.l.once(("passes", ranks), lambda: self.l.product(ranks)[-1] / self.l.product(ranks))

    def undone(self, axis: Axis, slider: str, deep: bool) -> np.ndarray:
        """At every point, whether a step of another window rank may equal steps of the slider, so that it
        moves nothing or seems to slide on."""
        def undo() -> np.ndarray:
            own, *others = sorted(self._moving(axis), key=lambda term: term.rank != slider)
            i = self.l.ranks.index(slider)
            indices = [self.l.ranks.index(t.rank) for t in others]
            if len(others) > 1:
                return np.asarray((self.l.points[:, indices] < self.l.extents[indices]).any(axis=1))
            j, = indices
            table = _undo_table(int(self.l.extents[i]), abs(own.coefficient),
                                int(self.l.extents[j]), abs(others[0].coefficient), deep)
            return np.asarray(table[self.l.grid[i], self.l.grid[j]])

        return self.l.once(("undone", axis, slider, deep), undo)


def _loaded(words: np.ndarray, inside: np.ndarray, first: np.ndarray, overlap: np.ndarray | float,
            order: Sequence[tuple[np.ndarray, np.ndarray | float]]) -> np.ndarray:
    """Tiles loaded an iteration of loops around, in one order; see `advance`."""
    for step, n in order:
        words, inside = advance(words, inside, first, overlap, step, n)
    return words / prod([n for _, n in order], start=1.0)


@cache
def _undo_table(extent: int, unit: int, other_extent: int, other_unit: int, deep: bool) -> np.ndarray:
    """Whether steps may undo each other, for every pair of divisors held: the slider's and the other rank's.

    A rank steps at up to two levels, by unit * v and unit * w with v | w | extent, both below the
    extent. A step of one loop undoes others only if it equals their sum, in which the slider's
    innermost step counts once or twice. Where a rank steps at more levels (`deep`), a sum of steps of
    either is at least some multiple of the smallest step of both.
    """
    table = np.zeros((len(divisors(extent)), len(divisors(other_extent))), dtype=bool)
    for i, held in enumerate(divisors(extent)):
        for j, other in enumerate(divisors(other_extent)):
            small, other_small = unit * held, other_unit * other
            if held == extent or other == other_extent:
                continue
            if deep:
                table[i, j] = lcm(small, other_small) <= 2 * min(unit * extent, other_unit * other_extent)
                continue
            large = [unit * w for w in divisors(extent) if w < extent and w % held == 0]
            other_large = [other_unit * w for w in divisors(other_extent)
                           if w < other_extent and w % other == 0]
            sums = {c * small for c in (1, 2)} | {c * small + w for c in (1, 2) for w in large}
            sums |= {w - c * small for c in (1, 2) for w in large}
            other_sums = set(other_large) | {w + other_small for w in other_large}
            other_sums |= {w - other_small for w in other_large}
            table[i, j] = (any(x > 0 and x % other_small == 0 for x in sums)
                           and any(x > 0 and x % small == 0 for x in other_sums))
    return table
