"""What is left of a bound over numbers of tiles, with every loop around the array known.

A bound over pairs (an instance's tile, a shape of the array) takes last passes to be cut short where that
spares most. With the factors of the middle known as well, it is known which are, and how large tiles are.
What may be spared then depends on the two loops that are innermost at their levels: of rank `i` in the
middle and of rank `j` further out.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import Callable, Iterator, Sequence

import numpy as np

from ...mapping.template import slot
from ...workload.einsum import Tensor
from .around import Around, Words
from .bound import Left, TileBound
from .inside import Pairs
from .outside import Rates
from .tiles import Tiles

_TOGETHER = 100_000           # nests looked at together

#: Of a split of a rank: coordinates in an instance's tile; iterations in the middle; tiles of the middle, and
#: the place of their number; instances that these have something for, all together; the share of words, at
#: the most, whose instance has one iteration in the middle in the pass that they belong to (all where there
#: is none); and whose instance has one iteration of all loops around the array, while others have two.
SIZE, FACTOR, OUTSIDE, PLACE, ENTERED, RESTING, SINGLE = range(7)
#: By one of these and by rank, arrays that broadcast to the nests.
_Columns = Callable[[int, int], np.ndarray]


class Ways:
    """The splits of a rank by the place of the number of tiles that instances have, and by iterations over
    the array."""

    def __init__(self, tiles: Tiles, i: int, splits: np.ndarray) -> None:
        middle, extent, counts = tiles.middle, tiles.extents[i], tiles.counts[i]
        size = np.minimum(splits[:, 3 * middle + 3:].prod(axis=1), extent)
        over = splits[:, [slot(middle, "x"), slot(middle, "y")]].prod(axis=1)
        place = np.searchsorted(counts, -(-extent // size))
        rows = np.unique(np.stack([place, over, size, splits[:, slot(middle, "temporal")]]), axis=1)
        table = _columns(extent, counts, *rows[1:])
        keys, starts = np.unique(rows[:2], axis=1, return_index=True)
        ends = [*starts[1:].tolist(), rows.shape[1]]
        self._of = {(t, s): table[:, start:end]
                    for t, s, start, end in zip(*keys.tolist(), starts.tolist(), ends, strict=True)}

    def of(self, t: int, s: int) -> np.ndarray:
        """Shape (columns, ways)."""
        return self._of.get((t, s), np.zeros((7, 0)))


def _columns(extent: int, counts: np.ndarray, over: np.ndarray, size: np.ndarray,
             f: np.ndarray) -> np.ndarray:
    tiles = -(-extent // size)
    passes = -(-tiles // over)
    outside = -(-passes // f)
    last = passes - (outside - 1) * f               # iterations in the last tile of the middle
    busy = tiles - (passes - 1) * over              # instances at work in the last pass over the array
    idle = np.minimum((over - busy) / np.maximum(tiles - 1, 1), 1.0)
    entered = (outside - 1) * over + np.where(last > 1, over, busy)
    short = np.where(last == 1, busy / tiles, np.where(last == 2, idle, 0.0))
    return np.stack([size, f, outside, np.searchsorted(counts, outside), entered,
                     np.where(f == 1, 1.0, short), np.where(passes == 2, idle, 0.0)])


@dataclass(frozen=True)
class Nests:
    """Pairs whose tiles have known sizes, with what is known of their splits, shape (columns, ranks,
    nests)."""

    pairs: Pairs
    columns: np.ndarray

    def at(self, where: np.ndarray) -> Nests:
        """Some of them."""
        return Nests(self.pairs.at(where), self.columns[:, :, where])

    def factors(self) -> np.ndarray:
        """With one way to spread over the array, and loops further out as long as need be; shape (nests,
        slots, ranks of the Einsum)."""
        tiles, count = self.pairs.of, self.columns.shape[2]
        found = np.ones((count, 3 * tiles.depth, len(tiles.einsum.ranks)), dtype=np.int64)
        shapes, which = np.unique(self.pairs.s, axis=1, return_inverse=True)
        sides = np.array([tiles.sides(shape) for shape in shapes.T])[which.ravel()]
        rows = {slot(tiles.middle, "temporal"): self.columns[FACTOR].T,
                slot(tiles.middle, "x"): sides[:, 0], slot(tiles.middle, "y"): sides[:, 1]}
        if tiles.middle:
            rows[slot(0, "temporal")] = self.columns[OUTSIDE].T
        if tiles.inside is not None:
            rows[slot(tiles.inside, "temporal")] = self.columns[SIZE].T
        for row, values in rows.items():
            found[:, row, tiles.columns] = values
        return found


class _Costs:
    """What tensors cost that enter instances, by pairs."""

    def __init__(self, bound: Around, pairs: Pairs) -> None:
        self.bound, self.pairs = bound, pairs
        self.fixed = bound.base + bound.asked(pairs)
        self.words: Words = {t.name: pairs.loads(t) for t in bound.held}
        self.once = {t.name: bound.once(t, pairs, self.words[t.name]) for t in bound.held}
        self.loose = {t.name: self._each(t, least_of(self.words[t.name])) for t in bound.held}
        self.tight = self.loose if pairs.factors is None else {
            t.name: self._each(t, self._inside(t)) for t in bound.held}
        every = None if pairs.factors is None else range(len(bound.l.ranks))
        self.anew = {(t.name, i): bound.moved(i, t, pairs, anew)[0] for t in bound.held
                     for anew in [pairs.loads(t, every)] for i in bound.l.moving(t)}

    def _each(self, tensor: Tensor, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What so many words cost for every tile of the middle, and for every instance that they enter
        then."""
        rates = self.bound.entering(tensor)
        if not self.bound.l.multicast:
            return np.zeros(len(words)), rates.word * words
        return rates.asked * words * self.pairs.shared(tensor), rates.filled * words

    def _inside(self, tensor: Tensor) -> np.ndarray:
        """Words that all tiles load, each once, if a loop of the middle moves the tensor."""
        moving, factors = self.bound.l.moving(tensor), self.pairs.factors
        words = self.pairs.loads(tensor, moving)
        assert factors is not None
        least = np.minimum.reduce([np.where(factors[r] > 1, words.get(r, words[None]), inf)
                                   for r in moving] or [words[None]])
        return np.asarray(np.where(least < inf, least, words[None]))

    def of(self, k: int | np.ndarray, columns: _Columns, i: int | None, j: int | None) -> np.ndarray | float:
        """Energy, or whatever else is counted, but for that outside of the middle, at the least; of one pair
        or some with the splits in `columns`; `j`: None if that is open, or nothing iterates there."""
        total: np.ndarray | float = self.fixed[k]
        for tensor in self.bound.held:
            total = total + self.tensor(tensor, k, columns, i, j)
        return total

    def tensor(self, tensor: Tensor, k: int | np.ndarray, columns: _Columns, i: int | None,
               j: int | None) -> np.ndarray | float:
        """The same of one tensor that enters instances."""
        name, moving, others = tensor.name, self.bound.l.moving(tensor), self.bound.l.others(tensor)
        outside, entered = (prod(columns(own, r) for r in others) for own in (OUTSIDE, ENTERED))
        loose, tight = (tile[k] * outside + entry[k] * entered for tile, entry in (
            self.loose[name], self.tight[name]))
        # What loops of the middle leave in place enters again when the middle changes, unless the innermost
        # loop outside leaves it in place as well.
        stays = columns(SINGLE, j) if j in moving else 1.0
        still = loose - stays * np.maximum(loose - self.once[name][k], 0.0)
        rested = prod(columns(RESTING, r) for r in moving if r != i)
        first = i if i is not None else j
        if first not in moving:
            return tight - rested * np.maximum(tight - still, 0.0)
        anew, rest = self.anew[name, first][k], columns(SINGLE if i is None else RESTING, first)
        still = loose - rested * np.maximum(loose - still, 0.0)
        return anew - rest * np.maximum(anew - still, 0.0)


