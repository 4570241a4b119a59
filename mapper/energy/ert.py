"""Energy and area reference tables of an architecture, in the form of Timeloop and Accelergy 0.4."""

from __future__ import annotations

from typing import Any

from ..hardware.architecture import Architecture, Compute, Storage
from ..hardware.sparsity import STORAGE_ACTIONS
from ..hardware.write_timeloop import dotted_name, top_name

#: The action of a table for each of ours; a fill is a write.
_ACTIONS = {"read": "read", "fill": "write", "update": "update", "compute": "compute", "leak": "leak",
            **{action: action.replace("fill", "write") for action in STORAGE_ACTIONS},
            "compress": "compression_count", "decompress": "decompression_count",
            "gated_compute": "mac_gated", "skipped_compute": "mac_skipped"}


def energy_table(architecture: Architecture) -> dict[str, Any]:
    """The value of the key `ERT`: pJ an action of every component, pJ a cycle for `leak`."""
    tables: list[dict[str, Any]] = [{"name": dotted_name(architecture, part), "actions": [
        {"name": _ACTIONS[action], "arguments": {}, "energy": figure.value}
        for action, figure in part.energy.items() if action in _ACTIONS]} for part in _parts(architecture)]
    if architecture.wire_pj_bit_mm is not None:
        tables.append({"name": f"{top_name(architecture)}.wire", "actions": [
            {"name": "transfer_random", "arguments": {}, "energy": architecture.wire_pj_bit_mm.value}]})
    return {"version": "0.4", "tables": tables}


def area_table(architecture: Architecture) -> dict[str, Any]:
    """The value of the key `ART`: um^2 of one instance of every component whose area is known."""
    return {"version": "0.4", "tables": [
        {"name": dotted_name(architecture, part), "area": part.area.value}
        for part in _parts(architecture) if part.area is not None]}


def _parts(architecture: Architecture) -> list[Storage | Compute]:
    return [*architecture.levels, architecture.compute]
