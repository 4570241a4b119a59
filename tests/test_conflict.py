"""What is said where nothing fits: the smallest conflict, the nearest figures that fit, and their places."""

from __future__ import annotations

import json
import pickle
import random
from dataclasses import replace
from itertools import combinations
from math import inf
from pathlib import Path

import numpy as np
import pytest
import tilebound
import tilebound.api
import tilebound.loading
from tilebound.bounds.divisors import (
    factorizations,
    factorizations_within,
    splits_there_are,
    splits_within,
)
from tilebound.cli import run
from tilebound.errors import InfeasibleError
from tilebound.mapping.constraints import Constraints, LoopRules
from tilebound.search.conflict import relief
from tilebound.search.conflict.clashes import describe
from tilebound.search.conflict.conflict import Undecided, hitting_set, smallest_conflict
from tilebound.search.conflict.demands import Case, Demand, demands
from tilebound.search.conflict.relief import find_conflict
from tilebound.search.feasible import some_fit
from tilebound.search.imperfect import layer_search
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.search.space import Mapspace
from tilebound.search.uneven.uneven import UnevenSearch
from tilebound.workload.einsum import footprint
from tilebound.workload.graph import WorkloadGraph

from test_constraints_search import MACHINE, SMALL, level, loops
from test_search import conv, gemm, three_level


def fits_by_brute_force(case: Case, einsum) -> bool:
    """Whether some mapping fits: every keep choice and factorisation of the machine is looked at."""
    space = Mapspace(case.architecture, einsum, case.constraints)
    if not space.choices.count or not all(map(len, space.ways.values())):
        return False
    factors = space.enumerate(space.root(space.keeps[0]))
    factors = factors[space.allowed(factors)]
    for keep in space.keeps:
        good = np.ones(len(factors), dtype=bool)
        for i, storage in enumerate(case.architecture.levels):
            for axis, width in zip((2, 1), case.architecture.fanout(i), strict=True):
                good &= factors[:, 3 * i + axis].prod(axis=1) <= width
            if storage.capacity_words is not None:
                extents = dict(zip(einsum.ranks, factors[:, 3 * i:].prod(axis=1).T, strict=True))
                words = sum(footprint(t, extents) for t in einsum.tensors if t.name in keep[i])
                good &= np.asarray(words <= storage.capacity_words)
        if good.any():
            return True
    return False


def drawn(seed: int) -> Case:
    """A tight machine under many constraints."""
    rng = random.Random(seed)

    def rules(spatial: bool):
        factors = {rank: rng.choice((1, 2, 3, (2, None), (1, 2), "rest"))
                   for rank in "MNK" if rng.random() < 0.3}
        order = rng.sample("MNK", 2) if spatial and rng.random() < 0.4 else []
        return loops(order, (), rng.choice((None, 1)) if order else None, **factors)

    kept = frozenset(rng.choice(("", "AZ")))
    asked = tuple(level(name, keep="A" if not kept and rng.random() < 0.3 else "",
                        bypass="B" if rng.random() < 0.2 else "", temporal=rules(False),
                        spatial=rules(True) if name == "GLB" else None)
                  for name in ("DRAM", "GLB", "RF") if rng.random() < 0.8)
    machine = three_level(middle=rng.choice((2, 3, 8)), keep=kept)
    return Case(machine, Constraints(asked, rng.choice((0.0, 0.0, 0.5, 1.0))))


def test_whether_something_fits_agrees_with_brute_force():
    einsum, seen = gemm(4, 6, 2), set()
    for seed in range(60):
        case = drawn(seed)
        found, certain = some_fit(Mapspace(case.architecture, einsum, case.constraints))
        assert certain
        assert (found is not None) == fits_by_brute_force(case, einsum)
        seen.add(found is not None)
    assert seen == {True, False}


def without(case: Case, einsum, dropped) -> Case:
    for demand in dropped:
        case = demand.lifted(case, einsum)
    return case


def fits(case: Case, einsum) -> bool:
    return some_fit(Mapspace(case.architecture, einsum, case.constraints))[0] is not None


def test_conflicts_are_the_smallest_there_are_and_needs_the_least():
    einsum, sizes, needs = gemm(4, 6, 2), set(), 0
    for seed in range(10):
        case = drawn(seed)
        conflict = find_conflict(einsum, case, "energy")
        if fits_by_brute_force(case, einsum):
            assert conflict is None
            continue
        every = demands(case, einsum)
        assert conflict is not None and conflict.minimal and conflict.smallest
        texts = {x.text for x in conflict.clashes}
        chosen = [d for d in every if d.text(case) in texts]
        assert len(chosen) == len(conflict.clashes)
        sizes.add(len(chosen))
        assert not fits_by_brute_force(without(case, einsum, set(every) - set(chosen)), einsum)
        smaller = combinations(every, len(chosen) - 1) if len(chosen) <= 3 else combinations(
            chosen, len(chosen) - 1)
        for fewer in smaller:
            assert fits(without(case, einsum, [d for d in every if d not in fewer]), einsum)
        for clash, change in zip(conflict.clashes, conflict.reliefs, strict=False):
            if clash.kind == "capacity" and change.fits:
                needs += 1
                assert clash.exact and clash.need > clash.have
                for words in (clash.need, clash.need - 1):
                    tried = case.with_level(clash.level, size_words=int(words), multiple_buffering=1.0)
                    assert fits_by_brute_force(tried, einsum) == (words == clash.need)
    assert len(sizes) > 2 and needs


