"""The loop nest as text, printed and read back."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.mapping.nest import Block, Loop, Mapping, Skew, SkewTerm
from tilebound.mapping.text import format_nest, format_work, parse_nest
from tilebound.spec.nodes import Problems
from tilebound.spec.reader import read_text
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import random_case, with_directives, with_remainders

ALL = frozenset("ABZ")
M, N, K = ((Term(rank),) for rank in "MNK")
GEMM = Einsum("gemm", tuple("MNK"), (32, 16, 32), (
    Tensor("A", (M, K)), Tensor("B", (K, N)), Tensor("Z", (M, N), is_output=True)))
MACHINE = Architecture("machine", (
    Storage("DRAM"), Storage("GLB", bypass=frozenset("B")), Storage("RF", 8, 4)), Compute("MAC", 8, 4))
MAPPING = Mapping((
    Block("DRAM", ALL, (Loop("N", 2), Loop("M", 2), Loop("K", 2))),
    Block("GLB", frozenset("AZ"), (Loop("K", 2), Loop("N", 4)), (Loop("M", 8),), (Loop("K", 4),),
          frozenset("A"), frozenset("AB")),
    Block("RF", ALL, (Loop("N", 2), Loop("M", 2), Loop("K", 2)))))
PRINTED = """\
DRAM [A 1024, B 512, Z 512]
for N in 2
  for M in 2
    for K in 2
GLB [A 256, Z 128] no multicast [A] no links [A, B]
      for K in 2
        for N in 4
          for K in 4 (Spatial-Y)
            for M in 8 (Spatial-X)
RF [A 4, B 4, Z 4]
              for N in 2
                for M in 2
                  for K in 2
