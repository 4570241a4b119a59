"""Random machines with networks of every kind, nests with remainders and directives, and published files:
written in either dialect and read back, nothing is lost."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tilebound.hardware.architecture import Architecture, Network
from tilebound.hardware.write import architecture_to_dict
from tilebound.loading import load_specs
from tilebound.mapping.constraints import Constraints, LevelConstraints
from tilebound.mapping.text import format_nest
from tilebound.mapping.write_constraints import constraints_to_dict
from tilebound.workload.build import workload_to_dict
from tilebound.workload.graph import WorkloadGraph

from strategies import random_case, seeds, with_directives
from test_constraints import random_rules
from test_convert import again, contents, without_sources
from test_model_invariants import charged
from test_search import gemm, three_level
from test_walk import imperfect_case

REFERENCE = Path(os.environ.get("TILEBOUND_REFERENCE") or "/nonexistent")
PUBLISHED = [path for kind in ("public", "mapper") for path in sorted(REFERENCE.glob(f"{kind}/*/input.yaml"))
             if "sparse_optimizations" not in path.read_text()]


def named_apart(architecture: Architecture) -> Architecture:
    """The same machine, with a name for every network."""
    def named(network: Network | None, name: str) -> Network | None:
        return network and replace(network, name=name)

    return replace(architecture, levels=tuple(
        replace(x, network=named(x.network, f"down{i}"), update_network=named(x.update_network, f"up{i}"))
        for i, x in enumerate(architecture.levels)))


@pytest.mark.parametrize("draw", [random_case, imperfect_case])
@pytest.mark.parametrize("seed", seeds(30, 120))
def test_machines_and_nests_of_every_kind_read_back_equal(draw, seed, tmp_path):
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    architecture = named_apart(charged(rng, architecture))
    mapping = with_directives(rng, einsum, mapping)
    spec = {"architecture": architecture_to_dict(architecture),
            "mapping": format_nest(mapping, architecture, einsum),
            "workload": workload_to_dict(WorkloadGraph(einsum.name, [(einsum, 1)]))}
    loaded = load_specs([spec])
    expected = contents(loaded)
    assert expected["architecture"] == without_sources(architecture)
    assert expected["mapping of", einsum.name] == mapping
    assert contents(again(loaded, "native", tmp_path)) == expected
    if not any({x.rank for x in b.spatial_x} & {x.rank for x in b.spatial_y} for b in mapping):
        assert contents(again(loaded, "timeloop", tmp_path)) == expected


@pytest.mark.parametrize("dialect", ["native", "timeloop"])
@pytest.mark.parametrize("seed", range(40))
def test_files_with_constraints_read_back_equal(seed, dialect, tmp_path):
    rng, machine = Random(seed), three_level()

    def level(name):
        kept, bypassed = rng.sample("ABZ", 2)
        return LevelConstraints(name, frozenset(kept), frozenset(bypassed if name != "DRAM" else ""),
                                temporal=rules(False), spatial=rules(True), no_multicast=frozenset("A"))

    def rules(split):       # Timeloop's entries have no words for a range around what is left
        found = random_rules(rng, split)
        return replace(found, factors=tuple((rank, type(asked)(rest=True) if asked.rest else asked)
                                            for rank, asked in found.factors))

    constraints = Constraints(tuple(map(level, ("DRAM", "GLB", "RF"))), rng.choice((0.0, 0.25)))
    loaded = load_specs([{
        "architecture": architecture_to_dict(machine), "constraints": constraints_to_dict(constraints),
        "workload": workload_to_dict(WorkloadGraph("net", [(gemm(8, 6, 4), 1)]))}])
    expected = contents(loaded)
    assert expected["constraints"] == constraints
    assert contents(again(loaded, dialect, tmp_path)) == expected


@pytest.mark.skipif(not PUBLISHED, reason="TILEBOUND_REFERENCE names no collection")
@pytest.mark.parametrize("dialect", ["native", "timeloop"])
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_files_read_back_equal(path, dialect, tmp_path):
    loaded = load_specs([path])
    assert contents(again(loaded, dialect, tmp_path)) == contents(loaded)
