"""Energies and cycles from counts that Timeloop printed, against the energies and cycles that it printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tilebound.mapping.template import Template
from tilebound.model.sparse.costs import SparseCosts, sparse_costs
from tilebound.model.sparse.nest import SparseNest
from tilebound.model.sparse.zeros import Zeros

from sparse_recorded import OWN, PUBLISHED, Case, printed_counts


def near(number: float) -> Any:
    return pytest.approx(number, rel=1e-9, abs=1e-12)


def priced(case: Case) -> SparseCosts:
    nest = SparseNest.of_mapping(case.architecture, case.einsum, case.mapping)
    zeros = {tensor.name: Zeros(case.einsum, tensor, "timeloop") for tensor in case.einsum.tensors}
    return sparse_costs(case.architecture, nest, zeros, printed_counts(case), "timeloop")


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.name)
def test_printed_counts_give_printed_costs(folder: Path) -> None:
    check(Case.load(folder))


@pytest.mark.skipif(not PUBLISHED, reason="TILEBOUND_REFERENCE is not set")
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_counts_give_published_costs(folder: Path) -> None:
    check(Case.load(folder))


def check(case: Case) -> None:
    if not case.architecture.sparse:
        pytest.skip("nothing is done about zeros")
    costs = priced(case)
    assert costs.fit.valid.all()
    for index, level in enumerate(case.architecture.levels):
        printed, pace = case.printed["levels"].get(level.name), costs.paces[index]
        for name, price in costs.tensors[index].items():
            tensor = printed["tensors"][name]
            if tensor["energy_total"] is not None:
                assert price.energy - price.addresses == near(tensor["energy_total"])
                assert price.addresses == near(tensor["address_generation_energy_total"])
            assert price.address_generations == tensor["address_generations_per_cluster"]
            for what, rate in (("read", pace.read[name]), ("write", pace.write[name])):
                if (expected := tensor[f"average_{what}_bandwidth_per_instance"]) is not None:
                    assert rate == near(expected)
        if printed is not None:
            assert pace.cycles == printed["stats"]["cycles"]
            assert pace.throttling == near(printed["stats"]["bandwidth_throttling"])
            if printed["specs"]["leakage_energy_total"] is not None:
                assert costs.leakage[index] == near(printed["specs"]["leakage_energy_total"])
    units, summary = case.printed["levels"][case.architecture.compute.name]["stats"], case.printed["summary"]
    assert costs.compute_cycles == units["cycles"]
    assert costs.compute == near(units["energy_total"])
    assert costs.cycles == summary["cycles"]
    if summary["energy_pj"] is not None:
        assert costs.energy == near(summary["energy_pj"])


def test_costs_of_a_batch_are_those_of_its_mappings() -> None:
    """The same mapping twice in one batch, with counts that are the same for both."""
    case = Case.load(next(x for x in OWN if x.name == "sp_block4"))
    template, factors = Template.of(case.einsum, case.mapping)
    nest = SparseNest.of_factors(case.architecture, case.einsum, template, np.stack([factors, factors]))
    zeros = {tensor.name: Zeros(case.einsum, tensor, "timeloop") for tensor in case.einsum.tensors}
    both = sparse_costs(case.architecture, nest, zeros, printed_counts(case), "timeloop")
    assert both.energy.tolist() == priced(case).energy.tolist() * 2
    assert both.fit.valid.tolist() == [True, True]
