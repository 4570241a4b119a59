"""The key `lockstep` of a native `compute` entry, read and written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Collection, Sequence

from ..spec.fields import Record, describe, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from .lockstep import Barrier, Lockstep, Operand

if TYPE_CHECKING:
    from ..workload.graph import WorkloadGraph

_KEYS = ("step", "operands", "matches", "least", "group", "barrier")


def build_lockstep(node: Node | None, levels: Sequence[str], problems: Problems) -> Lockstep | None:
    """The declaration that `node` holds, for a machine with the storage `levels`, outermost first.

    Every fault goes to `problems`; the result is None when there is no declaration, or a faulty one.
    """
    if node is None or node.value is None:
        return None
    before = len(problems.errors)
    record = Record(node, problems, "lockstep", _KEYS)
    record.require("step", "operands")
    step = tuple((rank, n) for rank, n in _extents(record, "step") if n is not None)
    group = record.text("group", "") or None
    if group is not None:
        _check_level(record, "group", levels)
    feeding = group if group is not None else (levels[-1] if levels else "")
    matches = record.integer("matches", None)
    operands = _operands(record, dict(step), matches is None)
    barrier = _barrier(record, levels, feeding, [x.tensor for x in operands])
    least = record.integer("least", 0, least=0)
    if len(problems.errors) > before:
        return None
    return Lockstep(step, operands, matches, least, group, barrier)


def _extents(record: Record, key: str, everything: bool = False) -> list[tuple[str, int | None]]:
    """Ranks and extents; None for the word `all`."""
    node = record.node(key)
    if node is None:
        return []
    if not node.is_map:
        record.fault(key, f"{key} is {describe(node)}; expected a mapping of ranks to extents")
    found: list[tuple[str, int | None]] = []
    for rank, value in node.items():
        extent = whole(value)
        if everything and value.value == "all":
            found.append((rank, None))
        elif extent is None or extent < 1:
            record.problems.error(value, f"{key} of {rank} is {describe(value)}; expected a whole number, "
                                  f"1 or more{', or all' if everything else ''}")
        else:
            found.append((rank, extent))
    return found


def _operands(record: Record, step: dict[str, int], widths: bool) -> tuple[Operand, ...]:
    """`{T: width}` or `{T: {width:, ranks:}}`; a list of names where no width is needed."""
    node = record.node("operands")
    if node is None:
        return ()
    if node.is_list and not widths:
        names = record.names("operands", ())
        for name in {x for x in names if names.count(x) > 1}:
            record.fault("operands", f"operand {name} is listed twice; expected each tensor once")
        return tuple(map(Operand, names))
    if not node.is_map or len(node) == 0:
        record.fault("operands", f"operands is {describe(node)}; expected a mapping of tensors to the "
                     "non-zeros that a group takes a cycle, or with matches a list of tensors")
    return tuple(_operand(name, value, step, widths, record.problems) for name, value in node.items())


def _operand(name: str, node: Node, step: dict[str, int], widths: bool, problems: Problems) -> Operand:
    entry = node if node.is_map else node.at({"width": node})
    part = Record(entry, problems, f"operand {name}", ("width", "ranks"))
    if widths:
        part.require("width")
    elif part.has("width"):
        part.fault("width", f"a width of {name} beside matches; expected the matches alone, which are taken "
                   "together")
    ranks = part.names("ranks", None)
    for rank in ranks or ():
        if rank not in step:
            part.fault("ranks", f"rank {rank} of {name} is not in the step; expected {one_of(step)}"
                       f"{did_you_mean(rank, step)}")
    return Operand(name, part.integer("width", 1), ranks)


def _barrier(record: Record, levels: Sequence[str], group: str, tensors: Sequence[str]) -> Barrier | None:
    """A name of a level, or `{level:, every:, greedy:}`."""
    node = record.node("barrier")
    if node is None:
        return None
    entry = node if node.is_map else node.at({"level": node})
    part = Record(entry, record.problems, "barrier", ("level", "every", "greedy"))
    if not part.require("level"):
        return None
    level, greedy = part.text("level", ""), part.text("greedy", "") or None
    _check_level(part, "level", levels)
    if level in levels and group in levels and levels.index(level) >= levels.index(group):
        part.fault("level", f"a barrier at {level}, which is not above {group}, whose instances feed the "
                   f"groups; expected {one_of(levels[:levels.index(group)])}")
    if greedy is not None and greedy not in tensors:
        part.fault("greedy", f"greedy is {greedy!r}, which is no operand; expected {one_of(tensors)}"
                   f"{did_you_mean(greedy, tensors)}")
    return Barrier(level, tuple(_extents(part, "every", everything=True)), greedy)


def _check_level(record: Record, key: str, levels: Sequence[str]) -> None:
    name = record.text(key, "")
    if name not in levels:
        record.fault(key, f"{key} is {name!r}, which is no storage level; expected {one_of(levels)}"
                     f"{did_you_mean(name, levels)}")


def check_lockstep_names(architecture: Node, workload: WorkloadGraph, problems: Problems) -> None:
    """Report operands and ranks in the declaration of a native `architecture` that no layer of the
    workload has, and operands that are still being computed."""
    node = declared(architecture)
    if node is None:
        return
    inputs = {tensor.name for einsum in workload for tensor in einsum.tensors if not tensor.is_output}
    ranks = {rank for einsum in workload for rank in einsum.ranks}

    def known(place: Node, name: str, names: Collection[str], what: str) -> None:
        if name not in names:
            problems.error(place, f"unknown {what} {name!r}; expected {one_of(sorted(names))}"
                           f"{did_you_mean(name, names)}")

    operands = node.get("operands") or node.at({})
    for name, _ in operands.items():
        known(operands.key(name), name, inputs, "operand")
    for entry in filter(lambda x: x.is_scalar, operands):       # what is no name is reported where it is read
        known(entry, str(entry.value), inputs, "operand")
    barrier = node.get("barrier") or node.at({})
    for extents in (node.get("step") or node.at({}), barrier.get("every") or node.at({})):
        for rank, _ in extents.items():
            known(extents.key(rank), rank, ranks, "rank")


def declared(architecture: Node) -> Node | None:
    """The declaration in a native `architecture`, whose compute entry stands by itself or last of all."""
    parts = [*(architecture.get("levels") or ()), architecture.get("compute")]
    bottom = next((part for part in reversed(parts) if part is not None), None)
    return None if bottom is None else bottom.get("lockstep")


def lockstep_to_dict(lockstep: Lockstep) -> dict[str, Any]:
    """The native text of a declaration, such that reading it back gives an equal one."""
    operands: dict[str, Any] = {}
    for x in lockstep.operands:
        entry = {} if lockstep.matches is not None else {"width": x.width}
        operands[x.tensor] = entry | ({} if x.ranks is None else {"ranks": list(x.ranks)})
    result: dict[str, Any] = {"step": dict(lockstep.step), "operands": operands}
    for key in ("matches", "least", "group"):
        if value := getattr(lockstep, key):
            result[key] = value
    if lockstep.barrier is not None:
        barrier: dict[str, Any] = {"level": lockstep.barrier.level}
        if lockstep.barrier.every:
            barrier["every"] = {rank: "all" if n is None else n for rank, n in lockstep.barrier.every}
        if lockstep.barrier.greedy is not None:
            barrier["greedy"] = lockstep.barrier.greedy
        result["barrier"] = barrier
    return result
