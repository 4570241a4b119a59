"""Constraints in the native dialect, and what its reader shares with that of Timeloop's entries.

    constraints:
      min_utilization: 0.5
      imperfect: true
      levels:
        - level: GLB
          keep: [Inputs]
          bypass: [Weights]
          temporal: {factors: {N: 1, C: "<= 8", K: ">= 2, <= 8", Q: rest}, inner: [S, R], outer: [K]}
          spatial: {factors: {P: 1}, default: "<= 4", inner: [Q, K], split: 1}
          no_multicast: [Inputs]

`inner` and `outer` are listed innermost first. `remainders: {P: 3}` beside `factors` allows last passes of
1 to 3 iterations; `imperfect: true` any, of all ranks in all places of which nothing is said.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Sequence

from ..hardware.architecture import Architecture
from ..spec.fields import Record, finite, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from ..workload.graph import WorkloadGraph
from .constraints import UNLIMITED, FactorRange, LevelConstraints, LoopRules

_RANGE = re.compile(r"(?P<sign><=|>=|=)?\s*(?P<bound>\d{1,15})$")


class Reader:
    """Adds what each section asks to `levels` and `share`; `remainders`: whether there may be any."""

    def __init__(self, architecture: Architecture, workload: WorkloadGraph, problems: Problems,
                 remainders: bool = True) -> None:
        self.problems = problems
        self.remainders = remainders
        self.names = [level.name for level in architecture.levels]
        self.levels = {name: LevelConstraints(name) for name in self.names}
        self.share = 0.0
        self.imperfect = self.uneven = False
        self.ranks = list(dict.fromkeys(r for einsum in workload for r in einsum.ranks))
        self.tensors = list(dict.fromkeys(t.name for einsum in workload for t in einsum.tensors))
        self.places: dict[tuple[str, str, str], str] = {}      # see `Constraints.places`

    # ---- both dialects -----------------------------------------------------------------------

    def target(self, node: Node | None, entry: Node) -> str | None:
        """The level that `node` names, or numbers from the innermost; reported when there is none."""
        if node is not None:
            index = whole(node)
            if index is not None and 0 <= index < len(self.names):
                return self.names[len(self.names) - 1 - index]
            if node.value in self.levels:
                return str(node.value)
        found = "no target" if node is None else f"no storage level {node.value!r}"
        hint = "" if node is None else did_you_mean(str(node.value), self.names)
        self.problems.error(node or entry, f"{found}; expected {one_of(self.names)}{hint}")
        return None

    def known(self, node: Node, names: Sequence[str], valid: Sequence[str], what: str) -> tuple[str, ...]:
        """Those of `names` that some layer has, each once; others are reported at `node`."""
        for name in names:
            if name not in valid:
                self.problems.error(node, f"no {what} {name!r} in the workload; expected {one_of(valid)}"
                                    f"{did_you_mean(name, valid)}")
        return tuple(dict.fromkeys(name for name in names if name in valid))

    def tensor_set(self, node: Node | None) -> frozenset[str]:
        if node is None or node.value is None:
            return frozenset()
        names = [str(x.value) for x in (node if node.is_list else (node,))]
        if "*" in names:
            return frozenset(self.tensors)
        return frozenset(self.known(node, names, self.tensors, "tensor"))

    def minimum(self, node: Node | None, entry: Node) -> None:
        value = None if node is None else finite(node)
        if value is None or not 0 <= value <= 1:
            self.problems.error(node or entry, "a least utilization is the share of the compute units at "
                                "work; expected a number from 0 to 1")
            return
        if value > self.share:
            self.share = float(value)
            self.places.pop(("", "workers", ""), None)
            self.note(node, "", "workers")

    def note(self, node: Node | None, level: str, what: str, name: str = "") -> None:
        """Remember where something was asked for first."""
        if node is not None and node.line:
            self.places.setdefault((level, what, name), node.position)

    def _note_loops(self, node: Node, name: str, kind: str, rules: LoopRules) -> None:
        given = node.get("factors")
        for rank, _ in rules.factors:
            self.note((given and given.get(rank)) or given or node, name, kind, rank)
        self.note(node, name, kind)

    def add(self, node: Node, name: str, kind: str, rules: LoopRules) -> None:
        """Ask for `rules` as well as for what is asked of the level's loops already."""
        self._note_loops(node, name, kind, rules)
        level = self.levels[name]
        before: LoopRules = getattr(level, kind)
        ranks = list(dict.fromkeys(r for r, _ in (*before.factors, *rules.factors)))
        factors = {rank: before.range(rank).both(rules.range(rank)) for rank in ranks}
        remainders = {**dict(before.remainders), **{
            rank: min(most, before.remainder(rank) or most) for rank, most in rules.remainders}}
        for rank, asked in factors.items():
            if asked.most is not None and asked.least > asked.most:
                self.problems.error(node, f"{kind} factor of rank {rank} at {name} must be {asked.least} or "
                                    f"more and {asked.most} or less; expected ranges that meet")
        merged = {"factors": tuple(factors.items()), "default": before.default.both(rules.default),
                  "remainders": tuple(remainders.items())}
        for key in ("inner", "outer", "split"):
            old, new = getattr(before, key), getattr(rules, key)
            if old not in ((), None) and new not in ((), None) and old != new:
                self.problems.error(node, f"a second {kind} {key} for {name}, {new} after {old}; "
                                    "expected one")
            merged[key] = new if old in ((), None) else old
        both = LoopRules(**merged)  # type: ignore[arg-type]
        for rank in both.inner:
            if rank in both.outer:
                self.problems.error(node, f"rank {rank} both innermost and outermost among the {kind} loops "
                                    f"of {name}; expected one of the two")
        self.levels[name] = replace(level, **{kind: both})  # type: ignore[arg-type]

    def add_tensors(self, node: Node, name: str, **sets: frozenset[str]) -> None:
        """Ask for the `sets` at the level called `name`; `node` has them as its entries."""
        for key, tensors in sets.items():
            for tensor in tensors:
                self.note(node.get(key), name, key, tensor)
        level = self.levels[name]
        merged = {key: getattr(level, key) | names for key, names in sets.items()}
        self.levels[name] = replace(level, **merged)

    # ---- native ------------------------------------------------------------------------------

    def native(self, node: Node) -> None:
        record = Record(node, self.problems, "constraints", ("min_utilization", "imperfect", "uneven",
                                                                   "levels"))
        self.uneven = record.flag("uneven", False) or self.uneven
        if record.flag("imperfect", False):
            if self.remainders:
                self.imperfect = True
            else:
                self.problems.refuse(record.node("imperfect") or node, "imperfect: what Timeloop counts for "
                                     "remainders is not bounded; expected false, or exact semantics")
        if record.has("min_utilization"):
            self.minimum(record.node("min_utilization"), node)
        for entry in record.entries("levels"):
            level = Record(entry, self.problems, "constraints of a level",
                           ("level", "keep", "bypass", "temporal", "spatial", "no_multicast"))
            name = self.target(level.node("level"), entry)
            if name is None:
                continue
            self.add_tensors(entry, name, **{key: self.tensor_set(level.node(key))
                                             for key in ("keep", "bypass", "no_multicast")})
            for kind in ("temporal", "spatial"):
                if (rules := level.node(kind)) is not None:
                    self.add(rules, name, kind, self.native_rules(rules, kind))

    def native_rules(self, node: Node, kind: str) -> LoopRules:
        keys = ("factors", "remainders", "default", "inner", "outer",
                *(("split",) if kind == "spatial" else ()))
        record = Record(node, self.problems, f"{kind} constraints", keys)
        factors = {}
        for rank, value in (record.node("factors") or node.at({})).items():
            if self.known(value, [rank], self.ranks, "rank"):
                factors[rank] = self.native_range(value)
        remainders = {}
        for rank, value in (record.node("remainders") or node.at({})).items():
            if self.known(value, [rank], self.ranks, "rank"):
                remainders[rank] = whole(value) or 0
                self.check_remainder(value, rank, remainders[rank], factors.get(rank, FactorRange()))
        default = record.node("default")
        sides = {key: self.known(record.node(key) or node, record.names(key, ()), self.ranks, "rank")
                 for key in ("inner", "outer")}
        return LoopRules(tuple(factors.items()), self.native_range(default) if default else FactorRange(),
                         sides["inner"], sides["outer"], record.integer("split", None, least=0),
                         tuple(remainders.items()))

    def check_remainder(self, node: Node, rank: str, remainder: int, asked: FactorRange) -> None:
        """Report a remainder that no loop of the factors `asked` can have, or that is not wanted."""
        if remainder < 1 or (asked.fixed and remainder >= asked.least):
            most = f", less than the factor {asked.least}" if asked.fixed else ""
            self.problems.error(node, f"remainder {remainder} of rank {rank}; expected a whole number, "
                                f"1 or more{most}")
        elif not self.remainders:
            self.problems.refuse(node, f"remainder {remainder} of rank {rank}: what Timeloop counts for "
                                 "remainders is not bounded; expected none, or exact semantics")

    def native_range(self, node: Node) -> FactorRange:
        """`4`, `<= 4`, `>= 2, <= 8` or `rest`."""
        asked = FactorRange()
        for part in str(node.value).split(","):
            if part.strip() == "rest":
                asked = asked.both(FactorRange(rest=True))
                continue
            match = _RANGE.match(part.strip())
            if match is None or int(match["bound"]) < 1:
                self.problems.error(node, f"factor {node.value!r}; expected a number, '<= NUMBER', "
                                    "'>= NUMBER', two of these with a comma, or 'rest'")
                return FactorRange()
            asked = asked.both(limit(match["sign"] or "=", int(match["bound"])))
        return asked


def limit(sign: str, bound: int) -> FactorRange:
    """What `<= bound`, `>= bound` or `= bound` asks; nothing for a bound beyond all extents."""
    if sign == "<=" and bound >= UNLIMITED:
        return FactorRange()
    return FactorRange(1, bound) if sign == "<=" else FactorRange(bound, None if sign == ">=" else bound)
