"""Timeloop's mapping entries (v0.3 and v0.4) to a `Mapping`, and back.

An entry is `{target, type, ...}`; its `permutation` lists ranks innermost first, and the first
`split` ranks of a spatial entry run along X, the others along Y.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

from ..errors import MappingError, SpecError
from ..hardware.architecture import Architecture, Storage
from ..spec.fields import describe, one_among
from ..spec.nodes import Node, Problems, did_you_mean, locate, one_of
from ..workload.einsum import Einsum
from .nest import DIRECTIVES, Block, Loop, Mapping, Skew, SkewTerm, factor_text
from .parts import in_order

LOOP_TYPES = ("temporal", "spatial")
KEEP_TYPES = ("bypass", "datatype", "dataspace")
TYPES = (*LOOP_TYPES, *KEEP_TYPES, "skew")
#: Keys that list tensors, and the directive of a block that each stands for. `no_reuse` on a
#: temporal entry is `no_temporal_reuse`.
TENSOR_KEYS = {"no_reuse": "no_multicast", "no_link_transfer": "no_links",
               "no_temporal_reuse": "no_temporal_reuse", "rmw_first_update": "rmw_first_update",
               "no_coalesce": "no_coalesce"}
#: Of uneven mappings (see `parts`), which block an entry is about, the outermost 1; no key of Timeloop's.
PLACE = "place"
KEYS = ("target", "type", "factors", "permutation", "split", "keep", "bypass", *TENSOR_KEYS, PLACE)
SKEW_KEYS = ("target", "type", "modulo", "terms", PLACE)
#: Written by old mappers, without effect.
IGNORED_KEYS = ("stream",)

FACTOR = re.compile(r"(?:(?P<name>[A-Za-z_]\w*)\s*=|(?P<short>[A-Za-z_]+))\s*(?P<bound>\d{1,15})"
                    r"(?:\s*,\s*(?P<rest>\d{1,15})(?!\w))?[\s,]*")


def default_keep(level: Storage, einsum: Einsum) -> frozenset[str]:
    """What `level` keeps when a mapping does not say: every tensor that it need not bypass."""
    return frozenset(t.name for t in einsum.tensors) - level.bypass


def from_timeloop(data: object, architecture: Architecture, einsum: Einsum,
                  problems: Problems | None = None) -> Mapping:
    """Read a list of Timeloop mapping entries.

    Parameters
    ----------
    data : list of dict, or a `Node`
        The value of the key `mapping`. A target is the name of a storage level or its index,
        0 being the innermost.
    architecture, einsum
        What the mapping is for; whether it fits them is the matter of `validate`.
    problems : Problems, optional
        Collects the faults; the mapping returned is meaningless when it gains any.

    Raises
    ------
    SpecError
        When `problems` is not given and there are faults or unsupported entries.
    """
    found = Problems() if problems is None else problems
    reader = _Reader(architecture, einsum, found)
    node = locate(data)
    if node.is_list:
        for entry in node:
            reader.read_entry(entry)
    else:
        found.error(node, f"a mapping is {describe(node)}; expected a list of entries with `target` and "
                    "`type`")
    if problems is None and (found.errors or found.unsupported):
        raise SpecError([*found.errors, *found.unsupported])
    return reader.mapping()


def to_timeloop(mapping: Mapping, einsum: Einsum,
                levels: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Timeloop v0.4 mapping entries: a temporal, a spatial (where the level has a fanout in use)
    and a bypass entry a level, outermost level first. `from_timeloop` is the exact inverse. Where the blocks
    are not one for each of the `levels` (default: where a level has several), entries say which one they are
    about, which Timeloop does not know.

    Raises
    ------
    MappingError
        For a rank with two loops in one entry, which the format cannot express.
    """
    reasons = [f"{block.level}: rank {rank} has two {kind} loops, a Timeloop mapping allows one"
               for block in mapping for kind, loops in (("temporal", block.temporal),
                                                        ("spatial", block.spatial))
               for rank in einsum.ranks if sum(x.rank == rank for x in loops) > 1]
    if reasons:
        raise MappingError(reasons)
    entries: list[dict[str, Any]] = []
    blocks = [block.level for block in mapping]
    uneven = len(set(blocks)) < len(blocks) if levels is None else blocks != list(levels)
    for place, block in enumerate(mapping, 1):
        target = {"target": block.level, **({PLACE: place} if uneven else {})}

        def directives(*keys: str, block: Block = block) -> dict[str, list[str]]:
            named = {key: getattr(block, TENSOR_KEYS[key]) for key in keys}
            return {key: _in_order(names, einsum) for key, names in named.items() if names}

        entries.append({**target, "type": "temporal",
                        **_loop_fields(block.temporal, einsum),
                        **directives("no_temporal_reuse", "rmw_first_update")})
        if block.spatial or block.no_multicast or block.no_links:
            inner_first = block.spatial_y + block.spatial_x
            entries.append({**target, "type": "spatial",
                            **_loop_fields(inner_first, einsum), "split": len(block.spatial_x),
                            **directives("no_reuse", "no_link_transfer")})
        bypassed = {t.name for t in einsum.tensors} - block.keep
        entries.append({**target, "type": "bypass",
                        "keep": _in_order(block.keep, einsum),
                        "bypass": _in_order(bypassed, einsum), **directives("no_coalesce")})
        if block.skew is not None:
            entries.append({**target, "type": "skew", "modulo": block.skew.modulo,
                            "terms": [_skew_term(term) for term in block.skew.terms]})
    return entries


