"""What a machine and constraints demand of every mapping, one by one, and the problem without each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, Iterator, Literal

from ...hardware.architecture import Architecture
from ...mapping.constraints import Constraints, FactorRange, LevelConstraints, LoopRules
from ...workload.einsum import Einsum

Kind = Literal["capacity", "metadata", "array", "ranks", "keep", "bypass", "factor", "default", "order",
               "workers"]


@dataclass(frozen=True)
class Case:
    """A machine and constraints: what an Einsum is to be mapped under."""

    architecture: Architecture
    constraints: Constraints

    def with_level(self, name: str, **changes: Any) -> Case:
        """The case with another level called `name`."""
        levels = tuple(replace(level, **changes) if level.name == name else level
                       for level in self.architecture.levels)
        return replace(self, architecture=replace(self.architecture, levels=levels))

    def with_metadata(self, name: str, depth: int | None) -> Case:
        """The case with so many rows of metadata at the level called `name`."""
        level = self.architecture.levels[self.architecture.level_index(name)]
        return self.with_level(name, sparsity=replace(level.sparsity, metadata_depth=depth))

    def with_asked(self, name: str, **changes: Any) -> Case:
        """The case with other constraints on the level called `name`."""
        asked = {**{x.level: x for x in self.constraints.levels},
                 name: replace(self.constraints.level(name), **changes)}
        return replace(self, constraints=replace(self.constraints, levels=tuple(asked.values())))

    def with_fanout(self, name: str, axis: str, width: int) -> Case:
        """The case with `width` instances along an axis below one instance of a level. As many compute
        units as before must be at work."""
        first = self.architecture.level_index(name)
        mesh = f"mesh_{axis}"
        have = self.architecture.fanout(first)["xy".index(axis)]
        levels = tuple(replace(x, **{mesh: getattr(x, mesh) // have * width}) if i > first else x
                       for i, x in enumerate(self.architecture.levels))
        unit = self.architecture.compute
        unit = replace(unit, **{mesh: getattr(unit, mesh) // have * width})
        share = self.constraints.min_utilization * self.architecture.compute.instances / unit.instances
        return Case(replace(self.architecture, levels=levels, compute=unit),
                    replace(self.constraints, min_utilization=share))

    def with_range(self, demand: Demand, asked: FactorRange) -> Case:
        """The case with another range of the factor that `demand` is about."""
        rules: LoopRules = getattr(self.constraints.level(demand.level), demand.loops)
        factors = tuple({**dict(rules.factors), demand.name: asked}.items())
        return self.with_asked(demand.level, **{demand.loops: replace(rules, factors=factors)})


@dataclass(frozen=True)
class Demand:
    """One of the things that rule mappings out. `name` is a tensor, a rank or an axis; `loops` "temporal"
    or "spatial" where it is about loops; `asked` tells that it is a constraint, not the machine."""

    kind: Kind
    level: str = ""
    name: str = ""
    loops: str = ""
    asked: bool = False

    def lifted(self, case: Case, einsum: Einsum) -> Case:
        """The case without this demand."""
        if self.kind == "capacity":
            return case.with_level(self.level, size_words=None)
        if self.kind == "metadata":
            return case.with_metadata(self.level, None)
        if self.kind == "array":
            return case.with_fanout(self.level, self.name, prod(einsum.extents))
        if self.kind == "ranks":
            return case.with_level(self.level, **{f"spatial_{self.name}": None})
        if self.kind == "workers":
            return replace(case, constraints=replace(case.constraints, min_utilization=0.0))
        if self.kind == "factor":
            return case.with_range(self, FactorRange())
        if self.kind in ("default", "order"):
            rules: LoopRules = getattr(case.constraints.level(self.level), self.loops)
            rules = replace(rules, default=FactorRange()) if self.kind == "default" else \
                replace(rules, inner=(), outer=(), split=None)
            return case.with_asked(self.level, **{self.loops: rules})
        if self.asked:
            names: frozenset[str] = getattr(case.constraints.level(self.level), self.kind)
            return case.with_asked(self.level, **{self.kind: names - {self.name}})
        level = case.architecture.levels[case.architecture.level_index(self.level)]
        return case.with_level(self.level, **{self.kind: getattr(level, self.kind) - {self.name}})

    def text(self, case: Case) -> str:
        """What is demanded, in words."""
        if self.kind == "workers":
            least = case.constraints.min_utilization * case.architecture.compute.instances
            return f"at least {least:g} of {case.architecture.compute.instances} compute units at work"
        index = case.architecture.level_index(self.level)
        level = case.architecture.levels[index]
        if self.kind == "capacity":
            return f"{self.level} holds {level.capacity_words:,} words"
        if self.kind == "metadata":
            return f"{self.level} holds {level.sparsity.metadata_bits:,} bits of metadata"
        if self.kind == "array":
            have = case.architecture.fanout(index)["xy".index(self.name)]
            instances = "instance" if have == 1 else "instances"
            return f"{self.level} feeds {have:,} {instances} along {self.name.upper()}"
        if self.kind == "ranks":
            names = ", ".join(getattr(level, f"spatial_{self.name}")) or "no rank"
            return f"{self.level} unrolls {names} along {self.name.upper()}, nothing else"
        if self.kind in ("keep", "bypass"):
            return f"{self.level} must {'keep' if self.kind == 'keep' else 'bypass'} {self.name}"
        rules: LoopRules = getattr(case.constraints.level(self.level), self.loops)
        if self.kind == "order":
            split = "" if rules.split is None else f", split {rules.split}"
            return f"{self.level} {self.loops} order {', '.join((*rules.inner, *rules.outer))}{split}"
        asked = rules.default if self.kind == "default" else rules.range(self.name)
        return f"{self.level} {self.loops} factor of {self.name or 'other ranks'} {range_text(asked)}"

    def place(self, case: Case) -> str:
        """Where a constraint, or the level of the machine, was written down; "" where that is not known."""
        if self.asked:
            return dict(case.constraints.places).get((self.level, self.loops or self.kind, self.name), "")
        return case.architecture.levels[case.architecture.level_index(self.level)].place


def range_text(asked: FactorRange) -> str:
    """What a range asks for, in words."""
    if asked.rest:
        return "is the rest"
    if asked.fixed:
        return f"is {asked.least}"
    if asked.most is None:
        return f"is {asked.least} or more"
    return f"is at most {asked.most}" if asked.least == 1 else f"is {asked.least} to {asked.most}"


def demands(case: Case, einsum: Einsum) -> list[Demand]:
    """Everything that may rule mappings of `einsum` out and can be lifted."""
    found = [*_of_machine(case, einsum)]
    for asked in case.constraints.levels:
        found += _of_constraints(asked, einsum)
    if case.constraints.min_utilization:
        found.append(Demand("workers", asked=True))
    return found


def _of_machine(case: Case, einsum: Einsum) -> Iterator[Demand]:
    names = [t.name for t in einsum.tensors]
    for i, level in enumerate(case.architecture.levels):
        if level.capacity_words is not None:
            yield Demand("capacity", level.name)
        if level.sparsity.metadata_bits is not None:
            yield Demand("metadata", level.name)
        spatial = case.constraints.level(level.name).spatial
        for axis, width in zip("xy", case.architecture.fanout(i), strict=True):
            if width > 1 or any(spatial.range(rank).least > 1 for rank in einsum.ranks):
                yield Demand("array", level.name, axis)
            if getattr(level, f"spatial_{axis}") is not None:
                yield Demand("ranks", level.name, axis)
        yield from (Demand("keep", level.name, t) for t in names if t in level.keep)
        yield from (Demand("bypass", level.name, t) for t in names if t in level.bypass)


def _of_constraints(asked: LevelConstraints, einsum: Einsum) -> Iterator[Demand]:
    names = [t.name for t in einsum.tensors]
    yield from (Demand("keep", asked.level, t, asked=True) for t in names if t in asked.keep)
    yield from (Demand("bypass", asked.level, t, asked=True) for t in names if t in asked.bypass)
    for loops, rules in (("temporal", asked.temporal), ("spatial", asked.spatial)):
        listed = [rank for rank, given in rules.factors if rank in einsum.ranks and given != FactorRange()]
        yield from (Demand("factor", asked.level, rank, loops, True) for rank in listed)
        if rules.default != FactorRange():
            yield Demand("default", asked.level, "", loops, True)
    spatial = asked.spatial
    if spatial.inner or spatial.outer or spatial.split is not None:
        yield Demand("order", asked.level, "", "spatial", True)
