"""The batch evaluator against `evaluate`, mapping by mapping."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from random import Random

import numpy as np
import pytest
from tilebound.hardware.architecture import Architecture, Figure, Network
from tilebound.mapping.nest import Mapping
from tilebound.mapping.template import KINDS, Template, slot
from tilebound.mapping.text import format_nest
from tilebound.mapping.validate import check_mapping
from tilebound.model.batch import CHUNK, BatchEvaluator, evaluate_batch
from tilebound.model.batch_orders import OrderEvaluator
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum, Tensor, Term

import strategies
from strategies import axes, prime_factors, random_case, window


def class_members(rng: Random, einsum: Einsum, factors: np.ndarray, count: int,
                  mostly: float) -> np.ndarray:
    """`factors` and `count` other factorisations; a share `mostly` of the primes goes to the time
    loops and to the slots that `factors` itself uses."""
    used = [s for s in range(len(factors)) if s % len(KINDS) == 0 or factors[s].max() > 1]
    members = np.ones((count + 1, *factors.shape), dtype=np.int64)
    members[0] = factors
    for member in members[1:]:
        for rank, extent in enumerate(einsum.extents):
            for prime in prime_factors(extent):
                place = rng.choice(used) if rng.random() < mostly else rng.randrange(len(factors))
                member[place, rank] *= prime
    return members


def varied(rng: Random, architecture: Architecture, einsum: Einsum) -> Architecture:
    """The same machine with clusters, scaled bandwidths, more room for tiles, latencies, energy of
    addresses, power gating, hops and routers, and levels that cannot add."""
    names = [level.name for level in architecture.levels]

    def figure(*values: float) -> Figure | None:
        found = rng.choice((None, *values))
        return None if found is None else Figure(found, "drawn at random")

    tolls = Random(str(einsum))

    def network(index: int) -> Network:
        hop, router = (tolls.choice((None, Figure(x, "drawn at random"))) for x in (1.25, 0.25))
        return replace(architecture.levels[index].network, fill_cycles=rng.choice((0, 3)),
                       drain_cycles=rng.choice((0, 5)), router_pj=router, hop_pj=hop)

    return replace(architecture, levels=tuple(
        replace(level, network=network(i), reduces=rng.random() < 0.5,
                power_gated_at=rng.choice((None, None, *names)),
                energy={**level.energy, "address": figure(0.5, 2.0) or Figure(0.0, "free")},
                cluster_size=rng.choice([n for n in (1, 2, 4) if level.instances % n == 0]),
                size_words=level.size_words and level.size_words * rng.choice((1, 2, 8)),
                bandwidth_scale=tuple((t.name, rng.choice((0.5, 1.0, 3.0))) for t in einsum.tensors))
        for i, level in enumerate(architecture.levels)))


def compare(seed: object, count: int = 12, **options: int) -> tuple[int, int]:
    """Hold one random class to `evaluate`; returns how many mappings were valid and invalid."""
    rng = Random(str(seed))
    architecture, einsum, mapping = random_case(rng, **options)
    architecture = varied(rng, architecture, einsum)
    template, factors = Template.of(einsum, mapping)
    members = class_members(rng, einsum, factors, count, rng.choice((0.5, 0.9, 1.0)))
    cost = evaluate_batch(architecture, einsum, template, members)
    assert cost.valid[0], seed
    for i, member in enumerate(members):
        single = template.mapping(einsum, member)
        assert cost.valid[i] == (not check_mapping(architecture, einsum, single)), seed
        if not cost.valid[i]:
            assert cost.energy_pj[i] == cost.cycles[i] == np.inf
            continue
        expected = evaluate(architecture, einsum, single)
        text = "\n".join([f"seed {seed}", str(einsum), *format_nest(single, architecture, einsum)])
        assert cost.cycles[i] == expected.cycles, text
        assert cost.energy_pj[i] == pytest.approx(expected.energy_pj, rel=1e-12), text
    return int(cost.valid.sum()), int((~cost.valid).sum())


@pytest.mark.parametrize("batch", range(10))
def test_batch_equals_evaluate(batch: int) -> None:
    found = [compare(seed, max_points=600, max_levels=4, max_instances=16)
             for seed in range(60 * batch, 60 * batch + 60)]
    valid, invalid = map(sum, zip(*found, strict=True))
    assert valid > 100 and invalid > 20       # both kinds were really met


def three_terms(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    """An axis that three ranks move, now and then against each other."""
    position = Term("P", rng.choice((1, 2))), Term("R", rng.choice((1, -1, 2)))
    return "KPRS", (Tensor("W", axes("K", "R", "S")),
                    Tensor("I", axes((*position, Term("S", rng.choice((1, 2, 3, -2)))))),
                    Tensor("O", axes("K", "P"), is_output=True))


def tangled(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    """A rank that moves both axes, and two axes that share a rank."""
    return "MNK", (Tensor("A", axes("M", "M")),
                   Tensor("B", axes((Term("M"), Term("N", 2)), (Term("N"), Term("K", rng.choice((1, -1)))))),
                   Tensor("Z", axes("M", "N"), is_output=True))


def scattered(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    """An output whose tiles overlap (a transposed convolution)."""
    return "KPRC", (Tensor("A", axes("C", "P")), Tensor("B", axes("K", "R", "C")),
                    Tensor("Z", axes("K", window(rng, "P", "R")), is_output=True))


def strided(rng: Random) -> tuple[str, tuple[Tensor, ...]]:
    """Axes with gaps."""
    return "MNK", (Tensor("A", axes("M", (Term("K", 3),))), Tensor("B", axes((Term("K", 2),), "N")),
                   Tensor("Z", axes((Term("M", 2),), "N"), is_output=True))


@pytest.mark.parametrize("shape", [three_terms, tangled, scattered, strided])
def test_batch_equals_evaluate_on_odd_projections(shape: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "SHAPES", (shape,))
    monkeypatch.setattr(strategies, "WEIGHTS", (1,))
    for seed in range(60):
        compare(f"odd {seed}", max_points=300, max_instances=16)


def reordered(seed: object, **options: int) -> None:
    """Hold one mapping under several orders of its loops to each of them evaluated alone."""
    rng = Random(str(seed))
    architecture, einsum, mapping = random_case(rng, **options)
    template, factors = Template.of(einsum, mapping)
    templates = [replace(template, orders=tuple(tuple(rng.sample(order, len(order)))
                                                for order in template.orders)) for _ in range(6)]
    architecture = varied(rng, architecture, einsum)
    together = OrderEvaluator(architecture, einsum, templates, factors).costs
    for i, own in enumerate(templates):
        alone = evaluate_batch(architecture, einsum, own, factors[None])
        for found, expected in zip(vars(together).values(), vars(alone).values(), strict=True):
            assert found[i] == expected[0], seed


@pytest.mark.parametrize("shape", [None, three_terms, tangled, scattered, strided])
def test_orders_of_one_mapping(shape: object, monkeypatch: pytest.MonkeyPatch) -> None:
    if shape is not None:
        monkeypatch.setattr(strategies, "SHAPES", (shape,))
        monkeypatch.setattr(strategies, "WEIGHTS", (1,))
    for seed in range(15):
        reordered(f"orders {seed}", max_points=600, max_levels=4, max_instances=16)


def small() -> tuple[Architecture, Einsum, Mapping]:
    return random_case(Random(7), max_points=100)


def test_chunks_do_not_show() -> None:
    """A batch longer than a chunk gives what its parts give."""
    architecture, einsum, mapping = small()
    template, factors = Template.of(einsum, mapping)
    members = class_members(Random(1), einsum, factors, 2 * CHUNK + 5, 0.8)
    run = BatchEvaluator(architecture, einsum, template)
    whole, parts = run(members), [run(part) for part in np.array_split(members, 7)]
    for field in ("energy_pj", "cycles", "valid"):
        assert np.array_equal(getattr(whole, field), np.concatenate([getattr(p, field) for p in parts]))


def test_empty_batch() -> None:
    architecture, einsum, mapping = small()
    template, factors = Template.of(einsum, mapping)
    cost = evaluate_batch(architecture, einsum, template, np.empty((0, *factors.shape), dtype=np.int64))
    assert cost.energy_pj.shape == cost.cycles.shape == cost.valid.shape == (0,)


def test_a_single_point() -> None:
    architecture, einsum, mapping = small()
    point = replace(einsum, extents=(1,) * len(einsum.ranks))
    single = Mapping(tuple(replace(b, temporal=(), spatial_x=(), spatial_y=()) for b in mapping))
    template, factors = Template.of(point, single)
    cost = evaluate_batch(architecture, point, template, np.stack([factors, 2 * factors]))
    expected = evaluate(architecture, point, single)
    assert cost.valid.tolist() == [True, False]
    assert (cost.energy_pj[0], cost.cycles[0]) == (expected.energy_pj, expected.cycles)


def test_what_is_invalid() -> None:
    architecture, einsum, mapping = small()
    template, factors = Template.of(einsum, mapping)
    extent = max(einsum.extents)
    rank = einsum.extents.index(extent)
    wrong = np.repeat(factors[None], 4, axis=0)
    wrong[0, 0, rank] *= 2                                    # rank product
    wrong[1, :, rank] *= -1                                   # negative, product right or not
    wrong[2] = 0
    wrong[3, :, rank] = 1
    wrong[3, slot(0, "x"), rank] = extent * 64                # fanout and product
    cost = evaluate_batch(architecture, einsum, template, wrong)
    assert not cost.valid.any() and np.isinf(cost.energy_pj).all() and np.isinf(cost.cycles).all()


def test_ranks_that_must_not_be_unrolled() -> None:
    architecture, einsum, mapping = next(
        case for case in (random_case(Random(seed)) for seed in range(100))
        if any(prod(x.factor for x in block.spatial_x) > 1 for block in case[2]))
    template, factors = Template.of(einsum, mapping)
    assert evaluate_batch(architecture, einsum, template, factors[None]).valid[0]
    unrolled = {loop.rank for block in mapping for loop in block.spatial_x}
    strict = replace(architecture, levels=tuple(
        replace(level, spatial_x=tuple(r for r in einsum.ranks if r not in unrolled))
        for level in architecture.levels))
    assert not evaluate_batch(strict, einsum, template, factors[None]).valid[0]


def test_errors() -> None:
    architecture, einsum, mapping = small()
    template, factors = Template.of(einsum, mapping)
    run = BatchEvaluator(architecture, einsum, template)
    with pytest.raises(ValueError, match="factors have shape"):
        run(factors)
    huge = Einsum("huge", ("M", "N", "K"), (2 ** 18,) * 3, (
        Tensor("A", ((Term("M"),), (Term("K"),))), Tensor("B", ((Term("K"),), (Term("N"),))),
        Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))
    everywhere = Template(template.levels, (frozenset("ABZ"),) * len(template.levels),
                          (huge.ranks,) * len(template.levels))
    with pytest.raises(ValueError, match="exact"):
        BatchEvaluator(architecture, huge, everywhere)
    mesh = replace(architecture.levels[-1], mesh_x=1, network=Network("noc", kind="multicast"))
    wired = Architecture("wired", (mesh,), replace(architecture.compute, mesh_x=4))
    with pytest.raises(ValueError, match="network noc is no mesh"):
        BatchEvaluator(wired, einsum, Template(template.levels[:1], template.keep[:1], template.orders[:1]))
    silent = replace(architecture, levels=tuple(replace(x, energy={}) for x in architecture.levels))
    with pytest.raises(ValueError, match="no energy is known"):
        BatchEvaluator(silent, einsum, template)
