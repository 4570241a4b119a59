"""The search: against brute force on small problems, its certificates, and its manners."""

from __future__ import annotations

import copy
import json
import random
import signal
import threading
from itertools import count

import pytest
from tilebound.errors import InfeasibleError, SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.constraints import NONE, Constraints
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.report.document import to_document
from tilebound.search import task
from tilebound.search.check import ProofError, rederive
from tilebound.search.layer import LayerSearch
from tilebound.search.limits import Limits
from tilebound.search.network import search_network
from tilebound.search.objectives import OBJECTIVES, objective_value
from tilebound.workload.einsum import Einsum, Tensor, Term
from tilebound.workload.graph import WorkloadGraph

from brute import least
from strategies import axes


def figures(**values):
    return {action: Figure(value, "test") for action, value in values.items()}


def same(value):
    return figures(read=value, fill=value, update=value)


def gemm(m, n, k, name="gemm"):
    return Einsum(name, ("M", "N", "K"), (m, n, k), (
        Tensor("A", axes("M", "K")), Tensor("B", axes("K", "N")),
        Tensor("Z", axes("M", "N"), is_output=True)))


def conv(k, c, p, r, stride=1):
    return Einsum("conv", ("K", "C", "P", "R"), (k, c, p, r), (
        Tensor("W", axes("K", "C", "R")), Tensor("I", axes("C", (Term("P", stride), Term("R")))),
        Tensor("O", axes("K", "P"), is_output=True)))


def mttkrp(i, j, k, m):
    return Einsum("mttkrp", ("I", "J", "K", "L"), (i, j, k, m), (
        Tensor("A", axes("I", "K", "L")), Tensor("B", axes("K", "J")), Tensor("C", axes("L", "J")),
        Tensor("Z", axes("I", "J"), is_output=True)))


def two_level(words=64, **more):
    return Architecture("two", (
        Storage("DRAM", energy=same(100.0)), Storage("RF", size_words=words, energy=same(1.0), **more)),
        Compute("MAC", energy=figures(compute=1.0)))


def three_level(middle=200, inner=12, x=2, y=2, keep=frozenset(), **more):
    return Architecture("three", (
        Storage("DRAM", energy=same(100.0), **more),
        Storage("GLB", size_words=middle, energy=same(6.0), keep=keep),
        Storage("RF", x, y, size_words=inner, energy=same(1.0))),
        Compute("MAC", x, y, energy=figures(compute=1.0)))


SMALL = [
    pytest.param(two_level(), gemm(8, 6, 4), id="gemm, two levels"),
    pytest.param(two_level(20), mttkrp(4, 2, 3, 4), id="mttkrp, two levels"),
    pytest.param(two_level(24), conv(4, 3, 6, 3), id="conv, two levels"),
    pytest.param(two_level(30, cluster_size=1, block_words=4), gemm(9, 10, 2), id="blocks of words"),
    pytest.param(three_level(), gemm(8, 6, 4), id="gemm, array"),
    pytest.param(three_level(keep=frozenset("WIO")), conv(4, 2, 4, 3), id="conv, array"),
    pytest.param(three_level(keep=frozenset("WIO"), inner=20), conv(2, 2, 4, 3, 2), id="strided conv, array"),
    pytest.param(three_level(read_bandwidth=0.5, write_bandwidth=0.25), gemm(4, 6, 4), id="little bandwidth"),
    pytest.param(three_level(network=Network(ingress=Figure(2.0, "test"))), gemm(4, 4, 6), id="network"),
]


