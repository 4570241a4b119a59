"""One objective after another: among mappings no worse in the first, the best in the second is proved."""

from __future__ import annotations

import copy
import random
from collections import defaultdict
from dataclasses import replace
from functools import cache
from itertools import product
from math import inf

import numpy as np
import pytest
import tilebound as tb
from tilebound.bounds.cap import Cap
from tilebound.bounds.lattice.bound import LatticeBound
from tilebound.bounds.lattice.lattice import Lattice
from tilebound.bounds.programs.bound import bound_region, energy_floor
from tilebound.bounds.programs.relax import Relaxation
from tilebound.bounds.scenario import Scenario
from tilebound.hardware.architecture import Figure
from tilebound.mapping.constraints import Constraints, LevelConstraints
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.search.objectives import OBJECTIVES, objective_value, stages
from tilebound.search.space import Mapspace
from tilebound.search.stages import second_stage
from tilebound.workload.graph import WorkloadGraph

from brute import every_mapping
from test_imperfect_search import IN_ARRAY, ROW
from test_search import conv, gemm, mttkrp, three_level, two_level


@cache
def every_cost(case):
    """Energy and cycles of all mappings, by keep/bypass choice."""
    found = defaultdict(list)
    for template, _, cost in every_mapping(*CASES[case]):
        found[template.keep].append((cost.energy_pj[cost.valid], cost.cycles[cost.valid]))
    return [(keep, *map(np.concatenate, zip(*costs, strict=True))) for keep, costs in found.items()]


def all_costs(case):
    """Energy and cycles of all mappings."""
    _, energies, cycles = zip(*every_cost(case), strict=True)
    return np.concatenate(energies), np.concatenate(cycles)


CASES = {
    "gemm, array": (three_level(200, 8, 3, 3, frozenset("ABZ")), gemm(2, 3, 6)),
    "gemm, row": (three_level(20, 4, 3, 1, frozenset("BZ")), gemm(6, 5, 2)),
    "one unit": (two_level(20), mttkrp(4, 2, 3, 4)),
    "little bandwidth": (three_level(keep=frozenset("ABZ"), read_bandwidth=0.5, write_bandwidth=0.25),
                         gemm(4, 6, 4)),
    "conv, array": (three_level(keep=frozenset("WIO")), conv(2, 1, 4, 3)),
}
by_case = pytest.mark.parametrize("case", CASES)


ASKED = [*product(CASES, ("latency", "energy")), *product(("gemm, row", "little bandwidth"), (
    "latency,energy", "energy,latency", "edp,energy", "ed2p,latency", "latency,edp"))]


@pytest.mark.parametrize(("case", "objective"), ASKED)
def test_both_stages_are_what_all_mappings_say(case, objective):
    architecture, einsum = CASES[case]
    energy, cycles = all_costs(case)
    first, then = stages(objective)
    powers = OBJECTIVES[first], OBJECTIVES[then]
    firsts, thens = (energy ** e * cycles ** c for e, c in powers)
    least = firsts.min()
    search = LayerSearch(architecture, einsum, first)
    mapping, certificate = second_stage(search, *search.run(), objective, Limits())
    cost = evaluate(architecture, einsum, mapping)
    later = certificate.then
    assert objective_value(first, cost.energy_pj, cost.cycles) == pytest.approx(least, rel=1e-9)
    assert certificate.lower_bound <= certificate.value == pytest.approx(least, rel=1e-9)
    best = thens[firsts <= least * (1 + 1e-9)].min()
    assert objective_value(then, cost.energy_pj, cost.cycles) == pytest.approx(best, rel=1e-9)
    assert later.value == pytest.approx(best, rel=1e-9) and later.lower_bound <= best * (1 + 1e-9)
    assert certificate.status == later.status == "optimal" or case == "little bandwidth"
    for proof in (certificate, later):
        _, proven = rederive(architecture, einsum, proof.objective, proof.value, proof.dual,
                             among=proof.among)
        assert proven >= proof.lower_bound * (1 - 1e-9)


