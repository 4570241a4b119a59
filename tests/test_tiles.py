"""The bound over numbers of tiles: never above the cost of a mapping, with any remainders."""

from __future__ import annotations

import random
from itertools import product
from math import prod

import numpy as np
import pytest
from tilebound import load_architecture, load_workload
from tilebound.bounds.scenario import Scenario
from tilebound.bounds.tiles.bound import Left, TileBound
from tilebound.bounds.tiles.inside import Pairs, anew_at_least
from tilebound.bounds.tiles.last import Ways, least, nests
from tilebound.bounds.tiles.tiles import Tiles, tile_counts
from tilebound.mapping.constraints import Constraints
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import KINDS, slot
from tilebound.model.evaluate import evaluate

from strategies import charging, gated, random_architecture, random_einsum, random_mapping, with_remainders
from test_imperfect_search import one_price

POWERS = (1, 0), (1, 1), (1, 2), (0, 1)


def case(rng):
    """A machine with two or three levels and an array below one of them or none, a layer and a mapping with
    remainders that fits; None where the bound does not apply."""
    levels = rng.choice((2, 3, 3))
    array = rng.choice((None, 0, 1, 1)) if levels == 2 else rng.choice((None, 1, 1, 1))
    einsum = random_einsum(rng, rng.choice((40, 256, 600, 2000)))
    blocks = []
    for i, block in enumerate(random_mapping(rng, einsum, levels, no_multicast=False)):
        keep = frozenset(t.name for t in einsum.tensors) if i == 0 else block.keep
        factors = block.factors()
        order = rng.sample(list(factors), len(factors))
        blocks.append(Block(block.level, keep, block.temporal, block.spatial_x, block.spatial_y) if i == array
                      else Block(block.level, keep, tuple(Loop(rank, factors[rank]) for rank in order)))
    einsum, mapping = with_remainders(rng, einsum, Mapping(tuple(blocks)))
    if any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping):
        return None
    architecture = random_architecture(rng, einsum, mapping)
    architecture = rng.choice((lambda r, a: a, lambda r, a: a, gated, charging))(rng, architecture)
    if rng.random() < 0.75:
        architecture = one_price(rng, architecture)
    tiles = Tiles(Scenario(architecture, einsum, Constraints(imperfect=True)))
    return (tiles, mapping) if tiles.applies else None


