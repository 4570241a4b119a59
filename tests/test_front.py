"""Fronts of cycles and energy: against all mappings, their proofs, and their sums over a network."""

from __future__ import annotations

import copy
import json
import random
from dataclasses import replace
from itertools import product
from math import inf

import numpy as np
import pytest
import tilebound as tb
from tilebound import cli
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.report.document import to_document
from tilebound.report.html import render_html
from tilebound.search.certificate import Certificate, FrontPoint, LayerFront
from tilebound.search.combine import _front, combine
from tilebound.search.front import FrontSearch
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.workload.graph import WorkloadGraph

from test_imperfect_search import IN_ARRAY, ROW
from test_search import gemm, three_level
from test_stages import CASES, all_costs


def staircase(energy, cycles):
    """The points that no other is as good as, by brute force."""
    found, least = [], inf
    for c in np.unique(cycles):
        e = energy[cycles == c].min()
        if e < least * (1 - 1e-9):
            found.append((int(c), float(e)))
            least = e
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_front_is_that_of_all_mappings(case):
    architecture, einsum = CASES[case]
    energy, cycles = all_costs(case)
    front = FrontSearch(architecture, einsum, 20, Limits()).run()
    truth = staircase(energy, cycles)
    assert [p.cycles for p in front.points] == [c for c, _ in truth]
    assert [p.energy_pj for p in front.points] == pytest.approx([e for _, e in truth], rel=1e-9)
    assert front.tolerance <= 0.05
    for point in front.points:
        cost = evaluate(architecture, einsum, point.mapping)
        assert (cost.energy_pj, cost.cycles) == (point.energy_pj, point.cycles)
        assert energy[cycles <= point.cap].min() >= point.certificate.lower_bound * (1 - 1e-9)
    assert cycles.min() >= front.fastest.lower_bound


@pytest.mark.parametrize("points", [2, 3])
def test_few_searches_give_a_front_within_its_tolerance(points):
    energy, cycles = all_costs("gemm, row")
    front = FrontSearch(*CASES["gemm, row"], points, Limits()).run()
    assert len(front.points) <= points
    more = 1 + front.tolerance + 1e-9
    assert np.all(np.logical_or.reduce(
        [(p.cycles <= cycles * more) & (p.energy_pj <= energy * more) for p in front.points]))


def test_a_search_without_time_says_what_it_knows():
    front = FrontSearch(*CASES["gemm, row"], 20, Limits(seconds=1e-9)).run()
    assert front.points and front.tolerance == inf


def test_a_point_with_fewer_cycles_than_a_search_cut_short_found_is_of_the_fewest():
    search = FrontSearch(*CASES["gemm, row"], 20, Limits())
    front = search.run()
    quick = front.points[0]
    late = LayerFront(replace(front.fastest, value=quick.cycles + 9.0, lower_bound=0.0, status="time_limit"),
                      (replace(quick, cycles=quick.cycles + 9, energy_pj=2.0 * quick.energy_pj),))
    assert search._with(late, quick).fastest.value == quick.cycles


def made_up(rng, points):
    """A front whose certificates prove it complete."""
    cycles = sorted(rng.sample(range(10, 200), points))
    energies = sorted((rng.uniform(1.0, 9.0) for _ in range(points)), reverse=True)
    caps = [*(("latency", c - 1.0) for c in cycles[1:]), None]
    blank = Certificate("energy", 0.0, 0.0, 0.0, "optimal", 1.0, 1, 0, 1, 1, 0.0)
    return LayerFront(replace(blank, objective="latency", value=cycles[0], lower_bound=cycles[0]), tuple(
        FrontPoint(e, c, None, replace(blank, value=e, lower_bound=e, among=cap))
        for e, c, cap in zip(energies, cycles, caps, strict=True)))