@pytest.mark.parametrize("objective", OBJECTIVES)
@by_case
def test_what_a_first_stage_hands_on_of_what_levels_keep_lies_below_all_such_mappings(case, objective):
    search = LayerSearch(*CASES[case], objective)
    search.run()
    known, (energy_power, cycles_power) = search.least_by_keep(), OBJECTIVES[objective]
    for keep, energy, cycles in every_cost(case):
        least = (energy ** energy_power * cycles ** cycles_power).min(initial=inf)
        assert known.get(keep, 0.0) <= least * (1 + 1e-9)


def test_a_second_certificate_proves_nothing_of_all_mappings():
    """Among the fastest mappings more energy is needed: without the limit the bound is not reached."""
    architecture, einsum = CASES["gemm, row"]
    energy, cycles = all_costs("gemm, row")
    assert energy.min() < energy[cycles == cycles.min()].min() * 0.99
    search = LayerSearch(architecture, einsum, "latency")
    later = second_stage(search, *search.run(), "latency,energy", Limits())[1].then
    assert later.among == ("latency", cycles.min())
    _, proven = rederive(architecture, einsum, "energy", later.value, later.dual)
    assert proven <= energy.min() * (1 + 1e-9) < later.lower_bound


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@by_case
def test_bounds_among_mappings_that_are_fast_enough(case, share):
    architecture, einsum = CASES[case]
    relaxation, lattice = Relaxation(Scenario(architecture, einsum)), Lattice(Scenario(architecture, einsum))
    for keep, energy, cycles in every_cost(case):
        if not len(cycles):
            continue
        limit = (cycles.min() * (1 - share) + cycles.max() * share) * (1 + 1e-12)
        least = energy[cycles <= limit].min()
        limited = Relaxation(Scenario(architecture, einsum), cap=Cap(0, 1, limit))
        root = Mapspace(architecture, einsum).root(keep)
        bound = bound_region(limited, root, 1, 0, 0.0).value
        assert bound <= least * (1 + 1e-9)
        assert bound >= bound_region(relaxation, root, 1, 0, 0.0).value * (1 - 1e-4)
        if lattice.applies:
            found = LatticeBound(lattice, keep, 1, 0, Cap(0, 1, limit)).solve(inf)
            assert found is not None and found[0] <= least * (1 + 1e-9)


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("powers", [(1, 0), (1, 1), (1, 2)])
@by_case
def test_bounds_on_cycles_among_mappings_with_little_energy(case, powers, share):
    architecture, einsum = CASES[case]
    lattice = Lattice(Scenario(architecture, einsum))
    for keep, energy, cycles in every_cost(case):
        if not len(cycles):
            continue
        values = energy ** powers[0] * cycles ** powers[1]
        limit = values.min() * (1 - share) + values.max() * share
        least = cycles[values <= limit].min()
        limited = Relaxation(Scenario(architecture, einsum), cap=Cap(*powers, limit))
        root = Mapspace(architecture, einsum).root(keep)
        floor, _ = energy_floor(limited, root)
        bound = bound_region(limited, root, 0, 1, floor).value
        assert bound <= least
        if lattice.applies:
            found = LatticeBound(lattice, keep, 0, 1, Cap(*powers, limit)).solve(inf)
            assert found is not None and found[0] <= least * (1 + 1e-9)


def test_where_no_mapping_is_fast_enough_the_region_is_empty():
    architecture, einsum = CASES["gemm, array"]
    limited = Relaxation(Scenario(architecture, einsum), cap=Cap(0, 1, einsum.macs / 9 - 1))
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
    assert second_stage(search, *answer, "edp", Limits()) == answer
    graph = WorkloadGraph("net", [(gemm(5, 3, 4), 1)])
    layer, = search_network(ROW, graph, objective="latency", constraints=IN_ARRAY).layers
    assert layer.cost.cycles == layer.certificate.value


def test_a_search_that_has_no_time_left_keeps_its_mapping():
    architecture, einsum = CASES["gemm, array"]
    limits = Limits(seconds=1e-9)
    search = LayerSearch(architecture, einsum, "latency", limits)
    answer = search.run()
    assert second_stage(search, *answer, "latency", limits) == answer


