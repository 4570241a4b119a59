"""Searches where zeros are left out or gated: the proven optimum against exhaustion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tilebound.errors import InfeasibleError
from tilebound.hardware.architecture import Architecture
from tilebound.loading import load_specs
from tilebound.mapping.constraints import Constraints, FactorRange, LevelConstraints, LoopRules
from tilebound.search.check import rederive
from tilebound.search.conflict import relief
from tilebound.search.conflict.clashes import describe
from tilebound.search.conflict.demands import Case
from tilebound.search.conflict.relief import find_conflict
from tilebound.search.layer import LayerSearch
from tilebound.workload.density.uniform import FixedStructured, Hypergeometric
from tilebound.workload.einsum import Einsum, Tensor, Term

from brute import least_by_keep

CASES = Path(__file__).parent / "sparse_cases"

CONV = Einsum("conv", ("K", "P", "R"), (3, 2, 2), (
    Tensor("Weights", ((Term("K"),), (Term("R"),)), density=Hypergeometric(0.4)),
    Tensor("Inputs", ((Term("P"), Term("R")),), density=Hypergeometric(0.3)),
    Tensor("Outputs", ((Term("K"),), (Term("P"),)), is_output=True, density=Hypergeometric(0.5))))

EYERISS = {"architecture": {
    "name": "tiny", "word_bits": 16, "levels": [
        {"name": "DRAM", "class": "DRAM", "block_words": 4, "metadata": {"width": 64, "word_bits": 5},
         "formats": {name: [{"format": "UOP", "payload_bits": 0, "flatten": [ranks]},
                            {"format": "RLE", "metadata_bits": 5, "flatten": [ranks]}]
                     for name, ranks in (("Inputs", ["P", "R"]), ("Outputs", ["K", "P"]))},
         "energy": {"read": 512.0, "fill": 512.0, "update": 512.0, "metadata_read": 512.0,
                    "metadata_fill": 512.0, "metadata_update": 512.0}},
        {"name": "GLB", "class": "SRAM", "size": "8 words", "fanout": {"x": 2, "y": 3}, "energy": 6.0,
         "keep": ["Inputs", "Outputs"], "bypass": ["Weights"], "decompresses": True, "compresses": True},
        {"name": "RF", "class": "regfile", "size": "6 words", "keep": ["Weights", "Inputs", "Outputs"],
         "decompresses": True, "compresses": True,
         "energy": {"read": 1.0, "fill": 1.0, "update": 1.0, "gated_read": 0.1, "gated_update": 0.1},
         "gate": [{"target": "Weights", "on": ["Inputs"]}, {"target": "Outputs", "on": ["Inputs"]}]}],
    "compute": {"name": "MAC", "energy": {"compute": 1.0, "gated_compute": 0.1}, "gating": True}}}


def machine(name: str) -> Architecture:
    """That of a recorded case; so small that tiles must be chosen with care."""
    loaded = load_specs([CASES / name / "input.yaml"], need=("architecture",)).architecture
    assert loaded is not None
    return replace(loaded, levels=tuple(
        replace(level, size_words=size, keep=keep)
        for level, size, keep in zip(loaded.levels, (None, 12, 6), map(frozenset, ("ABZ", "ABZ", "AB")),
                                     strict=True)))


def gemm() -> Einsum:
    return Einsum("gemm", ("M", "N", "K"), (2, 2, 4), (
        Tensor("A", ((Term("M"),), (Term("K"),)), density=Hypergeometric(0.25)),
        Tensor("B", ((Term("K"),), (Term("N"),)), density=Hypergeometric(0.5)),
        Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))


@pytest.mark.parametrize(("name", "objective"), [("sp_skip_A_on_B", "energy"), ("sp_gate_A_on_B", "latency"),
                                                 ("sp_AB_cp_skip_both", "edp")])
def test_small_gemms_are_proven(name: str, objective: str) -> None:
    architecture, einsum = machine(name), gemm()
    proven(architecture, einsum, objective)


def test_a_small_layer_on_sparse_eyeriss_is_proven() -> None:
    loaded = load_specs([EYERISS], need=("architecture",)).architecture
    assert loaded is not None
    proven(loaded, CONV, "edp")


def proven(architecture: Architecture, einsum: Einsum, objective: str) -> None:
    search = LayerSearch(architecture, einsum, objective)
    _, found = search.run()
    assert found.status == "optimal"
    assert found.value == pytest.approx(
        min(least_by_keep(search.space, objective).values()), rel=1e-9)
    _, again = rederive(architecture, einsum, objective, found.value, found.dual)
    assert again == pytest.approx(found.value, rel=1e-9)


def test_metadata_that_fits_nowhere_is_named() -> None:
    architecture = machine("sp_AB_cp_skip_both")
    inner = architecture.levels[-1]
    narrow = replace(inner, keep=frozenset("AB"), sparsity=replace(inner.sparsity, metadata_depth=0))
    with pytest.raises(InfeasibleError, match=r"RF: .* need 8 bits of metadata .A 4, B 4., has 0"):
        LayerSearch(replace(architecture, levels=(*architecture.levels[:-1], narrow)), gemm(), "edp").run()


def test_the_smallest_conflict_counts_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinate of 4 bits for each of the non-zeros: of 4 words of A one, of 4 of B two at the least."""
    monkeypatch.setattr(relief, "_EFFORT_SECONDS", 0.0)
    architecture = machine("sp_AB_cp_skip_both")
    inner = architecture.levels[-1]
    narrow = replace(inner, keep=frozenset("AB"), sparsity=replace(inner.sparsity, metadata_depth=1))
    architecture = replace(architecture, levels=(*architecture.levels[:-1], narrow))
    asked = Constraints((LevelConstraints("RF", temporal=LoopRules((("K", FactorRange(4, 4)),))),))
    conflict = find_conflict(gemm(), Case(architecture, asked), "edp")
    assert conflict is not None
    assert [x.kind for x in conflict.clashes] == ["metadata", "keep", "keep", "factor"]
    clash = conflict.clashes[0]
    assert (clash.have, clash.need, clash.detail, clash.exact) == (8, 16, "A 4, B 8", False)
    assert "RF holds 8 bits of metadata, needs about 16 (A 4, B 8)" in describe(conflict)


def test_a_tile_fits_that_would_not_with_its_zeros() -> None:
    """A is written down in RF without its zeros: one of four, so 8 words take 2."""
    architecture, einsum = machine("sp_AB_cp_skip_both"), gemm()
    whole = replace(einsum.tensors[0], density=FixedStructured(0.25))
    inner = replace(architecture.levels[-1], keep=frozenset("A"), bypass=frozenset("BZ"), size_words=2)
    constraints = Constraints((LevelConstraints("RF", temporal=LoopRules((
        ("M", FactorRange(2, 2)), ("K", FactorRange(4, 4))))),))
    architecture = replace(architecture, levels=(*architecture.levels[:-1], inner))
    einsum = replace(einsum, tensors=(whole, *einsum.tensors[1:]))
    mapping, _ = LayerSearch(architecture, einsum, "energy", constraints=constraints).run()
    assert mapping.tile(2, einsum.extent) == {"M": 2, "N": 1, "K": 4}
