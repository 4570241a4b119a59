"""Mappings in which each tensor cuts the loop nest at a place of its own, in the model and in files."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod
from random import Random

import pytest
import tilebound as tb
from tilebound.errors import MappingError
from tilebound.hardware.architecture import Architecture, Figure
from tilebound.mapping.nest import Block, Mapping
from tilebound.mapping.parts import unfold
from tilebound.mapping.template import Template
from tilebound.mapping.text import format_nest, parse_nest
from tilebound.mapping.timeloop import from_timeloop, to_timeloop
from tilebound.mapping.validate import check_mapping
from tilebound.model.batch import evaluate_batch
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum, footprint

from oracle import simulate
from strategies import random_case, with_remainders
from test_oracle import differences


def cut_apart(rng: Random, mapping: Mapping) -> Mapping:
    """The same loops; at some levels the tensors are cut at places of their own among the temporal ones."""
    blocks: list[Block] = []
    for block in mapping:
        places = {name: rng.randint(0, len(block.temporal)) for name in sorted(block.keep)}
        if rng.random() < 0.2 or not places:
            blocks.append(block)
            continue
        cuts = sorted({0, *places.values()})      # what stands outside of the first cut stays with it
        for at, end in zip(cuts, [*cuts[1:], None], strict=True):
            here = frozenset(name for name, place in places.items() if place == at)
            inner = replace(block, keep=here, temporal=block.temporal[at:end])
            blocks.append(inner if end is None else replace(inner, spatial_x=(), spatial_y=()))
    return Mapping(tuple(blocks))


def in_another_order(rng: Random, architecture: Architecture, mapping: Mapping) -> Mapping:
    """The same loops; some places next to each other have changed levels, where no tensor is in the way."""
    zone = {architecture.levels[i].name: own for own in architecture.zones for i in own}
    blocks = list(mapping)
    for i, (a, b) in enumerate(pairwise(mapping)):
        a = blocks[i]
        if zone[a.level] == zone[b.level] and not a.keep & b.keep and not a.spatial and rng.random() < 0.7:
            blocks[i:i + 2] = [replace(a, level=b.level, keep=b.keep), replace(b, level=a.level, keep=a.keep)]
    return Mapping(tuple(blocks))


def free_networks(architecture: Architecture) -> Architecture:
    """The machine with networks that cost something below fanouts only."""
    return replace(architecture, levels=tuple(
        replace(x, network=replace(x.network, ingress=None)) if prod(architecture.fanout(i)) == 1 else x
        for i, x in enumerate(architecture.levels)))


def with_room(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Architecture:
    """The machine with just the room that the tiles of `mapping` take."""
    need = {level.name: 0 for level in architecture.levels}
    for i, block in enumerate(mapping.blocks):
        tile = mapping.tile(i, einsum.extent)
        need[block.level] += sum(footprint(einsum.tensor(name), tile) for name in block.keep)
    return replace(architecture, levels=tuple(
        replace(x, size_words=need[x.name], multiple_buffering=1.0) for x in architecture.levels))


def uneven_case(seed: object, **kwargs: object) -> tuple[Architecture, Einsum, Mapping]:
    rng = Random(f"uneven {seed}")
    architecture, einsum, mapping = random_case(rng, **kwargs)      # type: ignore[arg-type]
    mapping = cut_apart(rng, mapping)
    if rng.random() < 0.5:
        architecture = free_networks(architecture)
        mapping = in_another_order(rng, architecture, mapping)
    return with_room(architecture, einsum, mapping), einsum, mapping


@pytest.mark.parametrize("batch", range(4))
def test_model_counts_what_the_simulation_moves(batch: int) -> None:
    uneven = swapped = 0
    for seed in range(75 * batch, 75 * batch + 75):
        case = uneven_case(seed, max_levels=3, max_points=128)
        assert check_mapping(*case) == [], f"seed {seed}"
        # Where levels stand in another order, the simulation counts below another one.
        places = [case[0].level_index(x.level) for x in case[2]]
        usual = places == sorted(places)
        assert not (found := differences(*case, networks=usual)), "\n".join([f"seed {seed}", *found])
        uneven += len(case[2].blocks) > len(case[0].levels)
        swapped += not usual
    assert uneven > 40 and swapped > 2


@pytest.mark.parametrize("seed", range(20))
def test_model_counts_what_the_simulation_moves_with_remainders(seed: int) -> None:
    rng = Random(f"uneven remainders {seed}")
    architecture, einsum, mapping = random_case(rng, max_points=96, no_multicast=False)
    einsum, mapping = with_remainders(rng, einsum, cut_apart(rng, mapping))
    cost, truth = evaluate(architecture, einsum, mapping), simulate(architecture, einsum, mapping)
    assert (cost.computes, cost.compute.cycles) == (truth.macs, truth.steps)
    for level in cost.levels:
        for name, x in level.tensors.items():
            count = truth.totals[level.name, name]
            found = [words * level.utilized_instances for words in (x.reads, x.fills, x.updates)]
            assert found == pytest.approx([count.reads, count.fills, count.updates]), (level.name, name)


@pytest.mark.parametrize("seed", range(60))
def test_cuts_at_one_place_cost_what_they_always_did(seed: int) -> None:
    """Blocks of a level with all loops in the innermost one cut all tensors where an even mapping does."""
    rng = Random(f"coincide {seed}")
    architecture, einsum, mapping = random_case(rng)
    architecture = replace(architecture, levels=tuple(replace(
        x, reduces=rng.random() < 0.7, network=replace(x.network, ingress=Figure(0.5, "drawn")))
        for x in architecture.levels))
    blocks: list[Block] = []
    for block in mapping:
        names = sorted(block.keep)
        apart = frozenset(names[:rng.randint(0, len(names))])
        if apart:
            blocks.append(Block(block.level, apart))
        blocks.append(replace(block, keep=block.keep - apart))
    uneven = Mapping(tuple(blocks))
    assert check_mapping(architecture, einsum, uneven) == check_mapping(architecture, einsum, mapping) == []
    assert evaluate(architecture, einsum, uneven) == evaluate(architecture, einsum, mapping)


@pytest.mark.parametrize("seed", range(40))
def test_mappings_are_read_as_they_are_written(seed: int) -> None:
    architecture, einsum, mapping = uneven_case(f"text {seed}", limited=False)
    levels = [level.name for level in architecture.levels]
    lines = format_nest(mapping, architecture, einsum)
    assert parse_nest(lines, architecture, einsum) == mapping
    merged = all(len({x.rank for x in loops}) == len(loops)
                 for b in mapping for loops in (b.temporal, b.spatial))
    if merged:
        assert from_timeloop(to_timeloop(mapping, einsum, levels), architecture, einsum) == mapping
    machine, flat = unfold(architecture, mapping)
    assert [x.name for x in machine.levels] == [x.level for x in flat]
    assert evaluate(machine, einsum, flat).energy_pj == pytest.approx(
        evaluate(architecture, einsum, mapping).energy_pj)


MACHINE = {"name": "m", "levels": [
    {"name": "DRAM", "energy": 100}, {"name": "GLB", "size": "40 words", "energy": 1, "fanout": 4}],
    "compute": {"name": "MAC", "energy": 1}}
LAYER = tb.load_workload({"layers": [{"name": "gemm", "type": "matmul", "M": 8, "N": 8, "K": 8}]})["gemm"]
NEST = """
DRAM
  for M in 4
