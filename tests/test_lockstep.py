"""Lockstep skipping: machines by declaration, the declaration itself, and whole evaluations."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from math import comb
from random import Random

import numpy as np
import pytest
import tilebound as tb
import yaml
from tilebound.energy.ert import energy_table
from tilebound.hardware.lockstep import Barrier, Lockstep, Operand
from tilebound.hardware.write import architecture_to_dict
from tilebound.hardware.write_timeloop import architecture_to_timeloop
from tilebound.loading import load_specs
from tilebound.mapping.template import Template
from tilebound.mapping.text import parse_nest
from tilebound.model.batch_sparse import batch_evaluator
from tilebound.model.lockstep.cycles import LockstepCost, lockstep_cycles
from tilebound.search.layer import LayerSearch
from tilebound.search.space import Mapspace

from sparse_strategies import with_zeros
from strategies import random_case
from test_model_batch import class_members

ACCURACY = 0.005


# --- machines, by declaration ----------------------------------------------------------------------


def gemm(m: int, n: int, k: int, a: object = None, b: object = None) -> tb.Einsum:
    densities = {name: x for name, x in (("Inputs", a), ("Weights", b)) if x is not None}
    layer = {"name": "g", "type": "matmul", "M": m, "N": n, "K": k, "densities": densities}
    return tb.load_workload({"layers": [layer]})["g"]


def conv(inputs: object, weights: object, **extents: int) -> tb.Einsum:
    return tb.load_workload({"layers": [{"name": "c", "type": "conv", **extents, "densities": {
        "Inputs": inputs, "Weights": weights}}]})["c"]


def at_random(density: float) -> dict[str, object]:
    return {"model": "binomial", "density": density}


def machine(lockstep: dict, *levels: tuple[str, int]) -> tb.Architecture:
    """Levels with the instances below each of them."""
    return tb.load_architecture({"name": "machine", "levels": [
        {"name": name, "energy": 1, "fanout": below} for name, below in levels],
        "compute": {"name": "MAC", "energy": 1, "lockstep": lockstep}})


def cost(architecture: tb.Architecture, einsum: tb.Einsum, text: str) -> LockstepCost:
    _, factors = Template.of(einsum, parse_nest(text, architecture, einsum))
    return lockstep_cycles(architecture, einsum, factors[None])


# Two operands, taken 8 and 16 at a time from columns and rows of 32.
OUTER = {"step": {"M": 32, "N": 32, "K": 1}, "operands": {"Inputs": 8, "Weights": 16}}
OUTER_LEVELS = ("DRAM", 1), ("Lines", 128)
OUTER_NEST = """
    DRAM
      for M in 2
        for N in 2
          for K in 32
    Lines
            for N in 2
              for M in 4
                for N in 16 (Spatial-X)
                  for M in 8 (Spatial-X)"""


def test_outer_products_in_quanta():
    core = machine(OUTER, *OUTER_LEVELS)
    dense = cost(core, gemm(64, 64, 32), OUTER_NEST)
    assert (dense.cycles, dense.dense, dense.groups, dense.utilization) == (1024, 1024, 1, 1)
    found = cost(core, gemm(64, 64, 32, at_random(0.4), at_random(0.6)), OUTER_NEST)

    def expected(density: float, width: int) -> float:
        return sum(comb(32, k) * density**k * (1 - density)**(32 - k) * -(-k // width) for k in range(33))
    assert found.cycles == pytest.approx(4 * 32 * expected(0.4, 8) * expected(0.6, 16), rel=1e-12)
    assert found.utilization == pytest.approx(64 * 64 * 32 * 0.24 / 128 / found.cycles, rel=1e-12)


#: Run times read off a published figure (4096 x 4096 x 4096, dense 4600), by density of the operands.
MEASURED = {(1.0, 0.4): 2500, (0.9, 1.0): 4160, (0.9, 0.4): 2300, (0.7, 1.0): 3300, (0.5, 0.4): 1480,
            (0.3, 1.0): 1930}


def test_outer_products_near_a_published_figure():
    """A figure digitised by others, so good to some percent; quanta alone explain it to 6 % on average."""
    core, errors = machine(OUTER, *OUTER_LEVELS), []
    nest = OUTER_NEST.replace("M in 2", "M in 128").replace("DRAM\n      for M in 128\n        for N in 2",
                                                           "DRAM\n      for M in 128\n        for N in 128")
    for (a, b), measured in MEASURED.items():
        densities = [{"model": "hypergeometric", "density": x} for x in (a, b)]
        found = cost(core, gemm(4096, 4096, 4096, *densities), nest.replace("K in 32", "K in 4096"))
        errors.append(abs(found.cycles / found.dense / (measured / 4600) - 1))
    assert np.mean(errors) < 0.06
    assert max(errors) < 0.12


def test_cartesian_products_behind_a_barrier():
    """Four weights times four inputs in each of 64 units, which wait for each other once all channels of
    a group of filters are through."""
    lockstep = {"step": {"K": 8, "R": 3, "S": 3, "P": 6, "Q": 6, "C": 1},
                "operands": {"Weights": 4, "Inputs": {"width": 4, "ranks": ["P", "Q"]}},
                "barrier": {"level": "GLB", "every": {"C": "all"}}}
    units = machine(lockstep, ("DRAM", 1), ("GLB", 64), ("PE", 16))
    nest = """
        DRAM
          for K in 2
        GLB
            for P in 8 (Spatial-X)
              for Q in 8 (Spatial-X)
        PE
                for C in 32
                  for R in 3
                    for S in 3
                      for P in 3
                        for Q in 3
                          for K in 2
                            for K in 4 (Spatial-X)
                              for P in 2 (Spatial-X)
                                for Q in 2 (Spatial-X)"""
    shape = {"K": 16, "C": 32, "P": 48, "Q": 48, "R": 3, "S": 3}
    dense = cost(units, conv(1.0, 1.0, **shape), nest)
    assert (dense.cycles, dense.dense, dense.groups, dense.utilization) == (2 * 32 * 18 * 9, 10368, 64, 1)
    found = cost(units, conv(at_random(0.4), at_random(0.35), **shape), nest)
    rng = np.random.default_rng(3)
    weights = np.ceil(rng.binomial(72, 0.35, (2000, 32, 1)) / 4)
    inputs = np.ceil(rng.binomial(36, 0.4, (2000, 32, 64)) / 4)
    last = (weights * inputs).sum(axis=1).max(axis=1)
    assert found.cycles == pytest.approx(2 * last.mean(), rel=ACCURACY)
    assert found.unhindered < 0.95 * found.cycles


def test_a_barrier_reaches_over_loops_outside_the_tile():
    """All channels are between two barriers, whichever level below or at the barrier's runs through
    them; those that a level further out runs through are not."""
    lockstep = {"step": {"K": 8, "P": 6}, "operands": {"Weights": 2, "Inputs": 2},
                "barrier": {"level": "GLB", "every": {"C": "all"}}}
    units = machine(lockstep, ("DRAM", 1), ("GLB", 8), ("PE", 4))
    layer = conv(at_random(0.4), at_random(0.35), K=8, C=32, P=48, Q=1, R=1, S=1)

    def cycles(dram: int, glb: int, inner: int) -> float:
        return cost(units, layer, f"""
            DRAM
              for C in {dram}
            GLB
                for C in {glb}
                  for P in 8 (Spatial-X)
            PE
                    for C in {inner}
                      for K in 8
                        for P in 6""".replace("for C in 1\n", "\n")).cycles[0]
    assert cycles(1, 1, 32) == cycles(1, 4, 8) == cycles(1, 32, 1)
    assert cycles(4, 1, 8) == cycles(4, 8, 1) > 1.02 * cycles(1, 1, 32)


MASKS = {"step": {"C": 128}, "operands": ["Inputs", "Weights"], "matches": 1, "least": 1,
         "barrier": {"level": "Cluster"}}
MASKS_LEVELS = ("DRAM", 4), ("Cluster", 32), ("Unit", 1)
MASKS_NEST = """
    DRAM
      for P in 4 (Spatial-X)
    Cluster
        for P in 2
          for K in 2
            for K in 32 (Spatial-X)
    Unit
              for C in 256"""


def masks(rng: np.random.Generator, density: float, *shape: int) -> np.ndarray:
    return rng.random((*shape, 128)) < density


def test_matches_of_masks_in_a_cluster():
    shape = {"K": 64, "C": 256, "P": 8, "Q": 1, "R": 1, "S": 1}
    cluster = machine(MASKS, *MASKS_LEVELS)
    dense = cost(cluster, conv(1.0, 1.0, **shape), MASKS_NEST)
    assert (dense.cycles, dense.groups, dense.steps, dense.utilization) == (1024, 128, 8, 1)
    found = cost(cluster, conv(at_random(0.45), at_random(0.35), **shape), MASKS_NEST)
    rng = np.random.default_rng(5)
    runs = [(masks(rng, 0.45, 500, 1) & masks(rng, 0.35, 500, 32)).sum(axis=2) for _ in range(8)]
    last = np.maximum(np.concatenate(runs), 1).max(axis=1)
    assert found.cycles == pytest.approx(8 * last.mean(), rel=ACCURACY)
    assert found.unhindered == pytest.approx(8 * 128 * 0.45 * 0.35, rel=1e-6)


def test_greedy_balancing_pairs_full_filters_with_empty_ones():
    """Two filters a unit between barriers, of two kinds: dealt by how full they are, or as they come."""
    shape = {"K": 64, "C": 128, "P": 4, "Q": 1, "R": 1, "S": 1}
    nest = MASKS_NEST.replace("C in 256", "C in 128").replace("        for P in 2\n", "")
    costs = {}
    for greedy in ({}, {"greedy": "Weights"}):
        barrier = {"level": "Cluster", "every": {"K": 2}, **greedy}
        cluster = machine(MASKS | {"barrier": barrier}, *MASKS_LEVELS)
        layer = conv(at_random(0.8), at_random(0.3), **shape)
        costs[bool(greedy)] = cost(cluster, layer, nest)
    rng = np.random.default_rng(9)
    plain, dealt = [], []
    for _ in range(40):
        filters, inputs = masks(rng, 0.3, 100, 64), masks(rng, 0.8, 100, 1)
        work = np.maximum((filters & inputs).sum(axis=2), 1)
        order = np.argsort(-filters.sum(axis=2), axis=1)
        sorted_work = np.take_along_axis(work, order, axis=1)
        plain.append((work[:, :32] + work[:, 32:]).max(axis=1))
        dealt.append((sorted_work[:, :32] + sorted_work[:, :31:-1]).max(axis=1))
    assert costs[False].cycles == pytest.approx(np.mean(plain), rel=ACCURACY)
    assert costs[True].cycles == pytest.approx(np.mean(dealt), rel=ACCURACY)
    assert costs[True].cycles < 0.97 * costs[False].cycles
    assert costs[True].unhindered == costs[False].unhindered


@pytest.mark.parametrize(("density", "share"), [(0.5, 0.5), (1.0, 1.0)])
def test_two_of_four(density, share):
    """Weights with two non-zeros in every four, taken two at a time for 16 rows and 8 columns at once."""
    lockstep = {"step": {"M": 16, "N": 8, "K": 4}, "operands": {"Weights": {"width": 2, "ranks": ["K"]}}}
    core = machine(lockstep, ("DRAM", 1), ("Registers", 256))
    weights = {"model": "fixed_structured", "density": density}
    found = cost(core, gemm(64, 64, 64, 0.3, weights), """
        DRAM
          for M in 4
            for N in 8
              for K in 16
        Registers
                for K in 2
                  for M in 16 (Spatial-X)
                    for N in 8 (Spatial-X)
                      for K in 2 (Spatial-X)""")
    assert (found.dense, found.cycles) == (1024, share * 1024)
    assert found.utilization == pytest.approx(1)


def test_adders_fed_by_masks():
    """Groups of 64 positions, 8 adders: the matches of two masks, eight a cycle; empty groups are free."""
    lockstep = {"step": {"C": 64}, "operands": ["Inputs", "Weights"], "matches": 8}
    adders = machine(lockstep, ("DRAM", 1), ("Masks", 8))
    found = cost(adders, gemm_over_c(0.7, 0.05), """
        DRAM
          for K in 16
            for P in 8
        Masks
              for C in 8
                for C in 8 (Spatial-X)""")
    rng = np.random.default_rng(11)
    taken = [np.ceil((rng.random((20_000, 64)) < 0.7 * 0.05).sum(axis=1) / 8) for _ in range(20)]
    assert found.cycles == pytest.approx(16 * 8 * np.mean(taken), rel=ACCURACY)
    assert found.dense == 1024


def gemm_over_c(inputs: float, weights: float) -> tb.Einsum:
    return conv(at_random(inputs), at_random(weights), K=16, C=64, P=8, Q=1, R=1, S=1)


@pytest.mark.parametrize(("multipliers", "least"), [(4, 1), (9, 1), (4, 0)])
def test_initiation_interval(multipliers, least):
    """A window of nine products, of which `multipliers` that are not zero are done a cycle."""
    lockstep = {"step": {"R": 3, "S": 3}, "operands": ["Inputs", "Weights"], "matches": multipliers,
                "least": least}
    engine = machine(lockstep, ("DRAM", 1), ("Window", multipliers))
    layer = conv(at_random(0.5), at_random(0.4), K=4, C=4, P=8, Q=8, R=3, S=3)
    found = cost(engine, layer, """
        DRAM
          for K in 4
            for C in 4
              for P in 8
                for Q in 8
        Window
                  for R in 3
                    for S in 3""")
    interval = sum(comb(9, k) * 0.2**k * 0.8**(9 - k) * max(-(-k // multipliers), least) for k in range(10))
    assert found.cycles == pytest.approx(1024 * interval, rel=1e-9)


def test_remainders_of_steps_and_tiles():
    """192 channels are a step of 128 and one of 64; where a tile holds 96, no step is longer."""
    shape = {"K": 1, "C": 192, "P": 1, "Q": 1, "R": 1, "S": 1}
    lockstep = {"step": {"C": 128}, "operands": ["Weights"], "matches": 16}
    unit, layer = machine(lockstep, ("DRAM", 1), ("Unit", 16)), conv(1.0, at_random(0.3), **shape)

    def expected(words: int) -> float:
        return sum(comb(words, k) * 0.3**k * 0.7**(words - k) * -(-k // 16) for k in range(words + 1))
    whole = cost(unit, layer, "Unit\n  for C in 192")
    assert whole.cycles == pytest.approx(expected(128) + expected(64), rel=1e-9)
    assert (whole.steps, whole.dense) == (2, 12)
    halves = cost(unit, layer, "DRAM\n  for C in 2\nUnit\n  for C in 96")
    assert halves.cycles == pytest.approx(2 * expected(96), rel=1e-9)


# --- the declaration -------------------------------------------------------------------------------


def test_declarations_are_written_and_read_back():
    declared = MASKS | {"group": "Unit", "barrier": {"level": "Cluster", "every": {"K": 2, "C": "all"},
                                                     "greedy": "Weights"}}
    first = machine(declared, *MASKS_LEVELS)
    again = tb.load_architecture(architecture_to_dict(first))
    assert again == first and again.compute.lockstep is not None
    assert again.compute.lockstep.barrier == Barrier("Cluster", (("K", 2), ("C", None)), "Weights")
    split = {"step": {"P": 2, "K": 2}, "operands": {"Inputs": {"width": 4, "ranks": ["P"]}, "Weights": 2}}
    first = machine(split, *OUTER_LEVELS)
    assert tb.load_architecture(architecture_to_dict(first)) == first


@pytest.mark.parametrize(("change", "message"), [
    ({"step": {"C": 0}}, "step of C is 0; expected a whole number, 1 or more"),
    ({"operands": {"Inputs": 0}, "matches": None}, "width is 0; expected a whole number, 1 or more"),
    ({"operands": {"Inputs": 4}}, "a width of Inputs beside matches"),
    ({"operands": {"Inputs": {"ranks": ["D"]}}}, "rank D of Inputs is not in the step; expected C"),
    ({"operands": ["Inputs", "Inputs"]}, "operand Inputs is listed twice"),
    ({"matches": None}, "operands is a list; expected a mapping of tensors"),
    ({"group": "Unite"}, "'Unite', which is no storage level; expected one of DRAM, Cluster, Unit; did"),
    ({"barrier": "Unit"}, "a barrier at Unit, which is not above Unit"),
    ({"barrier": {"level": "Cluster", "greedy": "Weight"}}, "greedy is 'Weight', which is no operand"),
    ({"barrier": {"level": "Cluster", "every": {"C": "most"}}}, "expected a whole number, 1 or more, or all"),
    ({"barriers": "Cluster"}, "unknown key 'barriers' in lockstep"),
])
def test_faults_in_a_declaration_are_located(tmp_path, change, message):
    levels = [{"name": name, "energy": 1, "fanout": n} for name, n in MASKS_LEVELS]
    compute = {"name": "MAC", "energy": 1, "lockstep": MASKS | change}
    path = tmp_path / "machine.yaml"
    path.write_text(yaml.safe_dump({"architecture": {"name": "m", "levels": levels, "compute": compute}}))
    with pytest.raises(tb.SpecError) as caught:
        tb.load_architecture(path)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.line > 1 and problem.column > 1


def test_what_fits_no_layer_is_located(tmp_path):
    path = tmp_path / "all.yaml"

    def load(operand):
        compute = {"name": "MAC", "energy": 1, "lockstep": {"step": {"M": 2}, "operands": {operand: 3}}}
        path.write_text(yaml.safe_dump({
            "architecture": {"levels": [{"name": "DRAM", "energy": 1, "fanout": 4}], "compute": compute},
            "workload": {"layers": [{"name": "one", "type": "matmul", "M": 4, "N": 4, "K": 8}]}}))
        return load_specs([path], need=("architecture", "workload")).architecture

    assert load("Inputs") is not None
    with pytest.raises(tb.SpecError) as caught:
        load("Weights")                             # two rows for each of them
    (problem,) = caught.value.problems
    assert "does 6 operations a cycle; expected 4 or fewer, as an instance of DRAM feeds 4" in problem.message
    assert problem.line > 1 and problem.column > 1


def test_layers_without_the_declared_names_are_refused():
    other = machine(MASKS, *MASKS_LEVELS)
    with pytest.raises(tb.MappingError, match="a step over rank C, g has M, N, K"):
        cost(other, gemm(4, 4, 4), "Unit\n  for M in 4\n    for N in 4\n      for K in 4")
    with pytest.raises(tb.MappingError, match="does 128 operations a cycle; expected 64 or fewer, as an"):
        cost(machine(OUTER, ("DRAM", 1), ("Lines", 64)), gemm(64, 64, 32), OUTER_NEST)
    wide = machine(MASKS | {"step": {"C": 4, "K": 2}}, *MASKS_LEVELS)
    with pytest.raises(tb.MappingError, match="tiles of 4, 8 words cannot match word by word"):
        cost(wide, conv(1.0, 1.0, K=2, C=4, P=1, Q=1, R=1, S=1), "Unit\n  for C in 4\n    for K in 2")


@pytest.mark.parametrize(("change", "message"), [
    ({"operands": ["Input", "Weights"]}, "unknown operand 'Input'; expected one of Inputs, Weights; did"),
    ({"operands": ["Inputs", "Outputs"]}, "unknown operand 'Outputs'"),
    ({"step": {"M": 4}}, "unknown rank 'M'; expected one of C, K, N, P, Q, R, S"),
    ({"barrier": {"level": "Cluster", "every": {"D": 2}}}, "unknown rank 'D'"),
])
def test_names_are_those_of_the_workload(tmp_path, change, message):
    levels = [{"name": name, "energy": 1, "fanout": n} for name, n in MASKS_LEVELS]
    compute = {"name": "MAC", "energy": 1, "lockstep": MASKS | change}
    path = tmp_path / "all.yaml"
    layer = {"name": "c", "type": "conv", "K": 2, "C": 4, "P": 2, "Q": 2, "R": 1, "S": 1}
    path.write_text(yaml.safe_dump({"architecture": {"name": "m", "levels": levels, "compute": compute},
                                    "workload": {"layers": [layer]}}))
    with pytest.raises(tb.SpecError) as caught:
        load_specs([path])
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.line > 1 and problem.column > 1


def test_declarations_survive_the_other_dialect():
    first = machine(MASKS, *MASKS_LEVELS)
    written = {"architecture": architecture_to_timeloop(first), "ERT": energy_table(first)}
    assert tb.load_architecture(written).compute.lockstep == first.compute.lockstep


# --- whole evaluations -----------------------------------------------------------------------------


def test_cycles_of_an_evaluation_are_those_of_its_steps():
    core, layer = machine(OUTER, *OUTER_LEVELS), gemm(64, 64, 32, at_random(0.4), at_random(0.6))
    found, steps = tb.evaluate(core, layer, OUTER_NEST), cost(core, layer, OUTER_NEST)
    assert found.cycles == np.ceil(steps.cycles[0]) == found.compute.cycles
    assert found.bottleneck == "compute"
    assert found.utilization == pytest.approx(steps.utilization[0], rel=2 / steps.cycles[0])
    assert found.computes == pytest.approx(64 * 64 * 32 * 0.24, abs=2)
    dense = tb.evaluate(core, gemm(64, 64, 32), OUTER_NEST)
    assert (dense.cycles, dense.computes, dense.utilization) == (1024, 64 * 64 * 32, 1)
    without = replace(core, compute=replace(core.compute, lockstep=None))
    plain = tb.evaluate(without, gemm(64, 64, 32), OUTER_NEST)
    assert (dense.energy_pj, dense.cycles) == (plain.energy_pj, plain.cycles)


def test_bandwidth_may_hold_lockstep_back():
    core, layer = machine(OUTER, *OUTER_LEVELS), gemm(64, 64, 32, at_random(0.4), at_random(0.6))
    slow = replace(core, levels=(replace(core.levels[0], read_bandwidth=1.0), core.levels[1]))
    found = tb.evaluate(slow, layer, OUTER_NEST)
    assert found.bottleneck == "DRAM" and found.cycles > found.compute.cycles


def test_units_that_a_mapping_leaves_idle_do_not_help():
    """Half of the columns are unrolled: with nothing zero, it takes twice the steps' cycles."""
    core = machine(OUTER, *OUTER_LEVELS)
    nest = OUTER_NEST.replace("N in 16", "N in 8").replace("            for N in 2", "            for N in 4")
    assert tb.evaluate(core, gemm(64, 64, 32), nest).cycles == 2048


