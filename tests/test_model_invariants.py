"""What must hold of every cost, whatever the machine and the mapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from tilebound.hardware.architecture import Architecture, Figure, Network
from tilebound.mapping.nest import Loop, Mapping
from tilebound.mapping.timeloop import from_timeloop, to_timeloop
from tilebound.model.cost import Cost, Semantics
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum

from strategies import random_case, with_directives
from test_walk import imperfect_case

Case = tuple[Architecture, Einsum, Mapping]

#: Nests with whole factors and with remainders, counted either way.
every = pytest.mark.parametrize(
    ("seed", "draw", "semantics"),
    [pytest.param(seed, draw, semantics, id=f"{seed}-{name}-{semantics}")
     for name, draw in (("whole", random_case), ("remainders", imperfect_case))
     for semantics in ("exact", "timeloop") for seed in range(40)])

Draw = Callable[[Random], Case]


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


@every
def test_parts_add_up_and_nothing_is_negative(seed: int, draw: Draw, semantics: Semantics) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    cost = evaluate(charged(rng, architecture), einsum, mapping, semantics)
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
            assert min((y.ingresses, y.passed, y.reductions, y.hops or 0.0, *y.energy_parts.values(),
                        *y.accesses.values(), *(d.words for d in y.deliveries))) >= 0
            assert sum(d.words for d in y.deliveries) == pytest.approx(
                sum(y.accesses.values()), abs=len(y.accesses))


def three_times(figures: dict[str, Figure], action: str) -> dict[str, Figure]:
    return {name: Figure(x.value * (3.0 if name == action else 1.0), x.source) for name, x in figures.items()}


@every
def test_a_dearer_action_costs_as_much_more(seed: int, draw: Draw, semantics: Semantics) -> None:
    """Three times the energy of one action of one level adds twice what that action costs: what
    remains of the level's energy when all its other actions are free."""
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    architecture = charged(rng, architecture)
    index = rng.randrange(len(architecture.levels))
    level, before = architecture.levels[index], evaluate(architecture, einsum, mapping, semantics)

    def with_energy(energy: dict[str, Figure]) -> Cost:
        levels = list(architecture.levels)
        levels[index] = replace(level, energy=energy)
        return evaluate(replace(architecture, levels=tuple(levels)), einsum, mapping, semantics)

    shares = []
    for action in level.energy:
        dear = with_energy(three_times(level.energy, action))
        alone = with_energy({name: Figure(x.value if name == action else 0.0, x.source)
                             for name, x in level.energy.items()})
        shares.append(alone.levels[index].energy_pj)
        assert dear.energy_pj - before.energy_pj == pytest.approx(2 * shares[-1], rel=1e-9, abs=1e-6)
        assert dear.networks == before.networks and dear.compute == before.compute
        assert dear.cycles == before.cycles
        assert [x for i, x in enumerate(dear.levels) if i != index] == [
            x for i, x in enumerate(before.levels) if i != index]
    assert sum(shares) == pytest.approx(before.levels[index].energy_pj, rel=1e-9)


@every
def test_dearer_networks_and_units_cost_as_much_more(seed: int, draw: Draw, semantics: Semantics) -> None:
    """Three times the figures of a level's networks, or of an operation, add twice their energy."""
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    architecture = charged(rng, architecture)
    index = rng.randrange(len(architecture.levels))
    level, before = architecture.levels[index], evaluate(architecture, einsum, mapping, semantics)
    levels = list(architecture.levels)
    levels[index] = replace(level, network=scale_network(level.network, 3.0),
                            update_network=scale_network(level.update_network, 3.0))
    dear = evaluate(replace(architecture, levels=tuple(levels)), einsum, mapping, semantics)
    own = sum(x.energy_pj for x in before.networks if x.level == level.name)
    assert dear.energy_pj - before.energy_pj == pytest.approx(2 * own, rel=1e-9, abs=1e-6)
    assert dear.levels == before.levels and dear.compute == before.compute
    units = replace(architecture.compute, energy=three_times(architecture.compute.energy, "compute"))
    dear = evaluate(replace(architecture, compute=units), einsum, mapping, semantics)
    assert dear.energy_pj - before.energy_pj == pytest.approx(2 * before.compute.energy_pj, rel=1e-9)
    assert dear.levels == before.levels and dear.networks == before.networks


