"""`evaluate_batch`: energy and cycles of many mappings of one class at once.

The numbers are those of `evaluate`; what depends on the class alone is worked out once, and what
depends on the factors is array arithmetic over chunks that stay in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from operator import mul
from typing import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..hardware.architecture import Architecture, Storage
from ..mapping.template import Template, slot
from ..workload.einsum import Einsum
from .batch_hops import Ways
from .batch_reuse import Fanout, words_received
from .batch_shape import EXACT, Array, Count, Move, Nest, TensorShape
from .energy import action_energy, actions, address_price, gate, leakage_per_cycle
from .network import ROUNDING, network_cycles, toll

#: Mappings worked on at a time: one array of them takes 32 KiB.
CHUNK = 4096


@dataclass(frozen=True)
class BatchCost:
    """Costs of a batch of mappings, each of shape (batch,). Invalid ones cost infinitely much."""

    energy_pj: Array
    cycles: Array                      # whole numbers
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Kept:
    """One tensor at one level that keeps it."""

    energies: tuple[float, ...]        # pJ a block read, filled, updated
    moves: tuple[Move, ...] | None     # the loops around; None: the outermost level that keeps it


@dataclass(frozen=True, slots=True)
class Moved:
    """Words that one tensor moves at and below one level, an instance of that level. `first`: those of
    the words `sent` over the network below that find no old value to take down; None where old values
    stay, since the level adds."""

    level: int
    sent: Count
    first: Count | None
    accesses: tuple[Count, Count, Count] | None     # reads, fills, updates where it is kept

    def entering(self, share: Count = 1.0) -> Count:
        """Words that enter the network when a `share` of those sent are; old values go down too, but for
        the first visit to each word."""
        sent = self.sent * share
        return sent if self.first is None else sent + np.maximum(sent - self.first, 0.0)

    def scaled(self, factor: Count) -> Moved:
        """The same, of so many instances together."""
        accesses = self.accesses and (self.accesses[0] * factor, self.accesses[1] * factor,
                                      self.accesses[2] * factor)
        return Moved(self.level, self.sent * factor, None if self.first is None else self.first * factor,
                     accesses)


class BatchEvaluator:
    """Evaluates mappings of one class: `BatchEvaluator(...)(factors)` gives their `BatchCost`.

    Parameters
    ----------
    architecture : Architecture
        Every level must know the energy of the actions it performs.
    einsum : Einsum
    template : Template
        The class: what each level keeps and in which order its temporal loops run.

    Raises
    ------
    ValueError
        The Einsum has flattened ranks, an energy is not known, a network is no mesh (see `network.toll`),
        or the counts are too large to be exact in float64.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, template: Template) -> None:
        if einsum.flattened:
            raise ValueError(f"{einsum.name}: mappings over flattened ranks cannot be evaluated in a batch")
        self.architecture, self.einsum, self.template = architecture, einsum, template
        levels = range(len(architecture.levels))
        self._columns = [i for i, extent in enumerate(einsum.extents) if extent > 1]
        self._ranks = [einsum.ranks[i] for i in self._columns]
        self._extents = np.array([einsum.extents[i] for i in self._columns], dtype=np.float64)[:, None]
        self._shapes = [TensorShape(tensor, einsum) for tensor in einsum.tensors]
        inexact = [s.name for s in self._shapes if s.largest_count >= EXACT]
        if inexact:
            raise ValueError(f"{einsum.name}: word counts of {', '.join(inexact)} may pass 2**52 and "
                             "would not be exact")
        self._spatial = [self._unrollable(i) for i in levels]
        self._rows = [tuple(sorted({row for rows in spatial.values() for row in rows}))
                      for spatial in self._spatial]
        self._fanouts = [{s.name: Fanout(s, i, self._spatial[i]) for s in self._shapes
                          if self._multicast(i, s.name)} for i in levels]
        column = {rank: i for i, rank in enumerate(self._ranks)}
        self._orders = [[column[r] for r in order if r in column] for order in template.orders]
        self._kept = [{s.name: self._keep(s, i) for s in self._shapes if s.name in template.keep[i]}
                      for i in levels]
        self._storages = architecture.storages
        self._stored = {i: frozenset().union(*(template.keep[j] for j in parts))
                        for parts in self._storages for i in parts}
        self._tolls = [toll(architecture, i) for i in levels]
        self._ways = [self._ways_below(i) for i in levels]
        self._compute_energy = einsum.macs * action_energy(architecture.compute, "compute")
        self._idle = self._idle_slots()

    def __call__(self, factors: NDArray[np.int64]) -> BatchCost:
        """Costs of the mappings with the given factors of shape (batch, slots, ranks)."""
        factors = np.asarray(factors)
        expected = (3 * len(self.architecture.levels), len(self.einsum.ranks))
        if factors.ndim != 3 or factors.shape[1:] != expected:
            raise ValueError(f"factors have shape {factors.shape}; expected (batch, {expected[0]}, "
                             f"{expected[1]})")
        size = len(factors)
        cost = BatchCost(np.full(size, np.inf), np.full(size, np.inf), np.zeros(size, dtype=np.bool_))
        for start in range(0, size, CHUNK):
            part = slice(start, start + CHUNK)
            nest, valid = self._nest(factors[part])
            cost.valid[part] = valid
            if nest is not None:
                cost.energy_pj[part][valid], cost.cycles[part][valid] = self._cost(nest)
                cost.valid[part] &= cost.cycles[part] < np.inf
        return cost

    # --- what depends on the class alone ---------------------------------------------------------

    def _unrollable(self, level: int) -> dict[int, tuple[int, ...]]:
        """By rank column: the slots in which the rank may be unrolled below `level`."""
        storage, (x, y) = self.architecture.levels[level], self.architecture.fanout(level)
        slots = ((slot(level, "y"), y, storage.spatial_y), (slot(level, "x"), x, storage.spatial_x))
        return {i: tuple(row for row, available, allowed in slots
                         if available > 1 and (allowed is None or rank in allowed))
                for i, rank in enumerate(self._ranks)}

    def _idle_slots(self) -> Array:
        """1 for each place of the flat factor array that no valid mapping uses, 0 elsewhere."""
        idle = np.ones((3 * len(self._spatial), len(self.einsum.ranks)))
        for level, spatial in enumerate(self._spatial):
            idle[slot(level, "temporal"), self._columns] = 0.0
            for column, rows in spatial.items():
                idle[list(rows), self._columns[column]] = 0.0
        return idle.ravel()

    def _multicast(self, level: int, tensor: str) -> bool:
        apart = self.template.no_multicast
        return self.architecture.levels[level].network.multicast and not (
            apart and tensor in apart[level])

    def _ways_below(self, level: int) -> dict[str, Ways]:
        """By tensor, the ways of its words on the network below `level`, where that charges for them."""
        price, spatial = self._tolls[level], self._spatial[level]
        if price is None or not (price.hop or price.router) or not any(spatial.values()):
            return {}
        return {t.name: Ways(self.einsum, t, level, self._ranks, spatial, self._multicast(level, t.name),
                             self.architecture.fanout(level)) for t in self.einsum.tensors}

    def _keep(self, shape: TensorShape, level: int) -> _Kept:
        outermost = not any(shape.name in keep for keep in self.template.keep[:level])
        needed = actions(shape.is_output, outermost)
        storage = self.architecture.levels[level]
        energies = tuple(action_energy(storage, x) if x in needed else 0.0
                         for x in ("read", "fill", "update"))
        moves = None if outermost else shape.moves(self._orders[:level])
        return _Kept(energies, moves)

    # --- arrays over the batch -------------------------------------------------------------------

    def _nest(self, factors: NDArray[np.int64]) -> tuple[Nest | None, NDArray[np.bool_]]:
        """The nests of the valid mappings among `factors`, and which those are."""
        chunk = _batch_last(factors)
        nest = Nest(chunk[:, self._columns], self._rows)
        valid = self._fits(nest)
        # All factors are 1 or more, so those of idle slots are all 1 when they add up to their number.
        # (Not `@`: its threads would wait for cores that others use.)
        idle = np.einsum("i,ij->j", self._idle, chunk.reshape(self._idle.size, -1))
        valid &= idle == self._idle.sum()
        if chunk.min() < 1.0:
            valid &= (chunk >= 1.0).all(axis=(0, 1))
        if valid.all():
            return nest, valid
        return (Nest(nest.factors[..., valid], self._rows) if valid.any() else None), valid

    def _fits(self, nest: Nest) -> NDArray[np.bool_]:
        """Whether rank products, fanouts and capacities are respected."""
        valid: NDArray[np.bool_] = (nest.tiles[0] == self._extents).all(axis=0)
        for i in range(len(self.architecture.levels)):
            x, y = self.architecture.fanout(i)
            for row, available in ((slot(i, "x"), x), (slot(i, "y"), y)):
                if available > 1:
                    valid &= nest.factors[row].prod(axis=0) <= available
        return valid & self._held(nest)

    def _held(self, nest: Nest) -> NDArray[np.bool_]:
        """Whether the tiles fit the capacities."""
        valid = np.ones(nest.tiles[0].shape[1:], dtype=np.bool_)
        for parts in self._storages:
            kept = [(s, i) for i in parts for s in self._shapes if s.name in self._kept[i]]
            most = self.architecture.levels[parts[-1]].capacity_words
            if most is not None and kept:
                valid &= sum(nest.volume(s, i) for s, i in kept) <= most
        return valid

    def _cost(self, nest: Nest) -> tuple[Array, Array]:
        """Energy and cycles of valid mappings."""
        levels = self.architecture.levels
        fanouts, utilized = self._instances(nest)
        compute_cycles = self._steps(nest, utilized)
        energy: list[Count] = [0.0] * len(levels)       # by level, of one physical access stream
        carried: list[Count] = [0.0] * len(levels)      # by the networks below one instance, pJ
        paced = [_Demand(levels[parts[-1]]) for parts in self._storages]      # parts share the bandwidth
        demand = {i: own for own, parts in zip(paced, self._storages, strict=True) for i in parts}
        for shape in self._shapes:
            for moved in self._traffic(shape, nest, fanouts, compute_cycles):
                i = moved.level
                if self._tolls[i]:
                    carried[i] = carried[i] + self._carried(shape.name, moved, nest)
                if moved.accesses is not None:
                    energies = self._kept[i][shape.name].energies
                    energy[i] = energy[i] + _energy(levels[i], moved.accesses, energies) + \
                        _addresses(levels[i], moved.accesses, shape.is_output)
                    demand[i].add(shape.name, moved.accesses, compute_cycles)
        cycles = compute_cycles
        for own in paced:
            cycles = own.slow_down(cycles, compute_cycles)
        total: Count = self._compute_energy
        for i, level in enumerate(levels):
            at_once = np.minimum(utilized[i], max(level.instances // level.cluster_size, 1))
            total = total + energy[i] * at_once
            if leakage := leakage_per_cycle(level):
                switch, switched = gate(self.architecture, i)
                total = total + leakage * cycles * utilized[switch] * switched
            if self._tolls[i]:
                total = total + carried[i] * utilized[i]
        return np.broadcast_to(total, nest.batch), cycles + network_cycles(self.architecture, "exact")

    def _carried(self, tensor: str, moved: Moved, nest: Nest, share: Count = 1.0) -> Count:
        """pJ that the network below one instance takes for a `share` of the words `moved`."""
        price = self._tolls[moved.level]
        if price is None:
            return 0.0
        words = moved.entering(share)
        ways = self._ways[moved.level].get(tensor)
        if ways is None:
            return words * price.entry
        way = moved.sent * share * ways(nest)
        some = np.where(words > 0.0, words, 1.0)
        return words * price.entry + way * price.hop + words * np.floor(way / some + ROUNDING) * price.router

    def _instances(self, nest: Nest) -> tuple[list[Count], list[Count]]:
        """By storage level the instances below one that are at work, and all of its own (and the units)."""
        fanouts = [nest.factors[list(rows)].prod(axis=(0, 1)) if rows else 1.0 for rows in self._rows]
        return fanouts, list(accumulate(fanouts, mul, initial=1.0))

    def _steps(self, nest: Nest, utilized: list[Count]) -> Array:
        """Cycles if no bandwidth held the units back."""
        return np.broadcast_to(self.einsum.macs / utilized[-1], nest.batch)

    def _traffic(self, shape: TensorShape, nest: Nest, fanouts: list[Count],
                 compute_cycles: Array) -> Iterator[Moved]:
        """What one tensor moves, by level from the innermost to the outermost that keeps it."""
        outermost = next((i for i, kept in enumerate(self._kept) if shape.name in kept),
                         len(self._kept))
        shares = shape.partitions(nest, self._spatial) if shape.is_output else []
        below: Count = compute_cycles
        for i in reversed(range(outermost, len(self._kept))):
            fanout = self._fanouts[i].get(shape.name)
            below = below * (fanouts[i] if fanout is None else fanout.distinct(nest))
            kept = self._kept[i].get(shape.name)
            sent, first = below, None
            if shape.is_output and self._tolls[i] and not self.architecture.levels[i].reduces:
                first = shares[i] if shape.name in self._stored[i] else 0.0
            if kept is None:
                yield Moved(i, sent, first, None)
                continue
            received: Count = 0.0
            if kept.moves is not None:
                received = self._received(shape, kept.moves, nest, i)
            accesses: tuple[Count, Count, Count] = (below, received, 0.0)
            if shape.is_output:
                accesses = (np.maximum(below - shares[i], 0.0),
                            np.maximum(received - shares[i], 0.0), below)
            yield Moved(i, sent, first, accesses)
            below = received

    def _received(self, shape: TensorShape, moves: Sequence[Move], nest: Nest, level: int) -> Array:
        """Words that enter one instance of `level`."""
        return words_received(shape, moves, nest, level)


def evaluate_batch(architecture: Architecture, einsum: Einsum, template: Template,
                   factors: NDArray[np.int64]) -> BatchCost:
    """Costs of the mappings of class `template` with `factors` of shape (batch, slots, ranks).

    See `BatchEvaluator`, which is faster for many batches of one class.
    """
    return BatchEvaluator(architecture, einsum, template)(factors)


def _batch_last(factors: NDArray[np.int64], block: int = 512) -> Array:
    """Transpose to (slots, ranks, batch), a block at a time: what is read again is still cached."""
    flat = factors.reshape(len(factors), -1)
    result = np.empty((flat.shape[1], len(flat)))
    for start in range(0, len(flat), block):
        part = slice(start, start + block)
        result[:, part] = flat[part].T
    return result.reshape(*factors.shape[1:], -1)


def _energy(level: Storage, accesses: tuple[Count, ...], energies: tuple[float, ...]) -> Count:
    """pJ of the accesses of one tensor in one instance of `level`."""
    total: Count = 0.0
    for words, energy in zip(accesses, energies, strict=True):
        if energy:
            blocks = words if level.block_words == 1 else np.ceil(words / level.block_words)
            total = total + blocks * energy
    return total


def _addresses(level: Storage, accesses: tuple[Count, Count, Count], is_output: bool) -> Count:
    """pJ of the addresses of one tensor in one instance of `level`: a value that is read in order to
    be updated shares that of its update."""
    price, (reads, fills, updates) = address_price(level), accesses
    return (fills + (updates if is_output else reads)) * price if price else 0.0


class _Demand:
    """The bandwidth that the tensors of one level ask for; `latency.level_pace` over arrays."""

    def __init__(self, level: Storage) -> None:
        self.level = level
        self.read: Count = 0.0
        self.write: Count = 0.0
        self.limited = any(x is not None for x in (
            level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth))

    def add(self, tensor: str, accesses: tuple[Count, Count, Count], compute_cycles: Array) -> None:
        """Add the accesses of one tensor, words an instance."""
        if self.limited:
            reads, fills, updates = accesses
            scale = dict(self.level.bandwidth_scale).get(tensor, 1.0)
            self.read = self.read + reads / compute_cycles * scale
            self.write = self.write + (fills + updates) / compute_cycles * scale

    def slow_down(self, cycles: Array, compute_cycles: Array) -> Array:
        """The larger of `cycles` and what this level needs."""
        if not self.limited:
            return cycles
        slowdown: Count = 1.0
        for bandwidth, demand in ((self.level.read_bandwidth, self.read),
                                  (self.level.write_bandwidth, self.write),
                                  (self.level.shared_bandwidth, self.read + self.write)):
            if bandwidth is not None:
                # A demand below the bandwidth does not speed the level up.
                slowdown = np.minimum(slowdown, bandwidth / np.maximum(demand, bandwidth))
        return np.maximum(cycles, np.ceil(compute_cycles / slowdown))
