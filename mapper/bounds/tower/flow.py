"""Streams of words on machines with arrays at several levels, and what they cost, for a batch of shapes.

A *stream* is what a tensor brings to the instances of a level that keeps it, from the next one outside that
does. It stays where it is while loops run that do not move the tensor. Where the first one begins that does,
all that is left to know of the stream is the tile b that these loops step by: each of its words enters once
for every iteration of the loops outside b.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from ...hardware.architecture import Storage
from ...mapping.template import Keep
from ...model.energy import address_price
from ...model.network import ROUNDING, Toll, toll
from ...workload.einsum import Tensor
from .tower import Shapes, Tower

_READ, _WRITE = ("read",), ("fill", "update")


@dataclass(frozen=True)
class Flow:
    """A stream that is moved where loops of some level begin: the `words` that enter all instances of `child`
    together, by shape and point, and for every array that they pass, innermost first, which share of what
    instances receive the level above it sends. Points that no tile of the shape divides count for nothing."""

    tensor: Tensor
    parent: int
    child: int
    words: np.ndarray
    shared: tuple[np.ndarray, ...]


class Flows:
    """The streams of a batch of shapes. Levels `keep` tensors for sure, and `loose` ones perhaps."""

    def __init__(self, tower: Tower, keep: Keep, loose: Keep,
                 shapes: Shapes) -> None:
        self.t, self.l, self.shapes = tower, tower.l, shapes
        self.keep, self.loose = keep, loose or [frozenset[str]()] * len(keep)
        self.depth, self.macs = tower.depth, float(tower.l.einsum.macs)
        self.everything = frozenset(self.l.ranks)
        self.passes = self.macs / self.l.product(self.everything)       # of all loops outside a point
        self.ranks = {t.name: t.ranks for t in self.l.einsum.tensors}
        self._words: dict[tuple[str, int, int], np.ndarray] = {}
        self._parts: dict[tuple[str, int, int], np.ndarray] = {}
        self._shares: dict[tuple[str, int, int, str, float, float | None], np.ndarray] = {}
        self._places: dict[tuple[int, ...], np.ndarray] = {}
        self._copies: dict[tuple[str, int], np.ndarray] = {}

    def parents(self, name: str, child: int) -> list[int]:
        """The levels that a tensor may come from where `child` holds it, the next one first: that which
        surely keeps it and those before that may."""
        found = []
        for level in reversed(range(child)):
            if name in self.keep[level] or name in self.loose[level]:
                found.append(level)
            if name in self.keep[level]:
                break
        return found

    def in_vain(self, name: str, level: int, child: int) -> bool:
        """Whether a level had better not keep a tensor of which `child` holds the same words: no more of them
        enter `child` than would enter `level`, as each is sent to all instances that hold it."""
        tensor = self.l.einsum.tensor(name)
        slides = any(sum(t.rank in self.l.ranks for t in axis) > 1 for axis in tensor.projection)
        wide = [i for i in self.l.scenario.wide if level <= i < child]
        networks = [self.l.arch.levels[i] for i in range(level, child) if toll(self.l.arch, i) is not None]
        return not (slides and wide) and all(self.t.multicast(i, tensor) for i in wide) and (
            not tensor.is_output or all(network.reduces for network in networks))

    def own(self, tensor: Tensor) -> np.ndarray:
        """What arrays unroll of the ranks that move a tensor, (shapes, levels, ranks)."""
        moves = [rank in self.ranks[tensor.name] for rank in self.l.ranks]
        return np.where(moves, self.shapes.both, 1)

    def copies(self, tensor: Tensor, level: int) -> np.ndarray:
        """Instances of `level` that hold the same words, (shapes, 1)."""
        if (tensor.name, level) not in self._copies:
            other = self.shapes.both[:, :level] // self.own(tensor)[:, :level]
            self._copies[tensor.name, level] = other.prod(axis=(1, 2), dtype=float)[:, None]
        return self._copies[tensor.name, level]

    def at_units(self, tensor: Tensor, parent: int) -> Flow:
        """What the units ask for, which take a word of every tensor in each step."""
        tiles = np.zeros((len(self.shapes.x), 1), dtype=np.int64)
        shared = tuple(self._shared(tensor, i, tiles if i == self.depth - 1 else None)
                       for i in reversed(range(parent, self.depth)))
        return Flow(tensor, parent, self.depth, np.full(tiles.shape, self.macs), shared)

    def once(self, tensor: Tensor, child: int, parent: int) -> Flow:
        """A stream that brings each instance all its words but once, or less: the sums of m and n coordinates
        are m + n - 1 at least, however far apart."""
        shared = tuple(self._least_shared(tensor, i) for i in reversed(range(parent, child)))
        words = self.shapes.instances[:, child]
        rest = self.l.extents / self.shapes.both[:, :child].prod(axis=1)
        for axis in tensor.projection:
            columns = [self.l.ranks.index(t.rank) for t in axis if t.rank in self.l.ranks]
            words = words * (1 + (rest[:, columns] - 1).sum(axis=1))
        return Flow(tensor, parent, child, words[:, None], shared)

    def flow(self, tensor: Tensor, child: int, parent: int, level: int) -> Flow:
        """The stream of `child` from `parent` if the first loops that move the tensor are those of `level`,
        outside it or beside it."""
        key = tensor.name, child, level
        if key not in self._words:
            own = self.own(tensor)
            below = {i: self._inside(own[:, level:i + 1].prod(axis=1)) for i in range(level, child)}
            spread = self.shapes.spread[:, level:child].prod(axis=1)[:, None]
            tiles = np.maximum(below[child - 1], 0) if below else np.arange(len(self.l.points))[None]
            self._words[key] = self.l.volumes[tensor.name][tiles] * self.passes * spread
            for i, inside in below.items():
                if (tensor.name, i, level) not in self._parts:
                    self._parts[tensor.name, i, level] = self._shared(tensor, i, inside)
        shared = tuple(self._parts[tensor.name, i, level] if i >= level else self._least_shared(tensor, i)
                       for i in reversed(range(parent, child)))
        return Flow(tensor, parent, child, self._words[key], shared)

    def _least_shared(self, tensor: Tensor, level: int) -> np.ndarray:
        """`_shared` whatever instances hold."""
        key = tensor.name, level, self.depth
        if key not in self._parts:
            self._parts[key] = self._shared(tensor, level, None)
        return self._parts[key]

    def _inside(self, unrolled: np.ndarray) -> np.ndarray:
        """`Tower.inside`; of all shapes at once where nothing is unrolled, (1, points)."""
        return np.arange(len(self.l.points))[None] if (unrolled == 1).all() else self.t.inside(unrolled)

    def _shared(self, tensor: Tensor, level: int, tiles: np.ndarray | None) -> np.ndarray:
        """Different tiles of the instances of the array below `level`, or less, to their number, by shape and
        point. `tiles`: what one instance holds, as lattice points; None where that is not known."""
        spread = self.shapes.spread[:, level, None]
        if not self.t.multicast(level, tensor):
            return np.ones_like(spread)
        unrolled, count = self.own(tensor)[:, level], np.ones_like(spread)
        for axis in tensor.projection:
            columns = [self.l.ranks.index(t.rank) for t in axis if t.rank in self.l.ranks]
            if tiles is not None and len(columns) == 2 and (unrolled[:, columns] > 1).all(axis=1).any():
                shape = self.l.index(unrolled)[:, None]
                count = count * self.l.distinct_along(axis, np.maximum(tiles, 0), shape)
            else:
                count = count * (1 + (unrolled[:, columns] - 1).sum(axis=1))[:, None]
        return np.asarray(count / spread)

    def share(self, flow: Flow, level: int, slider: str, steps: float, then: float | None) -> np.ndarray:
        """The share of its words that is left of a stream if `slider` steps innermost at `level`, and the
        other rank of its axis after it, `then` times (None: as often as is best); infinitely often: loops
        further out may go on (see `Windows`). By shape and point."""
        axis = {t.rank for t in self.l.windows.axes[flow.tensor.name][slider]}
        ranks = tuple(i for i, rank in enumerate(self.l.ranks) if rank in axis)
        key = flow.tensor.name, flow.child, level, slider, steps, then
        if key not in self._shares:
            unrolled = self.shapes.both[:, level:flow.child].prod(axis=1)
            tiles = np.maximum(self.t.inside(unrolled, ranks), 0)
            outer = np.broadcast_to(self.t.inside(np.ones_like(unrolled[:1]), ranks), tiles.shape)
            slid = flow.tensor, slider, tiles.ravel(), outer.ravel(), np.full(tiles.size, steps)
            apart = np.repeat(self.shapes.both[:, :level].prod(axis=1), tiles.shape[1], axis=0)
            windows = self.l.windows
            share = windows.going_on(*slid, apart) if then == inf else windows.followed(*slid, then)
            self._shares[key] = share.reshape(tiles.shape)
        return self._shares[key][:, self._place(ranks)]

    def _place(self, ranks: tuple[int, ...]) -> np.ndarray:
        """Where each lattice point is found among the tiles of some ranks alone."""
        if ranks not in self._places:
            place = np.zeros(len(self.l.points), dtype=np.int64)
            for i in ranks:
                place = place * self.l.shape[i] + self.l.grid[i]
            self._places[ranks] = place
        return self._places[ranks]


class Energy:
    """The energy of streams, pJ, by shape and point."""

    def __init__(self, flows: Flows) -> None:
        self.f, self.l = flows, flows.l
        self.levels: tuple[Storage, ...] = self.l.arch.levels
        self.tolls: list[Toll | None] = [toll(self.l.arch, i) for i in range(flows.depth)]
        self._ways: dict[tuple[int, str], np.ndarray] = {}
        self._prices: dict[tuple[int, str, str], tuple[np.ndarray, np.ndarray | None]] = {}

    def computes(self) -> float:
        """Energy of the units."""
        return self.l.prices.computes(self.f.keep)

    def at_units(self, tensor: Tensor, parent: int) -> np.ndarray:
        """Energy of what the units ask for, (shapes,)."""
        flow = self.f.at_units(tensor, parent)
        return self.of(flow, flow.words)[:, 0]

    def least(self) -> np.ndarray:
        """Energy if streams bring every word but once, or less, and every tensor comes by the cheapest way;
        (shapes,)."""
        return sum((self.ways(tensor)[-1] for tensor in self.l.einsum.tensors),
                   start=np.full(len(self.f.shapes.x), self.computes()))

    def ways(self, tensor: Tensor) -> list[np.ndarray]:
        """The energy of the cheapest way of a tensor to each level, and to the units, of every word but once;
        (shapes,)."""
        ways = [np.zeros(len(self.f.shapes.x))]
        for child in range(1, self.f.depth + 1):
            own = []
            for parent in self.f.parents(tensor.name, child):
                once = child < self.f.depth and self.f.once(tensor, child, parent)
                cost = self.of(once, once.words)[:, 0] if once else self.at_units(tensor, parent)
                own.append(ways[parent] + cost)
            ways.append(np.minimum.reduce(own))
        return ways

    def of(self, flow: Flow, words: np.ndarray) -> np.ndarray:
        """Energy of so many `words` that enter, by shape and point."""
        tensor, cost, sent = flow.tensor, np.zeros(1), words
        for level, share in zip(reversed(range(flow.parent, flow.child)), flow.shared, strict=True):
            sent = sent * share
            cost = cost + self._carried(level, tensor, sent, level == flow.parent)
        if not tensor.is_output:
            cost = cost + self._access(flow.parent, tensor, "read", sent)
            return cost if flow.child == self.f.depth else cost + self._access(
                flow.child, tensor, "fill", words)
        cost = cost + self._access(flow.parent, tensor, "update", sent)
        if tensor.has_disjoint_tiles:
            again = self._again(tensor, flow.parent, sent)
            cost = cost + self._access(flow.parent, tensor, "read", again)
            if flow.child < self.f.depth:
                again = self._again(tensor, flow.child, words)
                cost = cost + self._access(flow.child, tensor, "fill", again)
        return cost

    def _again(self, tensor: Tensor, level: int, words: np.ndarray) -> np.ndarray:
        """Words of an output but for the first visits, at all instances of `level`."""
        first = self.l.einsum.tensor_words(tensor.name) * self.f.copies(tensor, level)
        return np.maximum(words - first, 0.0)

    def _access(self, level: int, tensor: Tensor, action: str, words: np.ndarray) -> np.ndarray:
        """Energy of `words` at all instances of a level together: whole blocks at each, and addresses."""
        key = level, tensor.name, action
        if key not in self._prices:
            self._prices[key] = self._price(level, tensor, action)
        price, by_block = self._prices[key]
        if by_block is None:
            return np.asarray(words * price)
        size = self.levels[level].block_words * self.f.shapes.instances[:, level, None]
        blocks = np.ceil(words / size - 1e-6)
        return np.asarray(words * price + blocks * by_block)

    def _price(self, level: int, tensor: Tensor, action: str) -> tuple[np.ndarray, np.ndarray | None]:
        """pJ a word, and a block at every instance, where blocks are of more than a word; (shapes, 1)."""
        # A value that is read in order to be updated shares the address of its update.
        addressed = action != "read" or not tensor.is_output
        spec, instances = self.levels[level], self.f.shapes.instances[:, level, None]
        share = np.minimum(instances, max(spec.instances // spec.cluster_size, 1)) / instances
        price = self.l.prices.word(self.f.keep, level, tensor.name, action) / spec.least_share * share
        address = address_price(spec) * addressed * share
        if spec.block_words == 1:
            return price + address, None
        return address, price * spec.block_words * instances

    def _carried(self, level: int, tensor: Tensor, words: np.ndarray, kept: bool) -> np.ndarray:
        """Energy that the network below `level`, which may have `kept` the tensor, takes for words that it
        sends, or brings back."""
        price, spec = self.tolls[level], self.levels[level]
        if price is None:
            return np.zeros(1)
        entering, doubled = words, tensor.is_output and not spec.reduces
        if doubled and (tensor.has_disjoint_tiles or not kept):
            entering = words + (self._again(tensor, level, words) if kept else words)
        cost = entering * price.entry
        if price.hop or price.router:
            way = self._way(level, tensor)
            cost = cost + words * way * price.hop
            cost = cost + entering * np.floor(way / (1 + doubled) + ROUNDING) * price.router
        return cost

    def _way(self, level: int, tensor: Tensor) -> np.ndarray:
        """Links that a word passes over below `level`, (shapes, 1)."""
        if (level, tensor.name) not in self._ways:
            self._ways[level, tensor.name] = self.f.t.way(level, tensor, self.f.shapes)[:, None]
        return self._ways[level, tensor.name]


class Port(Energy):
    """Cycles that a port of a level asks for, counted like energy: at `1 / bandwidth` a word and instance."""

    def __init__(self, flows: Flows, level: int, actions: tuple[str, ...], bandwidth: float) -> None:
        super().__init__(flows)
        self.level, self.actions, self.bandwidth = level, actions, bandwidth
        self.tolls = [None] * flows.depth

    def computes(self) -> float:
        return 0.0

    def _price(self, level: int, tensor: Tensor, action: str) -> tuple[np.ndarray, np.ndarray | None]:
        instances = self.f.shapes.instances[:, level, None]
        if level != self.level or action not in self.actions:
            return np.zeros_like(instances), None
        scale = dict(self.levels[level].bandwidth_scale).get(tensor.name, 1.0)
        return scale / self.bandwidth / instances, None


class Mixed:
    """Energy, with so many times the cycles of a port, by shape."""

    def __init__(self, energy: Energy, port: Port, weights: np.ndarray) -> None:
        self.energy, self.port, self.weights = energy, port, weights

    def computes(self) -> float:
        return self.energy.computes()

    def at_units(self, tensor: Tensor, parent: int) -> np.ndarray:
        return self.energy.at_units(tensor, parent) + self.weights * self.port.at_units(tensor, parent)

    def ways(self, tensor: Tensor) -> list[np.ndarray]:
        both = zip(self.energy.ways(tensor), self.port.ways(tensor), strict=True)
        return [energy + self.weights * cycles for energy, cycles in both]

    def of(self, flow: Flow, words: np.ndarray) -> np.ndarray:
        return self.energy.of(flow, words) + self.weights[:, None] * self.port.of(flow, words)


def ports(flows: Flows) -> list[Port]:
    """All ports that have a limit."""
    return [Port(flows, i, actions, bandwidth) for i, level in enumerate(flows.l.arch.levels)
            for bandwidth, actions in ((level.read_bandwidth, _READ), (level.write_bandwidth, _WRITE),
                                       (level.shared_bandwidth, _READ + _WRITE)) if bandwidth is not None]
