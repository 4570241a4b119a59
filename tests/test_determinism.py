"""The same question has the same answer: for any seed, any hash seed and any number of processes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import tilebound as tb
from tilebound.search.layer import LayerSearch
from tilebound.workload.graph import WorkloadGraph

from test_search import conv, gemm, three_level, two_level


def answers(seed=0):
    """What searches of several kinds find and prove, seconds left out."""
    gemms = WorkloadGraph("net", [(gemm(4, 6, 2, "a"), 1), (gemm(2, 3, 4, "b"), 2)])
    machine = three_level(20, 4, 3, 1, frozenset("BZ"))
    found = [tb.search(machine, gemms, "edp", seed=seed),
             tb.search(machine, gemms["b"], "latency", seed=seed),
             tb.search(machine, gemms["b"], "pareto", points=2, seed=seed),
             tb.search(two_level(20), conv(2, 2, 3, 2), "energy", seed=seed)]
    return json.dumps([without_seconds(x.to_dict()) for x in found], sort_keys=True)


def without_seconds(value):
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k != "seconds"}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def test_what_is_proved_does_not_depend_on_the_seed():
    assert answers(1) == answers(20)


def test_nothing_depends_on_the_hash_seed():
    def run(seed):
        where = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        return subprocess.run([sys.executable, "-c", "import test_determinism as t; print(t.answers())"],
                              env={**os.environ, **where}, capture_output=True, text=True, check=True).stdout

    assert run("1") == run("2")


@pytest.mark.parametrize("seed", range(3))
def test_seeds_give_the_same_mapping_of_random_layers(seed):
    rng = random.Random(seed)
    einsum = gemm(*(rng.choice((2, 4, 6, 12)) for _ in range(3))) if seed else conv(2, 3, 4, 3)
    machine = three_level(rng.choice((60, 200)), rng.choice((6, 16)), 2, 3, frozenset(
        t.name for t in einsum.tensors[:2]))
    one, other = (LayerSearch(machine, einsum, "edp", seed=s).run() for s in (3, 4))
    assert one[1].status != "optimal" or (one[0], one[1].evaluated) == (other[0], other[1].evaluated)
