"""Where the bounds of a search over chains of cuts come from: chains around one array, of which bandwidths
are left out, or chains shape by shape on any machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Callable, Mapping, Protocol

from ...bounds.cap import Cap
from ...bounds.chains.costs import Costs, Order
from ...bounds.chains.cuts import Chain, Cuts
from ...bounds.chains.inner import Late, Table
from ...bounds.chains.nests import Nests
from ...bounds.tower.chain import TowerChain
from ...bounds.tower.tower import Tower
from ...mapping.template import Keep
from ..limits import never

#: Most words of the tile of a tensor at a level.
Room = Mapping[tuple[int, str], float]


class CutBounds(Protocol):
    """Bounds on the objective of all mappings in which tensors are cut anywhere, with one choice of what
    levels keep, and tiles that keep to some room."""

    def floor(self, keep: Keep, room: Room) -> float:
        """One that is known soon."""
        ...

    def solve(self, keep: Keep, room: Room, cutoff: float) -> tuple[float, list[Cuts]]:
        """A bound, and chains that attain it; none where it is not below the cutoff, which need not be
        passed then. inf where nothing fits."""
        ...


@dataclass(frozen=True)
class ByNests:
    """Chains on machines with one array at most, in some `order`; `held` keeps what they have in common."""

    nests: Nests
    powers: tuple[int, int]
    cap: Cap
    order: Order | None = None
    held: dict[object, dict[Late, Table]] = field(default_factory=dict)

    def ordered(self, order: Order) -> ByNests:
        """The same for chains in an order."""
        return replace(self, order=order)

    def floor(self, keep: Keep, room: Room) -> float:
        return Costs(self.nests, keep, room).floor(self.powers)

    def solve(self, keep: Keep, room: Room, cutoff: float) -> tuple[float, list[Cuts]]:
        chain = Chain(self.nests, keep, self.powers, room, self.cap, self.held, self.order)
        return chain.value, [chain.cuts()] if chain.value < cutoff else []


@dataclass(frozen=True)
class ByTower:
    """Chains on any machine, shape by shape of its arrays."""

    tower: Tower
    powers: tuple[int, int]
    cap: Cap
    stopped: Callable[[], bool] = never

    def floor(self, keep: Keep, room: Room) -> float:
        return TowerChain(self.tower, keep, self.powers, room, self.cap).floor()

    def solve(self, keep: Keep, room: Room, cutoff: float) -> tuple[float, list[Cuts]]:
        chain = TowerChain(self.tower, keep, self.powers, room, self.cap)
        chain.stopped = self.stopped
        return chain.chains(cutoff)
