"""Sparse counts against counting: over all ways in which non-zeros can lie, and in a walk over the loops."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import Template
from tilebound.model.sparse.nest import SparseNest
from tilebound.model.sparse.savings import leader_tile
from tilebound.model.sparse.zeros import Zeros
from tilebound.workload.density import FixedStructured
from tilebound.workload.einsum import Einsum

from sparse_machines import (
    GEMM,
    SMALL,
    all_masks,
    blocks,
    form,
    machine,
    one,
    random_class,
    saves,
    store,
    values,
)

# --- all ways in which non-zeros can lie --------------------------------------------------------------


def test_tiles_and_coordinates_against_all_masks() -> None:
    masks, mapping = all_masks(4), Mapping((
        Block("DRAM", frozenset("ABZ"), (Loop("M", 2), Loop("K", 2), Loop("N", 4))),
        Block("GLB", frozenset("B")), Block("RF", frozenset("ABZ"), (Loop("M", 2), Loop("K", 2)))))
    tiles, rows = blocks(masks, 2, 2).any(axis=2), blocks(masks, 1, 2).any(axis=2)
    for kind, words in (("CP", masks.sum()), ("B", 2 * rows.sum())):
        chain = machine(store(A=form("UOP", "UOP", "UOP", kind, inner=True)), store(),
                        store(A=form("UOP", kind, inner=True)))
        counts = one(chain, SMALL, mapping)
        x, whole = counts.levels[2]["A"], counts.levels[0]["A"]
        assert x.present[0] == pytest.approx(tiles.mean(), rel=1e-12)
        assert x.density[0] == pytest.approx(masks.sum() / tiles.sum() / 4, rel=1e-12)
        loads = x.data.fills.algorithmic[0] / 4                    # of a tile, if it is there
        assert x.ranks[1].metadata.fills.actual[0] == rounded_up(loads * words / tiles.sum())
        assert x.ranks[0].payload.fills.actual[0] == 3 * loads     # one fiber of two in each
        passes = whole.data.reads.algorithmic[0] / 16
        assert whole.ranks[3].metadata.reads.actual[0] == rounded_up(passes * words / len(masks))
        assert whole.ranks[2].payload.reads.actual[0] == rounded_up(passes * 3 * tiles.sum() / len(masks))


def rounded_up(number: float) -> float:
    return float(np.ceil(round(number, 9)))


@pytest.mark.parametrize("kind", ["skipping", "gating"])
def test_savings_against_all_masks(kind: Any) -> None:
    """B is not fetched where the part of A that meets it is empty, nor read where the word of A is zero."""
    masks = all_masks(4)
    fetching = machine(store(), store(saves(kind, ("B", "A"))), store())
    mapping = Mapping((Block("DRAM", frozenset("ABZ")), Block("GLB", frozenset("ABZ"), (
        Loop("M", 2), Loop("K", 2), Loop("N", 2))), Block("RF", frozenset("ABZ"), (
            Loop("M", 2), Loop("K", 2), Loop("N", 2)))))
    counts = one(fetching, SMALL, mapping)
    useful, reads = blocks(masks, 2, 2).any(axis=2).mean(), counts.levels[1]["B"].data.reads
    assert reads.actual[0] == np.ceil(reads.algorithmic[0] * useful)
    assert reads.gated[0] + reads.skipped[0] == reads.algorithmic[0] - reads.actual[0]
    assert counts.computes.actual[0] == np.ceil(64 * useful)
    reading = machine(store(), store(), store(saves(kind, ("B", "A"))))
    counts = one(reading, SMALL, mapping)
    effectual = 4 * masks.sum() / len(masks)        # each word of A meets four of B
    assert counts.computes.actual[0] == effectual == counts.levels[2]["B"].data.reads.actual[0]
    assert counts.computes.gated[0] == (48 if kind == "gating" else 0)


def test_instances_without_work_against_all_masks() -> None:
    masks = all_masks(4)
    architecture = machine(store(), store(saves("skipping_spatial", ("B", "A")), A=form(
        "UOP", "CP", inner=True)), store(A=form("CP")), mesh=4)
    first, *others = SMALL.tensors
    einsum = replace(SMALL, tensors=(replace(first, density=FixedStructured(0.25)), *others))
    mapping = Mapping((Block("DRAM", frozenset("ABZ")), Block("GLB", frozenset("ABZ"), (Loop("M", 4),), (
        Loop("K", 4),)), Block("RF", frozenset("A"), (Loop("N", 4),))))
    counts = one(architecture, einsum, mapping)
    assert values(counts.instances[2], counts.active[2], counts.active[3]) == [1, 1, 1]
    assert counts.levels[2]["A"].present[0] == 1
    assert counts.computes.actual[0] == 4 * masks.sum() / len(masks)


# --- against a walk ---------------------------------------------------------------------------------------


def parts_met(template: Template, factors: np.ndarray, einsum: Einsum, level: int, below: int,
              target: str, leader: str) -> set[int]:
    """Words of `leader` that are met from one fetch of `target` at `level` by the level `below` to the
    next, in a walk over the first instance of `level`: the sizes that occur. Units fetch at every step.
    Tensors have disjoint tiles."""
    mapping = template.mapping(einsum, factors)
    outer = [(loop, j >= len(block.temporal)) for i, block in enumerate(mapping) if i < below
             for j, loop in enumerate(block.loops) if i >= level or j < len(block.temporal)]
    tile = mapping.tile(below, einsum.extent)
    steps = dict.fromkeys(einsum.ranks, 1)
    weights: list[int] = []         # of each outer loop, in tiles
    for loop, _ in reversed(outer):
        weights.insert(0, steps[loop.rank])
        steps[loop.rank] *= loop.factor
    times = [i for i, (_, spatial) in enumerate(outer) if not spatial]
    places = [i for i, (_, spatial) in enumerate(outer) if spatial]

    def part(name: str, index: dict[int, int]) -> tuple[int, ...]:
        at = dict.fromkeys(einsum.ranks, 0)
        for i, value in index.items():
            at[outer[i][0].rank] += weights[i] * value
        return tuple(at[rank] for rank in sorted(einsum.tensor(name).ranks))

    held: dict[tuple[int, ...], tuple[tuple[int, ...], set[Any]]] = {}     # by place: what is there, and met
    met: list[set[Any]] = []
    for now in product(*(range(outer[i][0].factor) for i in times)):
        fetched: dict[tuple[int, ...], set[Any]] = {}
        for here in product(*(range(outer[i][0].factor) for i in places)):
            index = dict(zip((*times, *places), (*now, *here), strict=True))
            mine = part(target, index)
            if here not in held or held[here][0] != mine or below == len(mapping.blocks):
                held[here] = mine, fetched.setdefault(mine, set())     # sent to all that ask, at once
                met.append(held[here][1])
            held[here][1].add(part(leader, index))
    words = einsum.tile_words(einsum.tensor(leader), tile)
    return {len(x) * words for x in met}


@pytest.mark.parametrize("mesh, row", [(1, 5), (8, 5), (8, 8)])
def test_leader_tiles_against_a_walk(mesh: int, row: int) -> None:
    architecture, random, names = machine(store(), store(), store(), mesh=mesh), Random(row), frozenset("ABZ")
    if row == 8:        # units of one innermost store, not stores with a unit each
        architecture = replace(architecture, levels=tuple(replace(x, mesh_x=1) for x in architecture.levels))
    zeros = {x.name: Zeros(GEMM, x, "exact") for x in GEMM.tensors}
    for _ in range(25):
        template, factors = random_class(random, GEMM, mesh, 3, row)
        template = replace(template, keep=(names, random.choice([names, frozenset("A")]), names))
        nest = SparseNest.of_factors(architecture, GEMM, template, factors)
        for target, leader in (("A", "B"), ("B", "A"), ("Z", "A")):
            for level in nest.kept(target):
                tile, lost = leader_tile(nest, zeros[target], zeros[leader], target, level, 1)
                assert not lost.any()
                for i in range(len(factors)):
                    below = nest.below(target, level)
                    walked = parts_met(template, factors[i], GEMM, level, below, target, leader)
                    assert walked == {int(tile[:, i].prod())}
