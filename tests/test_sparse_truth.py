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


@pytest.mark.parametrize("meshes", [(1, 1), (8, 1), (1, 8), (8, 8)], ids=["none", "stores", "units", "both"])
def test_leader_tiles_against_a_walk(meshes: tuple[int, int]) -> None:
    """Instances below the middle level, and units of one innermost store."""
    random, stores, units = Random(5), *meshes
    architecture = machine(store(), store(), store(), mesh=stores)
    architecture = replace(architecture, compute=replace(architecture.compute, mesh_x=stores * units))
    zeros = {x.name: Zeros(GEMM, x, "exact") for x in GEMM.tensors}
    for _ in range(40):
        template = Template(("DRAM", "GLB", "RF"), (frozenset("ABZ"), kept(random), kept(random)), tuple(
            tuple(random.sample(GEMM.ranks, 3)) for _ in range(3)))
        factors = np.stack([unrolled(random, stores, units) for _ in range(3)])
        nest = SparseNest.of_factors(architecture, GEMM, template, factors)
        for target, leader in (("A", "B"), ("B", "A"), ("Z", "A")):
            for level in nest.kept(target):
                tile, lost = leader_tile(nest, zeros[target], zeros[leader], target, level, 1)
                assert not lost.any()
                for i in range(len(factors)):
                    below = nest.below(target, level)
                    walked = parts_met(template, factors[i], GEMM, level, below, target, leader)
                    assert walked == {int(tile[:, i].prod())}


def kept(random: Random) -> frozenset[str]:
    return frozenset(name for name in "ABZ" if random.random() < 0.6)


def unrolled(random: Random, stores: int, units: int) -> np.ndarray:
    """Factors of `GEMM` of shape (slots, ranks), some of them over stores and over units."""
    while True:
        factors = np.ones((9, 3), dtype=np.int64)
        for column, primes in enumerate(((2, 2), (2, 3), (2, 2, 2))):
            for prime in primes:
                factors[random.choice((0, 3, 5, 5, 6, 8, 8)), column] *= prime
        if factors[5].prod() <= stores and factors[8].prod() <= units:
            return factors


def test_a_word_for_several_units_is_read_where_one_of_them_wants_it() -> None:
    """B stays outside, A in two stores: a word of B goes to both, and is left out where both have a zero."""
    masks, pairs = all_masks(4), all_masks(4).reshape(-1, 2, 2, 4).any(axis=2)
    outer = machine(store(saves("skipping", ("B", "A"))), store(), store(), mesh=2)
    mapping = Mapping((Block("DRAM", frozenset("ABZ")), Block("GLB", frozenset("AZ"), (
        Loop("M", 2), Loop("K", 4)), (Loop("M", 2),)), Block("RF", frozenset("AZ"), (Loop("N", 4),))))
    counts = one(outer, SMALL, mapping)
    reads = counts.levels[0]["B"].data.reads
    assert reads.algorithmic[0] == 32
    assert reads.actual[0] == np.ceil(32 * pairs.mean()) > 32 * masks.mean()
    assert counts.computes.actual[0] == np.ceil(64 * pairs.mean())
    alone = one(outer, SMALL, mapping, "timeloop").levels[0]["B"].data.reads
    assert alone.actual[0] == 32 * masks.mean()         # as if for one of them
