"""Why nothing fits: the fewest demands that no mapping meets together, by how much, and what helps.

Whether some mapping meets a set of demands is decided exactly (`feasible.some_fit`). A conflict is a set
that none meets. Where sets of demands that some mapping meets are as large as they can be, a conflict
holds one of those left out of each; the fewest demands that do so are a conflict themselves, or show one
more such set (Ignatiev and others, Smallest MUS extraction with minimal hitting set dualization, CP 2015).
"""

from __future__ import annotations

from time import monotonic
from typing import Callable, Sequence

from ...bounds.divisors import splits_within
from ...mapping.splits import TooManySplits
from ...workload.einsum import Einsum
from ..feasible import Fit, Known, some_fit
from ..space import Mapspace
from .demands import Case, demands

_SECONDS = 4.0          # for the smallest conflict and by how much; demands left then are not looked at
_TESTS = 3000
_SPLITS = 300_000       # of a rank, of which so many are listed


class Budget:
    """Counts tests of sets of demands until they, or the seconds, are used up."""

    def __init__(self, seconds: float, tests: int) -> None:
        self.end, self.left = monotonic() + seconds, tests

    def spent(self) -> bool:
        """Count one test; whether there is none left."""
        self.left -= 1
        return self.left < 0 or monotonic() > self.end


class Undecided(Exception):
    """The budget is used up."""


class Problem:
    """What an Einsum is to be mapped under, and which of its demands some mapping meets."""

    def __init__(self, einsum: Einsum, case: Case, seconds: float = _SECONDS, tests: int = _TESTS) -> None:
        self.einsum, self.case = einsum, case
        self.all = demands(case, einsum)
        self.every = frozenset(range(len(self.all)))
        self.budget = Budget(seconds, tests)
        self.certain = True             # every answer "something fits" was found, not assumed
        self.known: Known = {}

    def fit(self, case: Case) -> Fit | None:
        """Splits that fit; None where there are none. Raises Undecided."""
        if self.budget.spent():
            raise Undecided
        found, certain = self._some_fit(case)
        if found is None and not certain:
            raise Undecided
        return found

    def _some_fit(self, case: Case) -> tuple[Fit | None, bool]:
        space = Mapspace(case.architecture, self.einsum, case.constraints)
        if any(splits_within(extent, space.factor_limits(rank)) > _SPLITS
               for rank, extent in self.einsum.extent.items() if rank not in space.imperfect):
            return None, False
        try:
            return some_fit(space, self.known)
        except TooManySplits:
            return None, False

    def only(self, kept: frozenset[int]) -> Case:
        """The problem with no other demands than these."""
        case = self.case
        for i in sorted(self.every - kept):
            case = self.all[i].lifted(case, self.einsum)
        return case

    def met(self, kept: frozenset[int]) -> bool:
        """Whether some mapping meets these demands; taken for granted where that takes long to say."""
        met, certain = self._met(kept)
        self.certain = self.certain and certain
        return met or not certain

    def surely_met(self, kept: frozenset[int]) -> bool:
        """Whether a mapping has been found that meets these demands."""
        return all(self._met(kept))

    def _met(self, kept: frozenset[int]) -> tuple[bool, bool]:
        """Whether a mapping is known that meets these demands, and whether that is certain."""
        if self.budget.spent():
            raise Undecided
        found, certain = self._some_fit(self.only(kept))
        return found is not None, certain


def smallest_conflict(every: frozenset[int], met: Callable[[frozenset[int]], bool]) -> tuple[
        frozenset[int], bool, bool]:
    """The smallest subset of `every` that is not `met`, where `every` is not: also whether none of it can be
    spared, and whether none is smaller. `met` may raise Undecided; what is known then is returned."""
    left_out: list[frozenset[int]] = []
    try:
        while True:
            chosen = hitting_set(left_out)
            if not met(chosen):
                return chosen, True, True
            for i in sorted(every - chosen):
                if met(chosen | {i}):
                    chosen |= {i}
            left_out.append(every - chosen)
    except Undecided:
        return frozenset(every), False, False


def hitting_set(sets: Sequence[frozenset[int]]) -> frozenset[int]:
    """The fewest elements such that each of the `sets`, none of them empty, holds one."""
    def search(chosen: frozenset[int], most: int) -> frozenset[int] | None:
        missed = next((s for s in sets if not s & chosen), None)
        if missed is None:
            return chosen
        if most == 0:
            return None
        tried = (search(chosen | {i}, most - 1) for i in sorted(missed))
        return next((found for found in tried if found is not None), None)

    size = 0
    while (found := search(frozenset(), size)) is None:
        size += 1
    return found


def pruned(kept: frozenset[int], met: Callable[[frozenset[int]], bool]) -> tuple[frozenset[int], bool]:
    """A part of a conflict that is one, of which nothing can be spared if the second value is true."""
    try:
        for i in sorted(kept):
            if not met(kept - {i}):
                kept -= {i}
    except Undecided:
        return kept, False
    return kept, True
