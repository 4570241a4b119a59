"""Networks between levels: hops, routers, wires, multicast figures, adder trees, latencies."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import tilebound as tb
from tilebound.api import evaluate_layer
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.hardware.build import build_architecture
from tilebound.hardware.write import architecture_to_dict
from tilebound.loading import load_specs
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.timeloop import from_timeloop
from tilebound.model.cost import TransferCost
from tilebound.model.evaluate import evaluate
from tilebound.model.hops import hops
from tilebound.model.traffic import Delivery
from tilebound.report.check import check_document
from tilebound.report.document import from_document, to_document
from tilebound.report.text import render_text
from tilebound.search.result import NetworkResult
from tilebound.spec.nodes import Problems, locate
from tilebound.workload.einsum import Einsum, Tensor, Term

from test_conformance import CASES, run

ABZ = frozenset("ABZ")
GEMM = Einsum("gemm", ("M", "N", "K"), (4, 2, 3), (
    Tensor("A", ((Term("M"),), (Term("K"),))), Tensor("B", ((Term("K"),), (Term("N"),))),
    Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))
CONV = Einsum("conv", ("P", "R", "C"), (4, 3, 5), (
    Tensor("A", ((Term("P"), Term("R")), (Term("C"),))), Tensor("B", ((Term("R"),), (Term("C"),))),
    Tensor("Z", ((Term("P"),),), is_output=True)))


def figure(value: float) -> Figure:
    return Figure(value, "test")


def machine(x: int, y: int, network: Network, **options: object) -> Architecture:
    """One storage level over an array of x by y units; accesses and operations are free."""
    free = dict.fromkeys(("read", "fill", "update"), figure(0.0))
    return Architecture("m", (Storage("BUF", energy=free, word_bits=8, network=network, **options),),
                        Compute("MAC", x, y, energy={"compute": figure(0.0)}, area=figure(2500.0)))


def one_level(temporal: str, x: str, y: str, einsum: Einsum) -> Mapping:
    """All of a rank in one loop, of the kind in whose text it stands."""
    def loops(ranks: str) -> tuple[Loop, ...]:
        return tuple(Loop(rank, einsum.extent[rank]) for rank in ranks)

    return Mapping((Block("BUF", ABZ, loops(temporal), loops(x), loops(y)),))


@pytest.mark.parametrize(("members", "width", "height", "links"), [
    ([0], 1, 1, 0), ([3], 4, 1, 3), ([0, 1, 2, 3], 4, 1, 3),
    ([0], 1, 3, 1), ([1], 1, 3, 0), ([0, 1, 2], 1, 3, 2), ([0, 4], 2, 4, 2),
    ([0, 7], 2, 4, 1 + 1.5 + 1.5), (range(8), 2, 4, 1 + 3 + 3)])
def test_hops_by_hand(members: list[int], width: int, height: int, links: float) -> None:
    assert hops(members, width, height) == links


def test_hops_and_routers_on_a_mesh() -> None:
    """M along x, N along y: a word of A goes up and down a column, one of B along a row, one of Z to
    a single unit; K runs three times."""
    network = Network(hop_pj=figure(2.0), router_pj=figure(0.5), ingress=figure(0.25))
    cost = evaluate(machine(4, 2, network), GEMM, one_level("K", "M", "N", GEMM))
    found = cost.networks[0].tensors
    assert {name: (x.hops, x.ingresses) for name, x in found.items()} == {
        "A": (1.5 + 1, 12), "B": (3 + 4 * 0.5, 6), "Z": (1.5 + 0.5, 24)}
    assert found["A"].energy_parts == {"hops": 12 * 2.5 * 2, "routers": 12 * 3 * 0.5, "ingress": 3.0}
    assert found["Z"].energy_parts == {"hops": 24 * 2 * 2, "routers": 24 * 3 * 0.5, "ingress": 6.0}
    assert cost.energy_pj == sum(x.energy_pj for x in found.values()) == cost.networks[0].energy_pj


def test_rows_that_are_not_filled() -> None:
    """Units are taken row by row of the array that is there: four of five, then the next four."""
    narrow = evaluate(machine(5, 2, Network(hop_pj=figure(1.0))), GEMM, one_level("K", "M", "N", GEMM))
    # Column 4 of the first row holds the first unit of the second half.
    units = [hops([i], 5, 2) for i in range(8)]
    assert narrow.networks[0].tensors["Z"].hops == sum(units) / 8


def test_what_neighbours_pass_on() -> None:
    """Four registers in a row slide over a window: but for the first step of a row, the last one asks
    the buffer for a word, three links away, and the others take theirs from the next: one link, and
    the routers at both ends."""
    loaded = load_specs([CASES / "conv1_sp_link" / "input.yaml"])
    einsum, = loaded.workload
    array = loaded.architecture
    charged = replace(array.levels[1], network=replace(
        array.levels[1].network, hop_pj=figure(2.0), router_pj=figure(0.5)))
    mapping = from_timeloop(loaded.mappings[""], array, einsum)
    cost = evaluate(replace(array, levels=(array.levels[0], charged, *array.levels[2:])), einsum, mapping)
    window = cost.networks[1].tensors["I"]
    assert window.passed == 36
    assert window.deliveries == (Delivery(1, 1, 12, 12 * 3), Delivery(1, 4, 16, 4 * (0 + 1 + 2 + 3)))
    assert window.energy_parts == {"hops": 60 * 2.0, "routers": (1 + 60 // 28) * 28 * 0.5,
                                   "links": 36 * (2.0 + 2 * 0.5)}


def test_wires_are_as_long_as_what_stands_below_is_wide() -> None:
    network = Network(wire_pj_bit_mm=figure(0.5))
    cost = evaluate(machine(4, 2, network), GEMM, one_level("K", "M", "N", GEMM))
    assert cost.networks[0].hop_pj == pytest.approx(8 * (sqrt(2500.0) / 1000) * 0.5)
    wide = replace(network, tile_um=figure(400.0), word_bits=16)
    assert evaluate(machine(4, 2, wide), GEMM, one_level("K", "M", "N", GEMM)).networks[0].hop_pj \
        == pytest.approx(16 * 0.4 * 0.5)
    unknown = machine(4, 2, network)
    unknown = replace(unknown, compute=replace(unknown.compute, area=None))
    with pytest.raises(SpecError, match="no area is known of MAC"):
        evaluate(unknown, GEMM, one_level("K", "M", "N", GEMM))
    assert evaluate_layer(unknown, GEMM, one_level("K", "M", "N", GEMM), semantics="timeloop"
                          ).cost.networks[0].hop_pj == 0.0


def test_single_precision_of_table_figures_is_the_programs_own() -> None:
    """An ERT's energy of wires is 0.08 exactly, and 0.08 in single precision in the program."""
    right, recorded = run(CASES / "wire_energy_ert", "exact")
    printed = recorded["networks"]["GLB <==> RF"]["tensors"]["A"]["energy_per_hop"]
    assert right.networks[1].hop_pj * 1000 == pytest.approx(8 * sqrt(350.0) * 0.08, rel=1e-12)
    assert right.networks[1].hop_pj * 1000 == pytest.approx(printed, rel=1e-7)
    assert right.networks[1].hop_pj * 1000 != pytest.approx(printed, rel=1e-9)


