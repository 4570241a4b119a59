"""What machines do about zeros, as it is read and written in both dialects, and what is refused.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from tilebound.convert import convert, dump
from tilebound.energy import price
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.hardware.sparsity import (
    COMPUTE_ACTIONS,
    STORAGE_ACTIONS,
    ComputeSparsity,
    Condition,
    Optimization,
    RankFormat,
    Representation,
    StorageSparsity,
    fallbacks,
)
from tilebound.hardware.write import architecture_to_dict
from tilebound.loading import Loaded, load_specs

from test_convert import again, contents, without_sources

NATIVE = """\
architecture:
  levels:
    - name: DRAM
      energy: {read: 200, fill: 200, update: 200, metadata_read: 9, metadata_fill: 9, metadata_update: 9}
      formats: {A: [UOP, {format: CP, metadata_bits: 4}], B: [{format: RLE, flatten: [[K, N]]}]}
      metadata: {width: 32}
    - name: GLB
      energy: {read: 6, fill: 7, update: 8, gated_read: 0.5, metadata_read: 1, metadata_fill: 1,
               metadata_update: 1}
      size: 4096 words
      formats:
        A: {ranks: [UOP, {format: CP, metadata_bits: 4, payload_bits: 0}], order: inner_to_outer}
      metadata: {width: 16, depth: 512, word_bits: 4, payload_bits: 8}
      gate: [{target: Z, on: [A, B]}]
      skip: [{target: B, on: A}, {options: [{target: A, on: [B]}, {target: B, on: [A]}]}]
      compresses: true
      decompresses: true
      overbooking: 0.1
  compute: {name: MAC, energy: {compute: 1, gated_compute: 0.1}, gating: true, skipping: true}
"""
WORKLOAD = """\
workload:
  layers:
    - name: gemm
      ranks: {M: 4, N: 4, K: 4}
      tensors: {A: "M, K", B: "K, N", Z: {projection: "M, N", output: true}}
"""
TIMELOOP = """\
architecture:
  version: 0.4
  subtree:
    - name: system
      local:
        - {name: DRAM, class: DRAM, attributes: {word_bits: 8, width: 8, metadata_storage_width: 32}}
        - name: GLB[0..0]
          class: storage
          attributes: {word_bits: 8, width: 8, depth: 4096, metadata_storage_width: 16,
                       metadata_storage_depth: 512, metadata_word_bits: 4, payload_word_bits: 8,
                       compression_supported: true, decompression_supported: true, allow_overbooking: true}
        - {name: MAC, class: mac, attributes: {word_bits: 8}}
architecture_constraints:
  targets: [{target: GLB, type: max_overbooked_proportion, proportion: 0.1}]
ERT:
  version: 0.4
  tables:
    - name: system.DRAM
      actions: [{name: read, energy: 200}, {name: write, energy: 200}, {name: metadata_read, energy: 9},
                {name: metadata_write, energy: 9}]
    - name: system.GLB
      actions: [{name: read, energy: 6}, {name: write, energy: 7}, {name: update, energy: 8},
                {name: metadata_read, energy: 1}, {name: metadata_write, energy: 1},
                {name: gated_read, energy: 0.5}]
    - {name: system.MAC, actions: [{name: mac, energy: 1}, {name: mac_gated, energy: 0.1}]}
"""
SPARSE = """\
sparse_optimizations:
  targets:
    - name: DRAM
      representation_format:
        data_spaces:
          - {name: A, ranks: [{format: UOP}, {format: cp, metadata_word_bits: 4}]}
          - {name: B, ranks: [{format: RLE, flattened_rankIDs: [[K, N]]}]}
    - name: GLB[0..0]
      representation_format:
        data_spaces:
          - name: A
            ranks: [{format: UOP}, {format: CP, metadata_word_bits: 4, payload_word_bits: 0}]
            rank_application_order: inner_to_outer
      action_optimization:
        - {type: skipping, target: B, condition_on: [A]}
        - {type: gating, target: Z, condition_on: [A, B]}
    - name: GLB
      action_optimization:
        - type: skipping
          options: [{target: A, condition_on: [B]}, {target: B, condition_on: [A]}]
    - {name: MAC, compute_optimization: [{type: gating}, {type: skipping}]}
