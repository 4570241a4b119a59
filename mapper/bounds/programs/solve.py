"""Solve a `Program`: the fast path hands exponential cones to Clarabel; the reference is cvxpy.

Neither is trusted: what is used of a solution are its dual multipliers, and the bound is what
`certificate.certified_log_bound` proves from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from .program import Multipliers, Posynomial, Program


@dataclass(frozen=True)
class Relaxed:
    """`value` is the solver's optimum (natural logarithm), `point` where it is taken. A `value` of
    inf says that no point satisfies the constraints, and the multipliers are to prove that; -inf, that
    the solvers have failed."""

    value: float
    point: np.ndarray
    multipliers: Multipliers


def solve(program: Program) -> Relaxed:
    """The optimum of `program`."""
    import clarabel

    rows = _Rows(program)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.iterative_refinement_enable = False        # a third of the time, for digits that are rounded off
    cones = [clarabel.ZeroConeT(rows.zeros), clarabel.NonnegativeConeT(rows.linear)]
    cones += [clarabel.ExponentialConeT()] * rows.exponentials
    none = np.zeros(0, dtype=int)
    quadratic = _Columns(np.zeros(0), none, np.zeros(rows.unknowns + 1, dtype=int), (rows.unknowns,) * 2)
    solution = clarabel.DefaultSolver(
        quadratic, rows.cost, rows.matrix(), np.concatenate(rows.right), cones, settings).solve()
    status = str(solution.status)
    if status in ("PrimalInfeasible", "AlmostPrimalInfeasible"):
        ray = np.array(solution.z)
        return Relaxed(np.inf, np.zeros(program.variables), rows.multipliers(ray / np.abs(ray).max()))
    if status not in ("Solved", "AlmostSolved"):
        return _second_try(program)
    return Relaxed(solution.obj_val, np.array(solution.x)[:program.variables],
                   rows.multipliers(np.array(solution.z)))


def _second_try(program: Program) -> Relaxed:
    """The optimum where the fast path has failed; where there is none to be had, a value of -inf."""
    from cvxpy.error import SolverError

    try:
        with catch_warnings():
            simplefilter("ignore")        # inaccurate or not, multipliers prove what they prove
            return solve_cvxpy(program)
    except SolverError:
        return Relaxed(-np.inf, np.zeros(program.variables), nothing_proven(program))


@dataclass(frozen=True)
class _Columns:
    """A sparse matrix column by column, with those attributes of scipy's `csc_matrix` that Clarabel reads:
    scipy takes longer to import than a search may take."""

    data: np.ndarray
    indices: np.ndarray         # row of each entry
    indptr: np.ndarray          # where the entries of each column begin
    shape: tuple[int, int]
    has_canonical_format: bool = True

    @property
    def nnz(self) -> int:
        return len(self.data)


class _Rows:
    """The rows of `right - matrix @ unknowns in cones`: equalities, inequalities, then exponential cones.

    The unknowns are the variables, one bound t on the logarithm of the objective, and one number u a
    monomial of every posynomial with two or more: exp(monomial [- t]) <= u, sum u <= 1. A posynomial of a
    single monomial is an inequality.
    """

    def __init__(self, program: Program) -> None:
        self.count = 0
        self.entries: list[tuple[np.ndarray, ...]] = []      # row, column, value
        self.right: list[np.ndarray] = []
        n, asked = program.variables, int(program.sizes[0] > 0)
        several = program.sizes[program.owner] > 1
        self.narrow, self.wide = np.flatnonzero(~several), np.flatnonzero(several)
        self.exponentials, first = len(self.wide), n + asked        # the first of the u
        self.unknowns = first + self.exponentials
        self.cost = np.zeros(self.unknowns)
        self.cost[program.cycles] = program.cycles_power
        self.cost[n:first] = program.energy_power

        self._add([total for _, total in program.groups], *(
            (np.full(len(members), i), members, 1.0) for i, (members, _) in enumerate(program.groups)))
        self.zeros = self.count
        finite = np.flatnonzero(np.isfinite(program.upper))
        self._add(-program.lower, (np.arange(n), np.arange(n), -1.0))
        self._add(program.upper[finite], (np.arange(len(finite)), finite, 1.0))
        exponents, owner = program.exponents[self.narrow], program.owner[self.narrow]
        row, column = np.nonzero(exponents)
        self.narrow_at = self._add(-program.logs[self.narrow], (row, column, exponents[row, column]),
                                   (np.flatnonzero(owner == 0), n, -1.0))
        exponents, owner = program.exponents[self.wide], program.owner[self.wide]
        each, sums = np.arange(self.exponentials), np.unique(owner, return_inverse=True)[1]
        self._add(np.ones(sums.max(initial=-1) + 1), (sums, first + each, 1.0))
        self.linear = self.count - self.zeros
        row, column = np.nonzero(exponents)
        right = np.stack([program.logs[self.wide], np.ones(len(each)), np.zeros(len(each))], axis=1)
        self.wide_at = self._add(right.ravel(), (3 * row, column, -exponents[row, column]),
                                 (3 * np.flatnonzero(owner == 0), n, 1.0), (3 * each + 2, first + each, -1.0))

    def _add(self, right: Any, *entries: tuple[Any, Any, Any]) -> int:
        """Add rows with these entries, and say where they begin."""
        start = self.count
        for row, *own in entries:
            self.entries.append((row + start, *(
                x if isinstance(x, np.ndarray) else np.full(len(row), x) for x in own)))
        self.right.append(np.asarray(right, dtype=float))
        self.count += len(right)
        return start

    def matrix(self) -> _Columns:
        """All entries."""
        row, column, value = (np.concatenate(x) for x in zip(*self.entries, strict=True))
        order = np.lexsort((row, column))
        starts = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=self.unknowns))])
        return _Columns(value[order], row[order], starts, (self.count, self.unknowns))

    def multipliers(self, dual: np.ndarray) -> Multipliers:
        """Multiplier a monomial: minus the first entry of its cone's dual, or the row's dual."""
        values = np.zeros(len(self.narrow) + len(self.wide))
        values[self.narrow] = dual[self.narrow_at:][:len(self.narrow)]
        values[self.wide] = -dual[self.wide_at::3]
        return Multipliers(np.maximum(values, 0.0))


def solve_cvxpy(program: Program) -> Relaxed:
    """The same optimum through cvxpy: slower and readable, the truth that tests hold `solve` to."""
    import cvxpy

    cp: Any = cvxpy      # its stubs leave out what it builds at import
    v = cp.Variable(program.variables)
    goal = program.cycles_power * v[program.cycles]
    limits = [v >= program.lower]
    finite = np.flatnonzero(np.isfinite(program.upper))
    limits.append(v[finite] <= program.upper[finite])
    limits += [cp.sum(v[members]) == total for members, total in program.groups]
    # One epigraph row a monomial, so that each has a multiplier of its own.
    epigraphs = []
    t = cp.Variable()
    objective, *constraints = program.posynomials
    tops: list[tuple[Posynomial, Any]] = [(c, 0) for c in constraints]
    if len(objective.logs):
        tops.insert(0, (objective, t))
        goal = goal + program.energy_power * t
    for p, top in tops:
        y = cp.Variable(len(p.logs))
        rows = p.logs + p.exponents @ v - top <= y
        epigraphs.append(rows)
        limits += [rows, cp.log_sum_exp(y) <= 0]
    problem = cp.Problem(cp.Minimize(goal), limits)
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        return Relaxed(np.inf, np.zeros(program.variables), nothing_proven(program))
    duals = [np.atleast_1d(row.dual_value) for row in epigraphs]
    return Relaxed(float(problem.value), v.value, Multipliers(np.maximum(np.concatenate(duals), 0.0)))


def nothing_proven(program: Program) -> Multipliers:
    """Multipliers of zero, which prove no bound."""
    return Multipliers(np.zeros(len(program.logs)))