@every
def test_more_bandwidth_never_costs_cycles(seed: int, draw: Draw, semantics: Semantics) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    index = rng.randrange(len(architecture.levels))
    kind = rng.choice(("read_bandwidth", "write_bandwidth", "shared_bandwidth"))
    cycles = []
    for width in (0.1, 0.3, 1.0, 2.5, 8.0, None):
        levels = list(architecture.levels)
        levels[index] = replace(levels[index], **{kind: width})
        cost = evaluate(replace(architecture, levels=tuple(levels)), einsum, mapping, semantics)
        cycles.append(cost.cycles)
        used = cost.levels[index].tensors.values()
        moved = {"read_bandwidth": sum(x.read_bandwidth for x in used),
                 "write_bandwidth": sum(x.write_bandwidth for x in used)}
        if width is not None:
            assert moved.get(kind, sum(moved.values())) <= width * (1 + 1e-9)
    assert cycles == sorted(cycles, reverse=True)


# ---- loops that do not matter --------------------------------------------------------------------


def with_trivial_loops(rng: Random, einsum: Einsum, mapping: Mapping) -> Mapping:
    """The same nest with loops of one iteration, at random places in a random order."""
    def mixed(loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        result = list(loops)
        for rank in rng.sample(einsum.ranks, rng.randint(0, len(einsum.ranks))):
            result.insert(rng.randint(0, len(result)), Loop(rank, 1))
        return tuple(result)

    return Mapping(tuple(replace(x, temporal=mixed(x.temporal), spatial_x=mixed(x.spatial_x),
                                 spatial_y=mixed(x.spatial_y)) for x in mapping))


@every
def test_trivial_loops_change_nothing_where_they_stand(seed: int, draw: Draw, semantics: Semantics) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    architecture = charged(rng, architecture)
    before = evaluate(architecture, einsum, mapping, semantics)
    for _ in range(3):
        assert evaluate(architecture, einsum, with_trivial_loops(rng, einsum, mapping), semantics) == before


@every
def test_a_remainder_of_nothing_is_none(seed: int, draw: Draw, semantics: Semantics) -> None:
    """A last pass as long as all others. The nest is then walked pass by pass."""
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    architecture = charged(rng, architecture)

    def spelt_out(loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        return tuple(replace(x, residual=x.last) for x in loops)

    longer = Mapping(tuple(replace(x, temporal=spelt_out(x.temporal), spatial_x=spelt_out(x.spatial_x),
                                   spatial_y=spelt_out(x.spatial_y)) for x in mapping))
    assert not longer.perfect or einsum.macs == 1
    before = evaluate(architecture, einsum, mapping, semantics)
    assert evaluate(architecture, einsum, longer, semantics) == before


def written_otherwise(rng: Random, entry: dict[str, object], ranks: tuple[str, ...]) -> dict[str, object]:
    """A mapping entry that says the same: trivial ranks elsewhere in the order, or left out of it,
    every factor with a last pass (`4` as `4,4`, and `8,5` as it is), in another order."""
    if "factors" not in entry:
        return entry
    factors = dict(text.split("=") for text in str(entry["factors"]).split())
    order = [x for x in str(entry["permutation"]) if factors[x] != "1"]
    trivial = [x for x in ranks if factors[x] == "1"]
    if entry["type"] == "temporal":
        for rank in rng.sample(trivial, rng.randint(0, len(trivial))):
            order.insert(rng.randint(0, len(order)), rank)
    else:       # before the split, a trivial rank takes the place of another one
        rng.shuffle(trivial)
        order += trivial
    spelt = [f"{rank}={text}" if "," in text else f"{rank}={text},{text}" for rank, text in factors.items()]
    rng.shuffle(spelt)
    return {**entry, "permutation": "".join(order), "factors": " ".join(spelt)}


@pytest.mark.parametrize("draw", [random_case, imperfect_case])
@pytest.mark.parametrize("seed", range(60))
def test_entries_that_say_the_same_are_the_same_mapping(seed: int, draw: Draw) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = draw(rng)
    mapping = with_directives(rng, einsum, mapping)
    if any({x.rank for x in b.spatial_x} & {x.rank for x in b.spatial_y} for b in mapping):
        return        # such a nest has no entries
    entries = to_timeloop(mapping, einsum)
    assert from_timeloop(entries, architecture, einsum) == mapping
    others = [written_otherwise(rng, entry, einsum.ranks) for entry in entries]
    rng.shuffle(others)
    assert from_timeloop(others, architecture, einsum) == mapping


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