def declared(rng: Random, einsum: tb.Einsum, architecture: tb.Architecture) -> Lockstep:
    """A declaration that fits the machine."""
    inner, outer = architecture.levels[-1], architecture.levels[:-1]
    units = architecture.compute.instances // inner.instances
    inputs = [t.name for t in einsum.tensors if not t.is_output][:rng.choice((1, 2))]
    spanned = {rank for t in einsum.tensors if t.name in inputs for rank in t.ranks}
    step = tuple((rank, rng.choice((1, 2, 3, 8))) for rank in einsum.ranks if rank in spanned)
    every = tuple((rank, rng.choice((None, 2))) for rank in einsum.ranks if rng.random() < 0.3)
    barrier = Barrier(rng.choice(outer).name, every) if outer and rng.random() < 0.7 else None
    matches = rng.choice((1, units)) if len(inputs) == 1 and rng.random() < 0.3 else None
    widths = (units, 1) if matches is None else (1,)
    return Lockstep(step, tuple(map(Operand, inputs, widths)), matches, rng.choice((0, 1)), None, barrier)


@pytest.mark.parametrize("seed", range(60))
def test_many_mappings_at_once_cost_what_each_of_them_does(seed):
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng, max_points=400)
    einsum = with_zeros(rng, einsum)
    units = replace(architecture.compute, lockstep=declared(rng, einsum, architecture))
    architecture = replace(architecture, compute=units)
    template, factors = Template.of(einsum, mapping)
    members = class_members(rng, einsum, factors, 6, 1.0)
    found = batch_evaluator(architecture, einsum, template)(members)
    assert found.valid[0]
    for i in np.flatnonzero(found.valid):
        single = tb.evaluate(architecture, einsum, template.mapping(einsum, members[i]))
        assert found.cycles[i] == single.cycles
        assert found.energy_pj[i] == pytest.approx(single.energy_pj, rel=1e-12)


