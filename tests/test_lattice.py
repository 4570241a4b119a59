"""The lattice bound: never above the cost of a mapping, and attained where no window slides."""

from __future__ import annotations

import random
from math import inf

import pytest
from tilebound.bounds.lattice import Lattice
from tilebound.bounds.lattice_bound import LatticeBound
from tilebound.mapping.nest import Block, Mapping
from tilebound.model.evaluate import evaluate

from strategies import charging, gated, random_architecture, random_einsum, random_mapping


def three_level_case(rng, max_points):
    """A machine with three levels and one fanout, and a mapping that fits it."""
    while True:
        einsum = random_einsum(rng, max_points)
        mapping = random_mapping(rng, einsum, 3, no_multicast=False)
        blocks = []
        for i, block in enumerate(mapping):
            keep = frozenset(t.name for t in einsum.tensors) if i == 0 else block.keep
            x, y = (block.spatial_x, block.spatial_y) if i == 1 else ((), ())
            blocks.append(Block(block.level, keep, block.temporal, x, y))
        # Spatial loops of the other levels become temporal ones of the same level.
        for i in (0, 2):
            factors = mapping.blocks[i].factors()
            order = rng.sample(list(factors), len(factors))
            blocks[i] = Block(blocks[i].level, blocks[i].keep, tuple(
                type(loop)(rank, factors[rank]) for rank in order
                for loop in mapping.blocks[i].loops[:1]))
        mapping = Mapping(tuple(blocks))
        both = {x.rank for x in blocks[1].spatial_x} & {y.rank for y in blocks[1].spatial_y}
        architecture = random_architecture(rng, einsum, mapping)
        if not both and Lattice(architecture, einsum).applies:
            return architecture, einsum, mapping


@pytest.mark.parametrize("seed", range(300))
def test_no_mapping_lies_below_the_lattice_bound(seed):
    rng = random.Random(seed)
    architecture, einsum, mapping = three_level_case(rng, 600)
    if seed % 4 == 0:
        architecture = gated(rng, architecture)
    if seed % 4 == 1:
        architecture = charging(rng, architecture)
    cost = evaluate(architecture, einsum, mapping)
    keep = tuple(b.keep for b in mapping)
    for energy_power, cycles_power in ((1, 0), (1, 1), (1, 2)):
        value = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
        bound = LatticeBound(Lattice(architecture, einsum), keep, energy_power, cycles_power)
        assert bound.solve(value * (1 + 1e-6))[0] <= value * (1 + 1e-9)
        loose = bound.solve(value * 100)[0]
        assert loose <= value * (1 + 1e-9)
        assert loose > 0 and loose < inf
