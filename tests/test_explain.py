"""Why a mapping is the best: what other classes lose, where the mapspace went, and what reports show."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations, pairwise
from math import inf, prod

import numpy as np
import pytest
import tilebound.api
from tilebound.bounds.divisors import factorizations
from tilebound.cli import run
from tilebound.mapping.template import Template
from tilebound.model.batch import evaluate_batch
from tilebound.report import why
from tilebound.report.check import check_document
from tilebound.report.curve import axis, steps
from tilebound.report.document import from_document, to_document
from tilebound.report.html import render_html
from tilebound.report.text import render_text
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace
from tilebound.search.why.explain import class_of, explained
from tilebound.search.why.waterfall import fitting_share, raw_size
from tilebound.workload.graph import WorkloadGraph

from brute import every_mapping
from test_report import Page
from test_search import gemm, three_level, two_level


def least_by_choice(space, objective):
    """By (keep, innermost loops that iterate) the least objective, by looking at every mapping."""
    energy_power, cycles_power = OBJECTIVES[objective]
    best = {}
    for template, factors, cost in every_mapping(space.architecture, space.einsum):
        values = np.where(cost.valid, cost.energy_pj ** energy_power * cost.cycles ** cycles_power, inf)
        inner = np.stack([innermost(factors[:, 3 * i] > 1, order, space.einsum.ranks)
                          for i, order in enumerate(template.orders[:-1])], axis=1)
        for code in np.unique(inner, axis=0):
            own = values[(inner == code).all(axis=1)].min()
            loops = tuple(("", *space.einsum.ranks)[i] for i in code)
            best[template.keep, loops] = min(own, best.get((template.keep, loops), inf))
    return best


def innermost(iterates, order, ranks):
    """By mapping the innermost loop that iterates, as its place in `ranks` counted from 1; 0 for none."""
    found = np.zeros(len(iterates), dtype=int)
    for rank in order:
        found = np.where(iterates[:, ranks.index(rank)], ranks.index(rank) + 1, found)
    return found


def loses(space, region, best, choice):
    """Of all mappings, the least of those that make a choice, which a report puts into words."""
    words = choice.replace(",", "").split()
    level = [x.name for x in space.architecture.levels].index(words[0])
    if words[1] in ("keeps", "bypasses"):
        return min((v for (keep, _), v in best.items() if (words[2] in keep[level]) == (words[1] == "keeps")),
                   default=inf)
    return min((v for (keep, inner), v in best.items()
                if keep == region.keep and inner[level] in words[3].split("/")), default=inf)


@pytest.mark.parametrize("architecture, einsum, objective", [
    (three_level(middle=20, inner=6, x=2, y=1), gemm(4, 2, 2), "energy"),
    (two_level(12), gemm(6, 4, 4), "edp"), (three_level(middle=3, inner=3, x=1, y=2), gemm(2, 2, 4), "edp")])
def test_what_other_classes_lose_is_what_they_lose(architecture, einsum, objective):
    best = least_by_choice(Mapspace(architecture, einsum), objective)
    for limits in (Limits(), Limits(bounds=1, choices=6, climbs=1)):
        agrees(LayerSearch(architecture, einsum, objective, limits), best)


def agrees(search, best):
    """Whether what is said of classes agrees with the least of each choice."""
    mapping, certificate = search.run()
    for closely in (False, True):
        holds(search, mapping, certificate, explained(search, mapping, certificate, closely), best)


def holds(search, mapping, certificate, found, best):
    region = class_of(search.space, mapping)
    assert min(best.values()) >= certificate.lower_bound * (1 - 1e-9)
    assert best[region.keep, region.innermost] >= found.bound * (1 - 1e-9)
    assert found.runners_up
    for x in found.runners_up:
        truth = loses(search.space, region, best, x.choice) / certificate.value - 1.0
        assert x.fits or truth == inf
        if x.fits:
            assert x.at_least <= truth + 1e-9
            assert x.found is None or x.found >= truth - 1e-9
    if certificate.status == "optimal":
        assert all(x.at_least >= -1e-9 for x in found.runners_up if x.fits)


def test_the_mapspace_shrinks_step_by_step():
    architecture, einsum = three_level(middle=20, inner=6, keep=frozenset("A")), gemm(8, 6, 4)
    search = LayerSearch(architecture, einsum, "edp")
    mapping, certificate = search.run()
    *drops, evaluated, best = explained(search, mapping, certificate).drops
    sizes = [x.mappings for x in drops]
    assert sizes == sorted(sizes, reverse=True) and best.mappings == 1
    assert evaluated.mappings == certificate.evaluated and sizes[1] == certificate.mapspace_size
    assert drops[-1].step == "left open" and drops[-1].mappings == 0      # since it is optimal
    assert [x.exactness for x in drops[:3]] == ["exact", "exact", "about"]


def test_sizes_are_counts():
    space = Mapspace(three_level(middle=20, inner=6), gemm(4, 6, 2))
    slots = 3 + 2       # temporal ones, and along x and y of the array
    splits = prod(len(factorizations(extent, slots)) for extent in (4, 6, 2))
    assert raw_size(space) == splits * 6 ** 2 * 7 ** 3
    factors = space.enumerate(space.root(space.keeps[0]))
    good = total = 0
    for keep in space.keeps:
        template = Template(("DRAM", "GLB", "RF"), keep, (space.einsum.ranks,) * 3)
        cost = evaluate_batch(space.architecture, space.einsum, template, factors)
        good, total = good + int((cost.valid & space.allowed(factors)).sum()), total + len(factors)
    share, exactness = fitting_share(space)
    assert exactness == "about" and share == pytest.approx(good / total, abs=0.03)
    nothing = Mapspace(three_level(middle=0, inner=0, keep=frozenset("ABZ")), gemm(4, 6, 2))
    assert fitting_share(nothing) == (pytest.approx(3 / 4096), "at most")


def test_the_course_of_a_search_leads_to_its_certificate():
    search = LayerSearch(three_level(), gemm(16, 12, 8), "edp", Limits(bounds=20))
    _, certificate = search.run()
    moments = search.trace.moments
    for before, after in pairwise(moments):
        assert before.value >= after.value and before.bound <= after.bound
        assert before.seconds <= after.seconds and before.evaluated <= after.evaluated
    assert moments[-1].value == certificate.value
    assert moments[-1].bound == pytest.approx(certificate.lower_bound, rel=1e-9)


@pytest.fixture(scope="module")
def result():
    graph = WorkloadGraph("net", [(gemm(8, 6, 4, "first"), 2), (gemm(4, 4, 2, "a < b"), 1)])
    return search_network(three_level(), graph, objective="edp"), graph


def test_explanations_do_not_depend_on_the_number_of_processes(result):
    alone, graph = result
    others = search_network(three_level(), graph, objective="edp", jobs=2)
    for x, y in zip(alone.layers, others.layers, strict=True):
        assert x.certificate.explanation == y.certificate.explanation is not None


def test_documents_hold_the_explanation(result):
    network, graph = result
    document = to_document(network, graph)
    again, _ = from_document(document)
    for before, after, entry in zip(network.layers, again.layers, document["layers"], strict=True):
        assert before.certificate.explanation == after.certificate.explanation
        assert before.certificate.explanation.moments == after.certificate.explanation.moments
        parts = entry["explain"]["energy"]
        assert sum(x["energy_pj"] for x in parts) == pytest.approx(entry["energy_pj"])
        assert [x["share"] for x in parts] == sorted((x["share"] for x in parts), reverse=True)
        assert max(x["share"] for x in entry["explain"]["cycles"]) == 1.0
    assert check_document(document) == []
    document["layers"][0]["explain"]["energy"][0]["share"] += 0.01
    assert any("explain.energy" in x or "share" in x for x in check_document(document))


@pytest.mark.parametrize("change, words", [
    (lambda why: why.update(relaxed_bound=why["relaxed_bound"] * 1.01), "relaxed bound"),
    (lambda why: why["sensitivities"][0].update(elasticity=-3.0), "binds by"),
    (lambda why: why["sensitivities"][0].update(have=3.0), "binds by"),
    (lambda why: why["sensitivities"].pop(), "other figures"),
    (lambda why: why["waterfall"][1].update(mappings=7.0), "states 7 mappings"),
    (lambda why: why["progress"][-1].update(value=1e30), "goes back"),
])
def test_explanations_that_do_not_come_out_again_are_found(result, change, words):
    document = json.loads(json.dumps(to_document(*result)))
    change(document["layers"][0]["explain"])
    assert any(words in x for x in check_document(document))


def test_the_point_of_a_front_that_is_shown_is_explained():
    graph = WorkloadGraph("net", [(gemm(8, 6, 4), 1)])
    plain, front = (search_network(three_level(), graph, objective="pareto", explain=x)
                    for x in (False, True))
    document = to_document(front, graph)
    assert "explain" not in to_document(plain, graph)["layers"][0]
    assert "relaxed bound of its class" in why.render(document) and "J.cycle" not in why.render(document)
    assert check_document(document) == []


def test_reports_show_the_explanation(result, capsys, tmp_path):
    document = to_document(*result)
    page = render_html(document)
    Page(page)
    for text in (render_text(document), page, why.render(document)):
        for word in ("Why this mapping", "What binds", "Runner-up classes", "Where the mapspace went"):
            assert word in text
    assert page.count("<polyline") == 4 and "a < b" not in page
    assert tilebound.api.Result(*result).explain() == why.render(document)
    bare = replace(result[0], layers=tuple(
        replace(x, certificate=replace(x.certificate, explanation=None)) for x in result[0].layers))
    assert "Why this mapping" not in render_html(to_document(bare, result[1]))
    assert why.render(to_document(bare, result[1])) == ""


@pytest.mark.parametrize(("at_least", "found", "text"), [
    (0.0, 0.0, "exactly 0 %"), (4e-6, 4e-6, "less than 0.01 %"), (0.25, 0.25, "exactly +25.0 %"),
    (0.1, 0.2, "at least +10.0 %, best met +20.0 %"), 
    (-2e-5, 0.1, "gains less than 0.01 %, best met +10.0 %")])
def test_what_is_rounded_away_is_neither_exact_nor_signed(result, at_least, found, text):
    document = to_document(*result)
    entry = document["layers"][0]["explain"]
    entry["runners_up"] = [{"choice": "this", "at_least": at_least, "found": found}]
    entry["sensitivities"] = [{"level": "GLB", "figure": "capacity", "have": 100, "elasticity": elasticity,
                               "marginal": -0.0} for elasticity in (-0.0012, -0.0001)]
    shown = why.render(document)
    assert f"this: {text}\n" in shown and "GLB words (-0.001 %)" in shown
    assert "-0 " not in shown and "-0.00 " not in shown and "-0.000" not in shown


def test_the_command_explains_when_asked(tmp_path, capsys):
    path = tmp_path / "net.yaml"
    path.write_text("""
