"""What must hold of every cost, whatever the machine and the mapping."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from tilebound.hardware.architecture import Architecture, Figure, Network
from tilebound.model.cost import Cost
from tilebound.model.evaluate import evaluate

from strategies import random_case

SEEDS = range(150)


def charged(rng: Random, architecture: Architecture) -> Architecture:
    """The same machine with networks of every kind that charge for all they do."""
    def figure() -> Figure:
        return Figure(rng.randint(0, 16) / 8, "drawn at random")

    def network(kind: str) -> Network:
        return Network(kind, rng.random() < 0.8, kind == "mesh" and rng.random() < 0.5, figure(), kind,
                       hop_pj=rng.choice((None, figure())), wire_pj_bit_mm=figure(),
                       tile_um=Figure(100.0, "test"), router_pj=figure(), adder_pj=figure(),
                       transfer_pj={n: figure() for n in range(1, 33)}, fill_cycles=rng.randint(0, 3),
                       drain_cycles=rng.randint(0, 3))

    return replace(architecture, levels=tuple(
        replace(level, network=network(rng.choice(("mesh", "mesh", "multicast"))),
                update_network=network("tree") if rng.random() < 0.3 else None,
                reduces=rng.random() < 0.5, energy={**level.energy, "address": figure()})
        for level in architecture.levels))


def scaled(figure: Figure | None, factor: float) -> Figure | None:
    return None if figure is None else Figure(figure.value * factor, figure.source)


def scale_network(network: Network | None, factor: float) -> Network | None:
    return network and replace(
        network, ingress=scaled(network.ingress, factor), hop_pj=scaled(network.hop_pj, factor),
        wire_pj_bit_mm=scaled(network.wire_pj_bit_mm, factor), router_pj=scaled(network.router_pj, factor),
        adder_pj=scaled(network.adder_pj, factor),
        transfer_pj={n: Figure(x.value * factor, x.source) for n, x in network.transfer_pj.items()})


@pytest.mark.parametrize("seed", SEEDS)
def test_parts_add_up_and_nothing_is_negative(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    cost = evaluate(charged(rng, architecture), einsum, mapping)
    parts = [*cost.levels, cost.compute, *cost.networks]
    assert cost.energy_pj == pytest.approx(sum(x.energy_pj for x in parts))
    for level in cost.levels:
        assert level.energy_pj == pytest.approx(
            sum(x.energy_pj for x in level.tensors.values()) + level.leakage_pj)
        for x in level.tensors.values():
            assert min(x.tile_words, x.reads, x.fills, x.updates, x.temporal_reductions,
                       x.address_generations, x.address_pj, x.energy_pj - x.address_pj,
                       x.read_bandwidth, x.write_bandwidth) >= 0
    for network in cost.networks:
        for y in network.tensors.values():
            assert y.energy_pj == pytest.approx(sum(y.energy_parts.values()))
            assert min((y.ingresses, y.passed, y.reductions, y.hops or 0.0, *y.energy_parts.values())) >= 0
            assert sum(d.words for d in y.deliveries) == pytest.approx(
                sum(y.accesses.values()), abs=len(y.accesses))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dearer_part_costs_as_much_more(seed: int) -> None:
    """Three times the figures of one level, or of its networks, are three times its energy alone."""
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    architecture = charged(rng, architecture)
    index = rng.randrange(len(architecture.levels))
    level, before = architecture.levels[index], evaluate(architecture, einsum, mapping)

    def with_level(changed: object) -> Cost:
        levels = (*architecture.levels[:index], changed, *architecture.levels[index + 1:])
        return evaluate(replace(architecture, levels=levels), einsum, mapping)

    dear = with_level(replace(level, energy={k: scaled(x, 3.0) for k, x in level.energy.items()}))
    assert dear.energy_pj - before.energy_pj == pytest.approx(2 * before.levels[index].energy_pj, abs=1e-6)
    assert dear.networks == before.networks and dear.cycles == before.cycles
    dear = with_level(replace(level, network=scale_network(level.network, 3.0),
                              update_network=scale_network(level.update_network, 3.0)))
    own = sum(x.energy_pj for x in before.networks if x.level == level.name)
    assert dear.energy_pj - before.energy_pj == pytest.approx(2 * own, abs=1e-6)
    assert dear.levels == before.levels


@pytest.mark.parametrize("seed", SEEDS)
def test_more_bandwidth_never_costs_cycles(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    index = rng.randrange(len(architecture.levels))
    kind = rng.choice(("read_bandwidth", "write_bandwidth", "shared_bandwidth"))
    cycles = []
    for width in (0.1, 0.3, 1.0, 2.5, 8.0, None):
        levels = list(architecture.levels)
        levels[index] = replace(levels[index], **{kind: width})
        cost = evaluate(replace(architecture, levels=tuple(levels)), einsum, mapping)
        cycles.append(cost.cycles)
        used = cost.levels[index].tensors.values()
        moved = {"read_bandwidth": sum(x.read_bandwidth for x in used),
                 "write_bandwidth": sum(x.write_bandwidth for x in used)}
        if width is not None:
            assert moved.get(kind, sum(moved.values())) <= width * (1 + 1e-9)
    assert cycles == sorted(cycles, reverse=True)


@pytest.mark.parametrize("seed", range(40))
def test_latencies_are_added_once(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng)
    slow = charged(rng, architecture)
    quick = replace(slow, levels=tuple(
        replace(level, network=replace(level.network, fill_cycles=0, drain_cycles=0),
                update_network=level.update_network and replace(level.update_network, drain_cycles=0))
        for level in slow.levels))
    waits = sum(level.network.fill_cycles + (level.update_network or level.network).drain_cycles
                for level in slow.levels)
    assert evaluate(slow, einsum, mapping).cycles == evaluate(quick, einsum, mapping).cycles + waits
