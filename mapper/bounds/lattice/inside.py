"""What happens inside one instance of an array: the levels below it, as far as the outside can tell.

One *pass* is what an instance does while the loops outside stand still: it works through the tile of its
outermost level. A *stream* brings a tensor to one of the levels that keep it. Of a pass the outside sees the
tile, the words of each stream, and whether it *stays*: no loop of the pass moves what it brings, so that the
next pass may find it in place. Ways through a pass in which more words enter than in others, and no more
stays, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Iterator

import numpy as np

from ...mapping.rules import TEMPORAL
from ...mapping.template import Keep
from ...workload.einsum import Tensor
from .lattice import Lattice
from .ways import Stream, Ways, by_what_stays

#: Tensors, and the ranks whose loops leave these in place.
_Class = tuple[frozenset[str], frozenset[str]]

#: Pairs of the tiles of two levels looked at, at most.
_MOST_PAIRS = 20_000_000
_PAIRS_AT_A_TIME = 1_000_000


def ways_inside(lattice: Lattice, keep: Keep) -> list[Ways] | None:
    """All ways through a pass, for what the levels below the array keep, by what stays; None when there are
    too many."""
    unit, none = np.zeros(1, dtype=np.int64), np.zeros((1, 0), dtype=np.int32)
    ways = [Ways(frozenset(), unit, {}, none, none.astype(np.int8), unit, np.zeros(1))]
    for level in range(lattice.depth - 1, lattice.array_level, -1):
        found: list[Ways] = []
        for way in ways:
            wider = _around(lattice, level, keep[level], way)
            if wider is None:
                return None
            found += wider
        ways = by_what_stays(found)
    return ways


def _around(lattice: Lattice, level: int, names: frozenset[str], ways: Ways) -> list[Ways] | None:
    """The ways with a level more around them, which keeps the tensors `names`."""
    if not names and _needless(lattice, level, ways):
        return [replace(ways, chain=_before(ways.tile, ways.chain), orders=_before(-1, ways.orders))]
    capacity = lattice.arch.levels[level].capacity_words
    words = np.zeros(len(lattice.points))
    for name in names:
        words = words + lattice.volumes[name] * lattice.prices.held(level, name)
    fits = words <= (inf if capacity is None else capacity)
    if level == lattice.array_level + 1:
        fits &= lattice.one_of_two
    if lattice.coarse:
        half = words >= words[fits].max(initial=0.0) / 2
        fits &= half if names else np.isin(np.arange(len(fits)), ways.tile)
    tiles = np.flatnonzero(fits)
    if len(tiles) * len(ways.tile) > 60 * _MOST_PAIRS:
        return None
    found, total = list[Ways](), 0
    for inner, outer in _nested(lattice, level, ways.tile, tiles, _idle(lattice, level, ways)):
        total += len(inner)
        if total > _MOST_PAIRS:
            return None
        part = ways.at(inner)
        tensors = [t for t in lattice.einsum.tensors if any(t.name == name for name, _ in ways.stays)]
        quotients = lattice.points[outer] // lattice.points[part.tile]
        some = np.flatnonzero(~lattice.windows.hopes.ended(part.asks, quotients))
        part, outer, quotients = part.at(some), outer[some], quotients[some]
        for stays, where in _by_mask(lattice, tensors, quotients):
            found += _run(lattice, level, names, stays, part.at(where), outer[where], quotients[where])
        if sum(len(way.tile) for way in found) > _PAIRS_AT_A_TIME:
            found = by_what_stays(found)
    return found


def _before(first: np.ndarray | int, columns: np.ndarray) -> np.ndarray:
    """The `columns` with another one before them, of the same type."""
    wider = np.empty((len(columns), columns.shape[1] + 1), dtype=columns.dtype)
    wider[:, 0], wider[:, 1:] = first, columns
    return wider


def _needless(lattice: Lattice, level: int, ways: Ways) -> bool:
    """Whether loops of a level that keeps nothing may as well be loops of the next level around it.

    A rank with loops at both moves as many words or fewer with all of them where the inner ones are: of a
    tensor that it moves, loops count from the innermost on that moves it. Only windows take more from loops
    of two ranks in turn."""
    windows = {name for name, _ in ways.words} & {name for name, axes in lattice.windows.axes.items() if axes}
    least, most = (table[:, TEMPORAL, lattice.columns] for table in (lattice.rules.least, lattice.rules.most))
    return level > lattice.array_level + 1 and not windows and bool(
        (least[level] == 1).all() and (most[level - 1] >= lattice.extents).all())


def _idle(lattice: Lattice, level: int, ways: Ways) -> list[int]:
    """The ranks that need no loops at a level, since these may as well be inside the tiles of the innermost
    level that keeps something: they move none of what is kept inside, and take no room there."""
    levels = [i for _, i in ways.words]
    moving = frozenset().union(*(lattice.einsum.tensor(name).ranks for name, _ in ways.words))
    least, most = lattice.rules.least[level, TEMPORAL], lattice.rules.most[max(levels, default=0), TEMPORAL]
    return [i for i, (rank, column) in enumerate(zip(lattice.ranks, lattice.columns, strict=True))
            if levels and rank not in moving and least[column] == 1 and most[column] >= lattice.extents[i]]


def _nested(lattice: Lattice, level: int, inner: np.ndarray, outer: np.ndarray,
            idle: list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (row of `inner`, point of `outer`) with a point that its own divides, some at a time; the same in
    the ranks that are `idle`."""
    tables = lattice.quotient_tables(level, TEMPORAL)
    tables = [np.eye(len(table), dtype=bool) if i in idle else table for i, table in enumerate(tables)]
    step = max(_PAIRS_AT_A_TIME // max(len(inner), 1), 1)
    for start in range(0, len(outer), step):
        some = outer[start:start + step]
        fits = np.ones((len(inner), len(some)), dtype=bool)
        for i, table in enumerate(tables):
            fits &= table[lattice.grid[i, inner]][:, lattice.grid[i, some]]
        rows, columns = np.nonzero(fits)
        yield rows, some[columns]


def _by_mask(lattice: Lattice, tensors: list[Tensor],
             quotients: np.ndarray) -> Iterator[tuple[frozenset[str], np.ndarray]]:
    """Which of the `tensors` stay through loops of so many iterations, and where."""
    code = np.zeros(len(quotients), dtype=np.int64)
    for bit, tensor in enumerate(tensors):
        own = [i for i, rank in enumerate(lattice.ranks) if rank in tensor.ranks]
        code |= (quotients[:, own] == 1).all(axis=1).astype(np.int64) << bit
    for value in np.unique(code):
        stays = frozenset(t.name for bit, t in enumerate(tensors) if value >> bit & 1)
        yield stays, np.flatnonzero(code == value)


def _run(lattice: Lattice, level: int, names: frozenset[str], unmoved: frozenset[str], ways: Ways,
         outer: np.ndarray, quotients: np.ndarray) -> list[Ways]:
    """The ways with loops of so many iterations around them, once for each class of the innermost of them
    that makes a difference."""
    stays = frozenset(stream for stream in ways.stays if stream[0] in unmoved)
    moved = ways.stays - stays
    found = []
    for order in _orders(lattice, moved) if moved else [_Order(-1, frozenset(), frozenset())]:
        rows = np.flatnonzero(order.matters(lattice, quotients))
        if len(rows):
            own = {(name, level): lattice.volumes[name][outer[rows]] for name in names}
            found += _in_order(lattice, order, stays, ways.at(rows), own, outer[rows], quotients[rows])
    return found


def _in_order(lattice: Lattice, order: _Order, stays: frozenset[Stream], ways: Ways,
              own: dict[Stream, np.ndarray], outer: np.ndarray, quotients: np.ndarray) -> list[Ways]:
    """The ways with loops in this order around them, which leave the streams `stays` in place, and with the
    words of the level's `own` streams: if nothing outside does what they ask for, and if something may."""
    moved, hopes = ways.stays - stays, lattice.windows.hopes
    every = quotients.prod(axis=1, dtype=float)
    axes = lattice.windows.axes.values()
    windows = [i for i, rank in enumerate(lattice.ranks) if any(rank in own for own in axes)]
    # Loops of this level may be those that were asked for.
    asked = np.where((ways.asks > 0) & (quotients[:, windows] > 1).any(axis=1), 1, ways.asks)
    alone, followed, asks = dict[Stream, np.ndarray](), dict[Stream, np.ndarray](), np.zeros_like(asked)
    for stream, entering in ways.words.items():
        alone[stream] = followed[stream] = entering if stream in stays else entering * every
        if stream in moved:
            tensor = lattice.einsum.tensor(stream[0])
            tiles, least, more = _entering(lattice, tensor, order, ways.tile, quotients)
            alone[stream], followed[stream] = entering * tiles, entering * least
            asks = hopes.either(asks, more)
    chain, orders = _before(outer, ways.chain), _before(order.index, ways.orders)
    # Ways that asked for something before may ask for more at no price.
    words = {stream: np.where(asked > 0, followed[stream], w) for stream, w in alone.items()}
    still_asked = np.where((asked > 0) & (asks > 0), 1, asked)
    found, stays = [], stays | frozenset(own)
    if order.apart is None:
        found.append(Ways(stays, outer, {**words, **own}, chain, orders, still_asked, ways.spare * every))
    hoping = (asked == 0) & (asks > 0)
    for other in order.parts:
        hoping &= ~other.matters(lattice, quotients)
    if hoping.any():
        spare = np.sum([alone[stream] - followed[stream] for stream in moved], axis=0)
        way = Ways(stays, outer, {**followed, **own}, chain, orders, asks, spare)
        found.append(way.at(np.flatnonzero(hoping)))
    return found


@dataclass(frozen=True)
class _Order:
    """Which loops of a level are innermost: those of a class, with its `index`, which leave the tensors
    `still` in place, of all its `ranks`; or a loop that a window slides along (`slides`: its tensor and rank)
    and one of the `other` rank of the axis, before those of the `late` ranks, or where none of those `apart`
    iterates, of what asks for something outside. The latter are `parts` of the former."""

    index: int
    still: frozenset[str]
    ranks: frozenset[str]
    slides: tuple[str, str] = ("", "")
    other: str = ""
    late: frozenset[str] = frozenset()
    apart: frozenset[str] | None = None
    parts: tuple[_Order, ...] = ()

    def matters(self, lattice: Lattice, quotients: np.ndarray) -> np.ndarray:
        """Where these orders tell more than those with all loops of the class innermost."""
        if not self.other:
            return np.ones(len(quotients), dtype=bool)
        steps = quotients[:, [lattice.ranks.index(rank) for rank in (self.slides[1], self.other)]] > 1
        if self.apart is not None:
            return np.asarray(steps.all(axis=1) & ~_iterate(lattice, self.apart, quotients))
        return np.asarray(steps.all(axis=1) & _iterate(lattice, self.late, quotients))


def _orders(lattice: Lattice, moved: frozenset[Stream]) -> Iterator[_Order]:
    """Orders of the loops of a level that may be best for streams that are moved."""
    names = {name for name, _ in moved}
    for index, (still, ranks) in _worth_while(lattice, moved):
        still = still & names
        parts = tuple(_parts(lattice, _Order(index, still, ranks), names))
        yield _Order(index, still, ranks, parts=parts)
        yield from parts
        for name in sorted(names - still) if still else ():
            tensor = lattice.einsum.tensor(name)
            for slider in sorted(lattice.windows.sliders(tensor) & ranks):
                for other in lattice.windows.partner(tensor, slider):
                    if late := (ranks & tensor.ranks) - {slider, other}:
                        yield _Order(index, still, ranks, (name, slider), other, late)


def _parts(lattice: Lattice, order: _Order, names: set[str]) -> Iterator[_Order]:
    """The orders apart for windows that either of two ranks may slide along."""
    for name in sorted(names):
        tensor = lattice.einsum.tensor(name)
        sliders = lattice.windows.sliders(tensor) & (tensor.ranks if name in order.still else order.ranks)
        for slider in sorted(sliders):
            for other in sliders & set(lattice.windows.partner(tensor, slider)):
                rest = (tensor.ranks & frozenset(lattice.ranks)) - {slider, other}
                yield replace(order, slides=(name, slider), other=other, apart=rest)


def _iterate(lattice: Lattice, ranks: frozenset[str], quotients: np.ndarray) -> np.ndarray:
    """Where one of the `ranks` has a loop."""
    own = [i for i, rank in enumerate(lattice.ranks) if rank in ranks]
    return np.asarray((quotients[:, own] > 1).any(axis=1))


def _worth_while(lattice: Lattice, moved: frozenset[Stream]) -> list[tuple[int, _Class]]:
    """The classes of innermost ranks that may be best for streams that are moved: for a single tensor, those
    that leave it in place."""
    classes, names = list(enumerate(lattice.classes.items())), {name for name, _ in moved}
    return [x for x in classes if len(names) == 1 and names <= x[1][0]][:1] or classes


def _entering(lattice: Lattice, tensor: Tensor, order: _Order, tile: np.ndarray,
              quotients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many tiles of a tensor that is moved enter: if no loop outside goes on with the steps of a window,
    and if one does; and what that asks for."""
    still, windows = tensor.name in order.still, lattice.windows
    counts = tensor.ranks | (order.late if order.other in tensor.ranks else frozenset())
    own = [i for i, rank in enumerate(lattice.ranks) if not still or rank in counts]
    tiles = quotients[:, own].prod(axis=1, dtype=float)
    alone, followed, asks = np.ones(len(tile)), np.ones(len(tile)), np.zeros(len(tile), dtype=np.int64)
    for rank in sorted(windows.sliders(tensor) & (tensor.ranks if still else order.ranks)):
        if order.slides[0] == tensor.name and order.slides[1] != rank:
            continue
        slides, ended = quotients[:, lattice.ranks.index(rank)] > 1, np.zeros(len(tile), dtype=bool)
        for other in windows.partner(tensor, rank) if order.still and not still and not order.late else ():
            ended = _iterate(lattice, (order.ranks & tensor.ranks) - {rank, other}, quotients)
        share, least, more = windows.inside(tensor, rank, tile, quotients, ended)
        alone = np.where(slides, np.minimum(alone, share), alone)
        followed = np.where(slides, np.minimum(followed, least), followed)
        asks = windows.hopes.either(asks, np.where(slides, more, 0))
    return tiles * alone, tiles * followed, asks
