"""Mappings in which each tensor cuts the loop nest at a place of its own: *uneven* ones.

Such a mapping has several blocks of one level, one after the other: each keeps the tensors whose tiles are
cut there. `unfold` gives each block a level of its own (see `hardware.parts`), so that all else can treat the
mapping like any other, and `fold` takes that back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ..hardware.architecture import Architecture
from ..hardware.parts import in_parts
from .nest import Block, Mapping


def is_uneven(mapping: Mapping) -> bool:
    """Whether a level has several blocks."""
    return len({block.level for block in mapping}) < len(mapping.blocks)


def unfold(architecture: Architecture, mapping: Mapping) -> tuple[Architecture, Mapping]:
    """The machine with as many parts of each level as `mapping` has blocks of it, and the mapping onto
    these; both as they are where no level has several blocks."""
    if not is_uneven(mapping):
        return architecture, mapping
    machine = in_parts(architecture, Counter(block.level for block in mapping))
    names = iter(machine.levels)
    return machine, Mapping(tuple(replace(block, level=next(names).name) for block in mapping))


def fold(machine: Architecture, mapping: Mapping) -> Mapping:
    """The mapping onto the levels that the parts of `machine` belong to. Parts that keep nothing and have no
    loops are left out, but for the innermost."""
    blocks: list[Block] = []
    for level, block in zip(machine.levels, mapping, strict=True):
        if level.shares is None or block.keep or block.loops:
            blocks.append(replace(block, level=level.shares or level.name))
    return Mapping(tuple(blocks))


def part_reasons(architecture: Architecture, mapping: Mapping) -> list[str]:
    """Why the levels of `mapping` with several blocks cannot have these; `architecture` is the machine
    before it is unfolded."""
    if not is_uneven(mapping):
        return []
    reasons, blocks = [], mapping.blocks
    if architecture.sparse:
        reasons.append("tensors cut at places of their own are not known on a machine that does something "
                       "about zeros")
    for index, level in enumerate(architecture.levels):
        own = [block for block in blocks if block.level == level.name]
        twice = sorted({name for i, block in enumerate(own) for name in block.keep
                        if any(name in other.keep for other in own[:i])})
        reasons += [f"{level.name}: tensor {name} is cut at two places, needs one" for name in twice]
        reasons += [f"{level.name}: loops are unrolled outside the place where the last tensor is cut, needs "
                    "them inside" for block in own[:-1] if block.spatial]
        reasons += [f"{level.name}: the loops of one block are skewed, needs all or none"
                    for block in own if block.skew and len(own) > 1]
        outside = architecture.levels[index - 1] if index else None
        if outside is not None and len(own) > 1:
            above = [block for block in blocks if block.level == outside.name][-1:]
            reasons += _passed_on(level.name, outside.network.links, outside.network.distributed,
                                  above, own[1:])
    return reasons


def _passed_on(name: str, links: bool, distributed: bool, above: list[Block],
               inner: list[Block]) -> list[str]:
    """What is not known of tensors that are cut further in than others and reach a level over a network
    whose instances pass words on, or share them."""
    late = sorted(frozenset().union(*(block.keep for block in inner)))
    if distributed:
        return [f"{name}: tensor {t} is cut further in than others, which is not known below a network "
                "that is distributed" for t in late]
    apart = above[0].no_links if above else frozenset()
    spatial = bool(above and above[0].spatial)
    return [f"{name}: tensor {t} is cut further in than others, which is not known of tensors that "
            f"neighbours pass on; expected no links [{t}]"
            for t in late if links and spatial and t not in apart]
