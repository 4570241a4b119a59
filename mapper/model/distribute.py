"""Copies that instances share: Timeloop's M:N networks.

Where a network would send one tile to several instances, an M:N network gives each of them a part of
it, and who needs a word is sent it by its holder, together with all others of the group.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Collection
from typing import Mapping as MappingOf

from ..hardware.architecture import Architecture
from .cost import Semantics
from .hops import hops
from .traffic import Accesses, Delivery, Traffic


def share_copies(architecture: Architecture, traffic: MappingOf[str, Traffic],
                 outputs: Collection[str], semantics: Semantics) -> dict[str, Traffic]:
    """`traffic` (by tensor) where networks that are `distributed` share copies.

    Raises
    ------
    ValueError
        Instances would share what they add to, what neighbours pass on, or what only some of them
        need; for these there is no rule.
    """
    result = dict(traffic)
    for index, level in enumerate(architecture.levels[:-1]):
        if not level.network.distributed:
            continue
        for name, x in result.items():
            members = {d.multicast for d in x.deliveries[index] if d.words}
            if max(members, default=1) == 1 or x.accesses[index + 1] is None:
                continue
            if name in outputs or x.passed[index] or len(x.deliveries[index]) > 1:
                raise ValueError(f"the M:N network below {level.name} cannot share copies of {name}: it is "
                                 "an output, or instances need different words of it")
            result[name] = _shared(x, index, architecture.fanout(index), semantics)
    return result


def _shared(x: Traffic, index: int, mesh: tuple[int, int], semantics: Semantics) -> Traffic:
    """The traffic of a tensor of which the instances below level `index` share copies.

    The rule of the program is read off its output for one case: it rounds parts up, lets every part
    travel as far as the whole tile would, and takes the words that one instance uses for those that
    all groups send around.
    """
    sent, = x.deliveries[index]
    held = x.accesses[index + 1]
    assert held is not None
    defect, m, groups = semantics == "timeloop", sent.multicast, sent.scatter
    used = sum(d.words for d in x.deliveries[index + 1])        # by one instance
    single = sum(hops([i], *mesh) for i in range(m * groups)) * sent.words / groups
    way = None if sent.hops is None else single if defect else single / m
    around = used if defect else used * groups
    deliveries = (Delivery(1, m * groups, sent.words, way),
                  Delivery(m, groups, around,
                           None if sent.hops is None else sent.hops * around / sent.words))
    parts = _in_program(held, m) if defect else _in_parts(held, m)
    below = tuple(replace(d, words=d.words / m, hops=d.hops and d.hops / m)
                  for d in x.deliveries[index + 1])
    return replace(
        x, accesses=(*x.accesses[:index + 1], parts, *x.accesses[index + 2:]),
        sent=(*x.sent[:index], {1: round(sent.words), m: round(around)}, *x.sent[index + 1:]),
        deliveries=(*x.deliveries[:index], deliveries, below, *x.deliveries[index + 2:]))


def _in_parts(held: Accesses, m: int) -> Accesses:
    """What an average instance holds and moves that has one part in `m`."""
    return replace(held, tile_words=ceil(held.tile_words / m), partition_words=held.partition_words / m,
                   reads=held.reads / m, fills=held.fills / m)


def _in_program(held: Accesses, m: int) -> Accesses:
    """The same as the program has it: one more than the rest divides into; tiles count whole."""
    def part(words: float) -> float:
        return 1 + (words - 1) / m if words else 0.0

    return replace(held, partition_words=int(part(held.partition_words)),
                   reads=int(part(held.reads) + 0.5), fills=int(part(held.fills)))