def conv_transfers(semantics: str) -> TransferCost:
    """A window unrolled along both of its ranks: two words to one unit, two to two, two to three."""
    network = Network("bcast", kind="multicast", transfer_pj={
        1: figure(1.0), 2: figure(1.5), 3: figure(2.0), 4: figure(3.0)})
    cost = evaluate(machine(4, 3, network), CONV, one_level("C", "P", "R", CONV), semantics)
    return cost.networks[0].tensors["A"]


def test_multicast_keeps_every_entry() -> None:
    """The program keeps the energy of the last entry only."""
    exact, defect = conv_transfers("exact"), conv_transfers("timeloop")
    assert exact.accesses == defect.accesses == {1: 10, 2: 10, 3: 10}
    assert exact.energy_pj == 10 * 1.0 + 10 * 1.5 + 10 * 2.0
    assert defect.energy_pj == 10 * 2.0


def test_a_number_of_receivers_without_energy_is_an_error() -> None:
    network = Network("bcast", kind="multicast", transfer_pj={1: figure(1.0)})
    with pytest.raises(ValueError, match="bcast: no energy is known for a word to 2 receivers"):
        evaluate(machine(4, 2, network), GEMM, one_level("K", "M", "N", GEMM))


def test_drain_latency_of_trees_and_multicasts() -> None:
    """The program takes the latency of filling for that of draining."""
    cases = {"mesh": (3, 3), "multicast": (2 + 1, 2 + 2)}
    for kind, (right, wrong) in cases.items():
        network = Network(kind=kind, fill_cycles=2, drain_cycles=1,
                          transfer_pj={n: figure(0.0) for n in (1, 2, 4)})
        array = machine(4, 2, network)
        mapping = one_level("K", "M", "N", GEMM)
        assert evaluate(array, GEMM, mapping).cycles == 3 + right
        assert evaluate(array, GEMM, mapping, "timeloop").cycles == 3 + wrong
    right, recorded = run(CASES / "user_networks", "exact")
    assert right.cycles == 8192 + 2 + 3
    assert recorded["summary"]["cycles"] == 8192 + 2


