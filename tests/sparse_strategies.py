"""Random machines that do something about zeros, and tensors that have some."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tilebound.hardware.architecture import Architecture, Figure, Storage
from tilebound.hardware.sparsity import (
    COMPUTE_ACTIONS,
    STORAGE_ACTIONS,
    ComputeSparsity,
    Condition,
    Optimization,
    RankFormat,
    Representation,
    StorageSparsity,
)
from tilebound.workload.density.uniform import Binomial, FixedStructured, Hypergeometric
from tilebound.workload.einsum import Einsum, Tensor

_MANY = 7       # ranks of a representation


def with_zeros(rng: Random, einsum: Einsum) -> Einsum:
    """The same Einsum with densities for most operands and some outputs."""
    def density(tensor: Tensor) -> Tensor:
        if rng.random() < (0.7 if tensor.is_output else 0.2):
            return tensor
        share = rng.choice((0.1, 0.25, 0.4, 0.5, 0.8, 1.0))
        return replace(tensor, density=rng.choice((Hypergeometric, FixedStructured, Binomial))(share))
    return replace(einsum, tensors=tuple(map(density, einsum.tensors)))


def sparse(rng: Random, architecture: Architecture, einsum: Einsum, in_space: bool = False) -> Architecture:
    """The same machine with formats, gating and skipping; `in_space`: of whole instances too."""
    outer = len(architecture.levels)
    compressed = {t.name: rng.randrange(outer + 1) for t in einsum.tensors}    # from outside, so many levels
    while True:
        levels = tuple(_level(rng, level, i, einsum, compressed, in_space)
                       for i, level in enumerate(architecture.levels))
        gating, skipping = rng.random() < 0.3, rng.random() < 0.3
        compute = replace(architecture.compute, sparsity=ComputeSparsity(gating, skipping),
                          energy={**architecture.compute.energy, **_figures(rng, COMPUTE_ACTIONS, 0.2)})
        found = replace(architecture, levels=levels, compute=compute)
        if found.sparse:
            return found


def _level(rng: Random, level: Storage, index: int, einsum: Einsum, compressed: dict[str, int],
           in_space: bool) -> Storage:
    formats = {}
    for name, depth in compressed.items():
        if index < depth and rng.random() < 0.7:
            formats[name] = _format(rng, einsum.tensor(name))
    operands = [t.name for t in einsum.tensors if not t.is_output]
    optimizations = []
    for tensor in einsum.tensors:
        others = [name for name in operands if name != tensor.name]
        if others and rng.random() < 0.25:
            on = tuple(rng.sample(others, rng.randint(1, len(others))))
            kinds = ("gating", "skipping", "skipping_spatial") if in_space else ("gating", "skipping")
            optimizations.append(Optimization(rng.choice(kinds), (Condition(tensor.name, on),)))
    return replace(
        level, energy={**level.energy, **_figures(rng, STORAGE_ACTIONS, 0.5)},
        sparsity=StorageSparsity(formats, tuple(optimizations), metadata_width=rng.choice((None, 8, 16)),
                                 metadata_word_bits=4, payload_word_bits=8, compresses=rng.random() < 0.9,
                                 decompresses=rng.random() < 0.9))


def _format(rng: Random, tensor: Tensor) -> Representation:
    kind, bits = rng.choice(("B", "CP", "RLE", "UOP")), rng.choice((1, 4))
    if rng.random() < 0.4:      # all loops as one rank, or those inside and outside a tile
        whole = (tuple(sorted(tensor.ranks)),)
        outer = (RankFormat("UOP", None, 8, whole),) * rng.randrange(3)
        return Representation((*outer, RankFormat(kind, bits, 8, whole)), rng.random() < 0.7)
    ranks = tuple(RankFormat("UOP", payload_bits=rng.choice((4, 8))) for _ in range(_MANY - 1))
    return Representation((*ranks, RankFormat(kind, metadata_bits=bits)), inner_to_outer=True)


def _figures(rng: Random, actions: tuple[str, ...], share: float) -> dict[str, Figure]:
    return {action: Figure(rng.choice((0.0625, 0.125, 0.5)), "drawn at random")
            for action in actions if rng.random() < share}
