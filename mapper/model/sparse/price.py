"""Energy of what is left of accesses and computes, pJ, arrays with an entry a mapping.

Counts are those of one average instance; energies are of all instances. An access that is gated or
skipped costs what the machine says of it, and nothing where it says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

import numpy as np

from ...hardware.architecture import Architecture, Compute, Storage
from ...hardware.sparsity import fallbacks
from ...workload.einsum import Tensor
from ..cost import Semantics
from ..energy import action_energy, actions, address_price, gate, leakage_per_cycle
from .bits import ACCESSES, NOTHING, Access, State, moved_bits, rows, split_of, state_of
from .blocks import Blocks, blocks_of
from .counts import SparseCounts, Split, TensorCounts
from .nest import Array, SparseNest
from .zeros import Zeros

#: Prefix of the actions of each state.
_STATES: Mapping[State, str] = {"actual": "", "gated": "gated_", "skipped": "skipped_"}


@dataclass(frozen=True, eq=False)
class TensorPrice:
    """What one tensor costs at one level, and how many words that takes there.

    `energy` is the sum of the other energies: accesses to `data` and to `metadata`, `conversion`
    between formats, `addresses`, and `refetched`, reads that the next level inside could not serve
    since its tiles were too full.
    """

    energy: Array
    data: Array
    metadata: Array
    conversion: Array
    addresses: Array
    refetched: Array
    address_generations: Array       # of one instance


@dataclass(frozen=True, slots=True, eq=False)
class _Stream:
    """What one instance spends on one tensor, and its reads in blocks and in rows of metadata."""

    data: Array
    metadata: Array
    reads: Array
    rows: Mapping[Access, Array]


def figure(component: Storage | Compute, action: str) -> float:
    """pJ of an action; 0 where the machine gives none, as it may of those about zeros (see
    `sparsity.fallbacks`)."""
    found = next((component.energy[name] for name in fallbacks(action) if name in component.energy), None)
    return 0.0 if found is None else found.value


def tensor_prices(architecture: Architecture, tensor: Tensor, nest: SparseNest, zeros: Zeros,
                  counts: SparseCounts, confidence: tuple[Array, ...],
                  semantics: Semantics) -> dict[int, TensorPrice]:
    """Prices of `tensor` by the storage levels that keep it. `confidence`: by level, the share of tiles
    that fit (see `fit`)."""
    kept = nest.kept(tensor.name)
    streams = {i: _stream(architecture.levels[i], tensor, counts.levels[i][tensor.name], _blocks(
        architecture.levels[i], tensor.name, nest, zeros, counts, i, semantics), i == kept[0])
        for i in kept}
    found = {}
    for place, i in enumerate(kept):
        inner = kept[place + 1] if place + 1 < len(kept) else None
        again = NOTHING
        if inner is not None and architecture.levels[inner].sparsity.compressed(tensor.name):
            again = _again(architecture.levels[i], streams[inner]) * (1.0 - confidence[inner])
            if semantics == "exact":        # the program takes the reads of one instance for all
                again = again * _at_work(counts, inner, tensor.name) / np.maximum(
                    _at_work(counts, i, tensor.name), 1e-300)
        found[i] = _price(architecture.levels[i], tensor, counts, i, streams[i], again, confidence[i])
    return found


def _blocks(level: Storage, name: str, nest: SparseNest, zeros: Zeros, counts: SparseCounts, index: int,
            semantics: Semantics) -> Blocks:
    return blocks_of(level.block_words, zeros, zeros.tile(nest.tiles[index]),
                     counts.levels[index][name].density, level.sparsity.compressed(name), semantics)


def _stream(level: Storage, tensor: Tensor, x: TensorCounts, blocks: Blocks, outermost: bool) -> _Stream:
    data, metadata = NOTHING, NOTHING
    moved: dict[Access, Array] = {}
    form = level.sparsity.formats.get(tensor.name)
    needed = actions(tensor.is_output, outermost)
    for access in ACCESSES:
        split = split_of(x.data, access)
        for state, prefix in _STATES.items():
            # The plain accesses must have a figure, the others may.
            price = figure(level, prefix + access) if prefix else \
                action_energy(level, access) if access in needed else 0.0
            if price:
                data = data + blocks(state_of(split, state)) * price
            if form is None or not x.ranks:
                continue
            bits = moved_bits(level.sparsity, form.ranks, x.ranks, access, state)
            moved_rows = rows(bits, level.sparsity.metadata_width)
            metadata = metadata + moved_rows * figure(level, f"{prefix}metadata_{access}")
            if state == "actual":
                moved[access] = moved_rows
    return _Stream(data, metadata, blocks(x.data.reads.actual), moved)


def _again(level: Storage, inner: _Stream) -> Array:
    """pJ of reading from `level` what one instance further inside reads."""
    return inner.reads * action_energy(level, "read") \
        + inner.rows.get("read", NOTHING) * figure(level, "metadata_read")


def _price(level: Storage, tensor: Tensor, counts: SparseCounts, index: int, stream: _Stream, again: Array,
           confidence: Array) -> TensorPrice:
    x = counts.levels[index][tensor.name]
    most = max(level.instances // level.cluster_size, 1)
    # Instances of a cluster share an access; those that must be there decide how many do.
    at_once = _at_work(counts, index, tensor.name) / np.maximum(counts.instances[index] / most, 1.0)
    addresses = sum((split.actual + split.gated for split in (
        x.data.fills, x.data.updates if tensor.is_output else x.data.reads)), NOTHING)
    conversion = x.compressions * figure(level, "compress") + x.decompressions * figure(level, "decompress")
    scale = confidence * at_once if level.sparsity.compressed(tensor.name) else at_once
    parts = [part * scale for part in (stream.data, stream.metadata, conversion, again)]
    named = addresses * address_price(level) * at_once
    return TensorPrice(sum(parts, named), parts[0], parts[1], parts[2], named, parts[3], addresses)


def _at_work(counts: SparseCounts, index: int, tensor: str) -> Array:
    """Instances of a level that have a tile of `tensor`, on average."""
    at_work: Array = counts.active[index] * counts.levels[index][tensor].present
    return at_work


def compute_energy(compute: Compute, computes: Split) -> Array:
    """pJ of all computes: those that happen, and those that are gated or skipped."""
    saved = computes.gated * figure(compute, "gated_compute") \
        + computes.skipped * figure(compute, "skipped_compute")
    total: Array = computes.actual * action_energy(compute, "compute") + saved
    return total


def leakage(architecture: Architecture, index: int, counts: SparseCounts, cycles: Array,
            semantics: Semantics) -> Array:
    """pJ that storage level `index` leaks in `cycles`. Instances without work are off; Timeloop takes
    those with a tile of a tensor, whichever has most, for those that are on, and one at the least."""
    level = architecture.levels[index]
    switch, switched = gate(architecture, index)
    on = counts.active[switch]
    if semantics == "timeloop" and switch < len(architecture.levels):
        on = np.maximum.reduce([np.ones_like(on), *(
            _at_work(counts, switch, name) for name in counts.levels[switch])])
    total: Array = leakage_per_cycle(level) * cycles * on * switched
    return total
