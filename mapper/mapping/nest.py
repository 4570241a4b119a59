"""`Mapping`: the loop nest of one Einsum over the storage levels of an architecture."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Iterator, Literal
from typing import Mapping as MappingOf

Kind = Literal["temporal", "x", "y"]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop over `rank` with `factor` (2 or more) iterations.

    Where the factors of a rank multiply to more than its extent, some loops stop early in their last
    pass (when all loops over the rank outside are at their last iteration): after `residual`
    iterations. None: the last pass is like the others.
    """

    rank: str
    factor: int
    residual: int | None = None

    @property
    def last(self) -> int:
        """Iterations in the last pass."""
        return self.factor if self.residual is None else self.residual


def factor_text(loop: Loop) -> str:
    """`8`, or `8,5` for a loop of 8 iterations with 5 in its last pass."""
    return str(loop.factor) if loop.residual is None else f"{loop.factor},{loop.residual}"


@dataclass(frozen=True, slots=True)
class SkewTerm:
    """One addend of a skew: `constant`, times the index of the temporal or spatial loop over `rank`
    if there is one."""

    constant: int
    rank: str | None = None
    spatial: bool = False


@dataclass(frozen=True, slots=True)
class Skew:
    """Instances below a level change places as its loops advance: the one at position
    `sum(terms) % modulo` does the work."""

    modulo: int
    terms: tuple[SkewTerm, ...]


#: Fields of a `Block` that name tensors which are treated in a special way.
DIRECTIVES = ("no_multicast", "no_links", "no_temporal_reuse", "rmw_first_update", "no_coalesce")


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
    no_temporal_reuse: frozenset[str] = frozenset()   # tensors loaded again at every step
    rmw_first_update: frozenset[str] = frozenset()    # outputs that the first update reads too
    no_coalesce: frozenset[str] = frozenset()    # tensors kept, but loaded as often as they are used
    skew: Skew | None = None

    @property
    def directives(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """The directives that name tensors: (field, names), empty ones included."""
        return tuple((name, getattr(self, name)) for name in DIRECTIVES)

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

    @property
    def perfect(self) -> bool:
        """Whether no loop has a remainder."""
        return all(loop.residual is None for block in self.blocks for loop in block.loops)

    def tile(self, index: int, ranks: MappingOf[str, int]) -> dict[str, int]:
        """Extent of each of the `ranks` in the largest tile that level `index` holds; `index` may be
        one past the last level (a single point of the loop nest)."""
        extents = dict.fromkeys(ranks, 1)
        for block in self.blocks[index:]:
            for loop in block.loops:
                extents[loop.rank] *= loop.factor
        return extents if self.perfect else {r: min(n, ranks[r]) for r, n in extents.items()}
