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
    from scipy import sparse

    rows = _Rows(program)
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    matrix = sparse.csc_matrix(
        (np.concatenate(rows.values), (np.concatenate(rows.row), np.concatenate(rows.column))),
        shape=(rows.count, rows.variables))
    cones = [clarabel.ZeroConeT(rows.zeros), clarabel.NonnegativeConeT(rows.linear)]
    cones += [clarabel.ExponentialConeT()] * rows.exponentials
    solution = clarabel.DefaultSolver(
        sparse.csc_matrix((rows.variables, rows.variables)), rows.cost, matrix,
        np.concatenate(rows.right), cones, settings).solve()
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


class _Rows:
    """The rows of `right - matrix @ unknowns in cones`: equalities, inequalities, then cones.

    The unknowns are the variables, one bound t on the log of the objective, and one number u a
    monomial of every posynomial with two or more: exp(monomial [- t]) <= u, sum u <= 1.
    """

    def __init__(self, program: Program) -> None:
        self.row: list[np.ndarray] = []
        self.column: list[np.ndarray] = []
        self.values: list[np.ndarray] = []
        self.right: list[np.ndarray] = []
        self.count = 0
        self.program = program
        n = program.variables
        self.bound = n                              # index of t
        wide = [(p, top) for p, top in self._posynomials() if len(p.logs) > 1]
        narrow = [(p, top) for p, top in self._posynomials() if len(p.logs) == 1]
        self.variables = n + 1 + sum(len(p.logs) for p, _ in wide)
        self.cost = np.zeros(self.variables)
        self.cost[program.cycles] = program.cycles_power
        self.cost[self.bound] = program.energy_power

        for members, total in program.groups:
            self._add(np.zeros(len(members), int), members, np.ones(len(members)), [total])
        if program.objective is None:
            self._add(np.zeros(1, int), np.array([self.bound]), np.ones(1), [0.0])
        self.zeros = self.count

        finite = np.flatnonzero(np.isfinite(program.upper))
        self._add(np.arange(n), np.arange(n), -np.ones(n), -program.lower)
        self._add(np.arange(len(finite)), finite, np.ones(len(finite)), program.upper[finite])
        self.narrow_at: dict[int, int] = {}
        for p, top in narrow:                       # a single monomial is a linear constraint
            self.narrow_at[id(p)] = self.count
            columns = np.flatnonzero(p.exponents[0])
            entries = p.exponents[0, columns]
            if top:
                columns, entries = np.append(columns, self.bound), np.append(entries, -1.0)
            self._add(np.zeros(len(columns), int), columns, entries, [-p.logs[0]])
        offset = n + 1
        for p, _ in wide:
            k = len(p.logs)
            self._add(np.zeros(k, int), offset + np.arange(k), np.ones(k), [1.0])
            offset += k
        self.linear = self.count - self.zeros

        self.wide_at: dict[int, int] = {}
        self.exponentials = 0
        offset = n + 1
        for p, top in wide:
            k = len(p.logs)
            self.wide_at[id(p)] = self.count
            r, c = np.nonzero(p.exponents)
            each = np.arange(k)
            parts = [(3 * r, c, -p.exponents[r, c]), (3 * each + 2, offset + each, -np.ones(k))]
            if top:
                parts.append((3 * each, np.full(k, self.bound), np.ones(k)))
            right = np.zeros(3 * k)
            right[0::3], right[1::3] = p.logs, 1.0
            rows, columns, values = (np.concatenate(x) for x in zip(*parts, strict=True))
            self._add(rows, columns, values, right)
            self.exponentials += k
            offset += k

    def _posynomials(self) -> list[tuple[Posynomial, bool]]:
        top = [] if self.program.objective is None else [(self.program.objective, True)]
        return top + [(c, False) for c in self.program.constraints]

    def _add(self, row: np.ndarray, column: np.ndarray, values: np.ndarray, right: object) -> None:
        right = np.asarray(right, dtype=float)
        self.row.append(row + self.count)
        self.column.append(column)
        self.values.append(values)
        self.right.append(right)
        self.count += len(right)

    def multipliers(self, dual: np.ndarray) -> Multipliers:
        """Multiplier a monomial: minus the first entry of its cone's dual, or the row's dual."""
        def of(p: Posynomial) -> np.ndarray:
            if id(p) in self.narrow_at:
                return np.maximum(0.0, dual[self.narrow_at[id(p)]:][:1])
            start = self.wide_at[id(p)]
            return np.maximum(0.0, -dual[start:start + 3 * len(p.logs):3])

        objective = self.program.objective
        return Multipliers(np.zeros(0) if objective is None else of(objective),
                           tuple(of(c) for c in self.program.constraints))


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
    posynomials: list[tuple[Posynomial, Any]] = [(c, None) for c in program.constraints]
    if program.objective is not None:
        posynomials.insert(0, (program.objective, t))
        goal = goal + program.energy_power * t
    for p, top in posynomials:
        y = cp.Variable(len(p.logs))
        rows = p.logs + p.exponents @ v - (0 if top is None else top) <= y
        epigraphs.append(rows)
        limits += [rows, cp.log_sum_exp(y) <= 0]
    problem = cp.Problem(cp.Minimize(goal), limits)
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate"):
        return Relaxed(np.inf, np.zeros(program.variables), nothing_proven(program))
    duals = [np.maximum(np.atleast_1d(row.dual_value), 0.0) for row in epigraphs]
    objective = duals.pop(0) if program.objective is not None else np.zeros(0)
    return Relaxed(float(problem.value), v.value, Multipliers(objective, tuple(duals)))


def nothing_proven(program: Program) -> Multipliers:
    """Multipliers of zero, which prove no bound."""
    return Multipliers(np.zeros(0 if program.objective is None else len(program.objective.logs)),
                       tuple(np.zeros(len(c.logs)) for c in program.constraints))
