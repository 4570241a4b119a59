"""Words passed on between neighbours, worked out by hand. `test_oracle` and `test_walk` simulate many
more."""

from __future__ import annotations

import pytest
from tilebound.hardware.architecture import Architecture, Compute, Figure, Network, Storage
from tilebound.mapping.nest import Block, Loop, Mapping
from tilebound.mapping.template import Template
from tilebound.mapping.timeloop import from_timeloop, to_timeloop
from tilebound.model.cost import Cost
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum, Tensor, Term

UNIT = {action: Figure(1.0, "test") for action in ("read", "fill", "update", "compute")}
ALL = frozenset("IOW")
#: O[k] += I[p + q + r] * W[r, k]: four instances with p, q in {0, 1} work on three words of I.
EINSUM = Einsum("window", ("K", "P", "Q", "R"), (3, 2, 2, 2), (
    Tensor("I", ((Term("P"), Term("Q"), Term("R")),)), Tensor("W", ((Term("R"),), (Term("K"),))),
    Tensor("O", ((Term("K"),),), is_output=True)))


def machine(*fanouts: tuple[int, int]) -> Architecture:
    """Levels L0, L1, ... that all feed a linked mesh of the given size."""
    levels, x, y = [], 1, 1
    for i, (columns, rows) in enumerate(fanouts):
        levels.append(Storage(f"L{i}", x, y, energy=UNIT, network=Network(links=True)))
        x, y = x * columns, y * rows
    return Architecture("mesh", tuple(levels), Compute("MAC", x, y, energy=UNIT))


MESH = machine((2, 2), (1, 1))


def square(keep: frozenset[str] = ALL, **outer: frozenset[str]) -> Mapping:
    return Mapping((
        Block("L0", ALL, (Loop("R", 2),), (Loop("P", 2),), (Loop("Q", 2),), **outer),
        Block("L1", keep, (Loop("K", 3),))))


def counted(cost: Cost, level: str, tensor: str = "I") -> tuple[int, int, int]:
    x = cost.level(level).tensors[tensor]
    return x.reads, x.fills, x.updates


def sent(cost: Cost, tensor: str = "I") -> dict[int, int]:
    return dict(cost.networks[0].tensors[tensor].accesses)


def test_words_come_from_the_neighbour_that_had_them_a_step_before() -> None:
    """At r = 0 the words 0, 1, 1, 2 are sent, the two 1 together. At r = 1 the words 1, 2, 2, 3 are
    needed, of which only 3 was not at a neighbour."""
    cost = evaluate(MESH, EINSUM, square())
    assert sent(cost) == {1: 3, 2: 1}
    assert counted(cost, "L0") == (4, 0, 0)
    # Each instance fills 2 words and uses each 3 times; 3/4 of a word it gives to a neighbour.
    assert counted(cost, "L1") == (6.75, 2, 0)
    # The reference rounds what is read.
    reference = evaluate(MESH, EINSUM, square(), "timeloop")
    assert counted(reference, "L1") == (7, 2, 0) and sent(reference) == sent(cost)


def test_a_mapping_turns_links_off() -> None:
    cost = evaluate(MESH, EINSUM, square(no_links=frozenset("I")))
    assert sent(cost) == {1: 4, 2: 2}
    assert (counted(cost, "L0"), counted(cost, "L1")) == ((6, 0, 0), (6, 2, 0))


def test_links_help_where_each_instance_is_sent_its_own_copy() -> None:
    cost = evaluate(MESH, EINSUM, square(no_multicast=frozenset("I")))
    assert sent(cost) == {1: 5}


def test_nothing_is_passed_on_past_a_level_that_bypasses() -> None:
    """The units below take 24 words, in each of 6 steps 2 of them by one and 1 by two; the reference
    splits them over multicast factors as the links would have split the 5 words sent to the bypassing
    level: 3 to one, 1 to two instances."""
    mapping = square(keep=ALL - {"I"})
    cost = evaluate(MESH, EINSUM, mapping)
    assert sent(cost) == {1: 12, 2: 6}
    assert counted(cost, "L0") == (18, 0, 0)
    reference = evaluate(MESH, EINSUM, mapping, "timeloop")
    assert sent(reference) == {1: 14, 2: 5}             # 24 * 3/5 and 24 * 1/5
    assert counted(reference, "L0") == (19, 0, 0)       # 24 * 4/5


