"""Native text of what a machine does about zeros to `StorageSparsity` and `ComputeSparsity`."""

from __future__ import annotations

from typing import AbstractSet, Iterable, Iterator, get_args

from ..spec.fields import Record, describe, finite
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from ..workload.build import RANKS
from ..workload.graph import WorkloadGraph
from .sparsity import (
    ComputeSparsity,
    Condition,
    FormatKind,
    Optimization,
    OptimizationKind,
    RankFormat,
    Representation,
    StorageSparsity,
)

#: Native key of each kind of optimization, in the order in which a level holds them.
OPTIMIZATIONS: dict[str, OptimizationKind] = {
    "gate": "gating", "skip": "skipping", "skip_spatial": "skipping_spatial"}
STORAGE_KEYS = ("formats", "metadata", *OPTIMIZATIONS, "compresses", "decompresses", "overbooking")
COMPUTE_KEYS = ("gating", "skipping")
#: Field of `StorageSparsity` by its key under `metadata`.
METADATA = {"width": "metadata_width", "depth": "metadata_depth", "word_bits": "metadata_word_bits",
            "payload_bits": "payload_word_bits"}
ORDERS = {"inner_to_outer": True, "outer_to_inner": False}
_KINDS: tuple[FormatKind, ...] = get_args(FormatKind)


def storage_sparsity(record: Record) -> StorageSparsity:
    """What the level of `record` does about zeros; faults go to the problems of the record."""
    store = record.node("metadata") or record.source.at({})
    part = Record(store, record.problems, "metadata", tuple(METADATA))
    bits = {field: part.integer(key, None, least=int(key != "payload_bits"))
            for key, field in METADATA.items()}
    overbooking, most = _overbooking(record)
    found = StorageSparsity(
        formats=dict(_formats(record)),
        optimizations=tuple(found for key in OPTIMIZATIONS for found in _optimizations(record, key)),
        compresses=record.flag("compresses", False), decompresses=record.flag("decompresses", False),
        overbooking=overbooking, most_overbooked=most, **bits)
    targets = {kind: {option.target for x in found.optimizations if x.kind == kind for option in x.options}
               for kind in OPTIMIZATIONS.values()}
    if both := sorted(targets["skipping"] & targets["skipping_spatial"]):
        record.fault("skip_spatial", f"{', '.join(both)} skipped both in time and in space; "
                     "expected one of the two at a level")
    return found


def compute_sparsity(record: Record) -> ComputeSparsity:
    """What the compute units of `record` do with operands that are zero."""
    return ComputeSparsity(record.flag("gating", False), record.flag("skipping", False))


def _overbooking(record: Record) -> tuple[bool, float]:
    """`true`, or the share of tiles that may be too full."""
    node = record.node("overbooking")
    if node is None or isinstance(node.value, bool):
        return node is not None and node.value is True, 1.0
    share = finite(node)
    if share is None or not 0 <= share <= 1:
        record.fault("overbooking", f"overbooking is {describe(node)}; expected true, false or a share "
                     "from 0 to 1")
        return False, 1.0
    return True, float(share)


def _formats(record: Record) -> Iterator[tuple[str, Representation]]:
    node = record.node("formats")
    if node is None:
        return
    if not node.is_map:
        record.fault("formats", f"formats is {describe(node)}; expected a mapping from tensors to ranks")
    for tensor, given in node.items():
        order, ranks = None, given
        if given.is_map:
            part = Record(given, record.problems, "a format", ("ranks", "order"))
            if not part.require("ranks"):
                continue
            order, ranks = part.node("order"), given["ranks"]
        if order is not None and str(order.value) not in ORDERS:
            record.problems.error(order, f"order is {describe(order)}; expected {one_of(ORDERS)}"
                                  f"{did_you_mean(str(order.value), ORDERS)}")
        if not ranks.is_list or not len(ranks):
            record.problems.error(ranks, f"the ranks of {tensor} are {describe(ranks)}; expected a list of "
                                  "formats, outermost first")
        found = [_rank(rank, record.problems) for rank in ranks]
        yield tensor, Representation(tuple(rank for rank in found if rank is not None),
                                     order is not None and ORDERS.get(str(order.value), False))


def _rank(node: Node, problems: Problems) -> RankFormat | None:
    """The kind of a format alone, or a mapping with its bits."""
    kind, part = node, None
    if node.is_map:
        part = Record(node, problems, "a rank", ("format", "metadata_bits", "payload_bits", "flatten"))
        part.require("format")
        kind = node.get("format") or node.at(None)
    if kind.value not in _KINDS:
        if part is None or part.has("format"):
            problems.error(kind, f"format {describe(kind)}; expected {one_of(_KINDS)}"
                           f"{did_you_mean(str(kind.value), _KINDS)}")
        return None
    found = next(name for name in _KINDS if name == kind.value)
    if part is None:
        return RankFormat(found)
    return RankFormat(found, part.integer("metadata_bits", None, least=0),
                      part.integer("payload_bits", None, least=0),
                      tuple(_group(group, problems) for group in part.entries("flatten")))


