"""`Architecture`: a hierarchy of storage levels over an array of compute units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its provenance, so that a report can say where it comes from."""

    value: float
    source: str


@dataclass(frozen=True)
class Network:
    """What carries words from one instance of a level to the instances below it.

    `multicast`: one word sent may reach several instances; otherwise each is sent its own copy.
    `links`: neighbours may pass words on to each other (declared by Timeloop's default networks).
    `ingress`: pJ a word that enters the network, None when the network is free.
    """

    name: str = ""
    multicast: bool = True
    links: bool = False
    ingress: Figure | None = None


@dataclass(frozen=True)
class Storage:
    """One storage level. Sizes are in words of `word_bits` bits, bandwidths in words a cycle and
    instance; `mesh_x` times `mesh_y` instances exist in the whole machine."""

    name: str
    mesh_x: int = 1
    mesh_y: int = 1
    size_words: int | None = None          # None: unlimited
    word_bits: int = 16
    block_words: int = 1                   # words in one physical access (Timeloop: block_size)
    cluster_size: int = 1                  # instances that share one physical access
    multiple_buffering: float = 1.0        # share of the size that one tile may use: 1/this
    read_bandwidth: float | None = None
    write_bandwidth: float | None = None
    shared_bandwidth: float | None = None
    bandwidth_scale: tuple[tuple[str, float], ...] = ()   # (tensor, factor) on the demand
    keep: frozenset[str] = frozenset()     # tensors that must be kept here
    bypass: frozenset[str] = frozenset()   # tensors that must not; all others are free
    #: Ranks that may be unrolled over the instances below, None for any.
    spatial_x: tuple[str, ...] | None = None
    spatial_y: tuple[str, ...] | None = None
    network: Network = Network()           # towards the level below
    component: str = "storage"             # class of the component, e.g. "SRAM", "DRAM", "regfile"
    attributes: Mapping[str, object] = field(default_factory=dict, compare=False)
    #: pJ a physical access by action ("read", "fill", "update"), pJ a cycle for "leak".
    energy: Mapping[str, Figure] = field(default_factory=dict)
    area: Figure | None = None             # um^2 an instance

    @property
    def instances(self) -> int:
        return self.mesh_x * self.mesh_y

    @property
    def capacity_words(self) -> int | None:
        """Words that the tiles of one mapping may take in one instance."""
        return None if self.size_words is None else int(self.size_words / self.multiple_buffering)


@dataclass(frozen=True)
class Compute:
    """The array of multiply-accumulate units below the innermost storage level."""

    name: str
    mesh_x: int = 1
    mesh_y: int = 1
    word_bits: int = 16
    component: str = "compute"
    attributes: Mapping[str, object] = field(default_factory=dict, compare=False)
    energy: Mapping[str, Figure] = field(default_factory=dict)    # "compute": pJ an operation
    area: Figure | None = None

    @property
    def instances(self) -> int:
        return self.mesh_x * self.mesh_y


@dataclass(frozen=True)
class Architecture:
    """Storage `levels`, outermost first, above `compute`."""

    name: str
    levels: tuple[Storage, ...]
    compute: Compute
    node_nm: float | None = None
    cycle_seconds: float | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        names = [level.name for level in self.levels] + [self.compute.name]
        if not self.levels:
            raise ValueError(f"{self.name}: an architecture needs at least one storage level")
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: level names are not unique: {names}")
        for index, level in enumerate(self.levels):
            inner = self.below(index)
            if inner.mesh_x % level.mesh_x or inner.mesh_y % level.mesh_y:
                raise ValueError(
                    f"{self.name}: {inner.mesh_x}x{inner.mesh_y} {inner.name} cannot be shared "
                    f"evenly by {level.mesh_x}x{level.mesh_y} {level.name}")

    def level_index(self, name: str) -> int:
        """Position of the storage level called `name`; KeyError when there is none."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise KeyError(name)

    def below(self, index: int) -> Storage | Compute:
        """What stands right below storage level `index`."""
        return self.levels[index + 1] if index + 1 < len(self.levels) else self.compute

    def fanout(self, index: int) -> tuple[int, int]:
        """Instances (x, y) of the level below that one instance of storage level `index` feeds."""
        level, inner = self.levels[index], self.below(index)
        return inner.mesh_x // level.mesh_x, inner.mesh_y // level.mesh_y
