"""Rules for accesses and operations that are gated or skipped and that nobody gives a figure for."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, TypeVar

from ..hardware.architecture import Architecture, Compute, Figure, Storage
from ..hardware.sparsity import COMPUTE_ACTIONS, METADATA_ACTIONS, fallbacks
from .component import Estimate

Part = TypeVar("Part", Storage, Compute)


def spelt_out(architecture: Architecture) -> Architecture:
    """`architecture` with the rules of the model for all that it may gate or skip."""
    return replace(architecture, compute=zero_rules(architecture.compute, architecture, None),
                   levels=tuple(zero_rules(level, architecture, None) for level in architecture.levels))


def zero_rules(part: Part, architecture: Architecture, found: Estimate | None) -> Part:
    """`part` with a figure for every action that the machine may gate or skip there.

    That of the estimate `found` counts first. Else the rules of the model are spelt out: what is skipped
    costs what is gated; then an operation costs what a whole one does, and an access nothing.
    """
    energy = dict(part.energy)
    for action in _actions(part, _states(architecture)):
        if action not in energy:
            given = found.actions.get(action) if found is not None else None
            energy[action] = given or _by_rule(action, energy)
    return part if len(energy) == len(part.energy) else replace(part, energy=energy)


def _states(architecture: Architecture) -> tuple[str, ...]:
    """What becomes of work on zeros in a machine."""
    units = architecture.compute
    kinds = {each.kind for level in architecture.levels for each in level.sparsity.optimizations}
    gates = "gating" in kinds or units.sparsity.gating
    skips = kinds - {"gating"} or units.sparsity.skipping or units.lockstep is not None
    return ("gated",) * gates + ("skipped",) * bool(skips)


def _actions(part: Storage | Compute, states: tuple[str, ...]) -> Iterator[str]:
    """The actions about zeros that a level may have, those that are gated first."""
    if isinstance(part, Compute):
        yield from (action for action in COMPUTE_ACTIONS if action.partition("_")[0] in states)
        return
    kinds = ("", "metadata_") if part.sparsity.formats else ("",)
    yield from (f"{state}_{kind}{access}" for state in states for kind in kinds
                for access in METADATA_ACTIONS)
    yield from (name for name, does in (("compress", part.sparsity.compresses),
                                        ("decompress", part.sparsity.decompresses)) if does)


def _by_rule(action: str, energy: dict[str, Figure]) -> Figure:
    name = next((name for name in fallbacks(action) if name in energy), None)
    if name is None:
        return Figure(0.0, "rule: no figure, so it costs nothing", "rule")
    return Figure(energy[name].value, f"rule: costs what {name} does", "rule")
