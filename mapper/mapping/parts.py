"""Mappings in which each tensor cuts the loop nest at a place of its own: *uneven* ones.

Such a mapping has several blocks of one level, each of which keeps the tensors whose tiles are cut there, or
levels that stand side by side in another order. `unfold` gives each block a level of its own (see
`hardware.parts`), so that all else can treat the mapping like any other.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from typing import Iterable

from ..hardware.architecture import Architecture
from ..hardware.parts import arranged, passes_freely
from .nest import Block, Mapping


def is_uneven(architecture: Architecture, mapping: Mapping) -> bool:
    """Whether the blocks are not just the levels, outermost first."""
    return [block.level for block in mapping] != [level.name for level in architecture.levels]


def unfold(architecture: Architecture, mapping: Mapping) -> tuple[Architecture, Mapping]:
    """The machine with a level for each block of `mapping`, and the mapping onto these; both as they are
    where the mapping is even."""
    if not is_uneven(architecture, mapping):
        return architecture, mapping
    machine = arranged(architecture, [block.level for block in mapping])
    names = iter(machine.levels)
    return machine, Mapping(tuple(replace(block, level=next(names).name) for block in mapping))


def by_levels(architecture: Architecture, mapping: Mapping) -> Mapping:
    """What an uneven mapping has of each level, in one block: what all its parts keep, and their temporal
    loops, outermost first; an even one as it is. What is unrolled below a zone is that of the last level
    in it."""
    if not is_uneven(architecture, mapping):
        return mapping
    blocks = []
    for zone in architecture.zones:
        names = [architecture.levels[i].name for i in zone]
        last = [block for block in mapping if block.level in names][-1]
        for name in names:
            parts = [block for block in mapping if block.level == name]
            own = last if name == names[-1] else Block(name, frozenset())
            blocks.append(replace(
                own, level=name, keep=frozenset().union(*(block.keep for block in parts)),
                temporal=tuple(loop for block in parts for loop in block.temporal)))
    return Mapping(tuple(blocks))


def in_order(architecture: Architecture, blocks: Iterable[Block], others: Iterable[Block]) -> Mapping:
    """The mapping of `blocks` as they stand, zone by zone, with those of the `others` put in that are of
    levels besides. Where a block would be inside that of a level further in that keeps what it keeps too,
    and no level has several, they are put in the order of the machine."""
    index = {level.name: i for i, level in enumerate(architecture.levels)}
    zone = {architecture.levels[i].name: own[0] for own in architecture.zones for i in own}
    found = sorted(blocks, key=lambda block: zone[block.level])
    if len({block.level for block in found}) == len(found) and any(
            a.keep & b.keep and index[a.level] > index[b.level] for a, b in combinations(found, 2)):
        found.sort(key=lambda block: index[block.level])
    present = {block.level for block in found}
    for block in others:
        if block.level not in present:
            place = next((i for i, x in enumerate(found) if index[x.level] > index[block.level]), len(found))
            found.insert(place, block)
    return Mapping(tuple(found))


def order_reasons(architecture: Architecture, mapping: Mapping) -> list[str]:
    """Why the blocks cannot be of these levels in this order."""
    names = [level.name for level in architecture.levels]
    blocks = [block.level for block in mapping]
    zone = {names[i]: number for number, own in enumerate(architecture.zones) for i in own}
    if set(blocks) != set(names) or any(zone[a] > zone[b] for a, b in pairwise(blocks)):
        return [f"mapping: blocks for levels {', '.join(blocks) or 'none'}, "
                f"{architecture.name} has {', '.join(names)}"]
    return []


def part_reasons(architecture: Architecture, mapping: Mapping) -> list[str]:
    """Why the blocks, of the right levels and zone by zone, cannot be an uneven mapping."""
    if not is_uneven(architecture, mapping):
        return []
    reasons, names = [], [level.name for level in architecture.levels]
    if architecture.sparse:
        reasons.append("tensors cut at places of their own are not known on a machine that does something "
                       "about zeros")
    for name in sorted(frozenset().union(*(block.keep for block in mapping))):
        kept = [names.index(block.level) for block in mapping if name in block.keep]
        reasons += [f"{names[b]}: tensor {name} is cut at two places, needs one" if a == b else
                    f"{names[a]}: tensor {name} is cut inside {names[b]}, needs it outside"
                    for a, b in pairwise(kept) if a >= b]
    for own in architecture.zones:
        blocks = [block for block in mapping if names.index(block.level) in own]
        levels = [names.index(block.level) for block in blocks]
        reasons += [f"{block.level}: loops are unrolled outside the place where the last tensor is cut, "
                    "needs them inside" for block in blocks[:-1] if block.spatial]
        reasons += [f"{block.level}: skewed loops are not known where tensors are cut at places of their own"
                    for block in blocks if block.skew and len(blocks) > 1]
        if levels != sorted(levels) and not passes_freely(architecture, own):
            reasons.append(f"{blocks[-1].level}: levels stand in another order, which is not known where the "
                           "networks between them cost anything")
        if own[0] and len(blocks) > len(own):
            reasons += _passed_on(architecture, mapping, own)
    return reasons


def _passed_on(architecture: Architecture, mapping: Mapping, zone: tuple[int, ...]) -> list[str]:
    """What is not known of tensors that reach a zone over a network whose instances pass words on, or share
    them, and are not cut where the first tensor is."""
    names = [level.name for level in architecture.levels]
    outside = architecture.levels[zone[0] - 1]
    above = [block for block in mapping if names.index(block.level) < zone[0]][-1]
    inner = [block for block in mapping if names.index(block.level) in zone][1:]
    late = sorted(frozenset().union(*(block.keep for block in inner)))
    if outside.network.distributed:
        return [f"{names[zone[0]]}: tensor {t} is cut further in than others, which is not known below a "
                "network that is distributed" for t in late]
    return [f"{names[zone[0]]}: tensor {t} is cut further in than others, which is not known of tensors that "
            f"neighbours pass on; expected no links [{t}]" for t in late
            if outside.network.links and above.spatial and t not in above.no_links]
