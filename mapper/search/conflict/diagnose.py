"""Why no mapping fits: the constraint that no choice of the mapper can satisfy."""

from __future__ import annotations

from math import prod

from ...mapping.constraints import FactorRange
from ...mapping.sparsity_rules import sparse_reasons
from ..feasible import Fit, first_fit, reasons_against
from ..space import Mapspace


def why_nothing_fits(space: Mapspace) -> str:
    """One sentence that names the level, what the smallest choice needs, and what there is."""
    lines = _tensors(space) or _ranks(space)
    if not lines:
        lines = _arrays(space) + _capacities(space) or _zeros(space)
    together = "capacities, array shapes and constraints" if space.rules.constraints else \
        "capacities and array shapes"
    return f"{space.einsum.name}: no mapping fits; " + (
        "; ".join(lines) or f"{together} together rule out every mapping that was tried")


def _tensors(space: Mapspace) -> list[str]:
    """Tensors that can be kept nowhere, or that must be kept and bypassed at one level."""
    if space.choices.count:
        return []
    lines = []
    for tensor in space.einsum.tensors:
        for i, level in enumerate(space.architecture.levels):
            if len(space.rules.keeps(i, tensor.name)) + (tensor.name in level.keep | level.bypass) > 1:
                lines.append(f"{level.name}: tensor {tensor.name} must be kept and bypassed")
    everywhere = [frozenset(t.name for t in space.einsum.tensors)] * space.depth
    return lines or sparse_reasons(space.architecture, space.einsum, everywhere) or [
        "a tensor is bypassed at every level"]


def _ranks(space: Mapspace) -> list[str]:
    """Ranks whose factors cannot multiply to the extent."""
    lines = []
    for rank, ways in space.counts.items():
        if ways:
            continue
        asked = [f"{level.level} {kind} {_text(rules.range(rank))}" for level in space.rules.by_level
                 for kind, rules in (("temporal", level.temporal), ("spatial", level.spatial))
                 if rules.range(rank) != FactorRange()]
        lines.append(f"rank {rank}: no whole factors of {space.einsum.extent[rank]} meet the constraints "
                     f"({', '.join(asked)}) and the array shapes")
    return lines


def _text(asked: FactorRange) -> str:
    if asked.rest:
        return "the rest"
    if asked.fixed:
        return f"{asked.least}"
    return f"{asked.least} or more" if asked.most is None else f"{asked.least} to {asked.most}"


def _arrays(space: Mapspace) -> list[str]:
    """Arrays that are too small for what must be unrolled, or cannot be used as much as asked."""
    fit, lines = Fit(space, ()), []
    for i, level in enumerate(space.architecture.levels):
        for axis, have in enumerate(space.architecture.fanout(i)):
            need = prod(int(a[:, i, axis].min()) for a in fit.axes.values())
            if need > have:
                lines.append(f"{level.name}: at least {need} instances are unrolled along {'XY'[axis]}, "
                             f"has {have}")
    most = space.scenario.most_units
    if most < space.rules.workers:
        lines.append(f"at most {most} of {space.architecture.compute.instances} compute units can be at "
                     f"work, must be {space.rules.constraints.min_utilization:g} of them or more")
    return lines


def _capacities(space: Mapspace) -> list[str]:
    """Levels whose smallest tiles do not fit."""
    fit, lines = Fit(space, ()), []
    for i, level in enumerate(space.architecture.levels):
        extents = {r: int(tiles[:, i].min()) for r, tiles in fit.tiles.items()}
        kept = [t for t in space.einsum.tensors if all(i in x for x in space.choices.columns[t.name])]
        for have, takes, unit in ((level.capacity_words, space.room, "words"),
                                  (level.sparsity.metadata_bits, space.noted, "bits of metadata")):
            needs = {t.name: takes(i, t, extents) for t in kept}
            if have is not None and sum(needs.values()) > have:
                parts = ", ".join(f"{name} {n:.10g}" for name, n in needs.items())
                lines.append(f"{level.name}: the smallest tiles need {sum(needs.values()):.10g} {unit} "
                             f"({parts}), has {have}")
    return lines


def _zeros(space: Mapspace) -> list[str]:
    """On a machine that does something about zeros, what does not fit of the smallest tiles."""
    for keep in space.choices.smallest() if space.architecture.sparse else ():
        factors = first_fit(space, keep)
        if factors is not None and (reasons := reasons_against(space, keep, factors)):
            return [f"{reason} (smallest tiles)" for reason in reasons]
    return []
