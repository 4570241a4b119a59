"""What the text and the HTML report both show, read out of a result document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from .schema import Actions, ComponentEntry, LayerEntry, LevelEntry, ResultDocument, SparseEntry

COMPUTE = "compute"        # names of the parts of an energy that belong to no tensor
LEAKAGE = "leakage"
NETWORKS = "networks"      # and to no level
#: What the switches of an evaluation are called when they do not stand as usual.
_SWITCHES = (("first_read_elision", "without first read elision"), ("torus", "with toroidal links"),
             ("updated_rmw", "with updated read-modify-write"))


@dataclass(frozen=True)
class NestLine:
    """A line of a loop nest and the level it belongs to, the compute unit being the last one."""

    text: str
    level: int
    kind: str          # "level" | "temporal" | "spatial" | "compute"


def nest(layer: LayerEntry) -> list[NestLine]:
    """The lines of the loop nest of `layer`, each with its level."""
    lines, level = [], -1
    for text in layer["mapping"]:
        if text.lstrip().startswith("for "):
            kind = "spatial" if "(Spatial-" in text else "temporal"
        else:
            level += 1
            kind = "level" if level < len(layer["levels"]) - 1 else "compute"
        lines.append(NestLine(text, level, kind))
    return lines


def energy_by_level(layer: LayerEntry) -> dict[str, float]:
    """pJ by level, compute last, and that of all networks where they cost anything."""
    parts = {level["name"]: level["energy_pj"] for level in layer["levels"]}
    networks = sum(x["energy_pj"] for x in layer["networks"])
    return {**parts, NETWORKS: networks} if networks else parts


def energy_by_tensor(layer: LayerEntry) -> dict[str, float]:
    """pJ by tensor over all levels and networks, then that of compute and of leakage."""
    parts: dict[str, float] = {}
    for level in layer["levels"]:
        for name, tensor in level["tensors"].items():
            parts[name] = parts.get(name, 0.0) + tensor["energy_pj"]
    for network in layer["networks"]:
        for name, transfer in network["tensors"].items():
            parts[name] = parts.get(name, 0.0) + transfer["energy_pj"]
    compute = layer["levels"][-1]
    parts[COMPUTE] = compute["energy_pj"] - compute["leakage_pj"]
    leakage = sum(level["leakage_pj"] for level in layer["levels"])
    return {**parts, LEAKAGE: leakage} if leakage else parts


def network_energy(document: ResultDocument, by: str) -> dict[str, float]:
    """pJ of all layers and their repetitions, `by` "level" or "tensor"."""
    split = energy_by_level if by == "level" else energy_by_tensor
    total: dict[str, float] = {}
    for layer in document["layers"]:
        for name, energy in split(layer).items():
            total[name] = total.get(name, 0.0) + energy * layer["count"]
    last = [name for name in (COMPUTE, LEAKAGE, NETWORKS) if name in total]
    return {**{k: v for k, v in total.items() if k not in last}, **{k: total[k] for k in last}}


def counting(document: ResultDocument) -> str:
    """How the document counts, and which of its layers the other semantics would count otherwise."""
    differing = [layer["name"] for layer in document["layers"] if "difference" in layer]
    other = "timeloop" if document["semantics"] == "exact" else "exact"
    rest = f"{', '.join(differing)} would differ under {other} semantics" if differing else \
        f"{other} semantics give the same figures"
    switches = "".join(f", {name}" for key, name in _SWITCHES if key in document.get("options", {}))
    return f"Counted with {document['semantics']} semantics{switches}; {rest}."


@dataclass(frozen=True)
class Bandwidth:
    """Words a cycle and instance that a level moves on average, metadata among them, and the most it can."""

    name: str                  # "read" | "write" | "shared"
    words: float
    limit: float | None


def bandwidths(level: LevelEntry, component: ComponentEntry, cycles: int) -> list[Bandwidth]:
    """What `level` moves in a layer that takes `cycles`; "shared" only where it has a limit."""
    slots = max(1, level["utilized_instances"] * cycles)
    tensors, bits = level["tensors"].values(), component["word_bits"]
    reads = sum(_moved(t["reads"]) + t["metadata"]["reads"] / bits for t in tensors) / slots
    writes = sum(_moved(t["fills"]) + _moved(t["updates"])
                 + (t["metadata"]["fills"] + t["metadata"]["updates"]) / bits for t in tensors) / slots
    rows = [Bandwidth("read", reads, component["read_bandwidth"]),
            Bandwidth("write", writes, component["write_bandwidth"])]
    if component["shared_bandwidth"] is not None:
        rows.append(Bandwidth("shared", reads + writes, component["shared_bandwidth"]))
    return rows


def _moved(actions: Actions) -> int:
    """Accesses that take their time."""
    return actions["actual"] + actions["gated"]


def occupancy(level: LevelEntry, component: ComponentEntry) -> float | None:
    """Share of the size of one instance that the tiles take; None without a limit."""
    size = component["size_words"]
    if not size:
        return None
    return sum(t["tile_words"] for t in level["tensors"].values()) / size


def metadata_energy(document: ResultDocument) -> float:
    """pJ of metadata and of changes of format, of all layers and their repetitions."""
    return sum(layer["count"] * (part["metadata_pj"] + part["conversion_pj"])
               for layer in document["layers"] for part in _sparse(layer))


def _sparse(layer: LayerEntry) -> Iterator[SparseEntry]:
    for level in layer["levels"]:
        yield from (t["sparse"] for t in level["tensors"].values() if "sparse" in t)


def is_sparse(layer: LayerEntry) -> bool:
    """Whether the machine does something about zeros."""
    return any(True for _ in _sparse(layer))
