"""Storage levels in parts, for mappings in which each tensor cuts the loop nest at a place of its own.

A level of which some tensors are cut further out than others is treated as several, one inside the other:
the *parts* of one storage. The innermost part is the level itself, with its capacity, its bandwidths, its
leakage and its area; an outer part has the prices of its words, and `shares` all else with it. Levels without
a fanout between them (a *zone*) stand side by side, and their parts in any order.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from .architecture import Architecture, Figure, Network, Storage


def arranged(architecture: Architecture, order: Sequence[str]) -> Architecture:
    """The machine with a level for each name in `order`, zone by zone, each name once or more.

    >>> machine = Architecture("m", (Storage("DRAM"), Storage("GLB"), Storage("RF")), Compute("MAC"))
    >>> [level.name for level in arranged(machine, ["DRAM", "GLB", "RF", "GLB"]).levels]
    ['DRAM', 'GLB/1', 'RF', 'GLB']
    """
    if list(order) == [level.name for level in architecture.levels]:
        return architecture
    levels: list[Storage] = []
    taken = {level.name for level in architecture.levels} | {architecture.compute.name}
    for position, name in enumerate(order):
        level = architecture.levels[architecture.level_index(name)]
        if name in order[position + 1:]:
            part = f"{name}/{order[:position + 1].count(name)}"
            while part in taken:
                part += "'"
            taken.add(part)
            level = _outer_part(level, part)
        levels.append(level)
    for zone in architecture.zones:
        own = [architecture.levels[i].name for i in zone]
        last = max(i for i, name in enumerate(order) if name in own)
        levels = [_carrying(level, architecture, zone[-1]) if i == last else
                  _outside(level, own, order) if order[i] in own else level for i, level in enumerate(levels)]
    return replace(architecture, levels=tuple(levels))


def passes_freely(architecture: Architecture, zone: Sequence[int]) -> bool:
    """Whether words pass from level to level of a zone at no cost, so that their order does not matter."""
    levels = [architecture.levels[i] for i in zone]
    return all(x.reduces for x in levels) and all(
        x.network == Network(name=x.network.name) and x.update_network is None for x in levels[:-1])


def _outer_part(level: Storage, name: str) -> Storage:
    return replace(
        level, name=name, shares=level.name, size_words=None, read_bandwidth=None, write_bandwidth=None,
        shared_bandwidth=None, keep=frozenset(), power_gated_at=None,
        energy={action: figure for action, figure in level.energy.items() if action != "leak"},
        area=None if level.area is None else Figure(0.0, f"part of {level.name}"))


def _carrying(level: Storage, architecture: Architecture, inner: int) -> Storage:
    """The last level of a zone, with what stands below the zone, by the names of what it joins."""
    end = architecture.levels[inner]
    name, up = f"{end.name} <==> {architecture.below(inner).name}", end.update_network
    return replace(
        level, spatial_x=end.spatial_x, spatial_y=end.spatial_y,
        network=replace(end.network, name=end.network.name or name),
        update_network=up and replace(up, name=up.name or f"{name} (up)"))


def _outside(level: Storage, zone: Sequence[str], order: Sequence[str]) -> Storage:
    """A level that is not the last of its zone. Where the levels stand as they always do, the networks
    between them are those of the innermost parts."""
    usual = [name for name in order if name in zone]
    if level.shares is None and usual == sorted(usual, key=zone.index) and level.name != zone[-1]:
        return level
    return replace(level, network=Network(), update_network=None, spatial_x=None, spatial_y=None)