def test_additions_in_a_tree() -> None:
    """K on a tree of three inputs: two additions and half a hop a word."""
    array = machine(3, 1, Network(), update_network=Network(
        "tree", kind="tree", adder_pj=figure(0.4), hop_pj=figure(1.0)))
    cost = evaluate(array, GEMM, one_level("MN", "K", "", GEMM))
    down, up = cost.networks
    assert down.energy_pj == 0.0 and set(up.tensors) == {"Z"}
    tree = up.tensors["Z"]
    assert (tree.ingresses, tree.reductions, tree.hops) == (8, 16, 0.5)
    assert tree.energy_parts == {"hops": 4.0, "adders": pytest.approx(6.4)}


def test_old_values_travel_down_where_the_level_cannot_add() -> None:
    """K outermost: Z is visited three times, and the old value is fetched all but the first."""
    network = Network(ingress=figure(1.0))
    adds, fetches = (evaluate(machine(4, 2, network, reduces=x), GEMM, one_level("K", "M", "N", GEMM))
                     for x in (True, False))
    assert adds.networks[0].tensors["Z"].energy_pj == 3 * 8
    assert fetches.networks[0].tensors["Z"].energy_pj == 3 * 8 + 2 * 8
    assert fetches.networks[0].tensors["A"].energy_pj == adds.networks[0].tensors["A"].energy_pj


def test_the_first_visit_is_left_out_once() -> None:
    """A window of outputs unrolled along both ranks sends up words of three multicast factors; the
    program leaves the first visit out of each of them."""
    deconv = Einsum("deconv", ("P", "R", "C"), (4, 3, 5), (
        Tensor("A", ((Term("P"),), (Term("C"),))), Tensor("B", ((Term("R"),), (Term("C"),))),
        Tensor("Z", ((Term("P"), Term("R")),), is_output=True)))
    array, mapping = machine(4, 3, Network(ingress=figure(1.0)), reduces=False), \
        one_level("C", "P", "R", deconv)
    exact, defect = (evaluate(array, deconv, mapping, x).networks[0].tensors["Z"]
                     for x in ("exact", "timeloop"))
    assert exact.accesses == {1: 10, 2: 10, 3: 10}
    assert exact.ingresses == pytest.approx(2 * 30 - 6)
    assert defect.ingresses == 2 * 30 - 3 * 6


