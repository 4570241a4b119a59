"""`price`: give every component of an architecture the figures that its description leaves out."""

from __future__ import annotations

import re
from dataclasses import replace
from difflib import get_close_matches
from typing import Callable, Mapping, TypeVar

from ..hardware.architecture import Architecture, Compute, Figure, Storage
from ..hardware.sparsity import METADATA_ACTIONS
from .networks import price_network
from .sram import STRIPE, Memory
from .table import EnergyTable

#: What a component class must contain (in lower case) to be priced by a model; first match counts.
STORAGE_MODELS = {"dram": "dram", "regfile": "regfile", "register": "regfile", "_rf": "regfile",
                  "sram": "sram", "smartbuffer": "sram", "storage": "sram"}
COMPUTE_MODELS = {"fpmac": "fp", "fp_mac": "fp", "mac": "int"}

Part = TypeVar("Part", Storage, Compute)
STORAGE_ACTIONS = ("read", "fill", "update")
_NARROWEST = 8      # bits of a row; those of metadata may be fewer, and are priced as rows of so many


def price(architecture: Architecture, table: EnergyTable | None = None) -> Architecture:
    """The same architecture with a figure, and its source, for every action.

    A component that misses an action ("read", "fill" or "update" of storage, "compute" of compute)
    is looked up in `table` (default: the one that comes with tilebound) by its class, size, width
    and technology, which fills in the missing actions, the area (um^2 an instance) and, where the
    cycle time is known, the leakage (pJ a cycle). What is given stays as it is; a component with
    all its actions given is not looked up at all. A fill and an update each cost one write. Rows of
    more than 512 bits are macros side by side. Where a level writes tensors down in a format, its
    metadata is a second store of the same class.

    Raises
    ------
    ValueError
        A class, size or technology that the table does not know; one line a component. There is
        no default figure.
    """
    known = table or EnergyTable.default()
    faults: list[str] = []

    def attempt(part: Part, price_part: Callable[[Part, Architecture, EnergyTable], Part]) -> Part:
        try:
            return price_part(part, architecture, known)
        except ValueError as error:
            faults.append(f"{part.name} (class {part.component}): {error}")
            return part

    priced = replace(architecture, compute=attempt(architecture.compute, _price_compute),
                     levels=tuple(attempt(level, _price_storage) for level in architecture.levels))
    priced = replace(priced, levels=tuple(
        _wired(priced, index, known, faults) for index in range(len(priced.levels))))
    if faults:
        raise ValueError("\n".join(faults))
    return priced


def _wired(architecture: Architecture, index: int, table: EnergyTable, faults: list[str]) -> Storage:
    """Storage level `index` with the energy of the wires that its networks ask for."""
    level = architecture.levels[index]
    if architecture.fanout(index) == (1, 1) or faults:      # no wires, or areas that nobody knows
        return level
    try:
        up = level.update_network and price_network(level.update_network, architecture, index, table)
        return replace(level, network=price_network(level.network, architecture, index, table),
                       update_network=up)
    except ValueError as error:
        faults.append(f"{level.name} (network): {error}")
        return level


def _price_storage(level: Storage, architecture: Architecture, table: EnergyTable) -> Storage:
    energy, area = dict(level.energy), level.area
    if not all(action in energy for action in STORAGE_ACTIONS):
        found, area = _storage(level, architecture, table)
        energy, area = {**found, **energy}, level.area or area
    if level.sparsity.formats and not set(METADATA_ACTIONS.values()) <= set(energy):
        store = _metadata(level, architecture, table)
        energy |= {name: store[action] for action, name in METADATA_ACTIONS.items() if name not in energy}
    return replace(level, energy=energy, area=area)


