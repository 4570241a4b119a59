"""Random small Einsums, architectures and mappings, shared by the property tests.

Every function draws from a `random.Random`, so that a failing case is named by its seed (and
`hypothesis.strategies.randoms` can drive it too). The mappings are valid for the architectures that
come with them: factors are perfect, fanouts and capacities suffice, every tensor is kept somewhere.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod
from random import Random
from typing import Any

import pytest
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.nest import Block, Loop, Mapping, Skew, SkewTerm
from tilebound.workload.einsum import Axis, Einsum, Tensor, Term, footprint

EXTENTS = (1, 2, 2, 3, 3, 4, 4, 5, 6, 8, 9, 12)


def seeds(some: int, every: int) -> list[Any]:
    """The numbers below `every` as parameters of a test, from `some` on of the slow tests."""
    return [*range(some), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(some, every))]


def axes(*names: str | Axis) -> tuple[Axis, ...]:
    """A projection from rank names and ready-made sums of terms."""
    return tuple((Term(x),) if isinstance(x, str) else x for x in names)


def window(rng: Random, position: str, offset: str, negative: bool = True) -> Axis:
    """A sliding window `stride * position +- dilation * offset`."""
    sign = -1 if negative and rng.random() < 0.2 else 1
    return Term(position, rng.choice((1, 1, 2, 3))), Term(offset, sign * rng.choice((1, 1, 2)))


def gemm(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "MNK", (Tensor("A", axes("M", "K")), Tensor("B", axes("K", "N")),
                   Tensor("Z", axes("M", "N"), is_output=True))


def conv1d(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "KCPR", (Tensor("Weights", axes("K", "C", "R")),
                    Tensor("Inputs", axes("C", window(rng, "P", "R"))),
                    Tensor("Outputs", axes("K", "P"), is_output=True))


def conv2d(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "KCPQRS", (Tensor("Weights", axes("K", "C", "R", "S")),
                      Tensor("Inputs", axes("C", window(rng, "P", "R"), window(rng, "Q", "S"))),
                      Tensor("Outputs", axes("K", "P", "Q"), is_output=True))


def depthwise(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "CPQRS", (Tensor("Weights", axes("C", "R", "S")),
                     Tensor("Inputs", axes("C", window(rng, "P", "R"), window(rng, "Q", "S"))),
                     Tensor("Outputs", axes("C", "P", "Q"), is_output=True))


def grouped(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "GKCPR", (Tensor("Weights", axes("G", "K", "C", "R")),
                     Tensor("Inputs", axes("G", "C", window(rng, "P", "R"))),
                     Tensor("Outputs", axes("G", "K", "P"), is_output=True))


def mttkrp(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    return "IJKL", (Tensor("A", axes("I", "K", "L")), Tensor("B", axes("K", "J")),
                    Tensor("C", axes("L", "J")), Tensor("Z", axes("I", "J"), is_output=True))


def diagonal(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    """One rank moves two axes of a tensor at once."""
    return "KPRS", (Tensor("Weights", axes("K", "R", "S")),
                    Tensor("Inputs", axes(window(rng, "P", "R"), window(rng, "P", "S"))),
                    Tensor("Outputs", axes("K", "P"), is_output=True))


SHAPES = (gemm, conv1d, conv2d, depthwise, grouped, mttkrp, diagonal)
#: Sliding windows have the intricate rules, so they are drawn more often.
WEIGHTS = (2, 4, 4, 2, 2, 1, 4)


def random_einsum(rng: Random, max_points: int = 256) -> Einsum:
    """An Einsum of one of `SHAPES` with at most `max_points` multiply-accumulates."""
    shape, = rng.choices(SHAPES, WEIGHTS)
    ranks, tensors = shape(rng)
    extents = dict.fromkeys(ranks, 1)
    # The ranks of windows first, while there is room for more than one iteration.
    for rank in sorted(rng.sample(ranks, len(ranks)), key=lambda r: r not in "PQRS" and rng.random() < 0.5):
        room = max_points // prod(extents.values())
        extents[rank] = rng.choice([x for x in EXTENTS if x <= room])
    return Einsum(shape.__name__, tuple(ranks), tuple(extents.values()), tensors)


def prime_factors(number: int) -> list[int]:
    """The primes whose product is `number`."""
    primes, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            primes.append(divisor)
            number //= divisor
        divisor += 1
    return primes


def random_keep(rng: Random, einsum: Einsum, levels: int, bypass: bool) -> list[frozenset[str]]:
    """Tensors kept by level, each tensor somewhere."""
    chance = rng.choice((0.0, 0.3, 0.5)) if bypass else 0.0
    keep: list[set[str]] = [set() for _ in range(levels)]
    for tensor in einsum.tensors:
        # The outermost level is bypassed less often: real machines seldom do it.
        kept = [i for i in range(levels) if rng.random() >= (chance if i else chance / 4)]
        for i in kept or [rng.randrange(levels)]:
            keep[i].add(tensor.name)
    return [frozenset(x) for x in keep]


def random_mapping(rng: Random, einsum: Einsum, levels: int, max_instances: int = 8,
                   bypass: bool = True, no_multicast: bool = True) -> Mapping:
    """A mapping on levels L0 (outermost), L1, ... with at most `max_instances` compute units."""
    kinds = ("temporal", "x", "y")
    factors: dict[tuple[int, str], dict[str, int]] = {
        (i, kind): {} for i in range(levels) for kind in kinds}
    instances, spatial_share = 1, rng.choice((0.0, 0.3, 0.6))
    sliding = rng.random() < 0.5     # offsets of windows inside, positions anywhere
    for rank in einsum.ranks:
        for prime in prime_factors(einsum.extent[rank]):
            kind = rng.choice(("x", "y")) if rng.random() < spatial_share else "temporal"
            if instances * prime > max_instances:
                kind = "temporal"
            instances *= 1 if kind == "temporal" else prime
            level = levels - 1 if sliding and rank in "RS" else rng.randrange(levels)
            slot = factors[level, kind]
            slot[rank] = slot.get(rank, 1) * prime

    def loops(level: int, kind: str) -> tuple[Loop, ...]:
        slot = factors[level, kind]
        return tuple(Loop(rank, slot[rank]) for rank in rng.sample(list(slot), len(slot)))

    keep = random_keep(rng, einsum, levels, bypass)
    blocks = []
    for i in range(levels):
        temporal, x, y = (loops(i, kind) for kind in kinds)
        alone = frozenset(t.name for t in einsum.tensors if rng.random() < 0.5) if (
            no_multicast and (x or y) and rng.random() < 0.2) else frozenset()
        blocks.append(Block(f"L{i}", keep[i], temporal, x, y, alone))
    return Mapping(tuple(blocks))


def random_figures(rng: Random, *actions: str) -> dict[str, Figure]:
    return {action: Figure(rng.randint(1, 400) / 8, "drawn at random") for action in actions}


def random_storage(rng: Random, einsum: Einsum, mapping: Mapping, index: int,
                   mesh: tuple[int, int], limited: bool) -> Storage:
    """A level that can hold the tiles of `mapping`, now and then with nothing to spare."""
    block = mapping.blocks[index]
    tile = mapping.tile(index, einsum.extent)
    need = sum(footprint(einsum.tensor(name), tile) for name in block.keep)
    buffering = rng.choice((1.0, 1.0, 2.0))
    unlimited = index == 0 and rng.random() < 0.7

    def bandwidth() -> float | None:
        return rng.choice((0.25, 0.5, 1.0, 2.0, 4.0)) if limited and rng.random() < 0.3 else None

    return Storage(
        block.level, *mesh,
        size_words=None if unlimited else ceil(need * buffering) + rng.choice((0, 0, 1, 50)),
        word_bits=rng.choice((8, 16)), block_words=rng.choice((1, 1, 2, 4)),
        multiple_buffering=buffering, read_bandwidth=bandwidth(), write_bandwidth=bandwidth(),
        shared_bandwidth=bandwidth(), energy=random_figures(rng, "read", "fill", "update", "leak"),
        network=Network(f"below {block.level}", ingress=rng.choice(
            (None, Figure(rng.randint(1, 40) / 8, "drawn at random")))),
        area=rng.choice((None, Figure(float(rng.randint(1, 1000)), "drawn at random"))))


def random_architecture(rng: Random, einsum: Einsum, mapping: Mapping,
                        limited: bool = True) -> Architecture:
    """An architecture on which `mapping` fits; arrays are used in part now and then. With
    `limited`, some levels have bandwidth limits."""
    mesh_x = mesh_y = 1
    levels = []
    for index, block in enumerate(mapping.blocks):
        levels.append(random_storage(rng, einsum, mapping, index, (mesh_x, mesh_y), limited))
        mesh_x *= prod(x.factor for x in block.spatial_x) * rng.choice((1, 1, 1, 2))
        mesh_y *= prod(x.factor for x in block.spatial_y) * rng.choice((1, 1, 1, 2))
    return Architecture("random", tuple(levels),
                        Compute("MAC", mesh_x, mesh_y, energy=random_figures(rng, "compute", "leak")))


def charging(rng: Random, architecture: Architecture) -> Architecture:
    """`architecture` with networks that charge for words, hops and routers."""
    def figure() -> Figure | None:
        return rng.choice((None, Figure(rng.randint(1, 80) / 8, "drawn at random")))

    return replace(architecture, levels=tuple(replace(level, network=replace(
        level.network, ingress=figure(), hop_pj=figure(), router_pj=figure()))
        for level in architecture.levels))


def separate(rng: Random, architecture: Architecture) -> Architecture:
    """`architecture` with networks that send each instance its own copy, and levels that do not add up."""
    return replace(architecture, levels=tuple(
        replace(level, reduces=rng.random() < 0.5, network=replace(
            level.network, multicast=rng.random() < 0.5))
        for level in architecture.levels))


def gated(rng: Random, architecture: Architecture) -> Architecture:
    """`architecture` with levels that others switch on and off."""
    gates = [None, architecture.compute.name]
    levels = []
    for level in architecture.levels:
        gates.append(level.name)
        levels.append(replace(level, power_gated_at=rng.choice(gates)))
    return replace(architecture, levels=tuple(levels))


def random_case(rng: Random, *, max_points: int = 256, max_levels: int = 3, max_instances: int = 8,
                bypass: bool = True, no_multicast: bool = True,
                limited: bool = True) -> tuple[Architecture, Einsum, Mapping]:
    """An Einsum with a mapping and an architecture that the mapping fits.

    Parameters
    ----------
    rng : the source of all choices.
    max_points : most multiply-accumulates of the Einsum.
    max_levels : most storage levels (1 or more are drawn).
    max_instances : most compute units that the mapping uses.
    bypass : whether levels may bypass tensors.
    no_multicast : whether some fanouts send each instance its own copy of some tensors.
    limited : whether some levels have bandwidth limits.
    """
    einsum = random_einsum(rng, max_points)
    levels = min(max_levels, rng.choice((1, 2, 2, 3, 3, 4, 5)))
    mapping = random_mapping(rng, einsum, levels, max_instances, bypass, no_multicast)
    return random_architecture(rng, einsum, mapping, limited), einsum, mapping


def with_remainders(rng: Random, einsum: Einsum, mapping: Mapping) -> tuple[Einsum, Mapping]:
    """The same nest with some loops that stop early in their last pass, over ranks as long as that
    makes them. The outermost loop over a rank has one pass only, and so no remainder."""
    last = dict.fromkeys(einsum.ranks, 0)
    seen: set[str] = set()

    def imperfect(loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        result = []
        for loop in loops:
            least = 1 if loop.rank in seen and rng.random() < 0.5 else loop.factor
            residual = rng.randint(least, loop.factor)
            seen.add(loop.rank)
            last[loop.rank] = last[loop.rank] * loop.factor + residual - 1
            result.append(replace(loop, residual=None if residual == loop.factor else residual))
        return tuple(result)

    blocks = []
    for block in mapping:
        temporal, y, x = imperfect(block.temporal), imperfect(block.spatial_y), imperfect(block.spatial_x)
        blocks.append(replace(block, temporal=temporal, spatial_x=x, spatial_y=y))
    return replace(einsum, extents=tuple(last[r] + 1 for r in einsum.ranks)), Mapping(tuple(blocks))


def with_directives(rng: Random, einsum: Einsum, mapping: Mapping) -> Mapping:
    """The same nest with tensors picked for directives, and now and then a skew. Directives of a
    network only where loops are unrolled over it, since no other mapping says them."""
    names = [t.name for t in einsum.tensors]

    def some() -> frozenset[str]:
        return frozenset(x for x in names if rng.random() < 0.2)

    blocks = []
    for block in mapping:
        spatial = {"no_multicast": some(), "no_links": some()} if block.spatial else {}
        term = SkewTerm(rng.randint(1, 3), rng.choice((None, *einsum.ranks)))
        skew = Skew(rng.randint(1, 8), (term, SkewTerm(1, einsum.ranks[0], spatial=True)))
        blocks.append(replace(
            block, **spatial, no_temporal_reuse=some(), rmw_first_update=some(), no_coalesce=some(),
            skew=skew if rng.random() < 0.2 else None))
    return Mapping(tuple(blocks))
