"""Constraints in either dialect; Timeloop's are a list of entries, such as those of a mapping.

Beyond a mapping's, they have `<=` and `>=` in factors, 0 or -1 for what is left of the extent, and a
permutation whose part after a comma or a space is outermost.
"""

from __future__ import annotations

import re
from typing import Iterable

from ..hardware.architecture import Architecture
from ..spec.fields import describe, one_among, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from ..workload.graph import WorkloadGraph
from .constraints import Constraints, FactorRange, LoopRules
from .native_constraints import Reader, limit

#: Top-level keys that hold constraints.
SECTIONS = ("constraints", "architecture_constraints", "mapspace_constraints")

_KEEP = ("bypass", "datatype", "dataspace")
_SHARE = ("utilization", "parallelism")
_TYPES = ("temporal", "spatial", *_KEEP, *_SHARE, "max_overbooked_proportion")
_KEYS = ("target", "name", "type", "factors", "permutation", "split", "keep", "bypass", "min",
         "default_max_factor", "default_min_factor", "remainders", "no_reuse", "no_link_transfer",
         "proportion")
_SECTION_KEYS = ("targets", "constraints", "version", "template")
_UNSUPPORTED = ("no_temporal_reuse", "no_coalesce", "rmw_first_update")
_FACTOR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)\s*(?P<sign><=|>=|==?)|(?P<short>[A-Za-z_]+))\s*"
                     r"(?P<bound>-?\d{1,15})(?:\s*,\s*(?P<rest>\d{1,15})(?!\w))?[\s,]*")


def read_constraints(sections: Iterable[Node], architecture: Architecture, workload: WorkloadGraph,
                     problems: Problems, remainders: bool = True) -> Constraints:
    """What all `sections`, values of the keys in `SECTIONS`, ask together.

    Faults go to `problems`: unknown levels, ranks and tensors that no layer of the workload has,
    values that are wrong; and what a search cannot honour, such as remainders where these are
    ruled out.
    """
    reader = _TimeloopReader(architecture, workload, problems, remainders)
    for node in sections:
        if node.is_map and any(key in node for key in ("levels", "min_utilization", "imperfect", "uneven")):
            reader.native(node)
        else:
            reader.timeloop(node)
    asked = tuple(reader.levels[level.name] for level in architecture.levels)
    return Constraints(asked, reader.share, tuple(reader.places.items()), reader.imperfect,
                       reader.uneven).beyond(architecture)


