"""The shape of the result document, "tilebound.result/1".

The typed dictionaries below are the one definition: they check a document that is read from a file,
they type the code that writes one, and the JSON Schema that ships as `result.schema.json` is made
from them (`python -m tilebound.report.schema` prints it). Keys stand in the order in which they
are written. Energies are pJ, latencies cycles, areas um^2, sizes words; counts are totals over all
instances, for ONE occurrence of a layer.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Iterator, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import NotRequired, TypedDict

from ..errors import Problem, SpecError
from ..hardware.architecture import Basis
from .schema_explain import ExplainEntry

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(ge=0)]
Objective = Literal["energy", "latency", "edp", "ed2p"]
#: What a search was asked for: an objective, or two with a comma between, the first one first, or a front.
Asked = Annotated[str, Field(pattern="^((energy|latency|edp|ed2p)(,(energy|latency|edp|ed2p))?|pareto)$")]


@with_config(_STRICT)
class Tool(TypedDict):
    name: str
    version: str


@with_config(_STRICT)
class FigureEntry(TypedDict):
    """A number and where it comes from, in words and in one of the words of `Basis`."""

    value: Amount
    source: str
    basis: NotRequired[Basis]            # documents of older versions have none
    bits: NotRequired[Positive]          # that an access moves


@with_config(_STRICT)
class ComponentEntry(TypedDict):
    """What the energy model knows of one level: pJ by action, um^2 an instance."""

    name: str
    component: str
    instances: Positive
    word_bits: Positive
    block_words: Positive
    size_words: Count | None
    read_bandwidth: Amount | None        # words a cycle and instance; null where there is no limit
    write_bandwidth: Amount | None
    shared_bandwidth: Amount | None
    figures: dict[str, FigureEntry]
    area_um2: NotRequired[Amount | None]            # all instances; null where it is not known
    leakage_pj_cycle: NotRequired[Amount | None]    # all instances when all are on


@with_config(_STRICT)
class MachineTotal(TypedDict):
    """Area and leakage of all instances of what is known of them, and whose are not."""

    area_um2: Amount
    area_unknown: list[str]
    leakage_pj_cycle: Amount
    leakage_unknown: list[str]


@with_config(_STRICT)
class ArchitectureEntry(TypedDict):
    name: str
    sha256: str
    cycle_seconds: Annotated[float, Field(gt=0)] | None
    technology_nm: NotRequired[Annotated[float, Field(gt=0)] | None]
    levels: list[ComponentEntry]
    total: NotRequired[MachineTotal]
    spec: dict[str, Any]


@with_config(_STRICT)
class WorkloadEntry(TypedDict):
    name: str
    sha256: str
    spec: dict[str, Any]


@with_config(_STRICT)
class NetworkCertificate(TypedDict):
    """The objective summed over all layers and repetitions (for a product such as EDP this is not
    the product of the totals), and the sum of the bounds proven for the layers."""

    value: Amount
    lower_bound: float
    gap: float


@with_config(_STRICT)
class Total(TypedDict):
    cycles: Count
    energy_pj: Amount
    edp_pj_cycles: Amount
    area_um2: Amount | None
    macs: Count
    utilization: Amount
    certificate: NotRequired[NetworkCertificate]


@with_config(_STRICT)
class Actions(TypedDict):
    """How often something happens in a dense run, and of these times how often it happens, is gated
    and is skipped once zeros are taken note of. The rest was never asked for."""

    algorithmic: Count
    actual: Count
    gated: Count
    skipped: Count


@with_config(_STRICT)
class MetadataEntry(TypedDict):
    """Accesses to the metadata of a tensor, in bits."""

    reads: Count
    fills: Count
    updates: Count


@with_config(_STRICT)
class SparseEntry(TypedDict):
    """What zeros change for one tensor at one level. `density`: expected share of non-zeros of a tile that
    is there, `present`: share of the instances that have one, `fitting`: share of the tiles that fit.
    `formats`: kinds of the ranks, outermost first. Bits of the fullest tile are of one instance. The
    energies are parts of that of the tensor: accesses to data and to metadata, changes of format, and reads
    that the level inside could not serve since its tiles were too full."""

    density: Amount
    present: Amount
    fitting: Amount
    formats: list[str]
    tile_bits: Count
    tile_metadata_bits: Count
    metadata_reads: Actions              # bits
    metadata_fills: Actions
    metadata_updates: Actions
    compressions: Count
    decompressions: Count
    data_pj: Amount
    metadata_pj: Amount
    conversion_pj: Amount
    refetched_pj: Amount


@with_config(_STRICT)
class TensorEntry(TypedDict):
    """One tensor at one level that keeps it. The tile and the partition are of one instance."""

    tile_words: Count
    partition_words: Count | Amount
    reads: Actions
    fills: Actions
    updates: Actions
    metadata: MetadataEntry
    temporal_reductions: Count
    address_generations: Count
    energy_pj: Amount                    # accesses and their addresses
    address_pj: Amount                   # the addresses alone
    read_bandwidth: Amount               # words a cycle and instance
    write_bandwidth: Amount
    sparse: NotRequired[SparseEntry]     # on a machine that does something about zeros


@with_config(_STRICT)
class LevelEntry(TypedDict):
    """A storage level, or compute (without tensors) as the last one."""

    name: str
    instances: Positive
    utilized_instances: Count | Amount   # on average; whole unless some idle at times
    cycles: Count
    energy_pj: Amount
    leakage_pj: Amount
    area_um2: Amount | None
    throttling: Amount                   # bandwidth there is to bandwidth asked for, at most 1
    dense_instances: NotRequired[Count | Amount]    # utilized in a dense run, where zeros are left out
    tensors: dict[str, TensorEntry]


@with_config(_STRICT)
class Multicast(TypedDict):
    """`words` words that are each sent to `factor` instances at once."""

    factor: Positive
    words: Count


@with_config(_STRICT)
class Delivery(TypedDict):
    """`words` words that are each sent to `multicast` instances at once, in `scatter` groups of that
    size; all together pass over `hops` links, null where nothing charges for them."""

    multicast: Positive
    scatter: Positive
    words: Amount
    hops: Amount | None


@with_config(_STRICT)
class TransferEntry(TypedDict):
    """One tensor on one network. `accesses` are the words sent by multicast factor, `deliveries` the
    same with the number of groups; `ingresses` are all words that enter, old values of outputs too;
    `hops` the links that each of them passes over on average; `reductions` the additions on the
    way up; `passed` the words that neighbours pass on; `energy_parts` pJ by what costs it."""

    accesses: list[Multicast]
    energy_pj: Amount
    deliveries: list[Delivery]
    ingresses: Amount
    hops: Amount | None
    reductions: Amount
    passed: Amount
    energy_parts: dict[str, Amount]


@with_config(_STRICT)
class NetworkEntry(TypedDict):
    """A network below one storage level; `level` is the level above it, `hop_pj` the energy of a
    word and hop."""

    name: str
    level: str
    energy_pj: Amount
    hop_pj: Amount
    tensors: dict[str, TransferEntry]


@with_config(_STRICT)
class AmongEntry(TypedDict):
    """Mappings with no more of an objective than `most`, in its unit."""

    objective: Objective
    most: Amount


@with_config(_STRICT)
class PotentialEntry(TypedDict):
    """What an `option` of a search that was not asked for could save at most: a `share` of the value, since
    no mapping that it brings in lies below `bound`. Absent where that is hardly anything."""

    option: Literal["imperfect", "uneven"]
    bound: Amount
    share: float
    dual: dict[str, Any]


@with_config(_STRICT)
class CertificateEntry(TypedDict):
    """What is proven of one objective: of all mappings, or of those in `among`. `then` is the certificate
    of the next objective, among mappings that are no worse in this one."""

    objective: Objective
    value: Amount
    lower_bound: float
    gap: float
    relaxed_bound: float
    status: Literal["optimal", "gap_reached", "time_limit", "heuristic"]
    mapspace_size: Amount
    classes: Count
    classes_pruned: Count
    bound_solves: Count
    evaluated: Count
    seconds: Amount
    among: NotRequired[AmongEntry]
    dual: dict[str, Any]
    then: NotRequired[CertificateEntry]
    potential: NotRequired[list[PotentialEntry]]


@with_config(_STRICT)
class FrontPointEntry(TypedDict):
    """A mapping on the front of a layer. The certificate is that of the energy, among mappings with no more
    cycles than it says."""

    cycles: Count
    energy_pj: Amount
    mapping: list[str]
    mapping_spec: list[dict[str, Any]] | None
    certificate: CertificateEntry


@with_config(_STRICT)
class LayerFrontEntry(TypedDict):
    """The front of cycles and energy of a layer; `fastest` is the certificate of the fewest cycles.
    For every mapping there is a point with no more than `1 + tolerance` times its cycles, and times its
    energy; null where nothing is known of slow mappings."""

    tolerance: Amount | None
    fastest: CertificateEntry
    points: Annotated[list[FrontPointEntry], Field(min_length=1)]


@with_config(_STRICT)
class NetworkPointEntry(TypedDict):
    """`choice`: by layer, which point of its front all its occurrences use, from 0 on."""

    cycles: Count
    energy_pj: Amount
    choice: dict[str, Count]


@with_config(_STRICT)
class FrontEntry(TypedDict):
    """The front of cycles and energy of the whole network, with the fewest cycles first; `tolerance` as
    that of a layer, for every choice of a mapping for each layer."""

    tolerance: Amount | None
    points: list[NetworkPointEntry]


@with_config(_STRICT)
class DifferenceEntry(TypedDict):
    """What the other semantics make of a layer, null where they refuse it; absent where the two
    agree."""

    semantics: Literal["exact", "timeloop"]
    energy_pj: Amount | None
    cycles: Count | None
    computes: Count | None


@with_config(_STRICT)
class DenseEntry(TypedDict):
    """What the mapping of a layer costs where nothing is done about zeros; absent where that is the
    case anyway, and where the tiles would not fit."""

    energy_pj: Amount
    cycles: Count


@with_config(_STRICT)
class LayerEntry(TypedDict):
    """One layer; its figures are those of one occurrence of `count`. `mapping` is the loop nest, one
    line a level and a loop; `mapping_spec` the same as Timeloop entries, null where that format
    has no words for it (a rank unrolled along both axes of one array)."""

    name: str
    count: Positive
    ranks: dict[str, Positive]
    macs: Positive
    cycles: Count
    energy_pj: Amount
    area_um2: Amount | None
    utilization: Amount
    bottleneck: str
    computes: Actions
    levels: list[LevelEntry]
    networks: list[NetworkEntry]
    mapping: list[str]
    mapping_spec: list[dict[str, Any]] | None
    certificate: NotRequired[CertificateEntry]
    explain: NotRequired[ExplainEntry]
    front: NotRequired[LayerFrontEntry]
    difference: NotRequired[DifferenceEntry]
    dense: NotRequired[DenseEntry]


@with_config(_STRICT)
class OptionsEntry(TypedDict):
    """Switches of the evaluation that do not stand as usual."""

    first_read_elision: NotRequired[bool]
    torus: NotRequired[bool]
    updated_rmw: NotRequired[bool]


@with_config(_STRICT)
class ResultDocument(TypedDict):
    """The result of `tilebound map` or `tilebound evaluate`; an evaluation has no certificates.
    `constraints`, in the native dialect, say which mappings were searched; absent where all were. `missing`:
    layers of the workload of which no mapping is known yet, since the search was interrupted."""

    schema: Literal["tilebound.result/1"]
    tool: Tool
    objective: Asked
    interrupted: bool
    missing: NotRequired[list[str]]
    semantics: Literal["exact", "timeloop"]
    options: NotRequired[OptionsEntry]
    constraints: NotRequired[dict[str, Any]]
    architecture: ArchitectureEntry
    workload: WorkloadEntry
    total: Total
    front: NotRequired[FrontEntry]
    layers: list[LayerEntry]


_ADAPTER: TypeAdapter[ResultDocument] = TypeAdapter(ResultDocument)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:tilebound:result:1",
            **_ADAPTER.json_schema()}


def validate(document: object, origin: str = "document") -> ResultDocument:
    """`document` itself, once it is known to have the right shape.

    Raises SpecError with every place that is wrong; `origin` is the file that it came from.
    """
    try:
        checked = _ADAPTER.validate_python(document)
    except ValidationError as error:
        raise SpecError([
            Problem(origin, 0, 0, f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}")
            for e in error.errors(include_url=False)]) from None
    faults = list(_contradictions(checked))
    if faults:
        raise SpecError([Problem(origin, 0, 0, fault) for fault in faults])
    return checked


def _contradictions(document: ResultDocument) -> Iterator[str]:
    """Places that do not agree with each other about which levels and layers there are."""
    levels = [level["name"] for level in document["architecture"]["levels"]]
    names = [layer["name"] for layer in document["layers"]]
    if len(set(names)) < len(names):
        yield f"layers: names are {', '.join(names)}; expected each once"
    for index, layer in enumerate(document["layers"]):
        found = [level["name"] for level in layer["levels"]]
        if found != levels:
            yield f"layers.{index}.levels: {', '.join(found)}; expected {', '.join(levels)}"
        for network in layer["networks"]:
            if network["level"] not in levels:
                yield f"layers.{index}.networks: no level {network['level']!r}"


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))
