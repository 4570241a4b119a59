"""What a machine does about zeros: how it writes tensors down, and where it gates or skips work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Mapping

#: How the coordinates of one rank are written. "B": a bit for each; "CP": the coordinate of each
#: non-zero; "RLE": run lengths between non-zeros; "UOP": an offset for each, and one more; "UB": a bit for
#: each, and all values; "U": nothing, all values.
FormatKind = Literal["B", "CP", "RLE", "UOP", "UB", "U"]
COMPRESSING: frozenset[FormatKind] = frozenset(("B", "CP", "RLE"))

#: "gating": the unit idles, the cycle passes. "skipping": the cycle goes to other work.
#: "skipping_spatial": instances below are not asked at all.
OptimizationKind = Literal["gating", "skipping", "skipping_spatial"]

#: What energy figures of a level may be given for beside its plain accesses: accesses to metadata, and
#: those of either kind that are gated or skipped; one word written down compressed, or spelt out again.
STORAGE_ACTIONS = (
    *(f"{state}{what}{access}" for what in ("", "metadata_") for state in ("", "gated_", "skipped_")
      for access in ("read", "fill", "update") if state or what), "compress", "decompress")
COMPUTE_ACTIONS = ("gated_compute", "skipped_compute")
#: What accesses to metadata are called, by those that they are.
METADATA_ACTIONS = {action: f"metadata_{action}" for action in ("read", "fill", "update")}


@dataclass(frozen=True, slots=True)
class RankFormat:
    """One rank of a representation. Bits that are None are those of the level. `flattened` names the
    loop ranks that are written as this one (each group as one, Timeloop: flattened_rankIDs); where it is
    empty, the loops of the mapping decide."""

    kind: FormatKind
    metadata_bits: int | None = None
    payload_bits: int | None = None
    flattened: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Representation:
    """How a level writes one tensor down: `ranks`, outermost first. `inner_to_outer`: loops are given
    to ranks from the innermost on, else from the outermost."""

    ranks: tuple[RankFormat, ...]
    inner_to_outer: bool = False

    @property
    def compressed(self) -> bool:
        """Whether zeros are left out."""
        return any(rank.kind in COMPRESSING for rank in self.ranks)


@dataclass(frozen=True, slots=True)
class Condition:
    """`target` is not accessed where one of the tensors `on` is zero."""

    target: str
    on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Optimization:
    """Accesses that a level saves: of the `options`, the one that saves most."""

    kind: OptimizationKind
    options: tuple[Condition, ...]


@dataclass(frozen=True)
class StorageSparsity:
    """What one storage level does about zeros. Widths are in bits; a level has a store for metadata
    of `metadata_depth` rows of `metadata_width` bits (None: unlimited)."""

    formats: Mapping[str, Representation] = field(default_factory=dict)
    optimizations: tuple[Optimization, ...] = ()      # gating first, then skipping, then in space
    metadata_width: int | None = None
    metadata_depth: int | None = None
    metadata_word_bits: int | None = None
    payload_word_bits: int | None = None
    compresses: bool = False          # words from below are written down compressed here
    decompresses: bool = False        # words from a compressed level above are spelt out here
    overbooking: bool = False         # tiles that are too full once in a while are accepted ...
    most_overbooked: float = 1.0      # ... up to this share of them

    @property
    def metadata_bits(self) -> int | None:
        """Bits of metadata that there is room for; None: unlimited."""
        unlimited = self.metadata_width is None or self.metadata_depth is None
        return None if unlimited else (self.metadata_width or 0) * (self.metadata_depth or 0)

    @property
    def active(self) -> bool:
        """Whether anything is written down or saved that a dense machine does not."""
        return bool(self.formats or self.optimizations)

    def compressed(self, tensor: str) -> bool:
        """Whether zeros of `tensor` are left out."""
        return tensor in self.formats and self.formats[tensor].compressed


@dataclass(frozen=True, slots=True)
class ComputeSparsity:
    """What compute units do with operands that are zero."""

    gating: bool = False
    skipping: bool = False


DENSE_STORAGE = StorageSparsity()
DENSE_COMPUTE = ComputeSparsity()


def fallbacks(action: str) -> tuple[str, ...]:
    """The names under which the figure of an action about zeros is looked for, in order.

    What is skipped costs what is gated, if nothing else is said, and a compute what a whole one does.
    Storage without any of these figures takes nothing for the action.

    >>> fallbacks("skipped_read"), fallbacks("gated_compute")
    (('skipped_read', 'gated_read'), ('gated_compute', 'compute'))
    """
    names = [action]
    if action.startswith("skipped_"):
        names.append("gated_" + action.removeprefix("skipped_"))
    if action in COMPUTE_ACTIONS:
        names.append("compute")
    return tuple(names)
