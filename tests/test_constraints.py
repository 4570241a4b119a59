"""Constraints: both spellings, their faults, and the check of a mapping against them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random

import pytest
import tilebound as tb
from tilebound.api import read_constraints as read_sections
from tilebound.errors import SpecError
from tilebound.loading import load_specs
from tilebound.mapping.constraints import (
    Constraints,
    FactorRange,
    LevelConstraints,
    LoopRules,
    violations,
)
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.read_constraints import read_constraints
from tilebound.mapping.write_constraints import constraints_to_dict
from tilebound.spec.nodes import Problems, locate
from tilebound.workload.graph import WorkloadGraph

from test_search import gemm, three_level

MACHINE = three_level()
GRAPH = WorkloadGraph("net", [(gemm(8, 6, 4), 1)])


def read(*sections):
    problems = Problems()
    found = read_constraints(list(map(locate, sections)), MACHINE, GRAPH, problems)
    if problems.errors or problems.unsupported:
        raise SpecError([*problems.errors, *problems.unsupported])
    return found


def glb(**parts):
    return Constraints((LevelConstraints("GLB", **parts),))


@pytest.mark.parametrize("entry, expected", [
    ({"type": "temporal", "factors": "M=2, N<=3 K>=2"}, glb(temporal=LoopRules((
        ("M", FactorRange(2, 2)), ("N", FactorRange(1, 3)), ("K", FactorRange(2)))))),
    ({"type": "temporal", "factors": ["M2", "N=0", "K=-1"]}, glb(temporal=LoopRules((
        ("M", FactorRange(2, 2)), ("N", FactorRange(rest=True)), ("K", FactorRange(rest=True)))))),
    ({"type": "temporal", "factors": {"M": 2, "N": "<=3"}}, glb(temporal=LoopRules((
        ("M", FactorRange(2, 2)), ("N", FactorRange(1, 3)))))),
    ({"type": "temporal", "permutation": "KM"}, glb(temporal=LoopRules(inner=("K", "M")))),
    ({"type": "temporal", "permutation": "K,M"}, glb(temporal=LoopRules(inner=("K",), outer=("M",)))),
    ({"type": "temporal", "permutation": "KN M"}, glb(temporal=LoopRules(inner=("K", "N"), outer=("M",)))),
    ({"type": "temporal", "permutation": ",M"}, glb(temporal=LoopRules(outer=("M",)))),
    ({"type": "temporal", "permutation": ["K", "N", "M"]}, glb(temporal=LoopRules(inner=("K", "N", "M")))),
    ({"type": "temporal", "permutation": "K, N, M"}, glb(temporal=LoopRules(inner=("K", "N", "M")))),
    ({"type": "spatial", "permutation": "K", "split": 1}, glb(spatial=LoopRules(inner=("K",), split=1))),
    ({"type": "spatial", "factors": "K>=2", "default_max_factor": 4}, glb(spatial=LoopRules(
        (("K", FactorRange(2, 4)),), FactorRange(1, 4)))),
    *(({"type": "spatial", "factors": text, "default_max_factor": 4}, glb(spatial=LoopRules(
        (("K", FactorRange(2, 8)),), FactorRange(1, 4)))) for text in ("K>=2 K<=8", "K<=8, K>=2")),
    ({"type": "spatial", "factors": "K>=2 K<=2147483647", "default_max_factor": 4}, glb(spatial=LoopRules(
        (("K", FactorRange(2)),), FactorRange(1, 4)))),
    ({"type": "spatial", "factors": "K=8", "default_max_factor": 4, "default_min_factor": 2}, glb(
        spatial=LoopRules((("K", FactorRange(8, 8)),), FactorRange(2, 4)))),
    ({"type": "bypass", "keep": ["A"], "bypass": ["B"]}, glb(keep=frozenset("A"), bypass=frozenset("B"))),
    ({"type": "dataspace", "keep": ["*"]}, glb(keep=frozenset("ABZ"))),
    ({"type": "spatial", "no_reuse": ["A"]}, glb(no_multicast=frozenset("A"))),
    ({"type": "temporal", "factors": "M=2", "remainders": "M=2"}, glb(temporal=LoopRules((
        ("M", FactorRange(2, 2)),)))),
    ({"type": "temporal", "factors": "M=4,3 N=2"}, glb(temporal=LoopRules((
        ("M", FactorRange(4, 4)), ("N", FactorRange(2, 2))), remainders=(("M", 3),)))),
    ({"type": "spatial", "factors": "M<=4", "remainders": "M=3 N=2"}, glb(spatial=LoopRules((
        ("M", FactorRange(1, 4)),), remainders=(("M", 3), ("N", 2))))),
    ({"type": "utilization", "min": 0.5}, Constraints(min_utilization=0.5))])
def test_timeloop_entries(entry, expected):
    assert read([{"target": "GLB", **entry}]) == expected
    assert read({"targets": [{"target": 1, **entry}]}) == expected       # counted from the innermost


def test_sections_are_merged_and_templates_ask_nothing():
    entries = [{"target": "GLB", "type": "temporal", "factors": "M<=4"},
               {"target": "GLB", "type": "temporal", "factors": "M>=2 N=1"}]
    expected = glb(temporal=LoopRules((("M", FactorRange(2, 4)), ("N", FactorRange(1, 1)))))
    assert read({"targets": entries[:1]}, {"version": 0.4, "constraints": entries[1:]}) == expected
    assert read({"version": "0.4", "template": "uber"}) == Constraints()


@pytest.mark.parametrize("section, message", [
    ([{"target": "GLC", "type": "temporal"}], "no storage level 'GLC'; expected one of DRAM, GLB, RF; d"),
    ([{"type": "temporal"}], "no target"),
    ([{"target": "GLB", "type": "temporl"}], "did you mean 'temporal'"),
    ([{"target": "GLB"}], "constraint without `type`; expected this key, with one of temporal, spatial, "),
    ([{"target": "GLB", "type": "temporal", "factors": "X=2"}], "no rank 'X'"),
    ([{"target": "GLB", "type": "temporal", "factors": "M~2"}], "factors"),
    ([{"target": "GLB", "type": "temporal", "factors": "M=-3"}], "expected 1 or more"),
    ([{"target": "GLB", "type": "temporal", "factors": "M=4,5"}], "less than the factor 4"),
    ([{"target": "GLB", "type": "temporal", "factors": "M<=4,3"}], "a single number"),
    ([{"target": "GLB", "type": "temporal", "factors": "M=4", "remainders": "M=0"}], "remainder 0"),
    ([{"target": "GLB", "type": "temporal", "remainders": "M<=3"}], "remainder 0"),
    ([{"target": "GLB", "type": "temporal", "remainders": "X=3"}], "no rank 'X'"),
    ({"levels": [{"level": "GLB", "spatial": {"remainders": {"M": 1.5}}}]}, "remainder 0"),
    ({"levels": [{"level": "GLB", "spatial": {"factors": {"M": 2}, "remainders": {"M": 2}}}]}, "less than"),
    ([{"target": "GLB", "type": "temporal", "permutation": "KX"}], "no rank 'X'"),
    ([{"target": "GLB", "type": "temporal", "no_temporal_reuse": ["A"]}], "does not take"),
    ([{"target": "GLB", "type": "spatial", "split": -1}], "split -1"),
    ([{"target": "GLB", "type": "bypass", "keep": ["W"]}], "no tensor 'W'"),
    ([{"target": "GLB", "type": "temporal", "permutatoin": "K"}], "did you mean 'permutation'"),
    ([{"target": "GLB", "type": "temporal", "factors": "M=4"},
      {"target": "GLB", "type": "temporal", "factors": "M=2"}], "expected ranges that meet"),
    ([{"target": "GLB", "type": "temporal", "permutation": "M"},
      {"target": "GLB", "type": "temporal", "permutation": "N"}], "a second temporal inner"),
    ([{"target": "GLB", "type": "parallelism", "min": 4}], "from 0 to 1"),
    ([{"target": "GLB", "type": "temporal", "permutation": "M,M"}], "both innermost and outermost"),
    ([{"target": "GLB", "type": "temporal", "permutation": "MNM"}], "lists rank M twice; expected once"),
    ([{"target": "GLB", "type": "temporal", "permutation": ["M", "M"]}], "lists rank M twice; expected once"),
    ([{"target": "GLB", "type": "temporal", "factors": [["M", 2]]}], "a list among factors"),
    ({"targts": []}, "unknown key 'targts' among constraints; .* did you mean 'targets'"),
    ("everything", "expected a list of entries"),
    ({"levels": [{"level": "GLB", "temporal": {"factors": {"M": "2 or so"}}}]}, "expected a number"),
    ({"levels": [{"level": "GLB", "temporal": {"split": 2}}]}, "unknown key 'split'")])
def test_faults(section, message):
    with pytest.raises(SpecError, match=message.replace("(", r"\(")):
        read(section)


def random_rules(rng, split):
    ranges = (FactorRange(2, 2), FactorRange(1, 3), FactorRange(2), FactorRange(2, 4), FactorRange(rest=True),
              FactorRange(1, 4, True))
    order = rng.sample("MNK", rng.randint(0, 3))
    cut = rng.randint(0, len(order))
    return LoopRules(tuple((r, rng.choice(ranges)) for r in "MNK" if rng.random() < 0.5),
                     rng.choice((FactorRange(), FactorRange(1, 4))), tuple(order[:cut]), tuple(order[cut:]),
                     rng.choice((None, 0, 2)) if split else None)


@pytest.mark.parametrize("seed", range(40))
def test_native_text_reads_back_to_equal_constraints(seed):
    rng = Random(seed)
    levels = [LevelConstraints(name, frozenset(rng.sample("ABZ", rng.randint(0, 1))), frozenset(),
                               random_rules(rng, False), random_rules(rng, True), frozenset("B"))
              for name in ("DRAM", "GLB", "RF") if rng.random() < 0.7]
    constraints = Constraints(tuple(levels), rng.choice((0.0, 0.25)))
    assert read(constraints_to_dict(constraints)) == constraints


MAPPING = Mapping((
    Block("DRAM", frozenset("ABZ"), (Loop("N", 3), Loop("M", 2))),
    Block("GLB", frozenset("AB"), (Loop("K", 2),), (Loop("M", 2),), (Loop("N", 2),)),
    Block("RF", frozenset("ABZ"), (Loop("M", 2), Loop("K", 2)))))


@pytest.mark.parametrize("entry, broken", [
    ({"target": "GLB", "type": "bypass", "bypass": ["Z"], "keep": ["A"]}, None),
    ({"target": "GLB", "type": "bypass", "keep": ["Z"]}, "GLB: tensor Z is bypassed, must be kept"),
    ({"target": "RF", "type": "bypass", "bypass": ["A"]}, "RF: tensor A is kept, must be bypassed"),
    ({"target": "DRAM", "type": "temporal", "permutation": "MN"}, None),
    ({"target": "DRAM", "type": "temporal", "permutation": "KMN"}, None),
    ({"target": "DRAM", "type": "temporal", "permutation": "N"}, "temporal loops run over N, M"),
    ({"target": "DRAM", "type": "temporal", "permutation": " M"}, "temporal loops run over N, M"),
    ({"target": "RF", "type": "temporal", "factors": "M<=1"}, "temporal factor of rank M is 2, must be 1"),
    ({"target": "RF", "type": "temporal", "factors": "K>=4"}, "temporal factor of rank K is 2, must be 4"),
    ({"target": "RF", "type": "temporal", "factors": "N=0"}, "temporal factor of rank N is 1, must be 6"),
    ({"target": "GLB", "type": "spatial", "factors": "M=2 N=2 K=1"}, None),
    ({"target": "GLB", "type": "spatial", "permutation": "MN", "split": 1}, None),
    ({"target": "GLB", "type": "spatial", "split": 1}, None),
    ({"target": "GLB", "type": "spatial", "split": 0}, "may be unrolled along x"),
    ({"target": "GLB", "type": "spatial", "permutation": "MN", "split": 2},
     "rank N must not be unrolled along y"),
    ({"target": "GLB", "type": "spatial", "permutation": "NM"}, "must come before"),
    ({"target": "GLB", "type": "spatial", "no_reuse": ["B"]}, "tensor B is multicast"),
    ({"target": "GLB", "type": "utilization", "min": 1.0}, None)])
def test_violations(entry, broken):
    found = violations(read([entry]), MACHINE, GRAPH["gemm"], MAPPING)
    assert found == [] if broken is None else len(found) == 1 and broken in found[0]


def test_too_few_units_at_work():
    idle = Mapping((Block("DRAM", frozenset("ABZ"), (Loop("M", 8), Loop("N", 6), Loop("K", 4))),
                    Block("GLB", frozenset("ABZ")), Block("RF", frozenset("ABZ"))))
    assert violations(Constraints(min_utilization=0.5), MACHINE, GRAPH["gemm"], idle) == [
        "MAC: 1 of 4 at work, must be 2 or more"]


def test_constraints_inside_a_timeloop_architecture_join_the_others():
    def component(name, kind, **attributes):
        return {"name": name, "class": kind, "attributes": {"word_bits": 16, **attributes}}

    spec = {
        "architecture": {
            "subtree": [{"name": "machine", "local": [
                component("DRAM", "DRAM"), component("RF", "regfile", depth=64),
                component("MAC", "intmac")]}],
            "constraints": {"targets": [{"target": "RF", "type": "temporal", "factors": "R=1"}]}},
        "problem": {"shape": "conv1d", "instance": {"P": 8, "R": 3}},
        "architecture_constraints": [{"target": "DRAM", "type": "temporal", "permutation": "PR"}]}
    loaded = load_specs([spec])
    found = read_sections([loaded.sections["architecture_constraints"]], loaded.architecture, loaded.workload)
    assert found == Constraints((
        LevelConstraints("DRAM", temporal=LoopRules(inner=("P", "R"))),
        LevelConstraints("RF", temporal=LoopRules((("R", FactorRange(1, 1)),)))))


# ---- published constraints -----------------------------------------------------------------------

REFERENCE = Path(os.environ.get("TILEBOUND_REFERENCE", "/nonexistent"))
needs_reference = pytest.mark.skipif(not (REFERENCE / "mapper").is_dir(), reason="no reference at hand")


@needs_reference
@pytest.mark.parametrize("name, least", [
    ("eyeriss_alexnet_conv2", "energy"), ("eyeriss_resnet50_1x1", "edp"), ("simba_resnet18_l4", "edp")])
def test_published_row_stationary_and_simba_constraints_are_mapped_no_worse(name, least):
    path = REFERENCE / "mapper" / name / "input.yaml"
    problems = json.loads((REFERENCE / "mapper" / "best.json").read_text())["problems"]
    known = {problem["problem"]: problem for problem in problems}
    best = known[name]["best_edp_pj_cycles" if least == "edp" else "best_energy_pj"]
    loaded = load_specs([path])
    sections = [loaded.sections["architecture_constraints"]]
    constraints = read_sections(sections, loaded.architecture, loaded.workload)
    result = tb.search(loaded.architecture, loaded.workload, least, constraints=constraints,
                       time_limit=15)
    layer = result.layers[0]
    assert layer.certificate.value <= best * (1 + 1e-9)
    assert not violations(constraints, loaded.architecture, layer.einsum, layer.mapping)
