"""The regions that a search has looked at, as a tree, and the proof that they make together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator

from ..bounds.programs.bound import Bound
from ..bounds.programs.program import Multipliers
from ..bounds.region import Region
from .keeps import Decision


@dataclass(eq=False)
class Node:
    """A region with what has been proven of it, and its parts once it is split."""

    region: Region
    bound: Bound
    value: float                     # proven: no mapping of the region lies below
    floor: float                     # proven: nor has one less energy, pJ
    floor_proof: Multipliers | None = None      # of the floor, where it is not that of the region outside
    decision: Decision | None = None            # what a region is split by in which not all keeps are decided
    parts: list[Node] = field(default_factory=list)
    split: bool = False              # into these parts, of which there may be none
    method: str = ""                 # how it was closed: "enumerated", "lattice", or not at all

    def all(self) -> Iterator[Node]:
        """The region, and the parts it was split into, theirs included."""
        yield self
        for part in self.parts:
            yield from part.all()


def relaxed(node: Node, least: float) -> float:
    """What the programs prove where nothing is decided but what levels keep."""
    least = max(least, node.bound.value)
    if node.region.open and node.parts:
        return min(relaxed(part, least) for part in node.parts)
    return least


def proof_of(node: Node, proven: float) -> dict[str, Any]:
    """What re-derives that no mapping of the region is below `proven`: its multipliers and, where
    they do not suffice, how it was closed or the proofs of its parts (see `search.check`)."""
    proof: dict[str, Any] = {"multipliers": _flat(node.bound.multipliers)}
    if node.floor_proof is not None:
        proof["floor"] = _flat(node.floor_proof)
    if node.bound.value >= proven:
        return proof
    if node.method:
        proof["method"] = node.method
    if node.parts or node.split:
        if node.decision is not None:
            proof["decision"] = list(node.decision)
        proof["parts"] = [proof_of(part, proven) for part in node.parts]
    return proof


def _flat(multipliers: Multipliers | None) -> list[float] | None:
    return None if multipliers is None else multipliers.flat()
