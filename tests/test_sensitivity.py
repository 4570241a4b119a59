"""What more of a figure is worth, from multipliers, against the relaxed bounds of changed machines."""

from __future__ import annotations

import random
from dataclasses import replace
from math import isfinite, log

import pytest
from tilebound.bounds.programs.bound import bound_region, energy_floor
from tilebound.bounds.programs.relax import Relaxation
from tilebound.bounds.programs.sensitivity import log_slopes, sensitivities
from tilebound.bounds.programs.solve import solve
from tilebound.bounds.scenario import Scenario
from tilebound.hardware.architecture import Architecture, Compute, Storage
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.space import Mapspace

from test_search import conv, figures, gemm, same, three_level

_SHARE = 1.01         # of a figure; GLB of 200 words gets 2 more


def machine(rng: random.Random) -> Architecture:
    def bandwidth():
        return rng.choice((None, None, 0.5, 2.0, 8.0))

    return Architecture("drawn", (
        Storage("DRAM", energy=same(100.0), read_bandwidth=bandwidth(), write_bandwidth=bandwidth()),
        Storage("GLB", size_words=rng.choice((200, 600, 2000)), energy=same(6.0),
                shared_bandwidth=bandwidth()),
        Storage("RF", mesh_x=rng.choice((1, 4, 8)), mesh_y=rng.choice((1, 2, 6)),
                size_words=rng.choice((20, 100)),
                energy=figures(read=1.0, fill=1.0, update=1.0, leak=0.01))),
        Compute("MAC", mesh_x=8, mesh_y=12, energy=figures(compute=1.0)))


def changed(relaxation: Relaxation, label, share: float) -> Relaxation:
    """The relaxation of a machine with `share` times as much of a figure."""
    architecture, einsum = relaxation.scenario.architecture, relaxation.einsum
    level = architecture.levels[label.level]
    if label.kind == "array":
        other = Relaxation(Scenario(architecture, einsum))
        other.limits = tuple(replace(x, most=x.most * share) if x.level == label.level and (
            label.axes in x.kinds) else x for x in relaxation.limits)
        other.least_cycles = relaxation.least_cycles / share
        return other
    figure = {"size_words": int(level.size_words * share)} if label.kind == "capacity" else \
        {label.kind: getattr(level, label.kind) * share}
    levels = tuple(replace(x, **figure) if x is level else x for x in architecture.levels)
    return Relaxation(Scenario(replace(architecture, levels=levels), einsum))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_multipliers_are_the_slopes_of_the_relaxed_bound(objective):
    """A least value is convex in the logarithms of the limits, so its slopes to both sides bracket it."""
    powers, seen, smooth = OBJECTIVES[objective], set(), 0
    for seed in range(8):
        rng = random.Random(seed)
        einsum = rng.choice((gemm(64, 48, 96), conv(64, 32, 56, 3)))
        space = Mapspace(machine(rng), einsum)
        relaxation = space.relaxation()
        region = space.root(rng.choice(space.keeps))
        program = relaxation.program(region, *powers)
        relaxed = None if program is None else solve(program)
        if relaxed is None or not isfinite(relaxed.value):
            continue
        for label, slope in log_slopes(program, relaxed.multipliers, relaxation).items():
            if label.kind == "array" and space.architecture.fanout(label.level)["xy".index(label.axes)] == 1:
                continue
            more, less = (solve(changed(relaxation, label, share).program(region, *powers)).value
                          for share in (_SHARE, 1 / _SHARE))
            step = log(_SHARE)
            rise, fall = (relaxed.value - more) / step, (less - relaxed.value) / step
            if label.kind == "capacity":     # whole words: one less than a hundredth, or just it
                fall += 0.02 * abs(fall)
            assert rise - 2e-3 <= slope <= fall + 2e-3, (seed, label)
            seen |= {label.kind} if slope > 1e-3 else set()
            smooth += slope > 1e-2 and abs(fall - rise) < 0.05 * slope
    assert smooth and {"energy": {"capacity"}, "latency": {"array"}}.get(objective, {"capacity"}) <= seen


def test_marginal_values_are_in_the_unit_of_the_objective():
    space = Mapspace(three_level(middle=200, inner=100), conv(64, 64, 56, 3))
    relaxation = space.relaxation()
    region = space.root(space.keeps[0])
    floor, _ = energy_floor(relaxation, region)
    for powers in OBJECTIVES.values():
        bound, found = sensitivities(relaxation, region, *powers, floor)
        assert bound == pytest.approx(bound_region(relaxation, region, *powers, floor).value, rel=1e-3)
        assert [x.elasticity for x in found] == sorted(x.elasticity for x in found)
        top = found[0]
        assert top.elasticity < 0 and top.marginal == pytest.approx(top.elasticity * bound / top.have)
    bound, found = sensitivities(relaxation, region, 1, 0, 0.0)
    binding = next(x for x in found if x.label.kind == "capacity" and x.label.level == 1)
    more = bound_region(changed(relaxation, binding.label, _SHARE), region, 1, 0, 0.0).value
    assert more - bound == pytest.approx(binding.marginal * binding.have * (_SHARE - 1), rel=0.1)