def _skew_term(term: SkewTerm) -> dict[str, Any]:
    entry: dict[str, Any] = {"constant": term.constant}
    if term.rank is not None:
        entry["variable"] = {"dimension": term.rank, "type": "spatial" if term.spatial else "temporal"}
    return entry


def _loop_fields(loops: tuple[Loop, ...], einsum: Einsum) -> dict[str, str]:
    """`factors` and `permutation` of loops given outermost first."""
    factors = {loop.rank: factor_text(loop) for loop in loops}
    order = [loop.rank for loop in reversed(loops)]
    order += [rank for rank in einsum.ranks if rank not in factors]
    separator = "" if all(len(rank) == 1 for rank in einsum.ranks) else ","
    return {"factors": " ".join(f"{rank}={factors.get(rank, 1)}" for rank in einsum.ranks),
            "permutation": separator.join(order)}


def _in_order(names: Iterable[str], einsum: Einsum) -> list[str]:
    wanted = set(names)
    return [t.name for t in einsum.tensors if t.name in wanted]


@dataclass
class _Draft:
    """What the entries read so far say about one level."""

    level: str
    loops: dict[str, tuple[Loop, ...]] = field(default_factory=dict)   # temporal, x, y
    first: dict[str, Node] = field(default_factory=dict)   # the entry of each loop type
    keep: dict[str, bool] = field(default_factory=dict)
    directives: dict[str, frozenset[str]] = field(
        default_factory=lambda: dict.fromkeys(DIRECTIVES, frozenset()))
    skew: Skew | None = None


