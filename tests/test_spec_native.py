"""The native dialect: what is read, what is refused, and that writing and reading are inverse."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilebound.errors import SpecError
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.hardware.build import build_architecture
from tilebound.hardware.write import architecture_to_dict
from tilebound.spec.nodes import Problems, locate
from tilebound.spec.reader import read_text
from tilebound.workload.build import build_workload, workload_to_dict
from tilebound.workload.einsum import Einsum, Tensor, Term
from tilebound.workload.graph import WorkloadGraph
from tilebound.workload.projection import parse_projection, projection_text

from strategies import random_case

MACHINE = """\
name: small
technology: 65nm
cycle: 5 ns
word_bits: 8
levels:
  - name: DRAM
    class: DRAM
    type: LPDDR4
    width: 64
    read_bandwidth: 4
    energy: 200
  - name: GLB
    class: SRAM
    size: 4 KiB
    width: 16
    keep: [Inputs]
    bypass: [Weights]
    multiple_buffering: 2
    energy: {read: 6, fill: {value: 7, source: a paper}, update: 8, leak: 0.5}
    area: 1000
    fanout: {x: 4, y: 2, x_ranks: [K], y_ranks: [C, R]}
    network: {name: bus, multicast: false, ingress_energy: 0.25}
  - name: RF
    word_bits: 16
    depth: 32
    energy: 1
    fanout: 2
