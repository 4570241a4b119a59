"""What gating and skipping leave of the accesses to one tensor, level after level.

A level that gates or skips accesses to a tensor never asks for what it would pass on: everything
below it shrinks, down to the next level inside that saves accesses to the tensor by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from operator import mul
from typing import Iterable, Mapping

import numpy as np

from ..cost import Semantics
from .counts import Actions, RankMetadata, Split
from .metadata import Units
from .nest import Array, Mask

KINDS = ("reads", "fills", "updates")


@dataclass(frozen=True, slots=True, eq=False)
class Saving:
    """Accesses that a level saves: a share `p` of them, `there` where it does at all, by `skipping` or by
    gating them. `empty` is the probability, by conditioning tensor, that there is nothing of it."""

    p: Array
    there: Mask
    skipping: Mask
    empty: Mapping[str, Array] = field(default_factory=dict)

    @classmethod
    def where(cls, empty: Mapping[str, Array], there: Mask, skipping: bool) -> Saving:
        """What is saved where any of the conditioning tensors is empty."""
        left: Array = reduce(mul, (1.0 - p for p in empty.values()), np.ones(len(there)))
        return cls(1.0 - left, there, np.full(len(there), skipping), empty)

    @classmethod
    def none(cls, size: int) -> Saving:
        no = np.zeros(size, dtype=np.bool_)
        return cls(np.zeros(size), no, no)

    def or_larger(self, other: Saving) -> Saving:
        """Of two savings of the same accesses, the one that saves more."""
        return self.replaced(other, other.there & (~self.there | (self.p < other.p)))

    def replaced(self, other: Saving, by: Mask) -> Saving:
        """This saving, but for the `other` one where `by` says so."""
        none = np.zeros_like(self.p)
        return Saving(np.where(by, other.p, self.p), self.there | by,
                      np.where(by, other.skipping, self.skipping),
                      {name: np.where(by, other.empty.get(name, none), self.empty.get(name, none))
                       for name in {**self.empty, **other.empty}})


    def then(self, inner: Saving) -> Saving:
        """Both, one after the other: what is empty for the outer one is part of what is for the inner."""
        none = np.zeros_like(self.p)
        here = {name: np.where(inner.there, p, none) for name, p in inner.empty.items()}
        empty = {name: np.maximum(self.empty.get(name, none), here.get(name, none))
                 for name in {**self.empty, **here}}
        both = Saving.where(empty, self.there | inner.there, False)
        return replace(both, skipping=np.where(inner.there, inner.skipping, self.skipping))


@dataclass(frozen=True, slots=True, eq=False)
class Lost:
    """What levels save of the accesses to a tensor from the outermost on: all of it as one `saving`, and the
    shares that are `skipped` and that are `gated` on the way."""

    saving: Saving
    skipped: Array
    gated: Array

    def then(self, inner: Saving) -> Lost:
        """With what comes further in."""
        both = self.saving.then(inner)
        more = np.maximum(both.p - self.saving.p, 0.0)
        return Lost(both, self.skipped + np.where(inner.skipping, more, 0.0),
                    self.gated + np.where(inner.skipping, 0.0, more))


@dataclass(eq=False)
class Stream:
    """Accesses of each kind to the words, or to the metadata of one rank, of a tensor at a level."""

    algorithmic: dict[str, Array]
    actual: dict[str, Array] = field(default_factory=dict)
    saved: dict[str, Array] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.actual = dict(self.actual or self.algorithmic)

    def actions(self, skipping: Mask) -> Actions:
        """What happens, and what is saved, which is skipped or else gated."""
        none = np.zeros(len(skipping))
        return Actions(*(self._split(kind, skipping, none) for kind in KINDS))

    def _split(self, kind: str, skipping: Mask, none: Array) -> Split:
        saved = self.saved.get(kind)
        if saved is None:
            return Split(self.algorithmic[kind], self.actual[kind], none, none)
        return Split(self.algorithmic[kind], self.actual[kind], np.where(skipping, none, saved),
                     np.where(skipping, saved, none))


@dataclass(eq=False)
class Held:
    """One tensor at one level: accesses to its words and to the ranks (innermost first) of its metadata:
    (metadata, payload)."""

    data: Stream
    ranks: list[tuple[Stream, Stream]]
    largest: Units

    def streams(self) -> Iterable[Stream]:
        """Those of all ranks."""
        return (stream for rank in self.ranks for stream in rank)

    def rank_metadata(self, skipping: Mask) -> tuple[RankMetadata, ...]:
        """Outermost first."""
        return tuple(
            RankMetadata(np.ceil(words), np.ceil(payloads), metadata.actions(skipping),
                         payload.actions(skipping))
            for (words, payloads), (metadata, payload) in zip(self.largest, self.ranks, strict=True))[::-1]


def propagate(held: list[Held], savings: list[Saving], is_output: bool, semantics: Semantics) -> Lost:
    """Take the `savings` of each level (outermost first) off the accesses in `held`.

    Returns what never gets to the units: it leaves out computes, where the tensor is an operand. Timeloop
    looks at the innermost saving of those around each level only.
    """
    lost = Lost(Saving.none(len(savings[0].p)), np.zeros_like(savings[0].p), np.zeros_like(savings[0].p))
    above: Held | None = None       # only where one level saves: its metadata
    for x, saving in zip(held, savings, strict=True):
        outer = lost.saving
        if outer.there.any():
            _take_below(x, outer.p, above, semantics)
        if not saving.there.any():
            continue
        if semantics == "exact":
            lost = lost.then(saving)
        else:
            lost = replace(lost, saving=outer.replaced(saving, saving.there))
        rest = 1.0 - outer.p
        p = np.maximum(1.0 - (1.0 - lost.saving.p) / np.where(rest > 0, rest, 1.0), 0.0)
        p = np.where(outer.there, p, lost.saving.p)     # where there is no other, to the last digit
        _take_here(x, np.where(saving.there, p, 0.0), is_output, outer.there, semantics)
        above = x
    return lost


def _take_below(x: Held, p: Array, above: Held | None, semantics: Semantics) -> None:
    """Accesses that are never asked for."""
    streams = [x.data]
    if semantics == "exact" or (above is not None and len(above.ranks) == 1):
        streams += x.streams()     # Timeloop gets to them where the upper level has one rank
    for stream in streams:
        for kind in KINDS:
            stream.actual[kind] = stream.actual[kind] - np.floor(stream.actual[kind] * p)


def _take_here(x: Held, p: Array, is_output: bool, twice: Mask, semantics: Semantics) -> None:
    """Accesses that are asked for and saved: reads, and updates."""
    rounded = np.ceil if is_output else np.floor
    if semantics == "timeloop":
        for stream in x.streams():     # below another level that saves, it takes one kind for the other
            stream.actual["reads"] = np.where(twice, stream.actual["updates"], stream.actual["reads"])
    for stream in (x.data, *x.streams()):
        for kind, off in (("reads", rounded), ("updates", np.floor)):
            there = stream.actual[kind]
            saved = np.minimum(off(there * p), there)
            stream.actual[kind], stream.saved[kind] = there - saved, saved


def scaled(stream: Stream, density: Array) -> Stream:
    """The accesses of a tensor of which zeros are left out."""
    return replace(stream, actual={kind: n - np.floor(n * (1.0 - density))
                                   for kind, n in stream.algorithmic.items()})
