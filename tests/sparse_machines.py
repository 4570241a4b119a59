"""Machines that do something about zeros, and mappings to try on them."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.hardware.sparsity import (
    DENSE_COMPUTE,
    ComputeSparsity,
    Condition,
    Optimization,
    RankFormat,
    Representation,
    StorageSparsity,
)
from tilebound.loading import load_specs
from tilebound.mapping.nest import Mapping
from tilebound.mapping.template import Template
from tilebound.mapping.timeloop import from_timeloop
from tilebound.model.cost import Semantics
from tilebound.model.counts import count
from tilebound.model.sparse.analyse import SparseModel
from tilebound.model.sparse.counts import SparseCounts, Split
from tilebound.model.sparse.dense import DenseCounts
from tilebound.model.sparse.nest import SparseNest
from tilebound.workload.density import Banded, FixedStructured, Hypergeometric
from tilebound.workload.einsum import Einsum, Tensor, Term

OWN = sorted((Path(__file__).parent / "sparse_cases").iterdir())
PUBLISHED = [path.parent for path in sorted(Path(os.environ.get("TILEBOUND_REFERENCE") or "/none").glob(
    "public/*/input.yaml")) if "sparse_optimizations" in path.read_text()]

STATES = ("algorithmic", "actual", "gated", "skipped")
KINDS = ("reads", "fills", "updates")


def one(architecture: Architecture, einsum: Einsum, mapping: Mapping,
        semantics: Semantics = "exact") -> SparseCounts:
    """Counts of a single mapping."""
    dense = DenseCounts.of(count(architecture, einsum, mapping, semantics))
    nest = SparseNest.of_mapping(architecture, einsum, mapping)
    return SparseModel(architecture, einsum, semantics)(nest, dense)


def load(folder: Path) -> tuple[Architecture, Einsum, Mapping]:
    loaded = load_specs([folder / "input.yaml"], need=("architecture", "workload", "mapping"))
    assert loaded.architecture is not None and loaded.workload is not None
    einsum, = loaded.workload
    return loaded.architecture, einsum, from_timeloop(loaded.mappings[""], loaded.architecture, einsum)


def values(*arrays: np.ndarray) -> list[float]:
    return [float(array[0]) for array in arrays]


def states(split: Split) -> list[float]:
    return values(split.algorithmic, split.actual, split.gated, split.skipped)


GEMM = Einsum("gemm", ("M", "N", "K"), (4, 6, 8), (
    Tensor("A", ((Term("M"),), (Term("K"),)), density=Hypergeometric(0.3)),
    Tensor("B", ((Term("K"),), (Term("N"),)), density=FixedStructured(0.6)),
    Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True, density=Hypergeometric(0.5))))

FILTER = Einsum("filter", ("P", "R", "M"), (8, 6, 4), (
    Tensor("A", ((Term("P", 2), Term("R")),), density=Hypergeometric(0.4)),
    Tensor("B", ((Term("M"),), (Term("R"),)), density=Banded(1)),
    Tensor("Z", ((Term("M"),), (Term("P"),)), is_output=True)))


def form(*kinds: Any, inner: bool = False, flattened: bool = False) -> Representation:
    groups = (("M", "N", "K", "P", "R"),) if flattened else ()
    return Representation(tuple(RankFormat(kind, flattened=groups) for kind in kinds), inner)


def machine(outer: StorageSparsity, middle: StorageSparsity, inner: StorageSparsity,
            units: ComputeSparsity = DENSE_COMPUTE, mesh: int = 1) -> Architecture:
    return Architecture("three", (
        Storage("DRAM", sparsity=outer), Storage("GLB", sparsity=middle),
        Storage("RF", mesh_x=mesh, sparsity=inner)), Compute("MAC", mesh_x=mesh, sparsity=units))


def saves(kind: Any, *pairs: tuple[str, str]) -> tuple[Optimization, ...]:
    return tuple(Optimization(kind, (Condition(target, tuple(on)),)) for target, on in pairs)


def store(optimizations: tuple[Optimization, ...] = (), **formats: Representation) -> StorageSparsity:
    return StorageSparsity(formats=formats, optimizations=optimizations)


DEEP = form("UOP", "UOP", "UOP", "UOP", "UOP", "UOP", "UOP", "CP", inner=True)
MACHINES = {
    "compressed outside": machine(store(A=form("UOP", "RLE", flattened=True), B=form("B", flattened=True)),
                                  store(), store(saves("gating", ("B", "A")))),
    "compressed down": machine(store(A=DEEP, B=DEEP), store(saves("skipping", ("B", "A")), A=form(
        "UOP", "UOP", "UOP", "UOP", "UOP", "CP", inner=True)), store(saves("skipping", ("Z", "AB")), A=form(
            "UOP", "UOP", "CP", inner=True)), ComputeSparsity(skipping=True)),
    "offsets alone": machine(store(A=form("UOP", "UOP", "UOP", "UOP", "UOP", "UOP", inner=True)), store(
        A=form("UOP", "UOP", "UOP", "UOP", "UOP")), store(saves("gating", ("A", "B"), ("B", "A"))),
        ComputeSparsity(gating=True)),
    "in space": machine(store(), store(saves("skipping_spatial", ("B", "A"))), store(), mesh=8),
    "two choices": machine(store(), store((Optimization("gating", (
        Condition("A", ("B",)), Condition("B", ("A",)))),)), store(saves("skipping", ("A", "B"))), mesh=8)}


def random_factors(random: Random, einsum: Einsum, levels: int, fanout: int, row: int = 5) -> np.ndarray:
    """Factors of shape (slots, ranks) whose products are the extents, with loops over instances in slot
    `row`, below the second level, where there is room."""
    while True:
        factors = np.ones((3 * levels, len(einsum.ranks)), dtype=np.int64)
        for column, extent in enumerate(einsum.extents):
            for prime in [p for p in (2, 2, 2, 3) if extent % p == 0]:
                slots = [0, 3, 6] + ([row] if fanout > 1 else [])
                if extent % (int(factors[:, column].prod()) * prime) == 0:
                    factors[random.choice(slots), column] *= prime
            factors[0, column] *= extent // int(factors[:, column].prod())
        if factors[row].prod() <= fanout:
            return factors


def random_class(random: Random, einsum: Einsum, fanout: int, size: int,
                 row: int = 5) -> tuple[Template, np.ndarray]:
    orders = tuple(tuple(random.sample(einsum.ranks, len(einsum.ranks))) for _ in range(3))
    names = [tensor.name for tensor in einsum.tensors]
    keep = (frozenset(names), frozenset(random.sample(names, random.randint(1, 3))), frozenset(
        random.sample(names, random.randint(1, 3))))
    factors = np.stack([random_factors(random, einsum, 3, fanout, row) for _ in range(size)])
    return Template(("DRAM", "GLB", "RF"), keep, orders), factors


def case(name: str) -> tuple[Architecture, Einsum, Mapping]:
    return load(next(folder for folder in OWN if folder.name == name))


SMALL = Einsum("small", ("M", "N", "K"), (4, 4, 4), (
    Tensor("A", ((Term("M"),), (Term("K"),)), density=Hypergeometric(0.25)),
    Tensor("B", ((Term("K"),), (Term("N"),)), density=Hypergeometric(1.0)),
    Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))


def all_masks(nonzeros: int) -> np.ndarray:
    """Every way to put so many non-zeros into 4 x 4 words."""
    places = np.array(list(combinations(range(16), nonzeros)))
    masks = np.zeros((len(places), 16), dtype=bool)
    np.put_along_axis(masks, places, True, axis=1)
    return masks.reshape(-1, 4, 4)


def blocks(masks: np.ndarray, height: int, width: int) -> np.ndarray:
    """Tiles of every mask, shape (masks, tiles, words)."""
    cut = masks.reshape(len(masks), 4 // height, height, 4 // width, width).swapaxes(2, 3)
    return cut.reshape(len(masks), -1, height * width)
