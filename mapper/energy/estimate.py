"""The estimates that Timeloop itself makes where nobody gives it an energy reference table."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable, Mapping

from ..hardware.architecture import Architecture, Compute, Figure, Storage
from ..hardware.sparsity import METADATA_ACTIONS

SOURCE = "Timeloop's built-in estimate"


def estimate(architecture: Architecture) -> Architecture:
    """The same architecture with Timeloop's own rough figures (pJ) for every action without one.

    200 pJ for 16 bits of DRAM; for each 16 bits of an SRAM's width a line through 1 pJ at 0.5 KiB and
    6 pJ at 100 KiB; for a multiplier the square of its width in 16 bits. A cluster shares one access.
    """
    return replace(architecture, compute=_compute(architecture.compute),
                   levels=tuple(_storage(level) for level in architecture.levels))


def free_metadata(architecture: Architecture) -> Architecture:
    """The same architecture, where metadata costs nothing in levels whose own table leaves it out."""
    return replace(architecture, levels=tuple(
        _without(level, "no such action in the table of the level")
        if {"read", "fill", "update"} <= set(level.energy) else level for level in architecture.levels))


def _without(level: Storage, source: str) -> Storage:
    """A level with formats, whose metadata costs nothing unless there is a figure for it."""
    if not level.sparsity.formats:
        return level
    return replace(level, energy=_filled(level.energy, METADATA_ACTIONS.values(), 0.0, source))


def _storage(level: Storage) -> Storage:
    level = _without(level, SOURCE)
    width = level.word_bits * level.block_words * level.cluster_size
    if "DRAM" in level.component:
        energy = 200 * width / 16
    else:
        kib = (level.size_words or 0) * level.word_bits * level.cluster_size / 8192
        energy = (1 + 5 / 99.5 * (kib - 0.5)) * width / 16
    actions = ("read", "fill", "update")
    return replace(level, energy=_filled(level.energy, actions, energy / level.cluster_size))


def _compute(compute: Compute) -> Compute:
    return replace(compute, energy=_filled(compute.energy, ("compute",), (compute.word_bits / 16) ** 2))


def _filled(given: Mapping[str, Figure], actions: Iterable[str], value: float,
            source: str = SOURCE) -> dict[str, Figure]:
    return {**dict.fromkeys(actions, Figure(value, source, "rule")), **given}
