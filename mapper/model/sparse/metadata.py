"""Words of metadata and payload in the ranks of a tile.

A rank has a fiber for each coordinate of the rank above. What it takes, by kind, for `f` fibers of `s`
coordinates each, of which a share is not empty (Timeloop: format-models/*.cpp):

- bit mask (B): s bits a fiber, a payload for each coordinate that is not empty;
- coordinates (CP), run lengths (RLE): one, and a payload, for each that is not empty;
- offsets (UOP): s + 1 payloads a fiber;
- uncompressed bit mask (UB): a bit and a payload for each coordinate, empty or not.

Fibers under an empty coordinate are not there. The payload of the innermost rank is the data itself.
"""

from __future__ import annotations

from typing import Iterator

import numpy as np

from ...hardware.sparsity import FormatKind, Representation
from .nest import Array, Mask
from .ranks import Rank, Ranks
from .zeros import Key, Zeros, added_up, distinct_keys

#: Words of metadata and of payload in each rank, innermost first.
Units = list[tuple[Array, Array]]


def expected_units(zeros: Zeros, form: Representation, ranks: Ranks, tile: Array, filled: bool) -> Units:
    """What tiles take on average; of those only that are not empty where `filled`.

    In "exact" semantics these are expected numbers of tiles that are not empty. Timeloop multiplies
    the shares of non-empty fibers and of non-empty coordinates, as if these were independent, for each
    number of non-zeros that the tile may have.
    """
    if zeros.semantics == "exact":
        present = zeros.filled(tile)[1] if filled else np.ones(tile.shape[1])
        scale = 1.0 / np.where(present > 0, present, np.inf)
        fibers, above, units = np.ones(tile.shape[1]), tile, []
        for kind, rank in _outermost_first(form, ranks):
            some, each = (1.0 - zeros.empty(x) for x in (above, rank.below))
            units.append(_full(kind, fibers, rank.coordinates, fibers * some * scale,
                               fibers * rank.coordinates * each * scale))
            fibers, above = fibers * rank.coordinates, rank.below
        return _data_is_payload(units[::-1], ranks, form)
    return _data_is_payload(_summed(zeros, form, ranks, tile, filled), ranks, form)


def largest_units(zeros: Zeros, form: Representation, ranks: Ranks, tile: Array) -> Units:
    """What the fullest tile takes. In "exact" semantics its non-zeros lie as apart as they can."""
    if zeros.semantics == "exact":
        fibers, most, units = np.ones(tile.shape[1]), zeros.most(tile), []
        for kind, rank in _outermost_first(form, ranks):
            every = fibers * rank.coordinates
            units.append(_full(kind, fibers, rank.coordinates, np.minimum(fibers, most),
                               np.minimum(every, most)))
            fibers = every
        return _data_is_payload(units[::-1], ranks, form)
    most = zeros.most(tile)
    return _data_is_payload(_summed(zeros, form, ranks, tile, False, most), ranks, form)


def _outermost_first(form: Representation, ranks: Ranks) -> Iterator[tuple[FormatKind, Rank]]:
    return zip((rank.kind for rank in form.ranks), reversed(ranks.ranks), strict=True)


def _full(kind: FormatKind, fibers: Array, coordinates: Array, some_fibers: Array,
          some: Array) -> tuple[Array, Array]:
    """Words of a rank with that many `fibers` and `coordinates` in each, of which `some` are not empty."""
    none = np.zeros_like(fibers)
    if kind == "B":
        return some_fibers * coordinates, some
    if kind in ("CP", "RLE"):
        return some, some
    if kind == "UOP":
        return none, some_fibers * (coordinates + 1.0)
    if kind == "UB":
        return fibers * coordinates, fibers * coordinates
    return none, none


def _data_is_payload(units: Units, ranks: Ranks, form: Representation) -> Units:
    """`units` (innermost first) without ranks that hold no loop and without the payload of the innermost
    that does."""
    found = np.zeros_like(ranks.valid)
    end = 0 if form.inner_to_outer else len(units) - 1     # a tile of one word is in this rank
    kept: Units = []
    for index, ((metadata, payload), rank) in enumerate(zip(units, ranks.ranks, strict=True)):
        there: Mask = (rank.coordinates > 1) | (index == end)
        metadata, payload = np.where(there, metadata, 0.0), np.where(there, payload, 0.0)
        first = ~found & ((metadata != 0) | (payload != 0))
        found |= first
        kept.append((metadata, np.where(first, 0.0, payload)))
    return kept


# --- Timeloop's way --------------------------------------------------------------------------------

def _summed(zeros: Zeros, form: Representation, ranks: Ranks, tile: Array, filled: bool,
            most: Array | None = None) -> Units:
    """Expected words of each rank, or those of a tile with `most` non-zeros; once for equal tiles."""
    axes, rows = len(tile), [tile]
    for rank in ranks.ranks:
        rows += [rank.coordinates[None], rank.below]
    if most is not None:
        rows.append(most[None])
    keys, where = distinct_keys(np.concatenate(rows))
    found = np.empty((len(keys), 2 * len(ranks.ranks)))
    for i, key in enumerate(keys):
        known = key, form, filled, most is None
        if known not in zeros.units:
            zeros.units[known] = _one(zeros, form, key, axes, filled, most is not None)
        found[i] = zeros.units[known]
    columns = found[where].T
    return list(zip(columns[::2], columns[1::2], strict=True))


def _one(zeros: Zeros, form: Representation, key: Key, axes: int, filled: bool, fullest: bool) -> list[float]:
    """Words of the ranks (innermost first: metadata, payload) for one tile and its ranks."""
    tile, count = key[:axes], len(form.ranks)
    ranks = [(key[axes + i * (1 + axes)], key[axes + i * (1 + axes) + 1:axes + (i + 1) * (1 + axes)])
             for i in range(count)]
    if fullest:
        counts, shares = np.array([key[-1]]), np.ones(1)
    else:
        pmf = zeros.occupancies(tile, filled)
        counts, shares = pmf.values, pmf.probabilities
    units = [0.0] * (2 * count)
    fibers, above = 1, tile
    for index, kind in zip(reversed(range(count)), (rank.kind for rank in form.ranks), strict=True):
        coordinates, below = ranks[index]
        there = fibers * (1.0 - zeros.empty_given(tile, counts, above))
        each = 1.0 - zeros.empty_given(tile, counts, below)
        metadata, payload = _rounded(kind, fibers, coordinates, there, each)
        units[2 * index] = added_up(metadata * shares)
        units[2 * index + 1] = added_up(payload * shares)
        fibers, above = fibers * coordinates, below
    return units


def _rounded(kind: FormatKind, fibers: int, coordinates: int, there: Array,
             each: Array) -> tuple[Array, Array]:
    """Words of a rank by the number of non-zeros of the tile: of `fibers` those that are `there`, with a
    share `each` of their coordinates."""
    none = np.zeros_like(there)
    some = there * np.ceil(coordinates * each)
    if kind == "B":
        return there * coordinates, some
    if kind == "CP":
        return some, some
    if kind == "RLE":
        return there * coordinates * each, there * coordinates * each
    if kind == "UOP":
        return none, there * (coordinates + 1.0)
    if kind == "UB":
        return none + fibers * coordinates, none + fibers * coordinates
    return none, none

