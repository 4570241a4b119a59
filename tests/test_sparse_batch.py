"""Many mappings at once against one at a time, on machines that do something about zeros."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import numpy as np
import pytest
from tilebound.errors import MappingError
from tilebound.mapping.template import Template
from tilebound.mapping.text import format_nest
from tilebound.mapping.validate import check_mapping
from tilebound.model.batch_sparse import batch_evaluator
from tilebound.model.cost import Cost
from tilebound.model.evaluate import evaluate

from sparse_strategies import sparse, with_zeros
from strategies import random_case
from test_model_batch import class_members, varied


def compare(seed: object) -> tuple[int, int]:
    """Hold one random class to `evaluate`; returns how many mappings were valid and invalid."""
    rng = Random(str(seed))
    architecture, einsum, mapping = random_case(rng, max_points=600, max_levels=4, max_instances=16)
    architecture, einsum = varied(rng, architecture, einsum), with_zeros(rng, einsum)
    architecture = sparse(rng, architecture, einsum, in_space=True)
    template, factors = Template.of(einsum, mapping)
    members = class_members(rng, einsum, factors, 12, rng.choice((0.5, 0.9, 1.0)))
    cost = batch_evaluator(architecture, einsum, template)(members)
    for i, member in enumerate(members):
        single = template.mapping(einsum, member)
        text = "\n".join([f"seed {seed}", str(einsum), *format_nest(single, architecture, einsum)])
        expected: Cost | None = None
        if not check_mapping(architecture, einsum, single):
            with suppress(MappingError):
                expected = evaluate(architecture, einsum, single)
        assert cost.valid[i] == (expected is not None), text
        if expected is None:
            assert cost.energy_pj[i] == cost.cycles[i] == np.inf
            continue
        assert cost.cycles[i] == expected.cycles, text
        assert cost.energy_pj[i] == pytest.approx(expected.energy_pj, rel=1e-12), text
    return int(cost.valid.sum()), int((~cost.valid).sum())


@pytest.mark.parametrize("batch", range(5))
def test_batch_equals_evaluate(batch: int) -> None:
    found = [compare(seed) for seed in range(40 * batch, 40 * batch + 40)]
    valid, invalid = map(sum, zip(*found, strict=True))
    assert valid > 60 and invalid > 20       # both kinds were really met
