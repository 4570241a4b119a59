"""`SparseModel`: what zeros leave of the accesses and computes of many mappings of one class.

The statistics are those of Sparseloop (Y. N. Wu et al., MICRO 2022) as Timeloop computes them:

1. what each tile holds on average, and how many tiles hold something (`zeros`, `ranks`, `metadata`);
2. how often accesses to one tensor are of no use since another is zero (`savings`, `space`);
3. what is left of them level after level (`propagate`), and of the computes (`computes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...hardware.architecture import Architecture
from ...hardware.sparsity import Condition
from ...workload.einsum import Einsum, Tensor
from ..cost import Semantics
from .computes import Operand, split_computes
from .counts import Actions, SparseCounts, TensorCounts
from .dense import DenseAccesses, DenseCounts
from .metadata import expected_units, largest_units
from .nest import Array, Mask, SparseNest
from .propagate import KINDS, Held, Lost, Saving, Stream, propagate, scaled
from .ranks import Ranks, level_ranks
from .savings import p_empty
from .space import Asked, asked, p_unasked
from .zeros import Zeros


@dataclass(frozen=True, eq=False)
class _Tile:
    """What one level holds of a tensor: the share of non-zeros in tiles that are there, the share of
    tiles that are, and the accesses."""

    level: int
    tile: Array
    density: Array
    present: Array
    held: Held


class SparseModel:
    """The sparse model of one Einsum on one machine: `SparseModel(...)(nest, dense)`.

    What is found out about tiles is remembered from one batch to the next.

    Parameters
    ----------
    architecture : Architecture
    einsum : Einsum
        Its tensors say how their non-zeros lie.
    semantics : "exact" or "timeloop"
        Whether to count right, or with the defects of that program.
    """

    def __init__(self, architecture: Architecture, einsum: Einsum, semantics: Semantics = "exact") -> None:
        self.architecture, self.einsum, self.semantics = architecture, einsum, semantics
        self.zeros = {tensor.name: Zeros(einsum, tensor, semantics) for tensor in einsum.tensors}

    def __call__(self, nest: SparseNest, dense: DenseCounts) -> SparseCounts:
        """Counts of the mappings in `nest`, from what they do in a dense run."""
        savings = self._savings(nest)
        space = [self._asked(nest, level) for level in range(len(nest.keep))]
        levels: list[dict[str, TensorCounts]] = [{} for _ in nest.keep]
        operands, valid = [], np.ones(nest.size, dtype=np.bool_)
        for tensor in self.einsum.tensors:
            found, lost, fits = self._tensor(nest, dense, tensor, savings[tensor.name], space)
            valid &= fits
            for level, counts in found.items():
                levels[level][tensor.name] = counts
            if not tensor.is_output:
                in_space = savings[tensor.name][1]
                lost = lost.then(in_space) if self.semantics == "exact" else replace(
                    lost, saving=lost.saving.or_larger(in_space))
                operands.append(self._operand(nest, tensor.name, lost))
        units = self.architecture.compute
        sparsity = units.sparsity if units.lockstep is None else replace(units.sparsity, skipping=True)
        computes = split_computes(dense.computes, operands, sparsity, self.semantics)
        there, active = self._instances(dense, space)
        return SparseCounts(tuple(levels), computes, there, active, valid)

    # --- savings ----------------------------------------------------------------------------------

    def _savings(self, nest: SparseNest) -> dict[str, tuple[dict[int, Saving], Saving]]:
        """By tensor: what each level that keeps it saves, and what is saved in space."""
        found = {name: ({level: Saving.none(nest.size) for level in nest.kept(name)}, Saving.none(nest.size))
                 for name in self.zeros}
        yes = np.ones(nest.size, dtype=np.bool_)
        order = {"gating": 0, "skipping": 1, "skipping_spatial": 2}
        entries = [(order[x.kind], -level, x) for level, storage in enumerate(self.architecture.levels)
                   for x in storage.sparsity.optimizations]
        for kind, minus, optimization in sorted(entries, key=lambda entry: entry[:2]):
            if kind == order["skipping_spatial"]:
                for condition in optimization.options:
                    by_level, in_space = found[condition.target]
                    saving = Saving.where(p_unasked(nest, self.zeros, condition, -minus), yes, True)
                    found[condition.target] = by_level, in_space.or_larger(saving)
                continue
            for target, kept, saving in self._options(nest, -minus, optimization.options, kind > 0):
                by_level, _ = found[target]
                by_level[kept] = by_level[kept].or_larger(saving)
        return found

    def _options(self, nest: SparseNest, level: int, options: tuple[Condition, ...],
                 skipping: bool) -> list[tuple[str, int, Saving]]:
        """The options of one optimisation, each `there` where it saves the most energy."""
        found, worth, yes = [], [], np.ones(nest.size, dtype=np.bool_)
        for condition in options:
            kept = self._saved_at(nest, condition.target, level)
            if kept is None:
                continue
            storage, zeros = self.architecture.levels[kept], self.zeros[condition.target]
            saving = Saving.where(p_empty(nest, self.zeros, condition, kept, storage.block_words), yes,
                                  skipping)
            read = storage.energy.get("read")
            worth.append((1.0 if read is None else read.value) * saving.p * zeros.expected(
                zeros.tile(nest.tiles[kept])))
            found.append((condition.target, kept, saving))
        if not found:
            return []
        best = np.argmax(np.stack(worth), axis=0)
        return [(target, kept, replace(saving, there=best == i))
                for i, (target, kept, saving) in enumerate(found)]

    def _saved_at(self, nest: SparseNest, target: str, level: int) -> int | None:
        """The level whose accesses to `target` are saved when `level` is to save some: the next one that
        keeps it. Timeloop does not look further for outputs."""
        if self.semantics == "timeloop" and self.einsum.tensor(target).is_output:
            return level if target in nest.keep[level] else None
        return max((i for i in nest.kept(target) if i <= level), default=None)

    def _operand(self, nest: SparseNest, name: str, lost: Lost) -> Operand:
        kept, units = nest.kept(name), self.architecture.compute
        compressed = bool(kept) and name in self.architecture.levels[kept[-1]].sparsity.formats
        if units.lockstep is not None:      # the units themselves find the zeros of its operands
            found = any(x.tensor == name for x in units.lockstep.operands)
            compressed = found or (compressed and units.sparsity.skipping)
        return Operand(name, self.zeros[name].mean, compressed, lost)

    # --- instances --------------------------------------------------------------------------------

    def _asked(self, nest: SparseNest, level: int) -> Asked | None:
        optimizations = [x for x in self.architecture.levels[level].sparsity.optimizations
                         if x.kind == "skipping_spatial"]
        return asked(nest, self.zeros, optimizations, level) if optimizations else None

    def _instances(self, dense: DenseCounts, space: list[Asked | None]) -> tuple[
            tuple[Array, ...], tuple[Array, ...]]:
        """Instances that must be there and that are at work, of each level and of the units."""
        there, active = np.ones_like(dense.computes), np.ones_like(dense.computes)
        all_there, all_active = [dense.instances[0]], [dense.instances[0]]
        for x, instances in zip(space, dense.instances[1:], strict=True):
            if x is not None:
                there, active = there * x.there, active * x.active
            all_there.append(instances * there)
            all_active.append(instances * active)
        if self.semantics == "timeloop":        # it keeps a whole number
            all_active[-1] = np.floor(all_active[-1])
        return tuple(all_there), tuple(all_active)

    # --- one tensor -------------------------------------------------------------------------------

    def _tensor(self, nest: SparseNest, dense: DenseCounts, tensor: Tensor,
                savings: tuple[dict[int, Saving], Saving], space: list[Asked | None]) -> tuple[
                    dict[int, TensorCounts], Lost, Mask]:
        """Counts by level, what keeps accesses from the units, and where the ranks of all
        representations hold the loops."""
        kept, name = nest.kept(tensor.name), tensor.name
        ranks = self._ranks(nest, name, kept)
        valid = np.ones(nest.size, dtype=np.bool_)
        tiles: list[_Tile] = []
        for level in kept:
            valid &= ranks[level].valid
            outer = tiles[-1].level if tiles else None
            tiles.append(self._tile(nest, dense.levels[level][name], name, level, outer, ranks[level]))
        if not kept:
            none = np.zeros(nest.size)
            return {}, Lost(Saving.none(nest.size), none, none), valid
        chosen = [savings[0][level] for level in kept]
        lost = propagate([x.held for x in tiles], chosen, tensor.is_output, self.semantics)
        found = {}
        for x, own, outer_tile in zip(tiles, chosen, [None, *tiles], strict=False):
            for shrunk in space[:x.level]:
                if shrunk is not None and name in shrunk.by_tensor:
                    x = replace(x, present=np.minimum(x.present / shrunk.by_tensor[name], 1.0))
            if self.semantics == "timeloop" and any(space):     # it forgets them, below and above
                x = replace(x, present=np.ones(nest.size))
            reductions = dense.levels[x.level][name].temporal_reductions
            found[x.level] = self._counts(nest, name, x, own, outer_tile, reductions)
        return found, lost, valid

    def _ranks(self, nest: SparseNest, name: str, kept: list[int]) -> dict[int, Ranks]:
        """The ranks of the representations at each level."""
        found: dict[int, Ranks] = {}
        child: Ranks | None = None
        for level in reversed(kept):
            form, below = self.architecture.levels[level].sparsity.formats.get(name), nest.below(name, level)
            child = found[level] = level_ranks(nest, self.zeros[name], level, below, form, child)
        return found

    def _tile(self, nest: SparseNest, dense: DenseAccesses, name: str, level: int, outer: int | None,
              ranks: Ranks) -> _Tile:
        """What `level` holds, and the accesses to it before anything is saved; `outer` is the next level
        outside that keeps the tensor."""
        zeros, form = self.zeros[name], self.architecture.levels[level].sparsity.formats.get(name)
        filled = outer is not None and name in self.architecture.levels[outer].sparsity.formats
        tile = zeros.tile(nest.tiles[level])
        words: Array = tile.prod(axis=0)
        occupancy, present = zeros.filled(tile) if filled else (zeros.held(tile), np.ones(nest.size))
        density = occupancy / words
        algorithmic = dict(zip(KINDS, (dense.reads, dense.fills, dense.updates), strict=True))
        data = Stream(algorithmic)
        if form is None:
            return _Tile(level, tile, density, present, Held(data, [], []))
        per_tile = {kind: n / words for kind, n in algorithmic.items()}
        streams = [(Stream({kind: np.ceil(n * metadata) for kind, n in per_tile.items()}),
                    Stream({kind: np.ceil(n * payload) for kind, n in per_tile.items()}))
                   for metadata, payload in expected_units(zeros, form, ranks, tile, filled)]
        held = Held(scaled(data, density), streams, largest_units(zeros, form, ranks, tile))
        return _Tile(level, tile, density, present, held)

    def _counts(self, nest: SparseNest, name: str, x: _Tile, saving: Saving, outer: _Tile | None,
                reductions: Array) -> TensorCounts:
        sparsity = self.architecture.levels[x.level].sparsity
        skipping, none = saving.skipping & saving.there, np.zeros(nest.size)
        data = x.held.data.actions(skipping)
        unpacked = outer is not None and not sparsity.compressed(name) \
            and self.architecture.levels[outer.level].sparsity.compressed(name)
        return TensorCounts(
            data, self._reductions(reductions, data), x.density,
            self.zeros[name].most(x.tile) if self._compact(name, x.level) else x.tile.prod(axis=0),
            x.present, x.held.rank_metadata(skipping),
            outer.held.data.actual["updates"] if unpacked and outer and sparsity.compresses else none,
            data.fills.actual if unpacked and sparsity.decompresses else none)

    def _reductions(self, reductions: Array, data: Actions) -> Array:
        """Those of the `reductions` of a dense run that happen: as many as updates do."""
        updates = data.updates
        left: Array = updates.actual / np.where(updates.algorithmic > 0, updates.algorithmic, 1.0)
        if self.semantics == "timeloop":
            return np.ceil(reductions * left)
        return reductions - np.floor(reductions * (1.0 - left)) * (updates.algorithmic > 0)

    def _compact(self, name: str, level: int) -> bool:
        """Whether a level holds the non-zeros alone. Timeloop takes any metadata for a sign of that."""
        sparsity = self.architecture.levels[level].sparsity
        return sparsity.compressed(name) or (self.semantics == "timeloop" and name in sparsity.formats)
