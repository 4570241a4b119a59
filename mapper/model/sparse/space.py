"""Instances that are never asked: skipping in space.

A level that skips in space hands work only to instances that have some: of the instances along its
spatial loops that step the conditioning tensor, those whose part of it is not empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

import numpy as np

from ...hardware.sparsity import Condition, Optimization
from .nest import Array, SparseNest
from .zeros import Zeros


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Share of the instances below a level that must be there, that are at work on average, and that each
    of the conditioning tensors leaves at work."""

    there: Array
    active: Array
    by_tensor: Mapping[str, Array]


def p_unasked(nest: SparseNest, zeros: Mapping[str, Zeros], condition: Condition,
              level: int) -> dict[str, Array]:
    """By conditioning tensor, the probability that the part of an instance below `level` is empty."""
    return {name: zeros[name].empty(zeros[name].tile(nest.tiles[level + 1])) for name in condition.on}


def asked(nest: SparseNest, zeros: Mapping[str, Zeros], optimizations: Sequence[Optimization],
          level: int) -> Asked:
    """What skipping in space at `level` leaves of the instances below it.

    Where the non-zeros of a tensor may all fall to some of the instances, none can be left out, and all
    are taken to be kept at work.
    """
    there = active = np.ones(nest.size)
    by_tensor: dict[str, Array] = {}
    spatial = [loop for loop in nest.loops[level] if loop.spatial]
    names = dict.fromkeys(name for x in optimizations for option in x.options for name in option.on)
    seen: set[int] = set()
    for name in names:
        along = [loop for loop in spatial if loop.rank in zeros[name].shape.ranks]
        if not along:
            continue
        instances: Array = np.prod([loop.factor for loop in along], axis=0)
        inner = list(nest.tiles[level + 1])
        part = zeros[name].tile(tuple(inner))
        for loop in along:
            inner[loop.rank] = inner[loop.rank] * loop.factor
        most = np.minimum(instances, zeros[name].most(zeros[name].tile(tuple(inner)))) / instances
        share = np.where((most > 0) & (most < 1), 1.0 - zeros[name].empty(part), 1.0)
        most = np.where(most > 0, most, 1.0)        # nothing to do anywhere: they stand idle
        apart = seen.isdisjoint(loop.rank for loop in along)
        there = there * most if apart else np.minimum(there, most)
        active = active * share if apart else np.minimum(active, share)
        seen |= {loop.rank for loop in along}
        by_tensor[name] = share
    return Asked(there, active, by_tensor)
