"""Words that move: reads, fills and updates of every level, and words sent over every network."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor, prod
from typing import Mapping as MappingOf
from typing import Sequence

from ..mapping.nest import Block, Mapping
from ..workload.einsum import Einsum, Tensor, footprint
from .links import Deliveries, Entry, group_hops, neighbour_deliveries
from .reuse import PlacedLoop, multicast_groups, words_received

#: Words that an average instance moves.
Mean = float | Fraction


@dataclass(frozen=True, slots=True)
class Accesses:
    """Words that one instance of a level that keeps the tensor holds and moves; averages over the
    instances need not be whole numbers."""

    tile_words: int
    partition_words: float
    reads: float
    fills: float
    updates: float
    temporal_reductions: float

    @property
    def address_generations(self) -> float:
        """Accesses that need an address: a read-modify-write operand shares that of its update."""
        return self.fills + (self.updates or self.reads)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Words that one instance of a level sends to `multicast` instances at once, in `scatter`
    groups of that size. All together they pass over `hops` links (None: nobody asked)."""

    multicast: int
    scatter: int
    words: float
    hops: float | None = None


@dataclass(frozen=True)
class Traffic:
    """What one tensor costs, by storage level, outermost first."""

    accesses: tuple[Accesses | None, ...]          # None where the level bypasses the tensor
    sent: tuple[MappingOf[int, float], ...]        # multicast factor -> words one instance sends down
    deliveries: tuple[tuple[Delivery, ...], ...]   # the same, by multicast factor and groups
    passed: tuple[float, ...]                      # words that neighbours below it pass on


@dataclass(frozen=True, slots=True)
class Fabric:
    """What the network below a level can do for one tensor: send a word to several instances at
    once; let neighbours pass words on, in a mesh with `linked_width` instances a row (None: no).
    `mesh`, its width and height, is given where hops are to be counted. `torus`: the two ends of
    a row or column count as neighbours."""

    multicast: bool
    linked_width: int | None = None
    mesh: tuple[int, int] | None = None
    torus: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """How a level treats a tensor. `outermost`: nothing above holds it. `elision`: the first update
    of a word finds no partial sum, which is then neither refilled from above nor read. `coalesce`:
    words are held back until a tile is done with, else each goes through to the level above."""

    outermost: bool
    elision: bool = True
    coalesce: bool = True


def rules_of(block: Block, tensor: str, outermost: bool, elision: bool) -> Rules:
    """Rules of a tensor at the level of `block`; `elision` as the machine has it."""
    return Rules(outermost, elision and tensor not in block.rmw_first_update,
                 tensor not in block.no_coalesce)


def tensor_traffic(einsum: Einsum, tensor: Tensor, mapping: Mapping, loops: Sequence[PlacedLoop],
                   fabrics: Sequence[Fabric], elision: bool = True) -> Traffic:
    """Count the accesses of `tensor` under a valid `mapping` with perfect factors.

    `loops` is the placed nest of the mapping, `fabrics` has an entry a storage level; `elision` as
    in `Rules`.
    """
    kept = [i for i, block in enumerate(mapping) if tensor.name in block.keep]
    levels = len(mapping.blocks)
    accesses: list[Accesses | None] = [None] * levels
    sent: list[MappingOf[int, float]] = [{}] * levels
    deliveries: list[tuple[Delivery, ...]] = [()] * levels
    passed = [0.0] * levels
    shares = partitions(einsum, tensor, mapping)
    linked = [_linked(einsum, tensor, mapping, loops, i, fabrics[i]) for i in range(levels)]
    # Below the innermost level stand the units, which take a word of each operand every cycle.
    below: float = prod(loop.factor for loop in loops if not loop.spatial)
    for level in reversed(range(kept[0] if kept else levels, levels)):
        spatial = [loop for loop in loops if loop.spatial and loop.level == level]
        kept_below, links = level + 1 in (*kept, levels), linked[level]
        entries = _entries(multicast_groups(tensor, spatial, fabrics[level].multicast), below,
                           links, kept_below)
        deliveries[level] = _deliveries(entries, links, group_hops(
            tensor, spatial, fabrics[level].multicast, None if links else fabrics[level].mesh))
        sent[level] = by_multicast(deliveries[level])
        passed[level] = links.passed if links and kept_below else 0.0
        below = sum(entries.values())
        if level not in kept:
            continue
        tile = mapping.tile(level, einsum.extent)
        around = [loop for loop in loops if loop.level < level and not loop.spatial]
        received = words_received(tensor, around, tile) if level != kept[0] else 0
        arrived = _arrived(linked[level - 1], loops, level) if level != kept[0] else None
        share, peers = arrived or (received, 0)
        rules = rules_of(mapping.blocks[level], tensor.name, level == kept[0], elision)
        accesses[level] = accesses_of(tensor, footprint(tensor, tile), shares[level], below,
                                      share, peers, rules)
        below = received if rules.coalesce else below
    return Traffic(tuple(accesses), tuple(sent), tuple(deliveries), tuple(passed))