@pytest.mark.parametrize("constraints, kind, have, need", [
    (Constraints((level("GLB", temporal=loops(M=3)),)), "factor", 3, 4),
    (Constraints((level("GLB", spatial=loops(M=1, N=1)),), 0.75), "workers", 3, 2),
    (Constraints((level("GLB", spatial=loops(M=2, K=2, split=2, inner="MKN")),)), "array", 2, 4)])
def test_other_figures_are_named_too(constraints, kind, have, need):
    conflict = find_conflict(SMALL, Case(MACHINE, constraints), "edp")
    clash = next(x for x in conflict.clashes if x.kind == kind)
    assert (clash.have, clash.need, clash.exact) == (have, need, True)


def test_ranks_that_an_array_does_not_unroll_are_named():
    dram, glb, *rest = MACHINE.levels
    for only, text in ((("N",), "GLB unrolls N along X, nothing else"),
                       ((), "GLB unrolls no rank along X, nothing else")):
        machine = replace(MACHINE, levels=(dram, replace(glb, spatial_x=only, spatial_y=()), *rest))
        asked = Constraints((level("GLB", spatial=loops(M=2)),))
        conflict = find_conflict(SMALL, Case(machine, asked), "edp")
        assert text in [x.text for x in conflict.clashes] and conflict.smallest


def test_reliefs_state_what_a_search_of_the_changed_problem_finds():
    machine = three_level(middle=2, keep=frozenset("ABZ"))
    graph = WorkloadGraph("net", [(gemm(4, 4, 4), 1)])
    with pytest.raises(InfeasibleError, match=r"GLB holds 2 words, needs 3 \(A 1, B 1, Z 1\)") as raised:
        search_network(machine, graph, objective="energy")
    conflict = raised.value.conflict
    assert pickle.loads(pickle.dumps(raised.value)).conflict == conflict
    assert [x.kind for x in conflict.clashes] == ["capacity", "keep", "keep", "keep"]
    wider = three_level(middle=3, keep=frozenset("ABZ"))
    found = search_network(wider, graph, objective="energy").layers[0].certificate
    assert conflict.reliefs[0].lower_bound <= found.value <= conflict.reliefs[0].value
    assert conflict.reliefs[0].value == pytest.approx(found.value, rel=0.05)


def test_independent_conflicts_are_named_too():
    constraints = Constraints((level("GLB", keep="A", bypass="A", temporal=loops(M=3)),))
    conflict = find_conflict(SMALL, Case(MACHINE, constraints), "edp")
    assert [x.text for x in conflict.clashes] == ["GLB temporal factor of M is 3"] and conflict.smallest
    assert [[x.text for x in other] for other in conflict.others] == [
        ["GLB must keep A", "GLB must bypass A"]]
    assert [x.fits for x in conflict.reliefs] == [False]
    assert "and so do these:" in describe(conflict)


def test_hitting_sets_are_the_smallest():
    rng = random.Random(4)
    for _ in range(200):
        sets = [frozenset(rng.sample(range(7), rng.randint(1, 4))) for _ in range(rng.randint(0, 7))]
        found = hitting_set(sets)
        assert all(found & s for s in sets)
        assert not any(all(set(c) & s for s in sets)
                       for size in range(len(found)) for c in combinations(range(7), size))


def test_splits_within_limits_are_those_of_all_splits():
    rng = random.Random(5)
    for _ in range(60):
        n, slots = rng.choice((1, 12, 36, 97, 120)), rng.randint(1, 4)
        limits = [(rng.choice((1, 1, 2)), rng.choice((n, 4, 12))) for _ in range(slots)]
        every = factorizations(n, slots)
        least, most = np.array(limits).T
        wanted = every[((every >= least) & (every <= most)).all(axis=1)]
        assert np.array_equal(factorizations_within(n, limits), wanted)
        assert splits_within(n, limits) == len(wanted) and splits_there_are(n, slots) == len(every)


def test_what_took_too_long_is_not_claimed():
    left = iter(range(5))

    def met(kept: frozenset[int]) -> bool:
        if next(left, None) is None:
            raise Undecided
        return len(kept) < 4

    assert smallest_conflict(frozenset(range(6)), met) == (frozenset(range(6)), False, False)


