"""Mappings on machines that write tensors down in formats and skip zeros: what fits and what does not."""

from __future__ import annotations

from pathlib import Path

from tilebound.api import read_mapping
from tilebound.mapping.validate import check_mapping

from test_sparsity_spec import NATIVE, WORKLOAD, load, machine

MAPPING = """\
mapping: |
  DRAM [A, B, Z]
  GLB [A, B, Z]
    for M in 4
      for N in 4
        for K in 4
"""


def reasons(tmp_path: Path, native: str, mapping: str = MAPPING, density: str = "") -> list[str]:
    workload = WORKLOAD.replace('A: "M, K"', f'A: {{projection: "M, K"{density}}}')
    loaded = load(tmp_path, native, workload, mapping)
    einsum, = loaded.workload or ()
    architecture = machine(loaded)
    return check_mapping(architecture, einsum, read_mapping(loaded.mappings[""], architecture, einsum))


def test_formats_that_do_not_go_together(tmp_path: Path) -> None:
    assert reasons(tmp_path, NATIVE) == []
    compressed = NATIVE.replace("formats: {A: [UOP, {format: CP, metadata_bits: 4}], B", "formats: {B")
    assert reasons(tmp_path, compressed) == ["GLB: tensor A is compressed, DRAM above must compress it too"]
    assert reasons(tmp_path, compressed, MAPPING.replace("DRAM [A, B, Z]", "DRAM [B, Z]")) == []
    assert reasons(tmp_path, NATIVE.replace("decompresses: true", "decompresses: false")) == [
        "GLB: tensor B comes compressed from DRAM, the level must decompress or compress it too"]
    output = NATIVE.replace("B: [{format: RLE", "Z: [{format: RLE").replace("      compresses: true\n", "")
    assert reasons(tmp_path, output.replace("[[K, N]]", "[[M, N]]")) == [
        "GLB: tensor Z is compressed in DRAM, the level must be able to compress what it sends up"]


def test_accesses_are_saved_where_the_tensor_is_or_below(tmp_path: Path) -> None:
    bypassed = MAPPING.replace("GLB [A, B, Z]", "GLB [A, Z]")
    assert reasons(tmp_path, NATIVE, bypassed) == []        # those to DRAM, which keeps it above
    outer = NATIVE.replace("      metadata: {width: 32}\n", "      gate: [{target: A, on: [B]}]\n")
    assert reasons(tmp_path, outer) == []
    assert reasons(tmp_path, outer, MAPPING.replace("DRAM [A, B, Z]", "DRAM [B, Z]")) == [
        "DRAM: accesses to tensor A are saved, it must be kept here or above"]


def test_tiles_fit_by_their_non_zeros(tmp_path: Path) -> None:
    small = NATIVE.replace("size: 4096 words", "size: 40 words").replace("      overbooking: 0.1\n", "")
    assert reasons(tmp_path, small, density=", density: 0.5") == []          # 8 + 16 + 16 words
    assert reasons(tmp_path, small, density=", density: 0.51") == [
        "GLB: tiles need 41 words (A 9, B 16, Z 16), has 40"]
    assert reasons(tmp_path, small) == ["GLB: tiles need 48 words (A 16, B 16, Z 16), has 40"]
    plain = small.replace("[UOP, {format: CP, metadata_bits: 4, payload_bits: 0}]", "[UB]").replace(
        "formats: {A: [UOP, {format: CP, metadata_bits: 4}], B", "formats: {B")
    assert reasons(tmp_path, plain, density=", density: 0.5") == [
        "GLB: tiles need 48 words (A 16, B 16, Z 16), has 40"]
    over = small.replace("decompresses: true", "decompresses: true\n      overbooking: true")
    assert reasons(tmp_path, over) == []


def test_zeros_skipped_in_space_need_no_instance(tmp_path: Path) -> None:
    spatial = MAPPING.replace("for K in 4", "for K in 4 (Spatial-X)")
    machine_of_two = NATIVE.replace("      size: 4096 words", "      size: 4096 words\n      fanout: 2")
    assert reasons(tmp_path, machine_of_two, spatial) == [
        "GLB: spatial loops need 4 instances along X (K 4), has 2"]
    skips = machine_of_two.replace("overbooking: 0.1", "skip_spatial: [{target: Z, on: [A]}]")
    half = ", density: {distribution: fixed_structured, density: 0.5}"
    assert reasons(tmp_path, skips, spatial, half) == []
    assert reasons(tmp_path, skips, spatial, half.replace("0.5", "0.75")) == [
        "GLB: spatial loops need 3 instances for what is not zero, has 2"]
    plane = MAPPING.replace("for N in 4", "for N in 4 (Spatial-Y)").replace("K in 4", "K in 4 (Spatial-X)")
    wide = skips.replace("fanout: 2", "fanout: {x: 2, y: 4}")
    assert reasons(tmp_path, wide, plane, half) == []
    assert reasons(tmp_path, skips.replace("fanout: 2", "fanout: {x: 2, y: 3}"), plane, half) == [
        "GLB: spatial loops need 8 instances for what is not zero, has 6"]
    assert reasons(tmp_path, machine_of_two, spatial, half) != []
