"""Energy and cycles of many mappings of one class at once, where loops may have remainders.

A tensor without windows is cut by every loop along one of its axes, so that what `walk` counts step by
step factorises over the ranks. Where tiles of a window slide, words are those of factors that are not
rounded up: an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..hardware.architecture import Architecture
from ..mapping.splits import real_factors
from ..mapping.template import Template, slot
from ..workload.einsum import Einsum, Tensor
from .batch import BatchCost, BatchEvaluator, Moved
from .batch_shape import Array, Count, Nest, TensorShape
from .chain import Chain
from .counts import tensor_cases
from .evaluate import evaluate
from .imperfect import exact_traffic
from .network import counts_hops


class CutNest(Nest):
    """Nests of whole factors that may multiply to more than the extents, with a `Chain` a rank; as a
    `Nest` they are those of the `real` factors that multiply to the extents, where these are asked for."""

    def __init__(self, whole: Array, extents: Array, spatial: list[tuple[int, ...]],
                 rows: list[tuple[int, ...]], real: bool) -> None:
        super().__init__(real_factors(whole, extents) if real else whole, spatial)
        self.whole, self.spatial = whole, spatial
        self.chains = [Chain(np.ascontiguousarray(whole[:, i]), int(extents[i, 0]), own)
                       for i, own in enumerate(rows)]
        self._at_work: list[Count] = []

    @cached_property
    def uncut(self) -> Nest:
        """The nests with all passes as long as the first."""
        return Nest(self.whole, self.spatial)

    def at_work(self, spatial: list[tuple[int, ...]]) -> list[Count]:
        """Instances at work, on average, of every storage level, whose `spatial` loops are those below
        it, and of the units."""
        if not self._at_work:
            self._at_work.append(1.0)
            busy: Count = 1.0
            passes: Count = 1.0
            for rows in spatial:
                for chain in self.chains:
                    for row in set(rows) & set(chain.rows):
                        busy, passes = busy * chain.tiles[row + 1], passes * chain.tiles[row]
                self._at_work.append(busy / passes)
        return self._at_work


@dataclass(frozen=True, slots=True)
class Pause:
    """Loops in time that leave a tensor in place, one after another. `before`: by rank of the tensor
    the levels whose loops in time are all outside of these; `after`: by other rank, those whose loops in
    time are met up to here."""

    before: tuple[int, ...]
    after: tuple[int, ...]


class _Plain:
    """A tensor each of whose axes is moved by one rank that moves no other."""

    def __init__(self, shape: TensorShape, template: Template, ranks: list[str], depth: int) -> None:
        self.shape = shape
        self.own = [(side.terms[0][0], abs(side.terms[0][1])) for side in shape.plain]
        moving = {column for column, _ in self.own}
        self.others = [column for column in range(len(ranks)) if column not in moving]
        column = {rank: i for i, rank in enumerate(ranks)}
        orders = [[column[r] for r in order if r in column] for order in template.orders]
        self.pauses = [self._pauses(orders[:level]) for level in range(depth)]

    def _pauses(self, orders: list[list[int]]) -> list[Pause]:
        """The pauses around a tile inside loops of these `orders`, outermost first."""
        passed = dict.fromkeys(range(len(self.own) + len(self.others)), 0)
        moving, found, moved = [column for column, _ in self.own], list[Pause](), True
        for level, order in enumerate(orders):
            for column in order:
                before = tuple(passed[c] for c in moving)
                passed[column] = level + 1
                if column in moving:
                    moved = True
                    continue
                if not moved:
                    before = found.pop().before
                found.append(Pause(before, tuple(passed[c] for c in self.others)))
                moved = False
        return found if moved else found[:-1]       # what no loop of the tensor is inside of changes nothing

    def held(self, nest: CutNest, level: int) -> Count:
        """Words that instances of `level` ever hold, each instance counting its own."""
        spatial = tuple(i < level for i in range(len(self.pauses)))
        return self._words(nest, level) * prod(
            nest.chains[c].visits(level, 0, spatial) for c in self.others)

    def _words(self, nest: CutNest, level: int) -> Count:
        return prod((nest.chains[c].words(level, x) for c, x in self.own), start=1.0)

    def loaded(self, nest: CutNest, level: int, spatial: tuple[bool, ...]) -> Count:
        """Words that tiles of `level` load, or points use (one past the last level), where instances
        that differ in ranks of other tensors share them at the levels not marked in `spatial`."""
        if level == len(self.pauses):
            return self._words(nest, level) * prod(
                nest.chains[c].visits(level, level, spatial) for c in self.others)
        total: Count = 0.0
        done: Count = 0.0       # words of tiles that rest in all pauses met so far, and from now on
        met = (0,) * len(self.others)
        for pause in self.pauses[level]:
            resting = prod((nest.chains[c].resting(level, k, x) for (c, x), k in
                            zip(self.own, pause.before, strict=True)), start=1.0)
            total = total + (resting - done) * self._times(nest, level, met, spatial)
            done, met = resting, pause.after
        return total + (self._words(nest, level) - done) * self._times(nest, level, met, spatial)

    def _times(self, nest: CutNest, level: int, met: tuple[int, ...], spatial: tuple[bool, ...]) -> Count:
        return prod((nest.chains[c].visits(level, k, spatial) for c, k in
                     zip(self.others, met, strict=True)), start=1.0)


def is_exact(architecture: Architecture, einsum: Einsum,
             no_multicast: Sequence[frozenset[str]] = ()) -> bool:
    """Whether an `ImperfectEvaluator` counts what `evaluate` does, however mappings with these directives by
    level look.

    No tensor may have a window, nor an output gaps: what one instance holds of it is then no exact mean.
    No network may charge for hops, nor may networks that send to each instance apart follow each other: what
    instances ask for together may differ where some idle.
    """
    iterating = frozenset(rank for rank, extent in einsum.extent.items() if extent > 1)
    return all(_is_plain(x, iterating) for x in einsum.tensors) and _is_simple(architecture, no_multicast)


def _is_plain(tensor: Tensor, iterating: frozenset[str]) -> bool:
    terms = [term for axis in tensor.projection for term in axis if term.rank in iterating]
    return (all(sum(term.rank in iterating for term in axis) < 2 for axis in tensor.projection)
            and len({term.rank for term in terms}) == len(terms)
            and all(abs(x.coefficient) == 1 or (x.coefficient and not tensor.is_output) for x in terms))


def _is_simple(architecture: Architecture, no_multicast: Sequence[frozenset[str]]) -> bool:
    """Whether no network charges for the way of a word, and there are none one after another of which one
    sends to each instance apart."""
    if any(counts_hops(architecture, i) for i in range(len(architecture.levels))):
        return False
    arrays = [i for i in range(len(architecture.levels)) if prod(architecture.fanout(i)) > 1]
    return len(arrays) < 2 or not any(
        not architecture.levels[i].network.multicast or (no_multicast and no_multicast[i]) for i in arrays)


class ImperfectEvaluator(BatchEvaluator):
    """`BatchEvaluator` for factors that may multiply to more than the extents.

    `exact` says whether the costs are those of `evaluate`; else they are an estimate, of the words of
    tensors with windows.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, template: Template) -> None:
        super().__init__(architecture, einsum, template)
        depth = len(architecture.levels)
        self._open = [tuple(row for i in range(depth) for row in
                            (slot(i, "temporal"), *sorted(self._spatial[i][column])))
                      for column in range(len(self._ranks))]
        self._plain = {s.name: _Plain(s, template, self._ranks, depth) for s in self._shapes
                       if not s.windows}
        self.exact = is_exact(architecture, einsum, template.no_multicast)

    def _nest(self, factors: NDArray[np.int64]) -> tuple[Nest | None, NDArray[np.bool_]]:
        chunk = np.ascontiguousarray(np.moveaxis(factors, 0, -1), dtype=np.float64)
        valid = self._idle @ chunk.reshape(self._idle.size, -1) == self._idle.sum()
        valid &= (chunk >= 1.0).all(axis=(0, 1))
        valid &= self._roomy(chunk)
        if not valid.any():
            return None, valid
        real = len(self._plain) < len(self._shapes)
        nest = CutNest(chunk[:, self._columns][..., valid], self._extents, self._rows, self._open, real)
        covers = np.logical_and.reduce([chain.covers for chain in nest.chains])
        if not covers.all():
            valid[valid] = covers
            nest = CutNest(nest.whole[..., covers], self._extents, self._rows, self._open, real)
        return (nest if covers.any() else None), valid

    def _roomy(self, chunk: Array) -> NDArray[np.bool_]:
        """Whether fanouts and capacities are respected by factors of shape (slots, ranks, batch)."""
        valid = np.ones(chunk.shape[-1], dtype=np.bool_)
        for i in range(len(self.architecture.levels)):
            x, y = self.architecture.fanout(i)
            for row, available in ((slot(i, "x"), x), (slot(i, "y"), y)):
                if available > 1:
                    valid &= chunk[row].prod(axis=0) <= available
        for parts in self._storages:
            kept = [(s, i) for i in parts for s in self._shapes if s.name in self._kept[i]]
            most = self.architecture.levels[parts[-1]].capacity_words
            if most is not None and kept:
                tiles = {i: np.minimum(chunk[3 * i:, self._columns].prod(axis=0), self._extents)
                         for i in parts}
                valid &= sum(s.volume(tiles[i]) for s, i in kept) <= most
        return valid

    def _carried(self, tensor: str, moved: Moved, nest: Nest, share: Count = 1.0) -> Count:
        assert isinstance(nest, CutNest)
        return super()._carried(tensor, moved, nest.uncut, share)

    def _instances(self, nest: Nest) -> tuple[list[Count], list[Count]]:
        assert isinstance(nest, CutNest)
        return super()._instances(nest)[0], nest.at_work(self._rows)

    def _steps(self, nest: Nest, utilized: list[Count]) -> Array:
        assert isinstance(nest, CutNest)
        depth = len(self._kept)
        return np.broadcast_to(prod(chain.visits(depth, depth, (False,) * depth)
                                    for chain in nest.chains), nest.batch)

    def _traffic(self, shape: TensorShape, nest: Nest, fanouts: list[Count],
                 compute_cycles: Array) -> Iterator[Moved]:
        assert isinstance(nest, CutNest)
        utilized = nest.at_work(self._rows)
        if shape.name in self._plain:
            yield from self._counted(self._plain[shape.name], nest, utilized)
            return
        real = super()._instances(nest)[1]
        steps = np.broadcast_to(self.einsum.macs / real[-1], nest.batch)
        for moved in super()._traffic(shape, nest, fanouts, steps):
            yield moved.scaled(real[moved.level] / utilized[moved.level])

    def _counted(self, plain: _Plain, nest: CutNest, utilized: list[Count]) -> Iterator[Moved]:
        """What a tensor moves, from the innermost level to the outermost that keeps it."""
        name, depth, output = plain.shape.name, len(self._kept), plain.shape.is_output
        kept = [i for i, own in enumerate(self._kept) if name in own]
        child = depth
        for i in reversed(range(kept[0] if kept else depth, depth)):
            spatial = tuple(j < i or (j < child and name not in self._fanouts[j]) for j in range(depth))
            sent = plain.loaded(nest, child, spatial) / utilized[i]
            share: Count = plain.held(nest, i) / utilized[i] if output else 0.0
            first = None
            if output and self._tolls[i] and not self.architecture.levels[i].reduces:
                first = share if name in self._stored[i] else 0.0
            if i not in kept:
                yield Moved(i, sent, first, None)
                continue
            received: Count = 0.0
            if i != kept[0]:
                received = plain.loaded(nest, i, tuple(j < i for j in range(depth))) / utilized[i]
            accesses: tuple[Count, Count, Count] = (sent, received, 0.0)
            if output:
                accesses = (np.maximum(sent - share, 0.0), np.maximum(received - share, 0.0), sent)
            yield Moved(i, sent, first, accesses)
            child = i


