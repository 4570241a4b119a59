"""`Scenario`: one Einsum on one machine under constraints, and what bounds and searches ask of these."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints, LoopRules
from ..mapping.nest import Kind
from ..mapping.rules import SPATIAL, Rules
from ..mapping.template import KINDS, slot
from ..workload.einsum import Einsum
from .divisors import divisors
from .mirror import mirror
from .prices import Prices


@dataclass(frozen=True)
class ArrayLimit:
    """The product of the spatial factors of `kinds` below `level` is at most `most`."""

    level: int
    kinds: tuple[Kind, ...]
    most: int


@dataclass(frozen=True, eq=False)
class Scenario:
    """What is mapped onto what, and what mappings are asked to keep to. All else follows, and is found once
    for everything that a search builds on it."""

    architecture: Architecture
    einsum: Einsum
    constraints: Constraints = NONE

    @cached_property
    def rules(self) -> Rules:
        """What the constraints ask of factors."""
        return Rules(self.architecture, self.einsum, self.constraints)

    @cached_property
    def prices(self) -> Prices:
        """What words and computes cost."""
        return Prices(self.architecture, self.einsum)

    @property
    def depth(self) -> int:
        """How many storage levels there are."""
        return len(self.architecture.levels)

    @property
    def all_outside(self) -> bool:
        """Whether the outermost level keeps every tensor, whatever is chosen."""
        bypassed = self.architecture.levels[0].bypass | self.rules.by_level[0].bypass
        return bypassed.isdisjoint(t.name for t in self.einsum.tensors)

    # ---- ranks and slots -------------------------------------------------------------------------

    @cached_property
    def ranks(self) -> tuple[str, ...]:
        """The ranks that can iterate."""
        return tuple(r for r in self.einsum.ranks if self.einsum.extent[r] > 1)

    @cached_property
    def columns(self) -> list[int]:
        """Their places among all ranks."""
        return [self.einsum.ranks.index(rank) for rank in self.ranks]

    @cached_property
    def slots(self) -> dict[str, tuple[int, ...]]:
        """For each rank the slots (rows of a factor array) in which it may have a factor above 1."""
        slots: dict[str, list[int]] = {rank: [] for rank in self.einsum.ranks}
        for i, level in enumerate(self.architecture.levels):
            width = dict(zip(("x", "y"), self.architecture.fanout(i), strict=True))
            allowed: dict[Kind, tuple[str, ...] | None] = {"x": level.spatial_x, "y": level.spatial_y}
            for kind in KINDS:
                for rank in self.einsum.ranks:
                    ranks = allowed.get(kind)
                    if kind != "temporal" and (width[kind] == 1 or (ranks is not None and rank not in ranks)):
                        continue
                    if self.rules.may_iterate(i, kind, rank):
                        slots[rank].append(slot(i, kind))
        return {rank: tuple(found) for rank, found in slots.items()}

    @cached_property
    def imperfect(self) -> frozenset[str]:
        """The ranks whose factors may multiply to more than the extent."""
        return self.rules.imperfect(self.slots, self.einsum.extent)

    @cached_property
    def mirror(self) -> dict[str, str]:
        """Ranks that may change places in every mapping (see `bounds.mirror`)."""
        plain = all(x.temporal == x.spatial == LoopRules() for x in self.constraints.levels)
        return mirror(self.architecture, self.einsum) if plain else {}

    # ---- arrays ----------------------------------------------------------------------------------

    @cached_property
    def wide(self) -> tuple[int, ...]:
        """The levels with an array of more than one instance below them."""
        return tuple(i for i in range(self.depth) if prod(self.architecture.fanout(i)) > 1)

    @cached_property
    def limits(self) -> tuple[ArrayLimit, ...]:
        """What of each array factors that divide the extents can use: 13 x 12 of 14 x 12, say. Ranks with
        remainders can use any number.

        A rank runs along one axis of an array only, as in Timeloop's mappings, unless it may be both.
        """
        limits = []
        for i in self.wide:
            x, y = self.architecture.fanout(i)
            if any(slot(i, kind) in self.slots[rank] for rank in self.imperfect for kind in ("x", "y")):
                most = x, y, x * y
            else:
                pairs = self._unrolled(i)
                most = (max((a for a, _ in pairs), default=1), max((b for _, b in pairs), default=1),
                        max((a * b for a, b in pairs), default=1))
            kinds: tuple[tuple[Kind, ...], ...] = ("x",), ("y",), ("x", "y")
            limits += [ArrayLimit(i, *own) for own in zip(kinds, most, strict=True)]
        return tuple(limits)

    def _unrolled(self, i: int) -> set[tuple[int, int]]:
        """The products of divisors that there may be along x and along y below a level."""
        (x, y), level, pairs = self.architecture.fanout(i), self.architecture.levels[i], {(1, 1)}
        for column, (rank, extent) in enumerate(zip(self.einsum.ranks, self.einsum.extents, strict=True)):
            open_x = level.spatial_x is None or rank in level.spatial_x
            open_y = level.spatial_y is None or rank in level.spatial_y
            along_x = divisors(extent) if open_x and self.rules.may_iterate(i, "x", rank) else (1,)
            along_y = divisors(extent) if open_y and self.rules.may_iterate(i, "y", rank) else (1,)
            least, most = self.rules.least[i, SPATIAL, column], self.rules.most[i, SPATIAL, column]
            sides = [(p, q) for p, q in product(along_x, along_y) if least <= p * q <= most
                     and (1 in (p, q) or (self.rules.both_axes and extent % (p * q) == 0))]
            pairs = {(a * p, b * q) for a, b in pairs for p, q in sides if a * p <= x and b * q <= y}
        return pairs

    @property
    def most_units(self) -> int:
        """At most the compute units that can be put to work."""
        return prod(limit.most for limit in self.limits if len(limit.kinds) == 2)