@pytest.mark.parametrize("arrays", [1, 2])
def test_uneven_mappings_have_a_conflict_exactly_where_none_fits(arrays, monkeypatch):
    monkeypatch.setattr(relief, "_MOST_RELIEFS", 0)
    einsum, seen = gemm(4, 6, 2), set()
    for seed in range(12):
        case = drawn(seed)
        asked = tuple(replace(x, temporal=LoopRules()) for x in case.constraints.levels)
        case = replace(case, constraints=replace(case.constraints, levels=asked, uneven=True))
        if arrays == 2:
            case = case.with_fanout("RF", "x", 2)
        conflict = find_conflict(einsum, case, "energy")
        seen.add(conflict is None)
        search = UnevenSearch(case.architecture, einsum, "energy", Limits(seconds=0.3),
                              constraints=case.constraints)
        if conflict is None:
            assert search.run()[1].value < inf
        else:
            assert conflict.minimal and conflict.smallest
            with pytest.raises(InfeasibleError):
                search.run()
    assert seen == {True, False}


def test_more_freedom_gives_no_worse_reliefs_and_figures_are_finite():
    machine = three_level(60, 6, 3, 1, keep=frozenset("WIO"))
    asked = Constraints((level("RF", keep="WI", temporal=loops(R=3, P=5)),))
    whole = find_conflict(conv(2, 1, 5, 3), Case(machine, asked), "edp")
    free = find_conflict(conv(2, 1, 5, 3), Case(machine, replace(asked, imperfect=True)), "edp")
    values = {x.change: x.value for x in whole.reliefs}
    shared = [x for x in free.reliefs if x.change in values]
    assert shared and all(x.value <= values[x.change] for x in shared)
    assert all(x.lower_bound <= x.value < inf for x in free.reliefs)


def test_a_search_that_has_no_time_still_costs_its_first_mapping():
    asked = Constraints((level("RF", temporal=loops(P=2)),), imperfect=True)     # no whole factor of 5
    search = layer_search(three_level(60, 30, 3, 1, keep=frozenset("WIO")), conv(1, 1, 5, 2), "edp",
                          Limits(seconds=0.0), constraints=asked)
    mapping, certificate = search.run()
    assert mapping and certificate.value < inf


def test_several_arrays_may_have_tensors_that_the_outermost_level_bypasses():
    einsum, case = gemm(4, 6, 2), Case(three_level(), Constraints((level("DRAM", bypass="B"),)))
    case = case.with_fanout("RF", "x", 2)
    certificate = layer_search(case.architecture, einsum, "energy", Limits(),
                               constraints=case.constraints).run()[1]
    assert certificate.lower_bound <= certificate.value < inf


SPEC = """
architecture:
  name: tiny
  levels:
    - {name: DRAM, energy: 100}
    - {name: psum, size: 16 words, energy: 1}
  compute: {name: mac, energy: 1}
workload:
  name: net
  layers:
    - name: conv1
      ranks: {M: 24, K: 4}
      tensors: {W: "M, K", I: K, O: {projection: M, output: true}}
constraints:
  levels:
    - level: psum
      keep: [O]
      temporal:
        factors: {M: 24}
"""


def test_the_command_names_what_conflicts_with_its_place(tmp_path: Path, capsys):
    path = tmp_path / "conv1.yaml"
    path.write_text(SPEC)
    assert run(["map", str(path), "--json"]) == 3
    out, err = capsys.readouterr()
    assert "error: layer conv1: no valid mapping; these 3 conflict, any 2 of them can be met:" in err
    assert "conv1.yaml:6:7: psum holds 16 words, needs 24 (O 24)" in err
    assert "J·cycle, which is the least" in err
    line = 1 + SPEC.splitlines().index("        factors: {M: 24}")
    assert f"conv1.yaml:{line}:22: psum temporal factor of M is 24, could be 12" in err
    document = json.loads(out)
    assert document["schema"] == "tilebound.conflict/1" and document["conflict"]["layer"] == "conv1"
    clash = document["conflict"]["clashes"][0]
    assert (clash["kind"], clash["level"], clash["have"], clash["need"]) == ("capacity", "psum", 16, 24)
    assert document["conflict"]["reliefs"][0]["value"] > 0


def test_places_do_not_make_constraints_differ(tmp_path: Path):
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    loaded = tilebound.loading.load_specs([str(path)])
    section = loaded.sections["constraints"]
    with_places = tilebound.api.read_constraints([section], loaded.architecture, loaded.workload)
    plain = tilebound.api.read_constraints([section.plain()], loaded.architecture, loaded.workload)
    assert with_places == plain and hash(with_places) == hash(plain)
    places = dict(with_places.places)
    assert places["psum", "keep", "O"].rsplit(":", 2)[-2:] == ["17", "13"] and not plain.places
    case = Case(loaded.architecture, with_places)
    assert Demand("factor", "psum", "M", "temporal", True).place(case).endswith(":19:22")
    row = next(i for i, line in enumerate(SPEC.splitlines(), 1) if "name: psum" in line)
    assert Demand("capacity", "psum").place(case) == f"{path}:{row}:7"