def test_shared_copies() -> None:
    """Four register files share each tile of 8 words of A. Each is sent a quarter of the 1024 words
    that it would have been sent and reads a quarter of the 2048 that are used; what is used goes from
    its holder to the other three, in four groups."""
    right, recorded = run(CASES / "pat_ispass_mn", "exact")
    whole, _ = run(CASES / "pat_ispass_format", "exact")
    share, own = right.level("RegFile").tensors["A"], whole.level("RegFile").tensors["A"]
    assert (own.tile_words, own.partition_words, own.fills, own.reads) == (8, 256, 1024, 2048)
    assert (share.tile_words, share.partition_words, share.fills, share.reads) == (2, 64, 256, 512)
    assert recorded["levels"]["RegFile"]["tensors"]["A"]["scalar_reads_per_instance"] == 513
    assert right.level("RegFile").tensors["Z"] == whole.level("RegFile").tensors["Z"]
    sent = right.networks[1].tensors["A"].deliveries
    assert [(x.multicast, x.scatter, x.words) for x in sent] == [(1, 16, 4096), (4, 4, 4 * 2048)]
    assert sent[0].hops == 4096 * (1.5 + 1) and sent[1].hops == 4 * 2048 * (1.5 + 3)


def test_copies_that_cannot_be_shared() -> None:
    """Outputs, and windows that only some of the instances need."""
    top = Storage("TOP", energy=dict.fromkeys(("read", "fill", "update"), figure(1.0)),
                  network=Network(distributed=True))
    for einsum, ranks in ((GEMM, "K"), (CONV, "PR")):
        array = machine(1, 1, Network())
        array = replace(array, levels=(top, replace(array.levels[0], mesh_x=12)),
                        compute=replace(array.compute, mesh_x=12))
        rest = "".join(rank for rank in einsum.ranks if rank not in ranks)
        block = replace(one_level(rest, ranks, "", einsum).blocks[0], level="TOP")
        with pytest.raises(ValueError, match="M:N network below TOP cannot share copies of"):
            evaluate(array, einsum, Mapping((block, Block("BUF", ABZ))))


def test_power_gating() -> None:
    """Two of four rows at work, four registers a row: all eight leak, not only the two at work."""
    free = dict.fromkeys(("read", "fill", "update"), figure(0.0))
    rows = Storage("ROW", 1, 4, energy=free)
    pads = Storage("PAD", 4, 4, energy={**free, "leak": figure(0.5)})
    top = Storage("TOP", energy=free)
    mapping = Mapping((Block("TOP", ABZ, (Loop("M", 4), Loop("K", 3)), (), (Loop("N", 2),)),
                       Block("ROW", ABZ), Block("PAD", ABZ)))
    array = Architecture("m", (top, rows, pads), Compute("MAC", 4, 4, energy={"compute": figure(0.0)}))
    assert evaluate(array, GEMM, mapping).level("PAD").leakage_pj == 0.5 * 12 * 2
    gated = replace(array, levels=(top, rows, replace(pads, power_gated_at="ROW")))
    assert evaluate(gated, GEMM, mapping).level("PAD").leakage_pj == 0.5 * 12 * 8
    with pytest.raises(ValueError, match="no level; known are TOP, ROW, PAD, MAC"):
        replace(array, levels=(top, rows, replace(pads, power_gated_at="COL")))


def full() -> Architecture:
    """An architecture with every figure of networks."""
    every = Network("noc", False, True, figure(1.0), "mesh", False, 24, figure(2.0), figure(3.0),
                    figure(4.0), figure(5.0), None, {}, 6, 7)
    up = Network("up", kind="tree", adder_pj=figure(0.5), fill_cycles=1)
    array = machine(4, 2, every, update_network=up, reduces=False, power_gated_at="MAC")
    spread = replace(array.levels[0], name="L2", network=Network("cast", kind="multicast", transfer_pj={
        1: figure(0.5), 8: figure(2.0)}), energy={"address": figure(0.125), **array.levels[0].energy})
    return replace(array, levels=(spread, *array.levels), wire_pj_bit_mm=figure(0.25))


