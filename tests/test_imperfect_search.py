"""The search where constraints allow remainders: against brute force, its bounds, its certificates."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from importlib import import_module
from itertools import permutations, product
from math import inf, prod

import numpy as np
import pytest
from tilebound.api import evaluate_layer, read_constraints, read_mapping, search
from tilebound.bounds.programs.bound import bound_region, energy_floor
from tilebound.bounds.programs.relax import Relaxation
from tilebound.bounds.region import TRIVIAL, Region
from tilebound.bounds.scenario import Scenario
from tilebound.bounds.tiles.last import least
from tilebound.errors import InfeasibleError, SpecError
from tilebound.hardware.architecture import Compute, Figure, Storage
from tilebound.mapping.constraints import (
    Constraints,
    FactorRange,
    LevelConstraints,
    LoopRules,
    violations,
)
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.rules import Rules
from tilebound.mapping.splits import (
    Place,
    imperfect_splits,
    last_passes,
    real_factors,
    smallest_splits,
    steps,
)
from tilebound.mapping.template import KINDS
from tilebound.mapping.timeloop import to_timeloop
from tilebound.mapping.validate import check_mapping
from tilebound.mapping.write_constraints import constraints_to_dict, constraints_to_timeloop
from tilebound.model.evaluate import evaluate
from tilebound.model.remainder import steps as steps_of
from tilebound.model.reuse import placed_loops
from tilebound.report.check import check_document
from tilebound.report.document import to_document
from tilebound.search import leftover
from tilebound.search.check import ProofError, rederive
from tilebound.search.imperfect import ImperfectSearch, layer_search
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.search.objectives import OBJECTIVES
from tilebound.search.result import NetworkResult
from tilebound.search.space import Mapspace
from tilebound.workload.graph import WorkloadGraph

from strategies import random_architecture, random_einsum, random_mapping, with_remainders
from test_search import conv, gemm, three_level, two_level
from test_search import figures as priced


def allowing(**levels):
    """Constraints from remainders: `GLB_spatial={"M": 3}`."""
    found = {}
    for key, remainders in levels.items():
        name, kind = key.split("_")
        found.setdefault(name, {})[kind] = LoopRules(remainders=tuple(remainders.items()))
    return Constraints(tuple(LevelConstraints(name, **kinds) for name, kinds in found.items()))


# ---- splits --------------------------------------------------------------------------------------

def splits_by_hand(extent, limits):
    """Every tuple of factors whose loops cover the extent, checked one by one."""
    for factors in product(*(range(1, min(extent, most) + 1) for most, _ in limits)):
        left, good = extent - 1, True
        for factor, (_, shorter) in reversed(list(zip(factors, limits, strict=True))):
            last, left = left % factor + 1, left // factor
            good &= last == factor or last <= shorter
        iterating = [i for i, f in enumerate(factors) if f > 1]
        inside = prod(factors[iterating[0] + 1:]) if iterating else 1
        if good and left == 0 and (not iterating or inside * (factors[iterating[0]] - 1) < extent):
            first = iterating[0] if iterating else 0
            last = -(-extent // inside)
            if factors[first] == last:
                yield factors


@pytest.mark.parametrize("seed", range(60))
def test_splits_are_all_that_the_limits_admit(seed):
    rng = random.Random(seed)
    extent = rng.randint(1, 17)
    limits = [(rng.choice((1, 2, 3, 5, extent)), rng.choice((0, 0, 1, 2, 20)))
              for _ in range(rng.randint(1, 4))]
    ways = imperfect_splits(extent, limits)
    assert len({tuple(w) for w in ways.tolist()}) == len(ways)
    assert sorted(map(tuple, ways.tolist())) == sorted(splits_by_hand(extent, limits))
    if not len(ways):
        return
    assert np.allclose(real_factors(ways.T, extent).prod(axis=0), extent)
    temporal = np.array([rng.random() < 0.6 for _ in limits])
    counted = steps(ways, extent, temporal)
    for way, found in zip(ways, counted, strict=True):
        last = last_passes(way[:, None], np.array([extent]))[:, 0]
        loops = [(Loop("M", int(f), int(r) if r < f else None), t)
                 for f, r, t in zip(way, last, temporal, strict=True) if f > 1]
        blocks = [Block(f"L{i}", frozenset(), (x,) if t else (), () if t else (x,))
                  for i, (x, t) in enumerate(loops)]
        assert found == steps_of(placed_loops(Mapping(tuple(blocks))), {"M": extent})


@pytest.mark.parametrize("seed", range(30))
def test_no_split_left_out_takes_fewer_steps_with_as_many_and_as_small_tiles(seed):
    rng = random.Random(seed)
    extent, arrays = rng.randint(2, 20), rng.choice(((0,), (1,), (0, 1)))
    places = [p for i in range(3) for p in (
        [Place(i, 1, extent, False, False)] + [Place(i, 1, rng.randint(2, 4), True, False)] * (i in arrays))]
    temporal = np.array([not p.spatial for p in places])
    some, every = (found(extent) for found in (
        lambda n: smallest_splits(n, places), lambda n: imperfect_splits(n, [(p.most, n) for p in places])))

    def seen(ways):
        tiles = np.cumprod(ways[:, ::-1], axis=1)[:, ::-1]
        return tiles, -(-extent // tiles), steps(ways, extent, temporal)
    tiles, number, taken = seen(some)
    for own_tiles, own_number, own_taken in zip(*seen(every), strict=True):
        assert ((tiles <= own_tiles).all(axis=1) & (number == own_number).all(axis=1)
                & (taken <= own_taken)).any()


# ---- brute force ---------------------------------------------------------------------------------

def all_mappings(architecture, einsum, keep, constraints):
    """Every mapping with one keep/bypass choice: loops are put anywhere, and what an independent check
    lets through is given back."""
    depth = len(architecture.levels)
    places = [(i, kind) for i in range(depth) for kind in KINDS
              if kind == "temporal" or architecture.fanout(i)[kind == "y"] > 1]
    tables = []
    for rank, extent in einsum.extent.items():
        own = []
        for factors in product(range(1, extent + 1), repeat=len(places)):
            if prod(factors) < extent or prod(factors[1:]) >= 4 * extent:
                continue
            left, loops = extent - 1, []
            for place, factor in reversed(list(zip(places, factors, strict=True))):
                last, left = left % factor + 1, left // factor
                if factor > 1:
                    loops.append((place, Loop(rank, factor, None if last == factor else last)))
            outermost = loops[-1][1] if loops else None
            room = all(architecture.fanout(i)[kind == "y"] >= x.factor
                       for (i, kind), x in loops if kind != "temporal")
            if left == 0 and room and (outermost is None or outermost.residual is None):
                own.append(loops)
        tables.append(own)
    for choice in product(*tables):
        at = {place: [x for loops in choice for p, x in loops if p == place] for place in places}
        blocks = [[Block(architecture.levels[i].name, keep[i], order, tuple(at.get((i, "x"), ())),
                         tuple(at.get((i, "y"), ())))
                   for order in (permutations(at[i, "temporal"]) if i < depth - 1 else
                                 [tuple(at[i, "temporal"])])] for i in range(depth)]
        for nest in product(*blocks):
            mapping = Mapping(nest)
            if any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in nest):
                continue
            if violations(constraints, architecture, einsum, mapping):
                break           # factors and remainders, whatever the order
            if not check_mapping(architecture, einsum, mapping):
                yield mapping


SMALL = {
    "one level spread over an array": (
        three_level(middle=60, inner=8, x=3, y=1, keep=frozenset("ABZ")), gemm(5, 2, 1),
        allowing(GLB_spatial={"M": 2})),
    "a prime in time": (two_level(12, keep=frozenset("ABZ")), gemm(7, 3, 2),
                        allowing(RF_temporal={"M": 3, "N": 1})),
    "a reduction": (two_level(12, keep=frozenset("ABZ")), gemm(2, 3, 7), allowing(RF_temporal={"K": 6})),
    "a window": (two_level(14, keep=frozenset("WIO")), conv(2, 1, 5, 3), allowing(RF_temporal={"P": 4})),
    "a strided window": (two_level(18, keep=frozenset("WIO")), conv(2, 1, 5, 3, 2),
                         allowing(RF_temporal={"P": 4, "R": 1})),
    "a window on an array": (three_level(60, 30, 3, 1, keep=frozenset("WIO")), conv(1, 1, 5, 2),
                             allowing(GLB_spatial={"P": 2}, RF_temporal={"P": 1})),
    "little bandwidth": (two_level(12, keep=frozenset("ABZ"), read_bandwidth=0.5), gemm(5, 3, 2),
                         allowing(RF_temporal={"M": 4})),
    "nothing fits": (two_level(2, keep=frozenset("ABZ")), gemm(5, 3, 2), allowing(RF_temporal={"M": 4})),
}


@pytest.mark.parametrize("architecture, einsum, constraints", SMALL.values(), ids=SMALL)
def test_small_problems_agree_with_brute_force(architecture, einsum, constraints):
    everything = replace(architecture, levels=tuple(
        replace(x, keep=frozenset(t.name for t in einsum.tensors)) for x in architecture.levels))
    keep, = Mapspace(everything, einsum, constraints).keeps
    costs = [evaluate(architecture, einsum, m) for m in all_mappings(everything, einsum, keep, constraints)]
    for objective, (energy_power, cycles_power) in OBJECTIVES.items():
        truth = min((c.energy_pj ** energy_power * c.cycles ** cycles_power for c in costs), default=inf)
        search = layer_search(everything, einsum, objective, Limits(), constraints=constraints)
        assert isinstance(search, ImperfectSearch)
        if truth == inf:
            with pytest.raises(InfeasibleError):
                search.run()
            continue
        mapping, certificate = search.run()
        assert certificate.value == pytest.approx(truth, rel=1e-9)
        assert certificate.status == "optimal"
        assert certificate.relaxed_bound <= truth * (1 + 1e-9)
        assert not check_mapping(everything, einsum, mapping)
        assert not violations(constraints, everything, einsum, mapping)
        dual = json.loads(json.dumps(certificate.dual))
        relaxed, proven = rederive(everything, einsum, objective, certificate.value, dual, constraints)
        assert relaxed == pytest.approx(certificate.relaxed_bound, rel=1e-9)
        assert proven >= certificate.lower_bound * (1 - 1e-9)


# ---- bounds --------------------------------------------------------------------------------------

def permitting(rng, mapping, einsum):
    """Constraints that allow the remainders of `mapping`, and a few others."""
    levels = []
    for block in mapping:
        rules = []
        for loops in (block.temporal, block.spatial):
            allowed = {r: rng.randint(1, 4) for r in einsum.ranks if rng.random() < 0.1}
            for loop in loops:
                if loop.residual is not None:
                    allowed[loop.rank] = max(allowed.get(loop.rank, 1), loop.residual)
            rules.append(LoopRules(remainders=tuple(allowed.items())))
        levels.append(LevelConstraints(block.level, temporal=rules[0], spatial=rules[1]))
    return Constraints(tuple(levels))


def region_of(rng, einsum, mapping):
    """A random region that contains `mapping`."""
    innermost = tuple((b.temporal[-1].rank if b.temporal else TRIVIAL) if rng.random() < 0.7 else None
                      for b in mapping.blocks[:-1])
    fixed = tuple((rank, tuple(b.factors(kind).get(rank, 1) for b in mapping for kind in KINDS))
                  for rank in einsum.ranks if rng.random() < 0.3)
    return Region(tuple(b.keep for b in mapping), innermost, fixed)


@pytest.mark.parametrize("seed", range(350))
def test_bound_lies_below_every_mapping_of_its_region(seed):
    rng = random.Random(seed)
    einsum = random_einsum(rng, 256)
    mapping = random_mapping(rng, einsum, rng.choice((1, 2, 2, 3, 3)))
    einsum, mapping = with_remainders(rng, einsum, mapping)
    if mapping.perfect or any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping):
        return
    architecture = random_architecture(rng, einsum, mapping)
    rules = Rules(architecture, einsum, permitting(rng, mapping, einsum))
    least = Mapspace(architecture, einsum, rules.constraints).least_steps
    cost, region = evaluate(architecture, einsum, mapping), region_of(rng, einsum, mapping)
    assert least <= cost.cycles
    relaxation = Relaxation(Scenario(architecture, einsum, rules.constraints), least)
    floor, _ = energy_floor(relaxation, region)
    for energy_power, cycles_power in OBJECTIVES.values():
        bound = bound_region(relaxation, region, energy_power, cycles_power, floor)
        assert bound.value <= cost.energy_pj ** energy_power * cost.cycles ** cycles_power * (1 + 1e-9)


@pytest.mark.parametrize("uneven", (False, True))
def test_the_least_steps_are_those_of_the_quickest_of_all_ways(uneven):
    for seed in range(60):
        rng = random.Random(seed)
        einsum = random_einsum(rng, 2000)
        mapping = random_mapping(rng, einsum, rng.choice((2, 3, 4)))
        space = Mapspace(random_architecture(rng, einsum, mapping), einsum,
                         Constraints(imperfect=True, uneven=uneven))
        if space.imperfect:
            assert space.least_steps == space._paces[0].min()


def test_the_least_steps_of_a_rank_that_must_fill_a_part_of_an_array():
    architecture = replace(two_level(), levels=(Storage("L0", energy=priced(read=1, fill=1, update=1)),),
                           compute=Compute("MAC", 4, 2, energy=priced(compute=1)))
    asked = LevelConstraints("L0", spatial=LoopRules(factors=(("M", FactorRange(4, 4)),)))
    space = Mapspace(architecture, gemm(4, 2, 2), Constraints((asked,), imperfect=True))
    assert space.least_steps == space._paces[0].min() == 2


def one_price(rng, architecture):
    """The same machine where only one action of one level costs something: bounds cannot hide."""
    chosen = rng.randrange(len(architecture.levels)), rng.choice(("read", "fill", "update", "leak"))
    levels = tuple(replace(level, network=replace(level.network, ingress=None), energy={
        action: x if (i, action) == chosen else Figure(0.0, "test") for action, x in level.energy.items()})
        for i, level in enumerate(architecture.levels))
    return replace(architecture, levels=levels, compute=replace(
        architecture.compute, energy={"compute": Figure(1e-9, "test")}))


@pytest.mark.parametrize("seed", range(450))
def test_every_mapping_is_a_point_of_the_program_that_costs_no_more(seed):
    """What the proof says: factors as they are, the outermost of each rank not rounded up."""
    rng = random.Random(seed)
    einsum = random_einsum(rng, rng.choice((40, 256, 600)))
    mapping = random_mapping(rng, einsum, rng.choice((1, 2, 2, 3, 3)))
    einsum, mapping = with_remainders(rng, einsum, mapping)
    if mapping.perfect or any({x.rank for x in b.spatial_x} & {y.rank for y in b.spatial_y} for b in mapping):
        return
    architecture = random_architecture(rng, einsum, mapping)
    if rng.random() < 0.7:
        architecture = one_price(rng, architecture)
    constraints = permitting(rng, mapping, einsum)
    relaxation = Relaxation(Scenario(architecture, einsum, constraints))
    program = relaxation.unfolded(region_of(rng, einsum, mapping), 0.0)
    energy, *limits = program.posynomials
    cost = evaluate(architecture, einsum, mapping)
    factors = np.array([[b.factors(k).get(r, 1) for r in einsum.ranks] for b in mapping for k in KINDS])
    point = np.zeros(program.variables)
    point[:factors.size] = np.log(real_factors(factors, np.array(einsum.extents))).ravel()
    point[program.cycles] = np.log(cost.cycles)
    known = slice(0, factors.size + 1)
    assert np.all(program.lower[known] <= point[known] + 1e-9)
    assert np.all(point[known] <= program.upper[known] + 1e-9)
    for i in range(factors.size + 1, program.variables):     # helper variables as low as they may be
        point[i] = max(np.log(c(point)) for c in limits if np.all(c.exponents[:, i] == -1))
    assert all(c(point) <= 1 + 1e-9 for c in limits)
    total = energy(point)
    assert total - program.offset <= cost.energy_pj + 1e-10 * total


# ---- the search ----------------------------------------------------------------------------------

@pytest.mark.parametrize("seed", range(12))
def test_random_problems_agree_with_brute_force(seed):
    rng = random.Random(seed)
    einsum = rng.choice((gemm(rng.randint(3, 7), rng.randint(1, 3), rng.randint(1, 3)),
                         conv(1, rng.randint(1, 2), rng.randint(3, 6), rng.randint(2, 3), rng.randint(1, 2))))
    names = frozenset(t.name for t in einsum.tensors)
    architecture = rng.choice((two_level(rng.randint(8, 20), keep=names), replace(
        two_level(60, keep=names), compute=Compute("MAC", 3, energy=priced(compute=1.0)))))
    architecture = replace(architecture, levels=tuple(replace(x, keep=names) for x in architecture.levels))
    allowed = {kind: {r: rng.randint(1, 4) for r in einsum.ranks if rng.random() < 0.4}
               for kind in ("RF_temporal", "RF_spatial")}
    constraints = allowing(**allowed)
    keep, = Mapspace(architecture, einsum, constraints).keeps
    costs = [evaluate(architecture, einsum, m) for m in all_mappings(architecture, einsum, keep, constraints)]
    for objective, (energy_power, cycles_power) in OBJECTIVES.items():
        truth = min((c.energy_pj ** energy_power * c.cycles ** cycles_power for c in costs), default=inf)
        search = layer_search(architecture, einsum, objective, Limits(), constraints=constraints)
        if truth == inf:
            with pytest.raises(InfeasibleError):
                search.run()
            continue
        _, certificate = search.run()
        assert certificate.status == "optimal"
        assert certificate.value == pytest.approx(truth, rel=1e-9)


def test_a_bypass_that_is_asked_for_counts_like_one_of_the_machine():
    """At the outermost level as well, where the bound over numbers of tiles takes everything to be kept."""
    einsum, machine = gemm(13, 11, 7), replace(two_level(4000), compute=Compute(
        "MAC", 4, energy=priced(compute=1.0)))
    first, *rest = machine.levels
    bypassing = replace(machine, levels=(replace(first, bypass=frozenset("A")), *rest))
    asked = Constraints((LevelConstraints(first.name, bypass=frozenset("A")),), imperfect=True)
    one, other = (layer_search(x, einsum, "energy", Limits(), constraints=rules).run()[1]
                  for x, rules in ((bypassing, Constraints(imperfect=True)), (machine, asked)))
    assert (one.value, one.status) == (other.value, other.status)


@pytest.mark.parametrize("seed", range(5))
def test_bounds_alone_never_prove_too_much(seed, monkeypatch):
    """Nothing is enumerated: what is proven comes from the programs, down to mappings all of whose
    factors are fixed."""
    for name in ("ENUMERATE", "ENUMERATE_WALKING"):
        monkeypatch.setattr(import_module("tilebound.search.imperfect_explorer"), name, 0)
    rng = random.Random(100 + seed)
    einsum = rng.choice((gemm(rng.randint(3, 7), 2, 2), conv(1, 2, rng.randint(3, 7), rng.randint(2, 3))))
    architecture = two_level(rng.randint(8, 20), keep=frozenset(t.name for t in einsum.tensors))
    constraints = allowing(RF_temporal={einsum.ranks[0]: 2, einsum.ranks[2]: rng.randint(1, 4)})
    keep, = Mapspace(architecture, einsum, constraints).keeps
    costs = [evaluate(architecture, einsum, m) for m in all_mappings(architecture, einsum, keep, constraints)]
    for objective, (energy_power, cycles_power) in OBJECTIVES.items():
        truth = min(c.energy_pj ** energy_power * c.cycles ** cycles_power for c in costs)
        _, found = layer_search(architecture, einsum, objective, Limits(), constraints=constraints).run()
        assert found.lower_bound <= truth * (1 + 1e-9) <= found.value * (1 + 2e-9)
        _, proven = rederive(architecture, einsum, objective, found.value, found.dual, constraints)
        assert found.lower_bound * (1 - 1e-9) <= proven <= truth * (1 + 1e-9)


ROW = three_level(middle=600, inner=40, x=8, y=1, keep=frozenset("ABZ"))
IN_ARRAY = allowing(GLB_spatial={"M": 7})


@pytest.mark.parametrize("objective, whole, imperfect", [
    ("latency", 377, 195), ("edp", 23_928_190, 12_386_790), ("energy", 63_470, 63_470)])
def test_remainders_fill_an_array_that_primes_do_not(objective, whole, imperfect):
    for constraints, value in ((Constraints(), whole), (IN_ARRAY, imperfect)):
        _, found = layer_search(ROW, gemm(29, 13, 4), objective, Limits(), constraints=constraints).run()
        assert (found.value, found.lower_bound, found.status) == (value, value, "optimal")


def test_a_machine_that_only_remainders_fit():
    """All units must be at work, and no whole factor of 13 is 4."""
    square = replace(ROW, levels=(*ROW.levels[:2], replace(ROW.levels[2], mesh_x=4)), compute=Compute(
        "MAC", 4, energy=priced(compute=1.0)))
    asked = Constraints((LevelConstraints("GLB", spatial=LoopRules(
        (("M", FactorRange(4, 4)),), remainders=(("M", 3),))),))
    with pytest.raises(InfeasibleError):
        layer_search(square, gemm(13, 2, 2), "energy", Limits(), constraints=asked.whole).run()
    mapping, _ = layer_search(square, gemm(13, 2, 2), "energy", Limits(), constraints=asked).run()
    assert mapping.blocks[1].spatial_x == (Loop("M", 4, 1),)


def test_what_is_found_is_written_read_back_and_checked(tmp_path):
    found = search_network(ROW, WorkloadGraph("net", [(gemm(29, 13, 4), 1)]), objective="latency",
                           constraints=IN_ARRAY)
    layer, = found.layers
    assert not layer.mapping.perfect
    entries = to_timeloop(layer.mapping, layer.einsum)
    assert any("M=2,1" in str(entry.get("factors")) for entry in entries)
    again = read_mapping(entries, ROW, layer.einsum)
    assert evaluate(ROW, layer.einsum, again) == layer.cost
    document = to_document(found, WorkloadGraph("net", [(gemm(29, 13, 4), 1)]))
    document = json.loads(json.dumps(document))
    assert check_document(document) == []
    certificate = document["layers"][0]["certificate"]
    certificate["lower_bound"] *= 1.01
    assert any("lower bound" in x for x in check_document(document))


def test_timeloop_semantics_refuse_remainders_with_their_place():
    graph = WorkloadGraph("net", [(gemm(5, 3, 2), 1)])
    text = {"levels": [{"level": "GLB", "spatial": {"remainders": {"M": 3}}}]}
    with pytest.raises(SpecError, match="remainder 3 of rank M"):
        read_constraints([text], ROW, graph, "timeloop")
    with pytest.raises(SpecError, match="expects none"):
        search_network(ROW, graph, constraints=read_constraints([text], ROW, graph), semantics="timeloop")


def test_too_many_splits_are_refused():
    graph = WorkloadGraph("net", [(gemm(300_000, 1, 1), 1)])
    every = {f"{x}_{kind}": {"M": 10 ** 6} for x in ("DRAM", "GLB", "RF") for kind in ("temporal", "spatial")}
    with pytest.raises(SpecError, match="too many ways"):
        search_network(ROW, graph, constraints=allowing(**every))


def test_a_search_that_is_stopped_still_has_a_mapping():
    einsum = gemm(29, 13, 4)
    _, certificate = layer_search(ROW, einsum, "edp", Limits(seconds=0.0), constraints=IN_ARRAY).run()
    assert certificate.status == "time_limit"
    _, proven = rederive(ROW, einsum, "edp", certificate.value, certificate.dual, IN_ARRAY)
    assert proven >= certificate.lower_bound


def test_forged_proofs_are_refused():
    einsum = gemm(29, 13, 4)
    _, certificate = layer_search(ROW, einsum, "latency", Limits(), constraints=IN_ARRAY).run()
    for method in ("lattice", "enumerated"):
        dual = {"multipliers": None, "method": method}
        with pytest.raises(ProofError):
            rederive(ROW, einsum, "latency", certificate.value, dual, IN_ARRAY)


def test_layers_without_room_for_remainders_are_searched_as_ever():
    """Extents of 2 have no shorter last pass, and the loop outside of all others has one pass."""
    for einsum, constraints in ((gemm(2, 8, 2), allowing(GLB_spatial={"M": 3})),
                                (gemm(5, 8, 2), allowing(DRAM_temporal={"M": 3}))):
        search = layer_search(ROW, einsum, "energy", Limits(), constraints=constraints)
        assert not isinstance(search, ImperfectSearch)
        assert search.space.size == Mapspace(ROW, einsum).size


@pytest.mark.parametrize("seed", range(20))
def test_remainders_are_written_and_read_back_in_both_dialects(seed):
    rng = random.Random(seed)
    graph = WorkloadGraph("net", [(gemm(29, 13, 4), 1)])
    allowed = {f"{x}_{kind}": {r: rng.randint(1, 9) for r in "MNK" if rng.random() < 0.5}
               for x in ("DRAM", "GLB", "RF") for kind in ("temporal", "spatial") if rng.random() < 0.6}
    constraints = allowing(**allowed)
    constraints = replace(constraints, levels=tuple(x for x in constraints.levels
                                                    if x != LevelConstraints(x.level)))
    constraints = replace(constraints, levels=tuple(sorted(
        constraints.levels, key=lambda x: ("DRAM", "GLB", "RF").index(x.level))))
    bare = replace(ROW, levels=tuple(replace(x, keep=frozenset()) for x in ROW.levels))
    for text in (constraints_to_dict(constraints), constraints_to_timeloop(constraints, bare)):
        assert read_constraints([text], bare, graph) == constraints
    assert not any(x.temporal.remainders or x.spatial.remainders for x in constraints.whole.levels)


def test_sections_that_name_the_same_place_allow_the_smaller_remainder():
    graph = WorkloadGraph("net", [(gemm(29, 13, 4), 1)])
    entries = [{"target": "GLB", "type": "spatial", "remainders": "M=7 N=2"},
               {"target": "GLB", "type": "spatial", "remainders": "M=3"},
               {"target": "GLB", "type": "temporal", "factors": "K=4,2"}]
    rules = read_constraints([entries], ROW, graph).level("GLB")
    assert dict(rules.spatial.remainders) == {"M": 3, "N": 2}
    assert (rules.temporal.range("K"), rules.temporal.remainder("K")) == (FactorRange(4, 4), 2)


def test_violations_name_the_loop_whose_last_pass_is_wrong():
    mapping = Mapping((Block("DRAM", frozenset("ABZ"), (Loop("M", 4), Loop("N", 13), Loop("K", 4))),
                       Block("GLB", frozenset("ABZ"), (), (Loop("M", 8, 5),)), Block("RF", frozenset("ABZ"))))
    for most, broken in ((7, 0), (5, 0), (4, 1)):
        found = violations(allowing(GLB_spatial={"M": most}), ROW, gemm(29, 13, 4), mapping)
        assert len(found) == broken
        assert all("5 iterations in its last pass, must be 8, or 4 or less" in x for x in found)
    assert len(violations(Constraints(), ROW, gemm(29, 13, 4), mapping)) == 1


def test_documents_of_given_mappings_with_remainders_are_held_to_no_constraints():
    einsum = gemm(29, 13, 4)
    mapping = Mapping((Block("DRAM", frozenset("ABZ"), (Loop("M", 4), Loop("N", 13), Loop("K", 4))),
                       Block("GLB", frozenset("ABZ"), (), (Loop("M", 8, 5),)), Block("RF", frozenset("ABZ"))))
    given = NetworkResult(ROW, "net", "edp", (evaluate_layer(ROW, einsum, mapping),))
    document = json.loads(json.dumps(to_document(given, WorkloadGraph("net", [(einsum, 1)]))))
    assert check_document(document) == []


@pytest.mark.parametrize("layer, words", [
    ({"type": "matmul", "M": 13, "N": 17, "K": 19}, (200, 16)),
    ({"type": "conv", "K": 7, "C": 3, "P": 11, "Q": 5, "R": 3, "S": 1}, (600, 40))])
def test_what_numbers_of_tiles_leave_is_costed(layer, words, monkeypatch):
    left = list[float]()
    monkeypatch.setattr(leftover, "least", lambda *args: (
        left.append(x[2].min()) or x for x in least(*args)))
    machine = {"name": "m", "levels": [
        {"name": "DRAM", "energy": 200},
        {"name": "GLB", "size": f"{words[0]} words", "energy": 6, "fanout": {"x": 4, "y": 3}},
        {"name": "SPAD", "size": f"{words[1]} words", "energy": 1}], "compute": {"name": "MAC", "energy": 1}}
    result = search(machine, {"layers": [{"name": "x", **layer}]}, "edp", imperfect=True)
    assert left and result.layers[0].certificate.status == "optimal"
    assert not check_document(result.to_dict())
