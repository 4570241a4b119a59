"""Timeloop mapping entries: reading, writing, and the messages for wrong ones."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tilebound.errors import MappingError, SpecError
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.mapping.nest import Block, Loop, Mapping, Skew, SkewTerm
from tilebound.mapping.timeloop import from_timeloop, to_timeloop
from tilebound.spec.nodes import Problems
from tilebound.spec.reader import read_text
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import random_einsum, random_mapping, with_directives, with_remainders

CASES = sorted(Path(__file__).with_name("cases").glob("*/input.yaml"))
KMN = {"M": 16, "N": 8, "K": 4}
ALL = frozenset("ABZ")


def gemm(**extents: int) -> Einsum:
    m, n, k = ((Term(rank),) for rank in "MNK")
    return Einsum("gemm", tuple("MNK"), tuple({**KMN, **extents}.values()), (
        Tensor("A", (m, k)), Tensor("B", (k, n)), Tensor("Z", (m, n), is_output=True)))


def machine(*levels: str | Storage) -> Architecture:
    return Architecture("machine", tuple(Storage(x) if isinstance(x, str) else x for x in levels),
                        Compute("MAC"))


TWO = machine("DRAM", "RF")


def read(entries: Any, architecture: Architecture = TWO) -> Mapping:
    return from_timeloop(entries, architecture, gemm())


def faults(entries: Any, architecture: Architecture = TWO) -> list[str]:
    problems = Problems()
    from_timeloop(entries, architecture, gemm(), problems)
    return [p.message for p in problems.errors]


@pytest.mark.parametrize("factors", [
    "M=2 N=8 K=4", "M=2,N=8,K=4", "M2 N8 K4", "M = 2, N = 8 K=0", "  M=2  N=0 K0 ",
    ["M=2", "N=8", "K=4"], ["M2,N8", "K=4"], {"M": 2, "N": 8, "K": 0}])
def test_factors_may_be_written_in_many_ways(factors: Any) -> None:
    block = read([{"target": "DRAM", "type": "temporal", "factors": factors}]).blocks[0]
    # No permutation: the ranks in the order of the problem, innermost first.
    assert block.temporal == (Loop("K", 4), Loop("N", 8), Loop("M", 2))


@pytest.mark.parametrize("permutation", ["KNM", "K,N,M", "K N M", "KN M", "KN", ["K", "N", "M"]])
def test_permutations_are_innermost_first(permutation: Any) -> None:
    block = read([{"target": 1, "type": "temporal", "factors": "M=2 N=8 K=4",
                   "permutation": permutation}]).blocks[0]
    assert [loop.rank for loop in block.temporal] == ["M", "N", "K"]


def test_ranks_with_long_names() -> None:
    einsum = Einsum("long", ("row", "col", "M0"), (4, 6, 8), (Tensor("Z", (), is_output=True),))
    entries = [{"target": "RF", "type": "temporal", "factors": "row=4 col=6, M0=8",
                "permutation": "col, M0, row"}]
    mapping = from_timeloop(entries, TWO, einsum)
    assert mapping.blocks[1].temporal == (Loop("row", 4), Loop("M0", 8), Loop("col", 6))
    assert from_timeloop(to_timeloop(mapping, einsum), TWO, einsum) == mapping


@pytest.mark.parametrize(("split", "x", "y"), [
    (None, "KNM", ""), (0, "", "KNM"), (1, "M", "KN"), (2, "NM", "K"), (3, "KNM", ""),
    (999, "KNM", "")])
def test_the_first_ranks_of_a_spatial_permutation_run_along_x(
        split: int | None, x: str, y: str) -> None:
    entry = {"target": "DRAM", "type": "spatial", "factors": "M=2 N=2 K=2", "permutation": "MNK"}
    block = read([entry if split is None else {**entry, "split": split}]).blocks[0]
    assert "".join(loop.rank for loop in block.spatial_x) == x
    assert "".join(loop.rank for loop in block.spatial_y) == y


def test_split_counts_ranks_of_one_iteration() -> None:
    block = read([{"target": "DRAM", "type": "spatial", "factors": "M=1 N=2 K=2",
                   "permutation": "MNK", "split": 2}]).blocks[0]
    assert (block.spatial_x, block.spatial_y) == ((Loop("N", 2),), (Loop("K", 2),))


@pytest.mark.parametrize("kind", ["bypass", "datatype", "dataspace"])
def test_everything_is_kept_unless_bypassed(kind: str) -> None:
    mapping = read([{"target": 0, "type": kind, "keep": ["A"], "bypass": ["Z"]}])
    assert [block.keep for block in mapping] == [ALL, frozenset("AB")]


def test_a_level_that_must_bypass_a_tensor_does_so_unless_told_to_keep_it() -> None:
    levels = machine("DRAM", Storage("RF", bypass=frozenset("AZ")))
    keep_a = [{"target": "RF", "type": "bypass", "keep": ["A"]}]
    assert read([], levels).blocks[1].keep == frozenset("B")
    assert read(keep_a, levels).blocks[1].keep == frozenset("AB")


def test_options_of_a_spatial_entry() -> None:
    block = read([{"target": "DRAM", "type": "spatial", "factors": "M=2", "no_reuse": ["A"],
                   "no_link_transfer": ["A", "Z"]}]).blocks[0]
    assert (block.no_multicast, block.no_links) == (frozenset("A"), frozenset("AZ"))


def test_a_mapping_is_written_as_timeloop_prints_it() -> None:
    mapping = Mapping((
        Block("DRAM", ALL, (Loop("N", 2), Loop("M", 2)), (Loop("M", 8),), (Loop("K", 4),),
              frozenset("B")),
        Block("RF", frozenset("AZ"), (Loop("N", 4),))))
    assert to_timeloop(mapping, gemm()) == [
        {"target": "DRAM", "type": "temporal", "factors": "M=2 N=2 K=1", "permutation": "MNK"},
        {"target": "DRAM", "type": "spatial", "factors": "M=8 N=1 K=4", "permutation": "MKN",
         "split": 1, "no_reuse": ["B"]},
        {"target": "DRAM", "type": "bypass", "keep": ["A", "B", "Z"], "bypass": []},
        {"target": "RF", "type": "temporal", "factors": "M=1 N=4 K=1", "permutation": "NMK"},
        {"target": "RF", "type": "bypass", "keep": ["A", "Z"], "bypass": ["B"]}]


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_reading_undoes_writing(seed: int, levels: int) -> None:
    rng = Random(seed)
    einsum = random_einsum(rng, 3000)
    mapping = random_mapping(rng, einsum, levels, max_instances=24)
    einsum, mapping = with_remainders(rng, einsum, mapping)
    mapping = with_directives(rng, einsum, mapping)
    try:
        entries = to_timeloop(mapping, einsum)
    except MappingError:
        # Only a rank along both axes of one array cannot be said.
        assert any(set(b.factors("x")) & set(b.factors("y")) for b in mapping)
        return
    architecture = machine(*(block.level for block in mapping))
    assert from_timeloop(entries, architecture, einsum) == mapping
    assert from_timeloop(yaml.safe_load(yaml.safe_dump(entries)), architecture, einsum) == mapping


def test_a_rank_with_two_loops_in_one_entry_cannot_be_written() -> None:
    both = Block("DRAM", ALL, (), (Loop("M", 2),), (Loop("M", 4),))
    twice = Block("RF", ALL, (Loop("N", 2), Loop("K", 4), Loop("N", 4)))
    with pytest.raises(MappingError) as caught:
        to_timeloop(Mapping((both, twice)), gemm())
    assert caught.value.reasons == (
        "DRAM: rank M has two spatial loops, a Timeloop mapping allows one",
        "RF: rank N has two temporal loops, a Timeloop mapping allows one")


@pytest.mark.parametrize(("entry", "message"), [
    ({"target": "DRAM", "type": "temporal", "factor": "M=2"},
     "unknown key 'factor' in a mapping entry; expected one of target, type, factors, permutation, "
     "split, keep, bypass, no_reuse, no_link_transfer, no_temporal_reuse, rmw_first_update, "
     "no_coalesce, ...; did you mean 'factors'?"),
    ({"target": "DRMA", "type": "temporal"},
     "no storage level 'DRMA'; expected one of DRAM, RF or an index from 0 (innermost) to 1; "
     "did you mean 'DRAM'?"),
    ({"target": 2, "type": "temporal"},
     "no storage level 2; expected one of DRAM, RF or an index from 0 (innermost) to 1"),
    ({"target": True, "type": "temporal"},
     "no storage level True; expected one of DRAM, RF or an index from 0 (innermost) to 1"),
    ({"type": "temporal"}, "mapping entry without `target`; expected one of DRAM, RF"),
    ({"target": "RF", "type": "spacial"},
     "mapping entry of type 'spacial'; expected one of temporal, spatial, bypass, datatype, "
     "dataspace, skew; did you mean 'spatial'?"),
    ({"target": "RF", "type": "temporal", "factors": "X=2"},
     "no rank 'X' in gemm; expected one of M, N, K"),
    ({"target": "RF", "type": "temporal", "factors": "k=2"},
     "no rank 'k' in gemm; expected one of M, N, K; did you mean 'K'?"),
    ({"target": "RF", "type": "temporal", "factors": "M=2 M=4"},
     "rank M has two factors; expected one"),
    ({"target": "RF", "type": "temporal", "factors": "M<=2"},
     "factors 'M<=2'; expected RANK=NUMBER, separated by spaces or commas"),
    ({"target": "RF", "type": "temporal", "factors": "M=2.5"},
     "factors '.5'; expected RANK=NUMBER, separated by spaces or commas"),
    ({"target": "RF", "type": "temporal", "factors": [["M", 2]]},
     "a list among factors; expected RANK=NUMBER"),
    ({"target": "RF", "type": "temporal", "permutation": "MNM"},
     "permutation lists rank M twice; expected once"),
    ({"target": "RF", "type": "spatial", "split": "X"}, "split 'X'; expected a number of ranks, 0 or more"),
    ({"target": "RF", "type": "bypass", "keep": ["AA"]},
     "no tensor 'AA' in gemm; expected one of A, B, Z; did you mean 'A'?"),
    ({"target": "RF", "type": "bypass", "keep": "A"}, "keep 'A'; expected a list of tensors"),
    ({"target": "RF", "type": "bypass", "keep": ["A"], "bypass": ["A"]},
     "tensor A is both kept and bypassed at level RF; expected one of the two"),
    ({"target": "RF", "type": "temporal", "factors": "M=4,5"},
     "factor M=4,5; expected 1 to 4 iterations in the last pass"),
    ({"target": "RF", "type": "skew"}, "a skew; expected `modulo`, an integer above 0"),
    ({"target": "RF", "type": "skew", "modulo": 2, "terms": [{"variable": {"dimension": "M"}}]},
     "variable of a skew term; expected `dimension`, and `type` one of temporal, spatial"),
    ("RF", "a mapping entry is 'RF'; expected a mapping with the keys `target` and `type`"),
])
def test_a_wrong_entry_is_named(entry: Any, message: str) -> None:
    assert faults([entry]) == [message]


def test_every_fault_is_found_at_its_place() -> None:
    lines = ["- {target: DRMA, type: temporal, factors: X=2}",
             "- {target: RF, type: temporal}",
             "- {target: RF, type: temporal, permutation: KQ}",
             "- {target: RF, type: bypass, kep: [A], bypass: [Q]}"]
    [node] = read_text("\n".join(lines), Problems(), "m.yaml")
    with pytest.raises(SpecError) as caught:
        read(node)
    # The second temporal entry of RF is wrong as a whole, so its permutation is not read.
    places = [(0, "DRMA"), (0, "X=2"), (2, "{"), (3, "kep"), (3, "Q")]
    assert [(p.file, p.line, p.column) for p in caught.value.problems] == [
        ("m.yaml", line + 1, lines[line].index(text) + 1) for line, text in places]


def test_keys_of_old_mappers_without_effect_are_passed_over() -> None:
    assert read([{"target": "RF", "type": "datatype", "stream": ["A"]}]) == read([])


def test_remainders_and_directives_are_read() -> None:
    term = {"constant": 2, "variable": {"dimension": "K", "type": "temporal"}}
    outer, inner = read([
        {"target": "DRAM", "type": "temporal", "factors": "M=4", "no_reuse": ["A"]},
        {"target": "DRAM", "type": "spatial", "no_reuse": ["B"]},
        {"target": "RF", "type": "temporal", "factors": "M=5,1 K=4", "no_temporal_reuse": ["A"],
         "rmw_first_update": ["Z"]},
        {"target": "RF", "type": "bypass", "no_coalesce": ["A", "Z"]},
        {"target": "RF", "type": "skew", "modulo": 4, "terms": [{"constant": 1}, term]}]).blocks
    assert outer == Block("DRAM", ALL, (Loop("M", 4),), no_multicast=frozenset("B"),
                          no_temporal_reuse=frozenset("A"))
    assert inner == Block(
        "RF", ALL, (Loop("K", 4), Loop("M", 5, 1)), no_temporal_reuse=frozenset("A"),
        rmw_first_update=frozenset("Z"), no_coalesce=frozenset("AZ"),
        skew=Skew(4, (SkewTerm(1), SkewTerm(2, "K"))))


def test_what_cannot_be_evaluated_is_refused_and_not_misread() -> None:
    problems = Problems()
    entry = {"target": "RF", "type": "skew", "modulo": 4, "terms": [{"bound": {"dimension": "K"}}]}
    from_timeloop([entry], TWO, gemm(), problems)
    assert not problems.errors and len(problems.unsupported) == 1
    with pytest.raises(SpecError, match="unsupported"):
        read([entry])


def test_a_remainder_equal_to_the_bound_is_none() -> None:
    assert read([{"target": "RF", "type": "temporal", "factors": "M=4,4 N=2"}]).blocks[1].temporal == (
        Loop("N", 2), Loop("M", 4))


def skeleton(document: dict[str, Any]) -> tuple[Architecture, Einsum]:
    """The names in a reference case: storage levels in order, ranks, tensors."""
    names, node = [], document.get("architecture") or document["arch"]
    if "storage" in node:
        names = [level["name"] for level in reversed(node["storage"])]
    while "subtree" in node:
        node = node["subtree"][0]
        names += [x["name"].split("[")[0] for x in node.get("local", [])
                  if x["class"] not in ("intmac", "mac", "compute", "fpmac")]
    shape = document["problem"]["shape"]
    extents = document["problem"].get("instance", document["problem"])
    einsum = Einsum("case", tuple(shape["dimensions"]), tuple(extents[r] for r in shape["dimensions"]),
                    tuple(Tensor(t["name"], (), bool(t.get("read_write"))) for t in shape["data_spaces"]))
    return machine(*names), einsum


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.parent.name)
def test_mappings_of_the_reference_cases_survive_writing(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    if "flatten" in document["problem"]["shape"]:
        pytest.skip("the loops are over a rank made of two others")
    architecture, einsum = skeleton(document)
    problems = Problems()
    mapping = from_timeloop(document["mapping"], architecture, einsum, problems)
    assert not problems.errors
    assert from_timeloop(to_timeloop(mapping, einsum), architecture, einsum) == mapping
