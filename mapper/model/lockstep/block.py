"""`Block`: what groups do between two barriers, and the cycles that it takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from .maximum import expected_largest
from .sample import sampled_largest
from .work import (
    Part,
    at_least,
    expected_product,
    largest,
    match_work,
    mean,
    meeting,
    product_work,
    products,
    total,
)

#: Most entries of a table of cycles by state.
_TABLE = 1 << 23
#: Most words in a step of matches that is worked out term by term.
_WORDS = 1 << 14


@dataclass(frozen=True, eq=False)
class Block:
    """The steps of every group between two barriers.

    Attributes
    ----------
    parts : the operands of a step
    matches : matches taken a cycle; None for the product of quanta
    least : the fewest cycles of a step
    steps : tiles that all parts move on to together; for each of them, every tile of a part meets every
        tile of the others
    spread : the groups that wait for each other, as loops: (parts that differ from one iteration to
        the next, iterations)
    greedy : the part whose tiles are dealt to the groups by how full they are
    """

    parts: tuple[Part, ...]
    matches: int | None = None
    least: int = 0
    steps: int = 1
    spread: tuple[tuple[frozenset[int], int], ...] = ()
    greedy: int | None = None

    @property
    def tiles(self) -> int:
        """Steps between two barriers."""
        return self.steps * prod(part.tiles for part in self.parts)

    @property
    def dense(self) -> int:
        """Cycles without zeros."""
        if self.matches is not None:
            return self.tiles * max(self.least, -(-self.parts[0].words // self.matches))
        return self.tiles * max(self.least, prod(part.dense for part in self.parts))

    @property
    def moving(self) -> dict[int, int]:
        """Groups by the part that alone is another one in each of them."""
        counts = dict.fromkeys(range(len(self.parts)), 1)
        for parts, count in self.spread:
            if len(parts) == 1 < len(self.parts):
                counts[next(iter(parts))] *= count
        return {part: count for part, count in counts.items() if count > 1}

    @property
    def rows(self) -> int:
        """Groups that have nothing in common."""
        return prod(count for parts, count in self.spread if len(parts) == len(self.parts))

    @property
    def dealt(self) -> bool:
        """Whether it matters who gets which tile: groups have several, and not the same ones."""
        return (self.greedy is not None and self.parts[self.greedy].tiles > 1
                and any(self.greedy in moved for moved, _ in self.spread))

    @property
    def mixed(self) -> bool:
        """Whether groups differ in some of the parts, which are more than one and not all."""
        return any(1 < len(parts) < len(self.parts) for parts, _ in self.spread)


def expected_step(block: Block) -> float:
    """Expected cycles of one step of one group, which waits for nobody."""
    if block.matches is None:
        return expected_product([part.ceilings for part in block.parts], block.least)
    hits = meeting(block.parts)
    cycles = replace(hits, width=block.matches).ceilings
    return mean(at_least(cycles, block.least))


def expected_cycles(block: Block, step: float | None = None) -> float:
    """Expected cycles from one barrier to the next. `step` is `expected_step` where that is known.

    Exact where that takes no more than some millions of terms, else by cumulants (many steps) or from
    draws with a fixed seed, so that equal blocks have equal results.
    """
    alone = expected_step(block) if step is None else step
    if not any(count > 1 for _, count in block.spread):
        return block.tiles * alone
    found = None
    if not block.dealt and not block.mixed:
        found = _product(block) if block.matches is None else _match(block)
    return sampled_largest(block, alone) if found is None else found


def _product(block: Block) -> float | None:
    """None where there is no closed form."""
    if block.least and block.tiles > block.steps:
        return None
    moving = block.moving
    if block.steps == 1:
        # The largest product is that of the largest factors.
        tops = [largest(total(part.ceilings, part.tiles), moving.get(i, 1))
                for i, part in enumerate(block.parts)]
        if prod(len(x) for x in tops) > _TABLE:
            return None
        return mean(largest(at_least(products(tops), block.least), block.rows))
    if len(moving) > 1:
        return None
    shared = [bool(moving) and i not in moving for i in range(len(block.parts))]
    if prod((part.dense * part.tiles + 1) ** (2 if together else 1)
            for part, together in zip(block.parts, shared, strict=True)) > _TABLE:
        return None
    work = product_work(block.parts, shared, block.least)
    return expected_largest(work, block.steps, block.rows, prod(moving.values()))


def _match(block: Block) -> float | None:
    """None where there is no closed form."""
    moving, parts = block.moving, block.parts
    shared = tuple(part for i, part in enumerate(parts) if moving and i not in moving)
    own = tuple(part for i, part in enumerate(parts) if not moving or i in moving)
    several = [part for part in own if part.tiles > 1]
    if (len(moving) > 1 or any(part.tiles > 1 for part in shared) or len(several) > 1
            or (several and len(parts) > 2) or parts[0].words > _WORDS):
        return None
    work = match_work(own, shared, block.matches or 1, block.least)
    return expected_largest(work, block.steps, block.rows, prod(moving.values()))