@pytest.mark.parametrize("seed", range(5))
def test_the_front_of_a_network_is_that_of_all_sums(seed):
    rng = random.Random(seed)
    layers = [(made_up(rng, rng.randint(1, 6)), rng.randint(1, 3)) for _ in range(4)]
    sums = [(sum(p.cycles * n for p, (_, n) in zip(points, layers, strict=True)),
             sum(p.energy_pj * n for p, (_, n) in zip(points, layers, strict=True)))
            for points in product(*(front.points for front, _ in layers))]
    cycles, energy = map(np.array, zip(*sums, strict=True))
    front = combine(layers)
    truth = staircase(energy, cycles)
    if len(truth) <= 100:
        assert front.tolerance == pytest.approx(0.0, abs=1e-12)
        assert [p.cycles for p in front.points] == [c for c, _ in truth]
        assert [p.energy_pj for p in front.points] == pytest.approx([e for _, e in truth])
    for c, e in truth:
        assert any(p.cycles <= c * (1 + front.tolerance) and p.energy_pj <= e * (1 + front.tolerance)
                   for p in front.points)
    for point in front.points:
        chosen = [(f.points[i], n) for i, (f, n) in zip(point.choice, layers, strict=True)]
        assert point.cycles == sum(p.cycles * n for p, n in chosen)
        assert point.energy_pj == pytest.approx(sum(p.energy_pj * n for p, n in chosen))
    least = front.least_edp.energy_pj * front.least_edp.cycles
    assert least == pytest.approx(min(c * e for c, e in truth), rel=0.05)


def test_points_that_are_left_out_are_nearly_as_good_as_those_that_are_kept():
    rng = np.random.default_rng(3)
    cycles, energy = np.arange(1000, 3000), np.sort(rng.uniform(1, 2, 2000))[::-1]
    kept, factor = _front(cycles, energy, 50)
    assert len(kept) <= 50 and 1.0 < factor < 1.03
    for c, e in zip(cycles, energy, strict=True):
        assert ((cycles[kept] <= c * factor) & (energy[kept] <= e)).any()


def test_the_document_holds_the_front_and_is_checked(tmp_path):
    architecture, einsum = CASES["gemm, row"]
    graph = WorkloadGraph("net", [(einsum, 2), (gemm(2, 2, 2, "other"), 1)])
    result = tb.search(architecture, graph, "pareto")
    result.to_json(tmp_path / "result.json")
    again = tb.load_result(tmp_path / "result.json")
    assert again.front == result.front and again.layers[0].front == result.layers[0].front
    document = result.to_dict()
    assert check_document(document) == []
    assert "Front of energy and cycles" in result.to_text() and "<circle" in render_html(document)
    assert document["total"]["cycles"] == result.front.least_edp.cycles

    def forged(change):
        other = copy.deepcopy(document)
        change(other)
        return " ".join(check_document(other))

    points = document["layers"][0]["front"]["points"]
    assert len(points) > 1

    def of(i):
        return lambda d: d["layers"][0]["front"]["points"][i]

    assert "lower bound" in forged(lambda d: of(0)(d)["certificate"].update(
        among={"objective": "latency", "most": points[-1]["cycles"] + 1.0}))
    assert "staircase" in forged(lambda d: d["layers"][0]["front"]["points"].reverse())
    assert "energy_pj" in forged(lambda d: of(1)(d).update(energy_pj=1.0))
    assert "tolerance" in forged(lambda d: d["layers"][0]["front"]["points"].pop(0))
    assert "front" in forged(lambda d: d["front"]["points"].pop())
    assert "fewest" in forged(lambda d: d["layers"][0]["front"]["fastest"].update(objective="energy"))


def test_fronts_of_mappings_with_remainders_lie_below_those_of_whole_factors():
    graph = WorkloadGraph("net", [(gemm(29, 13, 4), 1)])
    found = search_network(ROW, graph, objective="pareto", constraints=IN_ARRAY)
    assert found.layers[0].front.tolerance == 0.0
    document = json.loads(json.dumps(to_document(found, graph)))
    assert check_document(document) == []
    for objective in ("latency", "edp", "energy"):
        best = search_network(ROW, graph, objective=objective, constraints=IN_ARRAY).layers[0].cost
        assert any(p.cycles <= best.cycles and p.energy_pj <= best.energy_pj * (1 + 1e-9)
                   for p in found.layers[0].front.points)


def test_odd_numbers_of_points_are_refused():
    with pytest.raises(ValueError, match="points is 1"):
        tb.search(three_level(), gemm(2, 2, 2), "pareto", points=1)


def test_the_command_prints_the_front(tmp_path, capsys):
    (tmp_path / "layer.yaml").write_text(
        "workload: {name: net, layers: [{name: fc, type: matmul, M: 1, N: 10, K: 32}]}\n")
    arguments = [str(tmp_path / "layer.yaml"), "--objective", "pareto", "--points", "3"]
    assert cli.run(["map", "eyeriss", *arguments]) == 0
    assert "least EDP" in capsys.readouterr().out