architecture: {name: tiny, levels: [{name: DRAM, energy: 100}, {name: RF, size: 16 words, energy: 1}],
               compute: {name: mac, energy: 1}}
workload: {name: net, layers: [{name: one, ranks: {M: 8, K: 4},
           tensors: {W: "M, K", I: K, O: {projection: M, output: true}}}]}
""")
    assert run(["map", str(path)]) == 0
    assert "Why this mapping" not in capsys.readouterr().out
    assert run(["map", str(path), "--explain"]) == 0
    assert "one\n===\nWhy this mapping\n" in capsys.readouterr().out


def test_lines_keep_their_height_from_point_to_point():
    curve = steps("t", [("a", "#000", [(0.001, 100.0), (1.0, 1.0)])], str, str)
    points = [tuple(map(float, p.split(","))) for p in curve.lines[0].points.split()]
    assert points[0][1] == points[1][1] and points[1][0] == points[2][0] and points[2][1] == points[3][1]
    assert points[0][1] < points[2][1] and points[-1][0] == curve.right
    assert steps("t", [("a", "#000", [])], str, str) is None
    assert axis([1.0, 1000.0], 0.0, 90.0).place(10.0) == pytest.approx(30.0)
    assert axis([1.0, 1000.0], 0.0, 90.0).ticks() == [1.0, 10.0, 100.0, 1000.0]
    assert axis([2.0, 6.0], 0.0, 40.0).place(3.0) == pytest.approx(10.0)
    assert all(low - 1e-9 <= tick <= high + 1e-9 for low, high in combinations((0.5, 0.7, 3.0), 2)
               for tick in axis([low, high], 0.0, 1.0).ticks())
