"""What an evaluation returns: counts, energy and cycles, by level and tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Mapping

from .traffic import Delivery

#: "exact" counts right; "timeloop" reproduces that program with its defects.
Semantics = Literal["exact", "timeloop"]


@dataclass(frozen=True, slots=True)
class Tally:
    """How often something happens in a dense run (`algorithmic`), and of these times how often it
    happens, is gated or is skipped once zeros are taken note of. What is in none of the three was
    never asked for, since zeros were left out before."""

    algorithmic: float
    actual: float
    gated: float = 0.0
    skipped: float = 0.0


@dataclass(frozen=True)
class SparseTensorCost:
    """What zeros change for one tensor at one level. Words and bits are of one average instance, as
    in `TensorCost`, whose counts are the actual ones; energies of all instances. The energies are parts
    of that of the `TensorCost`: accesses to data, to metadata, changes of format, and reads that tiles
    in the next level inside, too full to fit, could not serve."""

    reads: Tally
    fills: Tally
    updates: Tally
    density: float                # expected share of non-zeros of a tile that is there
    present: float                # share of the instances at work that have a tile that is not empty
    fitting: float                # share of the tiles that fit
    formats: tuple[str, ...]      # kinds of the ranks, outermost first; () without metadata
    metadata_reads: Tally         # bits
    metadata_fills: Tally
    metadata_updates: Tally
    tile_bits: float              # data of the fullest tile that fits ...
    metadata_bits: float          # ... and the metadata of the fullest tile
    compressions: float
    decompressions: float
    data_pj: float
    metadata_pj: float
    conversion_pj: float
    refetched_pj: float


@dataclass(frozen=True)
class TensorCost:
    """One tensor at one level that keeps it. Word counts are for ONE (average) instance, as in
    Timeloop; they are integers unless instances do different amounts of work. `energy_pj` is the
    total over all instances."""

    tile_words: int
    partition_words: float      # this instance's share of the whole tensor
    reads: float
    fills: float
    updates: float
    temporal_reductions: float  # updates that add to a value already held
    address_generations: float
    energy_pj: float            # accesses and their addresses, no leakage
    address_pj: float = 0.0     # the addresses alone
    read_bandwidth: float = 0.0     # words a cycle and instance that are read ...
    write_bandwidth: float = 0.0    # ... filled and updated, times the tensor's bandwidth scale
    sparse: SparseTensorCost | None = None    # on a machine that does something about zeros


@dataclass(frozen=True)
class LevelCost:
    """One storage level, or the compute level (whose `tensors` is empty)."""

    name: str
    instances: int
    utilized_instances: float   # on average; an integer unless some idle at times
    cycles: int                 # cycles this level alone would need
    energy_pj: float            # tensors + leakage
    leakage_pj: float
    area_um2: float | None      # all instances; None when not known
    tensors: Mapping[str, TensorCost]
    throttling: float = 1.0     # bandwidth there is to bandwidth asked for; 1 where it suffices
    dense_instances: float | None = None    # utilized in a dense run, on a machine that leaves zeros out


@dataclass(frozen=True)
class TransferCost:
    """One tensor on one network: words sent by ONE instance of the level above, by multicast
    factor; energies over all instances."""

    accesses: Mapping[int, float] # multicast factor -> words sent to that many instances at once
    energy_pj: float
    deliveries: tuple[Delivery, ...] = ()   # the same, by multicast factor and number of groups
    ingresses: float = 0.0        # words that enter: those sent, and old values of outputs
    hops: float | None = None     # links a word that enters, on average; None: nothing charges for them
    reductions: float = 0.0       # additions on the way up
    passed: float = 0.0           # words that neighbours pass on to each other
    energy_parts: Mapping[str, float] = field(default_factory=dict)   # pJ by what costs it


@dataclass(frozen=True)
class NetworkCost:
    """A network below one storage level. Most carry words both ways; where another one brings
    outputs back up, it is listed by itself."""

    name: str
    energy_pj: float
    tensors: Mapping[str, TransferCost]
    level: str = ""               # the storage level above
    hop_pj: float = 0.0           # energy of a word and hop


@dataclass(frozen=True)
class Cost:
    """The whole cost of one mapping. Energies are pJ, latencies cycles, areas um^2."""

    cycles: int
    energy_pj: float
    computes: int                 # those that happen
    utilization: float            # computes, also gated ones / (compute instances * cycles)
    bottleneck: str               # "compute", or the storage level whose bandwidth binds
    area_um2: float | None
    levels: tuple[LevelCost, ...]   # storage, outermost first
    compute: LevelCost
    networks: tuple[NetworkCost, ...]
    compute_states: Tally | None = None   # on a machine that does something about zeros

    @property
    def edp(self) -> float:
        """Energy-delay product, pJ x cycles."""
        return self.energy_pj * self.cycles

    def level(self, name: str) -> LevelCost:
        """The storage or compute level called `name`; KeyError when there is none."""
        for level in (*self.levels, self.compute):
            if level.name == name:
                return level
        raise KeyError(name)
