"""`imperfect=True`: remainders of any loop, against brute force and a peer's figures, and potentials."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from random import Random

import pytest
import tilebound as tb
from tilebound import cli
from tilebound.api import read_constraints
from tilebound.errors import MappingError, SpecError
from tilebound.mapping.constraints import Constraints, LevelConstraints, LoopRules
from tilebound.mapping.validate import check_mapping
from tilebound.mapping.write_constraints import constraints_to_dict, constraints_to_timeloop
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace
from tilebound.workload.graph import WorkloadGraph

from test_imperfect_search import all_mappings
from test_search import conv, gemm, three_level, two_level

TWO_LEVEL = {"name": "two_level", "levels": [
    {"name": "DRAM", "energy": 200, "shared_bandwidth": 4},
    {"name": "GLB", "size": "32768 words", "energy": 6, "shared_bandwidth": 16}],
    "compute": {"name": "MAC", "energy": 1}}


def checked(result):
    """The document of a result, every claim of which holds."""
    document = json.loads(json.dumps(result.to_dict()))
    assert check_document(document) == []
    return document


@pytest.mark.parametrize("extent, most", [(1024, 0.029645e12), (1021, 0.0293937e12)])
def test_gemms_on_two_levels_are_proved_optimal(extent, most):
    """No worse than AccelForge's imperfect factors, which may cut the nest for each tensor."""
    found = tb.search(TWO_LEVEL, gemm(extent, extent, extent), "energy", imperfect=True)
    assert found.layers[0].certificate.status == "optimal"
    assert found.energy_pj <= most
    assert not found.layers[0].mapping.perfect
    checked(found)


EVERYTHING = {
    "two levels": (two_level(14, keep=frozenset("ABZ")), gemm(7, 5, 3)),
    "an array": (three_level(middle=24, inner=6, x=3, y=1, keep=frozenset("ABZ")), gemm(5, 2, 2)),
    "an array of one level": (replace(two_level(30, keep=frozenset("ABZ")), compute=replace(
        two_level(30).compute, mesh_x=4)), gemm(7, 3, 2)),
}


@pytest.mark.parametrize("architecture, einsum", EVERYTHING.values(), ids=EVERYTHING)
def test_small_problems_agree_with_brute_force(architecture, einsum):
    """All remainders there are, not only those of the smallest tiles."""
    everything = replace(architecture, levels=tuple(
        replace(x, keep=frozenset(t.name for t in einsum.tensors)) for x in architecture.levels))
    constraints = Constraints(imperfect=True)
    keep, = Mapspace(everything, einsum, constraints).keeps
    costs = [evaluate(architecture, einsum, m) for m in all_mappings(everything, einsum, keep, constraints)]
    for objective, (energy_power, cycles_power) in OBJECTIVES.items():
        truth = min((c.energy_pj ** energy_power * c.cycles ** cycles_power for c in costs), default=inf)
        whole, found = (tb.search(everything, einsum, objective, imperfect=x) for x in (False, True))
        proof = found.layers[0].certificate
        assert proof.value == pytest.approx(truth, rel=1e-9)
        assert proof.lower_bound <= truth * (1 + 1e-9)
        for x in whole.layers[0].certificate.potential:
            assert x.option == "uneven" or x.bound <= truth * (1 + 1e-9)
            assert x.share(whole.layers[0].certificate.value) > 0.01
        assert not check_mapping(everything, einsum, found.layers[0].mapping)
        checked(whole), checked(found)


def test_windows_are_never_worse_than_with_whole_factors():
    machine = three_level(middle=120, inner=12, x=4, y=3)
    whole, cut = (tb.search(machine, conv(5, 1, 5, 2), "edp", imperfect=x).layers[0].certificate
                  for x in (False, True))
    assert whole.value * (1 - whole.potential[0].share(whole.value)) <= cut.value * (1 + 1e-9)
    assert cut.lower_bound <= cut.value < whole.value


