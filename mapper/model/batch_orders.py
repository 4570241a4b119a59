"""Energy and cycles of one mapping under many orders of its loops in time, at once."""

from __future__ import annotations

from typing import Sequence

import numpy as np
from numpy.typing import NDArray

from ..hardware.architecture import Architecture
from ..mapping.template import Template, slot
from ..workload.einsum import Einsum
from .batch import BatchCost, BatchEvaluator
from .batch_reuse import words_received
from .batch_shape import Array, Move, Nest, TensorShape


class OrderEvaluator(BatchEvaluator):
    """Evaluates mappings that differ in the order of temporal loops alone: only what enters the tiles depends
    on that, and few orders of the loops that iterate differ in it.

    Parameters
    ----------
    architecture : Architecture
    einsum : Einsum
    templates : sequence of Template
        Classes of mappings whose levels keep the same.
    factors : array of shape (slots, ranks)
        The factors of all of them.

    Raises
    ------
    ValueError
        As `BatchEvaluator` does.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, templates: Sequence[Template],
                 factors: NDArray[np.int64]) -> None:
        super().__init__(architecture, einsum, templates[0])
        self.factors, self.templates = factors, templates
        loops = [{rank: i for i, rank in enumerate(self._ranks)
                  if factors[slot(level, "temporal"), einsum.ranks.index(rank)] > 1}
                 for level in range(len(architecture.levels))]
        #: By template and level the columns of the ranks that iterate, outermost first.
        self._iterating = [tuple(tuple(own[rank] for rank in order if rank in own) for own, order in zip(
            loops, template.orders, strict=True)) for template in templates]

    @property
    def costs(self) -> BatchCost:
        """By template what the mapping costs."""
        return self(np.broadcast_to(self.factors, (len(self.templates), *self.factors.shape)))

    def _received(self, shape: TensorShape, moves: Sequence[Move], nest: Nest, level: int) -> Array:
        """Words that enter one instance of `level`; the `moves` are those of the first template."""
        one = Nest(nest.factors[..., :1], self._rows)
        words, known = dict[tuple[Move, ...], float](), dict[tuple[tuple[int, ...], ...], float]()
        for orders in self._iterating:
            around = orders[:level]
            if around not in known:
                own = shape.moves(around)
                if own not in words:
                    words[own] = float(words_received(shape, own, one, level)[0])
                known[around] = words[own]
        return np.array([known[orders[:level]] for orders in self._iterating])
