"""Costs on machines that do something about zeros, where the right answer is known by other means."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, comb
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import tilebound as tb
from tilebound.errors import MappingError
from tilebound.hardware.sparsity import ComputeSparsity, RankFormat, StorageSparsity
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.model.cost import Cost, Semantics
from tilebound.model.evaluate import evaluate
from tilebound.model.sparse.bits import rows, widths

from sparse_recorded import OWN, Case
from sparse_strategies import with_zeros
from strategies import random_case
from test_model_batch import varied

NEST = """
    DRAM
      for M in 4
    Buffer
      for K in 8"""
FAR = dict.fromkeys(("read", "fill", "update", "metadata_read", "metadata_fill", "metadata_update"), 100)
NEAR = {**dict.fromkeys(("read", "fill", "update"), 1), "metadata_read": 0.25, "metadata_fill": 0.25,
        "metadata_update": 0.25}
CP = {"formats": {"A": ["CP"]}, "metadata": {"width": 4, "word_bits": 4}}
OUTER_CP = {"formats": {"A": ["UOP", "CP"]}, "metadata": {"width": 4, "word_bits": 4}}


def gemv(density: Any) -> Any:
    return tb.load_workload({"layers": [{"name": "gemv", "ranks": {"M": 4, "K": 8}, "tensors": {
        "A": {"projection": "M, K", "density": density}, "B": "K",
        "Z": {"projection": "M", "output": True}}}]})["gemv"]


def run(density: Any, outer: Any = None, inner: Any = None, semantics: Semantics = "exact",
        size: int = 64) -> Cost:
    """The cost of a matrix times a vector; `outer` and `inner` are keys of the two levels."""
    machine = tb.load_architecture({
        "levels": [{"name": "DRAM", "energy": FAR, **(outer or {})},
                   {"name": "Buffer", "size": f"{size} words", "energy": NEAR, **(inner or {})}],
        "compute": {"name": "MAC", "energy": 0.5}})
    return tb.evaluate(machine, gemv(density), NEST, semantics=semantics)


@pytest.mark.parametrize("seed", range(40))
def test_a_machine_that_finds_no_zero_costs_what_a_dense_one_costs(seed: int) -> None:
    """Energy, cycles, bandwidths, networks: the sparse path on dense tensors is the dense path."""
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng, max_points=400, max_levels=4, max_instances=16)
    architecture = varied(rng, architecture, einsum)
    units = replace(architecture.compute, sparsity=ComputeSparsity(gating=True))
    gating = replace(architecture, compute=units)
    dense, found = (evaluate(x, einsum, mapping) for x in (architecture, gating))
    assert found.energy_pj == pytest.approx(dense.energy_pj, rel=1e-12)
    assert (found.cycles, found.computes) == (dense.cycles, dense.computes)
    assert found.bottleneck == dense.bottleneck
    for one, other in zip(found.levels, dense.levels, strict=True):
        assert (one.cycles, one.utilized_instances) == (other.cycles, other.utilized_instances)
        assert one.throttling == pytest.approx(other.throttling, rel=1e-12)
        for name, x in one.tensors.items():
            close = dict.fromkeys(("energy_pj", "address_pj", "read_bandwidth", "write_bandwidth"), 0.0)
            assert replace(x, sparse=None, **close) == replace(other.tensors[name], **close)
            assert x.energy_pj == pytest.approx(other.tensors[name].energy_pj, rel=1e-12)
            assert x.read_bandwidth == pytest.approx(other.tensors[name].read_bandwidth, rel=1e-12)
    for network, expected in zip(found.networks, dense.networks, strict=True):
        assert network.energy_pj == pytest.approx(expected.energy_pj, rel=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_densities_alone_change_nothing(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    assert evaluate(architecture, with_zeros(rng, einsum), mapping) == evaluate(architecture, einsum, mapping)


@pytest.mark.parametrize("block", [1, 2, 3, 4, 8])
def test_blocks_of_compressed_tiles_are_those_of_all_places_of_the_zeros(block: int) -> None:
    """Of 32 words 8 are not zero, at any places; a tile is a row of 8. One with k of them takes
    ceil(k / block) blocks: for a word, on average, what all rows take for all words."""
    cost = run({"model": "hypergeometric", "density": 0.25}, OUTER_CP, {**CP, "block_words": block})
    rows_with = {k: comb(8, k) * comb(24, 8 - k) for k in range(9)}
    for_a_word = (sum(ceil(k / block) * n for k, n in rows_with.items())
                  / sum(k * n for k, n in rows_with.items()))
    x = cost.level("Buffer").tensors["A"]
    assert x.sparse is not None
    assert x.sparse.data_pj == pytest.approx((x.reads + x.fills) * x.sparse.present * for_a_word)


def test_words_of_metadata_fit_rows() -> None:
    level = StorageSparsity(metadata_width=12, metadata_word_bits=5, payload_word_bits=7)
    ranks = [RankFormat("CP"), RankFormat("B"), RankFormat("UOP", payload_bits=3), RankFormat("RLE", 13, 0)]
    assert widths(level, ranks) == [(6, 12), (1, 0), (6, 3), (13, 0)]
    assert rows(np.array([0.0, 1.0, 12.0, 13.0]), 12).tolist() == [0, 1, 1, 2]


def test_too_full_tiles_are_read_from_above() -> None:
    """Rows of 8 words with k of the 8 non-zeros of 32; B and Z take 9 words. With 11 words in all, rows
    with k of 2 or less fit."""
    density = {"model": "hypergeometric", "density": 0.25}
    with pytest.raises(MappingError, match="need 17 words"):
        run(density, OUTER_CP, CP, size=11)
    cost = run(density, OUTER_CP, {**CP, "overbooking": True}, size=11)
    share = sum(comb(8, k) * comb(24, 8 - k) for k in range(3)) / comb(32, 8)
    near, far = (cost.level(name).tensors["A"].sparse for name in ("Buffer", "DRAM"))
    assert near is not None and far is not None
    assert near.fitting == pytest.approx(share)
    assert cost.level("Buffer").tensors["A"].tile_words == 2
    words = near.reads.actual * near.present
    metadata = ceil(near.metadata_reads.actual / 4) * near.present
    assert far.refetched_pj == pytest.approx((1 - share) * 100 * (words + metadata))
    assert near.data_pj == pytest.approx(share * (near.reads.actual + near.fills.actual) * near.present)
    everything = run(density, OUTER_CP, {**CP, "overbooking": True}, size=17)
    plain = run(density, OUTER_CP, CP, size=17)
    assert everything.energy_pj == plain.energy_pj


def test_overbooking_has_its_limits() -> None:
    density = {"model": "hypergeometric", "density": 0.25}
    share = sum(comb(8, k) * comb(24, 8 - k) for k in range(3, 9)) / comb(32, 8)
    for most in (share - 0.01, share + 0.01):
        level = {**CP, "overbooking": most}
        if most > share:
            assert run(density, OUTER_CP, level, size=11).level("Buffer")
        else:
            with pytest.raises(MappingError, match="Buffer: share of tiles that do not fit: needs"):
                run(density, OUTER_CP, level, size=11)


def test_timeloop_never_closes_its_search_for_the_share_that_fits() -> None:
    density = {"model": "hypergeometric", "density": 0.25}
    cost = run(density, OUTER_CP, {**CP, "overbooking": True}, "timeloop", size=64)
    x = cost.level("Buffer").tensors["A"].sparse
    assert x is not None and x.fitting == 127 / 128


def test_metadata_must_fit() -> None:
    """A full row has 8 coordinates of 4 bits, 8 rows."""
    small = {"formats": {"A": ["CP"]}, "metadata": {"width": 4, "word_bits": 4, "depth": 7}}
    density = {"model": "hypergeometric", "density": 0.25}
    with pytest.raises(MappingError, match="Buffer: bits of metadata of the fullest tiles: needs 32, has 28"):
        run(density, OUTER_CP, small)
    small["metadata"] = {"width": 4, "word_bits": 4, "depth": 8}
    assert run(density, OUTER_CP, small).cycles == 32


def test_ranks_must_hold_the_loops() -> None:
    with pytest.raises(MappingError, match="fewer ranks than there are loops"):
        run(0.25, CP, CP)


def test_networks_carry_what_is_left_and_its_metadata() -> None:
    """The 32 words of A become 8, with 52 bits of metadata on the way to the buffer; the unit gets 8."""
    cost = run(0.25, OUTER_CP, CP)
    far, near = (network.tensors["A"].ingresses for network in cost.networks)
    assert far == pytest.approx(8 + 52 / 16)
    assert near == pytest.approx(8)
    same = run(0.25, OUTER_CP, CP, "timeloop")
    assert [network.tensors["A"].ingresses for network in same.networks] == [32, 32]


def test_metadata_takes_bandwidth() -> None:
    """8 words of A, 8 of B and 52 bits in 32 cycles at half a word a cycle."""
    cost = run(0.25, {**OUTER_CP, "read_bandwidth": 0.5}, CP)
    assert cost.level("DRAM").cycles == ceil((8 + 8 + 52 / 16) / 0.5)
    assert (cost.cycles, cost.bottleneck) == (39, "DRAM")
    assert run(0.25, {**OUTER_CP, "read_bandwidth": 0.5}, CP, "timeloop").cycles == 38     # whole words


def test_gated_accesses_take_their_time_and_skipped_ones_do_not() -> None:
    saved = [{"target": "B", "on": ["A"]}]
    limited = {"read_bandwidth": 1}
    gated = run(0.25, {}, {**limited, "gate": saved})
    skipped = run(0.25, {}, {**limited, "skip": saved})
    assert (gated.level("Buffer").cycles, gated.cycles) == (32 + 32 + 28, 92)
    assert (skipped.level("Buffer").cycles, skipped.cycles) == (32 + 8 + 28, 68)


@pytest.mark.parametrize(("change", "reason"), [
    ({"temporal": (Loop("K", 3), Loop("K", 3, 2))}, "gemv: loops with remainders"),
    ({"no_temporal_reuse": frozenset("A")}, "Buffer: no_temporal_reuse"),
    ({"no_coalesce": frozenset("Z")}, "Buffer: no_coalesce")])
def test_what_cannot_be_counted_is_refused(change: dict[str, Any], reason: str) -> None:
    machine = tb.load_architecture({
        "levels": [{"name": "DRAM", "energy": FAR}, {"name": "Buffer", "size": "64 words", "energy": NEAR}],
        "compute": {"name": "MAC", "energy": 0.5, "gating": True}})
    every = frozenset("ABZ")
    mapping = Mapping((Block("DRAM", every, (Loop("M", 4),)),
                       replace(Block("Buffer", every, (Loop("K", 8),)), **change)))
    with pytest.raises(MappingError, match=reason):
        evaluate(machine, gemv(0.25), mapping)


def test_both_numbers_of_the_deviations_page() -> None:
    """Where costs differ from Timeloop's, with the numbers that docs/deviations.md shows."""
    density = {"model": "hypergeometric", "density": 0.25}
    page = (Path(__file__).parent.parent / "docs" / "deviations.md").read_text()
    for what, figures in {
            "blocks of 8": {x: _blocks(density, x) for x in ("timeloop", "exact")},
            "share that fits": {x: _fitting(x) for x in ("timeloop", "exact")},
            "refetched": {x: _refetched(density, x) for x in ("timeloop", "exact")}}.items():
        row = next(line for line in page.splitlines() if line.startswith("|") and what in line)
        assert [f"{figures[x]:.4g}" for x in ("timeloop", "exact")] == [
            cell.strip().split()[0] for cell in row.split("|")[-3:-1]], figures


