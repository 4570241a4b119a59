"""Cycles: the compute array runs at one operation a cycle unless a bandwidth holds it back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Mapping as MappingOf

from ..hardware.architecture import Storage
from .traffic import Accesses


@dataclass(frozen=True)
class Pace:
    """How fast a level moves its words: `cycles` for all of them, `throttling` of the machine to
    the bandwidth there is (1 where it suffices), and the words a cycle and instance that are then
    read and written, by tensor."""

    cycles: int
    throttling: float
    read: MappingOf[str, float]
    write: MappingOf[str, float]


def level_pace(level: Storage, accesses: MappingOf[str, Accesses], compute_cycles: int,
               share: Fraction = Fraction(1)) -> Pace:
    """Pace at which `level` moves the words in `accesses` (by tensor, of one instance).

    `share` is the part of the words that an instance is taken to move: Timeloop spreads those of the
    instances at work over all that ever are, and rounds up. The bandwidths asked for are averages
    over the whole run; the level slows the machine by the smallest ratio of bandwidth there is to
    bandwidth asked for. The order of operations is that of Timeloop (model/buffer.cpp), since the
    last bit can decide what `ceil` gives.
    """
    scale = dict(level.bandwidth_scale)
    moved = {name: (x.reads, x.fills + x.updates) if share == 1 else
             (ceil(x.reads * share), ceil(x.fills * share) + ceil(x.updates * share))
             for name, x in accesses.items()}
    reads = {name: n / compute_cycles * scale.get(name, 1.0) for name, (n, _) in moved.items()}
    writes = {name: n / compute_cycles * scale.get(name, 1.0) for name, (_, n) in moved.items()}
    read, write = sum(reads.values()), sum(writes.values())
    throttling = 1.0
    for bandwidth, demand in ((level.read_bandwidth, read), (level.write_bandwidth, write),
                              (level.shared_bandwidth, read + write)):
        if bandwidth is not None and bandwidth < demand:
            throttling = min(throttling, bandwidth / demand)
    return Pace(ceil(compute_cycles / throttling), throttling,
                {name: x * throttling for name, x in reads.items()},
                {name: x * throttling for name, x in writes.items()})
