"""The other rule for partial sums, which Timeloop takes when TIMELOOP_ENABLE_UPDATED_RMW is set.

It is read off the one recorded case (`env_updated_rmw`), and applied only where that case says what
happens: to outputs kept at three levels, of which the outermost cannot add by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping as MappingOf

from ..errors import MappingError
from ..hardware.architecture import Architecture
from ..mapping.nest import Mapping
from ..workload.einsum import Einsum
from .traffic import Accesses, Traffic


def updated(architecture: Architecture, einsum: Einsum, mapping: Mapping,
            traffic: MappingOf[str, Traffic]) -> dict[str, Traffic]:
    """The `traffic` of a nest under that rule, from what the usual one gives.

    The innermost level begins every visit to a word at zero, for the level above adds what comes:
    nothing is filled, and the first update of a visit reads nothing. The middle level is as ever. The
    outermost level is read at every update, the first of a word too, and adds nothing itself.

    Raises
    ------
    MappingError
        What the rule is for this machine or mapping is not known.
    """
    reasons = [reason for t in einsum.tensors if t.is_output
               for reason in _unknown(architecture, mapping, t.name, traffic[t.name])]
    if not mapping.perfect or einsum.flattened:
        reasons.append("updated read-modify-write is known for plain ranks and whole factors only")
    if reasons:
        raise MappingError(reasons)
    return {t.name: _updated(traffic[t.name]) if t.is_output else traffic[t.name] for t in einsum.tensors}


def _updated(traffic: Traffic) -> Traffic:
    levels: list[Accesses | None] = list(traffic.accesses)
    kept = [(i, x) for i, x in enumerate(levels) if x is not None]
    (first, outer), _, (last, inner) = kept
    levels[first] = replace(outer, reads=outer.updates, temporal_reductions=0)
    reads = inner.reads - inner.fills
    levels[last] = replace(inner, reads=reads, fills=0, temporal_reductions=reads)
    return replace(traffic, accesses=tuple(levels))


def _unknown(architecture: Architecture, mapping: Mapping, tensor: str, traffic: Traffic) -> list[str]:
    """Why the recorded case does not tell what happens to `tensor`."""
    kept = [level for level, x in zip(architecture.levels, traffic.accesses, strict=True) if x is not None]
    reasons = []
    if len(kept) != 3 or [level.reduces for level in kept] != [False, True, True]:
        reasons.append(f"tensor {tensor}: kept at {', '.join(level.name for level in kept)}; updated "
                       "read-modify-write is known for three levels, of which all but the outermost add")
    if any(traffic.passed):
        reasons.append(f"tensor {tensor}: passed on between neighbours, which updated read-modify-write "
                       "is not known for")
    reasons += [f"{block.level}: a directive on tensor {tensor}, which updated read-modify-write is not "
                "known for" for block in mapping if block.skew or tensor in (
                    block.no_temporal_reuse | block.rmw_first_update | block.no_coalesce)]
    return reasons