def test_native_text_holds_all_of_it() -> None:
    problems = Problems()
    again = build_architecture(locate(architecture_to_dict(full())), problems)
    assert not problems.errors and again == full()


@pytest.mark.parametrize(("text", "message"), [
    ("network: {kind: tree}", "a tree carries words up only"),
    ("network: {kind: ring}", "kind is 'ring'; expected one of mesh, multicast, tree"),
    ("network: {kind: multicast, transfer_energy: {many: 1}}", "'many' receivers; expected a whole number"),
    ("network: {router_energi: 1}", "unknown key 'router_energi' in network"),
    ("power_gated_at: RFF", "power_gated_at is 'RFF', which is no level; expected one of BUF, RF, MAC"),
])
def test_faults_of_native_text(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"""architecture:
  levels:
    - {{name: BUF, energy: 1, {text}}}
    - {{name: RF, energy: 1}}
  compute: {{name: MAC, energy: 1}}
""")
    with pytest.raises(SpecError) as raised:
        load_specs([path])
    assert len(raised.value.problems) == 1
    assert message in str(raised.value) and f"{path}:3:" in str(raised.value)


BOUND = """architecture:
  subtree:
  - name: sys
    local:
    - {{name: GLB, class: SRAM, attributes: {{{above}}}}}
    - {{name: bus, class: SimpleMulticast, attributes: {{action_name: send, multicast_factor_argument: n}}}}
    - {{name: RF, class: regfile, attributes: {{{below}}}}}
    - {{name: MAC, class: intmac}}
"""


@pytest.mark.parametrize(("above", "below", "message"), [
    ("network_read: bus", "", "network_read of GLB is 'bus' and network_fill of the level below not given"),
    ("network_read: bus", "network_fill: noc", "the same network at both ends"),
    ("network_read: buss", "network_fill: buss", "no network 'buss'; expected bus; did you mean 'bus'?"),
])
def test_both_ends_name_a_network(above: str, below: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(BOUND.format(above=above, below=below))
    with pytest.raises(SpecError) as raised:
        load_specs([path])
    assert message in str(raised.value) and f"{path}:5:" in str(raised.value)


def test_a_search_refuses_what_it_cannot_reckon_with() -> None:
    cast = machine(4, 2, Network("noc", kind="multicast"))
    with pytest.raises(SpecError, match="network noc is no mesh that carries words both ways"):
        tb.search(cast, GEMM)
    routed = machine(4, 2, Network("noc", router_pj=figure(1.0)))
    with pytest.raises(SpecError, match="network noc charges for hops; a search in timeloop semantics"):
        tb.search(routed, GEMM, semantics="timeloop")


def test_a_search_reckons_with_hops() -> None:
    """The best of all mappings, with hops so dear that fewer instances are used than there are."""
    units = Compute("MAC", 4, 2, energy={"compute": figure(1.0)})
    free, dear = (replace(machine(4, 2, Network("noc", hop_pj=figure(hop), router_pj=figure(hop))),
                          compute=units) for hop in (0.0, 50.0))
    cheap, costly = (tb.search(x, GEMM, objective="energy").layers[0] for x in (free, dear))
    again = evaluate(dear, GEMM, cheap.mapping)
    assert costly.cost.energy_pj < again.energy_pj
    assert costly.certificate.lower_bound <= costly.cost.energy_pj
    assert evaluate(dear, GEMM, costly.mapping) == costly.cost


@pytest.mark.parametrize("name", ["user_networks", "wire_energy", "addr_gen", "leak_net_latency"])
def test_documents_hold_all_of_it(name: str) -> None:
    loaded = load_specs([CASES / name / "input.yaml"])
    einsum, = loaded.workload
    layer = evaluate_layer(loaded.architecture, einsum, loaded.mappings[""])
    result = NetworkResult(loaded.architecture, einsum.name, "edp", (layer,))
    document = to_document(result)
    assert from_document(document)[0] == result
    assert check_document(document) == []
    text = render_text(document)
    assert "hops" in text and all(x.name in text for x in layer.cost.networks)
