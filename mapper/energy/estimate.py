"""The estimates that Timeloop itself makes where nobody gives it an energy reference table."""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping

from ..hardware.architecture import Architecture, Compute, Figure, Storage

SOURCE = "Timeloop's built-in estimate"


def estimate(architecture: Architecture) -> Architecture:
    """The same architecture with Timeloop's own rough figures (pJ) for every action without one.

    200 pJ for 16 bits of DRAM; for each 16 bits of an SRAM's width a line through 1 pJ at 0.5 KiB and
    6 pJ at 100 KiB; for a multiplier the square of its width in 16 bits. A cluster shares one access.
    """
    return replace(architecture, compute=_compute(architecture.compute),
                   levels=tuple(_storage(level) for level in architecture.levels))


def _storage(level: Storage) -> Storage:
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


def _filled(given: Mapping[str, Figure], actions: tuple[str, ...], value: float) -> dict[str, Figure]:
    return {**dict.fromkeys(actions, Figure(value, SOURCE)), **given}
