"""What a conflict of demands is, and how it is put in words."""

from __future__ import annotations

from dataclasses import dataclass

from .. import units


@dataclass(frozen=True)
class Clash:
    """One of the demands of a conflict. `have` and `need` are words, instances, iterations or units, where
    there is such a figure: as it is, and the nearest with which something fits (nearest for certain if
    `exact`) while everything else is as asked for, or, where that does not do, the rest of the conflict."""

    kind: str                       # see `demands.Kind`
    level: str
    name: str                       # a tensor, a rank or an axis
    text: str
    place: str = ""
    have: float | None = None
    need: float | None = None
    detail: str = ""                # what takes the room
    exact: bool = False


@dataclass(frozen=True)
class Relief:
    """What changing one demand of a conflict, and nothing else, gives: the best `value` of the objective
    that a short search finds and the bound it proves; None where still nothing fits (`fits` false), where
    that was not found out in time (`fits` None) or nothing was found."""

    change: str
    fits: bool | None
    value: float | None = None
    lower_bound: float | None = None


@dataclass(frozen=True)
class Conflict:
    """Demands on `layer` that no mapping meets together. `minimal`: none of them can be spared; `smallest`:
    no conflict has fewer demands. `others` are conflicts among all other demands, if there are any."""

    layer: str
    objective: str
    clashes: tuple[Clash, ...]
    reliefs: tuple[Relief, ...]
    minimal: bool
    smallest: bool
    others: tuple[tuple[Clash, ...], ...] = ()


def describe(conflict: Conflict) -> str:
    """A conflict in lines of text."""
    count = len(conflict.clashes)
    head = f"layer {conflict.layer}: no valid mapping; "
    if count == 1:
        head += "this alone rules all out:"
    elif not conflict.minimal:
        head += f"these {count} conflict, perhaps fewer of them do:"
    else:
        rest = "neither alone rules all out" if count == 2 else f"any {count - 1} of them can be met"
        head += f"these {count} conflict, {rest}{'' if conflict.smallest else ' (a smaller set may exist)'}:"
    lines = [head, *(f"  {_clash(x)}" for x in conflict.clashes)]
    for other in conflict.others:
        lines += ["and so do these:", *(f"  {_clash(x)}" for x in other)]
    if conflict.reliefs:
        lines.append(f"changing one of {'the first' if conflict.others else 'them'} and nothing else, "
                     "by a short search:")
        lines += [f"  {_relief(x, conflict.objective)}" for x in conflict.reliefs]
    return "\n".join(lines)


def _clash(x: Clash) -> str:
    place = f"{x.place}: " if x.place else ""
    if x.need is None:
        return place + x.text
    word = "needs" if x.kind in ("capacity", "metadata", "array") else "could be"
    detail = f" ({x.detail})" if x.detail else ""
    return f"{place}{x.text}, {word}{'' if x.exact else ' about'} {x.need:,.10g}{detail}"


def _relief(x: Relief, name: str) -> str:
    if x.fits is None:
        return f"{x.change}: not found out in time"
    if not x.fits:
        return f"{x.change}: still nothing fits, there is another conflict"
    if x.value is None:
        return f"{x.change}: no mapping found in a short search"
    text = f"{x.change}: {units.objective(name, x.value)}"
    if x.lower_bound == x.value:
        return f"{text}, which is the least"
    return f"{text}, at least {units.objective(name, x.lower_bound)} in any case" if x.lower_bound else text
