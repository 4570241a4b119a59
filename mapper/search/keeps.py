"""What each level keeps: the choices there are, and how they are decided one by one."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from itertools import product
from math import inf, prod
from typing import Iterator, Mapping, Sequence

from ..bounds.region import Region
from ..hardware.architecture import Architecture
from ..mapping.rules import Rules
from ..mapping.sparsity_rules import sparse_reasons
from ..mapping.template import Keep
from ..workload.einsum import Einsum

#: Of which tensor it is decided at which level whether that keeps it.
Decision = tuple[int, str]

#: Regions with at most so many choices are split into all of them.
ALL_AT_ONCE = 8


class KeepChoices:
    """Every choice of the tensors that each level keeps; each tensor is kept somewhere.

    The tensors do not depend on each other: a choice is one of the `columns` of every tensor.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, rules: Rules) -> None:
        self.architecture = architecture
        self.einsum = einsum
        self.rules = rules
        self.depth = len(architecture.levels)

    @cached_property
    def columns(self) -> dict[str, tuple[frozenset[int], ...]]:
        """By tensor every choice of the levels that keep it, those with many levels first."""
        return {t.name: tuple(self._columns(t.name)) for t in self.einsum.tensors}

    def _columns(self, name: str) -> Iterator[frozenset[int]]:
        others = frozenset(t.name for t in self.einsum.tensors) - {name}
        for choice in product(*(self._options(i, name) for i in range(self.depth))):
            rows = [frozenset({name} if kept else ()) for kept in choice]
            rows[0] |= others       # nothing is wrong with those
            if any(choice) and not (self.architecture.sparse and sparse_reasons(
                    self.architecture, self.einsum, rows)):
                yield frozenset(i for i, kept in enumerate(choice) if kept)

    def _options(self, level: int, name: str) -> tuple[bool, ...]:
        """Whether a level may keep a tensor."""
        storage, must = self.architecture.levels[level], self.rules.keeps(level, name)
        must |= {kept for kept, own in ((True, storage.keep), (False, storage.bypass)) if name in own}
        choices = tuple(must) or ((True,) if level == 0 else (True, False))
        return choices if len(must) < 2 else ()

    @property
    def count(self) -> int:
        """How many choices there are."""
        return prod(map(len, self.columns.values()))

    def left(self, region: Region) -> dict[str, list[frozenset[int]]]:
        """By tensor the columns that a region leaves."""
        found = {}
        for name, columns in self.columns.items():
            kept, loose = map(frozenset, region.levels(name))
            found[name] = [c for c in columns if kept <= c <= kept | loose]
        return found

    def completions(self, region: Region) -> Iterator[Keep]:
        """Every choice that a region leaves."""
        for choice in product(*self.left(region).values()):
            yield self._keep(choice)

    def _keep(self, choice: Sequence[frozenset[int]]) -> Keep:
        return tuple(frozenset(name for name, levels in zip(self.columns, choice, strict=True)
                               if i in levels) for i in range(self.depth))

    def smallest(self) -> Iterator[Keep]:
        """The choices that keep as little as any: if none of these fits a machine, none does."""
        least = [[c for c in own if not any(other < c for other in own)] for own in self.columns.values()]
        for choice in product(*least):
            yield self._keep(choice)

    def neighbours(self, keep: Keep) -> list[Keep]:
        """The choices that differ from `keep` at one level in one tensor, or keep that at another level."""
        found = []
        for name, columns in self.columns.items():
            own = frozenset(i for i, names in enumerate(keep) if name in names)
            near = (c for c in columns if (len(c - own), len(own - c)) in ((0, 1), (1, 0), (1, 1)))
            found += [tuple(names | {name} if i in c else names - {name} for i, names in enumerate(keep))
                      for c in near]
        return found

    def narrowed(self, region: Region, columns: Mapping[str, Sequence[frozenset[int]]]) -> Region:
        """The part of a region with these columns: a level surely keeps a tensor that all of them keep
        there, and that is open where some do."""
        surely = {name: frozenset.intersection(*own) for name, own in columns.items()}
        maybe = {name: frozenset.union(*own) - surely[name] for name, own in columns.items()}
        keep, loose = (tuple(frozenset(name for name in columns if i in levels[name])
                             for i in range(self.depth)) for levels in (surely, maybe))
        return replace(region, keep=keep, open=loose if any(loose) else ())

    def decide(self, region: Region, decision: Decision | None) -> list[Region]:
        """The two parts of a region in which a level keeps a tensor and in which it does not; or, where
        nothing is said, a part for every choice that the region leaves."""
        if decision is None:
            return [replace(region, keep=keep, open=()) for keep in self.completions(region)]
        level, name = decision
        left = self.left(region)
        parts = [[c for c in left[name] if (level in c) == kept] for kept in (True, False)]
        return [self.narrowed(region, {**left, name: part}) for part in parts if part]

    def next_decision(self, region: Region) -> Decision | None:
        """What to decide next in a region: where few choices are left, nothing (all are looked at); else
        the smallest level, which can keep the least, and there the largest tensor."""
        if prod(map(len, self.left(region).values())) <= ALL_AT_ONCE:
            return None
        words = self.einsum.tensor_words
        return min(((i, name) for i, names in enumerate(region.open) for name in names),
                   key=lambda decision: (self._room(decision[0]), -words(decision[1]), decision))

    def _room(self, level: int) -> float:
        capacity = self.architecture.levels[level].capacity_words
        return inf if capacity is None else capacity
