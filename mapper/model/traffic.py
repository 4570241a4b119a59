"""Words that move: reads, fills and updates of every level, and words sent over every network."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Mapping as MappingOf
from typing import Sequence

from ..mapping.nest import Mapping
from ..workload.einsum import Einsum, Tensor, footprint
from .reuse import PlacedLoop, multicast_groups, words_received


@dataclass(frozen=True, slots=True)
class Accesses:
    """Words that one instance of a level that keeps the tensor holds and moves."""

    tile_words: int
    partition_words: int
    reads: int
    fills: int
    updates: int
    temporal_reductions: int

    @property
    def address_generations(self) -> int:
        """Accesses that need an address: a read-modify-write operand shares that of its update."""
        return self.fills + (self.updates or self.reads)


@dataclass(frozen=True)
class Traffic:
    """What one tensor costs, by storage level, outermost first."""

    accesses: tuple[Accesses | None, ...]          # None where the level bypasses the tensor
    sent: tuple[MappingOf[int, int], ...]          # multicast factor -> words one instance sends down


def tensor_traffic(einsum: Einsum, tensor: Tensor, mapping: Mapping, loops: Sequence[PlacedLoop],
                   multicast: Sequence[bool]) -> Traffic:
    """Count the accesses of `tensor` under a valid `mapping`.

    `loops` is the placed nest of the mapping, `multicast` says for each storage level whether its
    network can send one word to several instances.
    """
    kept = [i for i, block in enumerate(mapping) if tensor.name in block.keep]
    levels = len(mapping.blocks)
    accesses: list[Accesses | None] = [None] * levels
    sent: list[MappingOf[int, int]] = [{}] * levels
    partitions = _partitions(einsum, tensor, mapping)
    # Below the innermost level stand the units, which take a word of each operand every cycle.
    below = prod(loop.factor for loop in loops if not loop.spatial)
    for level in reversed(range(kept[0] if kept else levels, levels)):
        spatial = [loop for loop in loops if loop.spatial and loop.level == level]
        groups = multicast_groups(tensor, spatial, multicast[level])
        sent[level] = {members: count * below for members, count in groups.items()}
        below *= sum(groups.values())
        if level in kept:
            tile = mapping.tile(level, einsum.extent)
            around = [loop for loop in loops if loop.level < level and not loop.spatial]
            received = words_received(tensor, around, tile) if level != kept[0] else 0
            accesses[level] = _accesses(tensor, footprint(tensor, tile), partitions[level],
                                        below, received)
            below = received
    return Traffic(tuple(accesses), tuple(sent))


def _accesses(tensor: Tensor, tile: int, partition: int, sent: int, received: int) -> Accesses:
    """Accesses of one instance, from the words it `sent` down (outputs: got back from below) and
    `received` from above (outputs: drained upwards)."""
    if not tensor.is_output:
        return Accesses(tile, partition, sent, received, 0, 0)
    # The first visit to each word of the partition finds no partial sum: it is neither refilled
    # from above nor read before the update. A box with gaps can hold more words than are visited.
    reductions = max(sent - partition, 0)
    return Accesses(tile, partition, reductions, max(received - partition, 0), sent, reductions)


def _partitions(einsum: Einsum, tensor: Tensor, mapping: Mapping) -> list[int]:
    """Words of the whole tensor that fall to one instance of each storage level."""
    share = einsum.tensor_words(tensor.name)
    shares = [share]
    for level in range(1, len(mapping.blocks)):
        tile = mapping.tile(level, einsum.extent)
        size, outer = footprint(tensor, tile), mapping.blocks[level - 1]
        for loop in outer.spatial:
            tile[loop.rank] *= loop.factor
        share = share * size // footprint(tensor, tile)
        shares.append(share)
    return shares
