"""How often an access to one tensor is ineffectual because another tensor is zero there.

An access to the target serves all work until its words change: it is of no use when the part of each
conditioning tensor that this work meets, the *leader tile*, has no non-zero at all
(Timeloop: sparse-analysis/storage-gs-analyzer.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ...hardware.sparsity import Condition
from .nest import Array, Loop, Mask, SparseNest
from .zeros import Zeros


@dataclass(eq=False)
class _Leader:
    """The work that one access of the target serves, while it is put together from the loops: `extents`
    of all of it by rank, and `factors` of the loops that step the target, of which each access
    sees one iteration."""

    extents: list[Array]
    words: Array              # of the target, in the tile that is accessed
    found: Mask               # the loop that steps the target has been met
    spatial: Mask             # that loop runs over instances
    in_time: Mask             # a loop in time is among those met
    factors: list[Array]
    shared: Mask              # a loop that both tensors depend on is among those of `factors`
    lost: Mask                # instances see different parts: Timeloop gives up
    first: list[Mask]         # the rank of the loop that was found


def p_empty(nest: SparseNest, zeros: Mapping[str, Zeros], condition: Condition, level: int,
            block_words: int) -> dict[str, Array]:
    """By conditioning tensor, the probability that it is empty where an access of `condition.target` at
    `level`, which keeps it, is used.

    `block_words` are read at once: all of them must be of no use.
    """
    found = {}
    for name in condition.on:
        tile, lost = leader_tile(nest, zeros[condition.target], zeros[name], condition.target, level,
                                 block_words)
        found[name] = np.where(lost, 0.0, zeros[name].empty(tile))
    return found


def leader_tile(nest: SparseNest, target: Zeros, leader: Zeros, name: str, level: int,
                block_words: int) -> tuple[Array, Mask]:
    """The part of the `leader` tensor that one access of the target `name` at `level` meets, and
    where Timeloop finds none."""
    below, levels = nest.below(name, level), len(nest.keep)
    ones, no = np.ones(nest.size), np.zeros(nest.size, dtype=np.bool_)
    ranks = range(len(nest.einsum.ranks))
    x = _Leader([ones] * len(ranks), ones, no, no, no, [ones] * len(ranks), no, no, [no] * len(ranks))
    if below == levels and not nest.unrolled[-1]:       # single words go to units
        block = _block(nest, ones, block_words)
        if target.semantics == "exact":
            _share(block, nest.between(levels - 2, level), target)
        return leader.tile(tuple(block)), no
    loops = nest.between(below - 1, level)
    if below == levels:
        _meet_units(nest, x, target, leader)
        loops = [loop for loop in loops if not (loop.spatial and loop.level == levels - 1)]
    for loop in loops:
        _meet(x, loop, target, leader, below < levels)
    # Where no loop steps the target, all of the tile is met.
    for rank in ranks:
        x.extents[rank] = np.where(x.found, x.extents[rank], nest.tiles[level][rank])
    x.words = np.where(x.found, x.words, target.tile(nest.tiles[level]).prod(axis=0))
    if target.semantics == "exact" and below < levels:
        _stay(x, [loop for loop in nest.between(level - 1, 0) if not loop.spatial], target)
    return leader.tile(tuple(_stepped(x, block_words, target.semantics == "timeloop"))), x.lost


def _block(nest: SparseNest, ones: Array, block_words: int) -> list[Array]:
    """The work that a block of words serves: so many iterations of the innermost loop."""
    extents, known = [ones] * len(nest.einsum.ranks), ones < 1
    for loop in nest.between(len(nest.keep) - 1, 0) if block_words > 1 else ():
        extents[loop.rank] = np.where(loop.real & ~known, float(block_words), extents[loop.rank])
        known = known | loop.real
    return extents


def _share(extents: list[Array], loops: list[Loop], target: Zeros) -> None:
    """A word is sent once to all instances that want it, of levels that do not keep it."""
    for loop in loops:
        if loop.spatial and loop.rank not in target.shape.ranks:
            extents[loop.rank] = extents[loop.rank] * loop.factor


def _meet_units(nest: SparseNest, x: _Leader, target: Zeros, leader: Zeros) -> None:
    """Words go to units: the innermost loop over these that steps the target decides, or all of them."""
    loops = [loop for loop in nest.loops[-1] if loop.spatial]
    last = loops[-1].extents if loops else tuple(x.extents)
    for loop in loops:
        _meet(x, loop, target, leader, False)
    for rank, extent in enumerate(last):
        x.extents[rank] = np.where(x.found, x.extents[rank], extent)
    x.words = np.where(x.found, x.words, target.tile(last).prod(axis=0))
    x.spatial = x.spatial | ~x.found
    x.found = np.ones_like(x.found)


def _meet(x: _Leader, loop: Loop, target: Zeros, leader: Zeros, kept_below: bool) -> None:
    """Go on to the next loop outside."""
    steps, common = loop.rank in target.shape.ranks, loop.rank in leader.shape.ranks
    here = loop.real & ~x.found if steps else np.zeros_like(x.found)
    if loop.spatial:
        around = loop.real & x.found
    else:
        local = x.in_time | ~x.spatial
        around = loop.real & x.found & ~local if kept_below and not steps else np.zeros_like(x.found)
    if common and target.semantics == "timeloop":
        x.lost = x.lost | (around & x.spatial & x.shared)
    if not loop.spatial and (steps or not kept_below):
        x.in_time = x.in_time | (loop.real & x.found)
    for rank, extent in enumerate(loop.extents):
        x.extents[rank] = np.where(here, extent, x.extents[rank])
    x.words = np.where(here, target.tile(loop.extents).prod(axis=0), x.words)
    x.extents[loop.rank] = np.where(around, x.extents[loop.rank] * loop.factor, x.extents[loop.rank])
    if steps and target.semantics == "exact":       # Timeloop counts those of the first loop alone
        x.words = np.where(around, x.words * loop.factor, x.words)
    if steps and common:
        member = (here | around) & ~x.lost
        x.factors[loop.rank] = np.where(member, x.factors[loop.rank] * loop.factor, x.factors[loop.rank])
        x.shared = x.shared | member
    x.first[loop.rank] = x.first[loop.rank] | here
    x.spatial = np.where(here, loop.spatial, x.spatial)
    x.found = x.found | here


def _stay(x: _Leader, outer: list[Loop], target: Zeros) -> None:
    """Go on in time through loops of levels above, for as long as the words stay where they are."""
    stays = ~x.found | (x.spatial & ~x.in_time)
    for loop in outer:
        if loop.rank in target.shape.ranks:
            stays = stays & ~loop.real
        else:
            x.extents[loop.rank] = np.where(stays, x.extents[loop.rank] * loop.factor, x.extents[loop.rank])


def _stepped(x: _Leader, block_words: int, timeloop: bool) -> list[Array]:
    """Rank extents of the leader tile: one iteration of the loops that step both tensors, or as many as
    it takes to step through a block of the target's words."""
    steps: Array = np.prod(x.factors, axis=0)
    need = np.ceil(block_words / (x.words / steps))
    extents = list(x.extents)
    for rank, factor in enumerate(x.factors):
        stepped = factor > 1
        extents[rank] = np.where(stepped, np.ceil(extents[rank] / (factor / need)), extents[rank])
        left = need / factor
        need = np.where(stepped, left if timeloop else np.maximum(left, 1.0), need)
    for rank, first in enumerate(x.first):
        extents[rank] = np.where(first & (need > 1), np.floor(extents[rank] * need), extents[rank])
    return extents

