"""The search under constraints: against brute force over what an independent check lets through."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from itertools import islice
from math import inf

import numpy as np
import pytest
from tilebound.errors import InfeasibleError
from tilebound.mapping.constraints import (
    Constraints,
    FactorRange,
    LevelConstraints,
    LoopRules,
    violations,
)
from tilebound.mapping.rules import Rules
from tilebound.mapping.template import Template
from tilebound.mapping.validate import check_mapping
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace

from brute import every_mapping
from test_search import conv, gemm, three_level, two_level


def loops(inner=(), outer=(), split=None, default=None, **factors):
    """Loop rules from ranges given as a number, (least, most) or "rest"."""
    ranges = {rank: FactorRange(rest=True) if f == "rest" else
              FactorRange(*(f if isinstance(f, tuple) else (f, f))) for rank, f in factors.items()}
    default = FactorRange(*(default or (1, None)))
    return LoopRules(tuple(ranges.items()), default, tuple(inner), tuple(outer), split)


def level(name, keep="", bypass="", temporal=None, spatial=None):
    return LevelConstraints(name, frozenset(keep), frozenset(bypass), temporal or LoopRules(),
                            spatial or LoopRules())


def by_brute_force(architecture, einsum, constraints, objectives):
    """The least of each objective over all mappings without violations: every keep/bypass choice,
    loop order and factorisation of the machine is built, and looked at where it would be the best."""
    top = architecture.levels[0]
    top = replace(top, bypass=constraints.level(top.name).bypass)     # kept there unless it is asked for
    machine = replace(architecture, levels=(top, *architecture.levels[1:]))
    best = dict.fromkeys(objectives, inf)
    for template, factors, cost in every_mapping(machine, einsum):

        @cache
        def good(i, template=template, factors=factors):
            return not violations(constraints, architecture, einsum, template.mapping(einsum, factors[i]))

        for objective in objectives:
            energy_power, cycles_power = OBJECTIVES[objective]
            values = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
            better = np.flatnonzero(cost.valid & (values < best[objective]))
            found = (i for i in better[np.argsort(values[better])] if good(i))
            best[objective] = min([best[objective], *(float(values[i]) for i in islice(found, 1))])
    return best


def agrees_with_brute_force(architecture, einsum, constraints, objectives=tuple(OBJECTIVES)):
    truth = by_brute_force(architecture, einsum, constraints, objectives)
    for objective in objectives:
        search = LayerSearch(architecture, einsum, objective, constraints=constraints)
        if truth[objective] == inf:
            with pytest.raises(InfeasibleError):
                search.run()
            continue
        mapping, certificate = search.run()
        assert not check_mapping(architecture, einsum, mapping)
        assert not violations(constraints, architecture, einsum, mapping)
        assert certificate.lower_bound <= truth[objective] * (1 + 1e-9)
        assert certificate.value >= truth[objective] * (1 - 1e-9)
        if certificate.status == "optimal":
            assert certificate.value == pytest.approx(truth[objective], rel=1e-9)
        dual = json.loads(json.dumps(certificate.dual))
        relaxed, proven = rederive(architecture, einsum, objective, certificate.value, dual, constraints)
        assert relaxed == pytest.approx(certificate.relaxed_bound, rel=1e-9)
        assert proven >= certificate.lower_bound * (1 - 1e-9)
        yield certificate.status


def machine(**more):
    """Three levels that keep everything, over an array of 2 x 2."""
    free = three_level(middle=16, inner=5, **more)
    return replace(free, levels=tuple(replace(x, keep=frozenset("ABZ")) for x in free.levels))


MACHINE = machine()
SMALL = gemm(4, 3, 2)

FORMS = {
    "fixed factors inside": Constraints((level("RF", temporal=loops(M=2, K=1)),)),
    "fixed factors outside": Constraints((level("DRAM", temporal=loops(N=3, K=1)),)),
    "fixed factors in the middle": Constraints((level("GLB", temporal=loops(N=1, K=2)),)),
    "fixed spatial factors": Constraints((level("GLB", spatial=loops(M=2, N=1, K=1)),)),
    "at most": Constraints((level("GLB", temporal=loops(N=(1, 2), K=(1, 2))),)),
    "at least": Constraints((level("GLB", temporal=loops(M=(2, None), N=(2, None))),)),
    "the rest": Constraints((level("GLB", temporal=loops(M="rest"), spatial=loops(M=2, K=1, N=1)),)),
    "a default": Constraints((level("GLB", temporal=loops(default=(1, 2), N=(1, None))),)),
    "a factor above the extent": Constraints((level("GLB", temporal=loops(K=9)),)),
    "inner order": Constraints((level("DRAM", temporal=loops(inner="K")),
                              level("GLB", temporal=loops(inner="NM")))),
    "outer order": Constraints((level("DRAM", temporal=loops(outer="NK")),
                              level("GLB", temporal=loops(outer="M")))),
    "whole order": Constraints((level("DRAM", temporal=loops(inner="MNK")),
                              level("GLB", temporal=loops(inner="KNM")))),
    "a split": Constraints((level("GLB", spatial=loops(inner="MNK", split=1)),)),
    "all along x": Constraints((level("GLB", spatial=loops(split=999)),)),
    "an order on the array": Constraints((level("GLB", spatial=loops(inner="KN")),)),
    "half of the array": Constraints(min_utilization=0.5),
    "all of the array, without N": Constraints((level("GLB", spatial=loops(N=1)),), min_utilization=1.0),
    "more than the array has": Constraints((level("GLB", spatial=loops(N=3)),)),
}


@pytest.mark.parametrize("constraints", FORMS.values(), ids=FORMS)
def test_every_form_of_constraint_agrees_with_brute_force(constraints):
    statuses = list(agrees_with_brute_force(MACHINE, SMALL, constraints, ("energy", "edp")))
    assert statuses in (["optimal", "optimal"], [])       # nothing at all where nothing fits


@pytest.mark.parametrize(("k", "constraints"), [
    (2, Constraints((level("GLB", keep="A", bypass="B"), level("RF", keep="B", bypass="Z")))),
    (2, Constraints((level("DRAM", bypass="A"), level("GLB", keep="A"), level("RF", bypass="BZ")))),
    (1, Constraints((level("GLB", keep="A", bypass="A"),)))])
def test_keeping_and_bypassing_agree_with_brute_force(k, constraints):
    architecture = three_level(middle=9, inner=5, x=1, y=1)
    list(agrees_with_brute_force(architecture, gemm(2, k, k), constraints, ("energy",)))


@pytest.mark.parametrize("seed", range(12))
def test_random_constraints_agree_with_brute_force(seed):
    rng = random.Random(seed)
    einsum = gemm(*(rng.choice((2, 3, 4)) for _ in range(3)))
    architecture = rng.choice((two_level(30, keep=frozenset("ABZ")), MACHINE))
    names = [x.name for x in architecture.levels]

    def rules():
        factors = {rank: rng.choice((1, 2, 3, (1, 2), (2, None), (2, 3))) for rank in einsum.ranks
                   if rng.random() < 0.2}
        order = rng.sample(einsum.ranks, rng.choice((0, 0, 1, 2, 3)))
        cut = rng.randint(0, len(order))
        return loops(order[:cut], order[cut:], rng.choice((None, None, 0, 1, 2)), **factors)

    constraints = Constraints(tuple(
        LevelConstraints(name, temporal=rules(), spatial=rules() if rng.random() < 0.4 else LoopRules(),
                         keep=frozenset("A" if rng.random() < 0.2 else ""))
        for name in names if rng.random() < 0.7), rng.choice((0.0, 0.0, 0.5)))
    list(agrees_with_brute_force(architecture, einsum, constraints, ("edp",)))


@pytest.mark.parametrize("constraints", [
    Constraints((level("DRAM", temporal=loops(inner="RP")),)),
    Constraints((level("DRAM", temporal=loops(inner="K", R=1)), level("RF", keep="I")))])
def test_windows_under_constraints_agree_with_brute_force(constraints):
    architecture = two_level(24, keep=frozenset("WO"))
    list(agrees_with_brute_force(architecture, conv(2, 2, 4, 3), constraints, ("energy",)))


@pytest.mark.parametrize("constraints, reason", [
    (Constraints((level("GLB", temporal=loops(M=3)),)),
     "rank M: no whole factors of 4 meet the constraints (GLB temporal 3) and the array shapes"),
    (Constraints((level("GLB", spatial=loops(M=2, N=3)),)), "rank N: no whole factors of 3"),
    (Constraints((level("RF", temporal=loops(M=4, N=3)),)), "RF: the smallest tiles need 19 words"),
    (Constraints((level("GLB", spatial=loops(M=1, N=1)),), 0.75),
     "at most 2 of 4 compute units can be at work, must be 0.75 of them or more"),
    (Constraints((level("GLB", keep="A", bypass="A"),)), "GLB: tensor A must be kept and bypassed"),
    (Constraints((level("GLB", spatial=loops(M=2, K=2, split=2, inner="MKN")),)),
     "GLB: at least 4 instances are unrolled along X, has 2")])
def test_what_rules_all_out_is_named(constraints, reason):
    with pytest.raises(InfeasibleError) as raised:
        LayerSearch(MACHINE, SMALL, "edp", constraints=constraints).run()
    assert reason in str(raised.value)


@pytest.mark.parametrize("seed", range(30))
def test_rules_on_arrays_let_through_what_the_check_on_mappings_lets_through(seed):
    rng = random.Random(seed)
    einsum = gemm(4, 6, 2)
    order = rng.sample(einsum.ranks, rng.randint(0, 3))
    cut = rng.randint(0, len(order))
    spatial = loops(order[:cut], order[cut:], rng.choice((None, 0, 1, 2, 3)), **{
        rng.choice(einsum.ranks): rng.choice((1, 2, (1, 2), (2, None), "rest"))})
    temporal = loops(**{rng.choice(einsum.ranks): rng.choice((1, 2, (1, 2), (2, None), "rest"))})
    constraints = Constraints((level("GLB", temporal=temporal, spatial=spatial),), rng.choice((0.0, 0.5)))
    space = Mapspace(MACHINE, einsum)
    factors = space.enumerate(space.root(space.keeps[0]))
    factors = factors[space.allowed(factors)]
    template = Template(("DRAM", "GLB", "RF"), space.keeps[0], (einsum.ranks,) * 3)
    expected = [not violations(constraints, MACHINE, einsum, template.mapping(einsum, f)) for f in factors]
    assert Rules(MACHINE, einsum, constraints).allowed(factors).tolist() == expected
    constrained = Mapspace(MACHINE, einsum, constraints)
    own = constrained.enumerate(constrained.root(space.keeps[0]))
    assert len(own[constrained.allowed(own)]) == sum(expected)
