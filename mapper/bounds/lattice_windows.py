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
from math import lcm
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..workload.einsum import Axis, Tensor, Term
from .arrays import divisors, smallest_prime

if TYPE_CHECKING:
    from .lattice import Lattice

#: Which loops may undo steps of a window: those of the slider's own level, those of one more level as well,
#: or those of any number of levels.
Reach = Literal["level", "two", "any"]


#: Of the steps of a window: the indices of its two ranks, their extents and coefficients, how far one
#: iteration of all loops so far has moved, the step of the innermost one, and what spares words: loops that
#: undo steps (2) or also those that go on with them (1).
State = tuple[tuple[int, int], tuple[tuple[int, int], tuple[int, int]], int, int, int]


class Windows:
    """The axes of the tensors of a lattice that several ranks move."""

    def __init__(self, lattice: Lattice) -> None:
        self.l = lattice
        #: By tensor and rank the axis that the rank moves together with others.
        self.axes: dict[str, dict[str, Axis]] = {
            t.name: {term.rank: axis for axis in t.projection if len(self._moving(axis)) > 1
                     for term in self._moving(axis)} for t in lattice.einsum.tensors}
        #: Tensors along which some ranks step forth and others back.
        self.both_ways = {t.name for t in lattice.einsum.tensors if any(
            len({term.coefficient > 0 for term in axis}) > 1 for axis in self.axes[t.name].values())}
        self.hopes = Hopes(lattice)
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
        axis = self.axes[tensor.name][slider]
        term = next(t for t in axis if t.rank == slider)
        i = self.l.ranks.index(slider)
        width, held = self.l.interval(axis)[tile], self.l.points[:, i][outer]
        fresh = np.minimum(abs(term.coefficient) * held / width, 1.0)
        most = self.l.extents[i] / held
        n = most if steps is None else steps
        share = fresh + (1.0 - fresh) / n
        one_way = tensor.name not in self.both_ways
        if reach == "level" and self.simple(tensor, slider):
            return np.asarray(share - self._spared(axis, term)[outer] / n
                              - self._repeated(axis, term)[outer] * (1.0 - fresh) / n)
        undone = self._undone(axis, term, reach == "any")[outer] & (n > 1)
        if undone.any():
            least = smallest_prime(int(self.l.extents[i])) if steps is None else n
            every = 1.0 / self._passes(axis)[outer] if one_way else 0.0
            share = np.where(undone, fresh * (1.0 - 1.0 / least) + every, share)
        return np.asarray(share)

    def run(self, tensor: Tensor, slider: str, tile: np.ndarray, array: np.ndarray,
            steps: dict[str, np.ndarray]) -> np.ndarray:
        """The share that is left, exactly, when no loop but those of the axis of `slider` moves the tensor at
        a level before loops of the same axis follow at the level outside; `steps` of both of its ranks.

        `tile` and `array` are lattice points; the tile of the level is larger than `array` by the steps."""
        axis = self.axes[tensor.name][slider]
        own, other = sorted(self._moving(axis), key=lambda term: term.rank != slider)
        i, j = (self.l.ranks.index(term.rank) for term in (own, other))
        one, held, whole = np.ones(len(tile)), self.l.points[array], self.l.extents
        moves = [(abs(term.coefficient) * held[:, k], steps.get(term.rank, one), whole[k] / held[:, k])
                 for term, k in ((own, i), (other, j))]
        width, (first, n, _) = self.l.interval(axis)[tile], moves[0]
        overlap = np.maximum(1.0 - first / width, 0.0)
        inside, words = np.where(n > 1, first, 0.0), n - (n - 1) * overlap
        words, inside = _advance(words, inside, first, overlap, moves[1][0], moves[1][1])
        least = np.full(len(tile), np.inf)
        for order in ((0, 1), (1, 0)):
            total, met = words, inside
            for k in order:
                step, taken, every = moves[k]
                total, met = _advance(total, met, first, overlap, step * taken, every / taken)
            least = np.minimum(least, total)
        return np.asarray(least / (moves[0][2] * moves[1][2]))

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
        words, inside = _advance(slid, np.where(n > 1, first, 0), first, overlap,
                                 abs(other.coefficient) * held[:, j], m)
        share, taken = words / (n * m), n * m
        around = [(int(self.l.extents[k]), abs(term.coefficient)) for term, k in ((own, i), (other, j))]
        states = np.stack([held[:, i] * n, held[:, j] * m, inside, first], axis=1).astype(np.int64).tolist()
        meets = np.array([_may_meet(around[0], around[1], *state) for state in states])
        # The most that a single iteration of a loop outside loads less than a tile.
        spared = np.choose(meets, [0.0, overlap, 1.0])
        follows = share - spared * (1.0 - taken / self._passes(axis)[tile]) / taken
        least = np.maximum(self.share(tensor, slider, tile, tile, n, "any"), follows)
        asks = np.zeros(len(tile), dtype=np.int64)
        for row in np.flatnonzero(spared > 0).tolist():
            asks[row] = self.hopes.code(((i, j), (around[0], around[1]), states[row][2], states[row][3],
                                         1 if overlap[row] > 0 else 2))
        return share, slid / n, np.where(spared > 0, least, share), asks

    def _spared(self, axis: Axis, slider: Term) -> np.ndarray:
        """At every point, the share of the iterations of the other rank's loop next to the slider's that move
        nothing, since its steps undo those of the slider."""
        return self._meets(axis, slider, 1)

    def _repeated(self, axis: Axis, slider: Term) -> np.ndarray:
        """At every point, the share of these iterations that seem to slide on."""
        return self._meets(axis, slider, 2)

    def _meets(self, axis: Axis, slider: Term, times: int) -> np.ndarray:
        other, = (t for t in self._moving(axis) if t.rank != slider.rank)
        own, its = (self.l.points[:, self.l.ranks.index(t.rank)] for t in (slider, other))
        meets = abs(other.coefficient) * its == times * abs(slider.coefficient) * own
        return np.where(meets, 1.0 - its / self.l.einsum.extent[other.rank], 0.0)

    def _passes(self, axis: Axis) -> np.ndarray:
        """Iterations of all loops above a point that move the axis."""
        return np.prod([self.l.extents[i] / self.l.points[:, i] for i in
                        (self.l.ranks.index(t.rank) for t in self._moving(axis))], axis=0)

    def _undone(self, axis: Axis, slider: Term, deep: bool) -> np.ndarray:
        """At every point, whether a step of another window rank may equal steps of the slider, so that it
        moves nothing or seems to slide on."""
        others = [t for t in self._moving(axis) if t.rank != slider.rank]
        i = self.l.ranks.index(slider.rank)
        indices = [self.l.ranks.index(t.rank) for t in others]
        if len(others) > 1:
            return np.asarray((self.l.points[:, indices] < self.l.extents[indices]).any(axis=1))
        j, = indices
        table = _undo_table(int(self.l.extents[i]), abs(slider.coefficient),
                            int(self.l.extents[j]), abs(others[0].coefficient), deep)
        return np.asarray(table[self.l.grid[i], self.l.grid[j]])


