"""The model against recorded outputs of Timeloop: tests/cases/NAME holds its input and what it printed.

The environment variable TILEBOUND_REFERENCE names a folder with more of them, under public/: specs
that others have published.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tilebound.loading import load_specs
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import validate
from tilebound.model.cost import Cost, LevelCost, NetworkCost, Semantics
from tilebound.model.counts import Options
from tilebound.model.evaluate import evaluate
from tilebound.model.network import single

CASES = Path(__file__).parent / "cases"

COVERED = sorted(CASES.iterdir())
PUBLISHED = [path.parent for path in sorted(Path(os.environ.get("TILEBOUND_REFERENCE") or "/none").glob(
    "public/*/input.yaml")) if "sparse_optimizations" not in path.read_text()]


def near(number: float) -> Any:
    return pytest.approx(number, rel=1e-9)


def run(folder: Path, semantics: Semantics = "timeloop") -> tuple[Cost, dict[str, Any]]:
    """What the model says about a case, and what was recorded."""
    loaded = load_specs([folder / "input.yaml"], need=("architecture", "workload", "mapping"))
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
    validate(loaded.architecture, einsum, mapping)
    expected = json.loads((folder / "expected.json").read_text())
    switches = expected.get("env") or {}
    options = Options(first_read_elision=switches.get("TIMELOOP_ENABLE_FIRST_READ_ELISION") != "0",
                      torus="TIMELOOP_ENABLE_TOROIDAL_LINKS" in switches,
                      updated_rmw=switches.get("TIMELOOP_ENABLE_UPDATED_RMW") == "1")
    return evaluate(loaded.architecture, einsum, mapping, semantics, options), expected


def counts(level: LevelCost) -> dict[str, tuple[int, ...]]:
    return {name: (x.tile_words, x.partition_words, level.utilized_instances, x.reads, x.fills,
                   x.updates, x.temporal_reductions, x.address_generations)
            for name, x in level.tensors.items()}


def recorded_counts(level: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    keys = ("utilized_capacity", "partition_size", "utilized_instances_max", "scalar_reads_per_instance",
            "scalar_fills_per_instance", "scalar_updates_per_instance",
            "temporal_reductions_per_instance", "address_generations_per_cluster")
    return {name: tuple(tensor[key] for key in keys) for name, tensor in level["tensors"].items()}


def check_level(level: LevelCost, recorded: dict[str, Any], accesses: dict[str, Any]) -> None:
    """Everything that Timeloop prints of a storage level. It keeps areas in single precision."""
    specs = recorded["specs"]
    assert counts(level) == recorded_counts(recorded)
    assert level.cycles == recorded["stats"]["cycles"]
    assert level.throttling == near(recorded["stats"]["bandwidth_throttling"])
    assert level.leakage_pj == near(specs["leakage_energy_total"])
    assert single((level.area_um2 or 0.0) / level.instances) == specs["area"]
    for name, x in level.tensors.items():
        printed = recorded["tensors"][name]
        assert x.energy_pj - x.address_pj == near(printed["energy_total"])
        assert x.address_pj == near(printed["address_generation_energy_total"])
        for what, rate in (("read", x.read_bandwidth), ("write", x.write_bandwidth),
                           ("shared", x.read_bandwidth + x.write_bandwidth)):
            assert rate == near(printed[f"{what}_bandwidth_per_instance"])
            assert rate * level.utilized_instances == near(printed[f"{what}_bandwidth_total"])
    words = sum(x.reads + x.fills + x.updates for x in level.tensors.values())
    assert words * level.utilized_instances == accesses["total_scalar_accesses"]


def check_network(network: NetworkCost, recorded: dict[str, Any]) -> None:
    """Everything that Timeloop prints of a network."""
    assert set(network.tensors) == set(recorded["tensors"])
    for name, x in network.tensors.items():
        printed, parts = recorded["tensors"][name], dict(x.energy_parts)
        if recorded["specs"]["type"] == "Legacy":
            assert [(d.multicast, d.scatter, d.words) for d in x.deliveries] == [
                (d["multicast"], d["scatter"], near(d["accesses"])) for d in printed["signature"]]
            assert x.passed == near(printed["link_transfers"])
        if "ingresses" in printed:
            assert x.ingresses == near(printed["ingresses"] + printed.get("ingresses_distributed", 0))
        if "average_number_of_hops" in printed:
            assert x.hops == near(printed["average_number_of_hops"])
            assert network.hop_pj * 1000 == near(printed["energy_per_hop"])
        if recorded["specs"]["type"] == "ReductionTree":
            assert x.reductions == printed["spatial_reductions"]
        for part, key in (("links", "link_transfer"), ("adders", "spatial_reduction")):
            assert parts.pop(part, 0.0) == near(printed.get(f"{key}_energy_total", 0.0))
        assert sum(parts.values()) == near(printed["energy_total"])


@pytest.mark.parametrize("folder", COVERED, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    check(*run(folder))


@pytest.mark.skipif(not PUBLISHED, reason="TILEBOUND_REFERENCE is not set")
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_case(folder: Path) -> None:
    check(*run(folder))


def check(cost: Cost, expected: dict[str, Any]) -> None:
    operations = expected["operational_intensity"]
    for level in cost.levels:
        if not level.tensors:       # Timeloop prints such a level only when it costs something
            printed = expected["levels"].get(level.name, {"tensors": {}, "specs": {}})
            assert not printed["tensors"]
            assert level.leakage_pj == near(printed["specs"].get("leakage_energy_total", 0.0))
            continue
        check_level(level, expected["levels"][level.name], operations["levels"][level.name])
    for network in cost.networks:
        if network.energy_pj:       # nor a network that costs nothing
            check_network(network, expected["networks"][network.name])
        else:
            assert network.name not in expected["networks"]
    units = expected["levels"][cost.compute.name]["stats"]
    assert cost.computes == units["computes_total"]
    assert cost.compute.utilized_instances == units["utilized_instances"]
    assert cost.compute.cycles == units["cycles"]
    assert cost.compute.energy_pj == near(units["energy_total"])
    instances = cost.compute.instances
    assert single((cost.compute.area_um2 or 0.0) / instances) * instances == near(units["area_total"])
    assert cost.computes == operations["total_elementwise_ops"]
    summary = expected["summary"]
    assert cost.cycles == summary["cycles"]
    assert cost.energy_pj == near(summary["energy_pj"])
    assert cost.utilization == near(summary["utilization"])
    parts = {x.name: x.energy_pj for x in (*cost.levels, cost.compute, *cost.networks)}
    for name, share in summary["fj_compute"].items():
        if name != "Total":
            assert parts[name] * 1000 == near(share * cost.computes)
