"""`Architecture` to the native dialect, such that reading it back gives an equal architecture."""

from __future__ import annotations

from .architecture import Architecture, Compute, Figure, Network, Storage
from .build_lockstep import lockstep_to_dict
from .build_network import FIGURES
from .write_sparsity import compute_to_dict, storage_to_dict


def architecture_to_dict(architecture: Architecture) -> dict[str, object]:
    """The value of a native `architecture` key; default values are left out."""
    result: dict[str, object] = {"name": architecture.name}
    if architecture.node_nm is not None:
        result["technology"] = architecture.node_nm
    if architecture.cycle_seconds is not None:
        result["cycle"] = f"{architecture.cycle_seconds!r} s"
    if architecture.wire_pj_bit_mm is not None:
        result["wire_energy"] = _figure(architecture.wire_pj_bit_mm)
    if architecture.notes:
        result["notes"] = architecture.notes
    levels = [_storage(architecture, index) for index in range(len(architecture.levels))]
    top = architecture.levels[0]
    if top.instances != 1:
        levels[0]["instances"] = {"x": top.mesh_x, "y": top.mesh_y}
    result["levels"] = levels
    compute = _component(architecture.compute) | compute_to_dict(architecture.compute.sparsity)
    if architecture.compute.lockstep is not None:
        compute["lockstep"] = lockstep_to_dict(architecture.compute.lockstep)
    result["compute"] = compute
    return result


def _component(part: Storage | Compute) -> dict[str, object]:
    """What storage and compute have in common."""
    result: dict[str, object] = {"name": part.name, "class": part.component, "word_bits": part.word_bits}
    if part.energy:
        result["energy"] = {action: _figure(figure) for action, figure in part.energy.items()}
    if part.area is not None:
        result["area"] = _figure(part.area)
    if part.attributes:
        result["attributes"] = dict(part.attributes)
    return result


def _storage(architecture: Architecture, index: int) -> dict[str, object]:
    level = architecture.levels[index]
    result = _component(level)
    plain = Storage(level.name)
    for key in ("block_words", "cluster_size", "multiple_buffering", "read_bandwidth",
                "write_bandwidth", "shared_bandwidth", "reduces", "power_gated_at"):
        if getattr(level, key) != getattr(plain, key):
            result[key] = getattr(level, key)
    if level.size_words is not None:
        result["size"] = f"{level.size_words} words"
    if level.bandwidth_scale:
        result["bandwidth_scale"] = dict(level.bandwidth_scale)
    for key, names in (("keep", level.keep), ("bypass", level.bypass)):
        if names:
            result[key] = sorted(names)
    x, y = architecture.fanout(index)
    fanout: dict[str, object] = {"x": x, "y": y}
    for key, ranks in (("x_ranks", level.spatial_x), ("y_ranks", level.spatial_y)):
        if ranks is not None:
            fanout[key] = list(ranks)
    if fanout != {"x": 1, "y": 1}:
        result["fanout"] = fanout
    if level.network != Network():
        result["network"] = _network(level.network)
    if level.update_network is not None:
        result["update_network"] = _network(level.update_network)
    return result | storage_to_dict(level.sparsity)


def _network(network: Network) -> dict[str, object]:
    result: dict[str, object] = {"name": network.name, "multicast": network.multicast,
                                 "links": network.links}
    plain = Network()
    for key, field in (("kind", "kind"), ("distributed", "distributed"), ("word_bits", "word_bits"),
                       ("fill_latency", "fill_cycles"), ("drain_latency", "drain_cycles"),
                       ("wires", "wires"), ("routers", "routers")):
        if getattr(network, field) != getattr(plain, field):
            result[key] = getattr(network, field)
    for key, field in FIGURES.items():
        if (figure := getattr(network, field)) is not None:
            result[key] = _figure(figure)
    if network.transfer_pj:
        result["transfer_energy"] = {str(n): _figure(x) for n, x in network.transfer_pj.items()}
    return result


def _figure(figure: Figure) -> dict[str, object]:
    basis = {} if figure.basis == "user" else {"basis": figure.basis}
    return {"value": figure.value, "source": figure.source, **basis}