class Hopes:
    """What ways through a pass ask of the loops outside: that one of them may undo steps of a window, or go
    on with them. Each has a number; 0 asks for nothing, 1 for what the tile of the array does not tell."""

    def __init__(self, lattice: Lattice) -> None:
        self.l = lattice
        self._codes: dict[object, int] = {}
        self._may: list[np.ndarray] = []

    def code(self, state: State) -> int:
        """The number of what steps in this state ask for."""
        if state not in self._codes:
            (i, j), (own, other), inside, first, least = state
            table = np.array([[_may_meet(own, other, held, its, inside, first) >= least
                               for its in divisors(other[0])] for held in divisors(own[0])])
            self._codes[state] = len(self._may) + 2
            self._may.append(table[self.l.grid[i], self.l.grid[j]])
        return self._codes[state]

    def either(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """What is asked for where one of two is enough: the other, where one asks for nothing."""
        result = np.maximum(first, second)
        both = np.flatnonzero((first > 0) & (second > 0) & (first != second))
        result[both] = 1
        pairs, which = np.unique(np.stack([first[both], second[both]], axis=1), axis=0, return_inverse=True)
        for n, (one, two) in enumerate(pairs.tolist()):
            if min(one, two) > 1:
                if (one, two) not in self._codes:
                    self._codes[one, two] = len(self._may) + 2
                    self._may.append(self._may[one - 2] | self._may[two - 2])
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


def _advance(words: np.ndarray, inside: np.ndarray, first: np.ndarray, overlap: np.ndarray,
             step: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tiles loaded, and how far one iteration of all loops has moved, with a loop of `n` iterations more.
    `first`: the step of the innermost loop, which leaves an `overlap`."""
    spared = np.where(step == inside, 1.0, np.where(step - inside == first, overlap, 0.0))
    return words * n - (n - 1) * spared, inside + np.where(n > 1, step, 0.0)


@cache
def _may_meet(own: tuple[int, int], other: tuple[int, int], held: int, its: int, inside: int, first: int,
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
            found = max(found, 2 if net == 0 else int(net == first), _may_meet(own, other, *after))
            if found == 2:
                return found
    return found


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
