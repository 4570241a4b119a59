"""What a window that slides brings in at the least, over all orders of the loops that move it."""

from __future__ import annotations

from math import inf
from typing import Iterator

import pytest
from tilebound.bounds.cap import UNCAPPED
from tilebound.bounds.chains.nests import Nests
from tilebound.bounds.chains.sliding import _strides
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.mapping.constraints import Constraints
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.model.evaluate import evaluate
from tilebound.search.space import Mapspace
from tilebound.search.uneven.uneven import cut_search
from tilebound.workload.einsum import Einsum, Tensor, Term

UNEVEN = Constraints(uneven=True)


def energy(read: float) -> dict[str, Figure]:
    return {access: Figure(read, "drawn") for access in ("read", "fill", "update")}


@pytest.mark.parametrize("positions, side", [(1, 2), (1, 3), (1, 5), (2, 3)])
def test_one_loop_moves_back_what_several_do_not(positions: int, side: int) -> None:
    """A window over two ranks: the outer loop undoes the step of the inner one, however long that is."""
    p, r, s = Term("P"), Term("R"), Term("S")
    einsum = Einsum("window", ("P", "R", "S"), (positions, side, side), (
        Tensor("W", ((r,), (s,))), Tensor("I", ((p, r, s),)), Tensor("O", ((p,),), is_output=True)))
    architecture = Architecture("two", (
        Storage("outer", energy=energy(10.0)),
        Storage("inner", size_words=1, keep=frozenset("I"), bypass=frozenset("WO"), energy=energy(1.0))),
        Compute("MAC", energy={"compute": Figure(1.0, "drawn")}))
    space = Mapspace(architecture, einsum, UNEVEN)
    search = cut_search(space, Nests(space.scenario), (1, 0), UNCAPPED)
    assert search is not None
    keep = (frozenset("WIO"), frozenset("I"))
    nest = Mapping((Block("outer", keep[0], (Loop("R", side), Loop("S", side), Loop("P", positions))),
                    Block("inner", keep[1], ())))
    assert next(search.leaves([inf])).value <= evaluate(architecture, einsum, nest).energy_pj * (1 + 1e-12)


def nests(iterations: int) -> Iterator[tuple[int, ...]]:
    """Loops, innermost first, that have so many iterations together."""
    yield (iterations,)
    for first in range(2, iterations):
        if iterations % first == 0:
            yield from ((first, *rest) for rest in nests(iterations // first))


@pytest.mark.parametrize("iterations", [2, 7, 12, 16, 60, 96])
def test_steps_of_one_iteration_of_each_loop(iterations: int) -> None:
    found = set()
    for loops in nests(iterations):
        steps = [1]
        for loop in loops[:-1]:
            steps.append(steps[-1] * loop)
        found.add(sum(steps))
    assert _strides(iterations) == found