class _Asked(Around):
    """Counts words that instances ask for."""

    def entering(self, tensor: Tensor) -> Rates:
        return Rates(1.0, 0.0, 0.0, 0.0)


def least_of(words: dict[int | None, np.ndarray]) -> np.ndarray:
    """Words however windows slide."""
    return np.asarray(np.minimum.reduce(list(words.values())))


def nests(bound: TileBound, ways: Sequence[Ways],
          left: Sequence[Left]) -> Iterator[tuple[int | None, Nests]]:
    """The nests of some pairs that may lie below the cutoff, by the rank of the innermost loop of the middle
    (None: nothing iterates there)."""
    costs = _Costs(bound, Pairs.together([x.pair for x in left]))
    room = bound.budget(costs.pairs.steps)
    outer = bound.table("any").ravel()
    for i in [None, *range(len(bound.l.ranks))]:
        waiting, count = list[Nests](), 0
        for k, found in enumerate(left):
            if i is not None and i not in found.innermost:
                continue
            own = [x.of(int(t), int(s)) for x, t, s in zip(
                ways, found.pair.t[:, 0], found.pair.s[:, 0], strict=True)]
            own = [x[:, x[FACTOR] > 1] if r == i else x[:, x[FACTOR] == 1] if i is None else x
                   for r, x in enumerate(own)]
            if all(x.shape[1] for x in own):
                waiting.append(_near(costs, k, own, i, room[k], outer))
                count += waiting[-1].columns.shape[2]
            if count > _TOGETHER:
                yield i, _together(bound, waiting)
                waiting, count = [], 0
        if count:
            yield i, _together(bound, waiting)


