"""Bits of metadata, and the rows of a store for metadata that they move in."""

from __future__ import annotations

from typing import Iterable, Literal, Sequence

import numpy as np

from ...hardware.sparsity import RankFormat, StorageSparsity
from .counts import Actions, RankMetadata, Split
from .nest import Array

Access = Literal["read", "fill", "update"]
State = Literal["algorithmic", "actual", "gated", "skipped"]
ACCESSES: tuple[Access, ...] = ("read", "fill", "update")
NOTHING: Array = np.zeros(1)


def widths(level: StorageSparsity, ranks: Sequence[RankFormat]) -> list[tuple[int, int]]:
    """Bits of a word of metadata and of a payload, by rank.

    A width that a rank does not give is that of the level, and none where the level gives none either;
    a bit mask has one bit for each coordinate. Words are made so wide that a row of the store holds
    a whole number of them.
    """
    found = []
    for rank in ranks:
        metadata, payload = rank.metadata_bits, rank.payload_bits
        if metadata is None:
            metadata = 1 if rank.kind == "B" else level.metadata_word_bits
        if payload is None:
            payload = 0 if rank.kind == "B" else level.payload_word_bits or level.metadata_word_bits
        found.append((metadata or 0, payload or 0))
    return [(_padded(x, level.metadata_width), _padded(y, level.metadata_width)) for x, y in found]


def _padded(bits: int, width: int | None) -> int:
    """The least width from `bits` on that divides a row; `bits` where these fill more than a row."""
    if not bits or width is None or bits >= width:
        return bits
    return next(n for n in range(bits, width + 1) if width % n == 0)


def split_of(actions: Actions, access: Access) -> Split:
    """Accesses of one kind."""
    found: Split = {"read": actions.reads, "fill": actions.fills, "update": actions.updates}[access]
    return found


def state_of(split: Split, state: State) -> Array:
    """Those of them in one state."""
    found: Array = getattr(split, state)
    return found


def moved_bits(level: StorageSparsity, formats: Sequence[RankFormat], ranks: Sequence[RankMetadata],
               access: Access, state: State) -> Array:
    """Bits of metadata of all `ranks` (outermost first, as `formats`) that one kind of access moves."""
    return _total((state_of(split_of(rank.metadata, access), state),
                   state_of(split_of(rank.payload, access), state), *bits)
                  for rank, bits in zip(ranks, widths(level, formats), strict=True))


def stored_bits(level: StorageSparsity, formats: Sequence[RankFormat],
                ranks: Sequence[RankMetadata]) -> Array:
    """Bits of metadata that the fullest tile takes."""
    return _total((rank.metadata_words, rank.payload_words, *bits)
                  for rank, bits in zip(ranks, widths(level, formats), strict=True))


def _total(parts: Iterable[tuple[Array, Array, int, int]]) -> Array:
    total = NOTHING
    for metadata, payload, metadata_bits, payload_bits in parts:
        total = total + metadata * metadata_bits + payload * payload_bits
    return total


def rows(bits: Array, width: int | None) -> Array:
    """Accesses to a store of rows of `width` bits; to one without a width, one for each bit."""
    return bits if width is None else np.ceil(bits / width)