@pytest.mark.parametrize(("lockstep", "fanout"), [
    (Lockstep((("M", 4), ("N", 4)), (Operand("Inputs", 2), Operand("Weights", 2))), 4),
    (Lockstep((("K", 4),), (Operand("Inputs"), Operand("Weights")), 1, 1, None,
              Barrier("DRAM", (("K", None),))), 1),
])
def test_a_search_finds_the_best_and_bounds_it(lockstep, fanout):
    levels = [{"name": "DRAM", "energy": 20, "fanout": 4 // fanout},
              {"name": "Lines", "energy": 1, "size": "24 words", "fanout": fanout}]
    core = tb.load_architecture({"levels": levels, "compute": {"name": "MAC", "energy": 1}})
    core = replace(core, compute=replace(core.compute, lockstep=lockstep))
    layer = gemm(8, 4, 8, at_random(0.4), at_random(0.6))
    space = Mapspace(core, layer)
    factors = space.enumerate(space.root(space.keeps[0]))
    factors, best = factors[space.allowed(factors)], dict.fromkeys(("latency", "edp"), np.inf)
    for keep, order in product(space.keeps, permutations(layer.ranks)):
        found = batch_evaluator(core, layer, Template(("DRAM", "Lines"), keep, (order, layer.ranks)))(factors)
        energy, cycles = found.energy_pj[found.valid], found.cycles[found.valid]
        best["latency"] = min(best["latency"], cycles.min(initial=np.inf))
        best["edp"] = min(best["edp"], (energy * cycles).min(initial=np.inf))
    for objective, value in best.items():
        _, certificate = LayerSearch(core, layer, objective).run()
        assert certificate.lower_bound <= value * (1 + 1e-9) <= certificate.value * (1 + 2e-9)
        if certificate.status == "optimal":
            assert certificate.value == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("lockstep", [
    {"step": {"K": 4, "P": 4, "C": 1}, "operands": {"Weights": 2, "Inputs": 2}},
    {"step": {"C": 8}, "operands": ["Weights", "Inputs"], "matches": 4},
])
def test_nothing_but_zeros_takes_the_least(lockstep, least):
    barrier = {"level": "Cluster", "every": {"K": "all"}}
    units = machine(lockstep | {"least": least, "barrier": barrier}, ("DRAM", 1), ("Cluster", 4), ("Unit", 4))
    layer = conv(at_random(0.5), 0.0, K=16, C=8, P=4, Q=1, R=1, S=1)
    found = cost(units, layer, """
        Cluster
          for K in 4 (Spatial-X)
        Unit
              for C in 8
                for K in 4
                  for P in 4""")
    assert (found.cycles, found.utilization) == (least * found.steps, 0)
