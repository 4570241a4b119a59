"""Cycles of what is left of accesses and computes, arrays with an entry a mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ...hardware.architecture import Architecture, Storage
from ..cost import Semantics
from .bits import ACCESSES, NOTHING, moved_bits, split_of
from .counts import SparseCounts, TensorCounts
from .nest import Array


@dataclass(frozen=True, eq=False)
class LevelPace:
    """How fast a level moves its words, see `latency.Pace`. Metadata count as the words of data that
    they are as wide as."""

    cycles: Array
    throttling: Array
    read: Mapping[str, Array]
    write: Mapping[str, Array]


def compute_cycles(counts: SparseCounts) -> Array:
    """Cycles that the units need: one for each compute that happens or is gated. Where the number of units
    at work has been cut off to none, one works."""
    units = np.where(counts.active[-1] > 0, counts.active[-1], 1.0)
    cycles: Array = np.ceil((counts.computes.actual + counts.computes.gated) / units)
    return np.maximum(cycles, 1.0)


def level_pace(architecture: Architecture, index: int, counts: SparseCounts, cycles: Array,
               semantics: Semantics) -> LevelPace:
    """Pace at which storage level `index` moves what the units ask for in `cycles`."""
    level = architecture.levels[index]
    scale = dict(level.bandwidth_scale)
    read, write = {}, {}
    for name, x in counts.levels[index].items():
        reads, writes = _moved(level, name, x, semantics)
        share = counts.active[index] * x.present / counts.instances[index]
        if semantics == "timeloop":     # an average instance is made to move a whole number
            reads, written = np.ceil(reads * share), sum((np.ceil(n * share) for n in writes), NOTHING)
        else:
            reads, written = reads * share, sum(writes, NOTHING) * share
        read[name] = reads / cycles * scale.get(name, 1.0)
        write[name] = written / cycles * scale.get(name, 1.0)
    asked_read, asked_write = (sum(x.values(), np.zeros_like(cycles)) for x in (read, write))
    throttling: Array = np.ones_like(cycles)
    for bandwidth, demand in ((level.read_bandwidth, asked_read), (level.write_bandwidth, asked_write),
                              (level.shared_bandwidth, asked_read + asked_write)):
        if bandwidth is not None:
            # A demand below the bandwidth does not speed the level up.
            throttling = np.minimum(throttling, bandwidth / np.maximum(demand, bandwidth))
    return LevelPace(np.ceil(cycles / throttling), throttling, {n: x * throttling for n, x in read.items()},
                     {n: x * throttling for n, x in write.items()})


def _moved(level: Storage, name: str, x: TensorCounts, semantics: Semantics) -> tuple[Array, list[Array]]:
    """Words that one instance reads, and those that it fills and that it updates. Gated ones count:
    their time passes."""
    form = level.sparsity.formats.get(name)
    found = []
    for access in ACCESSES:
        split, bits = split_of(x.data, access), NOTHING
        if form is not None and x.ranks:
            bits = moved_bits(level.sparsity, form.ranks, x.ranks, access, "actual") \
                + moved_bits(level.sparsity, form.ranks, x.ranks, access, "gated")
        words = bits / level.word_bits
        found.append(split.actual + split.gated + (np.floor(words) if semantics == "timeloop" else words))
    return found[0], found[1:]