class WalkingEvaluator(ImperfectEvaluator):
    """Evaluates one mapping at a time, exactly: of tensors with windows, the loops are walked."""

    def __call__(self, factors: NDArray[np.int64]) -> BatchCost:
        """Cost of the mapping with the given factors of shape (1, slots, ranks)."""
        if len(factors) != 1:
            raise ValueError(f"{len(factors)} mappings; expected one")
        cost = super().__call__(factors)
        if _is_simple(self.architecture, self.template.no_multicast) or not cost.valid[0]:
            return cost
        whole = evaluate(self.architecture, self.einsum, self.template.mapping(self.einsum, factors[0]))
        return BatchCost(np.array([whole.energy_pj]), np.array([float(whole.cycles)]), cost.valid)

    def _traffic(self, shape: TensorShape, nest: Nest, fanouts: list[Count],
                 compute_cycles: Array) -> Iterator[Moved]:
        assert isinstance(nest, CutNest)
        if shape.name in self._plain or not _is_simple(self.architecture, self.template.no_multicast):
            yield from super()._traffic(shape, nest, fanouts, compute_cycles)
            return
        factors = np.ones((len(nest.whole), len(self.einsum.ranks)), dtype=np.int64)
        factors[:, self._columns] = nest.whole[..., 0]
        mapping = self.template.mapping(self.einsum, factors)
        case = next(x for x in tensor_cases(self.architecture, self.einsum, mapping)
                    if x.tensor.name == shape.name)
        traffic = exact_traffic(case)
        for i in reversed(range(case.kept[0] if case.kept else case.levels, case.levels)):
            sent, first, x = float(sum(traffic.sent[i].values())), None, traffic.accesses[i]
            if shape.is_output and self._tolls[i] and not self.architecture.levels[i].reduces:
                first = float(x.partition_words) if x else 0.0
            accesses = None if x is None else (float(x.reads), float(x.fills), float(x.updates))
            yield Moved(i, sent, first, accesses)
