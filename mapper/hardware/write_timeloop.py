"""`Architecture` to Timeloop's dialect, such that reading it back with its tables gives an equal one.

What Timeloop has no words for goes under a key `tilebound` of the component, in the native dialect;
Timeloop reads past it.
"""

from __future__ import annotations

from typing import Any

from ..spec.timeloop_arch import COMPUTE_CLASSES, KNOWN_ATTRIBUTES, STORAGE_CLASSES
from .architecture import Architecture, Compute, Network, Storage
from .write import architecture_to_dict
from .write_sparsity import timeloop_attributes

#: What Timeloop's default network is: the one that a level has when nothing is said.
_DEFAULT = Network(links=True)
_NETWORK = {"energy_per_ingress": "ingress", "energy_per_hop": "hop_pj", "wire_energy": "wire_pj_bit_mm",
            "tile_width": "tile_um", "router_energy": "router_pj"}


def architecture_to_timeloop(architecture: Architecture) -> dict[str, Any]:
    """The value of the key `architecture`, as a tree of one node; energies and areas are left to the
    tables of `energy.ert`."""
    system: dict[str, Any] = {}
    if architecture.node_nm is not None:
        system["technology"] = f"{architecture.node_nm}nm"
    if architecture.cycle_seconds is not None:
        system["global_cycle_seconds"] = architecture.cycle_seconds
    if architecture.notes:
        system["notes"] = architecture.notes
    native: Any = architecture_to_dict(architecture)
    local = [_storage(x, entry) for x, entry in zip(architecture.levels, native["levels"], strict=True)]
    local.append(_component(architecture.compute, COMPUTE_CLASSES, "compute"))
    if "lockstep" in native["compute"]:
        local[-1]["tilebound"] = {"lockstep": native["compute"]["lockstep"]}
    return {"version": "0.4", "subtree": [
        {"name": top_name(architecture), "attributes": system, "local": local}]}


def top_name(architecture: Architecture) -> str:
    """The name of the tree's only node."""
    return f"{architecture.name}_top_level"


def dotted_name(architecture: Architecture, part: Storage | Compute) -> str:
    """The name of a component in a table: `eyeriss_top_level.RF[1..168]`."""
    return f"{top_name(architecture)}.{ranged_name(part)}"


def ranged_name(part: Storage | Compute) -> str:
    """The name of a component with the range of its instances."""
    return f"{part.name}[1..{part.instances}]"


def _component(part: Storage | Compute, classes: tuple[str, ...], general: str) -> dict[str, Any]:
    """The class is `general`, with its own as subclass, where its own is none that Timeloop knows."""
    telling = any(word in part.component for word in classes)
    kind = {"class": part.component} if telling else {"class": general, "subclass": part.component}
    free = {key: value for key, value in part.attributes.items() if key not in KNOWN_ATTRIBUTES
            or (key == "technology" and value is not None)}
    return {"name": ranged_name(part), **kind, "attributes": {
        **free, "datawidth": part.word_bits, "meshX": part.mesh_x, "meshY": part.mesh_y}}


def _storage(level: Storage, native: dict[str, Any]) -> dict[str, Any]:
    result = _component(level, STORAGE_CLASSES, "storage")
    attributes = result["attributes"]
    attributes |= {"width": level.word_bits * level.block_words * level.cluster_size,
                   "block_size": level.block_words, "cluster_size": level.cluster_size,
                   "reduction_supported": level.reduces}
    if level.size_words is not None:
        rows, rest = divmod(level.size_words, level.block_words)
        attributes |= {"entries": level.size_words} if rest else {"depth": rows}
    for key in ("read_bandwidth", "write_bandwidth", "shared_bandwidth", "power_gated_at"):
        if getattr(level, key) is not None:
            attributes[key] = getattr(level, key)
    if level.multiple_buffering != 1.0:
        attributes["multiple_buffering"] = level.multiple_buffering
    if level.bandwidth_scale:
        attributes["per_dataspace_bandwidth_consumption_scale"] = dict(level.bandwidth_scale)
    attributes |= timeloop_attributes(level.sparsity)
    if "address" in level.energy:
        attributes["addr_gen_energy"] = level.energy["address"].value
    for key, field in _NETWORK.items():
        if (figure := getattr(level.network, field)) is not None:
            attributes[key] = figure.value
    for key, cycles in (("fill", level.network.fill_cycles), ("drain", level.network.drain_cycles)):
        if cycles:
            attributes[f"network_{key}_latency"] = cycles
    if own := _native_only(level, native):
        result["tilebound"] = own
    return result


def _native_only(level: Storage, native: dict[str, Any]) -> dict[str, Any]:
    """The native keys for what Timeloop's attributes cannot say of `level`."""
    own: dict[str, Any] = {key: native[key] for key in ("keep", "bypass") if key in native}
    ranks = {key: names for key, names in native.get("fanout", {}).items() if key.endswith("_ranks")}
    if ranks:
        own["fanout"] = ranks
    if level.network != _DEFAULT:
        own["network"] = native.get("network", {"links": False})
    if level.update_network is not None:
        own["update_network"] = native["update_network"]
    return own
