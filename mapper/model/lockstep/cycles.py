"""Cycles of a machine with lockstep skipping, from its declaration, a layer and mappings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Iterator
from typing import Mapping as MappingOf

import numpy as np

from ...errors import MappingError
from ...hardware.architecture import Architecture
from ...hardware.lockstep import Lockstep, Operand
from ...workload.density import BoundDensity, Occupancies
from ...workload.einsum import Einsum, axis_extent
from .block import Block, expected_cycles, expected_step
from .place import Integers, group_level, place
from .work import Floats, Part

Extents = MappingOf[str, int]


@dataclass(frozen=True, eq=False)
class LockstepCost:
    """What mappings take on a machine with lockstep skipping; arrays of shape (batch,).

    Attributes
    ----------
    cycles : expected, of the whole layer
    unhindered : the same, if no group waited for others
    dense : the same, if no operand had zeros
    steps : that one group takes
    groups : at work
    utilization : operations without a zero among their operands, to those that the groups could do
    """

    cycles: Floats
    unhindered: Floats
    dense: Integers
    steps: Integers
    groups: Integers
    utilization: Floats


def lockstep_cycles(architecture: Architecture, einsum: Einsum, factors: Integers) -> LockstepCost:
    """Expected cycles of mappings by the declaration `architecture.compute.lockstep`.

    Operands whose density is not known are dense. Draws of different tiles are independent of each
    other, also where windows overlap. Groups that no barrier holds together do not wait for each other.

    Parameters
    ----------
    factors : array of shape (batch, slots, ranks), see `mapping.template`

    Raises
    ------
    ValueError
        There is no such declaration.
    MappingError
        The declaration does not fit the layer or the machine.
    """
    lockstep = architecture.compute.lockstep
    if lockstep is None:
        raise ValueError(f"{architecture.name}: {architecture.compute.name} has no lockstep skipping")
    layer = checked(architecture, einsum)
    at = place(architecture, lockstep, einsum, factors)
    rows, where = np.unique(np.concatenate([at.tile, at.share, at.run, at.spread], axis=1), axis=0,
                            return_inverse=True)
    found = [layer.total(*row) for row in rows.reshape(len(rows), 4, -1).tolist()]
    cycles, unhindered, dense, steps = (np.array(x)[where.reshape(-1)] for x in zip(*found, strict=True))
    could = np.maximum(cycles, np.finfo(float).tiny) * at.groups * layer.lanes
    return LockstepCost(cycles, unhindered, dense, steps, at.groups, layer.useful / could)


def lockstep_pace(architecture: Architecture, einsum: Einsum, factors: Integers) -> Floats:
    """`lockstep_cycles` as whole cycles, one at least."""
    cycles = lockstep_cycles(architecture, einsum, factors).cycles
    return np.maximum(np.ceil(cycles * (1 - 1e-9)), 1.0)      # sums may be off in the last digits


def checked(architecture: Architecture, einsum: Einsum) -> Layer:
    """The steps of `einsum` on a machine with lockstep skipping; MappingError where it does not fit."""
    lockstep = architecture.compute.lockstep
    assert lockstep is not None
    check_lockstep(lockstep, einsum)
    layer = _layer(lockstep, einsum)
    feeding = architecture.levels[group_level(architecture, lockstep)]
    units = architecture.compute.instances // feeding.instances
    if layer.lanes > units:
        raise MappingError([f"lockstep: a group does {layer.lanes} operations a cycle; expected {units} or "
                            f"fewer, as an instance of {feeding.name} feeds {units} "
                            f"{architecture.compute.name}"])
    return layer


def check_lockstep(lockstep: Lockstep, einsum: Einsum) -> None:
    """Raise a MappingError where the declaration does not fit the layer."""
    names, reasons = [t.name for t in einsum.tensors], []
    if einsum.flattened:
        reasons.append(f"{einsum.name}: steps over flattened ranks are not defined")
    for operand in lockstep.operands:
        if operand.tensor not in names:
            reasons.append(f"lockstep: operand {operand.tensor}, {einsum.name} has {', '.join(names)}")
            continue
        moving = einsum.tensor(operand.tensor).ranks
        reasons += [f"lockstep: rank {rank} of operand {operand.tensor} does not move it; those that do are "
                    f"{', '.join(sorted(moving))}" for rank in operand.ranks or () if rank not in moving]
    every = lockstep.barrier.every if lockstep.barrier else ()
    for rank in dict.fromkeys(rank for rank, _ in (*lockstep.step, *every)):
        if rank not in einsum.ranks:
            reasons.append(f"lockstep: a step over rank {rank}, {einsum.name} has {', '.join(einsum.ranks)}")
    if reasons:
        raise MappingError(reasons)


@dataclass(frozen=True, slots=True)
class _Run:
    """Steps along one rank: `blocks` times, `steps` of the same `length` between two barriers."""

    length: int
    steps: int
    blocks: int


class Layer:
    """The steps of one layer: what is asked of its densities is kept for the mappings to come."""

    def __init__(self, lockstep: Lockstep, einsum: Einsum) -> None:
        self.lockstep, self.einsum = lockstep, einsum
        self.spans = {x.tensor: self._ranks(x) for x in lockstep.operands}
        self._bound: dict[str, BoundDensity | None] = {
            x.tensor: self._bind(x.tensor) for x in lockstep.operands}
        self._expected: dict[tuple[object, ...], tuple[float, float, int, int]] = {}
        self.lanes = self._lanes()
        known = [model.mean for model in self._bound.values() if model is not None]
        self.useful = einsum.macs * prod(known)

    def total(self, tile: list[int], share: list[int], run: list[int],
              spread: list[int]) -> tuple[float, float, int, int]:
        """Cycles of the layer (expected, without waiting, dense) and the steps of one group; extents are
        in the order of the ranks, see `Placements`."""
        cycles = unhindered = 0.0
        dense = steps = 0
        ranks = self.einsum.ranks
        loops = tuple((rank, n) for rank, n in zip(ranks, spread, strict=True) if n > 1)
        for runs in product(*(list(self._runs(*x)) for x in zip(ranks, tile, share, run, strict=True))):
            times = prod(x.blocks for x in runs)
            held, free, full, taken = self._look_up(dict(zip(ranks, runs, strict=True)), loops)
            cycles, unhindered = cycles + times * held, unhindered + times * free
            dense, steps = dense + times * full, steps + times * taken
        return cycles, unhindered, dense, steps

    def _lanes(self) -> int:
        """Operations that a group can do in a cycle: widths, times what no operand spans."""
        spanned = frozenset[str]().union(*self.spans.values())
        beside = prod(n for rank, n in self.lockstep.step if rank not in spanned)
        if self.lockstep.matches is not None:
            return self.lockstep.matches * beside
        return prod(x.width for x in self.lockstep.operands) * beside

    def _ranks(self, operand: Operand) -> frozenset[str]:
        return self.einsum.tensor(operand.tensor).ranks if operand.ranks is None else frozenset(operand.ranks)

    def _bind(self, name: str) -> BoundDensity | None:
        density = self.einsum.tensor(name).density
        return None if density is None else density.bind(self.einsum.tensor_shape(name))

    def _runs(self, rank: str, tile: int, share: int, run: int) -> Iterator[_Run]:
        """The steps of a group along `rank`: whole ones and what remains at the end of each tile."""
        tile = min(tile, share)
        step = min(dict(self.lockstep.step).get(rank, 1), tile)
        found: dict[int, int] = {}
        for length, tiles in ((tile, share // tile), (share % tile, 1)):
            for cut, count in ((step, length // step), (length % step, 1)):
                if cut and count:
                    found[cut] = found.get(cut, 0) + count * tiles
        every = dict(self.lockstep.barrier.every).get(rank, 1) if self.lockstep.barrier else 1
        reach = run if every is None else min(every, run)
        for length, count in found.items():
            together = min(max(reach // length, 1), count)
            yield _Run(length, together, count // together)
            if count % together:
                yield _Run(length, count % together, 1)

    def _look_up(self, along: MappingOf[str, _Run],
                 spread: tuple[tuple[str, int], ...]) -> tuple[float, float, int, int]:
        """Cycles from one barrier to the next (expected, without waiting, dense), and steps."""
        key = (*((run.length, run.steps) for run in along.values()), spread)
        if key not in self._expected:
            block, times = self._block(along, spread)
            step = expected_step(block)
            self._expected[key] = (times * expected_cycles(block, step), times * block.tiles * step,
                                   times * block.dense, times * block.tiles)
        return self._expected[key]

    def _block(self, along: MappingOf[str, _Run],
               spread: tuple[tuple[str, int], ...]) -> tuple[Block, int]:
        """The steps between two barriers, and how often they are done over, for ranks that move no
        operand."""
        operands = self.lockstep.operands
        tiles, steps, repeats = [1] * len(operands), 1, 1
        for rank, run in along.items():
            moved = self._moved(rank)
            if len(moved) == len(operands):
                steps *= run.steps
            elif len(moved) == 1:
                tiles[next(iter(moved))] *= run.steps
            elif not moved:
                repeats *= run.steps
            elif run.steps > 1:
                raise MappingError([f"lockstep: {run.steps} steps along {rank} between barriers move some of "
                                    "three or more operands; expected one or all of them"])
        lengths = {rank: run.length for rank, run in along.items()}
        parts = tuple(self._part(x, lengths, n) for x, n in zip(operands, tiles, strict=True))
        if self.lockstep.matches is not None and len({part.words for part in parts}) > 1:
            raise MappingError([f"lockstep: tiles of {', '.join(str(x.words) for x in parts)} words cannot "
                                "match word by word; expected a step whose ranks move all operands"])
        greedy = self.lockstep.barrier.greedy if self.lockstep.barrier else None
        names = [x.tensor for x in operands]
        loops = tuple((moved, n) for rank, n in spread if (moved := self._moved(rank)))
        return Block(parts, self.lockstep.matches, self.lockstep.least, steps, loops,
                     None if greedy is None else names.index(greedy)), repeats

    def _moved(self, rank: str) -> frozenset[int]:
        """The operands that are others at the next iteration along `rank`."""
        return frozenset(i for i, x in enumerate(self.lockstep.operands)
                         if rank in self.einsum.tensor(x.tensor).ranks)

    def _part(self, operand: Operand, lengths: Extents, tiles: int) -> Part:
        spanned = {rank: n for rank, n in lengths.items() if rank in self.spans[operand.tensor]}
        tile = tuple(axis_extent(axis, spanned) for axis in self.einsum.tensor(operand.tensor).projection)
        model = self._bound[operand.tensor]
        found = Occupancies.exactly(prod(tile)) if model is None else model.pmf(tile)
        return Part(found, prod(tile), operand.width, tiles)


@lru_cache(maxsize=64)
def _layer(lockstep: Lockstep, einsum: Einsum) -> Layer:
    return Layer(lockstep, einsum)
