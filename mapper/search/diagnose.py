"""Why no mapping fits: the constraint that no choice of the mapper can satisfy."""

from __future__ import annotations

from ..workload.einsum import footprint
from .space import Mapspace


def why_nothing_fits(space: Mapspace) -> str:
    """One sentence that names the level, what the smallest tiles need, and what it has."""
    lines = []
    for i, level in enumerate(space.architecture.levels):
        have = level.capacity_words
        if have is None:
            continue
        forced = [t for t in space.einsum.tensors if all(t.name in keep[i] for keep in space.keeps)]
        # What lies inside the outermost level can be a single point; the outermost holds everything.
        extents = space.einsum.extent if i == 0 else {}
        words = {t.name: footprint(t, extents) for t in forced}
        if sum(words.values()) > have:
            parts = ", ".join(f"{name} {n}" for name, n in words.items())
            lines.append(f"{level.name}: the smallest tiles need {sum(words.values())} words ({parts}), "
                         f"has {have}")
    if not lines and not space.keeps:
        lines.append("a tensor is bypassed at every level")
    return f"{space.einsum.name}: no mapping fits; " + (
        "; ".join(lines) or "capacities and array shapes together rule out every mapping that was tried")
