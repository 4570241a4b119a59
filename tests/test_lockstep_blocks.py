"""Lockstep skipping: the cycles of a block of steps, against enumeration and simulation."""

from __future__ import annotations

from itertools import product
from math import comb, prod

import numpy as np
import pytest
from tilebound.model.lockstep.block import Block, expected_cycles
from tilebound.model.lockstep.work import Part
from tilebound.workload.density import Occupancies

ACCURACY = 0.005


def binomial(words: int, density: float) -> Occupancies:
    return Occupancies.of(np.arange(words + 1), [comb(words, k) * density**k * (1 - density)**(words - k)
                                                 for k in range(words + 1)])


def part(words: int, density: float, width: int = 1, tiles: int = 1) -> Part:
    return Part(binomial(words, density), words, width, tiles)


def differ(*parts: int) -> frozenset[int]:
    return frozenset(parts)


def brief(value: object) -> str:
    """A name for a test of a block."""
    if not isinstance(value, Block):
        return str(value)
    parts = " ".join(f"{p.words}/{p.width}x{p.tiles}" for p in value.parts)
    groups = " ".join(f"{''.join(map(str, sorted(moved)))}:{n}" for moved, n in value.spread)
    return f"{parts} matches={value.matches} least={value.least} steps={value.steps} groups={groups}"


# --- small blocks: every case ----------------------------------------------------------------------


def enumerated(block: Block) -> float:
    """Expected cycles over all masks that all tiles of all operands can have, one by one."""
    slots = [(i, index) for i, p in enumerate(block.parts)
             for index in product(range(block.steps), range(p.tiles),
                                  *(range(n) if i in moved else (0,) for moved, n in block.spread))]
    masks = [[(m, np.array(m)) for m in product((0, 1), repeat=p.words)] for p in block.parts]
    chance = [{sum(m): float(x) / comb(p.words, sum(m)) for m, _ in table
               for v, x in zip(p.nonzeros.values, p.nonzeros.probabilities, strict=True) if v == sum(m)}
              for p, table in zip(block.parts, masks, strict=True)]
    expected = 0.0
    for chosen in product(*(masks[i] for i, _ in slots)):
        found = {slot: mask for slot, (_, mask) in zip(slots, chosen, strict=True)}
        share = prod(chance[i].get(sum(bits), 0.0) for (i, _), (bits, _) in zip(slots, chosen, strict=True))
        if share:
            expected += share * max(_group_cycles(block, found, at)
                                    for at in product(*(range(n) for _, n in block.spread)))
    return expected


