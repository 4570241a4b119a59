"""Splits into whole factors, counted and drawn without being listed, against the list of them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import tilebound as tb
from tilebound.mapping.constraints import NONE, Constraints, FactorRange, LevelConstraints, LoopRules
from tilebound.search.space import Mapspace

from test_search import conv, three_level


def space(seed: int) -> Mapspace:
    rng = random.Random(seed)
    machine = three_level(200, 20, rng.choice((1, 2, 4)), rng.choice((1, 3, 6)), frozenset())
    einsum = conv(rng.choice((4, 6, 12)), rng.choice((1, 8)), 6, 3)
    rank = rng.choice(einsum.ranks)
    asked = rng.choice((FactorRange(), FactorRange(2, 6), FactorRange(1, 2), FactorRange(5, 5)))
    level = LevelConstraints(machine.levels[rng.randrange(3)].name, **{
        rng.choice(("temporal", "spatial")): LoopRules(factors=((rank, asked),))})
    return Mapspace(machine, einsum, Constraints((level,), uneven=rng.random() < 0.3))


@pytest.mark.parametrize("seed", range(20))
def test_counts_and_draws_are_those_of_the_list(seed):
    found = space(seed)
    assert found.counts == {rank: len(ways) for rank, ways in found.ways.items()}
    if not all(found.counts.values()):
        return
    drawn = found.drawn(np.random.default_rng(0), 2000)
    for column, (rank, ways) in enumerate(found.ways.items()):
        seen = {tuple(x) for x in drawn[:, :, column].tolist()}
        listed = {tuple(x) for x in ways.tolist()}
        assert seen <= listed and (len(listed) > 100 or seen == listed), rank


def test_all_splits_are_equally_likely():
    found = Mapspace(three_level(200, 20, 2, 3, frozenset()), conv(6, 2, 3, 2))
    drawn = found.drawn(np.random.default_rng(1), 20_000)
    for column, ways in enumerate(found.ways.values()):
        _, times = np.unique(drawn[:, :, column], axis=0, return_counts=True)
        assert len(times) == len(ways)
        expected = 20_000 / len(ways)
        assert (abs(times - expected) < 6 * expected ** 0.5).all()


def test_a_million_splits_are_not_listed_for_a_first_mapping():
    machine = tb.load_architecture("simba")
    einsum = tb.load_workload("alexnet")["fc6"]
    found = Mapspace(machine, einsum, replace(NONE))
    assert found.counts["K"] > 1_000_000 and found.size > 1e12
    assert found.drawn(np.random.default_rng(0), 10).shape == (10, 18, 3)
    assert "ways" not in vars(found)
