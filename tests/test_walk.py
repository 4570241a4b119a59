"""Nests with remainders and directives: the walk against closed forms, a simulation and recorded
outputs, and where the two semantics differ."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from tilebound.errors import MappingError
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.loading import load_specs
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import Template
from tilebound.mapping.text import format_nest
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import check_mapping
from tilebound.model.cost import Semantics
from tilebound.model.counts import count, tensor_cases
from tilebound.model.evaluate import evaluate
from tilebound.model.imperfect import exact_traffic, sampled_traffic
from tilebound.workload.einsum import Einsum, Tensor, Term

from oracle import simulate
from strategies import random_architecture, random_case, with_remainders
from test_conformance import CASES, run
from test_oracle import linked as with_links


def linked(architecture: Architecture) -> Architecture:
    return replace(architecture, levels=tuple(
        replace(x, network=replace(x.network, links=True)) for x in architecture.levels))


@pytest.mark.parametrize("batch", range(10))
def test_the_walk_of_a_perfect_nest_counts_what_its_closed_form_says(batch: int) -> None:
    for seed in range(20 * batch, 20 * batch + 20):
        architecture, einsum, mapping = random_case(Random(f"walk {seed}"), max_levels=4)
        for machine in (architecture, linked(architecture)):
            closed = count(machine, einsum, mapping)
            for case in tensor_cases(machine, einsum, mapping):
                traffic = closed.traffic[case.tensor.name]
                sampled, points = sampled_traffic(case)
                assert sampled.accesses == traffic.accesses, f"seed {seed}"
                assert sampled.sent == traffic.sent, f"seed {seed}"
                assert sampled.passed == traffic.passed, f"seed {seed}"
                assert points * closed.instances[-1] == einsum.macs
                if machine is architecture:
                    exact = exact_traffic(case)
                    assert exact.accesses == traffic.accesses, f"seed {seed}"
                    assert exact.sent == traffic.sent, f"seed {seed}"


def imperfect_case(rng: Random, max_points: int = 200) -> tuple[Architecture, Einsum, Mapping]:
    while True:
        _, einsum, mapping = random_case(rng, max_points=max_points, max_levels=4)
        einsum, mapping = with_remainders(rng, einsum, mapping)
        if not mapping.perfect:
            return random_architecture(rng, einsum, mapping), einsum, mapping


def plain(einsum: Einsum, mapping: Mapping) -> bool:
    """Whether each step of a loop loads as much as its second one: there are no sliding windows, or
    no loop goes beyond its second iteration."""
    windows = any(len(axis) > 1 for t in einsum.tensors for axis in t.projection)
    return not windows or all(x.factor == 2 for block in mapping for x in block.temporal)


def differences(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> list[str]:
    """Where exact semantics and the simulation disagree, in totals over all instances."""
    cost = evaluate(architecture, einsum, mapping)
    truth = simulate(architecture, einsum, mapping, all_arrays=True)
    found = [] if cost.computes == truth.macs else [f"macs: {cost.computes}, not {truth.macs}"]
    steps = count(architecture, einsum, mapping).cycles
    if steps != truth.steps:
        found.append(f"steps: {steps}, not {truth.steps}")
    for level, network in zip(cost.levels, cost.networks, strict=True):
        for name, x in level.tensors.items():
            total = truth.totals[level.name, name]
            for what in ("reads", "fills", "updates"):
                words = getattr(x, what) * level.utilized_instances
                if words != pytest.approx(getattr(total, what), rel=1e-12, abs=1e-9):
                    found.append(f"{level.name}, {name}, {what}: {words}, not {getattr(total, what)}")
        for name in (t.name for t in einsum.tensors):
            transfer = network.tensors.get(name)
            sent = {m: n * level.utilized_instances
                    for m, n in (transfer.accesses if transfer else {}).items() if n}
            if sent != pytest.approx(truth.sent_by_all[level.name, name], rel=1e-12):
                found.append(f"sent below {level.name}, {name}: {sent}, "
                             f"not {truth.sent_by_all[level.name, name]}")
    return found and [*found, str(einsum), *format_nest(mapping, architecture, einsum)]


@pytest.mark.parametrize("seed", [1894])     # an instance of an inner level that is never at work
def test_exact_semantics_counts_what_the_simulation_moves_in_odd_nests(seed: int) -> None:
    assert not (found := differences(*imperfect_case(Random(f"uneven {seed}")))), "\n".join(found)


@pytest.mark.parametrize("batch", range(10))
def test_exact_semantics_counts_what_the_simulation_moves(batch: int) -> None:
    tried = 0
    for seed in range(60 * batch, 60 * batch + 60):
        case = imperfect_case(Random(f"uneven {seed}"))
        assert check_mapping(*case) == [], f"seed {seed}"
        if plain(*case[1:]):
            assert not (found := differences(*case)), "\n".join([f"seed {seed}", *found])
            tried += 1
    assert tried > 5


@pytest.mark.parametrize("batch", range(4))
def test_neighbours_pass_on_what_the_simulation_passes_on(batch: int) -> None:
    """Also between units or buffers below levels that do not hold the tensor themselves."""
    tried = 0
    for seed in range(250 * batch, 250 * batch + 250):
        architecture, einsum, mapping = imperfect_case(Random(f"uneven links {seed}"))
        if not plain(einsum, mapping):
            continue
        machine, mapping = with_links(architecture, mapping)
        if any(any(x.passed) for x in count(machine, einsum, mapping).traffic.values()):
            assert not (found := differences(machine, einsum, mapping)), "\n".join([f"seed {seed}", *found])
            tried += 1
    assert tried > 5


@pytest.mark.parametrize("batch", range(4))
def test_neighbours_in_every_array_pass_words_on(batch: int) -> None:
    """With whole factors; Timeloop sees one array, and takes averages for whole words."""
    tried = 0
    for seed in range(200 * batch, 200 * batch + 200):
        architecture, einsum, mapping = random_case(Random(f"links {seed}"), max_levels=4, max_points=128)
        machine, mapping = with_links(architecture, mapping)
        if any(any(x.passed) for x in count(machine, einsum, mapping).traffic.values()):
            assert not (found := differences(machine, einsum, mapping)), "\n".join([f"seed {seed}", *found])
            tried += 1
    assert tried > 20


@pytest.mark.parametrize(("name", "macs", "cycles", "dram_reads"), [
    # (timeloop, exact): the mean number of instances is cut off to a whole one,
    ("gemm_imperfect_s", (7168, 7424), (1024, 1024), (1024 + 256 + 48, 928 + 256)),
    # the first instance is taken for all, though the last has less to do,
    ("gemm_imperfect_st", (5616, 5434), (576, 468), (858 + 741, 858 + 741)),
    # and a pass that ends early is taken to be as long, and to load as much, as the others.
    ("gemm_imperfect_t", (2431, 2431), (6912, 2431), (408 + 468, 374 + 429))])
def test_remainders_in_both_semantics(name: str, macs: tuple[int, int], cycles: tuple[int, int],
                                      dram_reads: tuple[int, int]) -> None:
    costs = [run(CASES / name, semantics)[0] for semantics in ("timeloop", "exact")]
    assert tuple(x.computes for x in costs) == macs
    assert tuple(x.cycles for x in costs) == cycles
    assert tuple(sum(t.reads for t in x.level("DRAM").tensors.values()) for x in costs) == dram_reads


@pytest.mark.parametrize("name", ["gemm_imperfect_s", "gemm_imperfect_st", "gemm_imperfect_t"])
def test_recorded_nests_with_remainders_are_counted_right(name: str) -> None:
    loaded = load_specs([CASES / name / "input.yaml"], need=("architecture", "workload", "mapping"))
    einsum, = loaded.workload
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    assert not (found := differences(loaded.architecture, einsum, mapping)), "\n".join(found)


def test_semantics_differ_only_where_something_is_cut_off() -> None:
    for seed in range(60):
        case = random_case(Random(f"same {seed}"), max_levels=4)
        assert count(*case, "exact") == count(*case, "timeloop")


def test_no_count_is_negative_and_all_points_are_computed() -> None:
    for seed in range(60):
        architecture, einsum, mapping = imperfect_case(Random(f"signs {seed}"), max_points=600)
        for semantics in ("exact", "timeloop"):
            found = count(architecture, einsum, mapping, semantics)
            for traffic in found.traffic.values():
                for x in filter(None, traffic.accesses):
                    assert min(x.reads, x.fills, x.updates, x.temporal_reductions) >= 0
            assert found.cycles * architecture.compute.instances >= found.computes > 0
        assert count(architecture, einsum, mapping).computes == einsum.macs


def test_directives_without_a_known_meaning_are_refused() -> None:
    architecture, einsum, mapping = imperfect_case(Random(1))
    outer, *inner = mapping.blocks
    held = replace(outer, no_coalesce=outer.keep)
    with pytest.raises(MappingError, match="no_coalesce"):
        evaluate(architecture, einsum, Mapping((held, *inner)))
    with pytest.raises(MappingError, match="skewed"):
        run(CASES / "gemm_skew", "exact")


def test_a_window_that_slides_to_a_cut_off_tile() -> None:
    """31 outputs in tiles of 8 (the last one of 7), windows of 3: tiles of 10 and 9 inputs."""
    p, r = Term("P"), Term("R")
    einsum = Einsum("conv", ("P", "R"), (31, 3), (
        Tensor("W", ((r,),)), Tensor("I", ((p, r),)), Tensor("O", ((p,),), is_output=True)))
    keep = frozenset("WIO")
    mapping = Mapping((Block("A", keep, (Loop("P", 4),)), Block("B", keep),
                       Block("C", keep, (Loop("P", 8, 7), Loop("R", 3)))))
    machine = Architecture("three", (Storage("A"), Storage("B"), Storage("C")), Compute("MAC"))
    assert check_mapping(machine, einsum, mapping) == []

    def fills(semantics: Semantics) -> list[float]:
        return [x.fills for x in count(machine, einsum, mapping, semantics).traffic["I"].accesses if x]

    assert fills("exact") == [0, 10 + 8 + 8 + 7, 10 + 8 + 8 + 7]
    # The program takes the last step for one like the second, or jumps and loads the whole tile.
    assert fills("timeloop") == [0, 10 + 8 + 8 + 8, 10 + 8 + 8 + 9]


def test_a_skew_that_goes_once_around_is_counted_for_one_place() -> None:
    """The program takes the first instance for as many as there are places where it ever stood, and
    so loses the work that it did elsewhere: 16 of 64 points, in 4 of 16 cycles."""
    cost, recorded = run(CASES / "gemm_skew", "timeloop")
    assert (cost.computes, cost.cycles) == (16, 4)
    assert recorded["summary"]["cycles"] == 4


def test_classes_of_mappings_have_no_remainders_nor_directives() -> None:
    _, einsum, mapping = random_case(Random(3))
    assert Template.of(einsum, mapping)
    outer, *inner = mapping.blocks
    with pytest.raises(ValueError, match="no class"):
        Template.of(einsum, Mapping((replace(outer, no_coalesce=outer.keep), *inner)))
    with pytest.raises(ValueError, match="no class"):
        Template.of(*imperfect_case(Random(3))[1:])
