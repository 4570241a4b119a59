"""Whether tiles fit: words of data, bits of metadata, instances; and how often they do, where a level
accepts that its tiles do not always."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Iterator, Mapping, Sequence

import numpy as np

from ...hardware.architecture import Architecture, Storage
from ..cost import Semantics
from .bits import stored_bits
from .counts import SparseCounts
from .nest import Array, Mask, SparseNest
from .zeros import Key, Zeros, distinct_keys

#: Timeloop halves the interval of the share of tiles that may fit until it is this short.
_STEPS = 128


@dataclass(frozen=True, eq=False)
class Limit:
    """Something that mappings `need`, and how much of it there is."""

    what: str
    need: Array
    have: float

    @property
    def kept(self) -> Mask:
        """Where it is enough."""
        return np.asarray(self.need <= self.have)


@dataclass(frozen=True, eq=False)
class Fit:
    """By storage level: the share of tiles that fit, and the words of the largest tiles of each tensor
    that do. `valid`: where all `limits` are kept, and the ranks of formats hold the loops they must."""

    confidence: tuple[Array, ...]
    words: tuple[Mapping[str, Array], ...]
    limits: tuple[Limit, ...]
    valid: Mask


def fit(architecture: Architecture, nest: SparseNest, zeros: Mapping[str, Zeros], counts: SparseCounts,
        semantics: Semantics) -> Fit:
    """How the mappings of `nest` fit the machine."""
    limits, confidence, words = [], [], []
    for i, level in enumerate(architecture.levels):
        share, taken = _data(level, nest, zeros, counts, i, semantics)
        if level.capacity_words is not None:
            limits.append(Limit(f"{level.name}: words of the largest tiles that must fit", sum(
                taken.values(), np.zeros(nest.size)), level.capacity_words))
        if level.sparsity.overbooking:
            limits.append(Limit(f"{level.name}: share of tiles that do not fit", 1.0 - share,
                                level.sparsity.most_overbooked))
        limits += _metadata(level, counts, i)
        limits.append(Limit(f"{level.name}: instances", counts.instances[i], level.instances))
        confidence.append(share)
        words.append(taken)
    limits.append(Limit(f"{architecture.compute.name}: instances", counts.instances[-1],
                        architecture.compute.instances))
    valid = np.broadcast_to(counts.valid, nest.size)
    for limit in limits:
        valid = valid & limit.kept
    return Fit(tuple(confidence), tuple(words), tuple(limits), valid)


def _metadata(level: Storage, counts: SparseCounts, index: int) -> Iterator[Limit]:
    have = level.sparsity.metadata_bits
    if have is not None:
        bits = sum((stored_bits(level.sparsity, level.sparsity.formats[name].ranks, x.ranks)
                    for name, x in counts.levels[index].items() if x.ranks), np.zeros(1))
        yield Limit(f"{level.name}: bits of metadata of the fullest tiles", bits, have)


def _data(level: Storage, nest: SparseNest, zeros: Mapping[str, Zeros], counts: SparseCounts, index: int,
          semantics: Semantics) -> tuple[Array, dict[str, Array]]:
    """Share of tiles that fit in `level`, 0 where none do, and the words of the largest of them."""
    found = counts.levels[index]
    words = {name: x.tile_words for name, x in found.items()}
    have = level.capacity_words
    loose = [name for name in found if level.sparsity.compressed(name)]
    if not level.sparsity.overbooking or not loose:
        return np.ones(nest.size), words
    rest = sum((x for name, x in words.items() if name not in loose), np.zeros(nest.size))
    tiles = [zeros[name].tile(nest.tiles[index]) for name in loose]
    room = sum((tile.prod(axis=0) for tile in tiles), np.zeros(nest.size))
    if have is not None:
        room = np.minimum(room, have - rest)
    keys, where = distinct_keys(np.concatenate([*tiles, room[None]]))
    ends = np.cumsum([0, *(len(tile) for tile in tiles)])
    booked = np.array([_booked([zeros[name] for name in loose], [
        key[start:end] for start, end in pairwise(ends)], key[-1], semantics) for key in keys]).T[:, where]
    return booked[0], words | dict(zip(loose, booked[1:], strict=True))


def _booked(zeros: Sequence[Zeros], keys: Sequence[Key], room: float, semantics: Semantics) -> list[float]:
    """The largest share of tiles of each tensor that fits into `room` words together with the same
    share of the others, and for each tensor the words of the fullest of these; 0 where not even the
    emptiest do.

    Timeloop looks for it by halving an interval that it never closes: it finds 127 of 128 at most.
    """
    models = [(x.density.pmf(key).values, np.cumsum(x.density.pmf(key).probabilities))
              for x, key in zip(zeros, keys, strict=True)]
    if semantics == "timeloop":
        candidates = np.arange(1, _STEPS) / _STEPS
    else:
        candidates = np.unique(np.concatenate([np.ones(1), *(
            np.minimum(sums[:-1], 1.0) for _, sums in models)]))
    places = [np.minimum(np.searchsorted(sums, candidates), len(sums) - 1) for _, sums in models]
    needed = [values[at] for (values, _), at in zip(models, places, strict=True)]
    fits = np.flatnonzero(np.sum(needed, axis=0) <= room)
    if not len(fits):
        return [0.0, *(float(values[0]) for values, _ in models)]
    return [float(candidates[fits[-1]]), *(float(words[fits[-1]]) for words in needed)]
