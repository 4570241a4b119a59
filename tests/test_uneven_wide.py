"""Uneven mappings with remainders, and fronts of uneven mappings, against all of them, one by one."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import permutations, product
from math import inf, prod
from random import Random
from typing import Iterator

import pytest
import tilebound as tb
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.constraints import Constraints, FactorRange, LevelConstraints, LoopRules, violations
from tilebound.mapping.nest import Loop, Mapping
from tilebound.mapping.parts import is_uneven
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.report.document import dumps
from tilebound.search.certificate import LayerFront
from tilebound.search.check import rederive
from tilebound.search.front import FrontSearch
from tilebound.search.limits import Limits
from tilebound.search.objectives import OBJECTIVES, objective_value
from tilebound.search.uneven.uneven import search_uneven
from tilebound.workload.einsum import Einsum
from tilebound.workload.graph import WorkloadGraph

from test_uneven_search import MACHINE, UNEVEN, conv, drawn, every_mapping, gemm, machine, with_some_keeps

BOTH = replace(UNEVEN, imperfect=True)


def remainders(einsum: Einsum) -> set[tuple[tuple[str, int], ...]]:
    """Every order of loops whose factors may multiply to more than the extents."""
    def chains(extent: int, inner: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
        if prod(inner) < extent:
            yield (-(-extent // prod(inner)), *inner)
            for factor in range(2, extent):
                yield from chains(extent, (factor, *inner))

    found = set()
    for ways in product(*(sorted(chains(n)) if n > 1 else [()] for n in einsum.extents)):
        tags = [rank for rank, way in zip(einsum.ranks, ways, strict=True) for _ in way]
        for order in set(permutations(tags)):
            left = {rank: iter(way) for rank, way in zip(einsum.ranks, ways, strict=True)}
            found.add(tuple((rank, next(left[rank])) for rank in order))
    return found


def cut_off(einsum: Einsum, mapping: Mapping) -> Mapping | None:
    """The mapping with last passes that end where the ranks do."""
    left, blocks = {rank: n - 1 for rank, n in einsum.extent.items()}, []
    for block in reversed(mapping.blocks):
        own: dict[str, tuple[Loop, ...]] = {}
        for kind in ("spatial_x", "spatial_y", "temporal"):
            found: list[Loop] = []
            for loop in reversed(getattr(block, kind)):
                left[loop.rank], last = divmod(left[loop.rank], loop.factor)
                found.insert(0, replace(loop, residual=None if last == loop.factor - 1 else last + 1))
            own[kind] = tuple(found)
        blocks.insert(0, replace(block, **own))
    return None if any(left.values()) else Mapping(tuple(blocks))


def in_time(rng: Random, architecture: Architecture, einsum: Einsum) -> Constraints:
    """Something about the loops in time of one level, with remainders everywhere, or only there."""
    rank, level = rng.choice(einsum.ranks), rng.choice(architecture.levels).name
    imperfect = rng.random() < 0.5
    rules = rng.choice((LoopRules(factors=((rank, FactorRange(1, 1)),)), LoopRules(inner=(rank,)),
                        LoopRules(factors=((rank, FactorRange(2, 2)),))))
    some = () if imperfect else tuple((r, rng.randint(1, 3)) for r in einsum.ranks)
    return Constraints((LevelConstraints(level, temporal=replace(rules, remainders=some)),), uneven=True,
                       imperfect=imperfect)


def with_remainders(seed: int) -> tuple[Architecture, Einsum]:
    rng, odd = Random(f"uneven remainders {seed}"), seed % 2
    einsum = conv(*rng.choice(((3, 2, 1), (2, 3, 1))), 1) if odd else gemm(*rng.choice(
        ((3, 2, 1), (1, 5, 1), (1, 3, 2), (4, 1, 1))))
    levels, fanout, below = rng.choice(((2, (1, 1), 1), (2, (2, 2), 1), (3, (2, 1), 1), (3, (2, 2), 0)))
    architecture = machine(rng, einsum, levels, fanout, below, seed % 3 == 0)
    return with_some_keeps(rng, architecture, einsum, 3 if levels == 2 else 1), einsum


def mappings(architecture: Architecture, einsum: Einsum, asked: Constraints) -> Iterator[Mapping]:
    """All that are valid and keep to what is asked."""
    whole = asked == asked.whole
    idle = asked not in (UNEVEN, BOTH)
    for found in every_mapping(architecture, einsum, idle, None if whole else remainders(einsum)):
        mapping = found if whole else cut_off(einsum, found)
        if mapping is not None and not violations(asked, architecture, einsum, mapping) and not check_mapping(
                architecture, einsum, mapping):
            yield mapping


def compare_remainders(seed: int, objective: str, constrained: bool = False) -> None:
    """Hold value and bound to the least of all mappings with remainders."""
    architecture, einsum = with_remainders(seed)
    asked = in_time(Random(f"in time {seed}"), architecture, einsum) if constrained else BOTH
    costs = [evaluate(architecture, einsum, mapping) for mapping in mappings(architecture, einsum, asked)]
    least = min((objective_value(objective, x.energy_pj, x.cycles) for x in costs), default=inf)
    if least == inf:
        return
    mapping, certificate = search_uneven(architecture, einsum, objective, Limits(), constraints=asked)
    cost = evaluate(architecture, einsum, mapping)
    value = objective_value(objective, cost.energy_pj, cost.cycles)
    assert value == pytest.approx(certificate.value, rel=1e-9)
    assert not check_mapping(architecture, einsum, mapping)
    assert not violations(asked, architecture, einsum, mapping)
    assert 0.0 < certificate.lower_bound <= least * (1 + 1e-9)
    assert certificate.value >= least * (1 - 1e-9)
    again = rederive(architecture, einsum, objective, certificate.value, certificate.dual, asked)
    assert again[1] >= certificate.lower_bound * (1 - 1e-9)


@pytest.mark.parametrize("seed, objective", ((2, "energy"), (5, "edp")))
def test_remainders_are_bounded_in_every_order_of_cuts(seed: int, objective: str) -> None:
    compare_remainders(seed, objective)


@pytest.mark.parametrize("seed, objective", ((104, "latency"), (111, "ed2p"), (136, "ed2p")))
def test_remainders_keep_to_what_is_asked_of_loops_in_time(seed: int, objective: str) -> None:
    compare_remainders(seed, objective, constrained=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
@pytest.mark.parametrize("constrained", (False, True))
def test_many_remainders(seed: int, constrained: bool) -> None:
    with suppress(tb.InfeasibleError):      # constraints rule out all that was looked at
        compare_remainders(seed, ("energy", "edp", "latency", "ed2p")[seed // 4 % 4], constrained)


def test_remainders_and_places_of_cuts_are_written_and_checked() -> None:
    layers = {"layers": [{"name": "gemm", "type": "matmul", "M": 5, "N": 7, "K": 11}]}
    machine_ = {**MACHINE, "levels": [MACHINE["levels"][0], {"name": "GLB", "size": "16 words", "energy": 2}]}
    best, *others = (tb.search(machine_, layers, "energy", imperfect=i, uneven=u)
                     for i, u in ((True, True), (True, False), (False, True), (False, False)))
    certificate = best.layers[0].certificate
    assert certificate is not None and 0.5 * certificate.value < certificate.lower_bound < certificate.value
    assert all(certificate.value < x.layers[0].cost.energy_pj for x in others)
    document = json.loads(dumps(best.to_dict()))
    text = document["layers"][0]["mapping"]
    assert sum("GLB" in line for line in text) > 1
    assert any("," in line.split(" in ")[-1] for line in text if " for " in line)
    assert check_document(document) == []
    assert document["constraints"]["imperfect"] and document["constraints"]["uneven"]
    document["layers"][0]["certificate"]["lower_bound"] *= 1.01
    assert check_document(document)


Costs = set[tuple[int, float]]


def hold(front: LayerFront, costs: Costs) -> None:
    """Hold a front and its proofs to the cycles and energies of all mappings."""
    assert front.fastest.lower_bound <= min(c for c, _ in costs)
    for point in front.points:
        assert point.certificate.lower_bound <= min(e for c, e in costs if c <= point.cap) * (1 + 1e-9)
    more = 1.0 + front.tolerance + 1e-9
    assert all(any(p.cycles <= c * more and p.energy_pj <= e * more for p in front.points) for c, e in costs)


def compare_fronts(architecture: Architecture, einsum: Einsum, asked: Constraints) -> float:
    """Hold a front to all mappings; its tolerance."""
    every = [evaluate(architecture, einsum, x) for x in mappings(architecture, einsum, asked)]
    if not every:
        return 0.0
    front = FrontSearch(architecture, einsum, 20, Limits(), constraints=asked).run()
    hold(front, {(x.cycles, x.energy_pj) for x in every})
    for point in front.points:
        cost = evaluate(architecture, einsum, point.mapping)
        assert (cost.energy_pj, cost.cycles) == (point.energy_pj, point.cycles)
        assert not check_mapping(architecture, einsum, point.mapping)
        claimed = point.certificate
        assert rederive(architecture, einsum, "energy", claimed.value, dict(claimed.dual), asked,
                        claimed.among)[1] >= claimed.lower_bound * (1 - 1e-9)
    return front.tolerance


@pytest.mark.parametrize("kind, seed", (("p", 11), ("w", 3)))
def test_fronts_of_uneven_mappings_are_complete(kind: str, seed: int) -> None:
    assert compare_fronts(*drawn(f"{kind} {seed}", kind == "w"), UNEVEN) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", "pwbr")
@pytest.mark.parametrize("batch", range(10))
def test_many_fronts(kind: str, batch: int) -> None:
    for seed in range(1000 + 4 * batch, 1004 + 4 * batch):
        if kind == "r":
            compare_fronts(*with_remainders(seed), BOTH)
        else:
            compare_fronts(*drawn(f"{kind} {seed}", kind == "w", kind == "b"), UNEVEN)


@cache
def small() -> tuple[Architecture, Einsum, dict[tuple[bool, bool], Costs]]:
    """A machine and a layer, and by whether mappings have remainders, and are uneven, what they cost."""
    rng, einsum = Random("small"), gemm(3, 2, 1)
    architecture = machine(rng, einsum, 2, (2, 1), 1)
    costs: dict[tuple[bool, bool], Costs] = {key: set() for key in product((False, True), repeat=2)}
    for mapping in mappings(architecture, einsum, BOTH):
        cost = evaluate(architecture, einsum, mapping)
        for imperfect, uneven in costs:
            if (imperfect or mapping.perfect) and (uneven or not is_uneven(architecture, mapping)):
                costs[imperfect, uneven].add((cost.cycles, cost.energy_pj))
    return architecture, einsum, costs


@pytest.mark.parametrize("imperfect, uneven", list(product((False, True), repeat=2)))
@pytest.mark.parametrize("objective", (*OBJECTIVES, "latency,energy", "pareto"))
def test_every_objective_is_searched_for_in_every_mapspace(objective: str, imperfect: bool,
                                                           uneven: bool) -> None:
    architecture, einsum, every = small()
    costs = every[imperfect, uneven]
    result = tb.search(architecture, WorkloadGraph("net", [(einsum, 1)]), objective, imperfect=imperfect,
                       uneven=uneven)
    layer = result.layers[0]
    if layer.front is not None:
        hold(layer.front, costs)
    for claimed in () if layer.certificate is None else (layer.certificate, layer.certificate.then):
        if claimed is not None:
            of, most = claimed.among or ("energy", inf)
            least = min(objective_value(claimed.objective, e, c) for c, e in costs
                        if objective_value(of, e, c) <= most * (1 + 1e-9))
            assert claimed.lower_bound <= least * (1 + 1e-9)
            assert claimed.status != "optimal" or claimed.value == pytest.approx(least, rel=1e-9)
    assert check_document(json.loads(dumps(result.to_dict()))) == []
