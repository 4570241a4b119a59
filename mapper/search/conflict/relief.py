"""By how much each demand of a conflict is missed, and what it would give to change it alone."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, inf, log
from time import monotonic
from typing import Callable, Iterator, Mapping, Sequence

from ...errors import InfeasibleError, TileboundError
from ...mapping.constraints import FactorRange, LoopRules
from ...mapping.template import slot
from ...workload.einsum import Einsum
from ..certificate import Certificate
from ..feasible import Fit
from ..imperfect import layer_search
from ..limits import Limits
from ..uneven.uneven import UnevenSearch
from .clashes import Clash, Conflict, Relief, describe
from .conflict import Budget, Problem, Undecided, pruned, smallest_conflict
from .demands import Case, Demand, range_text

#: For what changing one demand gives.
_EFFORT = Limits(bounds=12, choices=48, climbs=2)
_EFFORT_SECONDS, _LEAST_SECONDS = 5.0, 0.1      # all of them together, and a search
_MOST_RELIEFS = 6
_SECONDS = 3.0          # for how much each demand misses
_TESTS = 1500
_MOST_OTHERS = 3
_FACTORS = 40           # values of a factor that are tried


def find_conflict(einsum: Einsum, case: Case, objective: str) -> Conflict | None:
    """The smallest conflict among the demands on `einsum`, one objective in mind; None where none can be
    proven in a few seconds."""
    problem = Problem(einsum, case)
    try:
        if problem.fit(case) is not None or not problem.met(frozenset()):
            return None
    except Undecided:
        return None
    kept, minimal, smallest = smallest_conflict(problem.every, problem.met)
    if not minimal:
        problem.budget = Budget(_SECONDS, _TESTS)
        kept, minimal = pruned(kept, problem.met)
    problem.budget = Budget(_SECONDS, _TESTS)
    minimal = minimal and (problem.certain or _each_needed(problem, kept))
    measures = [_Measure(problem, kept, i) for i in sorted(kept)]
    others = [tuple(_Measure(problem, other, i).clash for i in sorted(other))
              for other in _others(problem, kept)]
    return Conflict(einsum.name, objective, tuple(x.clash for x in measures), _reliefs(measures, objective),
                    minimal, smallest and problem.certain, tuple(others))


def _reliefs(measures: Sequence[_Measure], objective: str) -> tuple[Relief, ...]:
    """What changing each of the first demands gives; they share the time evenly."""
    end, reliefs = monotonic() + _EFFORT_SECONDS, list[Relief]()
    for left in range(min(len(measures), _MOST_RELIEFS), 0, -1):
        reliefs.append(measures[len(reliefs)].relief(objective, (end - monotonic()) / left))
    return tuple(reliefs)


def _each_needed(problem: Problem, kept: frozenset[int]) -> bool:
    """Whether something surely fits without any one of the demands `kept`."""
    try:
        return all(problem.surely_met(kept - {i}) for i in kept)
    except Undecided:
        return False


def _others(problem: Problem, kept: frozenset[int]) -> Iterator[frozenset[int]]:
    """Conflicts that have no demand in common with `kept` or each other."""
    left = problem.every - kept
    for _ in range(_MOST_OTHERS):
        try:
            if problem.met(left):
                return
        except Undecided:
            return
        other, minimal, _ = smallest_conflict(left, problem.met)
        if not minimal:
            return
        yield other
        left -= other


class _Measure:
    """How far demand `index` is from letting something fit."""

    def __init__(self, problem: Problem, kept: frozenset[int], index: int) -> None:
        self.problem = problem
        self.demand: Demand = problem.all[index]
        self.text = self.demand.text(problem.case)
        self.clash = Clash(self.demand.kind, self.demand.level, self.demand.name, self.text,
                           self.demand.place(problem.case))
        self.change = f"without: {self.text}"
        self.helped: Case | None = None
        self.alone = True               # whether it suffices to change this demand
        try:
            free = problem.only(problem.every - {index})
            fit = problem.fit(free)
            if fit is None:
                self.alone, free = False, problem.only(kept - {index})
                fit = problem.fit(free)
            if fit is not None:
                self.helped = free
                self._need(free, fit)
        except Undecided:
            pass        # what is known so far is right

    def _need(self, free: Case, fit: Fit) -> None:
        measures: dict[str, Callable[[Case, Fit], None]] = {
            "capacity": self._capacity, "metadata": self._metadata, "array": self._array,
            "factor": self._factor, "workers": self._workers}
        if self.demand.kind in measures:
            measures[self.demand.kind](free, fit)

    def _level(self) -> int:
        return self.problem.case.architecture.level_index(self.demand.level)

    def _capacity(self, free: Case, fit: Fit) -> None:
        level = self._level()
        have = self.problem.case.architecture.levels[level].capacity_words or 0

        def with_words(words: int) -> Case:
            return free.with_level(self.demand.level, size_words=words, multiple_buffering=1.0)

        words, fit = self._least(with_words, have, _total(fit.shares(fit.space.room, level)), fit)
        parts = _parts(fit.shares(fit.space.room, level))
        self.clash = replace(self.clash, have=have, need=words, detail=parts)
        self.change, self.helped = f"{self.demand.level} with {words:,} words", with_words(words)

    def _metadata(self, free: Case, fit: Fit) -> None:
        level, store = self._level(), self.problem.case.architecture.levels[self._level()].sparsity
        width, depth = store.metadata_width or 1, store.metadata_depth or 0

        def with_rows(rows: int) -> Case:
            return free.with_metadata(self.demand.level, rows)

        enough = ceil(_total(fit.shares(fit.space.noted, level)) / width)
        rows, fit = self._least(with_rows, depth, enough, fit)
        parts = _parts(fit.shares(fit.space.noted, level))
        self.clash = replace(self.clash, have=width * depth, need=width * rows, detail=parts)
        self.change = f"{self.demand.level} with {width * rows:,} bits of metadata"
        self.helped = with_rows(rows)

    def _array(self, free: Case, fit: Fit) -> None:
        level, axis = self._level(), "xy".index(self.demand.name)
        have = self.problem.case.architecture.fanout(level)[axis]

        def with_width(width: int) -> Case:
            return free.with_fanout(self.demand.level, self.demand.name, width)

        column = slot(level, "x" if axis == 0 else "y")
        width, _ = self._least(with_width, have, int(fit.factors()[column].prod()), fit)
        self.clash = replace(self.clash, have=have, need=width)
        self.change = f"{self.demand.level} feeding {width:,} instances along {self.demand.name.upper()}"
        self.helped = with_width(width)

    def _workers(self, free: Case, fit: Fit) -> None:
        units = self.problem.case.architecture.compute.instances
        wanted = ceil(self.problem.case.constraints.min_utilization * units - 1e-9)

        def with_units(fewer: int) -> Case:
            share = (wanted - fewer) / free.architecture.compute.instances
            return replace(free, constraints=replace(free.constraints, min_utilization=share))

        fewer, _ = self._least(with_units, 0, wanted, fit)
        self.clash = replace(self.clash, have=wanted, need=wanted - fewer)
        self.change, self.helped = f"{wanted - fewer:,} compute units at work", with_units(fewer)

    def _least(self, case: Callable[[int], Case], low: int, high: int, fit: Fit) -> tuple[int, Fit]:
        """The least number above `low` with which something fits, and how; with `high` it does."""
        try:
            while high - low > 1:
                middle = (low + high) // 2
                found = self.problem.fit(case(middle))
                if found is None:
                    low = middle
                else:
                    high, fit = middle, found
            self.clash = replace(self.clash, exact=not self.problem.case.architecture.sparse)
        except Undecided:
            pass
        return high, fit

    def _factor(self, free: Case, fit: Fit) -> None:
        rules = getattr(self.problem.case.constraints.level(self.demand.level), self.demand.loops)
        asked = rules.range(self.demand.name)
        extent = self.problem.einsum.extent[self.demand.name]
        if asked.rest:
            return
        least, most = min(asked.least, extent), asked.most or extent
        others = [n for n in range(1, extent + 1) if not least <= n <= most
                  and (extent % n == 0 or self.demand.name in fit.space.imperfect)]
        others.sort(key=lambda n: (max(log(least / n), log(n / most)), n))
        for n in others[:_FACTORS]:
            wanted = FactorRange(n, n)
            helped = free.with_range(self.demand, wanted)
            if self.problem.fit(helped) is not None:
                self.clash = replace(self.clash, have=least if n < least else most, need=n, exact=True)
                self.change = f"{self.demand.level} {self.demand.loops} factor of {self.demand.name} " \
                    f"{range_text(wanted)}"
                self.helped = helped
                return

    def relief(self, objective: str, seconds: float) -> Relief:
        """What changing this demand and nothing else gives, as far as can be said in so many seconds."""
        if not self.alone or self.helped is None:
            return Relief(self.change, None if self.alone else False)
        started, best = monotonic(), inf
        for case in _freer(self.helped):
            limits = replace(_EFFORT, seconds=max(started + seconds - monotonic(), _LEAST_SECONDS))
            try:
                found = _search(case, self.problem.einsum, objective, limits)
            except TileboundError:
                continue
            best = min(best, found.value)
            if case is self.helped:
                return Relief(self.change, True, best, found.lower_bound)
        return Relief(self.change, True)


def _freer(case: Case) -> list[Case]:
    """The case, after its part in which factors are whole and mappings even: what is found there, where a
    search takes less time, counts as well."""
    plain = replace(case.constraints.whole, uneven=False)
    return [case] if plain == case.constraints else [replace(case, constraints=plain), case]


def _search(case: Case, einsum: Einsum, objective: str, limits: Limits) -> Certificate:
    kind = UnevenSearch if case.constraints.uneven else layer_search
    return kind(case.architecture, einsum, objective, limits, constraints=case.constraints).run()[1]


def with_conflict(error: InfeasibleError, einsum: Einsum, case: Case, objective: str) -> InfeasibleError:
    """The error with what conflicts, where that can be said: not of uneven mappings whose loops in time are
    constrained, since a factor may then stand outside some of the tiles."""
    in_time = any(x.temporal != LoopRules() for x in case.constraints.levels)
    conflict = None if case.constraints.uneven and in_time else find_conflict(einsum, case, objective)
    return error if conflict is None else InfeasibleError(describe(conflict), conflict)


def _total(shares: Mapping[str, float]) -> int:
    return ceil(sum(shares.values()) - 1e-9)


def _parts(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {n:,.10g}" for name, n in shares.items())
