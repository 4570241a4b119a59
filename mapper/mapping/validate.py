"""Whether a mapping fits its Einsum and its architecture."""

from __future__ import annotations

from math import prod

from ..errors import MappingError
from ..hardware.architecture import Architecture, Storage
from ..workload.einsum import Einsum
from .nest import Block, Loop, Mapping, factor_text
from .parts import order_reasons, part_reasons, unfold
from .sparsity_rules import instances_needed, skips_in_space, sparse_reasons, stored_words


def validate(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> None:
    """Raise a MappingError with all reasons of `check_mapping`, if there are any."""
    reasons = check_mapping(architecture, einsum, mapping)
    if reasons:
        raise MappingError(reasons)


def check_mapping(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> list[str]:
    """Every reason why `mapping` cannot run `einsum` on `architecture`; empty when it can.

    Each reason names the level, tensor or rank, what is needed and what there is. Tensors that an
    architecture forces in or out of a level but the Einsum does not have are ignored.
    """
    unknown = (order_reasons(architecture, mapping) or _unknown_names(einsum, mapping)
               or part_reasons(architecture, mapping))
    if unknown:
        return unknown
    architecture, mapping = unfold(architecture, mapping)
    reasons = _factor_reasons(einsum, mapping)
    reasons += [f"tensor {t.name}: kept at no level, needs at least one" for t in einsum.tensors
                if not any(t.name in block.keep for block in mapping)]
    skewed = [block.level for block in mapping if block.skew]
    if len(skewed) > 1:
        reasons.append(f"levels {', '.join(skewed)} are skewed, only one may be")
    for index, (level, block) in enumerate(zip(architecture.levels, mapping, strict=True)):
        reasons += _fanout_reasons(level, block, einsum, architecture.fanout(index))
    for parts in architecture.storages:
        level = architecture.levels[parts[-1]]
        reasons += _keep_reasons(level, frozenset().union(*(mapping.blocks[i].keep for i in parts)), einsum)
        reasons += _capacity_reasons(level, einsum, mapping, parts)
    return reasons + sparse_reasons(architecture, einsum, [block.keep for block in mapping])


def _unknown_names(einsum: Einsum, mapping: Mapping) -> list[str]:
    tensors = {t.name for t in einsum.tensors}
    reasons = []
    for block in mapping:
        turned = [x.rank for x in (block.skew.terms if block.skew else ()) if x.rank is not None]
        for rank in dict.fromkeys(x for x in [*(loop.rank for loop in block.loops), *turned]
                                  if x not in einsum.ranks):
            reasons.append(f"{block.level}: loop over rank {rank}, "
                           f"{einsum.name} has {', '.join(einsum.ranks)}")
        named = block.keep.union(*(names for _, names in block.directives))
        for name in sorted(named - tensors):
            reasons.append(f"{block.level}: tensor {name}, "
                           f"{einsum.name} has {', '.join(t.name for t in einsum.tensors)}")
    return reasons


def _factor_reasons(einsum: Einsum, mapping: Mapping) -> list[str]:
    reasons = []
    for block in mapping:
        for loop in block.loops:
            if loop.factor < 1:
                reasons.append(f"{block.level}: loop over rank {loop.rank} has factor {loop.factor}, "
                               "needs 1 or more")
            elif not 1 <= loop.last <= loop.factor:
                reasons.append(f"{block.level}: loop over rank {loop.rank} has {loop.last} iterations "
                               f"in its last pass, needs 1 to {loop.factor}")
    for rank in einsum.ranks:
        loops = [(b.level, x) for b in mapping for x in b.loops if x.rank == rank]
        last = 0        # index of the last point, from the outermost loop inwards
        for _, loop in loops:
            last = last * loop.factor + loop.last - 1
        if last + 1 != einsum.extent[rank]:
            listed = ", ".join(f"{level} {factor_text(x)}" for level, x in loops) or "no loop"
            reasons.append(f"rank {rank}: factors multiply to {last + 1} ({listed}), "
                           f"need {einsum.extent[rank]}")
    return reasons


def _fanout_reasons(level: Storage, block: Block, einsum: Einsum, fanout: tuple[int, int]) -> list[str]:
    axes: tuple[tuple[str, tuple[Loop, ...], tuple[str, ...] | None, int], ...] = (
        ("X", block.spatial_x, level.spatial_x, fanout[0]),
        ("Y", block.spatial_y, level.spatial_y, fanout[1]))
    reasons = []
    for axis, loops, allowed, have in axes:
        need = prod(loop.factor for loop in loops)
        if need > have and not skips_in_space(level):
            listed = ", ".join(f"{loop.rank} {loop.factor}" for loop in loops)
            reasons.append(f"{level.name}: spatial loops need {need} instances along {axis} "
                           f"({listed}), has {have}")
        for loop in loops:
            if allowed is not None and loop.rank not in allowed:
                reasons.append(f"{level.name}: rank {loop.rank} is unrolled along {axis}, where only "
                               f"{', '.join(allowed) or 'no rank'} may be")
    if skips_in_space(level):
        need = instances_needed(level, einsum, (*block.spatial_x, *block.spatial_y))
        if need > prod(fanout):
            reasons.append(f"{level.name}: spatial loops need {need} instances for what is not zero, "
                           f"has {prod(fanout)}")
    return reasons


def _keep_reasons(level: Storage, kept: frozenset[str], einsum: Einsum) -> list[str]:
    reasons = []
    for tensor in einsum.tensors:
        if tensor.name in level.keep and tensor.name not in kept:
            reasons.append(f"{level.name}: tensor {tensor.name} is bypassed, the level must keep it")
        if tensor.name in level.bypass and tensor.name in kept:
            reasons.append(f"{level.name}: tensor {tensor.name} is kept, the level must bypass it")
    return reasons


def _capacity_reasons(level: Storage, einsum: Einsum, mapping: Mapping, parts: tuple[int, ...]) -> list[str]:
    """`parts` are the levels that share the storage."""
    have = level.capacity_words
    if have is None:
        return []
    tiles = [(mapping.tile(index, einsum.extent), mapping.blocks[index].keep) for index in parts]
    words = {t.name: stored_words(level, einsum, t, tile) for t in einsum.tensors
             for tile, keep in tiles if t.name in keep}
    need = sum(words.values())
    if need <= have:
        return []
    listed = ", ".join(f"{name} {count}" for name, count in words.items())
    return [f"{level.name}: tiles need {need} words ({listed}), has {have}"]
