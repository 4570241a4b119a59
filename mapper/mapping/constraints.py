"""`Constraints`: which mappings a search may consider, and whether a mapping is one of them.

Constraints name ranks and tensors by text and hold for every Einsum of a workload: what an Einsum
does not have counts for nothing there, and no factor is asked to exceed a rank's extent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Sequence

from ..hardware.architecture import Architecture
from ..workload.einsum import Einsum
from .nest import Block, Loop, Mapping
from .parts import by_levels

#: A most that is none: beyond every extent, and still a whole number for Timeloop.
UNLIMITED = 2 ** 31 - 1


@dataclass(frozen=True, slots=True)
class FactorRange:
    """Least and most iterations of a rank in one place. With `rest` they are exactly what the
    places that fix a factor leave of the extent (rounded up), and all other places get 1."""

    least: int = 1
    most: int | None = None
    rest: bool = False

    @property
    def fixed(self) -> bool:
        return self.least == self.most and not self.rest

    def both(self, other: FactorRange) -> FactorRange:
        """What satisfies this range and the other; `least` above `most` when nothing does."""
        mosts = [m for m in (self.most, other.most) if m is not None]
        return FactorRange(max(self.least, other.least), min(mosts, default=None), self.rest or other.rest)


@dataclass(frozen=True)
class LoopRules:
    """What the temporal or the spatial loops of one level may be.

    `factors` has a range for some ranks, `default` is for all others. `inner` lists the ranks of
    the innermost loops and `outer` those of the outermost, both innermost first; loops of one
    iteration count for nothing. For spatial loops, the first `split` ranks of the order run along
    x and the others along y; None leaves that open. `remainders` has, for some ranks, the most
    iterations of a last pass that is shorter than the others; loops over other ranks have none.
    """

    factors: tuple[tuple[str, FactorRange], ...] = ()
    default: FactorRange = FactorRange()
    inner: tuple[str, ...] = ()
    outer: tuple[str, ...] = ()
    split: int | None = None
    remainders: tuple[tuple[str, int], ...] = ()

    def range(self, rank: str) -> FactorRange:
        return dict(self.factors).get(rank, self.default)

    def remainder(self, rank: str) -> int:
        """Most iterations of a shorter last pass; 0 where there may be none."""
        return dict(self.remainders).get(rank, 0)

    def zone(self, rank: str) -> int:
        """Sorts ranks innermost first; equal for ranks whose order is open."""
        if rank in self.inner:
            return self.inner.index(rank) - len(self.inner)
        return 1 + self.outer.index(rank) if rank in self.outer else 0

    def admits(self, outermost_first: Sequence[str]) -> bool:
        """Whether loops over these ranks, each of two iterations or more, stand in a right order."""
        zones = [self.zone(rank) for rank in outermost_first]
        return zones == sorted(zones, reverse=True)

    def positions(self, ranks: Sequence[str]) -> dict[str, int]:
        """Place in the whole order of the ranks that have one, for the Einsum with these `ranks`."""
        inner, outer = ([r for r in side if r in ranks] for side in (self.inner, self.outer))
        return {**{r: i for i, r in enumerate(inner)},
                **{r: len(ranks) - len(outer) + i for i, r in enumerate(outer)}}

    def room(self, ranks: Sequence[str]) -> tuple[int, int]:
        """How many ranks without a place in the order may run along x and along y."""
        placed = self.positions(ranks)
        loose = len(ranks) - len(placed)
        if self.split is None:
            return loose, loose
        along_x = min(max(self.split - sum(r in placed for r in self.inner), 0), loose)
        return along_x, loose - along_x

    def axes_fault(self, x: Sequence[str], y: Sequence[str], ranks: Sequence[str]) -> str:
        """Why the Einsum `ranks` cannot be unrolled over `x` and `y` in this order; "" if they can."""
        if self.split is None:
            if x and y and max(map(self.zone, x)) > min(map(self.zone, y)):
                return f"ranks along x ({', '.join(x)}) must come before ranks along y ({', '.join(y)})"
            return ""
        placed = self.positions(ranks)
        for axis, found, most in zip("xy", (x, y), self.room(ranks), strict=True):
            for rank in found:
                if rank in placed and (placed[rank] < self.split) != (axis == "x"):
                    return f"rank {rank} must not be unrolled along {axis} (split {self.split})"
            if sum(rank not in placed for rank in found) > most:
                return f"at most {most} ranks without a place in the order may be unrolled along {axis}"
        return ""


@dataclass(frozen=True)
class LevelConstraints:
    """What is asked of one storage level. Tensors in `no_multicast` are sent to each instance."""

    level: str
    keep: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()
    temporal: LoopRules = LoopRules()
    spatial: LoopRules = LoopRules()
    no_multicast: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Constraints:
    """`levels` holds the levels of which anything is asked, each once, outermost first;
    `min_utilization` is the least share of the compute units that must be at work. `places` says where in
    a file things were asked: ((level, "keep", "temporal" .., tensor or rank), FILE:LINE:COLUMN).
    `imperfect`: all loops may have remainders, of any length where nothing is said about them. `uneven`:
    each tensor may cut the loop nest at a place of its own (see `parts`), and a rank may be unrolled along
    both axes of an array."""

    levels: tuple[LevelConstraints, ...] = ()
    min_utilization: float = 0.0
    places: tuple[tuple[tuple[str, str, str], str], ...] = field(default=(), compare=False, repr=False)
    imperfect: bool = False
    uneven: bool = False

    def __bool__(self) -> bool:
        return self != NONE

    @property
    def whole(self) -> Constraints:
        """The same without permission for remainders."""
        levels = [replace(x, temporal=replace(x.temporal, remainders=()),
                          spatial=replace(x.spatial, remainders=())) for x in self.levels]
        levels = [x for x in levels if x != LevelConstraints(x.level)]
        return replace(self, levels=tuple(levels), imperfect=False)

    def remainder(self, rules: LoopRules, rank: str) -> int:
        """Most iterations of a shorter last pass of loops under `rules`; 0 where there may be none."""
        return dict(rules.remainders).get(rank, UNLIMITED if self.imperfect else 0)

    def level(self, name: str) -> LevelConstraints:
        """What is asked of the level called `name`."""
        return next((x for x in self.levels if x.level == name), LevelConstraints(name))

    def beyond(self, architecture: Architecture) -> Constraints:
        """The same without what the architecture asks for anyway, levels in its order."""
        asked = [(level, self.level(level.name)) for level in architecture.levels]
        levels = [replace(x, keep=x.keep - level.keep, bypass=x.bypass - level.bypass) for level, x in asked]
        return replace(self, levels=tuple(x for x in levels if x != LevelConstraints(x.level)))


NONE = Constraints()


def violations(constraints: Constraints, architecture: Architecture, einsum: Einsum,
               mapping: Mapping) -> list[str]:
    """Every way in which a valid `mapping` breaks the `constraints`; empty when it does not. What is
    asked of the temporal loops of a level is asked of those in all its parts together: of the product of the
    factors, and of their order as they stand."""
    found, mapping = [], by_levels(architecture, mapping)
    for block in mapping:
        asked = constraints.level(block.level)
        found += _kept(asked, block, einsum)
        for kind, rules in (("temporal", asked.temporal), ("spatial", asked.spatial)):
            found += _factors(constraints, kind, rules, block, einsum, mapping)
            found += _remainders(constraints, kind, rules, block)
        order = [x.rank for x in block.temporal]
        if not asked.temporal.admits(order):
            found.append(f"{block.level}: temporal loops run over {', '.join(order)} (outermost first), "
                         f"must have {_order(asked.temporal)}")
        if block.spatial:
            along_x, along_y = ([x.rank for x in loops] for loops in (block.spatial_x, block.spatial_y))
            fault = asked.spatial.axes_fault(along_x, along_y, einsum.ranks)
            found += [f"{block.level}: {fault}"] if fault else []
            sent = {t.name for t in einsum.tensors} & asked.no_multicast - block.no_multicast
            found += [f"{block.level}: tensor {t} is multicast, must not be" for t in sorted(sent)]
    used = prod(x.factor for block in mapping for x in block.spatial)
    needed = constraints.min_utilization * architecture.compute.instances
    if used < needed * (1 - 1e-9):
        found.append(f"{architecture.compute.name}: {used} of {architecture.compute.instances} at work, "
                     f"must be {needed:g} or more")
    return found


def _kept(asked: LevelConstraints, block: Block, einsum: Einsum) -> list[str]:
    names = {t.name for t in einsum.tensors}
    return [f"{block.level}: tensor {t} is bypassed, must be kept"
            for t in sorted(names & asked.keep - block.keep)] + [
            f"{block.level}: tensor {t} is kept, must be bypassed" for t in sorted(asked.bypass & block.keep)]


def _factors(constraints: Constraints, kind: str, rules: LoopRules, block: Block, einsum: Einsum,
             mapping: Mapping) -> list[str]:
    found = []
    for rank, extent in einsum.extent.items():
        asked = rules.range(rank)
        if asked.rest:
            asked = asked.both(_rest(constraints, rank, extent, mapping))
        least = min(asked.least, extent)
        most = extent if asked.most is None else min(asked.most, extent)
        loops: tuple[Loop, ...] = block.temporal if kind == "temporal" else block.spatial
        factor = prod(x.factor for x in loops if x.rank == rank)
        if not least <= factor <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            found.append(f"{block.level}: {kind} factor of rank {rank} is {factor}, must be {wanted}")
    return found


def _remainders(constraints: Constraints, kind: str, rules: LoopRules, block: Block) -> list[str]:
    found = []
    for loop in block.temporal if kind == "temporal" else block.spatial:
        most = constraints.remainder(rules, loop.rank)
        if loop.residual is not None and most < loop.residual < loop.factor:
            wanted = f"{loop.factor}, or {most} or less" if most else f"{loop.factor}"
            found.append(f"{block.level}: {kind} loop over rank {loop.rank} has {loop.residual} iterations "
                         f"in its last pass, must be {wanted}")
    return found


def _rest(constraints: Constraints, rank: str, extent: int, mapping: Mapping) -> FactorRange:
    """What the places that fix a factor of `rank` leave of its extent."""
    for block in mapping:
        level = constraints.level(block.level)
        for rules in (level.temporal, level.spatial):
            asked = rules.range(rank)
            extent = -(-extent // min(asked.least, extent)) if asked.fixed else extent
    return FactorRange(extent, extent)


def _order(rules: LoopRules) -> str:
    parts = [f"{', '.join(names)} {where} (innermost first)"
             for names, where in ((rules.inner, "innermost"), (rules.outer, "outermost")) if names]
    return " and ".join(parts)
