"""What the result document says of the architecture: every figure of the energy model and its source."""

from __future__ import annotations

import hashlib
import json

from ..hardware.architecture import Architecture, Compute, Figure, Storage
from ..hardware.write import architecture_to_dict
from .schema import ArchitectureEntry, ComponentEntry, FigureEntry, MachineTotal

_ACCESSES = ("read", "fill", "update")


def architecture_entry(architecture: Architecture) -> ArchitectureEntry:
    """The part of the document about `architecture`."""
    spec = architecture_to_dict(architecture)
    parts: list[Storage | Compute] = [*architecture.levels, architecture.compute]
    components = [_component_entry(part, architecture.wire_pj_bit_mm) for part in parts]
    return {
        "name": architecture.name,
        "sha256": digest(spec),
        "cycle_seconds": architecture.cycle_seconds,
        "technology_nm": architecture.node_nm,
        "levels": components,
        "total": _total(components),
        "spec": spec,
    }


def digest(spec: object) -> str:
    """SHA-256 of the canonical JSON text of `spec` (sorted keys, no blanks), without the sources of
    its figures: they name files, and the same machine may be read from another place."""
    text = json.dumps(_without_sources(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_sources(spec: object) -> object:
    if isinstance(spec, dict):
        told = ("source", "basis") if "value" in spec else ()
        return {key: _without_sources(value) for key, value in spec.items() if key not in told}
    return [_without_sources(x) for x in spec] if isinstance(spec, list) else spec


def _total(components: list[ComponentEntry]) -> MachineTotal:
    """Sums over the components whose area, and whose leakage, is known; the others are named."""
    areas = {x["name"]: x.get("area_um2") for x in components}
    leaks = {x["name"]: x.get("leakage_pj_cycle") for x in components}
    return {
        "area_um2": sum(area for area in areas.values() if area is not None),
        "area_unknown": [name for name, area in areas.items() if area is None],
        "leakage_pj_cycle": sum(leak for leak in leaks.values() if leak is not None),
        "leakage_unknown": [name for name, leak in leaks.items() if leak is None],
    }


def _component_entry(part: Storage | Compute, wire: Figure | None) -> ComponentEntry:
    storage = part if isinstance(part, Storage) else None
    figures = {action: _figure(x, _bits(storage, action)) for action, x in sorted(part.energy.items())}
    networks = _network_figures(storage, wire) if storage else {}
    figures |= {name: _figure(x, None) for name, x in {**networks, "area": part.area}.items() if x}
    leak = part.energy.get("leak")
    return {
        "name": part.name,
        "component": part.component,
        "instances": part.instances,
        "word_bits": part.word_bits,
        "block_words": storage.block_words if storage else 1,
        "size_words": storage.size_words if storage else None,
        "read_bandwidth": storage.read_bandwidth if storage else None,
        "write_bandwidth": storage.write_bandwidth if storage else None,
        "shared_bandwidth": storage.shared_bandwidth if storage else None,
        "figures": figures,
        "area_um2": None if part.area is None else part.area.value * part.instances,
        "leakage_pj_cycle": None if leak is None or storage is None else leak.value * part.instances,
    }


def _figure(figure: Figure, bits: int | None) -> FigureEntry:
    entry: FigureEntry = {"value": figure.value, "source": figure.source, "basis": figure.basis}
    return entry if bits is None else {**entry, "bits": bits}


def _bits(level: Storage | None, action: str) -> int | None:
    """Bits that one access moves, with which its energy is shared out; None for what is no access."""
    if level is None or not action.endswith(_ACCESSES):
        return None
    if "metadata" in action:
        return level.sparsity.metadata_width
    return level.word_bits * level.block_words * level.cluster_size


def _network_figures(level: Storage, wire: Figure | None) -> dict[str, Figure | None]:
    """What the networks below `level` charge, by name; "up" is the one that only brings outputs up.
    `wire` is the figure of networks that declare none."""
    found: dict[str, Figure | None] = {}
    for prefix, network in (("", level.network), ("up ", level.update_network)):
        if network is not None:
            found |= {prefix + "ingress": network.ingress, prefix + "hop": network.hop_pj,
                      prefix + "wire": network.wire_pj_bit_mm or wire, prefix + "tile width": network.tile_um,
                      prefix + "router": network.router_pj, prefix + "adder": network.adder_pj}
            found |= {f"{prefix}transfer to {n}": x for n, x in sorted(network.transfer_pj.items())}
    return found