def _group(node: Node, problems: Problems) -> tuple[str, ...]:
    """The ranks of the workload that one group names."""
    names = tuple(str(name.value) for name in node if isinstance(name.value, str))
    if not names or len(names) != len(node):
        problems.error(node, f"a group of ranks is {describe(node)}; expected a list of names such as [M, K]")
    return names


def _optimizations(record: Record, key: str) -> Iterator[Optimization]:
    for entry in record.entries(key):
        part = Record(entry, record.problems, f"an entry of {key}", ("target", "on", "options"))
        options = [entry]
        if part.has("options"):
            options = list(part.entries("options"))
            if not options and part.source["options"].is_list:
                part.fault("options", "no options; expected one or more")
            if part.has("target") or part.has("on"):
                part.fault("options", "options beside a target; expected one of the two")
        found = [_condition(option, record.problems) for option in options if entry.is_map]
        if all(found) and found:
            yield Optimization(OPTIMIZATIONS[key], tuple(option for option in found if option is not None))


def _condition(node: Node, problems: Problems) -> Condition | None:
    part = Record(node, problems, "an option", ("target", "on")) if "options" not in node else None
    if part is None or not part.require("target", "on"):
        return None
    condition = Condition(part.text("target", ""), part.names("on", ()))
    if node["on"].is_list and not len(node["on"]):
        part.fault("on", "a condition on no tensor; expected a list of tensors")
    elif condition.target in condition.on:
        part.fault("on", f"{condition.target} saved where {condition.target} itself is zero; expected "
                   "other tensors")
    return condition


def check_parents(entries: Iterable[Node], problems: Problems) -> None:
    """Report tensors that a level compresses though the level above, which must keep them, does not."""
    above: dict[str, tuple[str, bool]] = {}         # of each tensor that must be kept: where, compressed?
    for entry in entries:
        name = str(entry["name"].value) if "name" in entry else ""
        formats = dict((entry.get("formats") or entry.at({})).items())
        kept = {str(tensor.value) for tensor in entry.get("keep") or ()}
        for tensor, node in formats.items():
            if _compressing(node) and not above.get(tensor, ("", True))[1]:
                problems.error(node, f"{tensor} is compressed in {name} but not in {above[tensor][0]} above; "
                               f"expected a compressing format there, one of {', '.join(('B', 'CP', 'RLE'))}")
        above |= {tensor: (name, tensor in formats and _compressing(formats[tensor])) for tensor in kept}


def _compressing(node: Node) -> bool:
    ranks = node.get("ranks") if node.is_map else node
    kinds = [(rank.get("format") or rank).value if rank.is_map else rank.value for rank in ranks or ()]
    return any(kind in ("B", "CP", "RLE") for kind in kinds)


def check_names(architecture: Node, workload: WorkloadGraph, problems: Problems) -> None:
    """Report what a native `architecture` says about zeros of tensors and ranks that no layer of the
    workload has, and conditions on tensors that are still being computed. Ranks may be any of the
    layer types, so that a machine fits them all."""
    tensors = {tensor.name for einsum in workload for tensor in einsum.tensors}
    outputs = {tensor.name for einsum in workload for tensor in einsum.tensors if tensor.is_output}
    ranks = RANKS.union(*(einsum.ranks for einsum in workload))

    def known(node: Node, name: str, names: AbstractSet[str], what: str) -> None:
        if name not in names:
            problems.error(node, f"unknown {what} {name!r}; expected {one_of(sorted(names))}"
                           f"{did_you_mean(name, names)}")

    for level in architecture.get("levels") or ():
        formats = level.get("formats") or level.at({})
        for tensor, node in formats.items():
            known(formats.key(tensor), tensor, tensors, "tensor")
            for rank in (node.get("ranks") if node.is_map else node) or ():
                for name in (name for group in rank.get("flatten") or () for name in group):
                    known(name, str(name.value), ranks, "rank")
        for option in (option for key in OPTIMIZATIONS for entry in level.get(key) or ()
                       for option in entry.get("options") or (entry,)):
            target, on = option.get("target"), option.get("on")
            if target is not None and target.is_scalar:     # what is no name is reported where it is read
                known(target, str(target.value), tensors, "tensor")
            for node in () if on is None else filter(lambda x: x.is_scalar, on if on.is_list else (on,)):
                known(node, str(node.value), tensors, "tensor")
                if str(node.value) in outputs:
                    problems.error(node, f"a condition on {node.value}, which is the output; "
                                   "expected operands")
