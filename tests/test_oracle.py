"""The cost model against the nested-loop simulation of `oracle.py`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.loading import load_specs
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.text import format_nest
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum, Tensor, Term

from oracle import Count, simulate
from strategies import random_case, seeds

CASES = Path(__file__).with_name("cases")
#: Recorded outputs of the reference program for nests small enough to walk.
SMALL_CASES = (
    "conv1_P_R_order", "conv1_R_P_order", "conv1_R_outer", "conv1_d2", "conv1_negative_coeff",
    "conv1_s1", "conv1_s2", "conv1_sp_P", "conv1_sp_link", "conv1_sp_link_off", "conv2_fc",
    "conv2_pointwise", "dwconv", "gemm1_dram_only", "gemm2_order_KNM", "gemm2_order_MKN",
    "gemm2_order_MNK", "gemm2_order_NMK", "gemm3_bypass_AB_rf", "gemm3_bypass_A_both",
    "gemm3_bypass_Z_dram", "gemm3_bypass_Z_rf", "gemm3_bypass_all_rf", "gemm3_bypass_none",
    "gemm_sp_2d_MK", "gemm_sp_multicast_N", "gemm_sp_no_reuse", "gemm_sp_reduce_K",
    "gemm_sp_rf_bypass", "gemm_sp_underutil", "gemm_temporal_reuse_base", "tile_width",
    "wire_energy")


def differences(architecture: Architecture, einsum: Einsum, mapping: Mapping,
                networks: bool = True) -> list[str]:
    """Where `evaluate` and the simulation disagree, one line a count, with the nest at the end. Without
    `networks`, what is sent over these does not count."""
    cost = evaluate(architecture, einsum, mapping, "timeloop")
    truth = simulate(architecture, einsum, mapping)
    found = [] if cost.computes == truth.macs else [f"macs: {cost.computes}, not {truth.macs}"]
    model = {(level.name, name): x for level in cost.levels for name, x in level.tensors.items()}
    if set(model) != set(truth.counts):
        found.append(f"kept: {sorted(model)}, not {sorted(truth.counts)}")
    for key, count in truth.counts.items():
        x = model[key]
        if (x.reads, x.fills, x.updates, x.tile_words) != (
                count.reads, count.fills, count.updates, count.tile_words):
            found.append(f"{key}: {x}, not {count}")
        if einsum.tensor(key[1]).is_output and count.distinct_words not in (0, x.partition_words):
            found.append(f"{key}: partition {x.partition_words}, not {count.distinct_words}")
    for level, network in zip(architecture.levels, cost.networks, strict=True) if networks else ():
        for tensor in einsum.tensors:
            transfer = network.tensors.get(tensor.name)
            sent = {m: n for m, n in transfer.accesses.items() if n} if transfer else {}
            if sent != truth.sent[level.name, tensor.name]:
                found.append(f"sent below {level.name}, {tensor.name}: {sent}, "
                             f"not {truth.sent[level.name, tensor.name]}")
    return found and [*found, str(einsum), *format_nest(mapping, architecture, einsum)]


@pytest.mark.parametrize("batch", seeds(8, 40))
def test_model_counts_what_the_simulation_moves(batch: int) -> None:
    for seed in range(100 * batch, 100 * batch + 100):
        case = random_case(Random(seed), max_levels=4)
        assert check_mapping(*case) == [], f"seed {seed}"
        assert not (found := differences(*case)), "\n".join([f"seed {seed}", *found])


@pytest.mark.parametrize("seed", seeds(20, 80))
def test_model_counts_what_the_simulation_moves_in_larger_nests(seed: int) -> None:
    case = random_case(Random(f"large {seed}"), max_points=3000, max_instances=24)
    assert not (found := differences(*case)), "\n".join(found)


@pytest.mark.parametrize("name", SMALL_CASES)
def test_simulation_counts_what_was_recorded(name: str) -> None:
    specs = load_specs([CASES / name / "input.yaml"], need=("architecture", "workload", "mapping"))
    assert specs.architecture is not None and specs.workload is not None
    einsum, = specs.workload
    truth = simulate(specs.architecture, einsum,
                     from_timeloop(specs.mappings[""], specs.architecture, einsum))
    recorded = json.loads((CASES / name / "expected.json").read_text())
    for (level, tensor), count in truth.counts.items():
        x = recorded["levels"][level]["tensors"][tensor]
        assert (count.reads, count.fills, count.updates, count.tile_words) == (
            x["scalar_reads_per_instance"], x["scalar_fills_per_instance"],
            x["scalar_updates_per_instance"], x["utilized_capacity"]), (level, tensor)
    for network, x in recorded["networks"].items():
        level = network.split(" <==> ")[0]
        for tensor, transfer in x["tensors"].items():
            assert truth.sent[level, tensor] == {
                entry["multicast"]: entry["accesses"] for entry in transfer["signature"]}, (level, tensor)


def test_simulation_counts_a_nest_worked_out_by_hand() -> None:
    """Z[2] += A[2, 4] * B[4], K outermost at L0, so that Z is the buffer's one partial sum a time:
    every step but the first two brings a partial sum back."""
    architecture, einsum, mapping = hand_case()
    truth = simulate(architecture, einsum, mapping)
    assert truth.counts == {
        ("L0", "A"): Count(reads=8, tile_words=8), ("L0", "B"): Count(reads=4, tile_words=4),
        ("L0", "Z"): Count(reads=6, updates=8, tile_words=2),
        ("L1", "A"): Count(reads=8, fills=8, tile_words=1, distinct_words=8),
        ("L1", "B"): Count(reads=8, fills=4, tile_words=1, distinct_words=4),
        ("L1", "Z"): Count(reads=6, fills=6, updates=8, tile_words=1, distinct_words=2)}
    assert truth.steps == 8
    assert not differences(architecture, einsum, mapping)


def hand_case() -> tuple[Architecture, Einsum, Mapping]:

    energy = {x: Figure(1.0, "unit") for x in ("read", "fill", "update", "compute")}
    m, k = (Term("M"),), (Term("K"),)
    einsum = Einsum("gemv", ("M", "K"), (2, 4), (
        Tensor("A", (m, k)), Tensor("B", (k,)), Tensor("Z", (m,), is_output=True)))
    keep = frozenset("ABZ")
    return (Architecture("two", (Storage("L0", energy=energy), Storage("L1", energy=energy)),
                         Compute("MAC", energy=energy)), einsum,
            Mapping((Block("L0", keep, (Loop("K", 4), Loop("M", 2))), Block("L1", keep))))


def linked(architecture: Architecture, mapping: Mapping) -> tuple[Architecture, Mapping]:
    """The machine with links between neighbours everywhere, which carry the tensors that the level
    right below keeps. (What the links do for others, the reference scales in a way of its own.)"""
    levels = tuple(replace(x, network=replace(x.network, links=True)) for x in architecture.levels)
    blocks, names = mapping.blocks, frozenset[str]().union(*(x.keep for x in mapping))
    below = [x.keep for x in blocks[1:]] + [names]     # the units take whatever they are given
    return replace(architecture, levels=levels), Mapping(tuple(
        replace(x, no_links=names - keep) for x, keep in zip(blocks, below, strict=True)))


def powers_of_two(mapping: Mapping) -> bool:
    """Whether averages over the arrays have no rounding noise."""
    return all(x.factor & (x.factor - 1) == 0 for block in mapping for x in block.spatial)


@pytest.mark.parametrize("batch", seeds(2, 8))
def test_neighbours_pass_on_what_the_simulation_passes_on(batch: int) -> None:
    used = 0
    for seed in range(500 * batch, 500 * batch + 500):
        architecture, einsum, mapping = random_case(
            Random(f"links {seed}"), max_levels=4, max_points=128)
        if not powers_of_two(mapping):
            continue
        architecture, mapping = linked(architecture, mapping)
        assert not (found := differences(architecture, einsum, mapping)), "\n".join(
            [f"seed {seed}", *found])
        silent = Mapping(tuple(replace(x, no_links=frozenset(
            t.name for t in einsum.tensors)) for x in mapping))
        used += evaluate(architecture, einsum, mapping, "timeloop") != evaluate(
            architecture, einsum, silent, "timeloop")
    assert used > 40
