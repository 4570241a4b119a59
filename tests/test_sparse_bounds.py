"""Bounds where zeros are left out or gated: of every word, and of whole mapspaces."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import numpy as np
import pytest
from tilebound.bounds.prices import Prices
from tilebound.errors import InfeasibleError, MappingError
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.constraints import Constraints
from tilebound.mapping.validate import check_mapping
from tilebound.model.counts import count
from tilebound.model.evaluate import evaluate
from tilebound.model.sparse.bits import stored_bits
from tilebound.model.sparse.counts import SparseCounts
from tilebound.search.check import rederive
from tilebound.search.conflict.conflict import Problem, smallest_conflict
from tilebound.search.conflict.demands import Case
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, footprint

from brute import least_by_keep
from sparse_machines import one
from sparse_strategies import sparse, with_zeros
from strategies import random_case, seeds


def hold(seed: object) -> bool:
    """Compare what a random mapping costs with what its words cost at the least."""
    rng = Random(str(seed))
    architecture, einsum, mapping = random_case(rng, max_points=600, max_levels=4, max_instances=16)
    einsum = with_zeros(rng, einsum)
    architecture = sparse(rng, architecture, einsum, in_space=rng.random() < 0.3)
    if check_mapping(architecture, einsum, mapping):
        return False
    dense = count(architecture, einsum, mapping)
    try:
        cost = evaluate(architecture, einsum, mapping)
    except MappingError:
        return False
    counts = one(architecture, einsum, mapping)
    prices, keep = Prices(architecture, einsum), tuple(block.keep for block in mapping)
    rounding, least = prices.rounded_away(keep), prices.computes(keep)
    assert cost.compute.energy_pj >= least * (1 - 1e-9) - rounding, seed
    busy = einsum.macs * prices.busy(keep) / dense.instances[-1]
    assert cost.cycles >= np.floor(busy * (1 - 1e-9)), seed
    for i, level in enumerate(cost.levels):
        for name, x in level.tensors.items():
            own, moved = 0.0, dense.traffic[name].accesses[i]
            assert moved is not None
            for action, words in (("read", moved.reads), ("fill", moved.fills), ("update", moved.updates)):
                own += words * prices.word(keep, i, name, action) * dense.instances[i]
            assert x.energy_pj >= own * (1 - 1e-9) - rounding, (seed, level.name, name)
            room = moved.tile_words * prices.held(i, name)
            assert x.tile_words >= room * (1 - 1e-9), (seed, level.name, name)
            noted = prices.noted(i, name, footprint(einsum.tensor(name), mapping.tile(i, einsum.extent)))
            assert bits_there(architecture, i, name, counts) >= noted * (1 - 1e-9), (seed, level.name, name)
    return True


def bits_there(architecture: Architecture, level: int, name: str, counts: SparseCounts) -> float:
    """Bits of metadata of the fullest tile."""
    sparsity, x = architecture.levels[level].sparsity, counts.levels[level][name]
    return float(stored_bits(sparsity, sparsity.formats[name].ranks, x.ranks)[0]) if x.ranks else 0.0


@pytest.mark.parametrize("batch", range(4))
def test_no_word_costs_less(batch: int) -> None:
    assert sum(hold(seed) for seed in range(150 * batch, 150 * batch + 150)) > 40


def small(rng: Random) -> tuple[Architecture, Einsum]:
    """A machine and an Einsum with few enough mappings to enumerate."""
    while True:
        architecture, einsum, _ = random_case(rng, max_points=24, max_levels=3, max_instances=4)
        einsum = with_zeros(rng, einsum)
        architecture = sparse(rng, architecture, einsum, in_space=rng.random() < 0.3)
        if Mapspace(architecture, einsum).size <= 5000:
            return architecture, einsum


@pytest.mark.parametrize("seed", seeds(12, 400))
def test_no_mapping_meets_demands_that_conflict(seed: int) -> None:
    rng = Random(f"conflict {seed}")
    architecture, einsum = small(rng)
    levels = []
    for level in architecture.levels:
        store = replace(level.sparsity, metadata_width=4, metadata_depth=rng.randrange(4))
        levels.append(replace(level, sparsity=store, keep=frozenset(store.formats) - level.bypass))
    problem = Problem(einsum, Case(replace(architecture, levels=tuple(levels)), Constraints()))
    if problem.met(problem.every):
        return
    kept, _, _ = smallest_conflict(problem.every, problem.met)
    for case in (problem.case, problem.only(kept)):
        space = Mapspace(case.architecture, einsum)
        if space.choices.count and space.size < 10_000:
            assert set(least_by_keep(space, "energy").values()) <= {inf}


@pytest.mark.parametrize("seed", seeds(15, 90))
def test_the_optimum_is_that_of_exhaustion(seed: int) -> None:
    rng = Random(f"small {seed}")
    architecture, einsum = small(rng)
    objective = rng.choice(tuple(OBJECTIVES))
    search = LayerSearch(architecture, einsum, objective)
    space = search.space
    assert space.orders_complete
    by_keep = least_by_keep(space, objective)
    least = min(by_keep.values(), default=np.inf)
    if least == np.inf:
        with pytest.raises(InfeasibleError):
            search.run()
        return
    mapping, found = search.run()
    assert found.status == "optimal"
    assert found.value == pytest.approx(least, rel=1e-9)
    cost = evaluate(architecture, einsum, mapping)
    energy, cycles = OBJECTIVES[objective]
    assert found.value == pytest.approx(cost.energy_pj ** energy * cost.cycles ** cycles, rel=1e-9)
    relaxed, proven = rederive(architecture, einsum, objective, found.value, found.dual)
    assert relaxed <= least * (1 + 1e-9)
    assert proven == pytest.approx(least, rel=1e-9)
    bounded = LayerSearch(architecture, einsum, objective, Limits())     # bounds alone, root by root
    for keep, own in by_keep.items():
        assert bounded._node(space.root(keep), 0.0, 0.0).value <= own * (1 + 1e-9)
