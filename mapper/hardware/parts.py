"""Storage levels in parts, for mappings in which each tensor cuts the loop nest at a place of its own.

A level of which some tensors are cut further out than others is treated as several, one inside the
other: the *parts* of one storage. The innermost part is the level itself, with its capacity, its bandwidths,
its leakage, its area and the network below it; an outer part has the prices of its words, and `shares` all
else with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping

from .architecture import Architecture, Figure, Network, Storage


def in_parts(architecture: Architecture, parts: Mapping[str, int]) -> Architecture:
    """The machine with each level named in `parts` in so many parts.

    >>> machine = Architecture("m", (Storage("DRAM"), Storage("GLB")), Compute("MAC"))
    >>> [level.name for level in in_parts(machine, {"GLB": 3}).levels]
    ['DRAM', 'GLB/1', 'GLB/2', 'GLB']
    """
    if all(count == 1 for count in parts.values()):
        return architecture
    levels: list[Storage] = []
    taken = {level.name for level in architecture.levels} | {architecture.compute.name}
    for index, level in enumerate(architecture.levels):
        for number in range(1, parts.get(level.name, 1)):
            name = f"{level.name}/{number}"
            while name in taken:
                name += "'"
            taken.add(name)
            levels.append(_outer_part(level, name))
        levels.append(_named(level, architecture.below(index).name))
    return replace(architecture, levels=tuple(levels))


def _outer_part(level: Storage, name: str) -> Storage:
    return replace(
        level, name=name, shares=level.name, size_words=None, read_bandwidth=None, write_bandwidth=None,
        shared_bandwidth=None, keep=frozenset(), network=Network(), update_network=None, power_gated_at=None,
        energy={action: figure for action, figure in level.energy.items() if action != "leak"},
        area=None if level.area is None else Figure(0.0, f"part of {level.name}"))


def _named(level: Storage, below: str) -> Storage:
    """The level with networks that go by the names of what they join, not by those of parts."""
    name, up = f"{level.name} <==> {below}", level.update_network
    return replace(
        level, network=replace(level.network, name=level.network.name or name),
        update_network=up and replace(up, name=up.name or f"{name} (up)"))
