"""Which loops each rank of a representation stands for.

A representation writes a tile down as a tree: one rank after another, each an array of coordinates
whose payloads lead to the next. Loops that move the tensor are given to ranks one by one, or several
to a rank that flattens them; where a level holds tiles that a level below takes over as they are,
the ranks of that level come innermost ("pre-tiling" in metadata of compressed tiles).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Sequence

import numpy as np

from ...hardware.sparsity import RankFormat, Representation
from .nest import Array, Extents, Loop, Mask, SparseNest
from .zeros import Zeros


@dataclass(frozen=True, slots=True, eq=False)
class Rank:
    """One rank: coordinates in each fiber, and the tile (see `zeros`) below one coordinate."""

    coordinates: Array
    below: Array


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of a tile, innermost first; `tile` is what they cover. `valid`: where they hold all
    loops."""

    ranks: tuple[Rank, ...]
    tile: Array
    valid: Mask


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A loop that moves the tensor, as one rank or a part of one would stand for it."""

    rank: int
    factor: Array
    tile: Array       # words covered by all its iterations
    real: Mask


def level_ranks(nest: SparseNest, zeros: Zeros, level: int, below: int, form: Representation | None,
                child: Ranks | None) -> Ranks:
    """The ranks in which `level` holds its tile. `below` is the next level inside that keeps the tensor
    and `child` the ranks there, None where there is none. Where a level keeps no metadata (no
    `form`), its words stand in one rank."""
    tile = zeros.tile(nest.tiles[level])
    inner = nest.tiles[below] if child else (np.ones(nest.size),) * len(nest.einsum.ranks)
    if form is None:
        return Ranks((Rank(tile.prod(axis=0), zeros.point(nest.size)),), tile,
                     np.ones(nest.size, dtype=np.bool_))
    taken = np.full(nest.size, child is not None and form.compressed) & (zeros.tile(inner).prod(axis=0) > 1)
    start = len(child.ranks) if child else 0
    steps = _steps(nest, zeros, level, below, inner)
    alone = _assign(nest, zeros, form, steps, 0, zeros.point(nest.size), tile)
    if not child or not taken.any():
        return alone
    bare = [_Step(x.rank, x.factor, zeros.tile(x.extents), x.real)
            for x in nest.between(below - 1, level) if x.rank in zeros.shape.ranks]
    outer = _assign(nest, zeros, form, bare, start, child.tile, tile)
    if zeros.semantics == "exact":      # with too few ranks for that, all loops are written down here
        taken &= (outer.valid & child.valid) | ~alone.valid
    nested = [child.ranks[i] if i < start else outer.ranks[i] for i in range(len(form.ranks))]
    return Ranks(tuple(Rank(np.where(taken, a.coordinates, b.coordinates), np.where(taken, a.below, b.below))
                       for a, b in zip(nested, alone.ranks, strict=True)),
                 np.where(taken, outer.tile, alone.tile),
                 np.where(taken, outer.valid & child.valid, alone.valid))


def _innermost(steps: Sequence[_Step], tile: Array) -> Array:
    """The tile of the innermost step, or `tile` where there is none."""
    found = tile
    for step in reversed(steps):
        found = np.where(step.real, step.tile, found)
    return found


def _steps(nest: SparseNest, zeros: Zeros, level: int, below: int, inner: Extents) -> list[_Step]:
    """The loops from the inner tile up to that of `level`, the innermost of each rank taking in what the
    inner tile spans; ranks that only the inner tile spans come where the level above it has unused
    loops, last."""
    first = below - 1
    spatial = nest.unrolled[first]
    early = [x for x in nest.loops[first] if x.spatial == spatial]
    late = [x for x in nest.between(first, level) if x not in early]
    open_ = {rank: inner[rank].copy() for rank in sorted(zeros.shape.ranks)}
    steps = []

    def take(loops: Iterable[Loop]) -> None:
        for loop in loops:
            if loop.rank in open_:
                factor = np.where(loop.real, loop.factor * open_[loop.rank], 1.0)
                open_[loop.rank] = np.where(loop.real, 1.0, open_[loop.rank])
                steps.append(_Step(loop.rank, factor, zeros.tile(loop.extents), factor > 1))

    take(early)
    top = early[-1].extents if early else inner
    for rank, left in open_.items():
        if not (left > 1).any():
            continue
        steps.append(_Step(rank, left, zeros.tile(top), left > 1))
        open_[rank] = np.ones(nest.size)
    take(late)
    return steps


def _assign(nest: SparseNest, zeros: Zeros, form: Representation, steps: Sequence[_Step], start: int,
            inner: Array, tile: Array) -> Ranks:
    """Ranks from `start` on (innermost first) that cover `tile` with `steps` (innermost first); `inner` is
    the tile below them. Timeloop takes the tile of the first loop that a rank is given for that of all
    its loops, and the tile of the innermost loop of all for that of ranks without loops."""
    formats, count = form.ranks[::-1], len(form.ranks)
    order = range(start, count) if form.inner_to_outer else range(count - 1, start - 1, -1)
    holds = _holders(nest, formats, steps if form.inner_to_outer else steps[::-1], order)
    held = holds if form.inner_to_outer else holds[::-1]
    exact = zeros.semantics == "exact"
    spare = inner if exact else _innermost(steps, inner)
    outermost = exact or not form.inner_to_outer
    valid = np.full(nest.size, count >= start)
    for step, holder in zip(steps, held, strict=True):
        valid &= ~step.real | (holder >= 0)
    ranks, below = [Rank(np.ones(nest.size), inner)] * start, inner
    for index in range(start, count):
        extents = [np.ones(nest.size)] * len(nest.einsum.ranks)
        above, empty = below if exact else spare, np.ones(nest.size, dtype=np.bool_)
        for step, holder in zip(steps, held, strict=True):
            here = holder == index
            extents[step.rank] = np.where(here, extents[step.rank] * step.factor, extents[step.rank])
            above = np.where(here if outermost else here & empty, step.tile, above)
            empty &= ~here
        ranks.append(Rank(zeros.shape.words(extents), below))
        below = above
    return Ranks(tuple(ranks), tile if exact else below, valid)


def _holders(nest: SparseNest, formats: Sequence[RankFormat], steps: Sequence[_Step],
             order: Sequence[int]) -> list[np.ndarray]:
    """For each of the `steps`, which rank holds it in each mapping; -1 for none. Ranks are filled in
    the given `order`, one that is full or does not want a loop is passed over for good."""
    names = nest.einsum.ranks
    place = np.zeros(nest.size, dtype=np.int64)        # position in `order`
    group = np.full(nest.size, -1, dtype=np.int64)     # what the rank there holds: its group, or 0
    holders = []
    for step in steps:
        holder, waiting = np.full(nest.size, -1, dtype=np.int64), step.real.copy()
        for position, index in enumerate(order):
            here = waiting & (place == position)
            wanted = np.zeros(nest.size, dtype=np.bool_)
            groups = formats[index].flattened
            if not groups:
                wanted = here & (group < 0)
                group = np.where(wanted, 0, group)
            for number, members in enumerate(groups):
                if names[step.rank] in members:
                    fits = here & ((group < 0) | (group == number)) & ~wanted
                    group = np.where(fits, number, group)
                    wanted |= fits
            holder[wanted] = index
            waiting &= ~wanted
            passed = here & ~wanted
            place, group = np.where(passed, place + 1, place), np.where(passed, -1, group)
        holders.append(holder)
    return holders
