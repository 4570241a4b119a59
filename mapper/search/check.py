"""Re-derive the bounds of a search from its certificate, without a solver."""

from __future__ import annotations

from math import inf
from typing import Any

from ..bounds.cap import Cap
from ..bounds.chains.nests import Nests
from ..bounds.lattice.lattice import Lattice
from ..bounds.programs.bound import Plane, parts_values, proven, proven_value
from ..bounds.programs.program import Multipliers, Program
from ..bounds.region import Region
from ..bounds.tiles.bound import TileBound
from ..bounds.tiles.tiles import Tiles
from ..bounds.whole import has_open_bound, has_whole_bound, whole_bound
from ..hardware.architecture import Architecture
from ..mapping.constraints import NONE, Constraints
from ..workload.einsum import Einsum
from .imperfect_explorer import ImperfectExplorer, may_enumerate
from .keeps import Decision
from .layer import ENUMERATE
from .leftover import Leftover
from .local import Explorer
from .objectives import OBJECTIVES, cap
from .space import Mapspace
from .uneven.arranged import arrangements, least_steps
from .uneven.uneven import MOST_CHAINS, MOST_SHAPES, cut_search, proven_by, shape_search


class ProofError(ValueError):
    """A certificate does not prove what it claims."""


def rederive(architecture: Architecture, einsum: Einsum, objective: str, enough: float,
             dual: dict[str, Any], constraints: Constraints = NONE,
             among: tuple[str, float] | None = None) -> tuple[float, float]:
    """(relaxed bound over the whole mapspace, bound proven by the regions together); neither is
    looked for above `enough`. `among`: see `Certificate`.

    Multipliers are turned into bounds by arithmetic, "enumerated" regions are evaluated again,
    and the parts of a split are those that `Mapspace.split` gives, so nothing can be left out.

    Raises
    ------
    ProofError
        The certificate does not have the form of a proof for this mapspace.
    """
    if constraints.uneven:
        return _by_chains(Mapspace(architecture, einsum, constraints), objective, enough, dual, cap(among))
    checker = _Checker(Mapspace(architecture, einsum, constraints), objective, enough, cap(among))
    relaxed, proven = checker.proven(checker.space.whole, dual, 0.0)
    return min(relaxed, enough), min(proven, enough)


def _by_chains(space: Mapspace, objective: str, enough: float, dual: dict[str, Any],
               limit: Cap) -> tuple[float, float]:
    """What chains of cuts prove, as many as the search has looked at."""
    if dual.get("method") == "arranged":
        return _by_arrangements(space, objective, enough, dual, limit)
    if dual.get("method") != "cuts":
        return 0.0, 0.0
    powers = OBJECTIVES[objective]
    chains, shapes = _count(dual, "chains", MOST_CHAINS), _count(dual, "shapes", MOST_SHAPES)
    found = cut_search(space, Nests(space.scenario), powers, limit, chains)
    if found is not None:
        next(found.leaves([enough]), None)
    other = shape_search(space, powers, limit, found, enough, shapes) if "shapes" in dual else None
    if other is not None:
        next(other.leaves([enough]), None)
    if found is None and other is None:
        raise ProofError("chains of cuts, which do not bound the mappings of this machine")
    return proven_by(found, other, enough)


def _count(dual: dict[str, Any], key: str, most: int) -> int:
    """How many chains are looked at."""
    count = dual.get(key, 0)
    if not isinstance(count, int) or not 0 <= count <= most + 1:     # the last two may be a pair
        raise ProofError(f"{count!r} {key} of cuts; at most {most} are looked at")
    return count


def _by_arrangements(space: Mapspace, objective: str, enough: float, dual: dict[str, Any],
                     limit: Cap) -> tuple[float, float]:
    """What programs prove of all orders in which tensors may be cut."""
    every, proofs = arrangements(space) or [], dual.get("parts")
    if not every or not isinstance(proofs, list) or len(proofs) != len(every):
        raise ProofError(f"no proofs for the {len(every)} orders in which tensors may be cut, one each")
    bound, steps = enough, least_steps(space)
    for arrangement, proof in zip(every, proofs, strict=True):
        own = Mapspace(arrangement.machine, arrangement.einsum, arrangement.constraints)
        own.least_steps = steps
        checker = _Checker(own, objective, enough, limit)
        bound = min(bound, checker.proven(own.whole, proof, 0.0)[1])
    return bound, bound