def test_constraints_hold_beside_imperfect_factors():
    rules = LoopRules(remainders=(("M", 2),))
    asked = Constraints((LevelConstraints("GLB", spatial=rules),))
    machine = three_level(middle=600, inner=40, x=8, y=1, keep=frozenset("ABZ"))
    found = tb.search(machine, gemm(29, 13, 4), "latency", constraints=asked, imperfect=True)
    loops = [x for x in found.layers[0].mapping.blocks[1].spatial if x.rank == "M"]
    assert all(x.residual is None or x.residual <= 2 for x in loops)
    document = checked(found)
    graph = WorkloadGraph("net", [(gemm(29, 13, 4), 1)])
    again = read_constraints([document["constraints"]], machine, graph)
    assert again == replace(asked, imperfect=True)
    assert read_constraints([constraints_to_dict(Constraints(imperfect=True))], machine, graph).imperfect
    with pytest.raises(MappingError, match="no word for imperfect"):
        constraints_to_timeloop(again, machine)
    with pytest.raises(SpecError, match="imperfect"):
        read_constraints([{"imperfect": True}], machine, graph, "timeloop")


def test_a_potential_that_is_not_proved_is_found_out():
    found = tb.search(TWO_LEVEL, gemm(199, 199, 199), "energy")
    document = checked(found)
    potential, = document["layers"][0]["certificate"]["potential"]
    assert potential["option"] == "imperfect"
    potential["bound"] *= 1.01
    assert any("bound" in x for x in check_document(document))


def test_command(tmp_path, capsys):
    spec = tmp_path / "spec.yaml"
    spec.write_text(json.dumps({"architecture": TWO_LEVEL, "workload": {
        "layers": [{"name": "gemm", "type": "matmul", "M": 211, "N": 211, "K": 211}]}}))
    assert cli.run(["map", str(spec), "--objective", "energy", "-o", str(tmp_path / "whole")]) == 0
    assert "Imperfect factors were not considered: at most" in capsys.readouterr().err
    assert "imperfect factors" in (tmp_path / "whole" / "report.txt").read_text()
    assert "imperfect factors" in (tmp_path / "whole" / "report.html").read_text()
    cut = ["--imperfect", "-o", str(tmp_path / "cut")]
    assert cli.run(["map", str(spec), "--objective", "energy", *cut]) == 0
    assert "Imperfect" not in capsys.readouterr().err
    values = [json.loads((tmp_path / name / "result.json").read_text())["total"]["energy_pj"]
              for name in ("cut", "whole")]
    assert values[0] < values[1]
    assert cli.run(["check", str(tmp_path / "cut" / "result.json")]) == 0
    assert cli.run(["evaluate", str(spec), str(tmp_path / "cut" / "mapping.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1])["total"]["energy_pj"] == values[0]


@pytest.mark.parametrize("seed", [17, 35])     # 17: enumerated windows; 35: a region without any mapping
def test_random_problems_are_no_worse_and_their_claims_hold(seed):
    rng = Random(seed)
    einsum = rng.choice((
        lambda: gemm(rng.randint(2, 23), rng.randint(1, 13), rng.randint(1, 9)),
        lambda: conv(rng.randint(1, 6), rng.randint(1, 5), rng.randint(3, 9), rng.randint(2, 3),
                     rng.randint(1, 2))))()
    machine = rng.choice((lambda: two_level(rng.randint(12, 60)), lambda: three_level(
        rng.randint(40, 200), rng.randint(6, 20), rng.randint(1, 5), rng.randint(1, 4))))()
    objective = rng.choice(["energy", "latency", "edp", "ed2p", "edp,energy"])
    whole, cut = (tb.search(machine, einsum, objective, imperfect=x) for x in (False, True))
    best, value = (x.layers[0].certificate.value for x in (whole, cut))
    assert value <= best * (1 + 1e-9)
    bounds = [x.bound for x in whole.layers[0].certificate.potential if x.option == "imperfect"]
    assert value >= min(bounds, default=0.99 * best) * (1 - 1e-9)
    checked(whole), checked(cut)