GLB [Inputs]
    for N in 8
GLB [Outputs]
      for K in 8
GLB [Weights]
        for M in 2 (Spatial-X)
"""


def test_an_example_by_hand() -> None:
    """Rows of inputs stay for all columns, one column of outputs for the whole sum, weights pass through."""
    cost = tb.evaluate(MACHINE, LAYER, NEST)
    buffer = cost.level("GLB")
    assert {t: x.tile_words for t, x in buffer.tensors.items()} == {"Inputs": 16, "Weights": 1, "Outputs": 2}
    assert {t: (x.reads, x.fills, x.updates) for t, x in buffer.tensors.items()} == {
        "Inputs": (512, 64, 0), "Weights": (256, 256, 0), "Outputs": (448, 0, 512)}
    assert {t: x.reads + x.updates for t, x in cost.level("DRAM").tensors.items()} == {
        "Inputs": 64, "Weights": 256, "Outputs": 64}
    assert [x.name for x in cost.levels] == ["DRAM", "GLB"] and cost.cycles == 256


@pytest.mark.parametrize("change, reason", [
    (("GLB [Weights]", "GLB [Weights, Inputs]"), "GLB: tensor Inputs is cut at two places, needs one"),
    (("        for M in 2 (Spatial-X)", ""), "rank M: factors multiply to 4"),
    (("for N in 8", "for N in 8 (Spatial-X)"), "outside the place where the last tensor is cut"),
])
def test_what_is_wrong_is_said(change: tuple[str, str], reason: str) -> None:
    with pytest.raises(MappingError, match=reason.replace("(", r"\(")):
        tb.evaluate(MACHINE, LAYER, NEST.replace(*change))


def test_the_parts_share_the_room() -> None:
    small = {**MACHINE, "levels": [MACHINE["levels"][0], {**MACHINE["levels"][1], "size": "18 words"}]}
    words = r"GLB: tiles need 19 words \(Weights 1, Inputs 16, Outputs 2\), has 18"
    with pytest.raises(MappingError, match=words):
        tb.evaluate(small, LAYER, NEST)


@pytest.mark.parametrize("seed", range(40))
def test_many_mappings_at_once_cost_what_one_does(seed: int) -> None:
    architecture, einsum, mapping = uneven_case(f"batch {seed}")
    machine, flat = unfold(architecture, mapping)
    if any(len({x.rank for x in block.temporal}) < len(block.temporal) for block in flat):
        return      # makes no class
    template, factors = Template.of(einsum, flat)
    batch = evaluate_batch(machine, einsum, template, factors[None])
    cost = evaluate(architecture, einsum, mapping)
    assert batch.valid.all()
    assert (batch.energy_pj[0], batch.cycles[0]) == pytest.approx((cost.energy_pj, cost.cycles), rel=1e-12)
