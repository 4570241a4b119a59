"""Searches of random small problems against every mapping, listed in plain loops and evaluated one by one.

Nothing of the search's own enumeration is used: factors by recursion over slots, loop orders by permutations,
kept tensors by subsets, validity by `check_mapping`, costs by `evaluate`. A few problems of every kind run by
default; `pytest -m slow tests/test_exhaustive.py` takes 210.
"""

from __future__ import annotations

from itertools import permutations, product
from math import prod
from random import Random

import pytest
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.search.check import rederive
from tilebound.search.front import FrontSearch
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.objectives import OBJECTIVES, objective_value, stages
from tilebound.search.stages import second_stage
from tilebound.workload.einsum import Einsum, Tensor, Term

from sparse_strategies import sparse, with_zeros
from strategies import axes

KINDS = ("dense", "bypass", "two meshes", "bandwidth", "sparse")
MOST = {"sparse": 700}       # mappings of one problem; others have at most
MANY = 2500
SLOW = 42                    # problems of every kind
ASKED = (*OBJECTIVES, "latency,energy", "energy,latency", "edp,energy")


# ---- every mapping ------------------------------------------------------------------------------


def divisors(n):
    return [d for d in range(1, n + 1) if n % d == 0]


def splits(extent, slots):
    """Every way to write an extent as a product, one factor a slot."""
    if slots == 1:
        return [(extent,)]
    return [(d, *rest) for d in divisors(extent) for rest in splits(extent // d, slots - 1)]


def every_keep(architecture, einsum):
    """Every choice of the tensors that each level keeps."""
    names = [t.name for t in einsum.tensors]

    def choices(i, level):
        free = [n for n in names if i > 0 and n not in level.keep | level.bypass]
        sure = frozenset(n for n in names if n in level.keep or (i == 0 and n not in level.bypass))
        for chosen in product((False, True), repeat=len(free)):
            yield sure | {n for n, yes in zip(free, chosen, strict=True) if yes}

    for keep in product(*(list(choices(i, x)) for i, x in enumerate(architecture.levels))):
        if all(any(n in kept for kept in keep) for n in names):
            yield keep


def every_mapping(architecture, einsum):
    """Every mapping with whole factors, without loops of one iteration: orders of a level that differ in
    such loops alone are one. Meshes are rows here, along which the loops stand in the order of the ranks."""
    levels = architecture.levels
    slots = [(i, kind) for i in range(len(levels)) for kind in ("x", "temporal")
             if kind == "temporal" or architecture.fanout(i)[0] > 1]
    for ways in product(*(splits(extent, len(slots)) for extent in einsum.extents)):
        bounds = {slot: [(r, w[k]) for r, w in zip(einsum.ranks, ways, strict=True) if w[k] > 1]
                  for k, slot in enumerate(slots)}
        if any(prod(n for _, n in bounds.get((i, "x"), ())) > architecture.fanout(i)[0]
               for i in range(len(levels))):
            continue
        orders = [permutations(bounds[i, "temporal"]) for i in range(len(levels))]
        for order in product(*map(list, orders)):
            for keep in every_keep(architecture, einsum):
                yield Mapping(tuple(
                    Block(level.name, kept, tuple(Loop(*x) for x in loops),
                          tuple(Loop(*x) for x in bounds.get((i, "x"), ())))
                    for i, (level, kept, loops) in enumerate(zip(levels, keep, order, strict=True))))


def count(architecture, einsum):
    """About the mappings there are, before they are listed."""
    depth = len(architecture.levels)
    slots = depth + sum(architecture.fanout(i)[0] > 1 for i in range(depth))
    keeps = sum(1 for _ in every_keep(architecture, einsum))
    return keeps * prod(len(splits(n, slots)) for n in einsum.extents)


# ---- random problems ----------------------------------------------------------------------------


def figures(rng, *actions):
    return {action: Figure(float(rng.choice((1, 2, 3, 5, 17, 90))), "drawn at random") for action in actions}


def a_layer(rng):
    a, b, c = (rng.choice((1, 2, 2, 3, 4)) for _ in range(3))
    if rng.random() < 0.5:
        return Einsum("gemm", ("M", "N", "K"), (a, b, c), (
            Tensor("A", axes("M", "K")), Tensor("B", axes("K", "N")),
            Tensor("Z", axes("M", "N"), is_output=True)))
    stride = rng.choice((1, 1, 2))
    return Einsum("conv", ("K", "P", "R"), (a, b, c), (
        Tensor("W", axes("K", "R")), Tensor("I", axes((Term("P", stride), Term("R")))),
        Tensor("O", axes("K", "P"), is_output=True)))


def a_machine(rng, kind, einsum):
    names = [t.name for t in einsum.tensors]
    depth = 3 if kind == "two meshes" else rng.choice((2, 2, 3))
    meshes = sorted(rng.sample(range(1, depth + 1), 2)) if kind == "two meshes" else [rng.randint(1, depth)]
    wide = {i: rng.choice((2, 3, 4)) for i in meshes}       # instances of level i (or units) to one outside
    levels, instances = [], 1
    for i in range(depth):
        instances *= wide.get(i, 1)
        free = [] if i == 0 else rng.sample(names, min(3, 1 + (depth == 2))) if kind == "bypass" else []
        kept = frozenset(n for n in names if n not in free)
        limits = {f"{x}_bandwidth": rng.choice((0.25, 0.5, 1.0, None)) for x in ("read", "write")} \
            if kind == "bandwidth" else {}
        size = None if i == 0 else rng.choice((3, 5, 8, 12, 20, 40))
        levels.append(Storage(f"L{i}", instances, 1, size_words=size, keep=kept,
                              energy=figures(rng, "read", "fill", "update"), **limits))
    instances *= wide.get(depth, 1)
    units = Compute("MAC", instances, 1, energy=figures(rng, "compute"))
    machine = Architecture("machine", tuple(levels), units)
    return sparse(rng, machine, einsum) if kind == "sparse" else machine


def a_problem(kind, seed):
    rng = Random(f"{kind} {seed}")
    while True:
        einsum = a_layer(rng)
        if kind == "sparse":
            einsum = with_zeros(rng, einsum)
        architecture = a_machine(rng, kind, einsum)
        if 60 <= count(architecture, einsum) <= MOST.get(kind, MANY):
            fitting = [m for m in every_mapping(architecture, einsum)
                       if not check_mapping(architecture, einsum, m)]
            if len(fitting) > 1:
                return rng, architecture, einsum, fitting


# ---- the comparison -----------------------------------------------------------------------------


def agrees(kind, seed):
    rng, architecture, einsum, fitting = a_problem(kind, seed)
    costs = [evaluate(architecture, einsum, m) for m in fitting]
    asked = rng.choice(ASKED)
    first, *later = stages(asked)
    search = LayerSearch(architecture, einsum, first)
    mapping, certificate = second_stage(search, *search.run(), asked, Limits())
    assert not check_mapping(architecture, einsum, mapping)
    found = evaluate(architecture, einsum, mapping)
    same = 1e-12 if kind == "sparse" else 0.0      # figures of dense mappings are whole numbers
    among = costs
    for name, proof in zip((first, *later), (certificate, certificate.then), strict=False):
        values = [objective_value(name, x.energy_pj, x.cycles) for x in among]
        least = min(values)
        value = objective_value(name, found.energy_pj, found.cycles)
        assert value == pytest.approx(least, rel=same, abs=0.0), (asked, name)
        assert proof.lower_bound <= least * (1 + 1e-12)
        among = [x for x, v in zip(among, values, strict=True) if v <= least * (1 + 1e-12)]
        _, again = rederive(architecture, einsum, name, proof.value, dict(proof.dual), among=proof.among)
        assert again >= proof.lower_bound * (1 - 1e-9)
    return certificate.status, len(costs), len({(x.energy_pj, x.cycles) for x in costs})


def front_agrees(kind, seed):
    _, architecture, einsum, fitting = a_problem(kind, seed)
    costs = [evaluate(architecture, einsum, m) for m in fitting]
    front = FrontSearch(architecture, einsum, 20, Limits()).run()
    for point in front.points:
        found = evaluate(architecture, einsum, point.mapping)
        assert (found.energy_pj, found.cycles) == (point.energy_pj, point.cycles)
        least = min(x.energy_pj for x in costs if x.cycles <= point.cap)
        proof = point.certificate
        assert proof.lower_bound <= least * (1 + 1e-12)
        _, again = rederive(architecture, einsum, "energy", proof.value, dict(proof.dual), among=proof.among)
        assert again >= proof.lower_bound * (1 - 1e-9)
    more = 1 + front.tolerance + 1e-12
    assert all(any(p.cycles <= x.cycles * more and p.energy_pj <= x.energy_pj * more for p in front.points)
               for x in costs)
    return front.tolerance


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_random_problems_agree_with_all_their_mappings(kind):
    for seed in range(2):
        agrees(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", KINDS)
def test_fronts_of_random_problems_are_as_good_as_all_their_mappings(kind, seed):
    front_agrees(kind, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SLOW))
@pytest.mark.parametrize("kind", KINDS)
def test_random_problems_agree_with_all_their_mappings(kind, seed):
    agrees(kind, seed)
