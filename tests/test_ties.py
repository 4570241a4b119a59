"""Mappings that are equal in the objective: the one with the least of the other figure is found."""

from __future__ import annotations

import random
from functools import cache
from itertools import permutations, product
from math import inf

import numpy as np
import pytest
from tilebound.bounds.bound import bound_region
from tilebound.bounds.lattice import Lattice
from tilebound.bounds.lattice_bound import LatticeBound
from tilebound.bounds.relax import Relaxation
from tilebound.mapping.constraints import NONE
from tilebound.mapping.template import Template
from tilebound.model.batch import evaluate_batch
from tilebound.model.evaluate import evaluate
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch, Limits
from tilebound.search.network import search_network
from tilebound.search.space import Mapspace
from tilebound.search.ties import settle
from tilebound.workload.graph import WorkloadGraph

from test_imperfect_search import IN_ARRAY, ROW
from test_search import conv, gemm, mttkrp, three_level, two_level


@cache
def every_cost(case):
    """Energy and cycles of all mappings, by keep/bypass choice."""
    architecture, einsum = CASES[case]
    space = Mapspace(architecture, einsum)
    factors = space.enumerate(space.root(space.keeps[0]))
    factors = factors[space.allowed(factors)]
    names = tuple(level.name for level in architecture.levels)
    orders = [tuple(r for r in einsum.ranks if r not in p) + p for p in permutations(space.ranks)]
    costs = []
    for keep in space.keeps:
        found = [evaluate_batch(architecture, einsum, Template(names, keep, (*choice, orders[0])), factors)
                 for choice in product(orders, repeat=space.depth - 1)]
        costs.append((keep, *(np.concatenate([getattr(x, name)[x.valid] for x in found])
                              for name in ("energy_pj", "cycles"))))
    return costs


def all_costs(case):
    """Energy and cycles of all mappings."""
    _, energies, cycles = zip(*every_cost(case), strict=True)
    return np.concatenate(energies), np.concatenate(cycles)


CASES = {
    "gemm, array": (three_level(), gemm(8, 6, 4)),
    "one unit": (two_level(20), mttkrp(4, 2, 3, 4)),
    "little bandwidth": (three_level(read_bandwidth=0.5, write_bandwidth=0.25), gemm(4, 6, 4)),
    "conv, array": (three_level(keep=frozenset("WIO")), conv(4, 2, 4, 3)),
}
by_case = pytest.mark.parametrize("case", CASES)


@by_case
def test_the_least_energy_among_the_fastest_is_found(case):
    architecture, einsum = CASES[case]
    energy, cycles = all_costs(case)
    fastest = cycles.min()
    search = LayerSearch(architecture, einsum, "latency")
    mapping, certificate = settle(search, *search.run())
    cost = evaluate(architecture, einsum, mapping)
    assert cost.cycles == certificate.value == certificate.lower_bound == fastest
    assert cost.energy_pj == pytest.approx(energy[cycles == fastest].min(), rel=1e-9)
    assert (cycles == fastest).sum() > 1
    _, proven = rederive(architecture, einsum, "latency", certificate.value, certificate.dual)
    assert proven == fastest


@by_case
def test_fewer_cycles_among_those_with_the_least_energy(case):
    architecture, einsum = CASES[case]
    energy, cycles = all_costs(case)
    search = LayerSearch(architecture, einsum, "energy")
    mapping, certificate = settle(search, *search.run())
    cost = evaluate(architecture, einsum, mapping)
    assert cost.energy_pj == pytest.approx(energy.min(), rel=1e-9)
    assert cost.cycles == cycles[energy <= energy.min() * (1 + 1e-9)].min()
    assert certificate.value == pytest.approx(cost.energy_pj, rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@by_case
def test_bounds_among_mappings_that_are_fast_enough(case, share):
    architecture, einsum = CASES[case]
    relaxation, lattice = Relaxation(architecture, einsum), Lattice(architecture, einsum)
    for keep, energy, cycles in every_cost(case):
        if not len(cycles):
            continue
        limit = (cycles.min() * (1 - share) + cycles.max() * share) * (1 + 1e-12)
        least = energy[cycles <= limit].min()
        limited = Relaxation(architecture, einsum, most_cycles=limit)
        root = Mapspace(architecture, einsum).root(keep)
        bound = bound_region(limited, root, 1, 0, 0.0).value
        assert bound <= least * (1 + 1e-9)
        assert bound >= bound_region(relaxation, root, 1, 0, 0.0).value * (1 - 1e-4)
        if lattice.applies:
            found = LatticeBound(lattice, keep, 1, 0, limit).solve(inf)
            assert found is not None and found[0] <= least * (1 + 1e-9)


def test_where_no_mapping_is_fast_enough_the_region_is_empty():
    architecture, einsum = CASES["gemm, array"]
    limited = Relaxation(architecture, einsum, most_cycles=einsum.macs / 4 - 1)
    assert bound_region(limited, Mapspace(architecture, einsum).whole, 1, 0, 0.0).value == inf


def test_cycles_are_whole_numbers_and_their_bounds_too():
    """7 x 7 x 5 operations on 2 x 2 units of which, of whole factors, one can be used."""
    rng = random.Random(5)
    for _ in range(8):
        einsum = gemm(*(rng.choice((2, 3, 5, 7, 30, 77)) for _ in range(3)))
        architecture = three_level(read_bandwidth=rng.choice((0.3, 0.7, 3.0)))
        _, certificate = LayerSearch(architecture, einsum, "latency", Limits(bounds=20)).run()
        assert certificate.lower_bound == int(certificate.lower_bound) <= certificate.value


def test_other_objectives_and_remainders_keep_their_mapping():
    architecture, einsum = CASES["gemm, array"]
    search = LayerSearch(architecture, einsum, "edp")
    answer = search.run()
    assert settle(search, *answer) == answer
    graph = WorkloadGraph("net", [(gemm(5, 3, 4), 1)])
    layer, = search_network(ROW, graph, objective="latency", constraints=IN_ARRAY).layers
    assert layer.cost.cycles == layer.certificate.value


def test_a_search_that_has_no_time_left_keeps_its_mapping():
    architecture, einsum = CASES["gemm, array"]
    search = LayerSearch(architecture, einsum, "latency", Limits(seconds=1e-9), constraints=NONE)
    answer = search.run()
    assert settle(search, *answer) == answer
