"""The expected time of groups that wait for each other, from draws: what no closed form covers."""

from __future__ import annotations

from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .work import Part

if TYPE_CHECKING:
    from .block import Block

Integers = NDArray[np.int64]
#: Steps drawn at a time, and for one result.
_HELD, _MOST = 1 << 15, 1 << 25
#: Standard error of the result at which drawing ends; it is first looked at after so many runs (the
#: second number where a run is long, so that its parts are many draws already).
ERROR, _FEWEST = 0.0007, (200, 16)


def sampled_largest(block: Block, step: float) -> float:
    """Expected cycles of `block`, from draws with a fixed seed, to a standard error of `ERROR` (unless
    that takes more than some tens of millions of steps).

    `step` is the expected time of one step, which is known: only what the last group takes longer
    than the average one is drawn.
    """
    rng = np.random.default_rng(2024)
    size = block.tiles * prod(count for _, count in block.spread)
    fewest = min(max((1 << 22) // size, _FEWEST[1]), _FEWEST[0])
    alone, runs, late, squares = block.tiles * step, 0, 0.0, 0.0
    while runs * size < _MOST or runs < fewest:
        cycles = _run(block, rng, max(_HELD // size, 1))
        later = cycles.max(axis=1) - cycles.mean(axis=1)
        runs, late, squares = runs + len(later), late + later.sum(), squares + later @ later
        mean = late / runs
        error = sqrt(max(squares / runs - mean**2, 0.0) / runs)
        if runs >= fewest and error <= ERROR * (alone + mean):
            break
    return float(alone + late / runs)


def _run(block: Block, rng: np.random.Generator, runs: int) -> Integers:
    """Cycles of each group, of shape (runs, groups).

    Arrays have the axes runs, steps, one of tiles for each part, and one for each loop of `spread`.
    """
    counts = [_dealt(_drawn(block, i, rng, runs), block, i) if block.dealt and i == block.greedy
              else _drawn(block, i, rng, runs) for i in range(len(block.parts))]
    if block.matches is None:
        cycles = np.ones(1, np.int64)
        for part, found in zip(block.parts, counts, strict=True):
            cycles = cycles * -(-found // part.width)
    else:
        hits, words = counts[0], block.parts[0].words
        for found in counts[1:]:
            hits, found = np.broadcast_arrays(hits, found)
            hits = rng.hypergeometric(found, words - found, hits)
        cycles = -(-hits // block.matches)
    cycles = np.maximum(cycles, block.least)
    grid = tuple(count for _, count in block.spread)
    whole = (runs, block.steps, *(part.tiles for part in block.parts), *grid)
    cycles = np.broadcast_to(cycles, whole)
    return cycles.sum(axis=tuple(range(1, 2 + len(block.parts)))).reshape(runs, -1)


def _drawn(block: Block, index: int, rng: np.random.Generator, runs: int) -> Integers:
    """Non-zeros of a part."""
    part: Part = block.parts[index]
    tiles = [part.tiles if i == index else 1 for i in range(len(block.parts))]
    grid = [count if index in parts else 1 for parts, count in block.spread]
    sums = np.cumsum(part.nonzeros.probabilities)
    where = np.searchsorted(sums, rng.random((runs, block.steps, *tiles, *grid)) * sums[-1], "right")
    return part.nonzeros.values[np.minimum(where, len(sums) - 1)]


def _dealt(found: Integers, block: Block, index: int) -> Integers:
    """The tiles of a part dealt to the groups, fullest first, back and forth."""
    runs, steps, tiles = len(found), block.steps, block.parts[index].tiles
    flat = found.reshape(runs, steps, -1)
    order = np.argsort(-flat.sum(axis=1), axis=1, kind="stable").reshape(runs, tiles, -1)
    order[:, 1::2] = order[:, 1::2, ::-1].copy()
    dealt = np.take_along_axis(flat, order.reshape(runs, 1, -1), axis=2)
    return dealt.reshape(found.shape)
