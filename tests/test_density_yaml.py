"""Densities in both dialects: read, refused with their place, written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import tilebound as tb
import yaml
from tilebound.convert import convert, dump
from tilebound.errors import SpecError
from tilebound.loading import load_specs, load_workload
from tilebound.workload.density import (
    Banded,
    Binomial,
    BoundDensity,
    Density,
    FixedStructured,
    Histogram,
    Hypergeometric,
    KernelPattern,
    Measured,
    PermutedDiagonal,
    StructuredNM,
)
from tilebound.workload.graph import WorkloadGraph

GEMM = """\
problem:
  shape: gemm
  instance:
    {M: 16, N: 16, K: 16, DENSITIES}
"""


def timeloop(densities: str, folder: Path) -> dict[str, Density | None]:
    path = folder / "problem.yaml"
    path.write_text(GEMM.replace("DENSITIES", densities))
    return of(load_workload(path))


def of(graph: WorkloadGraph) -> dict[str, Density | None]:
    (einsum,) = graph
    return {tensor.name: tensor.density for tensor in einsum.tensors}


def native(density: str) -> WorkloadGraph:
    """Weights [K, C, R, S] = 8, 6, 3, 3 of that density."""
    return load_workload({"name": "net", "layers": [
        {"name": "conv", "type": "conv", "K": 8, "C": 6, "P": 4, "Q": 4, "R": 3, "S": 3,
         "densities": {"Weights": yaml.safe_load(density)}}]})


@pytest.mark.parametrize(("text", "want"), [
    ("densities: {A: 0.375}", {"A": FixedStructured(0.375)}),
    ("densities: {A: 1, B: {distribution: hypergeometric, density: 0.5}}",
     {"A": FixedStructured(1.0), "B": Hypergeometric(0.5)}),
    ("densities: {B: {distribution: fixed-structured, density: 0.5, band_width: 0, workload_tensor_size: 0}}",
     {"B": FixedStructured(0.5)}),
    ("densities: {Z: {distribution: fixed, density: 0.5}}", {"Z": FixedStructured(0.5)}),
    ("densities: {A: {distribution: banded, band_width: 3}}", {"A": Banded(3)}),
    ("commonDensity: 0.5", dict.fromkeys("ABZ", FixedStructured(0.5))),
    ("commonDensity: {distribution: hypergeometric, density: 0.5}, densities: {A: 0.1}",
     dict.fromkeys("ABZ", Hypergeometric(0.5))),
])
def test_timeloops_words(text: str, want: dict[str, Density], tmp_path: Path) -> None:
    assert timeloop(text, tmp_path) == {**dict.fromkeys("ABZ"), **want}


def test_densities_may_be_expressions(tmp_path: Path) -> None:
    text = "densities: {A: share / 2, B: {distribution: hypergeometric, density: 1 - share}}"
    assert timeloop(text + "}\nvariables: {share: 0.5", tmp_path) == {
        "A": FixedStructured(0.25), "B": Hypergeometric(0.5), "Z": None}


@pytest.mark.parametrize(("text", "message"), [
    ("densities: {A: 1.5}", "4:42: error: density is 1.5; expected a number from 0 to 1"),
    ("densities: {A: yes}", "; expected a number from 0 to 1"),
    ("densities: {A: [1]}", "density is a list without a model"),
    ("densities: 0.4", "densities is 0.4; expected a mapping from tensors to densities"),
    ("densities: {AA: 0.4}",
     "4:39: error: density of an unknown tensor 'AA'; expected one of A, B, Z; did you mean 'A'?"),
    ("densities: {A: {density: 0.4}}", "density has no 'distribution'"),
    ("densities: {A: {distribution: hypergeometric}}", "density has no 'density'"),
    ("densities: {A: {distribution: hypergometric, density: 0.4}}",
     "4:57: error: unknown distribution 'hypergometric'; expected one of fixed_structured, hypergeometric, "
     "banded; did you mean 'hypergeometric'?"),
    ("densities: {A: {distribution: fixed, density: 0.4, densty: 3}}", "unknown key 'densty' in density"),
    ("commonDensity: -1", "density is -1; expected a number from 0 to 1"),
])
def test_faults_in_timeloops_words(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        timeloop(text, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "want"), [
    ("0.4", FixedStructured(0.4)),
    ("{model: fixed_structured, density: 0.4}", FixedStructured(0.4)),
    ("{model: hypergeometric, density: 0.4}", Hypergeometric(0.4)),
    ("{distribution: hypergeometric, density: 0.4}", Hypergeometric(0.4)),
    ("{model: binomial, density: 0}", Binomial(0.0)),
    ("{model: n_m, n: 2, m: 4, axis: C}", StructuredNM(2, 4, 1)),
    ("{model: n_m, n: 2, m: 4, axis: 3}", StructuredNM(2, 4, 3)),
    ("{model: banded, half_width: 2, axes: [C, K]}", Banded(2, (1, 0))),
    ("{model: permuted_diagonal, block: 2, axes: [K, 1]}", PermutedDiagonal(2)),
    ("{model: pattern, kernel: [R, S], nonzeros: 4, connectivity: 0.3}", KernelPattern((2, 3), 4, 0.3)),
    ("{model: pattern, kernel: [R, S], nonzeros: 9}", KernelPattern((2, 3), 9)),
    ("{model: histogram, axis: C, densities: [0, 1, 0.5, 0.25, 0.3, 0.1]}",
     Histogram((0.0, 1.0, 0.5, 0.25, 0.3, 0.1), 1)),
])
def test_native_words(text: str, want: Density) -> None:
    graph = native(text)
    assert of(graph) == {"Weights": want, "Inputs": None, "Outputs": None}
    (document,) = convert(load_specs([{"workload": _plain(graph)}]), "native")
    assert of(load_workload(yaml.safe_load(dump([document])))) == of(graph)


def _plain(graph: WorkloadGraph) -> object:
    from tilebound.workload.build import workload_to_dict
    return workload_to_dict(graph)


@pytest.mark.parametrize(("text", "message"), [
    ("{model: binomal, density: 0.4}", "unknown density model 'binomal'; expected one of"),
    ("{model: binomal, density: 0.4}", "did you mean 'binomial'?"),
    ("{model: binomial}", "binomial density has no 'density'"),
    ("{model: binomial, density: .nan}", "density is nan; expected a number from 0 to 1"),
    ("{model: binomial, density: 0.4, axis: K}", "unknown key 'axis' in binomial density"),
    ("{density: 0.4}", "density is a mapping without a model"),
    ("{model: {a: 1}, density: 0.4}", "unknown density model a mapping; expected one of"),
    ("{model: n_m, n: 2, m: 4}", "n_m density has no 'axis'"),
    ("{model: n_m, n: 2, m: 4, axis: N}", "no axis 'N'; expected one of K, C, R, S"),
    ("{model: n_m, n: 2, m: 4, axis: 4}", "no axis 4; expected one of K, C, R, S"),
    ("{model: n_m, n: 5, m: 4, axis: C}", "5 of 4 words; expected 0 <= n <= m"),
    ("{model: n_m, n: -5, m: 0, axis: C}", "n is -5; expected a whole number, 0 or more"),
    ("{model: n_m, n: -5, m: 0, axis: C}", "m is 0; expected a whole number, 1 or more"),
    ("{model: banded, half_width: 2}", "banded density has no 'axes'"),
    ("{model: banded, half_width: 2, axes: [K, C, R]}", "axes has 3 axes; expected 2, each once"),
    ("{model: banded, half_width: 2, axes: [K, K]}", "axes has 2 axes; expected 2, each once"),
    ("{model: banded, half_width: 2, axes: K}", "axes is 'K'; expected a list"),
    ("{model: pattern, kernel: [], nonzeros: 4}", "kernel has 0 axes; expected one or more"),
    ("{model: pattern, kernel: [R, S], nonzeros: 10}", "10 non-zeros in a kernel of 9 words"),
    ("{model: pattern, kernel: [R, S], nonzeros: 1, connectivity: 2}", "connectivity is 2; expected"),
    ("{model: histogram, axis: K, densities: [0.5, 0.5]}", "2 densities for 8 channels"),
    ("{model: histogram, axis: K, densities: [0.5, x]}", "density of a channel is 'x'"),
    ("{model: measured}", "measured density has no 'file'"),
    ("{model: measured, bits: eJw=, shape: [8, 6, 3, 3]}", "bits of another size; expected one bit for each"),
    ("{model: measured, bits: '???', shape: [8, 6, 3, 3]}", "bits that cannot be unpacked"),
    ("{model: measured, bits: eJw=, shape: [8, 6, 3]}", "shape is [8, 6, 3]; expected [8, 6, 3, 3]"),
    ("{model: measured, bits: eJw=, file: x.npy, shape: [8, 6, 3, 3]}", "file beside the bits"),
])
def test_faults_in_native_words(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        native(text)
    assert message in str(caught.value)


def test_a_tensor_may_say_its_own_density() -> None:
    layer = {"name": "g", "ranks": {"M": 4, "K": 4}, "tensors": {
        "A": {"projection": "M, K", "density": 0.5}, "Z": {"projection": "M", "output": True}}}
    assert of(load_workload({"layers": [layer]})) == {"A": FixedStructured(0.5), "Z": None}
    with pytest.raises(SpecError, match="a second density of 'A'"):
        load_workload({"layers": [{**layer, "densities": {"A": 0.5}}]})


WEIGHTS = np.random.default_rng(2).normal(size=(8, 6, 3, 3)) * (np.indices((8, 6, 3, 3)).sum(axis=0) % 3 > 0)


def saved(folder: Path, density: str, **arrays: np.ndarray) -> Density | None:
    """The density of the weights of a file in `folder`, beside which the arrays are."""
    np.save(folder / "w.npy", arrays.get("w", WEIGHTS))
    np.savez(folder / "one.npz", w=WEIGHTS)
    np.savez_compressed(folder / "two.npz", conv=WEIGHTS, other=WEIGHTS[:1])
    (folder / "text.npy").write_text("these are no numbers")
    path = folder / "net.yaml"
    path.write_text("workload:\n  layers:\n  - {name: conv, type: conv, K: 8, C: 6, P: 4, Q: 4, R: 3, S: 3,\n"
                    f"     densities: {{Weights: {density}}}}}\n")
    graph = load_workload(path)
    assert of(load_workload({"workload": _plain(graph)})) == of(graph)
    return of(graph)["Weights"]


@pytest.mark.parametrize("text", ["file: w.npy", "file: one.npz", "file: two.npz, name: conv"])
def test_a_measured_density_is_found_beside_its_specification(text: str, tmp_path: Path) -> None:
    found = saved(tmp_path, f"{{model: measured, {text}}}")
    assert found == Measured.of(WEIGHTS) and found.bind((8, 6, 3, 3)).mean == (WEIGHTS != 0).mean()


def test_axes_of_a_measured_density_may_have_another_order(tmp_path: Path) -> None:
    turned = WEIGHTS.transpose(2, 3, 1, 0)
    found = saved(tmp_path, "{model: measured, file: w.npy, axes: [R, S, C, K]}", w=turned)
    assert found == Measured.of(WEIGHTS)


@pytest.mark.parametrize(("text", "message"), [
    ("file: none.npy", "none.npy cannot be read: No such file or directory; expected a .npy or .npz file"),
    ("file: text.npy", "text.npy holds no array of numbers"),
    ("file: .", "cannot be read"),
    ("file: two.npz", "two.npz: no member chosen; expected one of conv, other"),
    ("file: two.npz, name: cov", "two.npz: no member 'cov'; expected one of conv, other"),
    ("file: two.npz, name: other", "shape (1, 6, 3, 3) for a tensor of shape (8, 6, 3, 3)"),
    ("file: w.npy, name: conv", "holds a single array; expected no member name"),
    ("file: w.npy, axes: [K, C]", "axes has 2 axes; expected 4, each once"),
])
def test_faults_in_measured_densities(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        saved(tmp_path, f"{{model: measured, {text}}}")
    assert message in str(caught.value) and "net.yaml:4:" in str(caught.value)


def test_arrays_of_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "words.npy", np.array(["a"]))
    for name in ("objects.npy", "words.npy"):
        with pytest.raises(ValueError, match="; expected numbers"):
            Measured.load(tmp_path / name)
    np.savez(tmp_path / "objects.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="member 'a' holds values of type object; expected numbers"):
        Measured.load(tmp_path / "objects.npz")


@pytest.mark.parametrize(("shape", "message"), [
    ("(8, 6, 3, 300000000000)", "has 8 bytes for an array of shape .*; expected 345600000000000"),
    ("(8, 6, -3, 3)", "expected extents of 0 or more"), ("(8, 6", "holds no array of numbers")])
def test_nothing_is_made_of_a_header_alone(shape: str, message: str, tmp_path: Path) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00v\x00" + header + bytes(8)
    (tmp_path / "forged.npy").write_bytes(data)
    with ZipFile(tmp_path / "forged.npz", "w") as archive:
        archive.writestr("a.npy", data)
    for name in ("forged.npy", "forged.npz"):
        with pytest.raises(ValueError, match=message):
            Measured.load(tmp_path / name)


@pytest.mark.parametrize("density", ["0.4", "{distribution: hypergeometric, density: 0.4}",
                                     "{distribution: banded, band_width: 2}"])
def test_timeloop_is_written_and_read_back(density: str, tmp_path: Path) -> None:
    timeloop(f"densities: {{A: {density}}}", tmp_path)
    loaded = load_specs([tmp_path / "problem.yaml"])
    for dialect in ("timeloop", "native"):
        path = tmp_path / f"{dialect}.yaml"
        path.write_text(dump(convert(loaded, dialect)))
        assert load_workload(path)["gemm"] == loaded.workload["gemm"]


def test_timeloop_has_not_every_model() -> None:
    loaded = load_specs([{"workload": _plain(native("{model: binomial, density: 0.4}"))}])
    with pytest.raises(SpecError, match="Weights: the density model Binomial; expected fixed_structured"):
        convert(loaded, "timeloop")


def test_timeloop_has_bands_of_square_matrices_only() -> None:
    layer = {"name": "g", "ranks": {"M": 4, "K": 5}, "tensors": {
        "A": {"projection": "M, K", "density": {"model": "banded", "half_width": 1}},
        "Z": {"projection": "M", "output": True}}}
    with pytest.raises(SpecError, match="tensor A: the density model Banded"):
        convert(load_specs([{"workload": {"layers": [layer]}}]), "timeloop")


def test_layers_of_other_densities_are_other_layers_with_the_same_dense_cost() -> None:
    sparse, dense = native("0.4")["conv"], native("1")["conv"]
    assert sparse.canonical != dense.canonical == native("1")["conv"].canonical
    arch = tb.load_architecture("eyeriss")
    costs = {tb.search(arch, WorkloadGraph("net", [(einsum, 1)]), objective="energy").energy_pj
             for einsum in (sparse, dense, replace(sparse, tensors=tuple(
                 replace(tensor, density=None) for tensor in sparse.tensors)))}
    assert len(costs) == 1


def test_results_keep_the_densities_of_their_workload(tmp_path: Path) -> None:
    from tilebound.report.document import load_result

    graph = native("{model: hypergeometric, density: 0.4}")
    weights, *others = graph["conv"].tensors
    measured = replace(graph["conv"], name="measured", tensors=(
        replace(weights, density=Measured.of(WEIGHTS)), *others))
    both = WorkloadGraph("net", [(graph["conv"], 1), (measured, 1)])
    result = tb.search(tb.load_architecture("eyeriss"), both, objective="energy")
    result.to_json(tmp_path / "result.json")
    _, again = load_result(tmp_path / "result.json")
    assert list(again) == list(both) and [e.canonical for e in again] == [e.canonical for e in both]


def test_a_density_of_the_users_own_can_be_used_but_not_written() -> None:
    class Mine:
        def bind(self, shape: tuple[int, ...]) -> BoundDensity:
            return FixedStructured(0.5).bind(shape)

    conv = native("0.4")["conv"]
    mine = replace(conv, tensors=tuple(replace(t, density=Mine()) for t in conv.tensors))
    assert isinstance(Mine(), Density) and mine.tensors[0].density.bind((8, 6, 3, 3)).mean == 0.5
    with pytest.raises(SpecError, match="tensor Weights: a density of the class Mine; expected one of"):
        _plain(WorkloadGraph("net", [(mine, 1)]))
