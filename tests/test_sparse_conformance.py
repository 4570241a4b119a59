"""Recorded sparse cases from specs to costs, against everything that Timeloop printed of them.

The program prints nan, recorded as null, where a tile that is never empty is taken for one that
always is (hypergeometric densities of 1, docs/deviations.md): it then divides 0 by 0. There is nothing
to compare a nan with, so such figures are passed over; all others of the case are compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tilebound.model.cost import Cost, LevelCost, Tally, TensorCost
from tilebound.model.counts import count
from tilebound.model.evaluate import evaluate
from tilebound.model.network import single
from tilebound.model.sparse.analyse import SparseModel
from tilebound.model.sparse.counts import RankMetadata
from tilebound.model.sparse.dense import DenseCounts
from tilebound.model.sparse.nest import SparseNest

from sparse_recorded import ACCESSES, OWN, PUBLISHED, STATES, Case


def near(number: float, rel: float = 1e-9) -> Any:
    return pytest.approx(number, rel=rel, abs=1e-12)


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.name)
def test_case(folder: Path) -> None:
    Check(Case.load(folder), 0, 1e-9).run()


@pytest.mark.skipif(not PUBLISHED, reason="TILEBOUND_REFERENCE is not set")
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_published_case(folder: Path) -> None:
    """Where the program cuts a product off to a whole number, the last bit of a probability decides; of
    counts in the millions some are therefore one off."""
    Check(Case.load(folder), 1, 1e-6).run()


class Check:
    """Compares a case: counts to within `off`, energies to within the share `rel`."""

    def __init__(self, case: Case, off: int, rel: float) -> None:
        self.case, self.off, self.rel = case, off, rel
        self.cost: Cost = evaluate(case.architecture, case.einsum, case.mapping, "timeloop")

    def run(self) -> None:
        for index, level in enumerate(self.cost.levels):
            printed = self.case.printed["levels"].get(level.name)
            assert set(level.tensors) == set(self.case.tensors(level.name))
            if printed is not None:
                self.level(index, level, printed)
        if self.case.architecture.sparse:
            self.metadata()
        self.summary()

    def same(self, number: float, printed: float | None) -> None:
        """A count."""
        assert printed is None or abs(number - printed) <= self.off, (number, printed)

    def close(self, number: float, printed: float | None) -> None:
        """An energy, a rate or a share."""
        assert printed is None or number == near(printed, self.rel)

    def level(self, index: int, level: LevelCost, printed: dict[str, Any]) -> None:
        assert level.cycles == near(printed["stats"]["cycles"], self.rel)
        self.close(level.throttling, printed["stats"]["bandwidth_throttling"])
        self.close(level.leakage_pj, printed["specs"]["leakage_energy_total"])
        assert single((level.area_um2 or 0.0) / level.instances) == printed["specs"]["area"]
        for name, x in level.tensors.items():
            self.tensor(index, x, printed["tensors"][name])

    def tensor(self, index: int, x: TensorCost, printed: dict[str, Any]) -> None:
        level = self.cost.levels[index]
        if x.sparse is None:        # nothing is done about zeros
            for access in ACCESSES:
                plain = printed.get(f"scalar_{access}_per_instance")
                assert getattr(x, access) == printed.get(f"actual_scalar_{access}_per_instance", plain)
        else:
            for access in ACCESSES:
                tally: Tally = getattr(x.sparse, access)
                for state in STATES:
                    self.same(getattr(tally, state), printed[f"{state}_scalar_{access}_per_instance"])
            self.same(x.tile_words, printed["max_utilized_data_storage_capacity"])
            self.close(x.sparse.present * level.utilized_instances, printed["utilized_instances_average"])
        self.same(x.temporal_reductions, printed["temporal_reductions_per_instance"])
        assert abs(x.address_generations - printed["address_generations_per_cluster"]) <= 2 * self.off
        # A word more or less may take an access more or less, of each of three kinds.
        dearest = max(figure.value for figure in self.case.architecture.levels[index].energy.values())
        if (energy := printed["energy_total"]) is not None:
            assert x.energy_pj - x.address_pj == pytest.approx(
                energy, rel=self.rel, abs=1e-12 + 3 * self.off * dearest * level.utilized_instances)
        self.close(x.address_pj, printed["address_generation_energy_total"])

    def metadata(self) -> None:
        """Words of metadata and payload, rank by rank."""
        case = self.case
        nest = SparseNest.of_mapping(case.architecture, case.einsum, case.mapping)
        dense = DenseCounts.of(count(case.architecture, case.einsum, case.mapping, "timeloop"))
        counts = SparseModel(case.architecture, case.einsum, "timeloop")(nest, dense)
        for level, found in zip(case.architecture.levels, counts.levels, strict=True):
            for name, x in found.items():
                printed = case.tensors(level.name)[name]
                for i, rank in enumerate(reversed(x.ranks)):
                    self.rank(rank, f"rank_{i}", printed)

    def rank(self, rank: RankMetadata, key: str, printed: dict[str, Any]) -> None:
        for which, actions in ((0, rank.metadata), (1, rank.payload)):
            for access in ACCESSES:
                for state in STATES[1:]:
                    figures = printed[f"{state}_scalar_format_{access}_per_instance"]
                    expected = figures[key][which] if isinstance(figures, dict) else figures
                    self.same(float(getattr(getattr(actions, access), state)[0]), expected)

    def summary(self) -> None:
        cost, case = self.cost, self.case
        units, summary = case.printed["levels"][cost.compute.name]["stats"], case.printed["summary"]
        if cost.compute_states is not None:
            for state in STATES:
                self.same(getattr(cost.compute_states, state), units[f"{state}_computes_total"])
            self.close(cost.compute.utilized_instances, units["utilized_instances_average"])
        else:
            assert cost.computes == units.get("actual_computes_total", units.get("computes_total"))
        self.close(cost.compute.cycles, units["cycles"])
        self.close(cost.compute.energy_pj, units["energy_total"])
        self.close(cost.cycles, summary["cycles"])
        self.close(cost.energy_pj, summary["energy_pj"])
        self.close(cost.utilization, summary["utilization"])
        area = (cost.compute.area_um2 or 0.0) / cost.compute.instances
        assert single(area) * cost.compute.instances == near(units["area_total"])
