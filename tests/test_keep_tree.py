"""What levels keep, decided one by one: bounds while it is open, the tree that the search makes of it,
and its certificate."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest
from tilebound.bounds import whole
from tilebound.bounds.programs.bound import bound_region, energy_floor
from tilebound.errors import InfeasibleError
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.mapping.constraints import Constraints, LevelConstraints
from tilebound.mapping.validate import check_mapping
from tilebound.search import keeps
from tilebound.search.check import ProofError, rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.local import Explorer
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, Tensor, Term

from brute import least
from strategies import random_case
from test_search import conv, figures, gemm, same, three_level

POWERS = ((1, 0), (0, 1), (1, 1))


def loose(architecture):
    """The machine without a word about what its levels keep."""
    return replace(architecture, levels=tuple(
        replace(level, keep=frozenset(), bypass=frozenset()) for level in architecture.levels))


def decided(rng, choices, region, most=3):
    """A part of the region after some decisions at random."""
    for _ in range(rng.randint(0, most)):
        undecided = [(i, name) for i, names in enumerate(region.open) for name in sorted(names)]
        if undecided:
            region = rng.choice(choices.decide(region, rng.choice(undecided)))
    return region


def some_values(rng, space, keep, powers, most=2000):
    """The objective of some mappings that keep what `keep` says."""
    explorer, every = Explorer(space, *powers), space.enumerate(space.root(keep))
    if len(every) > most:
        every = every[np.random.default_rng(rng.randrange(10 ** 6)).choice(len(every), most, replace=False)]
    orders = list(product(*space.orders))
    return np.concatenate([explorer.values(keep, order, every)
                           for order in rng.sample(orders, min(3, len(orders)))])


@pytest.mark.parametrize("seed", range(60))
def test_bounds_lie_below_every_mapping_while_it_is_open_what_is_kept(seed):
    rng = random.Random(seed)
    architecture, einsum, _ = random_case(rng)
    space = Mapspace(loose(architecture), einsum)
    region = decided(rng, space.choices, space.whole)
    keeps = list(space.choices.completions(region))
    relaxation = space.relaxation()
    floor, _ = energy_floor(relaxation, region)
    for powers in POWERS:
        bound = bound_region(relaxation, region, *powers, floor).value
        for keep in rng.sample(keeps, min(len(keeps), 6)):
            if space.combinations(space.root(keep)) < 1e6:
                assert bound <= some_values(rng, space, keep, powers).min(initial=inf) * (1 + 1e-9)


@pytest.mark.parametrize("axes", [((Term("P", 2), Term("R")),), ((Term("P"), Term("R")), (Term("P"),))])
def test_a_box_around_what_is_asked_for_has_words_that_need_not_come(axes):
    """Of every second word of a row, and of the diagonal of a square, units ask for each; a tile is all."""
    einsum = Einsum("gaps", ("P", "R"), (16, 1), (
        Tensor("I", axes), Tensor("W", ((Term("R"),),)), Tensor("O", ((Term("P"),),), is_output=True)))
    architecture = Architecture("free", (
        Storage("DRAM", read_bandwidth=8.0, energy=same(9.0)), Storage("buffer", energy=same(1.0))),
        Compute("MAC", mesh_x=16, energy=figures(compute=1.0)))
    space = Mapspace(architecture, einsum)
    relaxation, every = space.relaxation(), least(architecture, einsum)
    for objective, powers in (("latency", (0, 1)), ("edp", (1, 1))):
        floor, _ = energy_floor(relaxation, space.whole)
        assert bound_region(relaxation, space.whole, *powers, floor).value <= every[objective] * (1 + 1e-9)


def pads(words=(200, 12, 8, 16), keep=frozenset(), **more):
    """Five levels, the inner three in every processing element."""
    return Architecture("pads", (
        Storage("DRAM", energy=same(100.0), **more), Storage("GLB", size_words=words[0], energy=same(6.0)),
        *(Storage(name, 2, 2, size_words=n, energy=same(price), keep=keep)
          for name, n, price in zip(("A", "B", "C"), words[1:], (0.7, 0.5, 1.0), strict=True))),
        Compute("MAC", 2, 2, energy=figures(compute=1.0)))


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_the_tree_finds_what_brute_force_finds(monkeypatch, at_once, objective):
    monkeypatch.setattr(keeps, "ALL_AT_ONCE", at_once)
    machine, einsum = three_level(40, 4), gemm(4, 3, 4)
    truth = least(machine, einsum)[objective]
    mapping, certificate = LayerSearch(machine, einsum, objective).run()
    assert certificate.lower_bound <= truth * (1 + 1e-9) <= certificate.value * (1 + 2e-9)
    assert certificate.status == "optimal" and not check_mapping(machine, einsum, mapping)
    dual = json.loads(json.dumps(certificate.dual))
    relaxed, proven = rederive(machine, einsum, objective, certificate.value, dual)
    assert relaxed == pytest.approx(certificate.relaxed_bound, rel=1e-9)
    assert proven >= certificate.lower_bound * (1 - 1e-9)


def test_twelve_decisions_and_more_are_searched():
    einsum = conv(4, 4, 6, 3)
    space = Mapspace(pads(), einsum)
    assert space.choices.count == 2 ** 12
    mapping, certificate = LayerSearch(pads(), einsum, "edp", Limits(gap=0.3)).run()
    assert not check_mapping(pads(), einsum, mapping)
    assert 0 < certificate.lower_bound <= certificate.value
    assert certificate.bound_solves < 2 ** 11
    _, proven = rederive(pads(), einsum, "edp", certificate.value, certificate.dual)
    assert proven >= certificate.lower_bound * (1 - 1e-9)


def test_a_search_that_is_stopped_at_once_has_a_bound():
    _, certificate = LayerSearch(pads(), conv(4, 4, 6, 3), "edp", Limits(stopped=lambda: True)).run()
    assert certificate.status == "time_limit" and certificate.classes == 1
    assert certificate.lower_bound > 0.01 * certificate.value
    _, proven = rederive(pads(), conv(4, 4, 6, 3), "edp", certificate.value, certificate.dual)
    assert proven == pytest.approx(certificate.lower_bound, rel=1e-9)


def test_no_part_of_the_tree_can_be_left_out(monkeypatch):
    monkeypatch.setattr(whole, "_MOST_WAYS", 0)         # as where there are too many to look at all at once
    machine, einsum = pads((40, 3, 4, 5)), gemm(4, 4, 2)
    _, certificate = LayerSearch(machine, einsum, "energy", Limits(bounds=20)).run()
    assert certificate.dual["decision"] == [2, "Z"]     # the smallest level, the largest tensor

    def forged(change):
        dual = copy.deepcopy(json.loads(json.dumps(certificate.dual)))
        change(dual)
        return rederive(machine, einsum, "energy", certificate.value, dual)

    for change in (lambda d: d["parts"].pop(), lambda d: d.pop("decision"),
                   lambda d: d.update(decision=[0, "A"]), lambda d: d.update(decision=[1, "X"]),
                   lambda d: next(p for p in d["parts"] if "parts" in p).update(decision=[2, "Z"])):
        with pytest.raises(ProofError):
            forged(change)
    # A region in which what is kept is open counts neither as enumerated nor as bounded by a lattice.
    for method in ("enumerated", "lattice"):
        with pytest.raises(ProofError):
            forged(lambda d, method=method: d.update(method=method))


@pytest.mark.parametrize("seed", range(20))
def test_parts_hold_every_choice_once(seed):
    rng = random.Random(seed)
    machine = pads(bypass=frozenset("A")) if seed % 2 else pads(keep=frozenset("Z"))
    rules = Constraints((LevelConstraints("GLB", keep=frozenset("B") if seed % 3 else frozenset()),))
    space = Mapspace(machine, gemm(4, 4, 2), rules)
    region = decided(rng, space.choices, space.whole, 6)
    every = list(space.choices.completions(region))
    assert len(set(every)) == len(every) > 0
    for keep in every:
        assert frozenset().union(*keep) == frozenset("ABZ")
        assert all(sure <= names <= sure | maybe for sure, names, maybe in zip(
            region.keep, keep, region.open or (frozenset(),) * 5, strict=True))
    for decision in [(i, name) for i, names in enumerate(region.open) for name in names]:
        parts = space.choices.decide(region, decision)
        held = [keep for part in parts for keep in space.choices.completions(part)]
        assert set(held) == set(every) and len(held) == len(every)


def test_where_the_smallest_choice_does_not_fit_nothing_does():
    machine = pads((200, 0, 0, 0), keep=frozenset("A"))
    with pytest.raises(InfeasibleError, match="A"):
        LayerSearch(machine, gemm(4, 4, 2), "edp").run()