def _group_cycles(block: Block, found: dict, at: tuple[int, ...]) -> int:
    cycles = 0
    for step, *tiles in product(range(block.steps), *(range(p.tiles) for p in block.parts)):
        masks = [found[i, (step, tiles[i], *(place if i in moved else 0
                                             for place, (moved, _) in zip(at, block.spread, strict=True)))]
                 for i in range(len(block.parts))]
        if block.matches is None:
            taken = prod(-(-int(m.sum()) // p.width) for m, p in zip(masks, block.parts, strict=True))
        else:
            taken = -(-int(np.prod(masks, axis=0).sum()) // block.matches)
        cycles += max(taken, block.least)
    return cycles


@pytest.mark.parametrize("block", [
    Block((part(4, 0.3, 2), part(3, 0.6, 1))),
    Block((part(4, 0.3, 2), part(3, 0.6, 1)), least=1, spread=((differ(1), 2),)),
    Block((part(3, 0.3, 2), part(2, 0.6, 1)), steps=2, spread=((differ(1), 2),)),
    Block((part(2, 0.3, 1), part(2, 0.6, 1)), steps=2, spread=((differ(0), 2),)),
    Block((part(2, 0.3, tiles=2), part(2, 0.6)), spread=((differ(0, 1), 2),)),
    Block((part(2, 0.3), part(3, 0.6, 2)), spread=((differ(0), 2), (differ(1), 2))),
    Block((part(3, 0.3), part(3, 0.6)), matches=1, least=1, spread=((differ(1), 3),)),
    Block((part(3, 0.3), part(3, 0.6)), matches=2, spread=((differ(0, 1), 2),)),
    Block((part(2, 0.4), part(2, 0.6)), matches=1, steps=2, spread=((differ(0), 2),)),
    Block((part(2, 0.4), part(2, 0.6, tiles=2)), matches=1, spread=((differ(1), 2),)),
    Block((part(5, 0.3, 2),), steps=1, spread=((differ(0), 3),)),
    Block((part(3, 0.3, 2), part(2, 0.6), part(2, 0.5)), least=1),
    Block((part(2, 0.3), part(2, 0.6), part(2, 0.5)), least=3, spread=((differ(0), 2), (differ(2), 2))),
    Block((part(2, 0.3), part(2, 0.6), part(2, 0.5)), 1, spread=((differ(0), 3),)),
    Block((part(3, 0.3, 2), part(3, 0.6)), least=2),
], ids=brief)
def test_small_blocks_are_exact(block):
    assert expected_cycles(block) == pytest.approx(enumerated(block), rel=1e-9)


# --- large blocks: simulation ----------------------------------------------------------------------


def simulated(block: Block, runs: int) -> tuple[float, float]:
    """Mean of the cycles over `runs` draws, and its standard error."""
    rng = np.random.default_rng(7)
    totals = np.zeros((runs, *(n for _, n in block.spread)))
    for _ in range(block.steps):
        taken = [rng.choice(p.nonzeros.values, p=p.nonzeros.probabilities, size=(
            runs, *(q.tiles if i == j else 1 for j, q in enumerate(block.parts)),
            *(n if i in moved else 1 for moved, n in block.spread))) for i, p in enumerate(block.parts)]
        if block.matches is None:
            cycles = prod(np.ceil(x / p.width) for x, p in zip(taken, block.parts, strict=True))
        else:
            first, second = np.broadcast_arrays(*taken)
            words = block.parts[0].words
            cycles = np.ceil(rng.hypergeometric(first, words - first, second) / block.matches)
        whole = (runs, *(p.tiles for p in block.parts), *totals.shape[1:])
        totals += np.broadcast_to(np.maximum(cycles, block.least), whole).sum(
            axis=tuple(range(1, 1 + len(block.parts))))
    last = totals.reshape(runs, -1).max(axis=1)
    return last.mean(), last.std() / runs**0.5


COLUMNS = (differ(1), 64)


@pytest.mark.parametrize(("block", "runs"), [
    (Block((part(32, 0.4, 8), part(32, 0.6, 16))), 100_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), spread=(COLUMNS,)), 40_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), steps=8, spread=(COLUMNS,)), 10_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), steps=24, spread=(COLUMNS,)), 4_000),
    (Block((part(72, 0.05, 4), part(36, 0.05, 4)), steps=24, spread=(COLUMNS,)), 8_000),
    (Block((part(18, 0.05, 4), part(8, 0.03, 4)), steps=24, spread=(COLUMNS,)), 20_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), steps=128, spread=(COLUMNS,)), 1_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), spread=((differ(1), 8), (differ(0), 8))), 40_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), steps=16, spread=((differ(1), 8), (differ(0), 8))), 8_000),
    (Block((part(72, 0.35, 4), part(36, 0.4, 4)), steps=4, spread=((differ(1), 8), (differ(0, 1), 4))),
     9_000),
    (Block((part(72, 0.35, 4, 3), part(36, 0.4, 4, 2)), steps=4, spread=((differ(1), 8),)), 10_000),
    (Block((part(128, 0.4), part(128, 0.35)), 1, 1, 1, ((differ(1), 32),)), 20_000),
    (Block((part(128, 0.4), part(128, 0.35)), 1, 1, 8, ((differ(1), 32),)), 4_000),
    (Block((part(128, 0.4), part(128, 0.35)), 1, 1, 36, ((differ(1), 32),)), 1_500),
    (Block((part(128, 0.05), part(128, 0.1)), 1, 1, 36, ((differ(1), 32),)), 3_000),
    (Block((part(128, 0.4), part(128, 0.35)), 2, 1, 400, ((differ(0, 1), 32),)), 150),
    (Block((part(64, 0.4), part(64, 0.1)), 8, 0, 4, ((differ(1), 32),)), 20_000),
    (Block((part(128, 0.8), part(9, 0.8, 16)), least=1, steps=24, spread=(COLUMNS,)), 2_000),
], ids=brief)
def test_large_blocks_agree_with_simulation(block, runs):
    found, (mean, error) = expected_cycles(block), simulated(block, runs)
    assert error < ACCURACY / 2.5 * mean
    assert found == pytest.approx(mean, rel=ACCURACY)
