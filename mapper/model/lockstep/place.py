"""Where mappings put the groups of units that skip in lockstep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...hardware.architecture import Architecture
from ...hardware.lockstep import Lockstep
from ...mapping.template import KINDS, slot
from ...workload.einsum import Einsum

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Placements:
    """What mappings say about groups; arrays of shape (batch, ranks).

    Attributes
    ----------
    tile : extents of the tile that feeds one group
    share : extents of all that one group runs through
    run : extents of what it runs through while the level of the barrier holds one tile
    spread : groups that wait for each other, by the rank that tells them apart
    groups : all groups at work; shape (batch,)
    """

    tile: Integers
    share: Integers
    run: Integers
    spread: Integers
    groups: Integers


def place(architecture: Architecture, lockstep: Lockstep, einsum: Einsum, factors: Integers) -> Placements:
    """The groups of mappings with the given factors of shape (batch, slots, ranks), see
    `mapping.template`. Where factors multiply to more than an extent, tiles reach no further than that."""
    extents = np.array(einsum.extents, np.int64)
    group = group_level(architecture, lockstep)
    top = group if lockstep.barrier is None else architecture.level_index(lockstep.barrier.level)
    split, spread = _spatial(factors, 0, group), _spatial(factors, top, group)

    def tile(level: int) -> Integers:
        return np.minimum(factors[:, slot(level, "temporal"):].prod(axis=1), extents)
    return Placements(tile(group), -(-extents // split), -(-tile(top) // spread), spread, split.prod(axis=1))


def group_level(architecture: Architecture, lockstep: Lockstep) -> int:
    """The storage level each instance of which feeds one group."""
    if lockstep.group is None:
        return len(architecture.levels) - 1
    return architecture.level_index(lockstep.group)


def _spatial(factors: Integers, first: int, end: int) -> Integers:
    """Instances that the loops below levels `first` to `end` (excluded) unroll over, by rank."""
    rows = [slot(level, kind) for level in range(first, end) for kind in KINDS[1:]]
    return np.asarray(factors[:, rows].prod(axis=1))
