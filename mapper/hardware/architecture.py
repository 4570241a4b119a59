"""`Architecture`: a hierarchy of storage levels over an array of compute units."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Mapping

from .lockstep import Lockstep
from .sparsity import DENSE_COMPUTE, DENSE_STORAGE, ComputeSparsity, StorageSparsity

#: How a figure came about. "table row": as a table has it; "interpolated", "extrapolated": between or beyond
#: its rows; "scaled": taken from another node; "derived": calculated from published figures; "published": by
#: an author for this very unit; "user": written in the description; "rule": none, but a rule that is stated.
Basis = Literal["table row", "interpolated", "extrapolated", "scaled", "derived", "published", "user", "rule"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its provenance, so that a report can say where it comes from: in words (`source`), and
    in a word that programs can tell apart (`basis`)."""

    value: float
    source: str
    basis: Basis = "user"


#: "mesh": words hop from router to router. "multicast": each word costs what its number of receivers
#: says. "tree": words from below are added up in a tree.
NetworkKind = Literal["mesh", "multicast", "tree"]


@dataclass(frozen=True)
class Network:
    """What carries words between one instance of a level and the instances below it. A figure that
    is None costs nothing.

    `multicast`: one word sent may reach several instances; otherwise each is sent its own copy.
    `links`: neighbours may pass words on to each other (declared by Timeloop's default networks).
    `distributed`: the instances below hold one shared copy between them (Timeloop's M:N networks).
    """

    name: str = ""
    multicast: bool = True
    links: bool = False
    ingress: Figure | None = None                 # pJ a word that enters the network
    kind: NetworkKind = "mesh"
    distributed: bool = False
    word_bits: int | None = None                  # None: those of the level above
    hop_pj: Figure | None = None                  # a word and hop; None: wires of one tile's width
    wire_pj_bit_mm: Figure | None = None          # None: that of all wires of the architecture
    tile_um: Figure | None = None                 # width; None: of a square of the area below
    router_pj: Figure | None = None               # a word and router
    adder_pj: Figure | None = None                # an addition in a tree
    transfer_pj: Mapping[int, Figure] = field(default_factory=dict)   # a word, by its receivers
    fill_cycles: int = 0                          # before the first word arrives below
    drain_cycles: int = 0                         # after the last word has left
    wires: str | None = None                      # transistors of wires that the energy table prices
    routers: bool = False                         # the energy table prices a router at every hop


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
    #: pJ a physical access by action ("read", "fill", "update"), pJ a cycle for "leak", pJ a word
    #: that needs an address for "address".
    energy: Mapping[str, Figure] = field(default_factory=dict)
    area: Figure | None = None             # um^2 an instance
    update_network: Network | None = None  # what brings outputs back up; None: `network` does both
    reduces: bool = True                   # adds updates to what it holds by itself
    power_gated_at: str | None = None      # level whose idle instances also switch these off
    sparsity: StorageSparsity = DENSE_STORAGE
    shares: str | None = None              # the level whose storage this is an outer part of (see `parts`)
    #: FILE:LINE:COLUMN of the level, where it was read from a file.
    place: str = field(default="", compare=False, repr=False)

    @property
    def instances(self) -> int:
        return self.mesh_x * self.mesh_y

    @property
    def least_share(self) -> float:
        """The least that one instance at work pays of an access which its cluster shares."""
        return max(self.instances // self.cluster_size, 1) / self.instances

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
    sparsity: ComputeSparsity = DENSE_COMPUTE
    lockstep: Lockstep | None = None       # units that skip in quanta and wait for each other

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
    wire_pj_bit_mm: Figure | None = None   # of the wires of every network that gives none itself
    #: FILE:LINE:COLUMN of its description; "" where it came from no file.
    place: str = field(default="", compare=False, repr=False)

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
            if level.power_gated_at not in (None, *names):
                raise ValueError(f"{self.name}: {level.name} is power gated at {level.power_gated_at}, "
                                 f"which is no level; known are {', '.join(names)}")
            if level.network.kind == "tree":
                raise ValueError(f"{self.name}: a tree below {level.name} carries no words down; "
                                 "expected it as update_network")

    @property
    def sparse(self) -> bool:
        """Whether the machine does anything about zeros."""
        units = self.compute.sparsity
        return (units.gating or units.skipping or self.compute.lockstep is not None
                or any(level.sparsity.active for level in self.levels))

    def without_zeros(self) -> Architecture:
        """The same machine, as it were if it did nothing about zeros."""
        units = replace(self.compute, sparsity=DENSE_COMPUTE, lockstep=None)
        levels = tuple(replace(level, sparsity=DENSE_STORAGE) for level in self.levels)
        return replace(self, levels=levels, compute=units)

    def level_index(self, name: str) -> int:
        """Position of the storage level called `name`; KeyError when there is none."""
        for index, level in enumerate(self.levels):
            if level.name == name:
                return index
        raise KeyError(name)

    @property
    def storages(self) -> tuple[tuple[int, ...], ...]:
        """The levels that are parts of one storage, for each of these, the innermost last; mostly a level
        alone."""
        found: dict[str, tuple[int, ...]] = {}
        for index, level in enumerate(self.levels):
            name = level.shares or level.name
            found[name] = (*found.get(name, ()), index)
        return tuple(found.values())

    @property
    def zones(self) -> tuple[tuple[int, ...], ...]:
        """Runs of levels without a fanout between them, outermost first."""
        found: list[tuple[int, ...]] = []
        for index in range(len(self.levels)):
            if index and self.fanout(index - 1) == (1, 1):
                found[-1] = (*found[-1], index)
            else:
                found.append((index,))
        return tuple(found)

    def below(self, index: int) -> Storage | Compute:
        """What stands right below storage level `index`."""
        return self.levels[index + 1] if index + 1 < len(self.levels) else self.compute

    def fanout(self, index: int) -> tuple[int, int]:
        """Instances (x, y) of the level below that one instance of storage level `index` feeds."""
        level, inner = self.levels[index], self.below(index)
        return inner.mesh_x // level.mesh_x, inner.mesh_y // level.mesh_y
