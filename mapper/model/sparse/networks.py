"""Words that networks carry once zeros are left out."""

from __future__ import annotations

import numpy as np

from ...hardware.architecture import Architecture
from ...workload.einsum import Tensor
from .bits import Access, moved_bits
from .counts import SparseCounts
from .nest import Array, SparseNest


def share_moved(architecture: Architecture, nest: SparseNest, tensor: Tensor, counts: SparseCounts,
                level: int) -> Array:
    """Words that pass below storage level `level`, to those of a dense run; shape (mappings,).

    Metadata of words go with them, but below the innermost level that keeps the tensor only data go on.
    """
    kept = nest.kept(tensor.name)
    above = [i for i in kept if i <= level]
    if not above:
        return np.ones(nest.size)
    storage, x = architecture.levels[above[-1]], counts.levels[above[-1]][tensor.name]
    access: Access = "update" if tensor.is_output else "read"
    split = x.data.updates if tensor.is_output else x.data.reads
    words, form = split.actual, storage.sparsity.formats.get(tensor.name)
    if above[-1] != kept[-1] and form is not None:
        bits = moved_bits(storage.sparsity, form.ranks, x.ranks, access, "actual")
        words = words + bits / storage.word_bits
    some = split.algorithmic > 0
    return np.where(some, words / np.where(some, split.algorithmic, 1.0), 1.0)