@pytest.mark.parametrize("architecture, einsum", SMALL)
def test_the_search_agrees_with_brute_force(architecture, einsum):
    truth = least(architecture, einsum)
    for objective in OBJECTIVES:
        mapping, certificate = LayerSearch(architecture, einsum, objective).run()
        assert certificate.lower_bound <= truth[objective] * (1 + 1e-9)
        assert certificate.value >= truth[objective] * (1 - 1e-9)
        if certificate.status == "optimal":
            assert certificate.value == pytest.approx(truth[objective], rel=1e-9)
        assert not check_mapping(architecture, einsum, mapping)
        cost = evaluate(architecture, einsum, mapping)
        value = objective_value(objective, cost.energy_pj, cost.cycles)
        assert value == pytest.approx(certificate.value, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_gemms_are_proved_optimal(seed):
    rng = random.Random(seed)
    einsum = gemm(*(rng.choice((2, 3, 4, 6, 8)) for _ in range(3)))
    architecture = three_level(rng.choice((40, 100, 300)), rng.choice((3, 6, 20)), rng.choice((1, 2, 4)), 2)
    truth = least(architecture, einsum)
    for objective in OBJECTIVES:
        _, certificate = LayerSearch(architecture, einsum, objective).run()
        assert certificate.status == "optimal"
        assert certificate.value == pytest.approx(truth[objective], rel=1e-9)


def test_the_exhaustively_enumerated_reference_case_is_found_and_proved():
    """GEMM 16^3 on DRAM and a 256-word register file: Timeloop's mapper enumerated all 6000
    mappings; the optimum is 38,804 pJ x 4096 cycles."""
    architecture = Architecture("reference", (
        Storage("DRAM", word_bits=8, block_words=8, energy=figures(read=100.5, fill=110.25, update=120.125)),
        Storage("RF", word_bits=8, size_words=256, energy=figures(read=1.25, fill=1.375, update=1.5))),
        Compute("MAC", word_bits=8, energy=figures(compute=0.75)))
    _, certificate = LayerSearch(architecture, gemm(16, 16, 16), "edp").run()
    assert certificate.value == pytest.approx(158_941_184, rel=1e-12)
    assert certificate.lower_bound == certificate.value
    assert certificate.status == "optimal"
    assert certificate.mapspace_size == 6000
    # All mappings, and a region for every choice of what the register file keeps; one holds the optimum.
    assert certificate.classes == 9 and 0 <= certificate.classes_pruned < 8


# ---- certificates ------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture, einsum", [SMALL[0].values, SMALL[4].values, SMALL[5].values])
def test_a_certificate_survives_json_and_proves_what_it_states(architecture, einsum):
    _, certificate = LayerSearch(architecture, einsum, "edp").run()
    dual = json.loads(json.dumps(certificate.dual))
    relaxed, proven = rederive(architecture, einsum, "edp", certificate.value, dual)
    assert relaxed == pytest.approx(certificate.relaxed_bound, rel=1e-9)
    assert proven >= certificate.lower_bound * (1 - 1e-9)


def test_a_tensor_that_the_outermost_level_may_not_keep():
    architecture = three_level(bypass=frozenset("B"))
    einsum = gemm(4, 4, 4)
    truth = least(architecture, einsum)
    for objective in OBJECTIVES:
        _, certificate = LayerSearch(architecture, einsum, objective).run()
        assert certificate.lower_bound <= truth[objective] * (1 + 1e-9) <= certificate.value * (1 + 2e-9)


def test_a_forged_certificate_proves_less():
    architecture, einsum = SMALL[4].values
    _, certificate = LayerSearch(architecture, einsum, "edp").run()

    def bounds(change):
        dual = copy.deepcopy(json.loads(json.dumps(certificate.dual)))
        change(dual)
        return rederive(architecture, einsum, "edp", certificate.value, dual)

    def parts(dual):
        yield dual
        for part in dual.get("parts", []):
            yield from parts(part)

    def no_multipliers(dual):
        for region in parts(dual):
            region["multipliers"] = None
            region.pop("method", None)

    def larger_multipliers(dual):
        for region in parts(dual):
            region["multipliers"] = [50.0 * x for x in region["multipliers"] or []] or None

    assert bounds(no_multipliers)[1] < certificate.lower_bound
    relaxed, _ = bounds(larger_multipliers)
    assert relaxed <= certificate.relaxed_bound * (1 + 1e-9)
    assert bounds(lambda d: d.clear()) == (0.0, 0.0)
    for change in (lambda d: d["parts"].pop(), lambda d: d["multipliers"].pop(),
                   lambda d: d.update(parts=None), lambda d: d.update(decision=[0, "A"]),
                   lambda d: d["parts"].append(None)):
        with pytest.raises(ProofError):
            bounds(change)


# ---- manners -----------------------------------------------------------------------------------


def small_network():
    return WorkloadGraph("net", [(gemm(8, 6, 4, "a"), 1), (gemm(4, 6, 8, "b"), 2), (gemm(8, 6, 4, "c"), 1)],
                         [("a", "b", "a"), ("b", "c", "b")])


def without_seconds(result):
    return [(x.name, x.count, x.mapping, x.cost, x.certificate.value, x.certificate.lower_bound,
             x.certificate.status, x.certificate.evaluated, x.certificate.dual) for x in result.layers]


def test_equal_layers_are_searched_once_and_processes_change_nothing():
    events = []
    alone = search_network(three_level(), small_network(), progress=events.append)
    assert {e.layer for e in events} == {"a", "b"} and events[-1].done
    assert alone.layers[0].certificate is alone.layers[2].certificate
    assert without_seconds(search_network(three_level(), small_network(), jobs=2)) == without_seconds(alone)


def test_a_time_limit_leaves_a_sound_answer():
    result = search_network(three_level(), small_network(), time_limit=1e-6)
    for layer in result.layers[:1]:
        assert not check_mapping(three_level(), layer.einsum, layer.mapping)
        truth = least(three_level(), layer.einsum)["edp"]
        assert layer.certificate.lower_bound <= truth <= layer.certificate.value
        assert layer.certificate.status == "time_limit"


def test_an_interrupt_leaves_the_best_so_far():
    def interrupt(event):
        if not interrupts:
            interrupts.append(event)
            signal.raise_signal(signal.SIGINT)

    interrupts = []
    before = signal.getsignal(signal.SIGINT)
    assert threading.current_thread() is threading.main_thread()
    result = search_network(three_level(), small_network(), progress=interrupt)
    assert result.interrupted and [x.name for x in result.layers] == ["a", "c"]     # equal; b was not begun
    assert result.layers[0].certificate.status in ("time_limit", "optimal")
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("seconds", [0, 10])
def test_what_is_done_is_saved_while_other_layers_are_searched(monkeypatch, seconds):
    """However fast the clock goes: sketches are sent as soon as they are much better, or when it is late."""
    clock = count(0, seconds)
    monkeypatch.setattr(task, "monotonic", lambda: next(clock))
    saved = []
    result = search_network(three_level(), small_network(), save=saved.append)
    sketch, done = saved[0], saved[-1]
    assert [x.name for x in sketch.layers] == ["a", "c"]
    assert [x.name for x in done.layers] == [x.name for x in result.layers] == ["a", "b", "c"]
    assert sketch.interrupted and done.interrupted and not result.interrupted
    assert sketch.layers[0].certificate.lower_bound == 0.0
    assert done.layers[0].mapping == result.layers[0].mapping


@pytest.mark.parametrize("objective, constraints", [
    ("edp", NONE), ("latency,energy", NONE), ("pareto", NONE), ("edp", Constraints(imperfect=True)),
    ("energy", Constraints(uneven=True))])
def test_a_search_of_every_kind_saves_something_sound_at_once(objective, constraints):
    graph, saved = small_network(), []
    search_network(three_level(), graph, objective=objective, constraints=constraints, save=saved.append)
    document = to_document(saved[0], graph)
    assert [x["name"] for x in document["layers"]] == ["a", "c"] and document["missing"] == ["b"]
    assert check_document(document) == [] and saved[0].layers[0].certificate.lower_bound == 0.0


def test_a_gap_ends_the_search_early():
    _, certificate = LayerSearch(three_level(), gemm(8, 6, 4), "edp", Limits(gap=0.9)).run()
    assert certificate.status == "gap_reached" and certificate.gap <= 0.9


def test_what_cannot_fit_is_named():
    architecture = three_level(middle=2, keep=frozenset("AB Z".replace(" ", "")))
    with pytest.raises(InfeasibleError, match=r"gemm: [^$]*GLB holds 2 words, needs 3"):
        search_network(architecture, WorkloadGraph("net", [(gemm(4, 4, 4), 1)]))


def test_neighbour_links_are_turned_off_in_what_the_search_returns():
    architecture = three_level()
    levels = list(architecture.levels)
    levels[1] = Storage("GLB", size_words=200, energy=same(6.0), network=Network(links=True))
    linked = Architecture("linked", tuple(levels), architecture.compute)
    layer = search_network(linked, WorkloadGraph("net", [(gemm(8, 8, 8), 1)])).layers[0]
    assert layer.cost.utilization == 1.0
    assert layer.mapping.blocks[1].no_links == {"A", "B", "Z"}
    assert layer.cost.edp == pytest.approx(layer.certificate.value, rel=1e-12)


def test_what_a_search_cannot_hold_is_refused():
    huge = WorkloadGraph("net", [(gemm(10 ** 12, 10 ** 6, 2), 1)])
    with pytest.raises(SpecError, match="operations; a search expects at most"):
        search_network(three_level(), huge)
    with pytest.raises(InfeasibleError):
        search_network(two_level(0, keep=frozenset("A")), WorkloadGraph("net", [(gemm(4, 4, 4), 1)]))


def test_a_long_rank_takes_no_table_of_its_length():
    long = WorkloadGraph("net", [(gemm(1_500_000_000, 4, 4), 1)])
    assert search_network(three_level(), long).layers[0].certificate.status == "optimal"
    with pytest.raises(SpecError, match="extent of 1500000000; a search expects at most 1048576 there"):
        search_network(three_level(), long, constraints=Constraints(imperfect=True))


def test_figures_too_large_to_compare_are_no_lack_of_mappings():
    levels = two_level().levels
    architecture = Architecture("dear", (Storage("DRAM", energy=same(1e308)), levels[1]), two_level().compute)
    with pytest.raises(SpecError, match="overflows"):
        graph = WorkloadGraph("net", [(gemm(4, 4, 4), 1), (gemm(4, 4, 2, "b"), 1)])
        search_network(architecture, graph, jobs=2)


@pytest.mark.parametrize("option", [{"gap": -1.0}, {"gap": float("nan")}, {"time_limit": -1.0}, {"jobs": 0},
                                    {"seed": -1}])
def test_options_out_of_range_are_refused(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        search_network(two_level(), small_network(), **option)
