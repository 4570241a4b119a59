"""Cycles: the compute array runs at one operation a cycle unless a bandwidth holds it back."""

from __future__ import annotations

from math import ceil
from typing import Mapping as MappingOf

from ..hardware.architecture import Storage
from .traffic import Accesses


def level_cycles(level: Storage, accesses: MappingOf[str, Accesses], compute_cycles: int) -> int:
    """Cycles that `level` needs to move the words in `accesses` (by tensor, of one instance).

    The bandwidths asked for are averages over the whole run; the level slows the machine by the
    smallest ratio of bandwidth there is to bandwidth asked for. The order of operations is that of
    Timeloop (model/buffer.cpp), since the last bit can decide what `ceil` gives.
    """
    scale = dict(level.bandwidth_scale)
    read = write = 0.0
    for name, x in accesses.items():
        factor = scale.get(name, 1.0)
        read += x.reads / compute_cycles * factor
        write += (x.fills + x.updates) / compute_cycles * factor
    slowdown = 1.0
    for bandwidth, demand in ((level.read_bandwidth, read), (level.write_bandwidth, write),
                              (level.shared_bandwidth, read + write)):
        if bandwidth is not None and bandwidth < demand:
            slowdown = min(slowdown, bandwidth / demand)
    return ceil(compute_cycles / slowdown)
