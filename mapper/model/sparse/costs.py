"""`SparseCosts`: what mappings of one class cost on a machine that does something about zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ...hardware.architecture import Architecture
from ..cost import Semantics
from ..lockstep.cycles import lockstep_pace
from ..network import network_cycles
from .counts import SparseCounts
from .fit import Fit, fit
from .nest import Array, SparseNest
from .pace import LevelPace, compute_cycles, level_pace
from .price import TensorPrice, compute_energy, leakage, tensor_prices
from .zeros import Zeros


@dataclass(frozen=True, eq=False)
class SparseCosts:
    """Costs as arrays with an entry a mapping; those of mappings that do not fit mean nothing.

    `compute_cycles` are those of the units alone, `busy` those of the slowest level, `cycles` with
    the latencies of the networks. Networks are not priced here.
    """

    tensors: tuple[Mapping[str, TensorPrice], ...]     # by storage level
    paces: tuple[LevelPace, ...]
    leakage: tuple[Array, ...]
    compute: Array
    compute_cycles: Array
    busy: Array
    cycles: Array
    fit: Fit

    @property
    def energy(self) -> Array:
        """pJ of all levels and of the computes."""
        levels = [x.energy for level in self.tensors for x in level.values()]
        return sum((*levels, *self.leakage), self.compute)


def sparse_costs(architecture: Architecture, nest: SparseNest, zeros: Mapping[str, Zeros],
                 counts: SparseCounts, semantics: Semantics = "exact") -> SparseCosts:
    """Costs of the mappings in `nest` from what they do. `zeros` is by tensor.

    Raises
    ------
    ValueError
        A level performs an action whose energy is not known.
    """
    levels = range(len(architecture.levels))
    found = fit(architecture, nest, zeros, counts, semantics)
    prices: list[dict[str, TensorPrice]] = [{} for _ in levels]
    for tensor in nest.einsum.tensors:
        for i, price in tensor_prices(architecture, tensor, nest, zeros[tensor.name], counts,
                                      found.confidence, semantics).items():
            prices[i][tensor.name] = price
    own = compute_cycles(counts)
    if architecture.compute.lockstep is not None:
        own = np.maximum(own, lockstep_pace(architecture, nest.einsum, nest.factors))
    paces = tuple(level_pace(architecture, i, counts, own, semantics) for i in levels)
    busy = np.maximum.reduce([own, *(pace.cycles for pace in paces)])
    return SparseCosts(
        tuple(prices), paces, tuple(leakage(architecture, i, counts, busy, semantics) for i in levels),
        compute_energy(architecture.compute, counts.computes), own, busy,
        busy + network_cycles(architecture, semantics), found)