class _Reader:
    """Reads entries one by one into a draft a level."""

    def __init__(self, architecture: Architecture, einsum: Einsum, problems: Problems) -> None:
        self.architecture = architecture
        self.levels = architecture.levels
        self.einsum = einsum
        self.problems = problems
        self.tensors = [t.name for t in einsum.tensors]
        self.drafts = {(level.name, 0): _Draft(level.name) for level in self.levels}

    def mapping(self) -> Mapping:
        """The mapping that all entries together describe."""
        blocks = {}
        levels = {level.name: level for level in self.levels}
        for (name, place), draft in self.drafts.items():
            kept = default_keep(levels[name], self.einsum) | {t for t, k in draft.keep.items() if k}
            kept -= {t for t, k in draft.keep.items() if not k}
            loops = draft.loops
            blocks[place, name] = Block(name, kept, loops.get("temporal", ()), loops.get("x", ()),
                                        loops.get("y", ()), **draft.directives, skew=draft.skew)
        placed = [blocks[key] for key in sorted(blocks) if key[0]]
        return in_order(self.architecture, placed, [b for (place, _), b in blocks.items() if not place])

    def read_entry(self, entry: Node) -> None:
        """Read one entry into the draft of its level."""
        if not entry.is_map:
            self.problems.error(entry, f"a mapping entry is {describe(entry)}; expected a mapping with the "
                                "keys `target` and `type`")
            return
        kind = entry.get("type")
        self.check_keys(entry, SKEW_KEYS if kind is not None and kind.value == "skew" else KEYS)
        draft = self.target(entry)
        word = one_among(entry, "type", TYPES, "mapping entry", self.problems)
        if word == "skew":
            self.read_skew(entry, draft)
        elif word is not None:
            self.read_directives(entry, draft, word == "temporal")
            if word in KEEP_TYPES:
                self.read_keep(entry, draft)
            else:
                self.read_loops(entry, draft, word)

    def check_keys(self, entry: Node, keys: tuple[str, ...]) -> None:
        """Report keys that are unknown."""
        for key, _ in entry.items():
            if key not in keys + IGNORED_KEYS:
                self.problems.error(entry.key(key), f"unknown key {key!r} in a mapping entry; "
                                    f"expected {one_of(keys)}" + did_you_mean(key, keys))

    def read_directives(self, entry: Node, draft: _Draft, temporal: bool) -> None:
        """Read the lists of tensors that are treated in a special way."""
        for key, directive in TENSOR_KEYS.items():
            if key == "no_reuse" and temporal:
                directive = "no_temporal_reuse"
            draft.directives[directive] |= {str(node.value) for node in self.names(entry, key)}

    def read_skew(self, entry: Node, draft: _Draft) -> None:
        """Read `modulo` and `terms`."""
        modulo = entry.get("modulo")
        if modulo is None or not isinstance(modulo.value, int) or modulo.value < 1:
            self.problems.error(modulo or entry, "a skew; expected `modulo`, an integer above 0")
            return
        terms = []
        for node in entry.get("terms") or ():
            term = self.skew_term(node)
            if term is not None:
                terms.append(term)
        draft.skew = Skew(modulo.value, tuple(terms))

    def skew_term(self, node: Node) -> SkewTerm | None:
        """One of the `terms`; None when it is not understood."""
        constant, variable = node.get("constant"), node.get("variable")
        if node.get("bound") is not None:
            self.problems.refuse(node.key("bound"), "a skew term with a bound is not supported")
            return None
        factor = 1 if constant is None else constant.value
        if not isinstance(factor, int):
            self.problems.error(node, f"constant {factor!r} of a skew term; expected an integer")
            return None
        if variable is None:
            return SkewTerm(factor)
        rank, kind = variable.get("dimension"), variable.get("type")
        if rank is None or kind is None or kind.value not in LOOP_TYPES:
            self.problems.error(variable, "variable of a skew term; expected `dimension`, and `type` "
                                f"{one_of(LOOP_TYPES)}")
            return None
        if not self.known_rank(rank, str(rank.value)):
            return None
        return SkewTerm(factor, str(rank.value), kind.value == "spatial")

    def target(self, entry: Node) -> _Draft:
        """The draft of the level that `entry` is about; one that nobody uses when there is no such
        level, so that the rest of the entry is still checked."""
        names = [level.name for level in self.levels]
        node = entry.get("target")
        if node is None:
            self.problems.error(entry, f"mapping entry without `target`; expected {one_of(names)}")
            return _Draft("")
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return self.placed(entry, names[len(names) - 1 - value])
        if isinstance(value, str) and value in names:
            return self.placed(entry, value)
        self.problems.error(node, f"no storage level {value!r}; expected {one_of(names)} or an index "
                            f"from 0 (innermost) to {len(names) - 1}"
                            + did_you_mean(str(value), names))
        return _Draft("")

    def placed(self, entry: Node, level: str) -> _Draft:
        """The draft of the block of `level` that `entry` is about."""
        node = entry.get(PLACE)
        place = 0 if node is None else node.value
        if not isinstance(place, int) or isinstance(place, bool) or (node is not None and place < 1):
            self.problems.error(node or entry, f"place {place!r} of a block; expected a number, 1 for the "
                                "outermost block")
            return _Draft(level)
        return self.drafts.setdefault((level, place), _Draft(level))

    def read_keep(self, entry: Node, draft: _Draft) -> None:
        """Read the lists `keep` and `bypass`."""
        for key in ("keep", "bypass"):
            for node in self.names(entry, key):
                name, kept = str(node.value), key == "keep"
                if draft.keep.setdefault(name, kept) != kept:
                    self.problems.error(node, f"tensor {name} is both kept and bypassed at level "
                                        f"{draft.level}; expected one of the two")

    def read_loops(self, entry: Node, draft: _Draft, kind: str) -> None:
        """Read a temporal or spatial entry."""
        before = draft.first.setdefault(kind, entry)
        if before is not entry:
            self.problems.error(entry, f"second {kind} entry for level {draft.level}; "
                                f"expected one, the first is at {before.place}")
            return
        factors = self.factors(entry)
        order = self.permutation(entry)
        order += [rank for rank in self.einsum.ranks if rank not in order]

        def loops(ranks: list[str]) -> tuple[Loop, ...]:
            return tuple(factors[r] for r in reversed(ranks) if r in factors and factors[r].factor > 1)

        if kind == "temporal":
            draft.loops["temporal"] = loops(order)
            return
        split = self.split(entry)
        draft.loops["x"], draft.loops["y"] = loops(order[:split]), loops(order[split:])

    def split(self, entry: Node) -> int:
        """How many ranks of the permutation run along X; all by default."""
        node = entry.get("split")
        if node is None:
            return len(self.einsum.ranks)
        if not isinstance(node.value, int) or isinstance(node.value, bool) or node.value < 0:
            self.problems.error(node, f"split {node.value!r}; expected a number of ranks, 0 or more")
            return 0
        return node.value

    def factors(self, entry: Node) -> dict[str, Loop]:
        """Loops by rank, from text, a list of texts or a mapping; 0 is the full extent."""
        factors: dict[str, Loop] = {}
        for node, text in _factor_texts(entry.get("factors")):
            if not node.is_scalar:
                self.problems.error(node, f"{describe(node)} among factors; expected RANK=NUMBER")
                continue
            position = 0
            while position < len(text):
                match = FACTOR.match(text, position)
                if match is None:
                    self.problems.error(node, f"factors {text[position:]!r}; expected RANK=NUMBER, "
                                        "separated by spaces or commas")
                    break
                position = match.end()
                rank, bound = match["name"] or match["short"], int(match["bound"])
                if not self.known_rank(node, rank):
                    continue
                bound = bound or self.einsum.extent[rank]
                if rank in factors:
                    self.problems.error(node, f"rank {rank} has two factors; expected one")
                last = int(match["rest"] or bound)
                if not 1 <= last <= bound:
                    self.problems.error(node, f"factor {rank}={bound},{last}; expected 1 to {bound} "
                                        "iterations in the last pass")
                factors[rank] = Loop(rank, bound, None if last == bound else last)
        return factors

    def permutation(self, entry: Node) -> list[str]:
        """Ranks innermost first, from `KMN`, `K,M,N`, `K M N` or a list."""
        node = entry.get("permutation")
        if node is None or node.value is None:
            return []
        if node.is_list:
            words = [str(x.value) for x in node]
        else:
            words = str(node.value).replace(",", " ").split()
            if not set(words) <= set(self.einsum.ranks):
                words = list("".join(words))       # one-letter ranks run together, as in `PQR SCM`
        order: list[str] = []
        for rank in words:
            if not self.known_rank(node, rank):
                continue
            if rank in order:
                self.problems.error(node, f"permutation lists rank {rank} twice; expected once")
                continue
            order.append(rank)
        return order

    def known_rank(self, node: Node, rank: str) -> bool:
        """Whether the Einsum has `rank`; reported at `node` when not."""
        if rank in self.einsum.extent:
            return True
        self.problems.error(node, f"no rank {rank!r} in {self.einsum.name}; expected "
                            f"{one_of(self.einsum.ranks)}" + did_you_mean(rank, self.einsum.ranks))
        return False

    def names(self, entry: Node, key: str) -> list[Node]:
        """The tensors listed under `key`, unknown ones reported and left out."""
        node = entry.get(key)
        if node is None or node.value is None:
            return []
        if not node.is_list:
            self.problems.error(node, f"{key} {node.value!r}; expected a list of tensors")
            return []
        known = []
        for item in node:
            if item.value in self.tensors:
                known.append(item)
            else:
                self.problems.error(item, f"no tensor {item.value!r} in {self.einsum.name}; expected "
                                    f"{one_of(self.tensors)}"
                                    + did_you_mean(str(item.value), self.tensors))
        return known


def _factor_texts(node: Node | None) -> list[tuple[Node, str]]:
    """The texts that `factors` consists of, each with its place."""
    if node is None or node.value is None:
        return []
    if node.is_map:
        return [(value, f"{rank}={value.value}") for rank, value in node.items()]
    return [(x, str(x.value).strip()) for x in (node if node.is_list else [node])]