def test_both_certificates_are_in_the_document_and_checked(tmp_path):
    architecture, einsum = CASES["gemm, row"]
    result = tb.search(architecture, einsum, "latency,energy")
    result.to_json(tmp_path / "result.json")
    assert tb.load_result(tmp_path / "result.json").layers[0].certificate == result.layers[0].certificate
    document = result.to_dict()
    assert check_document(document) == [] and "latency, then energy" in result.to_text()
    later = document["layers"][0]["certificate"]["then"]
    assert later["among"] == {"objective": "latency", "most": document["layers"][0]["cycles"]}
    for change, complaint in (({"lower_bound": later["lower_bound"] * 1.01}, "lower bound"),
                              ({"value": later["value"] * 1.01}, "states an objective"),
                              ({"among": {"objective": "latency", "most": 19.0}}, "this is none"),
                              ({"among": {"objective": "edp", "most": 1e9}}, "as good in latency")):
        forged = copy.deepcopy(document)
        forged["layers"][0]["certificate"]["then"].update(change)
        assert any(complaint in failure for failure in check_document(forged)), change


@pytest.mark.parametrize("objective", ["power", "energy,energy", "energy,latency,edp", "energy,", ""])
def test_what_is_no_objective_is_refused(objective):
    with pytest.raises(ValueError, match="objective"):
        stages(objective)


def test_an_optimum_of_two_objectives_needs_two_proofs():
    architecture, einsum = CASES["gemm, row"]
    document = tb.search(architecture, einsum, "latency,energy").to_dict()
    forged = copy.deepcopy(document)
    del forged["layers"][0]["certificate"]["then"]
    assert any("not of energy" in x for x in check_document(forged))
    forged = copy.deepcopy(document)
    forged["layers"][0]["certificate"]["then"]["status"] = "heuristic"
    assert any("not of energy" in x for x in check_document(forged))
    forged = {**document, "objective": "latency,edp"}
    assert any("is about energy" in x for x in check_document(forged))
    search = LayerSearch(architecture, einsum, "latency")
    mapping, certificate = search.run()
    stopped = Limits(stopped=lambda: True)
    assert second_stage(search, mapping, certificate, "latency", stopped)[1].status == "optimal"
    assert second_stage(search, mapping, certificate, "latency,energy", stopped)[1].status == "time_limit"


def test_proofs_of_equal_layers_are_looked_at_one_by_one():
    architecture, einsum = CASES["gemm, row"]
    network = WorkloadGraph("two", [(einsum, 1), (replace(einsum, name="again"), 1)])
    document = tb.search(architecture, network, "energy").to_dict()
    assert check_document(document) == []
    document["layers"][1]["certificate"]["dual"] = {}
    assert any(x.startswith("again: ") for x in check_document(document))


@pytest.mark.parametrize("objective", ["energy,latency", "edp,energy", "ed2p,latency"])
def test_what_costs_nothing_may_come_first(objective):
    architecture, einsum = CASES["gemm, row"]
    def free(part):
        return replace(part, energy={action: Figure(0.0, "free") for action in part.energy})
    levels = tuple(map(free, architecture.levels))
    machine = replace(architecture, levels=levels, compute=free(architecture.compute))
    result = tb.search(machine, einsum, objective)
    assert result.energy_pj == 0.0 and check_document(result.to_dict()) == []


def test_under_a_cap_a_region_may_be_known_to_be_empty():
    architecture, einsum = CASES["gemm, row"]
    space = Mapspace(architecture, einsum)
    relaxation = Relaxation(Scenario(architecture, einsum), cap=Cap(1, 2, 1e6))
    for keep in space.keeps:
        region = space.root(keep)
        assert bound_region(relaxation, region, 0, 1, inf).value >= bound_region(
            relaxation, region, 0, 1, energy_floor(relaxation, region)[0]).value


def test_constraints_that_the_machine_meets_anyway_are_left_out():
    architecture, einsum = CASES["gemm, row"]
    asked = [LevelConstraints(x.name, keep=x.keep) for x in architecture.levels]
    result = tb.search(architecture, einsum, "energy", constraints=Constraints(tuple(asked)))
    assert check_document(result.to_dict()) == []
