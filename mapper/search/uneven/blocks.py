"""Chains of cuts as mappings: a block for each place where the loop nest is cut."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ...bounds.chains.cuts import Cuts
from ...hardware.architecture import Architecture
from ...hardware.parts import arranged
from ...mapping.nest import Mapping
from ...mapping.parts import by_levels
from ...mapping.template import Keep, Template, slot
from ...workload.einsum import Einsum


class Blocks:
    """A chain of cuts as a class of mappings with a level for each block, and the factors of the chain."""

    def __init__(self, architecture: Architecture, einsum: Einsum, keep: Keep, cuts: Cuts) -> None:
        self.architecture, self.einsum = architecture, einsum
        zones = architecture.zones
        zone = {i: number for number, own in enumerate(zones) for i in own}
        places: list[tuple[int, frozenset[str], dict[str, int]]] = [(0, keep[0], dict(einsum.extent))]
        for (i, name), tile in sorted(cuts.tiles.items(), key=lambda x: (
                zone[x[0][0]], -prod(x[1].values()), x[0])):
            last, names, before = places[-1]
            if last == i and before == tile and i:
                places[-1] = i, names | {name}, tile
            else:
                places.append((i, frozenset({name}), tile))
        for i in range(len(architecture.levels)):        # levels that keep nothing
            if i not in [place[0] for place in places]:
                at = next((k for k, x in enumerate(places) if x[0] > i), len(places))
                tile = places[at][2] if at < len(places) and zone[places[at][0]] == zone[i] else {}
                places.insert(at, (i, frozenset(), tile))
        self.order = [architecture.levels[i].name for i, _, _ in places]
        self.keep: Keep = tuple(names for _, names, _ in places)
        self.machine = arranged(architecture, self.order)
        self.zone_ends = [max(k for k, x in enumerate(places) if zone[x[0]] == number)
                          for number in range(len(zones))]
        self.factors = self._factors([tile for *_, tile in places], cuts)

    def _factors(self, tiles: list[dict[str, int]], cuts: Cuts) -> np.ndarray:
        """Shape (slots, ranks)."""
        ranks, levels = self.einsum.ranks, range(len(tiles))
        factors = np.ones((3 * len(tiles), len(ranks)), dtype=np.int64)
        arrays = {end: cuts.arrays[zone[-1]] for end, zone in zip(
            self.zone_ends, self.architecture.zones, strict=True) if zone[-1] in cuts.arrays}
        for column, rank in enumerate(ranks):
            inside = 1
            for k in reversed(levels):
                if k in arrays:
                    x, y = (own.get(rank, 1) for own in arrays[k])
                    factors[slot(k, "x"), column], factors[slot(k, "y"), column] = x, y
                    inside *= x * y
                tile = tiles[k].get(rank, inside)
                factors[slot(k, "temporal"), column] = tile // inside
                inside = tile
        return factors

    def holding(self, mapping: Mapping) -> np.ndarray:
        """The factors of another mapping, the loops of each level in the first of its blocks; shape (slots,
        ranks)."""
        factors = np.ones_like(self.factors)
        for level, block in zip(self.architecture.levels, by_levels(self.architecture, mapping), strict=True):
            first = self.order.index(level.name)
            end = next(end for end in self.zone_ends if end >= first)
            rows = slot(first, "temporal"), slot(end, "x"), slot(end, "y")
            for row, loops in zip(rows, (block.temporal, block.spatial_x, block.spatial_y), strict=True):
                for loop in loops:
                    factors[row, self.einsum.ranks.index(loop.rank)] *= loop.factor
        return factors

    def mapping(self, template: Template, factors: np.ndarray) -> Mapping:
        """A mapping with a level for each block as one onto the levels of the machine."""
        return Mapping(tuple(replace(block, level=name) for block, name in zip(
            template.mapping(self.einsum, factors), self.order, strict=True)))
