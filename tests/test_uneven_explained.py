"""Why uneven mappings are the best: what is said of classes against all mappings, one by one."""

from __future__ import annotations

from math import inf

import pytest
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.parts import by_levels
from tilebound.mapping.validate import check_mapping
from tilebound.model.evaluate import evaluate
from tilebound.search.objectives import objective_value
from tilebound.search.uneven.uneven import UnevenSearch
from tilebound.search.why.explain_uneven import Place, explained_uneven, stays
from tilebound.workload.einsum import Einsum

from test_uneven_search import UNEVEN, drawn, every_mapping

Kept = tuple[frozenset[str], ...]


def every_class(architecture: Architecture, einsum: Einsum,
                objective: str) -> dict[tuple[Kept, frozenset[tuple[Place, Place]]], float]:
    """The least value by what levels keep and by which tiles stay no shorter than which."""
    found: dict[tuple[Kept, frozenset[tuple[Place, Place]]], float] = {}
    for mapping in every_mapping(architecture, einsum):
        if not check_mapping(architecture, einsum, mapping):
            cost, place = evaluate(architecture, einsum, mapping), stays(architecture, einsum, mapping)
            keep = tuple(block.keep for block in by_levels(architecture, mapping))
            key = keep, frozenset((a, b) for a in place for b in place if place[a] <= place[b])
            value = objective_value(objective, cost.energy_pj, cost.cycles)
            found[key] = min(value, found.get(key, inf))
    return found


def least(architecture: Architecture, choice: str, keep: Kept,
          every: dict[tuple[Kept, frozenset[tuple[Place, Place]]], float]) -> float:
    """Of all mappings, the least of those that make a choice, which a report puts into words."""
    words, names = choice.split(), [level.name for level in architecture.levels]
    level = names.index(words[0])
    if words[1] in ("keeps", "bypasses"):
        kept = words[1] == "keeps"
        return min((v for (own, _), v in every.items() if (words[2] in own[level]) == kept), default=inf)
    pair = (level, words[1]), (names.index(words[-2]), words[-1])
    return min((v for (own, pairs), v in every.items() if own == keep and pair in pairs), default=inf)


def compare(seed: object, windows: bool) -> list[str]:
    """Hold what is said of other classes to the least of each; what was said of any."""
    architecture, einsum = drawn(seed, windows)
    every = every_class(architecture, einsum, "edp")
    if not every:
        return []
    search = UnevenSearch(architecture, einsum, "edp", constraints=UNEVEN)
    mapping, certificate = search.run()
    said = []
    for closely in (False, True):
        for x in explained_uneven(search, mapping, certificate, closely).runners_up:
            if x.choice == "mappings that are not uneven":
                continue
            truth = least(architecture, x.choice, search.kept(mapping), every) / certificate.value - 1.0
            assert x.fits or truth == inf
            assert x.at_least is None or x.at_least <= truth + 1e-9
            assert x.found is None or x.found >= truth - 1e-9
            said.append(x.choice)
    return said


@pytest.mark.parametrize("seed", (3, 6, 18, 25))
def test_what_other_classes_lose_is_what_they_lose(seed: int) -> None:
    compare(f"e {seed}", windows=seed % 2 > 0)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(8))
def test_what_many_other_classes_lose(batch: int) -> None:
    for seed in range(8 * batch, 8 * batch + 8):
        compare(f"m {seed}", windows=seed % 2 > 0)
