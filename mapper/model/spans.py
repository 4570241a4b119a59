"""Boxes of words in the coordinates of a tensor."""

from __future__ import annotations

from math import prod

from .reuse import Vector

#: Words, by their coordinates.
Points = frozenset[Vector]
#: A box: (first, one past the last) along each axis.
Span = tuple[tuple[int, int], ...]


def new_words(need: Span, held: Span) -> Span | None:
    """Words of `need` that are not in `held`: a box, or all of `need` where the difference is none
    (point-set-aahr.cpp:Subtract); None when nothing is new."""
    if any(old[1] <= new[0] or old[0] >= new[1] for new, old in zip(need, held, strict=True)):
        return need
    differing = [i for i, (new, old) in enumerate(zip(need, held, strict=True)) if new != old]
    if not differing:
        return None
    if len(differing) > 1:
        return need
    axis, = differing
    (low, high), (old_low, old_high) = need[axis], held[axis]
    if old_low <= low and old_high >= high:
        return None
    if old_low > low and old_high < high:
        return need
    side = (old_high, high) if old_low <= low else (low, old_low)
    return (*need[:axis], side, *need[axis + 1:])


def volume(span: Span | Points | None) -> int:
    """Words in a box or a set."""
    if isinstance(span, frozenset):
        return len(span)
    return 0 if span is None else prod(high - low for low, high in span)


def shift(span: Span | None, by: Vector) -> Span | None:
    """A box, moved."""
    if span is None:
        return None
    return tuple((low + x, high + x) for (low, high), x in zip(span, by, strict=True))


def opposite(vector: Vector) -> Vector:
    return tuple(-x for x in vector)
