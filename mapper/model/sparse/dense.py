"""What a dense run of the mappings does: where the sparse model starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ..counts import Counts
from .nest import Array


@dataclass(frozen=True, slots=True, eq=False)
class DenseAccesses:
    """Accesses of one average instance of a level that keeps the tensor, an entry a mapping."""

    reads: Array
    fills: Array
    updates: Array
    temporal_reductions: Array


@dataclass(frozen=True, eq=False)
class DenseCounts:
    """`levels`: by storage level, outermost first, the tensors kept there. `computes` of all units
    together; `instances` at work, of each storage level and of the units."""

    levels: tuple[Mapping[str, DenseAccesses], ...]
    computes: Array
    instances: tuple[Array, ...]

    @classmethod
    def of(cls, counts: Counts) -> DenseCounts:
        """A batch of one."""
        levels: list[dict[str, DenseAccesses]] = [{} for _ in counts.instances[:-1]]
        for tensor, traffic in counts.traffic.items():
            for level, x in enumerate(traffic.accesses):
                if x is not None:
                    levels[level][tensor] = DenseAccesses(*(np.full(1, float(n)) for n in (
                        x.reads, x.fills, x.updates, x.temporal_reductions)))
        return cls(tuple(levels), np.full(1, float(counts.computes)),
                   tuple(np.full(1, float(n)) for n in counts.instances))
