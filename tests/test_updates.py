"""The other rule for partial sums, and where it is refused because no recorded case tells it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tilebound.errors import MappingError
from tilebound.hardware.architecture import Architecture
from tilebound.loading import load_specs
from tilebound.mapping.nest import Block, Mapping
from tilebound.mapping.timeloop import from_timeloop
from tilebound.model.counts import Options, count
from tilebound.workload.einsum import Einsum

from test_conformance import CASES

UPDATED = Options(updated_rmw=True)


def recorded() -> tuple[Architecture, Einsum, Mapping]:
    loaded = load_specs([CASES / "env_updated_rmw" / "input.yaml"])
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    return loaded.architecture, einsum, from_timeloop(loaded.mappings[""], loaded.architecture, einsum)


def test_both_rules_of_partial_sums() -> None:
    """(reads, fills, reductions) of the output, outermost level first."""
    found = []
    for options in (Options(), UPDATED):
        traffic = count(*recorded(), options=options).traffic["Z"]
        found.append([(x.reads, x.fills, x.temporal_reductions) for x in traffic.accesses if x])
    assert found == [[(3072, 0, 3072), (15360, 3072, 15360), (8064, 1920, 8064)],
                     [(4096, 0, 0), (15360, 3072, 15360), (6144, 0, 6144)]]


def test_operands_are_not_concerned() -> None:
    plain, updated = (count(*recorded(), options=x).traffic for x in (Options(), UPDATED))
    assert all(plain[name] == updated[name] for name in "AB")


def changed(index: int, change: Callable[[Block], Block]) -> Callable[..., tuple[Architecture, Mapping]]:
    def apply(architecture: Architecture, mapping: Mapping) -> tuple[Architecture, Mapping]:
        blocks = list(mapping.blocks)
        blocks[index] = change(blocks[index])
        return architecture, Mapping(tuple(blocks))
    return apply


def reducing(architecture: Architecture, mapping: Mapping) -> tuple[Architecture, Mapping]:
    outer, *inner = architecture.levels
    return replace(architecture, levels=(replace(outer, reduces=True), *inner)), mapping


@pytest.mark.parametrize(("change", "message"), [
    (reducing, "all but the outermost add"),
    (changed(1, lambda x: replace(x, keep=x.keep - {"Z"})), "kept at DRAM, RF;"),
    (changed(1, lambda x: replace(x, rmw_first_update=frozenset("Z"))), "GLB: a directive on tensor Z"),
    (changed(1, lambda x: replace(x, temporal=tuple(
        replace(loop, residual=1) for loop in x.temporal))), "whole factors")])
def test_where_the_rule_is_not_known(change: Callable[..., tuple[Architecture, Mapping]],
                                     message: str) -> None:
    architecture, einsum, mapping = recorded()
    architecture, mapping = change(architecture, mapping)
    if mapping.perfect:
        count(architecture, einsum, mapping)        # all of them are known under the usual rule
    with pytest.raises(MappingError, match=message):
        count(architecture, einsum, mapping, options=UPDATED)


def test_not_without_first_read_elision() -> None:
    with pytest.raises(MappingError, match="elision"):
        count(*recorded(), options=Options(updated_rmw=True, first_read_elision=False))
