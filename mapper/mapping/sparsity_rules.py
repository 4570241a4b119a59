"""Whether a mapping goes with what the levels do about zeros."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil, prod
from typing import Iterable, Sequence
from typing import Mapping as Dictionary

from ..hardware.architecture import Architecture, Storage
from ..workload.einsum import Einsum, Tensor, axis_extent
from .nest import Loop


def sparse_reasons(architecture: Architecture, einsum: Einsum, keep: Sequence[frozenset[str]]) -> list[str]:
    """Reasons why tensors cannot be written down or saved as the levels of `architecture` say, where each
    level keeps the tensors in its entry of `keep`."""
    reasons = []
    for tensor in einsum.tensors:
        levels = [level for level, names in zip(architecture.levels, keep, strict=True)
                  if tensor.name in names]
        for above, level in pairwise(levels):
            reasons += _format_reasons(tensor, above, level)
    for index, level in enumerate(architecture.levels):
        targets = [option.target for x in level.sparsity.optimizations for option in x.options]
        known = {tensor.name for tensor in einsum.tensors}.intersection(targets)
        kept = {name for names in keep[:index + 1] for name in names}
        reasons += [f"{level.name}: accesses to tensor {name} are saved, it must be kept here or above"
                    for name in sorted(known - kept)]
    return reasons


def _format_reasons(tensor: Tensor, above: Storage, level: Storage) -> list[str]:
    """Of two neighbours that keep a tensor: what the inner one cannot make of the outer one's words."""
    name = tensor.name
    inner, outer = level.sparsity, above.sparsity
    if inner.compressed(name) and not outer.compressed(name):
        return [f"{level.name}: tensor {name} is compressed, {above.name} above must compress it too"]
    reasons = []
    if outer.compressed(name) and not inner.compressed(name):
        if not inner.decompresses:
            reasons.append(f"{level.name}: tensor {name} comes compressed from {above.name}, the level must "
                           "decompress or compress it too")
        if tensor.is_output and not inner.compresses:
            reasons.append(f"{level.name}: tensor {name} is compressed in {above.name}, the level must be "
                           "able to compress what it sends up")
    return reasons


def stored_words(level: Storage, einsum: Einsum, tensor: Tensor, tile: Dictionary[str, int]) -> int:
    """The most words that a tile of these extents takes in `level`: of a compressed tensor the non-zeros,
    and none of them where overbooking accepts tiles that are too full."""
    if not level.sparsity.compressed(tensor.name):
        return einsum.tile_words(tensor, tile)
    if level.sparsity.overbooking:
        return 0
    return _nonzeros(einsum, tensor, tile)


def _nonzeros(einsum: Einsum, tensor: Tensor, tile: Dictionary[str, int]) -> int:
    """The most non-zeros in a tile of these extents."""
    if tensor.density is None or einsum.flattened:
        return einsum.tile_words(tensor, tile)
    extents = tuple(axis_extent(axis, tile) for axis in tensor.projection)
    return tensor.density.bind(einsum.tensor_shape(tensor.name)).max_occupancy(extents)


def skips_in_space(level: Storage) -> bool:
    """Whether instances below `level` are left out that would work on zeros."""
    return any(x.kind == "skipping_spatial" for x in level.sparsity.optimizations)


def instances_needed(level: Storage, einsum: Einsum, loops: Iterable[Loop]) -> int:
    """The fewest instances that the spatial `loops` below `level` may need, where zeros are skipped in
    space: each conditioning tensor asks for no more of them than it has non-zeros."""
    factors: dict[str, int] = {}
    for loop in loops:
        factors[loop.rank] = factors.get(loop.rank, 1) * loop.factor
    need = Fraction(prod(factors.values()))
    leaders = {name for x in level.sparsity.optimizations if x.kind == "skipping_spatial"
               for option in x.options for name in option.on}
    for tensor in einsum.tensors:
        along = prod(n for rank, n in factors.items() if rank in tensor.ranks)
        if tensor.name in leaders:
            need *= Fraction(min(_nonzeros(einsum, tensor, factors), along), along)
    return ceil(need)
