"""`batch_evaluator`: costs of many mappings at once, on machines that do something about zeros or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..hardware.architecture import Architecture
from ..mapping.sparsity_rules import sparse_reasons
from ..mapping.template import Template
from ..workload.einsum import Einsum, Tensor
from .batch import BatchEvaluator, Moved
from .batch_shape import Array, Count, Nest
from .sparse.analyse import SparseModel
from .sparse.costs import sparse_costs
from .sparse.counts import SparseCounts
from .sparse.dense import DenseAccesses, DenseCounts
from .sparse.nest import SparseNest
from .sparse.networks import share_moved


def batch_evaluator(architecture: Architecture, einsum: Einsum, template: Template,
                    model: SparseModel | None = None) -> BatchEvaluator:
    """The evaluator of a class of mappings. `model` may be shared by several classes, since what it
    finds out about tiles it remembers.

    Raises
    ------
    ValueError
        As `BatchEvaluator` does.
    """
    if not architecture.sparse:
        return BatchEvaluator(architecture, einsum, template)
    return SparseBatchEvaluator(architecture, einsum, template, model)


class SparseBatchEvaluator(BatchEvaluator):
    """`BatchEvaluator` for a machine that does something about zeros: a dense run of the mappings, and
    what zeros leave of it (see `sparse.analyse`)."""

    def __init__(self, architecture: Architecture, einsum: Einsum, template: Template,
                 model: SparseModel | None = None) -> None:
        super().__init__(architecture, einsum, template)
        self._model = model or SparseModel(architecture, einsum)
        self._possible = not sparse_reasons(architecture, einsum, template.keep)

    def _held(self, nest: Nest) -> NDArray[np.bool_]:
        """All, if levels understand each other: what is left of tiles is seen when they are counted."""
        return np.full(nest.batch, self._possible)

    def _cost(self, nest: Nest) -> tuple[Array, Array]:
        """Energy and cycles of mappings, infinite where they do not fit."""
        dense, moved = self._dense(nest)
        loops = self._loops(nest)
        counts = self._model(loops, dense)
        costs = sparse_costs(self.architecture, loops, self._model.zeros, counts)
        energy = costs.energy + self._networks(nest, loops, counts, moved)
        valid = counts.valid & costs.fit.valid
        return np.where(valid, energy, np.inf), np.where(valid, costs.cycles, np.inf)

    def _dense(self, nest: Nest) -> tuple[DenseCounts, list[tuple[Tensor, Moved]]]:
        """What a dense run does, and what it moves."""
        levels: list[dict[str, DenseAccesses]] = [{} for _ in self.architecture.levels]
        every: list[tuple[Tensor, Moved]] = []
        fanouts, utilized = self._instances(nest)
        instances = tuple(_filled(n, nest.batch) for n in utilized)
        for tensor, shape in zip(self.einsum.tensors, self._shapes, strict=True):
            for moved in self._traffic(shape, nest, fanouts, self.einsum.macs / instances[-1]):
                every.append((tensor, moved))
                if moved.accesses is not None:
                    reads, fills, updates = (_filled(n, nest.batch) for n in moved.accesses)
                    levels[moved.level][shape.name] = DenseAccesses(
                        reads, fills, updates, reads if shape.is_output else np.zeros(nest.batch))
        computes = np.full(nest.batch, float(self.einsum.macs))
        return DenseCounts(tuple(levels), computes, instances), every

    def _loops(self, nest: Nest) -> SparseNest:
        """The loops of the mappings, those over ranks of extent 1 included."""
        factors = np.ones((nest.factors.shape[0], len(self.einsum.ranks), nest.batch), dtype=np.int64)
        factors[:, self._columns] = nest.factors
        return SparseNest.of_factors(self.architecture, self.einsum, self.template,
                                     np.moveaxis(factors, -1, 0))

    def _networks(self, nest: Nest, loops: SparseNest, counts: SparseCounts,
                  moved: list[tuple[Tensor, Moved]]) -> Array:
        """pJ of the words that the networks carry."""
        total: Array = np.zeros(loops.size)
        for tensor, x in moved:
            if self._tolls[x.level]:
                share = share_moved(self.architecture, loops, tensor, counts, x.level)
                total = total + self._carried(tensor.name, x, nest, share) * counts.active[x.level]
        return total


def _filled(number: Count, size: int) -> Array:
    """An array of `size` equal entries where it is not one yet."""
    return np.broadcast_to(np.asarray(number, dtype=np.float64), size)
