"""How few steps in time mappings with remainders take, by how ranks are spread over arrays.

Units work in lock-step, and a rank takes a whole number of steps, which its split decides alone: ranks only
share the arrays.
"""

from __future__ import annotations

from typing import Sequence

import numpy as np

from ..mapping.splits import steps
from ..mapping.template import slot

#: Pairs of spreads looked at, a rank at a time.
_PAIRS = 1_000_000


def paces(ways: Sequence[np.ndarray], extents: Sequence[int],
          most: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """For every way to spread ranks over the arrays, with at most `most` instances by spatial slot (from the
    outermost on), the steps of the quickest splits, shape (spreads,), and which of the `ways` of each rank
    these are, shape (spreads, ranks); the quickest first. None where that would take long to find."""
    slots = ways[0].shape[1]
    spatial = np.flatnonzero(np.arange(slots) % 3 != slot(0, "temporal"))
    spread, taken = np.ones((1, len(spatial)), dtype=np.int64), np.ones(1)
    chosen = np.zeros((1, 0), dtype=np.int64)
    for table, extent in zip(ways, extents, strict=True):
        own_steps = steps(table, extent, np.arange(slots) % 3 == slot(0, "temporal"))
        # Of splits that are equal, the one with the smallest tiles.
        own = _least(table[:, spatial], own_steps, -table[:, 0])
        if len(own) * len(spread) > _PAIRS:
            return None
        first, second = (x.ravel() for x in np.indices((len(spread), len(own))))
        pairs = spread[first] * table[own][:, spatial][second]
        fits = (pairs <= np.asarray(most)).all(axis=1)
        first, second, pairs = first[fits], own[second[fits]], pairs[fits]
        steps_together = taken[first] * own_steps[second]
        kept = _least(pairs, steps_together)
        spread, taken = pairs[kept], steps_together[kept]
        chosen = np.concatenate([chosen[first[kept]], second[kept, None]], axis=1)
    order = np.argsort(taken, kind="stable")
    return taken[order], chosen[order]


def _least(rows: np.ndarray, *values: np.ndarray) -> np.ndarray:
    """For each of the different rows, where the first of the `values` is least, among equals the next."""
    code = np.ravel_multi_index(tuple(rows.T), tuple(rows.max(axis=0, initial=0) + 1))
    order = np.lexsort((*reversed(values), code))
    return np.asarray(order[np.flatnonzero(np.diff(code[order], prepend=-1))])
