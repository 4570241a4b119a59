"""Many mappings at once against one at a time, on machines that do something about zeros."""

from __future__ import annotations

from contextlib import suppress
from math import prod
from random import Random

import numpy as np
import pytest
from tilebound.errors import MappingError
from tilebound.hardware.architecture import Architecture
from tilebound.mapping.nest import Mapping
from tilebound.mapping.template import Template
from tilebound.mapping.text import format_nest
from tilebound.mapping.validate import check_mapping
from tilebound.model.batch_sparse import batch_evaluator
from tilebound.model.cost import Cost
from tilebound.model.evaluate import evaluate

from sparse_strategies import sparse, with_zeros
from strategies import random_case
from test_model_batch import class_members, varied


def within(architecture: Architecture, mapping: Mapping) -> bool:
    """Whether the mapping asks for no more instances than there are, also where whole ones are skipped."""
    return all(prod(x.factor for x in loops) <= most for i, block in enumerate(mapping) for loops, most in
               zip((block.spatial_x, block.spatial_y), architecture.fanout(i), strict=True))


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
        if not within(architecture, single):      # instances without work may stand for others
            expected = None
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
