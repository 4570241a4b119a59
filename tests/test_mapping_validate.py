"""What `check_mapping` accepts and how it names what it does not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.errors import MappingError
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.mapping.nest import Block, Loop, Mapping, Skew, SkewTerm
from tilebound.mapping.validate import check_mapping, validate
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import random_case, with_remainders

ALL = frozenset("ABZ")
M, N, K = ((Term(rank),) for rank in "MNK")
GEMM = Einsum("gemm", tuple("MNK"), (32, 16, 32), (
    Tensor("A", (M, K)), Tensor("B", (K, N)), Tensor("Z", (M, N), is_output=True)))
DRAM = Storage("DRAM")
GLB = Storage("GLB", size_words=400, keep=frozenset({"A", "Weights"}), bypass=frozenset({"B", "Inputs"}),
              spatial_x=("M", "N"), spatial_y=("K",))
RF = Storage("RF", 8, 4, size_words=25, multiple_buffering=2.0)
MACHINE = Architecture("machine", (DRAM, GLB, RF), Compute("MAC", 8, 4))
MAPPING = Mapping((
    Block("DRAM", ALL, (Loop("N", 2), Loop("M", 2), Loop("K", 2))),
    Block("GLB", frozenset("AZ"), (Loop("K", 2), Loop("N", 4)), (Loop("M", 8),), (Loop("K", 4),)),
    Block("RF", ALL, (Loop("N", 2), Loop("M", 2), Loop("K", 2)))))


def changed(index: int, /, **fields: object) -> Mapping:
    blocks = list(MAPPING.blocks)
    blocks[index] = replace(blocks[index], **fields)  # type: ignore[arg-type]
    return Mapping(tuple(blocks))


def test_a_mapping_that_fits_exactly_passes() -> None:
    assert check_mapping(MACHINE, GEMM, MAPPING) == []
    validate(MACHINE, GEMM, MAPPING)


@given(st.integers(0, 2**32))
def test_mappings_that_fit_by_construction_pass(seed: int) -> None:
    architecture, einsum, mapping = random_case(Random(seed), max_points=3000)
    assert check_mapping(architecture, einsum, mapping) == []
    assert check_mapping(architecture, *with_remainders(Random(seed), einsum, mapping)) == []


@pytest.mark.parametrize(("mapping", "reason"), [
    (changed(0, temporal=(Loop("N", 2), Loop("M", 2))),
     "rank K: factors multiply to 16 (GLB 2, GLB 4, RF 2), need 32"),
    (changed(2, temporal=(Loop("N", 2), Loop("M", 2), Loop("K", 2, 1))),
     "rank K: factors multiply to 31 (DRAM 2, GLB 2, GLB 4, RF 2,1), need 32"),
    (changed(2, temporal=(Loop("N", 2), Loop("M", 2), Loop("K", 2, 3))),
     "RF: loop over rank K has 3 iterations in its last pass, needs 1 to 2"),
    (changed(2, no_coalesce=frozenset("Q")), "RF: tensor Q, gemm has A, B, Z"),
    (changed(2, skew=Skew(2, (SkewTerm(1, "C"),))), "RF: loop over rank C, gemm has M, N, K"),
    (Mapping(tuple(replace(x, skew=Skew(2, ())) for x in MAPPING.blocks)),
     "levels DRAM, GLB, RF are skewed, only one may be"),
    (changed(1, keep=frozenset("Z")), "GLB: tensor A is bypassed, the level must keep it"),
    (changed(1, keep=ALL), "GLB: tensor B is kept, the level must bypass it"),
    (changed(0, level="DDR"),
     "mapping: blocks for levels DDR, GLB, RF, machine has DRAM, GLB, RF"),
    (Mapping(MAPPING.blocks[:2]), "mapping: blocks for levels DRAM, GLB, machine has DRAM, GLB, RF"),
    (changed(2, temporal=(Loop("N", 2), Loop("M", 2), Loop("C", 2))),
     "RF: loop over rank C, gemm has M, N, K"),
    (changed(2, keep=frozenset("ABY")), "RF: tensor Y, gemm has A, B, Z"),
    (changed(2, no_multicast=frozenset("Q")), "RF: tensor Q, gemm has A, B, Z"),
    (changed(0, temporal=(Loop("N", 2), Loop("M", -2), Loop("M", -1), Loop("K", 2))),
     "DRAM: loop over rank M has factor -2, needs 1 or more"),
])
def test_each_misfit_is_named(mapping: Mapping, reason: str) -> None:
    assert reason in check_mapping(MACHINE, GEMM, mapping)
    with pytest.raises(MappingError) as caught:
        validate(MACHINE, GEMM, mapping)
    assert reason in caught.value.reasons


def test_capacity_counts_the_tiles_of_kept_tensors() -> None:
    outer = changed(1, temporal=(Loop("N", 4),))
    doubled = Mapping((replace(outer.blocks[0], temporal=(Loop("N", 2), Loop("M", 2), Loop("K", 4))),
                       *outer.blocks[1:]))
    assert check_mapping(MACHINE, GEMM, doubled) == []
    wide = Mapping((replace(MAPPING.blocks[0], temporal=(Loop("N", 2), Loop("M", 2))),
                    replace(MAPPING.blocks[1], temporal=(Loop("K", 4), Loop("N", 4))), MAPPING.blocks[2]))
    assert check_mapping(MACHINE, GEMM, wide) == ["GLB: tiles need 640 words (A 512, Z 128), has 400"]
    tight = replace(MACHINE, levels=(DRAM, GLB, replace(RF, size_words=23)))
    assert check_mapping(tight, GEMM, MAPPING) == [
        "RF: tiles need 12 words (A 4, B 4, Z 4), has 11"]     # half of 23: double buffered


def test_fanouts_limit_each_axis_and_its_ranks() -> None:
    crossed = changed(1, spatial_x=(Loop("K", 4), Loop("M", 4)), spatial_y=(Loop("M", 2), Loop("N", 4)),
                      temporal=(Loop("K", 2),))
    assert check_mapping(MACHINE, GEMM, crossed) == [
        "GLB: spatial loops need 16 instances along X (K 4, M 4), has 8",
        "GLB: rank K is unrolled along X, where only M, N may be",
        "GLB: spatial loops need 8 instances along Y (M 2, N 4), has 4",
        "GLB: rank M is unrolled along Y, where only K may be",
        "GLB: rank N is unrolled along Y, where only K may be"]


def test_a_tensor_must_be_kept_somewhere() -> None:
    levels = (DRAM, replace(GLB, keep=frozenset(), bypass=frozenset()), RF)
    nowhere = Mapping(tuple(replace(b, keep=b.keep - {"A"}) for b in MAPPING))
    assert check_mapping(replace(MACHINE, levels=levels), GEMM, nowhere) == [
        "tensor A: kept at no level, needs at least one"]


def test_all_reasons_are_given_at_once() -> None:
    wrong = changed(1, keep=frozenset("BZ"), spatial_x=(Loop("M", 16),))
    assert check_mapping(MACHINE, GEMM, wrong) == [
        "rank M: factors multiply to 64 (DRAM 2, GLB 16, RF 2), need 32",
        "GLB: spatial loops need 16 instances along X (M 16), has 8",
        "GLB: tensor A is bypassed, the level must keep it",
        "GLB: tensor B is kept, the level must bypass it"]