class _Checker:
    def __init__(self, space: Mapspace, objective: str, enough: float, cap: Cap) -> None:
        self.space, self.cap = space, cap
        self.relaxation = space.relaxation(cap)
        self.powers = OBJECTIVES[objective]
        explorer = ImperfectExplorer if space.imperfect else Explorer
        self.explorer: Explorer = explorer(space, *self.powers, cap)
        self.divisors = Lattice(space.scenario)
        self.tiles = Tiles(space.scenario)
        self.leftover = Leftover(self.explorer, self.tiles)
        self.enough = enough

    def floor(self, region: Region, values: list[float] | None) -> float:
        """Proven energy of the region, pJ."""
        program = self.relaxation.program(region, 1, 0)
        if program is None or values is None:
            return 0.0
        return proven_value(program, _multipliers(program, values), 0.0)

    def bound(self, region: Region, proof: dict[str, Any], floor: float) -> tuple[float, Plane | None]:
        """What the multipliers of the region itself prove of it, and of its parts."""
        values = proof.get("multipliers")
        program = self.relaxation.program(region, *self.powers, floor)
        if program is None or values is None:
            return inf if program is None else 0.0, None
        return proven(self.relaxation, region, program, _multipliers(program, values), floor)

    def proven(self, region: Region, proof: Any, floor: float, least: float = 0.0) -> tuple[float, float]:
        """What is proven of a region by multipliers alone where nothing is decided but what levels keep,
        and by all its multipliers and the proofs of its parts together; `least`: by those of the region
        that it is a part of."""
        if not isinstance(proof, dict):
            raise ProofError("a proof is no mapping")
        floor = max(floor, self.floor(region, proof.get("floor")))
        own, below = self.bound(region, proof, floor)
        relaxed = value = max(own, least)
        if proof.get("method") == "enumerated":
            return relaxed, max(value, self.enumerate(region))
        if proof.get("method") == "lattice":
            value = max(value, self.lattice(region))
        if "parts" in proof:
            parts, proofs = self.parts(region, proof)
            shown = parts_values(below, self.relaxation, parts)
            found = [self.proven(part, own, floor, least)
                     for part, own, least in zip(parts, proofs, shown, strict=True)]
            value = max(value, min((x for _, x in found), default=inf))
            if region.open:
                relaxed = max(relaxed, min((x for x, _ in found), default=inf))
        return relaxed, value

    def parts(self, region: Region, proof: dict[str, Any]) -> tuple[list[Region], list[Any]]:
        """The parts of a region with their proofs."""
        parts, proofs = self.space.split(region), proof["parts"]
        if region.open:
            parts = self.space.choices.decide(region, _decision(region, proof.get("decision")))
        if not isinstance(proofs, list) or len(parts) != len(proofs):
            raise ProofError(f"no proofs for the {len(parts)} parts of a region, one each")
        return parts, proofs

    def enumerate(self, region: Region) -> float:
        """The least objective of all mappings of the region."""
        if region.open:
            raise ProofError("a region counts as enumerated although it is open what its levels keep")
        if not self.space.orders_complete:
            raise ProofError("a region counts as enumerated although not every loop order was tried")
        mappings = self.space.combinations(region)
        if not may_enumerate(self.space, mappings) if self.space.imperfect else mappings > ENUMERATE:
            raise ProofError("a region counts as enumerated although it is too large for that")
        everything = self.space.in_order(region, self.space.enumerate(region))
        return min((float(self.explorer.values(region.keep, orders, factors).min(initial=inf))
                    for orders, factors in everything), default=inf)

    def lattice(self, region: Region) -> float:
        """The bound over whole factors of a region with nothing but its keep/bypass choice, or of all."""
        if region not in (self.space.root(region.keep), self.space.whole):
            raise ProofError("a region counts as bounded by its lattice although choices were made in it")
        by_energy = self.powers[0] + self.cap.energy_power > 0
        has_bound = has_whole_bound(self.divisors, by_energy)
        if region.open:
            has_bound = has_open_bound(self.divisors, region.open, by_energy)
        if not (self.tiles.applies and not region.open if self.space.imperfect else has_bound):
            raise ProofError("a region counts as bounded by its lattice, which this machine has not")
        if self.space.imperfect:
            bound = TileBound(self.tiles, region.keep, *self.powers, self.cap)
            value, _ = bound.solve(self.enough)
            return value if value >= self.enough else max(value, self.leftover.least(bound, self.enough))
        found = whole_bound(self.divisors, region.keep, *self.powers, self.cap, region.open).solve(
            self.enough)
        return 0.0 if found is None else found[0]


def _multipliers(program: Program, values: list[float]) -> Multipliers:
    try:
        return Multipliers.from_flat(program, values)
    except (ValueError, TypeError) as error:
        raise ProofError(str(error)) from None


def _decision(region: Region, given: Any) -> Decision | None:
    """By what a region is split in which it is open what levels keep."""
    if given is None:
        return None
    for level, names in enumerate(region.open):
        for name in names:
            if given == [level, name]:
                return level, name
    raise ProofError(f"a region is split by {given}, which is not open in it")
