"""`Mapping`: the loop nest of one Einsum over the storage levels of an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Iterator, Literal
from typing import Mapping as MappingOf

Kind = Literal["temporal", "x", "y"]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over `rank` with `factor` (2 or more) iterations."""

    rank: str
    factor: int


@dataclass(frozen=True)
class Block:
    """The loops that belong to one storage level, and the tensors the level keeps.

    Loops run outermost first. Spatial loops unroll over the instances right below the level;
    they sit inside its temporal loops. Loops of one iteration are left out.
    """

    level: str
    keep: frozenset[str]
    temporal: tuple[Loop, ...] = ()
    spatial_x: tuple[Loop, ...] = ()
    spatial_y: tuple[Loop, ...] = ()
    no_multicast: frozenset[str] = frozenset()   # tensors sent to each instance separately
    no_links: frozenset[str] = frozenset()       # tensors that neighbours do not pass on

    @property
    def spatial(self) -> tuple[Loop, ...]:
        return self.spatial_y + self.spatial_x

    @property
    def loops(self) -> tuple[Loop, ...]:
        """All loops of the block, outermost first (temporal, then y, then x)."""
        return self.temporal + self.spatial

    def factors(self, kind: Kind | None = None) -> dict[str, int]:
        """Product of the loop factors by rank, of one kind or of all."""
        loops = {None: self.loops, "temporal": self.temporal,
                 "x": self.spatial_x, "y": self.spatial_y}[kind]
        return {rank: prod(x.factor for x in loops if x.rank == rank)
                for rank in dict.fromkeys(x.rank for x in loops)}


@dataclass(frozen=True)
class Mapping:
    """One `Block` a storage level, outermost first."""

    blocks: tuple[Block, ...]

    def __iter__(self) -> Iterator[Block]:
        return iter(self.blocks)

    def tile(self, index: int, ranks: MappingOf[str, int]) -> dict[str, int]:
        """Extent of each rank in the tile that level `index` holds; `index` may be one past the
        last level (a single point of the loop nest)."""
        extents = dict.fromkeys(ranks, 1)
        for block in self.blocks[index:]:
            for loop in block.loops:
                extents[loop.rank] *= loop.factor
        return extents
