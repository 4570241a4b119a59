"""The model against recorded outputs of Timeloop: tests/cases/NAME holds its input and what it printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tilebound.loading import load_specs
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import validate
from tilebound.model.cost import Cost, LevelCost
from tilebound.model.evaluate import evaluate

CASES = Path(__file__).parent / "cases"

#: Cases that need what the model does not cover: remainders, flattened ranks, links that close the
#: mesh to a torus, skewed loops, networks with hops or latencies, energy of address generation,
#: other rules for partial sums.
BEYOND = {
    "addr_gen", "conv1_flattened", "conv1_sp_link_toroidal", "conv2_imperfect",
    "env_no_first_elision", "env_updated_rmw", "gemm_imperfect_s", "gemm_imperfect_st",
    "gemm_imperfect_t", "gemm_no_coalesce", "gemm_no_temporal_reuse", "gemm_rmw_first_update",
    "gemm_skew", "leak_net_latency", "net_latency", "pat_ispass_mn",
    "red_supported", "tile_width", "user_networks", "wire_energy", "wire_energy_ert"}

COVERED = sorted({path.name for path in CASES.iterdir()} - BEYOND)


def run(name: str) -> tuple[Cost, dict[str, Any]]:
    """What the model says about a case, and what was recorded."""
    folder = CASES / name
    loaded = load_specs([folder / "input.yaml"], need=("architecture", "workload", "mapping"))
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    validate(loaded.architecture, einsum, mapping)
    expected = json.loads((folder / "expected.json").read_text())
    return evaluate(loaded.architecture, einsum, mapping), expected


def counts(level: LevelCost) -> dict[str, tuple[int, ...]]:
    return {name: (x.tile_words, x.partition_words, level.utilized_instances, x.reads, x.fills,
                   x.updates, x.temporal_reductions, x.address_generations)
            for name, x in level.tensors.items()}


def recorded_counts(level: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    keys = ("utilized_capacity", "partition_size", "utilized_instances_max", "scalar_reads_per_instance",
            "scalar_fills_per_instance", "scalar_updates_per_instance",
            "temporal_reductions_per_instance", "address_generations_per_cluster")
    return {name: tuple(tensor[key] for key in keys) for name, tensor in level["tensors"].items()}


@pytest.mark.parametrize("name", COVERED)
def test_case(name: str) -> None:
    cost, expected = run(name)
    for level in cost.levels:
        if not level.tensors:       # Timeloop does not print a level that keeps nothing
            assert level.name not in expected["levels"]
            continue
        recorded = expected["levels"][level.name]
        assert counts(level) == recorded_counts(recorded), level.name
        assert level.cycles == recorded["stats"]["cycles"], level.name
        assert level.leakage_pj == pytest.approx(recorded["specs"]["leakage_energy_total"], rel=1e-9)
        for tensor, x in level.tensors.items():
            assert x.energy_pj == pytest.approx(recorded["tensors"][tensor]["energy_total"], rel=1e-9)
    units = expected["levels"][cost.compute.name]["stats"]
    assert cost.computes == units["computes_total"]
    assert cost.compute.utilized_instances == units["utilized_instances"]
    assert cost.compute.cycles == units["cycles"]
    assert cost.compute.energy_pj == pytest.approx(units["energy_total"], rel=1e-9)
    summary = expected["summary"]
    assert cost.cycles == summary["cycles"]
    assert cost.energy_pj == pytest.approx(summary["energy_pj"], rel=1e-9)
    assert cost.utilization == pytest.approx(summary["utilization"], rel=1e-9)