MAC:                     Z[M, N] += A[M, K] * B[K, N]"""


def test_a_nest_prints_one_line_a_loop() -> None:
    assert format_nest(MAPPING, MACHINE, GEMM) == PRINTED.splitlines()


def test_work_shows_strides_and_signs() -> None:
    conv = Einsum("conv", tuple("KPR"), (2, 3, 4), (
        Tensor("W", ((Term("K"),), (Term("R"),))), Tensor("bias", ()),
        Tensor("I", ((Term("P", 2), Term("R", -1)), (Term("R", -3), Term("P")))),
        Tensor("O", ((Term("K"),), (Term("P"),)), is_output=True)))
    assert format_work(conv) == "O[K, P] += W[K, R] * bias[] * I[2*P-R, -3*R+P]"


def test_printed_nests_are_read_back() -> None:
    assert parse_nest(PRINTED, MACHINE, GEMM) == MAPPING
    assert parse_nest(PRINTED.splitlines(), MACHINE, GEMM) == MAPPING


@given(st.integers(0, 2**32))
def test_reading_undoes_printing(seed: int) -> None:
    architecture, einsum, mapping = random_case(Random(seed), max_points=3000, max_levels=5)
    einsum, mapping = with_remainders(Random(seed), einsum, mapping)
    mapping = with_directives(Random(seed), einsum, mapping)
    assert parse_nest(format_nest(mapping, architecture, einsum), architecture, einsum) == mapping


def test_remainders_and_directives_are_printed() -> None:
    einsum = Einsum("gemm", tuple("MNK"), (29, 1, 1), GEMM.tensors)
    skew = Skew(4, (SkewTerm(1, "M", spatial=True), SkewTerm(2)))
    mapping = Mapping((
        Block("DRAM", ALL, (Loop("M", 4),)),
        Block("GLB", frozenset("AZ"), (), (Loop("M", 8, 5),), no_temporal_reuse=frozenset("A"),
              rmw_first_update=frozenset("Z"), no_coalesce=frozenset("AZ"), skew=skew),
        Block("RF", ALL)))
    lines = format_nest(mapping, MACHINE, einsum)
    assert lines[2] == ("GLB [A 8, Z 8] no temporal reuse [A] rmw first update [Z] no coalesce [A, Z] "
                        "skew 1*M (spatial), 2 mod 4")
    assert lines[3] == "  for M in 8,5 (Spatial-X)"
    assert parse_nest(lines, MACHINE, einsum) == mapping


def test_a_person_may_leave_much_out() -> None:
    mapping = parse_nest("""
        GLB
          for M in 1
          for  K in 4  (Spatial-Y)
        DRAM [ Z,A ]
          for N in 16

        RF []
        """, MACHINE, GEMM)
    assert mapping == Mapping((
        Block("DRAM", frozenset("AZ"), (Loop("N", 16),)),
        Block("GLB", frozenset("AZ"), spatial_y=(Loop("K", 4),)),     # need not be told to bypass B
        Block("RF", frozenset())))
    assert parse_nest("", MACHINE, GEMM).blocks[2] == Block("RF", ALL)


@pytest.mark.parametrize(("text", "line", "message"), [
    ("for M in 2", 1, "'for M in 2'; expected the line of a level first"),
    ("DRAM\nfor M in 2 (Spatial-Z)", 2,
     "'for M in 2 (Spatial-Z)'; expected for RANK in NUMBER or NUMBER,LAST, then nothing, "
     "(Spatial-X) or (Spatial-Y)"),
    ("DRAM\nfor X in 2", 2, "no rank 'X' in gemm; expected one of M, N, K"),
    ("DRAM\nfor M in 4,5", 2, "5 iterations in the last pass; expected 1 to 4"),
    ("DRAM skew 2*X mod 4", 1, "skew '2*X mod 4'; expected NUMBER, NUMBER*RANK or NUMBER*RANK (spatial), "
     "separated by commas, then mod NUMBER"),
    ("DRAM\nfor M in 0", 2, "factor 0; expected 1 or more"),
    ("DRAM\nfor M in 2 (Spatial-X)\nfor K in 2", 3,
     "'for K in 2' inside a spatial loop of DRAM; expected temporal loops before spatial ones, or the "
     "line of the next level"),
    ("GBL", 1, "no storage level 'GBL'; expected one of DRAM, GLB, RF, or a loop for RANK in NUMBER; "
               "did you mean 'GLB'?"),
    ("DRAM [A, Q]", 1, "no tensor 'Q' in gemm; expected one of A, B, Z"),
    ("DRAM [A", 1, "no storage level 'DRAM [A'; expected one of DRAM, GLB, RF, or a loop for RANK in "
                   "NUMBER; did you mean 'DRAM'?"),
])
def test_a_wrong_line_is_named(text: str, line: int, message: str) -> None:
    problems = Problems()
    parse_nest(text, MACHINE, GEMM, problems)
    assert [(p.line, p.message) for p in problems.errors] == [(line, message)]
    with pytest.raises(SpecError):
        parse_nest(text, MACHINE, GEMM)


def test_lines_of_a_block_scalar_are_found_in_the_file() -> None:
    [node] = read_text("# a mapping\nmapping: |\n  DRAM\n    for M in 32\n  GLB\n    for J in 2\n",
                       Problems(), "m.yaml")
    with pytest.raises(SpecError) as caught:
        parse_nest(node["mapping"], MACHINE, GEMM)
    assert [(p.file, p.line) for p in caught.value.problems] == [("m.yaml", 6)]


@pytest.mark.parametrize("text", ["mapping: {DRAM: 1}\n", "mapping: [DRAM, [for M in 32]]\n"])
def test_what_is_no_text_is_named(text: str) -> None:
    [node] = read_text(text, Problems(), "m.yaml")
    with pytest.raises(SpecError, match=r"of YAML here; expected the lines of a loop nest") as caught:
        parse_nest(node["mapping"], MACHINE, GEMM)
    assert [(p.file, p.line) for p in caught.value.problems] == [("m.yaml", 1)]
