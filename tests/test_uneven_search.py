"""The search for uneven mappings against all of them, one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from itertools import pairwise, permutations, product
from random import Random
from typing import Iterator

import pytest
import tilebound as tb
from tilebound.bounds.cap import UNCAPPED
from tilebound.bounds.chains.nests import Nests
from tilebound.bounds.divisors import prime_factors
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.constraints import Constraints, FactorRange, LevelConstraints, LoopRules, violations
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.report.document import dumps
from tilebound.search.check import rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.objectives import OBJECTIVES, objective_value
from tilebound.search.space import Mapspace
from tilebound.search.uneven.arranged import ArrangedSearch
from tilebound.search.uneven.uneven import UnevenSearch, cut_search, search_uneven
from tilebound.workload.einsum import Einsum, Tensor, Term

UNEVEN = Constraints(uneven=True)


def gemm(m: int, n: int, k: int) -> Einsum:
    x = {r: (Term(r),) for r in "MNK"}
    return Einsum("gemm", ("M", "N", "K"), (m, n, k), (
        Tensor("A", (x["M"], x["K"])), Tensor("B", (x["K"], x["N"])),
        Tensor("Z", (x["M"], x["N"]), is_output=True)))


def conv(p: int, r: int, k: int, stride: int = 1) -> Einsum:
    return Einsum("conv", ("K", "P", "R"), (k, p, r), (
        Tensor("W", ((Term("K"),), (Term("R"),))), Tensor("I", ((Term("P", stride), Term("R")),)),
        Tensor("O", ((Term("K"),), (Term("P"),)), is_output=True)))


def figures(rng: Random, scale: float, leak: bool) -> dict[str, Figure]:
    found = {x: Figure(scale * rng.randint(1, 9), "drawn") for x in ("read", "fill", "update")}
    return found | ({"leak": Figure(rng.randint(0, 3) / 4, "drawn")} if leak else {})


def machine(rng: Random, einsum: Einsum, levels: int, fanout: tuple[int, int], below: int,
            bandwidth: bool = False) -> Architecture:
    """Random prices and sizes; all levels inside the fanout that is `below` one of them."""
    whole = sum(einsum.tensor_words(t.name) for t in einsum.tensors)
    storages = []
    for i in range(levels):
        x, y = fanout if i > below else (1, 1)
        ingress = Figure(rng.randint(0, 4) / 2, "drawn") if i == below else None
        storages.append(Storage(
            f"L{i}", x, y, size_words=None if i == 0 else rng.randint(3, max(4, whole // (i + 1))),
            energy=figures(rng, 20.0 / 4 ** i, True), network=Network(ingress=ingress),
            shared_bandwidth=rng.choice((None, 1.0, 2.0)) if bandwidth else None))
    return Architecture("drawn", tuple(storages), Compute(
        "MAC", *fanout, energy={"compute": Figure(0.5, "drawn")}))


def with_some_keeps(rng: Random, architecture: Architecture, einsum: Einsum, free: int) -> Architecture:
    """The same with all but `free` choices of what levels keep taken at random."""
    names = [t.name for t in einsum.tensors]
    places = [(i, t) for i in range(1, len(architecture.levels)) for t in names]
    rng.shuffle(places)
    levels = list(architecture.levels)
    for i, t in places[free:]:
        key = rng.choice(("keep", "bypass"))
        levels[i] = replace(levels[i], **{key: getattr(levels[i], key) | {t}})
    return replace(architecture, levels=tuple(levels))


def loops(einsum: Einsum) -> set[tuple[tuple[str, int], ...]]:
    """Every order of loops over single primes."""
    primes = [(r, p) for r in einsum.ranks for p in prime_factors(einsum.extent[r])]
    return set(permutations(primes))


def every_mapping(architecture: Architecture, einsum: Einsum, idle: bool = False,
                  orders: set[tuple[tuple[str, int], ...]] | None = None) -> Iterator[Mapping]:
    """All orders of loops (of single primes), unrolled or not, and all places of all cuts, level by level,
    tensor by tensor; of levels that keep nothing as well, where that matters (`idle`)."""
    names = [t.name for t in einsum.tensors]
    items = [(i, t) for i in range(1, len(architecture.levels)) for t in names]
    zone = {i: number for number, own in enumerate(architecture.zones) for i in own}
    for order in orders or loops(einsum):
        for ends in segments(architecture, len(order)):
            wide = [end - start for start, end in ends[1::2]]
            for axes in product("xy", repeat=sum(wide)):
                own = [range(ends[2 * zone[i]][0], ends[2 * zone[i]][1] + 1) for i, _ in items]
                for places in product(*([None, *x] for x in own)):
                    cuts = [(p, *item) for item, p in zip(items, places, strict=True) if p is not None]
                    used = {i for _, i, _ in cuts}
                    where = {i: x if idle else x[-1:] if zone[i] == 0 else x[:1]
                             for (i, _), x in zip(items, own, strict=True) if i not in used}
                    for empty in product(*([(p, i) for p in x] for i, x in where.items())):
                        yield from assemble(architecture, names, order, ends, axes, cuts, empty)


def segments(architecture: Architecture, count: int) -> Iterator[list[tuple[int, int]]]:
    """All ways to cut `count` loops into those in time of each zone, each followed by those unrolled."""
    wide = [architecture.fanout(own[-1]) != (1, 1) for own in architecture.zones]
    places = [range(count + 1) if kind % 2 == 0 or wide[kind // 2] else (None,)
              for kind in range(2 * len(wide) - (not wide[-1]))]
    for chosen in product(*places[:-1]):
        ends = [0]
        for place in chosen:
            ends.append(ends[-1] if place is None else place)
        if ends == sorted(ends):
            yield list(pairwise([*ends, count] + [count] * (not wide[-1])))


def assemble(architecture: Architecture, names: list[str], order: tuple[tuple[str, int], ...],
             ends: list[tuple[int, int]], axes: tuple[str, ...], cuts: list[tuple[int, int, str]],
             empty: tuple[tuple[int, int], ...]) -> Iterator[Mapping]:
    kept = {(i, t) for _, i, t in cuts}
    for i, level in enumerate(architecture.levels[1:], 1):
        if any((i, t) not in kept for t in level.keep) or any((i, t) in kept for t in level.bypass):
            return
    heads = [(0, 0, frozenset(names)), *((p, i, frozenset({t})) for p, i, t in cuts),
             *((p, i, frozenset[str]()) for p, i in empty)]
    blocks, left = [], list(axes)
    for number, zone in enumerate(architecture.zones):
        own = sorted((x for x in heads if x[1] in zone), key=lambda x: x[:2])
        (_, end), spread = ends[2 * number], order[slice(*ends[2 * number + 1])]
        unrolled = [(Loop(*x), left.pop(0)) for x in spread]
        for k, (p, i, keep) in enumerate(own):
            last = k + 1 == len(own)
            temporal = tuple(Loop(*x) for x in order[p:end if last else own[k + 1][0]])
            x, y = (tuple(loop for loop, axis in unrolled if axis == kind and last) for kind in "xy")
            blocks.append(Block(architecture.levels[i].name, keep, temporal, x, y))
    yield Mapping(tuple(blocks))


def least_of_all(architecture: Architecture, einsum: Einsum, objective: str,
                 asked: Constraints = UNEVEN) -> float:
    best = float("inf")
    for mapping in every_mapping(architecture, einsum, asked != UNEVEN):
        if not violations(asked, architecture, einsum, mapping) and not check_mapping(
                architecture, einsum, mapping):
            cost = evaluate(architecture, einsum, mapping)
            best = min(best, objective_value(objective, cost.energy_pj, cost.cycles))
    return best


def two_arrays(seed: object, windows: bool) -> tuple[Architecture, Einsum]:
    """A machine with two arrays of two, and most of what levels keep taken at random."""
    rng = Random(f"two arrays {seed}")
    einsum = conv(*rng.choice(((2, 2, 1), (4, 2, 1), (2, 2, 2)))) if windows else gemm(
        *rng.choice(((2, 2, 1), (2, 2, 2), (1, 2, 4))))
    plain = machine(rng, einsum, 3, (1, 1), 2, rng.random() < 0.4)
    first, second = rng.choice(((0, 1), (0, 2), (1, 2)))
    found = replace(plain, compute=replace(plain.compute, mesh_x=4), levels=tuple(
        replace(x, mesh_x=2 ** ((i > first) + (i > second))) for i, x in enumerate(plain.levels)))
    return with_some_keeps(rng, found, einsum, 1), einsum


@pytest.mark.parametrize("seed", (1, 3, 6, 15))
def test_two_arrays_are_searched_to_the_optimum(seed: int) -> None:
    assert compare_two_arrays(seed, windows=False) in ("optimal", "none")


def compare_two_arrays(seed: int, windows: bool) -> str:
    return hold(*two_arrays(seed, windows), Random(f"objective {seed}").choice(("energy", "edp", "latency")))


def drawn(seed: object, windows: bool, bandwidth: bool = False) -> tuple[Architecture, Einsum]:
    rng = Random(f"uneven search {seed}")
    if windows:
        einsum = conv(*rng.choice(((2, 2, 2), (4, 2, 1), (3, 2, 2), (2, 3, 2))), rng.choice((1, 2)))
    else:
        einsum = gemm(*rng.choice(((2, 2, 2), (4, 2, 1), (2, 3, 2), (1, 2, 4))))
    levels, fanout, below = rng.choice((
        (2, (1, 1), 1), (2, (2, 2), 1), (3, (2, 1), 1), (3, (2, 2), 0), (3, (1, 1), 2)))
    machine_ = machine(rng, einsum, levels, fanout, below, bandwidth)
    return with_some_keeps(rng, machine_, einsum, 3 if levels == 2 else 1), einsum


def compare(seed: object, windows: bool, bandwidth: bool = False, asked: Constraints = UNEVEN) -> str:
    """Search, and hold value and bound to the least of all mappings; how the search ended."""
    architecture, einsum = drawn(seed, windows, bandwidth)
    objective = Random(f"objective {seed}").choice(("energy", "edp", "latency", "ed2p"))
    status = hold(architecture, einsum, objective, asked)
    assert status in ("optimal", "none") or windows or bandwidth or asked != UNEVEN
    return status


def hold(architecture: Architecture, einsum: Einsum, objective: str, asked: Constraints = UNEVEN) -> str:
    least = least_of_all(architecture, einsum, objective, asked)
    if least == float("inf"):
        return "none"
    search = UnevenSearch(architecture, einsum, objective, constraints=asked)
    mapping, certificate = search.run()
    cost = evaluate(architecture, einsum, mapping)
    assert not check_mapping(architecture, einsum, mapping)
    assert not violations(asked, architecture, einsum, mapping)
    found = objective_value(objective, cost.energy_pj, cost.cycles)
    assert found == pytest.approx(certificate.value, rel=1e-9)
    assert certificate.lower_bound <= least * (1 + 1e-9)
    assert certificate.relaxed_bound <= certificate.lower_bound * (1 + 1e-9)
    assert certificate.value >= least * (1 - 1e-9)
    if certificate.status == "optimal":
        assert certificate.value <= least * (1 + 1e-9)
    again = rederive(architecture, einsum, objective, certificate.value, certificate.dual, asked)
    assert again[1] >= certificate.lower_bound * (1 - 1e-9)
    return certificate.status


@pytest.mark.parametrize("seed", range(6))
def test_plain_layers_are_searched_to_the_optimum(seed: int) -> None:
    assert compare(seed, windows=False) in ("optimal", "none")


@pytest.mark.parametrize("seed", (0, 5, 7, 8, 12, 1000))
def test_windows_that_slide_are_searched_to_the_optimum(seed: int) -> None:
    assert compare(f"w {seed}", windows=True) in ("optimal", "none")


@pytest.mark.parametrize("seed", (1, 7, 9, 11))
def test_bandwidths_count(seed: int) -> None:
    assert compare(f"b {seed}", windows=False, bandwidth=True) in ("optimal", "none")


@pytest.mark.slow
@pytest.mark.parametrize("kind", "pwbta")
@pytest.mark.parametrize("batch", range(10))
def test_many_layers(kind: str, batch: int) -> None:
    for seed in range(1000 + 8 * batch, 1008 + 8 * batch):
        if kind == "t":
            compare_temporal(f"{kind} {seed}", windows=seed % 2 > 0)
        elif kind == "a":
            compare_two_arrays(seed, windows=seed % 3 == 2)
        else:
            compare(f"{kind} {seed}", windows=kind == "w", bandwidth=kind == "b")


def temporal(seed: object, windows: bool) -> Constraints:
    """Something at random about the loops in time of one level or two."""
    rng, (architecture, einsum) = Random(f"temporal {seed}"), drawn(seed, windows)
    asked = []
    for level in rng.sample(architecture.levels, rng.randint(1, 2)):
        ranges = [(r, FactorRange(n, rng.choice((n, None)))) for r in rng.sample(einsum.ranks, 1)
                  for n in [rng.choice((1, 1, 2))]] + [(r, FactorRange(1, 1)) for r in einsum.ranks
                                                       if rng.random() < 0.2]
        order = rng.sample(einsum.ranks, 2)
        rules = rng.choice((LoopRules(factors=tuple(ranges)), LoopRules(inner=(order[0],), outer=(order[1],)),
                            LoopRules(factors=tuple(ranges[:1]), inner=tuple(order))))
        asked.append(LevelConstraints(level.name, temporal=rules))
    return Constraints(tuple(asked), uneven=True)


@pytest.mark.parametrize("seed", (2, 6, 13, 29, 48, 89))
def test_what_is_asked_of_loops_in_time_is_obeyed(seed: int) -> None:
    assert compare_temporal(f"t {seed}", windows=seed % 2 > 0) in ("optimal", "heuristic")


def compare_temporal(seed: object, windows: bool) -> str:
    try:
        return compare(seed, windows, asked=temporal(seed, windows))
    except tb.InfeasibleError:
        return "none found"


MACHINE = {"name": "m", "levels": [
    {"name": "DRAM", "energy": 100},
    {"name": "GLB", "size": "200 words", "energy": 6, "fanout": {"x": 4, "y": 4}},
    {"name": "RF", "size": "20 words", "energy": 1}], "compute": {"name": "MAC", "energy": 1}}
LAYERS = {"layers": [{"name": "gemm", "type": "matmul", "M": 8, "N": 8, "K": 8}]}


@pytest.mark.parametrize("objective", ["energy", "latency", "edp", "energy,latency"])
def test_results_are_better_and_are_checked(objective: str) -> None:
    even, uneven = (tb.search(MACHINE, LAYERS, objective, uneven=x) for x in (False, True))
    first, second = (x.layers[0].certificate for x in (even, uneven))
    assert first is not None and second is not None
    assert second.status == "optimal" and second.value <= first.lower_bound * (1 + 1e-9)
    assert objective == "latency" or second.value < first.value * 0.999
    potential = {x.option: x.bound for x in first.potential}
    assert objective == "latency" or 0.0 < potential["uneven"] <= second.value * (1 + 1e-9)
    assert check_document(json.loads(dumps(even.to_dict()))) == []
    assert (second.then is None) == (objective == "edp")
    document = json.loads(dumps(uneven.to_dict()))
    assert check_document(document) == [] and document["constraints"]["uneven"] is True
    assert "GLB" in uneven.to_text()
    assert second.explanation is not None
    assert second.explanation.bound <= second.value * (1 + 1e-6)
    lost = {x.choice: x.found for x in second.explanation.runners_up}
    assert objective == "latency" or lost["mappings that are not uneven"] >= (
        first.value / second.value - 1.0) * (1 - 1e-9)
    left = [x.mappings for x in second.explanation.drops[:-2]]
    assert left == sorted(left, reverse=True) and left[0] == second.mapspace_size and left[-1] == 0.0
    assert second.explanation.moments[-1].value == second.value == second.explanation.moments[-1].bound
    wrong = json.loads(json.dumps(document))
    wrong["layers"][0]["explain"]["sensitivities"][0]["elasticity"] += 0.1
    assert check_document(wrong)
    for key, factor in (("lower_bound", 1.01), ("relaxed_bound", 1.5)):
        wrong = json.loads(json.dumps(document))
        wrong["layers"][0]["certificate"][key] *= factor
        assert check_document(wrong)


def test_what_levels_keep_and_unroll_is_obeyed() -> None:
    asked = {"min_utilization": 0.4, "uneven": True, "levels": [
        {"level": "GLB", "bypass": ["Weights"], "spatial": {"factors": {"K": 1}}},
        {"level": "RF", "keep": ["Outputs"]}]}
    result = tb.search(MACHINE, LAYERS, "energy", constraints=asked)
    cost = result.layers[0].cost
    assert "Weights" not in cost.level("GLB").tensors and "Outputs" in cost.level("RF").tensors
    spatial = {x.rank for block in result.layers[0].mapping for x in block.spatial}
    assert spatial and "K" not in spatial and cost.compute.utilized_instances >= 6.4
    assert check_document(json.loads(dumps(result.to_dict()))) == []


@pytest.mark.parametrize("temporal", [{"inner": ["K"]}, {"outer": ["K"]}, {"factors": {"K": "<=2"}},
                                      {"factors": {"K": 2}}, {"factors": {"K": "rest"}}])
def test_loops_in_time_of_all_parts_of_a_level_together_are_as_asked(temporal: dict[str, object]) -> None:
    asked = {"levels": [{"level": "GLB", "temporal": temporal}]}
    even, uneven = (tb.search(MACHINE, LAYERS, constraints=asked, uneven=x) for x in (False, True))
    first, second = (x.layers[0].certificate for x in (even, uneven))
    assert first is not None and second is not None and second.value <= first.value * (1 + 1e-9)
    assert check_document(json.loads(dumps(uneven.to_dict()))) == []


def test_what_is_asked_of_parts_holds_for_their_product_and_their_order() -> None:
    architecture, einsum = tb.load_architecture(MACHINE), tb.load_workload(LAYERS)["gemm"]
    loops, levels = [Loop("K", 2), Loop("M", 8), Loop("K", 4)], ("GLB", "GLB", "RF")
    names = [frozenset({t.name}) for t in einsum.tensors]
    mapping = Mapping((
        Block("DRAM", frozenset().union(*names), (Loop("N", 8),)),
        *(Block(level, own, (loop,)) for level, own, loop in zip(levels, names, loops, strict=True))))

    def broken(rules: LoopRules) -> list[str]:
        asked = Constraints((LevelConstraints("GLB", temporal=rules),), uneven=True)
        return violations(asked, architecture, einsum, mapping)

    assert not broken(LoopRules(factors=(("K", FactorRange(2, 2)), ("M", FactorRange(8, 8)))))
    assert not broken(LoopRules(inner=("M",), outer=("K",)))
    assert broken(LoopRules(factors=(("M", FactorRange(1, 4)),))) == [
        "GLB: temporal factor of rank M is 8, must be 1 to 4"]
    assert broken(LoopRules(inner=("K",))) == [
        "GLB: temporal loops run over K, M (outermost first), must have K innermost (innermost first)"]


def test_levels_side_by_side_are_cut_in_the_better_order() -> None:
    """Of two scratchpads the outer one is small: that of the inner one is better filled for longer."""
    pads = [{"name": f"{t[0]}RF", "size": f"{n} words", "energy": 1, "keep": [t],
             "bypass": [x for x in ("Inputs", "Weights", "Outputs") if x != t]}
            for t, n in (("Inputs", 2), ("Weights", 64), ("Outputs", 4))]
    machine_ = {**MACHINE, "levels": [*MACHINE["levels"][:2], *pads]}
    even, uneven = (tb.search(machine_, LAYERS, "energy", uneven=x).layers[0] for x in (False, True))
    assert uneven.cost.energy_pj < even.cost.energy_pj
    assert [x.level for x in uneven.mapping] != [x.level for x in even.mapping]


def test_two_arrays_are_proved_shape_by_shape() -> None:
    dram, glb, rf = MACHINE["levels"]
    two = {**MACHINE, "levels": [
        {**dram, "fanout": 2}, {**glb, "size": "24 words", "fanout": {"x": 2, "y": 2},
                                     "keep": ["Inputs", "Weights", "Outputs"]},
        {**rf, "size": "8 words", "keep": ["Weights"], "bypass": ["Inputs", "Outputs"]}]}
    layers = {"layers": [{"name": "gemm", "type": "matmul", "M": 8, "N": 8, "K": 16}]}
    even, uneven = (tb.search(two, layers, "edp", uneven=x) for x in (False, True))
    first, second = (x.layers[0].certificate for x in (even, uneven))
    assert first is not None and second is not None
    assert second.value < first.value and second.status == "optimal"
    document = json.loads(dumps(uneven.to_dict()))
    assert check_document(document) == []
    document["layers"][0]["certificate"]["dual"]["shapes"] = 0
    assert check_document(document)


@pytest.mark.parametrize("seed", (11, 14, 21))
def test_orders_of_cuts_bound_all_mappings(seed: int) -> None:
    architecture, einsum = drawn(seed, windows=seed % 2 > 0)
    even, certificate = LayerSearch(architecture, einsum, "energy").run()
    search = ArrangedSearch(Mapspace(architecture, einsum, UNEVEN), "energy", Limits(), None)
    bound, proofs = search.prove(certificate.value, even)
    found = min([certificate.value, *(value for value, _ in search.improve(certificate.value, even))])
    least = least_of_all(architecture, einsum, "energy")
    assert 0.0 < bound <= least * (1 + 1e-9) and len(proofs) == len(search.every)
    assert found == pytest.approx(least, rel=1e-9)


def test_a_search_that_is_stopped_gives_what_it_has() -> None:
    architecture, einsum = tb.load_architecture(MACHINE), tb.load_workload(LAYERS)["gemm"]
    stopped = Limits(stopped=lambda: True)
    mapping, certificate = search_uneven(architecture, einsum, "energy", stopped, constraints=UNEVEN)
    assert not check_mapping(architecture, einsum, mapping)
    assert certificate.lower_bound <= certificate.value


def test_the_room_is_divided_until_tiles_fit() -> None:
    architecture, einsum = tb.load_architecture(MACHINE), tb.load_workload(LAYERS)["gemm"]
    space = Mapspace(architecture, einsum, UNEVEN)
    search = cut_search(space, Nests(space.scenario), OBJECTIVES["energy"], UNCAPPED)
    assert search is not None
    leaf = next(search.leaves([float("inf")]))
    assert search.relaxed is not None and search.relaxed <= leaf.value == search.bound
    words = search.words(leaf.cuts[0])
    for i, level in enumerate(architecture.levels[1:], 1):
        assert sum(n for (j, _), n in words.items() if j == i) <= (level.capacity_words or 0)
    assert LayerSearch(architecture, einsum, "energy").run()[1].value >= leaf.value * (1 - 1e-9)


def test_proofs_that_end_with_a_pair_of_chains_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(40):
        architecture, einsum = drawn(seed, windows=False)
        space = Mapspace(architecture, einsum, UNEVEN)
        search = cut_search(space, Nests(space.scenario), (1, 0), UNCAPPED, most=3)
        if search is not None:
            next(search.leaves([float("inf")]), None)
            if search.chains == 4:
                break
    else:
        raise AssertionError("no search ended with a pair")
    monkeypatch.setattr(import_module("tilebound.search.check"), "MOST_CHAINS", 3)
    dual = {"method": "cuts", "chains": search.chains}
    assert rederive(architecture, einsum, "energy", 1e99, dual, UNEVEN)[1] == search.bound


def test_a_second_stage_leaves_out_what_is_worse_whatever_room_there_is() -> None:
    """What is worse only since it needs more room than there is takes chains to see, in a check as well."""
    pool = Einsum("pool", ("P", "R"), (5, 4), (
        Tensor("I", ((Term("P", 2), Term("R")),)), Tensor("O", ((Term("P"),),), is_output=True)))
    prices = ({"read": 90, "fill": 3, "update": 0, "leak": 0.5},
              {"read": 1.3, "fill": 2, "update": 0.25, "leak": 1})
    outer, inner = ({key: Figure(x, "drawn") for key, x in own.items()} for own in prices)
    found = Architecture("small", (Storage("L0", energy=outer), Storage(
        "L1", size_words=2, keep=frozenset("O"), energy=inner)), Compute(
            "MAC", energy={"compute": Figure(0.5, "drawn"), "leak": Figure(1, "drawn")}))
    result = tb.search(found, pool, "edp,energy", uneven=True)
    faults = check_document(json.loads(dumps(result.to_dict())))
    assert result.layers[0].certificate.status == "optimal" and not [x for x in faults if "sha256" not in x]