class _TimeloopReader(Reader):
    """Adds what Timeloop's entries ask."""

    def timeloop(self, node: Node) -> None:
        """A list of entries, bare or under `targets` or `constraints`."""
        entries = node
        if node.is_map:
            for key, _ in node.items():
                if key not in _SECTION_KEYS:
                    self.problems.error(node.key(key), f"unknown key {key!r} among constraints; expected "
                                        f"{one_of(_SECTION_KEYS)}{did_you_mean(key, _SECTION_KEYS)}")
            inner = node.get("targets") or node.get("constraints")
            if inner is None:
                return      # a version or the name of a template, nothing asked
            if inner.is_map:
                return self.timeloop(inner)
            entries = inner
        if not entries.is_list and entries.value is not None:
            self.problems.error(entries, f"constraints are {describe(entries)}; expected a list of entries "
                                "with `target` and `type`")
        for entry in entries:
            self.entry(entry)

    def entry(self, entry: Node) -> None:
        if not entry.is_map:
            self.problems.error(entry, f"a constraint is {describe(entry)}; expected a mapping with the keys "
                                "`target` and `type`")
            return
        word = one_among(entry, "type", _TYPES, "constraint", self.problems)
        self.check_keys(entry, word)
        if word is None:
            return
        if word in _SHARE:
            self.minimum(entry.get("min"), entry)
        elif word == "max_overbooked_proportion":
            self.problems.refuse(entry, "overbooking cannot be searched; expected no such constraint")
        elif (name := self.target(entry.get("target") or entry.get("name"), entry)) is None:
            return
        elif word in _KEEP:
            self.add_tensors(entry, name, keep=self.tensor_set(entry.get("keep")),
                             bypass=self.tensor_set(entry.get("bypass")))
        else:
            self.add(entry, name, word, self.rules(entry, word))
            if word == "spatial":
                self.add_tensors(entry, name, no_multicast=self.tensor_set(entry.get("no_reuse")))

    def check_keys(self, entry: Node, kind: str | None) -> None:
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
                    default = default.both(limit(sign, value))
        remainders: dict[str, int] = {}
        factors = self.factors(entry.get("factors"), default, remainders)
        for rank, asked in self.factors(entry.get("remainders"), FactorRange()).items():
            most = asked.least if asked.fixed else 0
            if factors.get(rank, default) != asked:     # a remainder equal to the factor is none
                self.check_remainder(entry.key("remainders"), rank, most, factors.get(rank, default))
                remainders[rank] = min(most, remainders.get(rank, most))
        inner, outer = self.permutation(entry.get("permutation"))
        split = entry.get("split")
        if split is not None and (whole(split) is None or (whole(split) or 0) < 0):
            self.problems.error(split, f"split {split.value!r}; expected a number of ranks, 0 or more")
            split = None
        return LoopRules(tuple(factors.items()), default, inner, outer,
                         whole(split) if split is not None and kind == "spatial" else None,
                         tuple(remainders.items()))

    def factors(self, node: Node | None, default: FactorRange,
                remainders: dict[str, int] | None = None) -> dict[str, FactorRange]:
        """Ranges by rank, from text such as `N=1, C<=8 K>=2`, a list of texts or a mapping. Of `P=4,3`
        the 3 goes into `remainders`."""
        found: dict[str, FactorRange] = {}
        signs: dict[str, set[str]] = {}
        for at, text in _texts(node):
            if not at.is_scalar:
                self.problems.error(at, f"{describe(at)} among factors; expected RANK=NUMBER")
                continue
            position = 0
            while position < len(text):
                match = _FACTOR.match(text, position)
                if match is None:
                    self.problems.error(at, f"factors {text[position:]!r}; expected RANK=NUMBER, "
                                        "RANK<=NUMBER or RANK>=NUMBER, separated by spaces or commas")
                    break
                position = match.end()
                rank, sign, bound = match["name"] or match["short"], match["sign"] or "=", int(match["bound"])
                if not self.known(at, [rank], self.ranks, "rank"):
                    continue
                if match["rest"] not in (None, match["bound"]):
                    if remainders is None or sign not in ("=", "=="):
                        self.problems.error(at, f"{match[0].strip()}; expected a single number")
                    else:
                        remainders[rank] = int(match["rest"])
                        self.check_remainder(at, rank, remainders[rank], FactorRange(bound, bound))
                asked = FactorRange(rest=True) if bound in (0, -1) else limit(sign, bound)
                if bound < -1:
                    self.problems.error(at, f"factor {rank}={bound}; expected 1 or more, or 0 for what is "
                                        "left")
                found[rank] = found.get(rank, FactorRange()).both(asked)
                signs.setdefault(rank, set()).add("=" if sign == "==" else sign)
        # A default holds where only the other side is limited, not beside a factor.
        for rank, given in signs.items():
            if given == {"<="}:
                found[rank] = found[rank].both(FactorRange(default.least))
            elif given == {">="}:
                found[rank] = found[rank].both(FactorRange(1, default.most))
        return found

    def permutation(self, node: Node | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The innermost ranks and the outermost ranks, both innermost first."""
        if node is None or node.value is None:
            return (), ()
        if node.is_list:
            parts = [[str(x.value) for x in node]]
        else:
            parts = [self.word(part) for part in re.split(r"[\s,]+", str(node.value))]
        if len(parts) > 2:          # a list of ranks written as text
            parts = [[rank for part in parts for rank in part]]
        inner, outer = (self.known(node, part, self.ranks, "rank") for part in [*parts, []][:2])
        for part in parts:
            for rank in dict.fromkeys(rank for rank in part if part.count(rank) > 1):
                self.problems.error(node, f"permutation lists rank {rank} twice; expected once")
        return inner, outer

    def word(self, text: str) -> list[str]:
        """One rank, or ranks of one letter run together."""
        return [text] if text in self.ranks else list(text)


def _texts(node: Node | None) -> list[tuple[Node, str]]:
    """The texts that `factors` consists of, each with its place."""
    if node is None or node.value is None:
        return []
    if node.is_map:
        signed = ("<", ">", "=")
        return [(value, f"{rank}{'' if str(value.value).lstrip().startswith(signed) else '='}{value.value}")
                for rank, value in node.items()]
    return [(x, str(x.value).strip()) for x in (node if node.is_list else [node])]
