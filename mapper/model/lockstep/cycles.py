"""Cycles of a machine with lockstep skipping, from its declaration, a layer and mappings."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from typing import Iterator, Sequence
from typing import Mapping as MappingOf

from ...errors import MappingError
from ...hardware.architecture import Architecture
from ...hardware.lockstep import Lockstep, Operand
from ...mapping.nest import Mapping
from ...workload.density import BoundDensity, Occupancies
from ...workload.einsum import Einsum, axis_extent
from .block import Block, expected_cycles, expected_step
from .work import Part

Extents = MappingOf[str, int]


@dataclass(frozen=True, slots=True)
class LockstepCost:
    """What one mapping takes on a machine with lockstep skipping.

    `cycles`: expected, of the whole layer; `unhindered`: if no group waited for others; `dense`: if no
    operand had zeros. `groups` at work, each with `lanes` multiply-accumulates a cycle and `steps` to
    take. `utilization`: operations whose operands are not zero, to those that the lanes could do.
    """

    cycles: float
    unhindered: float
    dense: int
    groups: int
    lanes: int
    steps: int
    utilization: float


@dataclass(frozen=True)
class Placement:
    """What a mapping says about groups: the extents of the tile that feeds one (`tile`), of all that one
    runs through (`share`), of what it runs through while the level of the barrier holds one tile (`run`);
    the spatial loops between that level and the groups (`spread`); and all `groups`."""

    tile: Extents
    share: Extents
    run: Extents
    spread: tuple[tuple[str, int], ...]
    groups: int


def place(architecture: Architecture, einsum: Einsum, mapping: Mapping) -> Placement:
    """Where `mapping` puts the groups of `architecture`, which has lockstep skipping."""
    lockstep = _declared(architecture)
    group = (len(architecture.levels) - 1 if lockstep.group is None
             else architecture.level_index(lockstep.group))
    top = group if lockstep.barrier is None else architecture.level_index(lockstep.barrier.level)
    above = [loop for block in mapping.blocks[:group] for loop in block.spatial]
    spread = tuple((loop.rank, loop.factor) for block in mapping.blocks[top:group] for loop in block.spatial)
    split = {rank: prod(loop.factor for loop in above if loop.rank == rank) for rank in einsum.ranks}
    inside = {rank: prod(n for r, n in spread if r == rank) for rank in einsum.ranks}
    return Placement(
        tile=mapping.tile(group, einsum.extent),
        share={rank: ceil(n / split[rank]) for rank, n in einsum.extent.items()},
        run={rank: ceil(n / inside[rank]) for rank, n in mapping.tile(top, einsum.extent).items()},
        spread=spread, groups=prod(loop.factor for loop in above))


def lockstep_cycles(architecture: Architecture, einsum: Einsum,
                    mappings: Sequence[Mapping]) -> list[LockstepCost]:
    """Expected cycles of each of the `mappings`, by the declaration `architecture.compute.lockstep`.

    Operands whose density is not known are dense. Draws of different tiles are independent of each
    other, also where windows overlap. Groups that no barrier holds together do not wait for each other.

    Raises
    ------
    ValueError
        There is no such declaration.
    MappingError
        The layer has not the tensors or ranks declared, or has flattened ranks.
    """
    lockstep = _declared(architecture)
    check_lockstep(lockstep, einsum)
    layer = Layer(lockstep, einsum)
    return [layer.cost(place(architecture, einsum, mapping)) for mapping in mappings]


def _declared(architecture: Architecture) -> Lockstep:
    if architecture.compute.lockstep is None:
        raise ValueError(f"{architecture.name}: {architecture.compute.name} has no lockstep skipping")
    return architecture.compute.lockstep


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
        self.spans = {x.tensor: frozenset(self._ranks(x)) for x in lockstep.operands}
        self._bound: dict[str, BoundDensity | None] = {
            x.tensor: self._bind(x.tensor) for x in lockstep.operands}
        self._expected: dict[tuple[object, ...], tuple[float, float, int]] = {}

    def cost(self, at: Placement) -> LockstepCost:
        """What a mapping with the given placement takes."""
        cycles = unhindered = 0.0
        dense = steps = 0
        for runs in product(*(list(self._runs(rank, at)) for rank in self.einsum.ranks)):
            along = dict(zip(self.einsum.ranks, runs, strict=True))
            blocks = prod(run.blocks for run in runs)
            block, repeats = self._block(along, at.spread)
            held, free, full = self._look_up(along, at.spread, block)
            times = blocks * repeats
            cycles, unhindered, dense = cycles + times * held, unhindered + times * free, dense + times * full
            steps += times * block.tiles
        lanes = self.lanes()
        useful = self.einsum.macs * prod(
            1.0 if (model := self._bound[x.tensor]) is None else model.mean for x in self.lockstep.operands)
        return LockstepCost(cycles, unhindered, dense, at.groups, lanes, steps,
                            useful / (cycles * at.groups * lanes) if cycles else 0.0)

    def lanes(self) -> int:
        """Multiply-accumulates that a group can do in a cycle: widths, times what no operand spans."""
        spanned = frozenset[str]().union(*self.spans.values())
        beside = prod(n for rank, n in self.lockstep.step if rank not in spanned)
        if self.lockstep.matches is not None:
            return self.lockstep.matches * beside
        return prod(x.width for x in self.lockstep.operands) * beside

    def _ranks(self, operand: Operand) -> Sequence[str] | frozenset[str]:
        return self.einsum.tensor(operand.tensor).ranks if operand.ranks is None else operand.ranks

    def _bind(self, name: str) -> BoundDensity | None:
        density = self.einsum.tensor(name).density
        return None if density is None else density.bind(self.einsum.tensor_shape(name))

    def _runs(self, rank: str, at: Placement) -> Iterator[_Run]:
        """The steps of a group along `rank`: whole ones and what remains at the end of each tile."""
        share, tile = at.share[rank], min(at.tile[rank], at.share[rank])
        step = min(dict(self.lockstep.step).get(rank, 1), tile)
        found: dict[int, int] = {}
        for length, tiles in ((tile, share // tile), (share % tile, 1)):
            for cut, count in ((step, length // step), (length % step, 1)):
                if cut and count:
                    found[cut] = found.get(cut, 0) + count * tiles
        every = dict(self.lockstep.barrier.every).get(rank, 1) if self.lockstep.barrier else 1
        reach = at.run[rank] if every is None else min(every, at.run[rank])
        for length, count in found.items():
            together = min(max(reach // length, 1), count)
            yield _Run(length, together, count // together)
            if count % together:
                yield _Run(length, count % together, 1)

    def _look_up(self, along: MappingOf[str, _Run], spread: tuple[tuple[str, int], ...],
                 block: Block) -> tuple[float, float, int]:
        """Cycles of `block`: expected, expected without waiting, and dense."""
        key = (*((run.length, run.steps) for run in along.values()), spread)
        if key not in self._expected:
            self._expected[key] = (expected_cycles(block), block.tiles * expected_step(block), block.dense)
        return self._expected[key]

    def _block(self, along: MappingOf[str, _Run],
               spread: tuple[tuple[str, int], ...]) -> tuple[Block, int]:
        """The steps between two barriers, and how often each of them is done over: for ranks that
        move no operand."""
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
