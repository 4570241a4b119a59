"""What compute units do with operands that are zero.

Each operand of a compute is a non-zero, a zero that is there, or not there at all since the level that
hands it out leaves zeros out (Timeloop: CalculateFineGrainedComputeAccesses2Operand). Operands are
taken to be independent of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Sequence

import numpy as np

from ...hardware.sparsity import ComputeSparsity
from ..cost import Semantics
from .counts import Split
from .nest import Array
from .propagate import Lost


@dataclass(frozen=True, slots=True, eq=False)
class Operand:
    """A tensor that computes read. `density` is the share of its non-zeros, `compressed` whether the
    innermost level that keeps it knows where they are, `lost` says which of its words, and so which
    computes, are left out."""

    name: str
    density: float
    compressed: bool
    lost: Lost


def split_computes(computes: Array, operands: Sequence[Operand], units: ComputeSparsity,
                   semantics: Semantics) -> Split:
    """What becomes of `computes`.

    In "exact" semantics computes whose operands are gated are gated too: the unit idles and the cycle
    passes. Timeloop forgets them, and their cycles.
    """
    left, gated = computes, np.zeros_like(computes)
    if semantics == "timeloop":
        for x in operands:
            left = np.floor(left) - np.floor(left * x.lost.saving.p)
    else:
        for x in operands:
            left = left - np.floor(left * x.lost.skipped)
        for x in operands:
            idle = np.floor(left * x.lost.gated / np.where(x.lost.skipped < 1, 1.0 - x.lost.skipped, 1.0))
            left, gated = left - idle, gated + idle
    states = [_states(i, operands, semantics) for i in range(len(operands))]
    skipped, absent, at_unit = np.zeros_like(computes), np.zeros_like(computes), np.zeros_like(computes)
    for combination in product(range(3), repeat=len(states)):
        share: Array = left * np.prod([states[i][state] for i, state in enumerate(combination)], axis=0)
        if all(state == _ABSENT for state in combination):
            absent = absent + share
        elif _ABSENT in combination and units.skipping:
            skipped = skipped + share
        elif any(combination) and units.gating:
            at_unit = at_unit + share
    skipped, at_unit = np.floor(skipped), np.floor(at_unit)
    actual = left - skipped - at_unit - np.floor(absent)
    if semantics == "exact":
        # Savings on several operands may count one zero twice. A compute without any is never left out.
        effectual = computes * np.prod([x.density for x in operands])
        actual = np.maximum(actual, np.ceil(effectual - 1e-6))
    return Split(computes, actual, gated + at_unit, skipped)


_ABSENT = 2


def _states(index: int, operands: Sequence[Operand], semantics: Semantics) -> tuple[Array, Array, Array]:
    """Share of the computes left in which an operand is a non-zero, a zero, or not there: of those that
    savings on other operands leave since this one is not empty."""
    x = operands[index]
    share = np.full_like(x.lost.skipped, x.density)
    if semantics == "timeloop":
        share = np.round(share * 1e6) / 1e6
    for other in (*operands[:index], *operands[index + 1:]):
        if semantics == "timeloop":     # whatever it was that the other one was saved for
            left = 1.0 - np.round(other.lost.saving.p * 1e6) / 1e6
        else:
            left = 1.0 - other.lost.saving.empty.get(x.name, np.zeros_like(share))
        share = np.where(left > 0, share / np.where(left > 0, left, 1.0), share)
    share = np.minimum(share, 1.0)
    zero, none = 1.0 - share, np.zeros_like(share)
    return (share, none, zero) if x.compressed else (share, zero, none)
