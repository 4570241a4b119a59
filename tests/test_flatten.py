"""Flattened ranks: counts against an enumeration of all points, and every form they are written in."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from tilebound.api import search
from tilebound.errors import MappingError, SpecError
from tilebound.hardware.architecture import Architecture
from tilebound.loading import load_specs, load_workload
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import Template
from tilebound.mapping.text import format_nest, parse_nest
from tilebound.mapping.timeloop import from_timeloop, to_timeloop
from tilebound.mapping.validate import check_mapping
from tilebound.model.batch import BatchEvaluator
from tilebound.model.counts import count
from tilebound.spec.nodes import locate
from tilebound.workload.build import workload_to_dict
from tilebound.workload.einsum import Einsum, Flattened, Tensor, Term, axis_extent
from tilebound.workload.flatten import tile_points
from tilebound.workload.write_timeloop import einsum_to_timeloop

from strategies import axes, random_architecture, random_einsum, random_mapping

CASE = Path(__file__).parent / "cases" / "conv1_flattened" / "input.yaml"


def flattened(einsum: Einsum, parts: list[str]) -> Einsum:
    """The same with `parts` made one rank, X."""
    flat = Flattened("X", tuple((rank, einsum.extent[rank]) for rank in parts))
    extents = {"X": flat.extent, **{r: n for r, n in einsum.extent.items() if r not in parts}}
    return Einsum(einsum.name, tuple(extents), tuple(extents.values()), einsum.tensors, flattened=(flat,))


def random_flattened(rng: Random) -> tuple[Architecture, Einsum, Mapping]:
    """A case whose tiles have no gaps: windows without strides, no rank in two axes of a tensor."""
    while True:
        einsum = random_einsum(rng, max_points=200)
        terms = [t for tensor in einsum.tensors for axis in tensor.projection for t in axis]
        if all(abs(t.coefficient) == 1 for t in terms) and not any(
                t.has_shared_ranks for t in einsum.tensors):
            break
    einsum = flattened(einsum, rng.sample(einsum.ranks, rng.choice((2, 2, 3))))
    mapping = random_mapping(rng, einsum, rng.choice((2, 3)), bypass=False)
    return random_architecture(rng, einsum, mapping), einsum, mapping


def words(einsum: Einsum, tensor: Tensor, point: dict[str, int]) -> tuple[int, ...]:
    """Coordinates of the word that a point of the mapped ranks touches."""
    place = dict(point)
    for flat in einsum.flattened:
        rest = point[flat.rank]
        for name, extent in flat.parts:
            rest, place[name] = divmod(rest, extent)
    return tuple(sum(t.coefficient * place[t.rank] for t in axis) for axis in tensor.projection)


def enumerated(einsum: Einsum, tensor: Tensor, mapping: Mapping) -> list[tuple[Any, ...]]:
    """(tile, reads, fills, updates) of each level, on average over its instances, when every level
    keeps the tensor: all points are visited, and tiles are the sets of words they touch."""
    loops = [(i, loop, position >= len(block.temporal)) for i, block in enumerate(mapping)
             for position, loop in enumerate(block.loops)]
    levels = len(mapping.blocks)
    tiles: list[Any] = [defaultdict(lambda: defaultdict(set)) for _ in range(levels + 1)]
    for index in product(*(range(loop.factor) for _, loop, _ in loops)):
        point = dict.fromkeys(einsum.ranks, 0)
        for (_, loop, _), i in zip(loops, index, strict=True):
            point[loop.rank] = point[loop.rank] * loop.factor + i
        for level in range(levels + 1):
            seat = tuple(i for (at, _, space), i in zip(loops, index, strict=True) if space and at < level)
            step = tuple(i for (at, _, space), i in zip(loops, index, strict=True)
                         if not space and at < level)
            tiles[level][seat][step].add(words(einsum, tensor, point))
    received, sent = [0] * (levels + 1), [0] * (levels + 1)
    for level in range(1, levels + 1):
        above = sum(space and at < level - 1 for at, _, space in loops)
        asked: dict[Any, list[frozenset[Any]]] = defaultdict(list)
        for seat, steps in tiles[level].items():
            held: set[Any] = set()
            for step in sorted(steps):
                load = frozenset(steps[step] - held)
                held = steps[step] if level < levels else set()
                received[level] += len(load)
                asked[seat[:above], step].append(load)
        multicast = tensor.name not in mapping.blocks[level - 1].no_multicast
        sent[level - 1] = sum(sum(map(len, set(loads) if multicast else loads)) for loads in asked.values())
    result = []
    for level in range(levels):
        seats = len(tiles[level])
        held_ever = sum(len(set().union(*steps.values())) for steps in tiles[level].values())
        new = held_ever if tensor.is_output else 0
        result.append((max(len(t) for steps in tiles[level].values() for t in steps.values()),
                       Fraction(sent[level] - new, seats),
                       Fraction(received[level] - new, seats) if level else 0,
                       Fraction(sent[level], seats) if tensor.is_output else 0))
    return result


@pytest.mark.parametrize("batch", range(6))
def test_counts_are_those_of_an_enumeration(batch: int) -> None:
    for seed in range(25 * batch, 25 * batch + 25):
        architecture, einsum, mapping = random_flattened(Random(f"flattened {seed}"))
        found = count(architecture, einsum, mapping)
        assert found.computes == found.cycles * found.instances[-1] == einsum.macs
        for tensor in einsum.tensors:
            accesses = [x and (x.tile_words, x.reads, x.fills, x.updates)
                        for x in found.traffic[tensor.name].accesses]
            expected = [tuple(map(float, x)) for x in enumerated(einsum, tensor, mapping)]
            assert accesses == [pytest.approx(x) for x in expected], f"seed {seed}, {tensor.name}"


def test_loops_over_whole_rows_are_loops_over_the_parts() -> None:
    """X = (M, N): 4 tiles of 2 rows of 6 are a loop over N around all of M."""
    plain = Einsum("gemm", ("M", "N", "K"), (6, 8, 5), (
        Tensor("A", axes("M", "K")), Tensor("B", axes("K", "N")),
        Tensor("Z", axes("M", "N"), is_output=True)))
    keep = frozenset("ABZ")

    def mapping(*inner: Loop, outer: str) -> Mapping:
        return Mapping((Block("L0", keep, (Loop(outer, 4), Loop("K", 5))), Block("L1", keep, inner)))

    expected = mapping(Loop("N", 2), Loop("M", 6), outer="N")
    architecture = random_architecture(Random(0), plain, expected)
    flat = count(architecture, flattened(plain, ["M", "N"]), mapping(Loop("X", 12), outer="X"))
    plainly = count(architecture, plain, expected)
    assert {name: x.accesses for name, x in flat.traffic.items()} == {
        name: x.accesses for name, x in plainly.traffic.items()}


def test_gaps_of_strides_count_within_each_box() -> None:
    einsum = flattened(Einsum("strided", ("P", "K"), (3, 2), (
        Tensor("I", ((Term("P", 3),),)), Tensor("O", axes("K", "P"), is_output=True))), ["P", "K"])
    tensor = einsum.tensor("I")
    assert axis_extent(tensor.projection[0], {"P": 3}) == 7
    # Points 2 and 3: the end of the first row, and the start of the second.
    assert tile_points(einsum, tensor, {"X": 2}, {"X": 2}) == {(6,), (0,)}
    assert tile_points(einsum, tensor, {"X": 0}, {"X": 2}) == {(0,), (1,), (2,), (3,)}
    assert einsum.tile_words(tensor, {"X": 2}) == 4


def test_specs_and_mappings_survive_writing() -> None:
    loaded = load_specs([CASE])
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    assert einsum.flattened == (Flattened("X", (("P", 6), ("K", 4))),)
    assert einsum.extent["X"] == 24 and einsum.macs == 4 * 4 * 6 * 3
    assert list(load_workload({"workload": workload_to_dict(loaded.workload)})) == [einsum]
    assert list(load_workload({"problem": einsum_to_timeloop(einsum)})) == [einsum]
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    assert from_timeloop(to_timeloop(mapping, einsum), loaded.architecture, einsum) == mapping
    lines = format_nest(mapping, loaded.architecture, einsum)
    assert lines[0] == "DRAM [W 48, I 32, O 24]" and "for X in 3" in lines[2]
    assert parse_nest(locate(lines), loaded.architecture, einsum) == mapping
    inner = mapping.blocks[2]
    short = Mapping((*mapping.blocks[:2], Block("RF", inner.keep, inner.temporal[1:])))
    assert any(reason.startswith("rank") for reason in check_mapping(loaded.architecture, einsum, short))


@pytest.mark.parametrize(("flatten", "message"), [
    ([{"name": "P", "dimensions": ["P", "K"]}], "expected a new name"),
    ([{"name": "X", "dimensions": ["P", "V"]}], "part 'V'"),
    ([{"name": "X", "dimensions": ["P", "P"]}], "each once"),
    ([{"name": "X", "dimensions": ["P", "K"]}, {"name": "Y", "dimensions": ["K", "C"]}], "part 'K'"),
    ([{"name": "X"}], "'dimensions'")])
def test_wrong_flattened_ranks(flatten: list[Any], message: str) -> None:
    problem = yaml.safe_load(CASE.read_text())["problem"]
    problem["shape"]["flatten"] = flatten
    with pytest.raises(SpecError, match=message):
        load_workload({"problem": problem})


def test_what_cannot_be_counted_is_refused() -> None:
    loaded = load_specs([CASE])
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    with pytest.raises(SpecError, match="flattened rank X"):
        search(loaded.architecture, loaded.workload)
    with pytest.raises(ValueError, match="flattened"):
        BatchEvaluator(loaded.architecture, einsum, Template.of(einsum, mapping)[0])
    large = {"name": "large", "ranks": {"M": 4096, "N": 512}, "flatten": {"X": ["M", "N"]},
             "tensors": {"A": "M", "Z": {"projection": "M, N", "output": True}}}
    with pytest.raises(SpecError, match="at most 1048576"):
        load_workload({"workload": {"layers": [large]}})


def test_remainders_and_arrays_beyond_what_is_known() -> None:
    einsum = flattened(Einsum("outer", ("M", "N"), (3, 2), (
        Tensor("A", axes("M")), Tensor("Z", axes("M", "N"), is_output=True))), ["M", "N"])
    keep = frozenset("AZ")
    array = Mapping((Block("L0", keep, (Loop("X", 3),), (Loop("X", 2),)), Block("L1", keep)))
    imperfect = Mapping((Block("L0", keep, (Loop("X", 2),)), Block("L1", keep, (Loop("X", 4, 2),))))
    architecture = random_architecture(Random(1), einsum, array)
    assert count(architecture, einsum, array).cycles == 3
    with pytest.raises(MappingError, match="exact semantics only"):
        count(architecture, einsum, array, "timeloop")
    assert not [reason for reason in check_mapping(architecture, einsum, imperfect) if "rank" in reason]
    with pytest.raises(MappingError, match="remainders"):
        count(architecture, einsum, imperfect)