def test_links_are_unused_where_they_save_nothing() -> None:
    """W is sent to all at once, and never the same word twice in a row."""
    assert evaluate(MESH, EINSUM, square()).networks[0].tensors["W"].accesses == {4: 6}


def test_units_keep_what_they_pass_on() -> None:
    """Two units need the same word of W for the two steps of Q: in the second, each takes it from the
    other."""
    mapping = Mapping((Block("L0", ALL, (Loop("K", 3), Loop("R", 2), Loop("Q", 2)), (Loop("P", 2),)),))
    cost = evaluate(machine((2, 1)), EINSUM, mapping)
    assert counted(cost, "L0", "W") == (6, 0, 0)
    apart = Mapping((Block("L0", ALL, mapping.blocks[0].temporal, (Loop("P", 2),),
                           no_links=frozenset("W")),))
    assert counted(evaluate(machine((2, 1)), EINSUM, apart), "L0", "W") == (12, 0, 0)


def test_rows_are_filled_before_columns() -> None:
    """On a mesh four wide the four instances stand in one row: 0, 1, 1, 2. The second has no
    neighbour with the word 2."""
    cost = evaluate(machine((4, 2), (1, 1)), EINSUM, square())
    assert sent(cost) == {1: 4, 2: 1}


def test_words_passed_on_are_shared_out_over_the_whole_machine() -> None:
    """Two squares side by side: the reference spreads what one of them passes on over both."""
    wide = Einsum("wide", ("N", *EINSUM.ranks), (2, *EINSUM.extents), (
        Tensor("I", ((Term("N"),), *EINSUM.tensor("I").projection)), *EINSUM.tensors[1:]))
    mapping = Mapping((Block("L0", ALL, (), (Loop("N", 2),)),
                       *(Block(f"L{i + 1}", b.keep, b.temporal, b.spatial_x, b.spatial_y)
                         for i, b in enumerate(square()))))
    wider = machine((2, 1), (2, 2), (1, 1))
    reference, cost = (evaluate(wider, wide, mapping, x) for x in ("timeloop", "exact"))
    assert counted(reference, "L1") == counted(cost, "L1") == (4, 4, 0)
    assert counted(reference, "L2") == (6, 1, 0)       # 6 + 3/8, and 5/4 + 3/8 cut off
    assert counted(cost, "L2") == (6.75, 2, 0)         # 6 + 3/4, and 5/4 + 3/4


def test_a_class_without_links_is_written_so_that_timeloop_uses_none() -> None:
    template, factors = Template.of(EINSUM, square(no_links=ALL))
    assert template.no_links == (ALL, frozenset())
    everywhere = Template(template.levels, template.keep, template.orders, no_links=(ALL, ALL))
    mapping = everywhere.mapping(EINSUM, factors)
    assert mapping.blocks[0].no_links == ALL
    spatial = [x for x in to_timeloop(mapping, EINSUM) if x["type"] == "spatial"]
    # A level that unrolls nothing may have no array below it, and gets no spatial entry.
    assert [(x["target"], x["no_link_transfer"]) for x in spatial] == [("L0", ["I", "W", "O"])]
    assert evaluate(MESH, EINSUM, from_timeloop(to_timeloop(mapping, EINSUM), MESH, EINSUM)) == (
        evaluate(Architecture("mesh", tuple(
            Storage(x.name, x.mesh_x, x.mesh_y, energy=UNIT) for x in MESH.levels),
            MESH.compute), EINSUM, square()))


@pytest.mark.parametrize("no_links", [frozenset(), frozenset("IW")])
def test_a_class_remembers_its_links(no_links: frozenset[str]) -> None:
    mapping = square(no_links=no_links)
    template, factors = Template.of(EINSUM, mapping)
    assert template.mapping(EINSUM, factors) == mapping
