"""The floorplan: how long the wires between the instances of a level are.

An instance of a level, with all that stands below it, is a square tile: its side is the square root of
the areas of its parts. Tiles lie side by side in a mesh, so a word and hop travels one side. The plan is
Timeloop's (model/topology.cpp); wires lie above the tiles and take no area of their own.
"""

from __future__ import annotations

from math import sqrt

from .architecture import Architecture, Compute, Figure, Storage


def areas_below(architecture: Architecture, index: int) -> dict[str, float | None]:
    """um^2 of what one instance of the level below storage level `index` holds, by component: itself
    and its share of all below. None where an area is not known."""
    parts: list[Storage | Compute] = [*architecture.levels[index + 1:], architecture.compute]
    tiles = parts[0].instances
    return {part.name: None if part.area is None else part.area.value * (part.instances / tiles)
            for part in parts}


def tile_side(architecture: Architecture, index: int) -> Figure:
    """um from one instance of the level below storage level `index` to the next one in the mesh.

    Raises
    ------
    ValueError
        An area below is not known; all such are named.
    """
    areas = areas_below(architecture, index)
    unknown = [name for name, area in areas.items() if area is None]
    if unknown:
        raise ValueError(f"the length of its wires does not follow, since no area is known of "
                         f"{', '.join(unknown)}")
    parts = {name: area for name, area in areas.items() if area}
    source = " + ".join(f"{name} {area:,.0f}" for name, area in parts.items())
    return Figure(sqrt(sum(parts.values())), f"floorplan: side of a square of {source or 0} um2", "derived")