def only(tiles, mapping):
    """Leave no shape of the array but that of the mapping; the tile of its instances."""
    array = mapping.blocks[tiles.middle]
    tiles.__dict__["shapes"] = np.array([[prod(x.factor for x in array.spatial if x.rank == rank)
                                          for rank in tiles.ranks]])
    within = mapping.blocks[tiles.middle + 1:]
    inside = [prod(b.factors().get(rank, 1) for b in within) for rank in tiles.ranks]
    return np.array([[np.searchsorted(own, -(-n // min(tile, n)))] for own, n, tile in zip(
        tiles.counts, tiles.extents, inside, strict=True)])


def lies_below(seed):
    """Whether the bound is below a random mapping, over all pairs or over those with its tile and shape; None
    where there is none."""
    rng = random.Random(seed)
    found = case(rng)
    if found is None:
        return None
    tiles, mapping = found
    cost = evaluate(tiles.arch, tiles.einsum, mapping)
    own = only(tiles, mapping) if rng.random() < 0.85 else None
    for powers in POWERS:
        value = cost.energy_pj ** powers[0] * cost.cycles ** powers[1]
        bound = TileBound(tiles, tuple(b.keep for b in mapping), *powers)
        if own is not None and bound.held:
            bound._tiles = lambda: own
        proven, cuts = bound.solve(value * 1.5)
        # Differences of large sums are what is left where next to nothing costs energy.
        if proven > value * (1 + 1e-9) + 1e-9 * cost.cycles ** powers[1]:
            return False
        assert bound.quick() <= value * (1 + 1e-9) + 1e-9 * cost.cycles ** powers[1] or own is not None
        assert all((cut.factors.prod(axis=0) >= tiles.einsum.extents).all() for cut in cuts)
    return True


def is_left(seed):
    """Whether a random mapping whose loops around the array are known is not ruled out where what is looked
    for costs no more than it does; None where there is no such bound."""
    found = case(random.Random(seed))
    return None if found is None else stays_in(*found)


def stays_in(tiles, mapping):
    cost = evaluate(tiles.arch, tiles.einsum, mapping)
    tile = only(tiles, mapping)
    factors = np.ones((3 * tiles.depth, len(tiles.ranks)), dtype=np.int64)
    for level, block in enumerate(mapping):
        for kind in KINDS:
            own = block.factors(kind)
            factors[slot(level, kind)] = [own.get(rank, 1) for rank in tiles.ranks]
    ways = [Ways(tiles, i, factors[None, :, i]) for i in range(len(tiles.ranks))]
    loops = [mapping.blocks[level].temporal for level in (tiles.middle, 0)]
    inner = [next((tiles.ranks.index(x.rank) for x in reversed(own) if x.factor > 1), None) for own in loops]
    i, j = inner if tiles.middle else (inner[0], None)
    for powers in POWERS:
        bound = TileBound(tiles, tuple(b.keep for b in mapping), *powers)
        if tiles.inside is not None and not bound.held:
            return None
        value = cost.energy_pj ** powers[0] * cost.cycles ** powers[1]
        bound.cutoff = value * (1 + 1e-9) + 1e-9 * cost.cycles ** powers[1]
        left = Left(0.0, Pairs(tiles, tile, tiles.shapes.T, np.ones(1)), {i})
        near = [(a, b) for a, nest in nests(bound, ways, [left]) for b, _, _ in least(bound, nest, a)]
        if (i, j) not in near:
            return False
    return True


def test_an_instance_that_idles_keeps_what_it_has():
    """The second instance has one of three rows, so that its inputs stay while the outer loops run."""
    machine = load_architecture({"name": "m", "levels": [
        {"name": "DRAM", "energy": 1},
        {"name": "GLB", "size": "100 words", "energy": 1000, "fanout": {"x": 2}},
        {"name": "RF", "size": "10 words", "energy": 0}], "compute": {"name": "MAC", "energy": 0}})
    layer = load_workload({"layers": [{"name": "x", "type": "matmul", "M": 3, "N": 8, "K": 4}]})["x"]
    every = frozenset(t.name for t in layer.tensors)
    mapping = Mapping((
        Block("DRAM", every, (Loop("N", 4), Loop("M", 2))),
        Block("GLB", every, (Loop("N", 2),), (Loop("M", 2, 1),)),
        Block("RF", frozenset({"Inputs"}), (Loop("K", 4),))))
    tiles = Tiles(Scenario(machine, layer, Constraints(imperfect=True)))
    assert evaluate(machine, layer, mapping).levels[1].tensors["Inputs"].reads == 36
    assert stays_in(tiles, mapping)


@pytest.mark.parametrize("part", range(4))
def test_no_mapping_is_ruled_out_by_its_loops(part):
    tried = [is_left(seed) for seed in range(100 * part, 100 * (part + 1))]
    assert False not in tried and tried.count(True) > 20


@pytest.mark.parametrize("part", range(4))
def test_no_mapping_lies_below_the_bound(part):
    tried = [lies_below(seed) for seed in range(100 * part, 100 * (part + 1))]
    assert False not in tried and tried.count(True) > 20


def test_a_step_that_undoes_another_loads_nothing():
    assert lies_below(71008)


@pytest.mark.slow
def test_no_mapping_of_many_lies_below_the_bound():
    assert False not in [lies_below(seed) for seed in range(1000, 11_000)]


def test_numbers_of_tiles_come_with_their_smallest_and_largest_tiles():
    for extent in range(2, 60):
        numbers = {-(-extent // tile) for tile in range(1, extent + 1)}
        assert tile_counts(extent).tolist() == sorted(numbers)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_said_of_a_pair_does_not_depend_on_the_others(seed):
    found = case(random.Random(seed))
    if found is None:
        return
    tiles, mapping = found
    bound = TileBound(tiles, tuple(b.keep for b in mapping), 1, 0)
    inside = bound._tiles()
    anew = {t.name: anew_at_least(tiles, t, inside) for t in bound.held}
    pairs = bound._promising(len(tiles.shapes) - 1, inside, anew)
    some = np.arange(len(pairs.steps))[:12]
    for i, close in product([*range(len(tiles.ranks)), None], range(3)):
        together, alone = least_of(bound, i, pairs, close), [
            least_of(bound, i, pairs.at(np.array([k])), close)[0] for k in some]
        assert together[some] == pytest.approx(alone, rel=1e-9)


def least_of(bound, i, pairs, close):
    words = {t.name: pairs.loads(t) for t in bound.held}
    return np.minimum.reduce([x for x, _ in bound.variants(i, pairs, bound.asked(pairs), words, close)])
