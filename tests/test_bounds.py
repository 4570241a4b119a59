"""Bounds: sound for every mapping of a region, equal between solvers, checkable by arithmetic."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cvxpy.error import SolverError
from tilebound.bounds.programs import bound as bounding
from tilebound.bounds.programs import solve as solving
from tilebound.bounds.programs.bound import bound_region, energy_floor, parts_values
from tilebound.bounds.programs.certificate import certified_log_bound
from tilebound.bounds.programs.program import Multipliers
from tilebound.bounds.programs.relax import Relaxation
from tilebound.bounds.programs.solve import solve, solve_cvxpy
from tilebound.bounds.programs.streams import Streams
from tilebound.bounds.programs.variables import Variables
from tilebound.bounds.region import TRIVIAL, Region
from tilebound.bounds.scenario import Scenario
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.mapping.constraints import NONE, Constraints
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import Template
from tilebound.model.evaluate import evaluate
from tilebound.model.reuse import placed_loops, words_received
from tilebound.search.local import Explorer
from tilebound.search.space import Mapspace
from tilebound.workload.einsum import Einsum, Tensor, Term

from strategies import (
    axes,
    charging,
    gated,
    random_architecture,
    random_case,
    random_einsum,
    random_mapping,
    separate,
)

POWERS = ((1, 0), (0, 1), (1, 1), (1, 2))


def region_of(rng, einsum, mapping):
    """A random region that contains `mapping`: some of its choices, the others left open."""
    innermost = []
    for block in mapping.blocks[:-1]:
        inner = block.temporal[-1].rank if block.temporal else TRIVIAL
        innermost.append(inner if rng.random() < 0.7 else None)
    try:
        _, factors = Template.of(einsum, mapping)
    except ValueError:
        factors = None
    fixed = []
    for i, rank in enumerate(einsum.ranks):
        if factors is not None and rng.random() < 0.4:
            fixed.append((rank, tuple(int(x) for x in factors[:, i])))
    return Region(tuple(b.keep for b in mapping), tuple(innermost), tuple(fixed))


@pytest.mark.parametrize("seed", range(400))
def test_bound_lies_below_every_mapping_of_its_region(seed):
    rng = random.Random(seed)
    architecture, einsum, mapping = random_case(rng)
    region = region_of(rng, einsum, mapping)
    if seed % 4 == 0:
        architecture = gated(rng, architecture)
    if seed % 4 == 1:
        architecture = charging(rng, architecture)
    if seed % 4 == 2:
        architecture = separate(rng, architecture)
    cost = evaluate(architecture, einsum, mapping)
    relaxation = Relaxation(Scenario(architecture, einsum))
    floor, _ = energy_floor(relaxation, region)
    for energy_power, cycles_power in POWERS:
        bound = bound_region(relaxation, region, energy_power, cycles_power, floor)
        value = cost.energy_pj ** energy_power * cost.cycles ** cycles_power
        assert bound.value <= value * (1 + 1e-9), (energy_power, cycles_power)


def random_part(rng, space, region):
    """A part of a region, or none where it cannot be split."""
    parts = list(space.choices.decide(region, space.choices.next_decision(region)) if region.open else
                 space.split(region) if {rank for rank, _ in region.fixed} < set(space.ranks) else ())
    return rng.choice(parts) if parts else None


def random_path(rng, constraints=NONE):
    """A mapspace and some regions of it, each a part of the one before."""
    architecture, einsum, _ = random_case(rng)
    architecture = rng.choice((gated, charging, lambda rng, x: x))(rng, architecture)
    space = Mapspace(architecture, einsum, constraints)
    regions = [space.whole] if space.choices.count else []
    while regions and (part := random_part(rng, space, regions[-1])) is not None:
        regions.append(part)
    return space, regions


@pytest.mark.parametrize("seed", range(20))
def test_programs_do_not_depend_on_what_was_compiled_before(seed):
    rng = random.Random(seed)
    space, regions = random_path(rng, Constraints(imperfect=rng.random() < 0.3))
    regions += [part for region in regions for part in [random_part(rng, space, region)] if part is not None]
    relaxation = space.relaxation()
    for region in rng.sample(regions, len(regions)):
        fresh, again = (x.program(region, 1, 1) for x in (
            space.relaxation(), relaxation))
        assert (fresh is None) == (again is None)
        for name in () if fresh is None else ("exponents", "logs", "sizes", "lower", "upper", "offset"):
            assert np.array_equal(getattr(fresh, name), getattr(again, name)), (region, name)
        assert fresh is None or fresh.labels == again.labels


@pytest.mark.parametrize("seed", range(40))
def test_what_multipliers_of_a_region_prove_of_its_parts_lies_below_every_mapping_of_these(seed):
    rng = random.Random(seed)
    space, regions = random_path(rng)
    small = [region for region in regions if not region.open and space.combinations(region) <= 1000]
    relaxation, powers = space.relaxation(), rng.choice(POWERS)
    explorer = Explorer(space, *powers)
    least = [min((explorer.values(region.keep, orders, factors).min(initial=np.inf) for orders, factors in
                  space.in_order(region, space.enumerate(region))), default=np.inf) for region in small]
    for region in regions:
        floor = energy_floor(relaxation, region)[0]
        bound = bound_region(relaxation, region, *powers, floor)
        own, *shown = parts_values(bound.plane, relaxation, [region, *small])
        assert own == pytest.approx(bound.value, rel=1e-9) or bound.plane is None or floor == np.inf
        for part, value, true in zip(small, shown, least, strict=True):
            if regions.index(region) <= regions.index(part):
                assert value <= true * (1 + 1e-9), (region, part)


@pytest.mark.parametrize("seed", range(12))
def test_fast_solver_agrees_with_cvxpy_and_any_multipliers_prove_less(seed):
    rng = random.Random(1000 + seed)
    architecture, einsum, mapping = random_case(rng)
    program = Relaxation(Scenario(architecture, einsum)).program(region_of(rng, einsum, mapping), 1, 1)
    fast, reference = solve(program), solve_cvxpy(program)
    assert fast.value == pytest.approx(reference.value, abs=1e-5)
    proven = certified_log_bound(program, fast.multipliers)
    assert fast.value - 1e-4 <= proven <= fast.value + 1e-7
    noise = np.random.default_rng(seed)
    values = [v * noise.uniform(0.5, 2.0) for v in fast.multipliers.flat()]
    assert certified_log_bound(program, Multipliers.from_flat(program, values)) <= fast.value + 1e-7


def words_at(builder, posynomial, factors):
    """Value of a posynomial at whole factors, every helper variable as low as its constraints let it."""
    point = np.zeros(builder.width)
    point[:builder.v.size] = np.log(factors).reshape(-1)
    for i in range(builder.v.size + 1, builder.used):
        limits = [c for c in builder.constraints if np.all(c.exponents[:, i] == -1)]
        point[i] = max(np.log(c(point)) for c in limits)
        assert point[i] <= builder.upper[i] + 1e-9
    return posynomial(point)


@pytest.mark.parametrize("seed", range(600))
def test_no_stream_is_overestimated(seed, monkeypatch):
    """Tensor by tensor, with windows wide enough for steps of their ranks to mix."""
    monkeypatch.setattr("strategies.EXTENTS", (1, 2, 2, 3, 4, 4, 6, 8, 12, 14, 16, 20, 24, 32))
    rng = random.Random(seed)
    einsum = random_einsum(rng, 4000)
    mapping = random_mapping(rng, einsum, rng.choice((2, 3)))
    if any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping):
        return
    _, factors = Template.of(einsum, mapping)
    variables = Variables(Scenario(random_architecture(rng, einsum, mapping), einsum))
    builder = Streams(variables, region_of(rng, einsum, mapping))
    for tensor in einsum.tensors:
        for child in range(1, len(mapping.blocks)):
            around = [x for x in placed_loops(mapping) if x.level < child and not x.spatial]
            true = words_received(tensor, around, mapping.tile(child, einsum.extent))
            low = words_at(builder, builder.stream(tensor, child), factors)
            assert low <= true * (1 + 1e-9), (tensor.name, child)


def priced(**values):
    return {action: Figure(value, "test") for action, value in values.items()}


@pytest.mark.parametrize("p, r, n, f", [(2, 2, 2, 8), (3, 3, 2, 16), (4, 4, 2, 32), (2, 4, 5, 16)])
def test_a_window_whose_steps_undo_each_other_is_not_overestimated(p, r, n, f):
    """R steps outside P at one level: steps of R may bring the window back to where P left it."""
    einsum = Einsum("conv", ("P", "R"), (p * n, r * f), (
        Tensor("W", axes("R")), Tensor("I", axes((Term("P"), Term("R")))),
        Tensor("O", axes("P"), is_output=True)))
    free = priced(read=0.0, fill=0.0, update=0.0)
    architecture = Architecture("a", (
        Storage("D", energy={**free, **priced(read=1.0)}), Storage("B", energy=free)),
        Compute("M", energy=priced(compute=1e-6)))
    mapping = Mapping((Block("D", frozenset("WIO"), (Loop("R", f), Loop("P", n))),
                       Block("B", frozenset("I"), (Loop("P", p), Loop("R", r)))))
    _, factors = Template.of(einsum, mapping)
    region = Region(tuple(b.keep for b in mapping), ("P",), tuple(
        (rank, tuple(int(x) for x in factors[:, i])) for i, rank in enumerate(einsum.ranks)))
    cost = evaluate(architecture, einsum, mapping)
    assert bound_region(Relaxation(Scenario(architecture, einsum)), region, 1, 0, 0.0).value <= cost.energy_pj


def test_a_cluster_that_does_not_divide_the_instances():
    """Five instances, four to a cluster: one access serves them all."""
    einsum = Einsum("copy", ("M",), (5,), (Tensor("A", axes("M")), Tensor("Z", axes("M"), is_output=True)))
    same = priced(read=1000.0, fill=0.0, update=0.0)
    architecture = Architecture("a", (
        Storage("D", energy=priced(read=0.0, fill=0.0, update=0.0)),
        Storage("B", 5, cluster_size=4, energy=same)),
        Compute("M", 5, energy=priced(compute=1.0)))
    mapping = Mapping((Block("D", frozenset("AZ"), (), (Loop("M", 5),)), Block("B", frozenset("AZ"))))
    region = Region(tuple(b.keep for b in mapping), (None,))
    cost = evaluate(architecture, einsum, mapping)
    assert bound_region(Relaxation(Scenario(architecture, einsum)), region, 1, 0, 0.0).value <= cost.energy_pj


def test_multipliers_that_are_no_numbers_prove_nothing():
    architecture, einsum, mapping = random_case(random.Random(3))
    region = region_of(random.Random(3), einsum, mapping)
    program = Relaxation(Scenario(architecture, einsum)).program(region, 1, 1)
    values = solve(program).multipliers.flat()
    for forged in (1e308, float("inf"), float("nan"), -1.0, "1"):
        with pytest.raises(ValueError, match="multiplier"):
            Multipliers.from_flat(program, [forged, *values[1:]])
    large = Multipliers.from_flat(program, [1000.0] * len(values))
    assert certified_log_bound(program, large) <= solve(program).value


def test_energy_that_is_zero_everywhere_is_bounded_by_nothing():
    einsum = Einsum("copy", ("M",), (4,), (Tensor("A", axes("M")), Tensor("Z", axes("M"), is_output=True)))
    architecture = Architecture("a", (Storage("D", energy=priced(read=0.0, fill=0.0, update=0.0)),),
                                Compute("M", energy=priced(compute=0.0)))
    region = Region((frozenset("AZ"),), ())
    assert bound_region(Relaxation(Scenario(architecture, einsum)), region, 1, 1, 0.0).value < 1e-200


def test_where_the_solvers_have_failed_nothing_is_proven(monkeypatch):
    def failing(_):
        raise SolverError

    monkeypatch.setattr(solving, "solve_cvxpy", failing)
    architecture, einsum, mapping = random_case(random.Random(3))
    region = region_of(random.Random(3), einsum, mapping)
    monkeypatch.setattr(bounding, "solve", solving._second_try)
    for powers in POWERS:
        bound = bound_region(Relaxation(Scenario(architecture, einsum)), region, *powers, 1.0)
        assert bound.point is None
        assert bound.value == 0 if powers[0] else 0 < bound.value <= einsum.macs