compute: {name: MAC, energy: 0.5}
"""


def build(text: str) -> tuple[Architecture | None, list[str]]:
    problems = Problems()
    (node,) = read_text(text, problems, "m.yaml")
    return build_architecture(node, problems), [str(error) for error in problems.errors]


def test_a_machine_is_read_as_written() -> None:
    machine, errors = build(MACHINE)
    assert machine is not None, errors
    dram, glb, rf = machine.levels
    assert (machine.node_nm, machine.cycle_seconds) == (65, 5e-9)
    assert (dram.word_bits, dram.block_words, dram.size_words, dram.read_bandwidth) == (8, 8, None, 4)
    assert dram.attributes == {"type": "LPDDR4", "width": 64}
    assert dram.energy["update"] == Figure(200, "m.yaml:11")
    assert (glb.block_words, glb.size_words, glb.capacity_words) == (2, 4096, 2048)
    assert glb.keep == {"Inputs"} and glb.bypass == {"Weights"}
    assert (glb.spatial_x, glb.spatial_y) == (("K",), ("C", "R"))
    assert glb.energy["fill"] == Figure(7, "a paper")
    assert glb.network == Network("bus", False, False, Figure(0.25, "m.yaml:22"))
    assert (rf.word_bits, rf.size_words, rf.mesh_x, rf.mesh_y) == (16, 32, 4, 2)
    assert (machine.compute.mesh_x, machine.compute.mesh_y) == (8, 2)
    assert machine.compute.energy == {"compute": Figure(0.5, "m.yaml:28")}


def test_the_last_level_computes_when_nothing_else_does() -> None:
    machine, errors = build("levels: [{name: DRAM, fanout: 3}, {name: PE, energy: 2}]")
    assert machine is not None, errors
    assert machine.compute == Compute("PE", 3, component="intmac",
                                      energy={"compute": Figure(2.0, "m.yaml:1")})


def test_five_mistakes_give_five_located_errors() -> None:
    text = MACHINE
    for right, wrong in (("read_bandwidth: 4", "read_bandwith: 4"), ("4 KiB", "4 KiBs"),
                         ("area: 1000", "area: -1"), ("name: RF", "name: GLB"), ("depth: 32", "depth: many")):
        text = text.replace(right, wrong)
    machine, errors = build(text)
    assert machine is None
    assert [error.split(" error: ")[0] for error in sorted(errors)] == [
        "m.yaml:10:5:", "m.yaml:14:11:", "m.yaml:20:11:", "m.yaml:23:11:", "m.yaml:25:12:"]
    assert any("unknown key 'read_bandwith' in level; expected one of" in error
               and error.endswith("did you mean 'read_bandwidth'?") for error in errors)


@pytest.mark.parametrize(("text", "part"), [
    ("levels: []", "without storage"),
    ("levels: [{name: PE}]", "without storage"),
    ("levels: 5", "levels is 5; expected a list"),
    ("name: x", "has no 'levels'"),
    ("[1]", "expected a mapping"),
    ("levels: [5, {name: PE}]", "level is 5; expected a mapping"),
    ("levels: [{class: SRAM}, {name: PE}]", "level has no 'name'"),
    ("levels: [{name: A, keep: [X], bypass: [X]}, {name: PE}]", "X both kept and bypassed"),
    ("levels: [{name: A, width: 20}, {name: PE}]", "width 20 is no multiple of word_bits 16"),
    ("levels: [{name: A, width: 32, block_words: 4}, {name: PE}]", "disagrees with width"),
    ("levels: [{name: A, size: 1 KiB, depth: 4}, {name: PE}]", "both size and depth"),
    ("levels: [{name: A, multiple_buffering: 0.5}, {name: PE}]", "multiple_buffering is 0.5"),
    ("levels: [{name: A, read_bandwidth: 0}, {name: PE}]", "expected a number above 0"),
    ("levels: [{name: A, fanout: {x: 2}}, {name: PE, instances: 3}]", "expected 2 x 1"),
    ("levels: [{name: A, instances: 2}, {name: PE, instances: 3}]", "cannot be shared evenly"),
    ("levels: [{name: A, energy: {read: cheap}}, {name: PE}]", "read is 'cheap'; expected a number"),
    ("levels: [{name: A, energy: {write: 1}}, {name: PE}]", "unknown key 'write' in energy"),
    ("levels: [{name: A, energy: {value: -1}}, {name: PE}]", "value is -1; expected a number 0 or more"),
    ("levels: [{name: A, network: {multicast: 1}}, {name: PE}]", "expected true or false"),
    ("levels: [{name: A, bandwidth_scale: {X: -1}}, {name: PE}]", "X is -1"),
    ("{technology: old, levels: [{name: A}, {name: PE}]}", "technology: 'old' is no quantity"),
    ("{cycle: [1], levels: [{name: A}, {name: PE}]}", "expected a single value"),
])
def test_wrong_machines(text: str, part: str) -> None:
    machine, errors = build(text)
    assert machine is None
    assert len(errors) == 1, errors
    assert part in errors[0]


figures = st.builds(Figure, st.floats(0, 1e9), st.text(max_size=6))
bandwidths = st.none() | st.floats(0.001, 1e6)
names = st.frozensets(st.sampled_from(["A", "B", "C"]), max_size=2)
ranks = st.none() | st.lists(st.sampled_from("MNK"), max_size=2, unique=True).map(tuple)


@st.composite
def machines(draw) -> Architecture:
    mesh_x, mesh_y = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    levels = []
    for index in range(draw(st.integers(1, 4))):
        keep = draw(names)
        levels.append(Storage(
            f"L{index}", mesh_x, mesh_y, draw(st.none() | st.integers(0, 10**6)),
            draw(st.sampled_from([8, 16, 24])), draw(st.integers(1, 8)), draw(st.integers(1, 4)),
            draw(st.floats(1, 4)), draw(bandwidths), draw(bandwidths), draw(bandwidths),
            draw(st.sampled_from([(), (("A", 2.0), ("B", 0.0))])), keep, draw(names) - keep,
            draw(ranks), draw(ranks),
            draw(st.builds(Network, st.text(max_size=3), st.booleans(), st.booleans(), st.none() | figures)),
            draw(st.sampled_from(["SRAM", "DRAM"])), {"type": "x", "ports": 2},
            draw(st.dictionaries(st.sampled_from(["read", "fill", "update", "leak"]), figures)),
            draw(st.none() | figures)))
        mesh_x, mesh_y = mesh_x * draw(st.integers(1, 3)), mesh_y * draw(st.integers(1, 3))
    compute = Compute("PE", mesh_x, mesh_y, draw(st.integers(1, 64)),
                      energy=draw(st.dictionaries(st.sampled_from(["compute", "leak"]), figures)))
    return Architecture("m", tuple(levels), compute, draw(st.none() | st.floats(1, 200)),
                        draw(st.none() | st.floats(1e-12, 1)), draw(st.text(max_size=5)))


@given(machines())
def test_written_machines_read_back_equal(machine: Architecture) -> None:
    problems = Problems()
    again = build_architecture(locate(architecture_to_dict(machine)), problems)
    problems.raise_if_any()
    assert again == machine
    assert [level.attributes for level in again.levels] == [level.attributes for level in machine.levels]


@given(st.randoms())
def test_written_random_cases_read_back_equal(rng: random.Random) -> None:
    machine, einsum, _ = random_case(rng)
    problems = Problems()
    assert build_architecture(locate(architecture_to_dict(machine)), problems) == machine
    graph = WorkloadGraph("net", [(einsum, 3)])
    again = build_workload(locate(workload_to_dict(graph)), problems)
    problems.raise_if_any()
    assert again[einsum.name] == einsum
    assert again.count(einsum.name) == 3


def network(text: str) -> WorkloadGraph:
    problems = Problems()
    (node,) = read_text(text, problems, "w.yaml")
    graph = build_workload(node, problems)
    problems.raise_if_any()
    assert graph is not None
    return graph


def test_shorthand_layers() -> None:
    graph = network("""
name: net
layers:
  - {name: a, type: conv, K: 4, C: 3, P: 5, Q: 6, R: 3, S: 2, stride: [2, 1], dilation: [1, 3]}
  - {name: b, type: conv, N: 2, K: 8, C: 4, P: 5, Q: 6, R: 1, S: 1, groups: 4, input: a, count: 2}
  - {name: c, type: depthwise, C: 8, P: 5, Q: 6, R: 3, S: 3, input: [b, a], extra_parameters: 9}
  - {name: d, type: matmul, M: 2, N: 3, K: 4}
