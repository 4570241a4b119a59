"""`Template`: a class of mappings that differ only in their factors, and arrays of such factors.

A template fixes which level keeps which tensor and in which order each level runs its temporal
loops. The factors of one mapping are an integer array of shape (slots, ranks): rank columns follow
`Einsum.ranks`; rows ("slots") run over the storage levels, outermost first, three to a level in the
order temporal, y, x (`slot(level, kind)`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..workload.einsum import Einsum
from .nest import Block, Kind, Loop, Mapping
from .splits import last_passes

KINDS: tuple[Kind, ...] = ("temporal", "y", "x")


def slot(level: int, kind: Kind) -> int:
    """Row of the factor array that holds the loops of `kind` at storage level `level`."""
    return 3 * level + KINDS.index(kind)


#: By level the tensors that it keeps.
Keep = tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Template:
    """What all mappings of a class share."""

    levels: tuple[str, ...]                # storage level names, outermost first
    keep: Keep
    orders: tuple[tuple[str, ...], ...]    # by level: every rank once, outermost first
    no_multicast: tuple[frozenset[str], ...] = ()   # by level; empty: none anywhere
    no_links: tuple[frozenset[str], ...] = ()       # the same; only where a mapping unrolls loops

    def mapping(self, einsum: Einsum, factors: np.ndarray) -> Mapping:
        """The mapping that one factor array of shape (slots, ranks) stands for. Where the factors of a
        rank multiply to more than its extent, they say where its loops have remainders (see `splits`)."""
        column = {rank: i for i, rank in enumerate(einsum.ranks)}
        last = last_passes(np.asarray(factors), np.array(einsum.extents))

        def loops(row: int, order: tuple[str, ...]) -> tuple[Loop, ...]:
            return tuple(_loop(r, int(factors[row, column[r]]), int(last[row, column[r]])) for r in order
                         if factors[row, column[r]] > 1)

        none = (frozenset[str](),) * len(self.levels)
        blocks = []
        for i, name in enumerate(self.levels):
            x, y = (loops(slot(i, kind), einsum.ranks) for kind in ("x", "y"))
            blocks.append(Block(
                name, self.keep[i], loops(slot(i, "temporal"), self.orders[i]), x, y,
                (self.no_multicast or none)[i],
                (self.no_links or none)[i] if x or y else frozenset()))
        return Mapping(tuple(blocks))

    @classmethod
    def of(cls, einsum: Einsum, mapping: Mapping) -> tuple[Template, np.ndarray]:
        """The class of `mapping` and its factors. Ranks without a loop at a level are put
        outermost there, in the order of the Einsum.

        Not representable, ValueError: a rank that has two temporal loops at one level, loops with
        remainders, directives other than those on networks, skews.
        """
        if not mapping.perfect or any(x.no_temporal_reuse or x.rmw_first_update or x.no_coalesce or x.skew
                                      for x in mapping):
            raise ValueError("remainders, directives and skews make no class of mappings")
        factors = np.ones((3 * len(mapping.blocks), len(einsum.ranks)), dtype=np.int64)
        orders = []
        for i, block in enumerate(mapping.blocks):
            present = [x.rank for x in block.temporal]
            if len(set(present)) != len(present):
                raise ValueError(f"{block.level}: a rank has two temporal loops")
            orders.append(tuple(r for r in einsum.ranks if r not in present) + tuple(present))
            for kind in KINDS:
                for rank, factor in block.factors(kind).items():
                    factors[slot(i, kind), einsum.ranks.index(rank)] = factor
        return cls(tuple(b.level for b in mapping), tuple(b.keep for b in mapping), tuple(orders),
                   tuple(b.no_multicast for b in mapping),
                   tuple(b.no_links for b in mapping)), factors


def _loop(rank: str, factor: int, last: int) -> Loop:
    return Loop(rank, factor, None if last == factor else last)