def _metadata(level: Storage, architecture: Architecture, table: EnergyTable) -> Mapping[str, Figure]:
    """Energy by action of the store for the metadata of `level`."""
    sparsity = level.sparsity
    if sparsity.metadata_width is None:
        raise ValueError("no width of its metadata to price it by")
    width = max(sparsity.metadata_width, _NARROWEST)
    store = replace(level, word_bits=width, size_words=sparsity.metadata_depth, block_words=1)
    try:
        return _storage(store, architecture, table)[0]
    except ValueError as error:
        raise ValueError(f"metadata: {error}") from None


def _storage(level: Storage, architecture: Architecture,
             table: EnergyTable) -> tuple[Mapping[str, Figure], Figure]:
    """Energy by action, and area of one instance."""
    model = _model(level.component, STORAGE_MODELS)
    if model == "dram":
        return _dram(level, table)
    memory = _memory(level, model, _node(level, architecture), table)
    return _actions(memory, level.cluster_size, architecture.cycle_seconds)


def _price_compute(compute: Compute, architecture: Architecture, table: EnergyTable) -> Compute:
    if "compute" in compute.energy:
        return compute
    number = _model(compute.component, COMPUTE_MODELS)
    unit = table.mac(bits=compute.word_bits, node_nm=_node(compute, architecture), number=number)
    return replace(compute, energy={**compute.energy, "compute": unit.energy}, area=compute.area or unit.area)


def _dram(level: Storage, table: EnergyTable) -> tuple[Mapping[str, Figure], Figure]:
    kind = level.attributes.get("type")
    if kind is None:
        raise ValueError(f"no `type`; known are {', '.join(table.dram_kinds)}")
    access = table.dram(kind=str(kind), width=_access_bits(level))
    return dict.fromkeys(STORAGE_ACTIONS, access), Figure(0.0, "off chip")


def _memory(level: Storage, model: str, node_nm: float, table: EnergyTable) -> Memory:
    if level.size_words is None:
        raise ValueError("no size")
    bits = level.size_words * level.word_bits * level.cluster_size
    cell = str(level.attributes.get("cell", "itrs-lstp"))
    if model == "regfile":
        return table.regfile(bits=bits, width=_access_bits(level), node_nm=node_nm, cell=cell)
    return table.sram(bits=bits, width=_access_bits(level), node_nm=node_nm, cell=cell,
                      ports=str(level.attributes.get("ports", "1RW")),
                      banks=int(str(level.attributes.get("banks", 1))), macro_bits=STRIPE)


def _actions(memory: Memory, cluster_size: int,
             cycle_seconds: float | None) -> tuple[Mapping[str, Figure], Figure]:
    """Energy by action and area of one instance, of which `cluster_size` share the array."""
    write = Figure(memory.write_pj, f"{memory.provenance} (write)")
    energy = {"read": Figure(memory.read_pj, f"{memory.provenance} (read)"), "fill": write, "update": write}
    if cycle_seconds is not None:
        leak = memory.leakage_mw * 1e9 * cycle_seconds / cluster_size     # mW x s = 1e9 pJ
        energy["leak"] = Figure(leak, f"{memory.provenance} (leakage x {cycle_seconds:g} s)")
    return energy, Figure(memory.area_um2 / cluster_size, memory.provenance)


def _access_bits(level: Storage) -> int:
    """Bits that one physical access moves: a block of words for every instance of the cluster."""
    return level.word_bits * level.block_words * level.cluster_size


def _node(component: Storage | Compute, architecture: Architecture) -> float:
    """Technology node in nm: the component's own, else the architecture's."""
    own = component.attributes.get("technology")
    if own is None and architecture.node_nm is not None:
        return architecture.node_nm
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:nm)?\s*", str(own))
    if match is None:
        raise ValueError(f"technology is {own}, which is no node such as 45nm")
    return float(match[1])


def _model(component: str, models: Mapping[str, str]) -> str:
    """The model that prices the class `component`."""
    for part, model in models.items():
        if part in component.lower():
            return model
    close = get_close_matches(component.lower(), models, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown class; known are names with {', '.join(models)} in them{hint}")