def _linked(einsum: Einsum, tensor: Tensor, mapping: Mapping, loops: Sequence[PlacedLoop],
            level: int, fabric: Fabric) -> Deliveries | None:
    """Deliveries below `level` where neighbours do pass on words of `tensor`."""
    if fabric.linked_width is None:
        return None
    around = [loop for loop in loops if loop.level <= level and not loop.spatial]
    spatial = [loop for loop in loops if loop.level == level and loop.spatial]
    units = level + 1 == len(mapping.blocks)
    tile = None if units else mapping.tile(level + 1, einsum.extent)
    return neighbour_deliveries(tensor, around, spatial, tile, fabric.linked_width,
                                fabric.multicast, fabric.mesh)


def _entries(groups: MappingOf[int, int], below: float, linked: Deliveries | None,
             kept_below: bool) -> MappingOf[Entry, float]:
    """Words that one instance sends, when an instance below takes `below` words.

    A level below that bypasses the tensor asks for other words than the tiles that the links were
    reckoned with: their entries are scaled to the need, and what neighbours passed on is lost.
    """
    if linked is None:
        return {(members, count): count * below for members, count in groups.items()}
    if kept_below:
        return linked.sent
    instances = sum(members * count for members, count in groups.items())
    scale = below * instances / sum(words * members for (members, _), words in linked.sent.items())
    return {entry: words * scale for entry, words in linked.sent.items()}


def _deliveries(entries: MappingOf[Entry, float], linked: Deliveries | None,
                lengths: MappingOf[Entry, float]) -> tuple[Delivery, ...]:
    """What is sent, entry by entry; `lengths` are the links that one word for each group passes
    over where neighbours pass nothing on."""
    hops = {entry: length * entries[entry] / entry[1] for entry, length in lengths.items()}
    if linked is not None:      # the words may have been scaled, and the way with them
        hops = {entry: way * entries[entry] / linked.sent[entry] if linked.sent[entry] else 0.0
                for entry, way in linked.hops.items()}
    return tuple(Delivery(*entry, words, hops.get(entry)) for entry, words in sorted(entries.items()))


def by_multicast(deliveries: Sequence[Delivery]) -> dict[int, float]:
    """Words sent by multicast factor."""
    return {m: nearest(sum(x.words for x in deliveries if x.multicast == m))
            for m in sorted({x.multicast for x in deliveries})}


def _arrived(linked: Deliveries | None, loops: Sequence[PlacedLoop],
             level: int) -> tuple[float, float] | None:
    """Words that an average instance of `level` received from above, and those from neighbours.

    In the reference's order of operations, whose rounding shows. It takes what was passed on below
    one instance of the level above for all there is in the machine.
    """
    if linked is None:
        return None
    instances = prod(loop.factor for loop in loops if loop.spatial and loop.level < level)
    fanout = prod(loop.factor for loop in loops if loop.spatial and loop.level == level - 1)
    share = 0.0
    for (members, _), words in linked.sent.items():
        share += words * members / fanout
    return share, linked.passed / instances


def accesses_of(tensor: Tensor, tile: int, partition: Mean, sent: Mean, received: Mean,
                passed: Mean, rules: Rules) -> Accesses:
    """Accesses of one instance, from the words it `sent` down (outputs: got back from below), those
    it `received` from above (outputs: drained upwards) and those it took from, and gave to,
    neighbours. Fractions are exact means and stay; other numbers are made whole."""
    share = number(partition) if isinstance(partition, Fraction) else partition
    if not tensor.is_output:
        # The reference rounds what is read, but cuts off what is filled.
        return Accesses(tile, share, nearest(sent + passed), _whole(received + passed), 0, 0)
    if not rules.coalesce:
        through = nearest(sent + passed)
        return Accesses(tile, share, through, through, nearest(sent), through)
    # The first visit to each word of the partition finds no partial sum: it is neither refilled
    # from above nor read before the update. A box with gaps can hold more words than are visited.
    new = partition if rules.elision else 0
    reductions = max(nearest(sent + passed - new), 0)
    fills = 0 if rules.outermost else max(nearest(received + passed - new), 0)
    return Accesses(tile, share, reductions, fills, nearest(sent), reductions)


def nearest(words: Mean) -> float:
    """An average number of words, as a whole number (halves go up); a fraction as it is."""
    return number(words) if isinstance(words, int | Fraction) else floor(words + 0.5)


def _whole(words: Mean) -> float:
    """An average number of words, cut off to a whole number; a fraction as it is."""
    return number(words) if isinstance(words, int | Fraction) else int(words)


def number(words: int | Fraction) -> float:
    """An exact mean: an integer where it is one."""
    return words.numerator if words.denominator == 1 else float(words)


def partitions(einsum: Einsum, tensor: Tensor, mapping: Mapping) -> list[int]:
    """Words of the whole tensor that fall to one instance of each storage level."""
    share = einsum.tensor_words(tensor.name)
    shares = [share]
    for level in range(1, len(mapping.blocks)):
        tile = mapping.tile(level, einsum.extent)
        size, outer = einsum.tile_words(tensor, tile), mapping.blocks[level - 1]
        for loop in outer.spatial:
            tile[loop.rank] = min(tile[loop.rank] * loop.factor, einsum.extent[loop.rank])
        share = share * size // einsum.tile_words(tensor, tile)
        shares.append(share)
    return shares
