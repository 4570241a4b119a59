"""Constraints from the native dialect and from Timeloop's entries, and back to native text.

Native:

    constraints:
      min_utilization: 0.5
      levels:
        - level: GLB
          keep: [Inputs]
          bypass: [Weights]
          temporal: {factors: {N: 1, C: "<= 8", K: ">= 2, <= 8", Q: rest}, inner: [S, R], outer: [K]}
          spatial: {factors: {P: 1}, default: "<= 4", inner: [Q, K], split: 1}
          no_multicast: [Inputs]

`inner` and `outer` are listed innermost first. Timeloop's entries are those of a mapping, with
`<=` and `>=` in factors, 0 or -1 for what is left of the extent, and a permutation whose part
after a comma or a space is outermost.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Iterable, Sequence

from ..hardware.architecture import Architecture
from ..spec.fields import Record, finite, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from ..workload.graph import WorkloadGraph
from .constraints import Constraints, FactorRange, LevelConstraints, LoopRules

#: Top-level keys that hold constraints.
SECTIONS = ("constraints", "architecture_constraints", "mapspace_constraints")

_KEEP = ("bypass", "datatype", "dataspace")
_SHARE = ("utilization", "parallelism")
_TYPES = ("temporal", "spatial", *_KEEP, *_SHARE, "max_overbooked_proportion")
_KEYS = ("target", "name", "type", "factors", "permutation", "split", "keep", "bypass", "min", "default_max_factor",
         "default_min_factor", "remainders", "no_reuse", "no_link_transfer", "proportion")
_UNSUPPORTED = ("no_temporal_reuse", "no_coalesce", "rmw_first_update")
_FACTOR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)\s*(?P<sign><=|>=|==?)|(?P<short>[A-Za-z_]+))\s*(?P<bound>-?\d{1,15})"
                     r"(?:\s*,\s*(?P<rest>\d{1,15})(?!\w))?[\s,]*")
_RANGE = re.compile(r"(?P<sign><=|>=|=)?\s*(?P<bound>\d{1,15})$")


def read_constraints(sections: Iterable[Node], architecture: Architecture, workload: WorkloadGraph,
                     problems: Problems) -> Constraints:
    """What all `sections`, values of the keys in `SECTIONS`, ask together.

    Faults go to `problems`: unknown levels, ranks and tensors that no layer of the workload has,
    values that are wrong; and what a search cannot honour.
    """
    reader = _Reader(architecture, workload, problems)
    for node in sections:
        if node.is_map and ("levels" in node or "min_utilization" in node):
            reader.native(node)
        else:
            reader.timeloop(node)
    # What the architecture asks for anyway is left out.
    levels = [replace(asked, keep=asked.keep - level.keep, bypass=asked.bypass - level.bypass)
              for level in architecture.levels for asked in (reader.levels[level.name],)]
    asked = tuple(x for x in levels if x != LevelConstraints(x.level))
    return Constraints(asked, reader.share)


class _Reader:
    """Adds what each section asks to `levels` and `share`."""

    def __init__(self, architecture: Architecture, workload: WorkloadGraph, problems: Problems) -> None:
        self.problems = problems
        self.names = [level.name for level in architecture.levels]
        self.compute = architecture.compute.name
        self.levels = {name: LevelConstraints(name) for name in self.names}
        self.share = 0.0
        self.ranks = list(dict.fromkeys(r for einsum in workload for r in einsum.ranks))
        self.tensors = list(dict.fromkeys(t.name for einsum in workload for t in einsum.tensors))

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
            self.problems.error(node or entry, "a least utilization is the share of the compute units at work; "
                                "expected a number from 0 to 1")
            return
        self.share = max(self.share, float(value))

    def add(self, node: Node, name: str, kind: str, rules: LoopRules) -> None:
        """Ask for `rules` as well as for what is asked of the level's loops already."""
        level = self.levels[name]
        before: LoopRules = getattr(level, kind)
        ranks = list(dict.fromkeys(r for r, _ in (*before.factors, *rules.factors)))
        factors = {rank: before.range(rank).both(rules.range(rank)) for rank in ranks}
        for rank, asked in factors.items():
            if asked.most is not None and asked.least > asked.most:
                self.problems.error(node, f"{kind} factor of rank {rank} at {name} must be {asked.least} or more and "
                                    f"{asked.most} or less; expected ranges that meet")
        merged = {"factors": tuple(factors.items()), "default": before.default.both(rules.default)}
        for key in ("inner", "outer", "split"):
            old, new = getattr(before, key), getattr(rules, key)
            if old not in ((), None) and new not in ((), None) and old != new:
                self.problems.error(node, f"a second {kind} {key} for {name}, {new} after {old}; expected one")
            merged[key] = new if old in ((), None) else old
        self.levels[name] = replace(level, **{kind: LoopRules(**merged)})  # type: ignore[arg-type]

    def add_tensors(self, name: str, **sets: frozenset[str]) -> None:
        level = self.levels[name]
        self.levels[name] = replace(level, **{key: getattr(level, key) | names for key, names in sets.items()})

    # ---- native ------------------------------------------------------------------------------

    def native(self, node: Node) -> None:
        record = Record(node, self.problems, "constraints", ("min_utilization", "levels"))
        if record.has("min_utilization"):
            self.minimum(record.node("min_utilization"), node)
        for entry in record.entries("levels"):
            level = Record(entry, self.problems, "constraints of a level",
                           ("level", "keep", "bypass", "temporal", "spatial", "no_multicast"))
            name = self.target(level.node("level"), entry)
            if name is None:
                continue
            self.add_tensors(name, **{key: self.tensor_set(level.node(key))
                                      for key in ("keep", "bypass", "no_multicast")})
            for kind in ("temporal", "spatial"):
                if (rules := level.node(kind)) is not None:
                    self.add(rules, name, kind, self.native_rules(rules, kind))

    def native_rules(self, node: Node, kind: str) -> LoopRules:
        keys = ("factors", "default", "inner", "outer", *(("split",) if kind == "spatial" else ()))
        record = Record(node, self.problems, f"{kind} constraints", keys)
        factors = {}
        for rank, value in (record.node("factors") or node.at({})).items():
            if self.known(value, [rank], self.ranks, "rank"):
                factors[rank] = self.native_range(value)
        default = record.node("default")
        sides = {key: self.known(record.node(key) or node, record.names(key, ()), self.ranks, "rank")
                 for key in ("inner", "outer")}
        return LoopRules(tuple(factors.items()), self.native_range(default) if default else FactorRange(),
                         sides["inner"], sides["outer"], record.integer("split", None, least=0))

    def native_range(self, node: Node) -> FactorRange:
        """`4`, `<= 4`, `>= 2, <= 8` or `rest`."""
        asked = FactorRange()
        for part in str(node.value).split(","):
            if part.strip() == "rest":
                asked = asked.both(FactorRange(rest=True))
                continue
            match = _RANGE.match(part.strip())
            if match is None or int(match["bound"]) < 1:
                self.problems.error(node, f"factor {node.value!r}; expected a number, '<= NUMBER', '>= NUMBER', "
                                    "two of these with a comma, or 'rest'")
                return FactorRange()
            asked = asked.both(_range(match["sign"] or "=", int(match["bound"])))
        return asked

    # ---- Timeloop ----------------------------------------------------------------------------

    def timeloop(self, node: Node) -> None:
        """A list of entries, bare or under `targets` or `constraints`."""
        entries = node
        if node.is_map:
            inner = node.get("targets") or node.get("constraints")
            if inner is None:
                return      # a version or the name of a template, nothing asked
            if inner.is_map:
                return self.timeloop(inner)
            entries = inner
        if not entries.is_list and entries.value is not None:
            self.problems.error(entries, "constraints; expected a list of entries with `target` and `type`")
        for entry in entries:
            self.entry(entry)

    def entry(self, entry: Node) -> None:
        if not entry.is_map:
            self.problems.error(entry, "a constraint; expected keys `target` and `type`")
            return
        kind = entry.get("type")
        word = "" if kind is None else str(kind.value)
        if word not in _TYPES:
            self.problems.error(kind or entry, f"constraint of type {word!r}; expected {one_of(_TYPES)}"
                                f"{did_you_mean(word, _TYPES)}")
            return
        self.check_keys(entry, word)
        if word in _SHARE:
            self.minimum(entry.get("min"), entry)
        elif word == "max_overbooked_proportion":
            self.problems.refuse(entry, "overbooking cannot be searched; expected no such constraint")
        elif (name := self.target(entry.get("target") or entry.get("name"), entry)) is None:
            return
        elif word in _KEEP:
            self.add_tensors(name, keep=self.tensor_set(entry.get("keep")),
                             bypass=self.tensor_set(entry.get("bypass")))
        else:
            self.add(entry, name, word, self.rules(entry, word))
            if word == "spatial":
                self.add_tensors(name, no_multicast=self.tensor_set(entry.get("no_reuse")))

    def check_keys(self, entry: Node, kind: str) -> None:
        for key, value in entry.items():
            if key in _UNSUPPORTED or (key == "no_reuse" and kind == "temporal"):
                if len(value):
                    self.problems.refuse(entry.key(key), f"the search does not take {key!r}; expected none")
            elif key not in _KEYS:
                self.problems.error(entry.key(key), f"unknown key {key!r} in a constraint; expected "
                                    f"{one_of(_KEYS, 20)}{did_you_mean(key, _KEYS)}")

    def rules(self, entry: Node, kind: str) -> LoopRules:
        default = FactorRange()
        for key, sign in (("default_max_factor", "<="), ("default_min_factor", ">=")):
            if (node := entry.get(key)) is not None:
                value = whole(node)
                if value is None or value < 1:
                    self.problems.error(node, f"{key} is {node.value!r}; expected a whole number, 1 or more")
                else:
                    default = default.both(_range(sign, value))
        factors = self.factors(entry.get("factors"), default)
        for rank, remainder in self.factors(entry.get("remainders"), FactorRange()).items():
            if remainder.least != factors.get(rank, default).least:
                self.problems.refuse(entry.key("remainders"), f"remainder {remainder.least} of rank {rank}: the "
                                     "search splits ranks into whole factors; expected none")
        inner, outer = self.permutation(entry.get("permutation"))
        split = entry.get("split")
        if split is not None and (whole(split) is None or (whole(split) or 0) < 0):
            self.problems.error(split, f"split {split.value!r}; expected a number of ranks, 0 or more")
            split = None
        return LoopRules(tuple(factors.items()), default, inner, outer,
                         whole(split) if split is not None and kind == "spatial" else None)

    def factors(self, node: Node | None, default: FactorRange) -> dict[str, FactorRange]:
        """Ranges by rank, from text such as `N=1, C<=8 K>=2`, a list of texts or a mapping."""
        found: dict[str, FactorRange] = {}
        for at, text in _texts(node):
            position = 0
            while position < len(text):
                match = _FACTOR.match(text, position)
                if match is None:
                    self.problems.error(at, f"factors {text[position:]!r}; expected RANK=NUMBER, RANK<=NUMBER or "
                                        "RANK>=NUMBER, separated by spaces or commas")
                    break
                position = match.end()
                rank, sign, bound = match["name"] or match["short"], match["sign"] or "=", int(match["bound"])
                if not self.known(at, [rank], self.ranks, "rank"):
                    continue
                if match["rest"] not in (None, match["bound"]):
                    self.problems.refuse(at, f"factor {match[0].strip()}: the search splits ranks into whole "
                                         "factors; expected no remainder")
                asked = FactorRange(rest=True) if bound in (0, -1) else _range(sign, bound)
                if bound < -1:
                    self.problems.error(at, f"factor {rank}={bound}; expected 1 or more, or 0 for what is left")
                # A default holds beside a limit of the other kind, not beside a factor.
                base = found.get(rank, FactorRange() if sign in ("=", "==") else _other_side(default, sign))
                found[rank] = base.both(asked)
        return found

    def permutation(self, node: Node | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The innermost ranks and the outermost ranks, both innermost first."""
        if node is None or node.value is None:
            return (), ()
        if node.is_list:
            return self.known(node, [str(x.value) for x in node], self.ranks, "rank"), ()
        parts = [self.word(part) for part in re.split(r"[\s,]+", str(node.value))]
        if len(parts) > 2:          # a list of ranks written as text
            parts = [[rank for part in parts for rank in part]]
        inner, outer = (self.known(node, part, self.ranks, "rank") for part in (parts + [[]])[:2])
        return inner, outer

    def word(self, text: str) -> list[str]:
        """One rank, or ranks of one letter run together."""
        return [text] if text in self.ranks else list(text)


def _range(sign: str, bound: int) -> FactorRange:
    return FactorRange(1, bound) if sign == "<=" else FactorRange(bound, None if sign == ">=" else bound)


def _other_side(default: FactorRange, sign: str) -> FactorRange:
    """What `default` says of the side that a limit of this `sign` does not."""
    return FactorRange(default.least, None) if sign == "<=" else FactorRange(1, default.most)


def _texts(node: Node | None) -> list[tuple[Node, str]]:
    """The texts that `factors` consists of, each with its place."""
    if node is None or node.value is None:
        return []
    if node.is_map:
        signed = ("<", ">", "=")
        return [(value, f"{rank}{'' if str(value.value).lstrip().startswith(signed) else '='}{value.value}")
                for rank, value in node.items()]
    return [(x, str(x.value).strip()) for x in (node if node.is_list else [node])]


def constraints_to_dict(constraints: Constraints) -> dict[str, Any]:
    """The value of a native `constraints` key; `read_constraints` reads it back."""
    result: dict[str, Any] = {}
    if constraints.min_utilization:
        result["min_utilization"] = constraints.min_utilization
    result["levels"] = [_level_to_dict(level) for level in constraints.levels]
    return result


def _level_to_dict(level: LevelConstraints) -> dict[str, Any]:
    entry: dict[str, Any] = {"level": level.level}
    for key, names in (("keep", level.keep), ("bypass", level.bypass), ("no_multicast", level.no_multicast)):
        if names:
            entry[key] = sorted(names)
    for key, rules in (("temporal", level.temporal), ("spatial", level.spatial)):
        if rules == LoopRules():
            continue
        part: dict[str, Any] = {}
        if rules.factors:
            part["factors"] = {rank: _range_text(asked) for rank, asked in rules.factors}
        if rules.default != FactorRange():
            part["default"] = _range_text(rules.default)
        part |= {side: list(names) for side, names in (("inner", rules.inner), ("outer", rules.outer)) if names}
        if rules.split is not None:
            part["split"] = rules.split
        entry[key] = part
    return entry


def _range_text(asked: FactorRange) -> str | int:
    if asked.fixed:
        return asked.least
    parts = ["rest"] if asked.rest else []
    parts += [f">= {asked.least}"] if asked.least > 1 else []
    parts += [] if asked.most is None else [f"<= {asked.most}"]
    return ", ".join(parts) or ">= 1"