"""
EXPECTED = StorageSparsity(
    formats={"A": Representation((RankFormat("UOP"), RankFormat("CP", 4, 0)), True)},
    optimizations=(Optimization("gating", (Condition("Z", ("A", "B")),)),
                   Optimization("skipping", (Condition("B", ("A",)),)),
                   Optimization("skipping", (Condition("A", ("B",)), Condition("B", ("A",))))),
    metadata_width=16, metadata_depth=512, metadata_word_bits=4, payload_word_bits=8, compresses=True,
    decompresses=True, overbooking=True, most_overbooked=0.1)


def load(tmp_path: Path, *texts: str) -> Loaded:
    paths = [tmp_path / f"{index}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return load_specs(paths)


def machine(loaded: Loaded) -> Architecture:
    assert loaded.architecture is not None and not loaded.unsupported
    return loaded.architecture


def faults(tmp_path: Path, *texts: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, *texts)
    return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]


@pytest.mark.parametrize("texts", [(NATIVE,), (NATIVE, WORKLOAD), (TIMELOOP, SPARSE),
                                   (TIMELOOP + SPARSE, WORKLOAD)])
def test_both_dialects_say_the_same(texts: tuple[str, ...], tmp_path: Path) -> None:
    read = machine(load(tmp_path, *texts))
    outer, inner = read.levels
    assert inner.sparsity == EXPECTED
    assert outer.sparsity == StorageSparsity(metadata_width=32, formats={
        "A": Representation((RankFormat("UOP"), RankFormat("CP", 4))),
        "B": Representation((RankFormat("RLE", flattened=(("K", "N"),)),))})
    assert read.compute.sparsity == ComputeSparsity(gating=True, skipping=True)
    assert {name: inner.energy[name].value for name in ("metadata_read", "metadata_update", "gated_read")} \
        == {"metadata_read": 1, "metadata_update": 1, "gated_read": 0.5}
    assert read.compute.energy["gated_compute"].value == 0.1


def test_formats_may_be_said_of_a_native_machine_in_a_section(tmp_path: Path) -> None:
    dense = [{key: value for key, value in level.items() if key in ("name", "energy", "size")}
             for level in yaml.safe_load(NATIVE)["architecture"]["levels"]]
    native = dump([{"architecture": {"levels": dense, "compute": {"name": "MAC", "energy": 1}}}])
    read = machine(load(tmp_path, native, SPARSE))
    assert read.levels[1].sparsity.optimizations == EXPECTED.optimizations
    assert read.levels[1].sparsity.formats == EXPECTED.formats


def test_old_spellings(tmp_path: Path) -> None:
    old = SPARSE
    for name in ("sparse_optimizations", "representation_format", "data_spaces", "metadata_word_bits",
                 "payload_word_bits", "flattened_rankIDs", "rank_application_order", "action_optimization",
                 "condition_on", "compute_optimization"):
        old = old.replace(name, name.replace("_", "-"))
    old = old.replace("[{type: gating}, {type: skipping}]",
                      "{gate-on-zero-operand: true, skip-on-not-aligned-operands: true}")
    assert "_" not in old.replace("inner_to_outer", "")
    attributes = TIMELOOP.replace("metadata_word_bits", "metadata-datawidth").replace(
        "metadata_storage_", "metadata_")
    assert machine(load(tmp_path, attributes, old)) == machine(load(tmp_path, TIMELOOP, SPARSE))


def test_a_width_of_metadata_follows_from_its_blocks(tmp_path: Path) -> None:
    blocks = TIMELOOP.replace("metadata_storage_width: 16", "metadata_block_size: 4")
    assert machine(load(tmp_path, blocks, SPARSE)) == machine(load(tmp_path, TIMELOOP, SPARSE))
    empty = TIMELOOP.replace("metadata_storage_width: 16", "metadata_storage_width: 0")
    assert machine(load(tmp_path, empty)).levels[1].sparsity.metadata_width is None


def test_formats_inside_nodes(tmp_path: Path) -> None:
    """In v0.4 trees the sections stand in the components that they are about, and may use variables."""
    targets = yaml.safe_load(SPARSE)["sparse_optimizations"]["targets"]
    inside: dict[str, dict[str, Any]] = {"DRAM": {}, "GLB": {}, "MAC": {}}
    for target in targets:
        parts = inside[target.pop("name").partition("[")[0]]
        for key, value in target.items():
            parts[key] = parts[key] + value if key in parts else value
    local = yaml.safe_load(TIMELOOP)["architecture"]["subtree"][0]["local"]
    local[1]["constraints"] = {"max_overbooked_proportion": {"proportion": 0.1}}
    nodes = "architecture: {version: 0.4, nodes: [!Container {name: system}"
    for component in local:
        component["name"] = component["name"].partition("[")[0]
        component["sparse_optimizations"] = inside[component["name"]]
        nodes += ", !Component " + json.dumps(component)
    nodes = nodes.replace('"metadata_word_bits": 4, "payload_word_bits": 0',
                          '"metadata_word_bits": "wide // 2", "payload_word_bits": 0')
    rest = {key: value for key, value in yaml.safe_load(TIMELOOP).items() if key == "ERT"}
    text = nodes + "]}\nvariables: {version: 0.4, wide: 8}\n" + dump([rest])
    there, here = machine(load(tmp_path, text)), machine(load(tmp_path, TIMELOOP, SPARSE))
    assert [level.sparsity for level in there.levels] == [level.sparsity for level in here.levels]
    assert there.compute.sparsity == here.compute.sparsity
    wrong = text.replace(json.dumps(inside["DRAM"]), "B")
    assert "sparse_optimizations is 'B'" in str(faults(tmp_path, wrong))


def test_a_share_of_overbooked_tiles_needs_overbooking(tmp_path: Path) -> None:
    loaded = load(tmp_path, TIMELOOP.replace(", allow_overbooking: true", ", allow_overbooking: false"))
    assert not machine(loaded).levels[1].sparsity.overbooking
    assert any("max_overbooked_proportion counts for nothing" in note.message for note in loaded.notes)


@pytest.mark.parametrize(("old", "new", "line", "part"), [
    ("[UOP, {format: CP, metadata_bits: 4}]", "[UOP, {format: CPP}]", 5, "did you mean 'CP'?"),
    ("[UOP, {format: CP", "[UO, {format: CP", 5, "format 'UO'; expected one of B, CP, RLE, UOP, UB, U; did"),
    ("[UOP, {format: CP, metadata_bits: 4}]", "[UOP, {metadata_bits: 4}]", 5, "a rank has no 'format'"),
    ("{format: CP, metadata_bits: 4}]", "{format: CP, metadata_bits: -4}]", 5, "expected a whole number"),
    ("formats: {A: [UOP, {format: CP, metadata_bits: 4}]", "formats: {A: []", 5,
     "the ranks of A are an empty list"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{options: []}]", 14, "no options; expected one or more"),
    ("{format: RLE, flatten: [[K, N]]}", "{format: RLE, flatten: [K]}", 5, "a list of names such"),
    ("{format: RLE, flatten: [[K, N]]}", "{format: RLE, flatten: [[K, X]]}", 5, "unknown rank 'X'"),
    ("B: [{format", "b: [{format", 5, "unknown tensor 'b'; expected one of A, B, Z; did you mean 'B'?"),
    ("metadata: {width: 32}", "metadata: {width: 0}", 6, "width is 0; expected a whole number, 1 or more"),
    ("metadata: {width: 32}", "metadata: {widht: 32}", 6, "did you mean 'width'?"),
    ("metadata: {width: 32}", "metadata: 32", 6, "metadata is 32; expected a mapping"),
    ("order: inner_to_outer", "order: inner_to_out", 12, "did you mean 'inner_to_outer'?"),
    ("order: inner_to_outer", "order: {A: 1}", 12, "order is a mapping; expected one of inner_to_outer"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{target: Z, on: [{}]}]", 14, "holds a value that is no name"),
    ("{ranks: [UOP,", "{rank: [UOP,", 12, "unknown key 'rank'"),
    ("gate: [{target: Z, on: [A, B]}]", "gates: [{target: Z, on: [A, B]}]", 14, "did you mean 'gate'?"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: {target: Z, on: [A, B]}", 14, "expected a list"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{target: Z}]", 14, "an option has no 'on'"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{target: Z, on: []}]", 14, "a condition on no tensor"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{target: A, on: [B, Z]}]", 14, "Z, which is the output"),
    ("gate: [{target: Z, on: [A, B]}]", "gate: [{target: Z, on: [A, C]}]", 14, "unknown tensor 'C'"),
    ("{target: B, on: A}", "{target: B, on: B}", 15, "B saved where B itself is zero"),
    ("{options: [", "{target: B, options: [", 15, "options beside a target"),
    ("compresses: true", "compresses: 1", 16, "expected true or false"),
    ("overbooking: 0.1", "overbooking: 1.5", 18, "expected true, false or a share from 0 to 1"),
    ("overbooking: 0.1", "skip_spatial: [{target: B, on: [A]}]", 18, "B skipped both in time and in space"),
    ("skipping: true", "skiping: true", 19, "did you mean 'skipping'?"),
    ("gated_read: 0.5", "gated_reads: 0.5", 8, "did you mean 'gated_read'?"),
    ("{target: B, on: A}", "B", 15, "an entry of skip is 'B'; expected a mapping"),
])
def test_wrong_native_text(old: str, new: str, line: int, part: str, tmp_path: Path) -> None:
    assert old in NATIVE
    found = faults(tmp_path, NATIVE.replace(old, new, 1), WORKLOAD)
    assert any(fault.startswith(f"{line}: ") and part in fault for fault in found), found


@pytest.mark.parametrize(("new", "fault"), [
    ("{target: [B], on: [A]}", "target is a list; expected text"),
    ("{target: B, on: [[A]]}", "on holds a value that is no name; expected a list of names")])
def test_what_is_no_name_is_one_fault(new: str, fault: str, tmp_path: Path) -> None:
    assert faults(tmp_path, NATIVE.replace("{target: Z, on: [A, B]}", new)) == [f"14: {fault}"]


def test_a_dict_that_another_reader_made(tmp_path: Path) -> None:
    """To it, the key `on` is a truth value."""
    data = yaml.safe_load(NATIVE)
    assert "True" in str(data)
    there, here = machine(load_specs([data])), machine(load(tmp_path, NATIVE))
    assert [level.sparsity for level in there.levels] == [level.sparsity for level in here.levels]


def test_a_level_that_compresses_what_the_one_above_keeps_as_it_is(tmp_path: Path) -> None:
    text = NATIVE.replace("formats: {A: [UOP, {format: CP, metadata_bits: 4}], B",
                          "keep: [A]\n      formats: {B")
    assert faults(tmp_path, text) == [
        "13: A is compressed in GLB but not in DRAM above; expected a compressing format there, one of B, "
        "CP, RLE"]
    assert faults(tmp_path, text.replace("formats: {B", "formats: {A: [UOP], B")) == faults(tmp_path, text)
    load(tmp_path, text.replace("keep: [A]", "keep: [B]"))       # only a mapping can tell


@pytest.mark.parametrize(("old", "new", "line", "part"), [
    ("- name: DRAM\n", "- name: DRM\n", 3, "unknown level 'DRM'; expected one of DRAM, GLB, MAC"),
    ("name: GLB[0..0]", "nam: GLB", 8, "a target of sparse_optimizations has no 'name'"),
    ("name: B, ranks", "name: A, ranks", 7, "a second format for A"),
    ("name: B, ranks", "name: W, ranks", 7, "unknown tensor 'W'"),
    ("[[K, N]]", "[[K, L]]", 7, "unknown rank 'L'"),
    ("format: RLE", "format: RUN", 7, "format 'RUN'; expected one of B, CP, RLE"),
    ("metadata_word_bits: 4}]}", "metadata_word_bits: -1}]}", 6, "metadata_bits is -1"),
    ("metadata_word_bits: 4}]}", "metadata_bits: 4}]}", 6, "unknown key 'metadata_bits' in a rank"),
    ("{type: gating, target", "{type: gate, target", 16, "type 'gate'; expected one of gating"),
    ("condition_on: [A, B]", "condition_on: [A, Z]", 16, "Z saved where Z itself is zero"),
    ("condition_on: [A, B]", "condition: [A, B]", 16, "unknown key 'condition'"),
    ("{type: skipping, target: B, condition_on: [A]}", "{type: skipping, target: B, condition_on: [Z]}", 15,
     "a condition on Z, which is the output"),
    ("compute_optimization: [{type: gating}", "compute_optimization: [{type: gatin}", 21,
     "did you mean 'gating'?"),
    ("{name: MAC, compute", "{name: GLB, compute", 21, "compute_optimization of the storage level GLB"),
    ("{name: MAC,", "{name: MAC, action_optimization: [],", 21, "of the compute level MAC"),
    ("    - name: GLB\n      action", "    - name: MAC\n      action", 19, "of the compute level"),
    ("targets:", "target:", 2, "unknown key 'target' in sparse_optimizations"),
    ("      representation_format:\n        data_spaces:\n          - {name: A,",
     "      representation_format:\n        dataspaces:\n          - {name: A,", 5,
     "did you mean 'data_spaces'?"),
])
def test_wrong_sections(old: str, new: str, line: int, part: str, tmp_path: Path) -> None:
    assert old in SPARSE
    found = faults(tmp_path, TIMELOOP, SPARSE.replace(old, new, 1), WORKLOAD)
    assert any(fault.startswith(f"{line}: ") and part in fault for fault in found), found


def test_every_fault_is_reported_with_its_place(tmp_path: Path) -> None:
    wrong = SPARSE
    for old, new in (("- name: DRAM", "- name: DRM"), ("type: gating, target", "type: gate, target"),
                     ("format: UOP}, {format: CP", "format: UP}, {format: C"),
                     ("{type: gating}", "{type: none}")):
        wrong = wrong.replace(old, new)
    assert [fault.partition(";")[0] for fault in faults(tmp_path, TIMELOOP, wrong)] == [
        "3: unknown level 'DRM'", "12: format 'UP'", "12: format 'C'", "16: optimization of type 'gate'",
        "21: optimization of type 'none'"]


def test_two_places_must_not_both_give_a_format(tmp_path: Path) -> None:
    second = SPARSE.partition("    - name: GLB[0..0]")[0]
    assert faults(tmp_path, NATIVE, second) == ["6: a second format for A; expected one at a level",
                                                "7: a second format for B; expected one at a level"]


@pytest.mark.parametrize("action", [*STORAGE_ACTIONS, *COMPUTE_ACTIONS])
def test_actions_fall_back_on_known_ones(action: str) -> None:
    known = {*STORAGE_ACTIONS, *COMPUTE_ACTIONS, "compute"}
    assert fallbacks(action)[0] == action and set(fallbacks(action)) <= known


def random_sparsity(rng: Random) -> StorageSparsity:
    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.5 else None

    def rank() -> RankFormat:
        flattened = tuple(rng.choice((("M",), ("K", "M"), ("N", "K"))) for _ in range(rng.choice((0, 0, 2))))
        return RankFormat(rng.choice(("B", "CP", "RLE", "UOP", "UB", "U")), maybe(rng.randrange(9)),
                          maybe(rng.randrange(9)), flattened)

    def condition() -> Condition:
        target, *others = rng.sample("AB", 2)
        operands = tuple(rng.sample("AB", rng.choice((1, 2))))
        return rng.choice((Condition(target, tuple(others)), Condition("Z", operands)))

    kinds = sorted(rng.choices(("gating", "skipping"), k=rng.randrange(3)))
    return StorageSparsity(
        {t: Representation(tuple(rank() for _ in range(rng.randint(1, 4))), rng.random() < 0.5)
         for t in rng.sample("ABZ", rng.randrange(3))},
        tuple(Optimization(kind, tuple(condition() for _ in range(rng.choice((1, 1, 2))))) for kind in kinds),
        maybe(rng.randint(1, 64)), maybe(rng.randint(1, 64)), maybe(rng.randint(1, 9)),
        maybe(rng.randrange(9)),
        rng.random() < 0.5, rng.random() < 0.5, *rng.choice(((False, 1.0), (True, 1.0), (True, 0.25))))


@pytest.mark.parametrize("seed", range(40))
def test_random_machines_read_back_equal(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)

    def energy(*actions: str) -> dict[str, Figure]:
        return {action: Figure(float(rng.randrange(9)), "drawn") for action in actions}

    levels = tuple(Storage(name, size_words=64, sparsity=random_sparsity(rng), energy=energy(
        "read", "fill", "update", *STORAGE_ACTIONS)) for name in ("DRAM", "GLB", "RF"))
    compute = Compute("MAC", energy=energy("compute", *COMPUTE_ACTIONS),
                      sparsity=ComputeSparsity(rng.random() < 0.5, rng.random() < 0.5))
    drawn = Architecture("drawn", levels, compute)
    loaded = load(tmp_path, dump([{"architecture": architecture_to_dict(drawn)}]), WORKLOAD)
    assert without_sources(machine(loaded)) == without_sources(drawn)
    for dialect in ("native", "timeloop"):
        assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)


@pytest.mark.parametrize("dialect", ["native", "timeloop"])
def test_a_machine_alone_reads_back_equal(dialect: str, tmp_path: Path) -> None:
    for texts in ((NATIVE,), (TIMELOOP, SPARSE)):
        loaded = load(tmp_path, *texts)
        assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)


def test_the_section_is_written_only_where_there_is_one(tmp_path: Path) -> None:
    dense, = convert(load(tmp_path, TIMELOOP), "timeloop")
    assert "sparse_optimizations" not in dense
    sparse, = convert(load(tmp_path, TIMELOOP, SPARSE, WORKLOAD), "timeloop")
    assert sparse["sparse_optimizations"]["targets"][1]["action_optimization"][1:] == [
        {"type": "skipping", "target": "B", "condition_on": ["A"]},
        {"type": "skipping", "options": [{"target": "A", "condition_on": ["B"]},
                                         {"target": "B", "condition_on": ["A"]}]}]


def test_metadata_is_priced_as_a_store_of_its_own(tmp_path: Path) -> None:
    start, _, rest = NATIVE.partition("energy: {read: 6")
    text = start + "class: SRAM\n      technology: 45nm" + rest.partition("}")[2]
    read = machine(load(tmp_path, text)).levels[1]
    alone = Storage("GLB", size_words=512, word_bits=16, component="SRAM", attributes={"technology": "45nm"})
    compute = Compute("MAC", energy={"compute": Figure(1.0, "")})
    store = price(Architecture("store", (alone,), compute)).levels[0]
    assert {x: read.energy[f"metadata_{x}"].value for x in ("read", "fill", "update")} == {
        x: store.energy[x].value for x in ("read", "fill", "update")}
    assert read.energy["gated_read"] == Figure(0.0, "rule: no figure, so it costs nothing", "rule")
    fault, = faults(tmp_path, text.replace("metadata: {width: 16, ", "metadata: {"))
    assert fault == ("7: no energy for GLB (class SRAM): no width of its metadata to price it by; expected "
                     "`energy`, or a component that the component table knows")


def test_a_table_that_leaves_metadata_out_gives_it_for_nothing(tmp_path: Path) -> None:
    text = TIMELOOP.replace("{name: metadata_read, energy: 1}, {name: metadata_write, energy: 1},", "")
    figure = machine(load(tmp_path, text, SPARSE)).levels[1].energy["metadata_read"]
    assert figure == Figure(0.0, "no such action in the table of the level", "rule")
    assert machine(load(tmp_path, text)).levels[1].energy.get("metadata_read") is None


def test_a_second_store_is_part_of_equality() -> None:
    level = Storage("GLB", sparsity=EXPECTED)
    assert level != replace(level, sparsity=replace(EXPECTED, metadata_depth=1024))
