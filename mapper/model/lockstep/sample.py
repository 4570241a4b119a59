"""The expected time of groups that wait for each other, from draws: what no closed form covers."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .work import Part

if TYPE_CHECKING:
    from .block import Block

Integers = NDArray[np.int64]
#: Numbers drawn for one result, and held at a time.
_DRAWS, _HELD = 1 << 23, 1 << 20
_FEWEST, _MOST = 64, 1 << 15


def sampled_largest(block: Block, step: float, draws: int = _DRAWS) -> float:
    """Expected cycles of `block`, from about `draws` random steps with a fixed seed.

    `step` is the expected time of one step, which is known: only what the last group takes longer
    than the average one is drawn.
    """
    rng = np.random.default_rng(2024)
    size = block.tiles * prod(count for _, count in block.spread)
    runs = min(max(draws // size, _FEWEST), _MOST)
    held = max(min(_HELD // size, runs), 1)
    late = 0.0
    for start in range(0, runs, held):
        cycles = _run(block, rng, min(held, runs - start))
        late += float((cycles.max(axis=1) - cycles.mean(axis=1)).sum())
    return block.tiles * step + late / runs


def _run(block: Block, rng: np.random.Generator, runs: int) -> Integers:
    """Cycles of each group, of shape (runs, groups).

    Arrays have the axes runs, steps, one of tiles for each part, and one for each loop of `spread`.
    """
    counts = [_dealt(_drawn(block, i, rng, runs), block, i) if i == block.greedy
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