""")
    a, b, c, d = graph
    assert a.tensor("Inputs").projection[2:] == (
        (Term("P", 2), Term("R")), (Term("Q"), Term("S", 3)))
    assert [a.tensor_words(name) for name in ("Weights", "Inputs", "Outputs")] == [72, 3 * 11 * 9, 120]
    assert dict(b.extent) == {"N": 2, "G": 4, "K": 2, "C": 1, "P": 5, "Q": 6, "R": 1, "S": 1}
    assert b.macs == 2 * 8 * 1 * 30 and graph.count("b") == 2
    assert c.tensor_words("Weights") == 72 and c.macs == 8 * 30 * 9
    assert [str(t.name) for t in d.tensors if t.is_output] == ["Outputs"]
    assert {(u, v): data["tensor"] for u, v, data in graph.graph.edges(data=True)} == {
        ("a", "b"): "a", ("a", "c"): "a", ("b", "c"): "b"}
    assert dict(c.aliases) == {"Outputs": "c", "Inputs": "b"}
    again = network_of(workload_to_dict(graph))
    assert workload_to_dict(again) == workload_to_dict(graph)
    assert list(again) == list(graph)
    assert dict(again.graph.edges) == dict(graph.graph.edges)


def network_of(data: object) -> WorkloadGraph:
    problems = Problems()
    graph = build_workload(locate(data), problems)
    problems.raise_if_any()
    assert graph is not None
    return graph


def test_layers_with_their_own_projections() -> None:
    graph = network("""
layers:
  - name: odd
    ranks: {M: 16, J: 8, K: 4}
    tensors: {A: "M, K", B: "K, J", s: "", Z: {projection: "M, J", output: true}}
""")
    assert graph["odd"] == Einsum("odd", ("M", "J", "K"), (16, 8, 4), (
        Tensor("A", ((Term("M"),), (Term("K"),))), Tensor("B", ((Term("K"),), (Term("J"),))),
        Tensor("s", ()), Tensor("Z", ((Term("M"),), (Term("J"),)), True)))


CONV = "{name: a, type: conv, K: 4, C: 3, P: 5, Q: 6, R: 3, S: 2"


@pytest.mark.parametrize(("text", "place", "part"), [
    (f"layers:\n- {CONV}, X: 3}}", "w.yaml:2:61", "unknown key 'X' in conv layer"),
    ("layers:\n- {name: a, type: matmul, M: 2, K: 3}", "w.yaml:2:3", "has no 'N'"),
    (f"layers:\n- {CONV}, stride: [1, 2, 3]}}", "w.yaml:2:", "stride is a list"),
    (f"layers:\n- {CONV}, stride: 0}}", "w.yaml:2:", "stride is 0"),
    (f"layers:\n- {CONV}, groups: 2}}", "w.yaml:2:", "2 groups do not divide C = 3"),
    (f"layers:\n- {CONV}, input: b}}", "w.yaml:2:", "input 'b' of layer 'a' is no earlier layer"),
    (f"layers:\n- {CONV}}}\n- {CONV}}}", "w.yaml:3:3", "a second layer 'a'"),
    ("layers:\n- {name: a, type: cnv}", "w.yaml:2:19", "did you mean 'conv'"),
    ("layers: []", "w.yaml:1:9", "without layers"),
    ("layers:\n- {name: a, ranks: {M: 2}, tensors: {Z: M}}", "w.yaml:2:37", "no tensor is an output"),
    ("layers:\n- {name: a, ranks: {M: 0}, tensors: {Z: {projection: M, output: true}}}", "w.yaml:2:",
     "M is 0"),
    ("layers:\n- {name: a, ranks: {M: 2}, tensors: {Z: {projection: N, output: true}}}", "w.yaml:2:",
     "unknown rank 'N' in the projection of Z"),
    ("layers:\n- {name: a, ranks: {M: 2}, tensors: {Z: {projection: 2M, output: true}}}", "w.yaml:2:",
     "axis '2M' is no sum of ranks"),
])
def test_wrong_workloads(text: str, place: str, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        network(text)
    (problem,) = caught.value.problems
    assert str(problem).startswith(place)
    assert part in problem.message


@pytest.mark.parametrize("text", [
    "M,", "2**M", "M N", "2", "M + 1", "M - - N", "0*M", "3*M*2", "+", "M + 2*M"])
def test_wrong_projections(text: str) -> None:
    with pytest.raises(ValueError, match="axis"):
        parse_projection(text)


terms = st.builds(Term, st.sampled_from(["M", "P1", "long_name"]), st.integers(-9, 9).filter(bool))


@given(st.lists(st.lists(terms, min_size=1, max_size=3, unique_by=lambda t: t.rank).map(tuple),
                max_size=3).map(tuple))
def test_written_projections_read_back(projection) -> None:
    assert parse_projection(projection_text(projection)) == projection
