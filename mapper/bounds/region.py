"""`Region`: a part of the mapspace, described by the choices already made.

A region is a tree node of the search. It fixes what each level keeps, or some of that; for some levels
which rank is the innermost loop that really iterates; for some ranks all their factors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..mapping.template import Keep

#: Order choice of a level none of whose temporal loops iterates.
TRIVIAL = ""


@dataclass(frozen=True)
class Region:
    """`keep` by level; `innermost` by level but the last: None while open, `TRIVIAL`, or the rank
    of the innermost temporal loop with two or more iterations; `fixed`: (rank, factor by slot); `open`
    by level: tensors that may be kept there besides (empty: it is decided what every level keeps)."""

    keep: Keep
    innermost: tuple[str | None, ...]
    fixed: tuple[tuple[str, tuple[int, ...]], ...] = ()
    open: Keep = ()

    def levels(self, tensor: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The levels that keep `tensor`, and those of which that is open, outermost first."""
        return (tuple(i for i, names in enumerate(self.keep) if tensor in names),
                tuple(i for i, names in enumerate(self.open) if tensor in names))

    def with_innermost(self, level: int, rank: str) -> Region:
        """The part in which `rank` is innermost at `level`."""
        return replace(self, innermost=(*self.innermost[:level], rank, *self.innermost[level + 1:]))

    def with_factors(self, rank: str, factors: tuple[int, ...]) -> Region:
        """The part in which `rank` is split over the slots as `factors`."""
        return replace(self, fixed=(*self.fixed, (rank, factors)))
