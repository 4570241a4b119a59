"""What zeros change, in the result document and in the reports made from it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from tilebound.errors import MappingError
from tilebound.mapping.validate import validate as validate_mapping
from tilebound.model.cost import Cost, Semantics
from tilebound.model.evaluate import evaluate
from tilebound.report.check import check_document
from tilebound.report.document import from_document, to_document
from tilebound.report.html import render_html
from tilebound.report.schema import ResultDocument, validate
from tilebound.report.text import render_text
from tilebound.search.differences import difference
from tilebound.search.result import LayerResult, NetworkResult

from sparse_recorded import OWN, Case
from sparse_strategies import sparse, with_zeros
from strategies import random_case
from test_model_batch import varied


def folder(name: str) -> Path:
    return next(path for path in OWN if path.name == name)


def document(name: str, semantics: Semantics = "timeloop") -> tuple[ResultDocument, Cost]:
    case = Case.load(folder(name))
    cost = evaluate(case.architecture, case.einsum, case.mapping, semantics)
    other = difference(case.architecture, case.einsum, case.mapping, cost, semantics)
    layer = LayerResult(case.einsum, 1, case.mapping, cost, difference=other)
    return to_document(NetworkResult(case.architecture, "one", "energy", (layer,), semantics=semantics)), cost


@pytest.mark.parametrize("name", [path.name for path in OWN])
def test_documents_hold_and_read_back(name: str) -> None:
    for semantics in ("exact", "timeloop"):
        made, cost = document(name, semantics)      # type: ignore[arg-type]
        validate(made)
        assert check_document(made) == []
        result, _ = from_document(made)
        found = result.layers[0].cost
        assert found.energy_pj == cost.energy_pj
        assert found.compute_states == cost.compute_states
        assert to_document(result) == made


def test_document_states_what_was_printed() -> None:
    made, _ = document("sp_AB_cp_skip_both")
    layer, = made["layers"]
    assert layer["computes"] == {"algorithmic": 8192, "actual": 1024, "gated": 0, "skipped": 0}
    rf = next(level for level in layer["levels"] if level["name"] == "RF")
    assert rf["tensors"]["B"]["reads"] == {"algorithmic": 8192, "actual": 1025, "gated": 0, "skipped": 3072}
    # Rows of offsets are of 8 bits, coordinates of 4: 384 and 1086 words are read.
    assert rf["tensors"]["B"]["metadata"]["reads"] == 384 * 8 + 1086 * 4
    assert rf["tensors"]["B"]["sparse"]["metadata_reads"]["skipped"] == 1152 * 8 + 3258 * 4
    assert made["total"]["utilization"] == 1.0


def test_reports_say_what_the_mapping_costs_without_zeros() -> None:
    case = Case.load(folder("sp_gate_A_on_B"))
    made, cost = document("sp_gate_A_on_B", "exact")
    layer, = made["layers"]
    dense = evaluate(case.architecture.without_zeros(), case.einsum, case.mapping)
    assert layer["dense"] == {"energy_pj": dense.energy_pj, "cycles": dense.cycles}
    assert dense.energy_pj > cost.energy_pj and dense.cycles == cost.cycles
    text, page = render_text(made), render_html(made)
    assert "100.0 % of the cycles" in text and "100.0 % of the cycles" in page
    assert "gated ones do not, but their cycle passes" in text and "their cycle passes" in page
    layer["dense"]["energy_pj"] *= 0.9
    assert any("dense" in fault for fault in check_document(made))


def test_energy_parts_add_up() -> None:
    for name in ("sp_AB_cp_skip_both", "sp_Z_compressed", "sp_overbook_fits", "sp_gate_A_on_B"):
        _, cost = document(name)
        for level in cost.levels:
            for x in level.tensors.values():
                assert x.sparse is not None
                parts = (x.sparse.data_pj, x.sparse.metadata_pj, x.sparse.conversion_pj,
                         x.sparse.refetched_pj)
                assert x.energy_pj == pytest.approx(sum(parts) + x.address_pj, rel=1e-12)


def test_reports_show_zeros_only_where_something_is_done_about_them() -> None:
    made, _ = document("sp_AB_cp_skip_both")
    text, page = render_text(made), render_html(made)
    assert "algorithmic" in text and "1,024 of 8,192, 0 gated, 0 skipped" in text
    assert "UOP CP" in text and "UOP CP" in page and "What zeros leave" in page
    assert "metadata              6.507 nJ (7.8 % of the energy)" in text
    for name in ("sp_empty_opt", "sp_density_only"):
        plain, _ = document(name)
        assert "sparse" not in plain["layers"][0]["levels"][0]["tensors"]["A"]
        assert "dense_instances" not in plain["layers"][0]["levels"][0]
        assert "algorithmic" not in render_text(plain) and "What zeros leave" not in render_html(plain)


def test_semantics_differ_in_the_cycles_of_what_is_gated() -> None:
    """A unit whose operand is gated idles: the cycle passes. Timeloop forgets it."""
    right, found = document("sp_gate_A_on_B", "exact"), document("sp_gate_A_on_B", "timeloop")
    assert (right[1].cycles, found[1].cycles) == (8192, 4096)
    other = right[0]["layers"][0]["difference"]
    assert (other["semantics"], other["cycles"]) == ("timeloop", 4096)
    assert "timeloop semantics" in render_text(right[0])


@pytest.mark.parametrize("seed", range(25))
def test_documents_of_random_machines_hold(seed: int) -> None:
    rng = Random(seed)
    architecture, einsum, mapping = random_case(rng, max_points=400, max_levels=4, max_instances=16)
    architecture, einsum = varied(rng, architecture, einsum), with_zeros(rng, einsum)
    architecture = sparse(rng, architecture, einsum, in_space=True)
    semantics: Semantics = rng.choice(("exact", "timeloop"))
    try:
        validate_mapping(architecture, einsum, mapping)
        cost = evaluate(architecture, einsum, mapping, semantics)
    except MappingError:
        return
    layer = LayerResult(einsum, 2, mapping, cost, difference=difference(
        architecture, einsum, mapping, cost, semantics))
    made = to_document(NetworkResult(architecture, "one", "energy", (layer,), semantics=semantics))
    validate(made)
    assert check_document(made) == []
    assert render_text(made) and render_html(made)
    for level in cost.levels:
        tensors = sum(x.energy_pj for x in level.tensors.values())
        assert level.energy_pj == pytest.approx(tensors + level.leakage_pj)
        for tensor in level.tensors.values():
            assert tensor.sparse is not None
            for x in (tensor.sparse.reads, tensor.sparse.fills, tensor.sparse.updates):
                assert min(x.actual, x.gated, x.skipped) >= 0
                assert x.actual + x.gated + x.skipped <= x.algorithmic + 2     # each rounded to whole words
