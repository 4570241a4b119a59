"""Ranks that may be exchanged: height and width of a square convolution, say.

A mapping and its mirror image, in which ranks have changed places, cost the same, so that what is to be shown
of all mappings need only be shown of one of the two.
"""

from __future__ import annotations

from collections import Counter
from typing import Iterator

from ..hardware.architecture import Architecture
from ..model.network import counts_hops
from ..workload.einsum import Einsum, Tensor


def mirror(architecture: Architecture, einsum: Einsum) -> dict[str, str]:
    """Ranks that change places so that tensors and machine stay the same: each of them with the other. Empty
    where there are none.

    >>> from tilebound.hardware.architecture import Compute, Storage
    >>> from tilebound.workload.einsum import Tensor, Term
    >>> window = tuple((Term(p), Term(r)) for p, r in ("PR", "QS"))
    >>> mirror(Architecture("one level", (Storage("DRAM"),), Compute("MAC")), Einsum(
    ...     "conv", tuple("PQRS"), (8, 8, 3, 3), (Tensor("Inputs", window),)))
    {'P': 'Q', 'Q': 'P', 'R': 'S', 'S': 'R'}
    """
    if architecture.sparse or einsum.flattened or any(
            counts_hops(architecture, i) for i in range(len(architecture.levels))):
        return {}       # which rank is which matters to formats, and the order of ranks to ways on a mesh
    kinds = {rank: _kind(architecture, einsum, rank) for rank in einsum.ranks}
    images = _exchanges([rank for rank in einsum.ranks if einsum.extent[rank] > 1], kinds)
    return next((image for image in images if _same(einsum, image)), {})


def _kind(architecture: Architecture, einsum: Einsum, rank: str) -> tuple[object, ...]:
    """What ranks that change places have in common."""
    unrolled = tuple(allowed is None or rank in allowed for level in architecture.levels
                     for allowed in (level.spatial_x, level.spatial_y))
    terms = tuple(sorted((len(axis), term.coefficient) for axis in tensor.projection for term in axis
                         if term.rank == rank) for tensor in einsum.tensors)
    return einsum.extent[rank], unrolled, terms


def _exchanges(ranks: list[str], kinds: dict[str, tuple[object, ...]]) -> Iterator[dict[str, str]]:
    """All ways to have ranks of a kind change places two by two, those of most ranks first."""
    if not ranks:
        yield {}
        return
    first, *rest = ranks
    for other in rest:
        if kinds[first] == kinds[other]:
            for image in _exchanges([rank for rank in rest if rank != other], kinds):
                yield {first: other, other: first, **image}
    yield from _exchanges(rest, kinds)


def _same(einsum: Einsum, image: dict[str, str]) -> bool:
    """Whether some rank changes places, and every tensor has the same axes then."""
    return bool(image) and all(_axes(einsum, tensor, image) == _axes(einsum, tensor, {})
                               for tensor in einsum.tensors)


def _axes(einsum: Einsum, tensor: Tensor, image: dict[str, str]) -> Counter[frozenset[tuple[str, int]]]:
    """The axes of a tensor, with ranks in the places of others."""
    return Counter(frozenset((image.get(t.rank, t.rank), t.coefficient) for t in axis
                             if einsum.extent[t.rank] > 1) for axis in tensor.projection)
