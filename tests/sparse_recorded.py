"""Recorded sparse cases: what Timeloop printed, as the counts that the model prices."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from tilebound.hardware.architecture import Architecture
from tilebound.loading import load_specs
from tilebound.mapping.nest import Mapping
from tilebound.mapping.timeloop import from_timeloop
from tilebound.mapping.validate import validate
from tilebound.model.sparse.counts import Actions, RankMetadata, SparseCounts, Split, TensorCounts
from tilebound.model.sparse.nest import SparseNest
from tilebound.model.sparse.zeros import Zeros
from tilebound.workload.einsum import Einsum

OWN = sorted((Path(__file__).parent / "sparse_cases").iterdir())
PUBLISHED = [path.parent for path in sorted(Path(os.environ.get("TILEBOUND_REFERENCE") or "/none").glob(
    "public/*/input.yaml")) if "sparse_optimizations" in path.read_text()]
STATES = ("algorithmic", "actual", "gated", "skipped")
ACCESSES = ("reads", "fills", "updates")


@dataclass(frozen=True)
class Case:
    """A recorded case: what went in, and what was printed."""

    architecture: Architecture
    einsum: Einsum
    mapping: Mapping
    printed: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Case:
        loaded = load_specs([folder / "input.yaml"], need=("architecture", "workload", "mapping"))
        assert loaded.architecture is not None and loaded.workload is not None
        einsum, = loaded.workload
        mapping = from_timeloop(loaded.mappings[""], loaded.architecture, einsum)
        validate(loaded.architecture, einsum, mapping)
        return cls(loaded.architecture, einsum, mapping, json.loads((folder / "expected.json").read_text()))

    def tensors(self, level: str) -> dict[str, Any]:
        """What was printed of the tensors at a level; levels that cost nothing are not printed."""
        return self.printed["levels"].get(level, {"tensors": {}})["tensors"]


def one(number: float | None) -> np.ndarray:
    """A batch of one mapping. The program prints nan (recorded as null) where a share of 0 / 0 instances
    is at work: none is."""
    return np.full(1, float(number or 0.0))


def printed_counts(case: Case) -> SparseCounts:
    """The counts of a case as they were printed, apart from what is not: the density of tiles, and how
    often words are compressed."""
    levels, instances = [], [one(1)]
    nest = SparseNest.of_mapping(case.architecture, case.einsum, case.mapping)
    for index, level in enumerate(case.architecture.levels):
        printed = case.tensors(level.name)
        unrolled = prod(loop.factor for block in case.mapping.blocks[:index] for loop in block.spatial)
        there = max((x["utilized_instances_max"] for x in printed.values()), default=unrolled)
        levels.append({name: _tensor(case, nest, index, name, x, there) for name, x in printed.items()})
        instances[index:] = [one(there)]
    units = case.printed["levels"][case.architecture.compute.name]["stats"]
    active = (*instances, one(units["utilized_instances_average"]))
    computes = Split(*(one(units[f"{state}_computes_total"]) for state in STATES))
    return SparseCounts(tuple(levels), computes, (*instances, one(units["utilized_instances_max"])), active,
                        np.ones(1, dtype=np.bool_))


def _tensor(case: Case, nest: SparseNest, index: int, name: str, x: dict[str, Any],
            there: int) -> TensorCounts:
    level = case.architecture.levels[index]
    zeros = Zeros(case.einsum, case.einsum.tensor(name), "timeloop")
    outer = [case.architecture.levels[i] for i in nest.kept(name) if i < index]
    tile = zeros.tile(nest.tiles[index])
    filled = bool(outer) and name in outer[-1].sparsity.formats
    words = zeros.filled(tile)[0] if filled else zeros.expected(tile)
    form = level.sparsity.formats.get(name)
    unpacked = bool(outer) and outer[-1].sparsity.compressed(name) and not level.sparsity.compressed(name)
    sent_up = case.tensors(outer[-1].name)[name]["actual_scalar_updates_per_instance"] if outer else 0
    return TensorCounts(
        Actions(*(Split(*(one(x[f"{state}_scalar_{access}_per_instance"]) for state in STATES))
                  for access in ACCESSES)),
        one(x["temporal_reductions_per_instance"]), words / tile.prod(axis=0),
        one(x["max_utilized_data_storage_capacity"]), one(x["utilized_instances_average"]) / there,
        tuple(_rank(x, f"rank_{i}") for i in reversed(range(len(form.ranks)))) if form else (),
        one(sent_up if unpacked and level.sparsity.compresses else 0),
        one(x["actual_scalar_fills_per_instance"] if unpacked and level.sparsity.decompresses else 0))


def _rank(x: dict[str, Any], rank: str) -> RankMetadata:
    """Metadata (0) and payload (1) of one rank; a plain 0 is printed where there is none of either."""
    def part(key: str, which: int) -> np.ndarray:
        return one(x[key][rank][which] if isinstance(x[key], dict) else 0)

    def actions(which: int) -> Actions:
        return Actions(*(Split(one(0), *(part(f"{state}_scalar_format_{access}_per_instance", which)
                                         for state in STATES[1:])) for access in ACCESSES))

    capacity = "max_utilized_repr_format_storage_capacity"
    return RankMetadata(part(capacity, 0), part(capacity, 1), actions(0), actions(1))
