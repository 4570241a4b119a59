"""`Lockstep`: units that skip zeros in quanta, and that wait for each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor of which a group of units takes `width` non-zeros a cycle. Its tile in a step spans the
    step's extents of `ranks`; None: of all ranks that move the tensor."""

    tensor: str
    width: int = 1
    ranks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Barrier:
    """Groups below one instance of the storage level `level` that wait for each other, each time every
    one of them has run through the extents `every` (None: all that the group has of a rank while `level`
    holds one tile; ranks left out: those of one step).

    `greedy` names an operand whose tiles are dealt out to the groups by how full they are: the fullest
    to the first group, and so on, back and forth, so that who got a full one gets an empty one next.
    """

    level: str
    every: tuple[tuple[str, int | None], ...] = ()
    greedy: str | None = None


@dataclass(frozen=True, slots=True)
class Lockstep:
    """How a group of units runs through a tile, step by step.

    A step is a block of the loop nest of the extents `step` (1 for ranks left out). It takes as many
    cycles as the product, over the operands, of `ceil(non-zeros / width)`; where `matches` is given, it
    takes `ceil(n / matches)` cycles for the n positions at which all operands are non-zero. No step
    takes fewer cycles than `least`.

    `group` names the storage level each instance of which feeds one group; None: the innermost one.
    """

    step: tuple[tuple[str, int], ...]
    operands: tuple[Operand, ...]
    matches: int | None = None
    least: int = 0
    group: str | None = None
    barrier: Barrier | None = None