def _near(costs: _Costs, k: int, own: list[np.ndarray], i: int | None, room: float,
          outer: np.ndarray) -> Nests:
    """Combinations of splits of pair `k` that are near enough, whatever else is so."""
    tiles = costs.bound.l
    at = sum(tiles.along(r, x[PLACE].astype(np.int64) * tiles.strides[r]) for r, x in enumerate(own))
    energy = outer[at] + costs.of(k, lambda column, r: tiles.along(r, own[r][column]), i, None)
    grid = np.nonzero(energy < room)
    columns = np.stack([x[:, g] for x, g in zip(own, grid, strict=True)], axis=1)
    return Nests(costs.pairs.at(np.full(len(grid[0]), k)), columns)


def _together(bound: Around, parts: list[Nests]) -> Nests:
    """Those whose tiles fit."""
    columns, tiles = np.concatenate([x.columns for x in parts], axis=2), bound.l
    pairs = Pairs.together([x.pairs for x in parts]).known(
        *(columns[k].astype(np.int64) for k in (SIZE, FACTOR)))
    extents = np.array(tiles.extents)[:, None]
    fits = np.ones(columns.shape[2], dtype=bool)
    held = {tiles.middle: np.minimum(columns[SIZE] * pairs.s * columns[FACTOR], extents)}
    if tiles.inside is not None:
        held[tiles.inside] = columns[SIZE]
    for level, sizes in held.items():
        most = tiles.arch.levels[level].capacity_words
        if most is not None:
            kept = [t for t in bound.tensors if t.name in bound.keep[level]]
            fits &= sum((_words(tiles, t, sizes) for t in kept), np.zeros(len(fits))) <= most
    return Nests(pairs, columns).at(np.flatnonzero(fits))


def _words(tiles: Tiles, tensor: Tensor, extents: np.ndarray) -> np.ndarray:
    """Words in tiles of so many coordinates."""
    axes = (tiles.own(axis) for axis in tensor.projection)
    return np.asarray(prod((1.0 + sum(c * (extents[i] - 1.0) for i, c in own) for own in axes),
                           start=np.ones(extents.shape[1])))


def least(bound: TileBound, every: Nests, i: int | None) -> Iterator[tuple[int | None, Nests, np.ndarray]]:
    """By the rank of the innermost loop outside of the middle (None: nothing iterates there) the nests that
    may lie below the cutoff, with what is proven of them."""
    counts, asked = (_Costs(own, every.pairs) for own in (bound, _Asked(bound.l, bound.keep)))
    ports, further = [_Costs(port, every.pairs) for port in bound.ports], every.columns[OUTSIDE] > 1
    for j in [None, *range(len(further))]:
        some = np.flatnonzero(further[j] if j is not None else ~further.any(axis=0))
        energy, steps = _counted(counts, every, some, i, j), every.pairs.steps[some]
        for port in ports:
            steps = np.maximum(steps, _counted(port, every, some, i, j))
        near = energy < bound.budget(steps)
        some, energy, steps = some[near], energy[near], steps[near]
        energy = energy + _blocks(asked, every, some, i, j)
        near = energy < bound.budget(steps)
        if near.any():
            yield j, every.at(some[near]), bound.objective(energy[near], steps[near])


def _counted(costs: _Costs, every: Nests, some: np.ndarray, i: int | None, j: int | None) -> np.ndarray:
    """What some of the nests cost."""
    places = every.columns[PLACE][:, some].astype(np.int64)
    inner = costs.of(some, lambda column, r: every.columns[column][r][some], i, j)
    return np.asarray(costs.bound.outer(places, j) + inner)


def _blocks(asked: _Costs, every: Nests, some: np.ndarray, i: int | None, j: int | None) -> np.ndarray:
    """What it costs besides that instances are sent whole blocks."""
    total, bound = np.zeros(len(some)), asked.bound
    for tensor in bound.held:
        if not tensor.is_output:
            words = asked.tensor(tensor, some, lambda column, r: every.columns[column][r][some], i, j)
            total += bound.blocks(tensor, bound.parent(tensor), "read", np.asarray(words))
    return total
