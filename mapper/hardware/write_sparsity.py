"""What a machine does about zeros, to either dialect, such that reading it back gives an equal machine."""

from __future__ import annotations

from typing import Any, Collection

from .architecture import Architecture
from .build_sparsity import METADATA, OPTIMIZATIONS
from .sparsity import ComputeSparsity, Condition, RankFormat, Representation, StorageSparsity

_ATTRIBUTES = {"metadata_storage_width": "metadata_width", "metadata_storage_depth": "metadata_depth",
               "metadata_word_bits": "metadata_word_bits", "payload_word_bits": "payload_word_bits"}
_FLAGS = {"compression_supported": "compresses", "decompression_supported": "decompresses",
          "allow_overbooking": "overbooking"}


def storage_to_dict(sparsity: StorageSparsity) -> dict[str, Any]:
    """The native keys of a level; default values are left out."""
    result: dict[str, Any] = {}
    if sparsity.formats:
        result["formats"] = {tensor: _format(x) for tensor, x in sparsity.formats.items()}
    metadata = {key: value for key, field in METADATA.items()
                if (value := getattr(sparsity, field)) is not None}
    if metadata:
        result["metadata"] = metadata
    for key, kind in OPTIMIZATIONS.items():
        listed = [_options(x.options, "on") for x in sparsity.optimizations if x.kind == kind]
        if listed:
            result[key] = listed
    for key in ("compresses", "decompresses"):
        if getattr(sparsity, key):
            result[key] = True
    if sparsity.overbooking:
        result["overbooking"] = True if sparsity.most_overbooked == 1.0 else sparsity.most_overbooked
    return result


def compute_to_dict(sparsity: ComputeSparsity) -> dict[str, Any]:
    """The native keys of the compute level."""
    return {key: True for key in ("gating", "skipping") if getattr(sparsity, key)}


def _format(representation: Representation) -> Any:
    ranks: list[Any] = []
    for rank in representation.ranks:
        entry: dict[str, Any] = {"format": rank.kind, **_bits(rank, "metadata_bits", "payload_bits")}
        if rank.flattened:
            entry["flatten"] = [list(group) for group in rank.flattened]
        ranks.append(entry if len(entry) > 1 else rank.kind)
    return {"ranks": ranks, "order": "inner_to_outer"} if representation.inner_to_outer else ranks


def _bits(rank: RankFormat, metadata: str, payload: str) -> dict[str, int]:
    """Bits of a word where the rank gives them itself, under these keys."""
    found = ((metadata, rank.metadata_bits), (payload, rank.payload_bits))
    return {key: bits for key, bits in found if bits is not None}


def _options(options: tuple[Condition, ...], on: str) -> dict[str, Any]:
    """The only option, or the list of them."""
    listed = [{"target": x.target, on: list(x.on)} for x in options]
    return listed[0] if len(listed) == 1 else {"options": listed}


def timeloop_attributes(sparsity: StorageSparsity) -> dict[str, Any]:
    """Timeloop's attributes of a level about metadata and overbooking."""
    found = {name: getattr(sparsity, field) for name, field in (_ATTRIBUTES | _FLAGS).items()}
    return {name: value for name, value in found.items() if value is not None and value is not False}


def sparsity_to_timeloop(architecture: Architecture, ranks: Collection[str] | None = None) -> dict[str, Any]:
    """The value of the key `sparse_optimizations`; empty for a dense machine. Timeloop knows the `ranks`
    of one layer; None: all that formats name."""
    targets = [{"name": level.name, **_target(level.sparsity, ranks)} for level in architecture.levels
               if level.sparsity.active]
    kinds = list(compute_to_dict(architecture.compute.sparsity))
    if kinds:
        targets.append({"name": architecture.compute.name,
                        "compute_optimization": [{"type": kind} for kind in kinds]})
    return {"targets": targets} if targets else {}


def overbooking_to_timeloop(architecture: Architecture) -> list[dict[str, Any]]:
    """Constraints on the share of tiles that may be too full."""
    return [{"target": level.name, "type": "max_overbooked_proportion",
             "proportion": level.sparsity.most_overbooked} for level in architecture.levels
            if level.sparsity.overbooking and level.sparsity.most_overbooked != 1.0]


def _target(sparsity: StorageSparsity, ranks: Collection[str] | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    if sparsity.formats:
        result["representation_format"] = {"data_spaces": [
            {"name": tensor, "ranks": [_rank(rank, ranks) for rank in x.ranks],
             "rank_application_order": "inner_to_outer" if x.inner_to_outer else "outer_to_inner"}
            for tensor, x in sparsity.formats.items()]}
    if sparsity.optimizations:
        result["action_optimization"] = [{"type": x.kind, **_options(x.options, "condition_on")}
                                         for x in sparsity.optimizations]
    return result


def _rank(rank: RankFormat, ranks: Collection[str] | None) -> dict[str, Any]:
    groups = [[name for name in group if ranks is None or name in ranks] for group in rank.flattened]
    flattened = {"flattened_rankIDs": [group for group in groups if group]} if any(groups) else {}
    return {"format": rank.kind, **_bits(rank, "metadata_word_bits", "payload_word_bits"), **flattened}