def _blocks(density: Any, semantics: Semantics) -> float:
    x = run(density, OUTER_CP, {**CP, "block_words": 8}, semantics).level("Buffer").tensors["A"].sparse
    assert x is not None
    return x.data_pj / 2 / x.present / 4      # filled and read; a tile that is there


def _fitting(semantics: Semantics) -> float:
    case = Case.load(next(path for path in OWN if path.name == "sp_overbook_fits"))
    x = evaluate(case.architecture, case.einsum, case.mapping, semantics).level("RF").tensors["A"].sparse
    assert x is not None
    return x.fitting


def _refetched(density: Any, semantics: Semantics) -> float:
    """Words that four buffers, each with one row, read once more, for each that does not fit."""
    machine = tb.load_architecture({
        "levels": [{"name": "DRAM", "energy": {**FAR, "metadata_read": 0}, **OUTER_CP},
                   {"name": "Buffer", "size": "11 words", "energy": NEAR, "instances": 4, **CP,
                    "overbooking": True}],
        "compute": {"name": "MAC", "energy": 0.5, "instances": 4}})
    cost = tb.evaluate(machine, gemv(density), "DRAM\n  for M in 4 (Spatial-X)\nBuffer\n  for K in 8",
                       semantics=semantics)
    far, near = (cost.level(name).tensors["A"].sparse for name in ("DRAM", "Buffer"))
    assert far is not None and near is not None
    return far.refetched_pj / 100 / (1 - near.fitting)
