"""Streams of words on machines with arrays at several levels, and what they cost, for a batch of shapes.

A *stream* is what a tensor brings to the instances of a level that keeps it, from the next one outside that
does. It stays where it is while loops run that do not move the tensor. Where the first one begins that does,
all that is left to know of the stream is the tile b that these loops step by: each of its words enters once
for every iteration of the loops outside b.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Sequence

import numpy as np

from ..hardware.architecture import Storage
from ..model.energy import address_price
from ..model.network import ROUNDING, Toll, toll
from ..workload.einsum import Tensor
from .lattice_windows import Reach
from .tower import Shapes, Tower

_READ, _WRITE = ("read",), ("fill", "update")


#: Shapes and points; or rows and columns of an array over both.
Cells = tuple[slice, slice] | tuple[np.ndarray, np.ndarray]
EVERY: Cells = (slice(None), slice(None))


def part(table: np.ndarray, cells: Cells) -> np.ndarray:
    """Some cells of a table over shapes and points, or over one of these only; the table, for every cell."""
    if cells is EVERY:
        return table
    rows, columns = cells
    return np.asarray(table[rows if table.shape[0] > 1 else 0, columns if table.shape[1] > 1 else 0])


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
    """The streams of one keep/bypass choice, of a batch of shapes."""

    def __init__(self, tower: Tower, keep: Sequence[frozenset[str]], shapes: Shapes) -> None:
        self.t, self.l, self.keep, self.shapes = tower, tower.l, keep, shapes
        self.depth, self.macs = tower.depth, float(tower.l.einsum.macs)
        self.everything = frozenset(self.l.ranks)
        self.passes = self.macs / self.l.product(self.everything)       # of all loops outside a point
        #: By tensor the level that each level that keeps it, or the units, is filled from.
        self.parents = {t.name: {child: parent for parent, child in pairwise(
            [*(i for i, names in enumerate(keep) if t.name in names), self.depth])}
            for t in self.l.einsum.tensors}
        self.ranks = {t.name: t.ranks for t in self.l.einsum.tensors}
        self._flows: dict[tuple[str, int, int], Flow] = {}
        self._shares: dict[tuple[str, int, int, str, float | None], np.ndarray] = {}
        self._places: dict[tuple[int, ...], np.ndarray] = {}
        self._copies: dict[tuple[str, int], np.ndarray] = {}

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

    def at_units(self, tensor: Tensor) -> Flow:
        """What the units ask for, which take a word of every tensor in each step."""
        parent = self.parents[tensor.name][self.depth]
        tiles = np.zeros((len(self.shapes.x), 1), dtype=np.int64)
        shared = tuple(self._shared(tensor, i, tiles if i == self.depth - 1 else None)
                       for i in reversed(range(parent, self.depth)))
        return Flow(tensor, parent, self.depth, np.full(tiles.shape, self.macs), shared)

    def once(self, tensor: Tensor, child: int) -> Flow:
        """A stream that brings each instance all its words but once, or less: the sums of m and n coordinates
        are m + n - 1 at least, however far apart."""
        parent = self.parents[tensor.name][child]
        shared = tuple(self._shared(tensor, i, None) for i in reversed(range(parent, child)))
        words = self.shapes.instances[:, child]
        rest = self.l.extents / self.shapes.both[:, :child].prod(axis=1)
        for axis in tensor.projection:
            columns = [self.l.ranks.index(t.rank) for t in axis if t.rank in self.l.ranks]
            words = words * (1 + (rest[:, columns] - 1).sum(axis=1))
        return Flow(tensor, parent, child, words[:, None], shared)

    def flow(self, tensor: Tensor, child: int, level: int) -> Flow:
        """The stream of `child` if the first loops that move the tensor are those of `level`, outside it or
        beside it."""
        key = tensor.name, child, level
        if key not in self._flows:
            own, parent = self.own(tensor), self.parents[tensor.name][child]
            below = {i: self._inside(own[:, level:i + 1].prod(axis=1)) for i in range(level, child)}
            tiles = below[child - 1] if below else np.arange(len(self.l.points))[None]
            spread = self.shapes.spread[:, level:child].prod(axis=1)[:, None]
            words = self.l.volumes[tensor.name][np.maximum(tiles, 0)] * self.passes * spread
            shared = tuple(self._shared(tensor, i, below.get(i)) for i in reversed(range(parent, child)))
            self._flows[key] = Flow(tensor, parent, child, words, shared)
        return self._flows[key]

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

    def share(self, flow: Flow, level: int, slider: str, steps: float | None, reach: Reach,
              cells: Cells) -> np.ndarray:
        """The share of its words that is left of a stream if `slider` steps innermost at `level` (see
        `Windows.share`), at some cells."""
        axis = {t.rank for t in self.l.windows.axes[flow.tensor.name][slider]}
        ranks = tuple(i for i, rank in enumerate(self.l.ranks) if rank in axis)
        key = flow.tensor.name, flow.child, level, slider, steps
        if key not in self._shares:
            unrolled = self.shapes.both[:, level:flow.child].prod(axis=1)
            tiles = np.maximum(self.t.inside(unrolled, ranks), 0)
            outer = np.broadcast_to(self.t.inside(np.ones_like(unrolled[:1]), ranks), tiles.shape)
            n = None if steps is None else np.full(tiles.size, steps)
            share = self.l.windows.share(flow.tensor, slider, tiles.ravel(), outer.ravel(), n, reach)
            self._shares[key] = share.reshape(tiles.shape)
        return np.asarray(self._shares[key][cells[0], self._place(ranks)[cells[1]]])

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
        self._whole: dict[tuple[str, int, int], np.ndarray] = {}
        self._prices: dict[tuple[int, str, str], tuple[np.ndarray, np.ndarray | None]] = {}

    def whole(self, tensor: Tensor, child: int, level: int) -> np.ndarray:
        """Energy of a stream if loops of `level` are the first that move the tensor; whole tiles come in."""
        key = tensor.name, child, level
        if key not in self._whole:
            flow = self.f.flow(tensor, child, level)
            self._whole[key] = self.of(flow, flow.words, EVERY)
        return self._whole[key]

    def fixed(self) -> np.ndarray:
        """Energy that does not depend on tiles in time: computes, and what the units ask for; (shapes,)."""
        total = np.full(len(self.f.shapes.x), self.l.prices.computes(self.f.keep))
        for tensor in self.l.einsum.tensors:
            flow = self.f.at_units(tensor)
            total = total + self.of(flow, flow.words, EVERY)[:, 0]
        return total

    def once(self) -> np.ndarray:
        """Energy of all streams if they bring every word but once, or less; (shapes,)."""
        total = np.zeros(len(self.f.shapes.x))
        for tensor in self.l.einsum.tensors:
            for level in set(self.f.parents[tensor.name]) - {self.f.depth}:
                flow = self.f.once(tensor, level)
                total = total + self.of(flow, flow.words, EVERY)[:, 0]
        return total

    def of(self, flow: Flow, words: np.ndarray, cells: Cells) -> np.ndarray:
        """Energy of so many `words` that enter at some cells."""
        tensor, cost, sent = flow.tensor, np.zeros(1), words
        for level, share in zip(reversed(range(flow.parent, flow.child)), flow.shared, strict=True):
            sent = sent * part(share, cells)
            cost = cost + self._carried(level, tensor, sent, cells)
        if not tensor.is_output:
            cost = cost + self._access(flow.parent, tensor, "read", sent, cells)
            return cost if flow.child == self.f.depth else cost + self._access(
                flow.child, tensor, "fill", words, cells)
        cost = cost + self._access(flow.parent, tensor, "update", sent, cells)
        if tensor.has_disjoint_tiles:
            again = self._again(tensor, flow.parent, sent, cells)
            cost = cost + self._access(flow.parent, tensor, "read", again, cells)
            if flow.child < self.f.depth:
                again = self._again(tensor, flow.child, words, cells)
                cost = cost + self._access(flow.child, tensor, "fill", again, cells)
        return cost

    def _again(self, tensor: Tensor, level: int, words: np.ndarray, cells: Cells) -> np.ndarray:
        """Words of an output but for the first visits, at all instances of `level`."""
        first = self.l.einsum.tensor_words(tensor.name) * self.f.copies(tensor, level)
        return np.maximum(words - part(first, cells), 0.0)

    def _access(self, level: int, tensor: Tensor, action: str, words: np.ndarray, cells: Cells) -> np.ndarray:
        """Energy of `words` at all instances of a level together: whole blocks at each, and addresses."""
        key = level, tensor.name, action
        if key not in self._prices:
            self._prices[key] = self._price(level, tensor, action)
        price, by_block = self._prices[key]
        if by_block is None:
            return np.asarray(words * part(price, cells))
        size = self.levels[level].block_words * self.f.shapes.instances[:, level, None]
        blocks = np.ceil(words / part(size, cells) - 1e-6)
        return np.asarray(words * part(price, cells) + blocks * part(by_block, cells))

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

    def _carried(self, level: int, tensor: Tensor, words: np.ndarray, cells: Cells) -> np.ndarray:
        """Energy that the network below `level` takes for words that it sends, or brings back."""
        price, spec = self.tolls[level], self.levels[level]
        if price is None:
            return np.zeros(1)
        entering, doubled = words, tensor.is_output and not spec.reduces
        if doubled and (tensor.has_disjoint_tiles or tensor.name not in self.f.keep[level]):
            kept = tensor.name in self.f.keep[level]
            entering = words + (self._again(tensor, level, words, cells) if kept else words)
        cost = entering * price.entry
        if price.hop or price.router:
            way = part(self._way(level, tensor), cells)
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

    def fixed(self) -> np.ndarray:
        return super().fixed() - self.l.prices.computes(self.f.keep)

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

    def fixed(self) -> np.ndarray:
        return self.energy.fixed() + self.weights * self.port.fixed()

    def whole(self, tensor: Tensor, child: int, level: int) -> np.ndarray:
        key = tensor, child, level
        return self.energy.whole(*key) + self.weights[:, None] * self.port.whole(*key)

    def of(self, flow: Flow, words: np.ndarray, cells: Cells) -> np.ndarray:
        weights = part(self.weights[:, None], cells)
        return self.energy.of(flow, words, cells) + weights * self.port.of(flow, words, cells)


def ports(flows: Flows) -> list[Port]:
    """All ports that have a limit."""
    return [Port(flows, i, actions, bandwidth) for i, level in enumerate(flows.l.arch.levels)
            for bandwidth, actions in ((level.read_bandwidth, _READ), (level.write_bandwidth, _WRITE),
                                       (level.shared_bandwidth, _READ + _WRITE)) if bandwidth is not None]
