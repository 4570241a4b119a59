"""`Einsum`: one perfectly nested loop over ranks, touching tensors through affine projections."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Mapping

if TYPE_CHECKING:
    from .density import Density


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of an affine index expression: `coefficient * rank`."""

    rank: str
    coefficient: int = 1


#: One tensor axis: the sum of its terms.
Axis = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor (Timeloop: data space) and how loop indices address it.

    `projection` has one entry a tensor axis. `is_output` marks a tensor that is read, accumulated
    and written back. `density` says how its non-zeros lie; nothing (None) is known of a tensor that is
    dense.
    """

    name: str
    projection: tuple[Axis, ...]
    is_output: bool = False
    density: Density | None = None

    @property
    def ranks(self) -> frozenset[str]:
        """The ranks that move this tensor's index; every other rank reuses it."""
        return frozenset(term.rank for axis in self.projection for term in axis)

    @property
    def has_shared_ranks(self) -> bool:
        """Whether a rank moves more than one axis, so that its steps are diagonal."""
        return sum(len({t.rank for t in axis}) for axis in self.projection) > len(self.ranks)

    @property
    def has_disjoint_tiles(self) -> bool:
        """Whether every axis is one rank of its own, so that tiles never overlap."""
        terms = [term for axis in self.projection for term in axis]
        return (all(len(axis) <= 1 for axis in self.projection)
                and all(abs(term.coefficient) == 1 for term in terms)
                and len({term.rank for term in terms}) == len(terms))


@dataclass(frozen=True, slots=True)
class Flattened:
    """A rank that several `parts` (name, extent) are run through as: the first of them fastest.
    Loops run over `rank`, projections use the parts."""

    rank: str
    parts: tuple[tuple[str, int], ...]

    @property
    def extent(self) -> int:
        return prod(extent for _, extent in self.parts)


@dataclass(frozen=True)
class Einsum:
    """A loop nest over `ranks` of the given `extents` that does one multiply-accumulate a point.

    >>> gemm = Einsum("gemm", ("M", "N", "K"), (16, 8, 4), (
    ...     Tensor("A", ((Term("M"),), (Term("K"),))),
    ...     Tensor("B", ((Term("K"),), (Term("N"),))),
    ...     Tensor("Z", ((Term("M"),), (Term("N"),)), is_output=True)))
    >>> gemm.macs, gemm.tensor_words("A")
    (512, 64)
    """

    name: str
    ranks: tuple[str, ...]
    extents: tuple[int, ...]
    tensors: tuple[Tensor, ...]
    #: Names of the tensors in the workload graph, where they differ from the role names
    #: (a conv reads the role "Inputs"; in the graph that is the tensor "conv1").
    aliases: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    #: Those of the `ranks` that stand for several others. Tiles are then no boxes: ask `tile_words`.
    flattened: tuple[Flattened, ...] = ()
    #: FILE:LINE:COLUMN of its description; "" where it came from no file.
    place: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.ranks) != len(self.extents) or len(set(self.ranks)) != len(self.ranks):
            raise ValueError(f"{self.name}: ranks {self.ranks} do not match extents {self.extents}")
        if min(self.extents, default=1) < 1:
            raise ValueError(f"{self.name}: extents must be 1 or more, not {self.extents}")
        if any(self.extent.get(x.rank) != x.extent for x in self.flattened):
            raise ValueError(f"{self.name}: a flattened rank has not the extent of its parts together")
        unknown = {r for t in self.tensors for r in t.ranks} - set(self.point_extent)
        for axis in (axis for t in self.tensors for axis in t.projection):
            if len({term.rank for term in axis}) < len(axis):
                raise ValueError(f"{self.name}: an axis names a rank twice; add its coefficients up")
        if unknown:
            raise ValueError(f"{self.name}: projections use unknown ranks {sorted(unknown)}")

    @cached_property
    def extent(self) -> Mapping[str, int]:
        """Extent of each rank."""
        return dict(zip(self.ranks, self.extents, strict=True))

    @cached_property
    def point_extent(self) -> Mapping[str, int]:
        """Extent of each rank that projections may use: parts instead of the flattened rank."""
        whole = {x.rank for x in self.flattened}
        parts = {name: extent for x in self.flattened for name, extent in x.parts}
        return {rank: n for rank, n in self.extent.items() if rank not in whole} | parts

    @property
    def macs(self) -> int:
        """Number of points of the loop nest (multiply-accumulates)."""
        return prod(self.extents)

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`; KeyError when there is none."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise KeyError(name)

    def tensor_words(self, name: str) -> int:
        """Words in the bounding box of the tensor called `name`."""
        return footprint(self.tensor(name), self.point_extent)

    def tensor_shape(self, name: str) -> tuple[int, ...]:
        """Extents of the tensor called `name`, in words: those of its bounding box."""
        return tuple(axis_extent(axis, self.point_extent) for axis in self.tensor(name).projection)

    def tile_words(self, tensor: Tensor, tile: Mapping[str, int]) -> int:
        """Words of `tensor` in the largest tile of the extents `tile`, which loops without remainders
        cut the ranks into."""
        if not self.flattened:
            return footprint(tensor, tile)
        from .flatten import largest_tile
        return largest_tile(self, tensor, tile)

    @cached_property
    def canonical(self) -> tuple[object, ...]:
        """Equal for layers that cost the same on every architecture: the name does not count, nor
        does the coefficient of a rank of extent 1."""
        tensors = tuple(
            (t.name, t.is_output, t.density, tuple(
                tuple((x.rank, x.coefficient) for x in axis if self.point_extent[x.rank] > 1)
                for axis in t.projection))
            for t in self.tensors)
        return (self.ranks, self.extents, tensors, self.flattened)


def axis_extent(axis: Axis, extents: Mapping[str, int]) -> int:
    """Length of the interval that `axis` sweeps over a tile of the given rank `extents`.

    Gaps left by a stride larger than the window are counted (the box, not the points).
    """
    return 1 + sum(abs(t.coefficient) * (extents.get(t.rank, 1) - 1) for t in axis)


def footprint(tensor: Tensor, extents: Mapping[str, int]) -> int:
    """Words of `tensor` that a tile of the given rank `extents` touches (bounding box)."""
    return prod(axis_extent(axis, extents) for axis in tensor.projection)
