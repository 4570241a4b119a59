"""`price`: give every component of an architecture the figures that its description leaves out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Mapping, TypeVar

from ..hardware.architecture import Architecture, Compute, Figure, Storage
from ..hardware.sparsity import METADATA_ACTIONS
from ..spec import units
from ..spec.nodes import one_of
from .component import Component, Estimate, checked
from .compound import Compound
from .figures import total, worst
from .networks import price_network
from .registry import registry
from .rules import zero_rules
from .table import EnergyTable

STORAGE_ACTIONS = ("read", "fill", "update")
#: The actions of a component that give each of ours: the first that is there.
_NAMES = {"read": ("read",), "fill": ("fill", "write"), "update": ("update", "write"),
          "compute": ("compute",)}

#: Parameters of a level that its store for metadata does not share.
_OF_WORDS = ("counter_bits", "metadata_width", "metadata_depth")

Part = TypeVar("Part", Storage, Compute)


@dataclass(frozen=True)
class Priced:
    """An architecture with all its figures, and what to know before one relies on them."""

    architecture: Architecture
    warnings: tuple[str, ...] = ()


def price(architecture: Architecture, table: EnergyTable | None = None, *,
          timeloop: bool = False) -> Architecture:
    """The same architecture with a figure, and its source, for every action.

    A component that misses an action ("read", "fill" or "update" of storage, "compute" of compute)
    is looked up in `table` (default: the one that comes with tilebound) by its class, size, width
    and technology, which fills in the missing actions, the area (um^2 an instance) and, where the
    cycle time and the leakage are known, the leakage (pJ a cycle). What is given stays as it is; a
    component with all its actions given is not looked up at all. A fill and an update each cost one
    write, unless the component says otherwise. Where a level writes tensors down in a format, its
    metadata is a second store of the same class. In a machine that gates or skips, what that costs is
    spelt out, by rule where there is no figure; with `timeloop`, by that program's rules alone.

    Raises
    ------
    ValueError
        A class, size or technology that the table does not know; one line a fault. There is
        no default figure.
    """
    return priced(architecture, table, timeloop=timeloop).architecture


def priced(architecture: Architecture, table: EnergyTable | None = None, *, timeloop: bool = False) -> Priced:
    """`price`, with the warnings of the components that were looked up."""
    known = table or EnergyTable.default()
    look = _Look(architecture, known, timeloop)
    faults: list[str] = []
    warnings: dict[str, list[str]] = {}      # each with the levels that it is about

    def attempt(part: Part, price_part: Callable[[Part], tuple[Part, Estimate | None]]) -> Part:
        try:
            found, estimate = price_part(part)
        except ValueError as error:
            faults.extend(f"{part.name} (class {part.component}): {line}" for line in str(error).splitlines())
            return part
        for warning in dict.fromkeys(estimate.warnings) if estimate else ():
            warnings.setdefault(warning, []).append(part.name)
        return zero_rules(found, architecture, None if timeloop else estimate)

    done = replace(architecture, levels=tuple(attempt(level, look.storage) for level in architecture.levels))
    done = replace(done, compute=attempt(architecture.compute, look.compute))
    if any(network and network.wires for x in done.levels for network in (x.network, x.update_network)):
        done = replace(done, levels=tuple(map(look.area, done.levels)), compute=look.area(done.compute))
    done = replace(done, levels=tuple(
        _wired(done, index, known, faults) for index in range(len(done.levels))))
    if faults:
        raise ValueError("\n".join(faults))
    return Priced(done, tuple(f"{', '.join(names)}: {warning}" for warning, names in warnings.items()))


@dataclass(frozen=True)
class _Look:
    """Looks components of one architecture up."""

    architecture: Architecture
    table: EnergyTable
    timeloop: bool

    def storage(self, level: Storage) -> tuple[Storage, Estimate | None]:
        """A level with the figures that it misses, and the estimate that they are from, if any."""
        energy, area, found = dict(level.energy), level.area, None
        if not all(action in energy for action in STORAGE_ACTIONS):
            found = self.estimate(level)
            energy = {**_actions(found, STORAGE_ACTIONS), **_leak(found, level, self.architecture), **energy}
            area = area or _share(found.area, level)
        if not level.sparsity.formats or set(METADATA_ACTIONS.values()) <= set(energy):
            return replace(level, energy=energy, area=area), found
        if found is not None and (own := _own_metadata(found)):     # the store of a compound, in its area too
            return replace(level, energy={**own, **energy}, area=area), found
        store = self.metadata(level)
        actions = _actions(store, STORAGE_ACTIONS)
        energy = {**{name: actions[action] for action, name in METADATA_ACTIONS.items()}, **energy}
        if found is not None:       # what is given by hand is of the whole level
            leak = _leak(store, level, self.architecture)
            energy |= {name: total([(1, energy[name]), (1, x)]) for name, x in leak.items()
                       if name in energy and name not in level.energy}
            more = _share(store.area, level)
            if level.area is None and area and more and more.value:
                area = total([(1, area), (1, more)])
        return replace(level, energy=energy, area=area), found

    def compute(self, compute: Compute) -> tuple[Compute, Estimate | None]:
        """The units with the figures that they miss."""
        if "compute" in compute.energy:
            return compute, None
        found = self.estimate(compute)
        energy = {**_actions(found, ("compute",)), **compute.energy}
        return replace(compute, energy=energy, area=compute.area or found.area), found

    def area(self, part: Part) -> Part:
        """A level of which only energies are given, with its area where the table knows it."""
        if part.area is not None:
            return part
        try:
            found = self.estimate(part).area
        except ValueError:
            return part         # whoever needs the area says that it is missing
        return replace(part, area=_share(found, part) if isinstance(part, Storage) else found)

    def estimate(self, part: Storage | Compute) -> Estimate:
        """What the table says of the component of a level. Of a compound that cannot be put together,
        Timeloop's files get that of the part that its class means by its name."""
        known = self.table.registry
        compound = str(part.attributes.get("compound_class"))
        component, fixed = known.exact(compound) or known.named(part.component)
        try:
            given = _parameters(part, self.architecture, component)
            found = component.estimate(checked(component, {**given, **fixed}), self.table)
            _actions(found, STORAGE_ACTIONS if isinstance(part, Storage) else ("compute",))
            return found
        except ValueError as error:
            if not (self.timeloop and isinstance(component, Compound)):
                raise
            why = str(error).splitlines()[0]
        component, fixed = registry().named(part.component)
        given = _parameters(part, self.architecture, component)
        found = component.estimate(checked(component, {**given, **fixed}), self.table)
        return replace(found, warnings=(*found.warnings, f"its parts cannot be priced ({why}), so that it is "
                                        f"taken for a {component.name}"))

    def metadata(self, level: Storage) -> Estimate:
        """The store for the metadata of a level."""
        sparsity = level.sparsity
        if sparsity.metadata_width is None:
            raise ValueError("no width of its metadata to price it by")
        plain = {key: value for key, value in level.attributes.items() if key not in _OF_WORDS}
        store = replace(level, word_bits=sparsity.metadata_width, size_words=sparsity.metadata_depth,
                        block_words=1, attributes=plain)
        try:
            return self.estimate(store)
        except ValueError as error:
            raise ValueError(f"metadata: {error}") from None


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


def _parameters(part: Storage | Compute, architecture: Architecture,
                component: Component) -> dict[str, object]:
    """What a level says of the parameters of its component."""
    names = {parameter.name for parameter in component.parameters}
    found = {key: value for key, value in part.attributes.items() if key in names and value is not None}
    own: dict[str, object] = {"bits": part.word_bits}
    if isinstance(part, Storage):
        own["width"] = part.word_bits * part.block_words * part.cluster_size
        if part.size_words is not None:
            own["depth"] = part.size_words / part.block_words
        elif "depth" in names:
            raise ValueError("no size")
    if "node" in names:
        own["node"] = _node(part, architecture)
    elif "technology" in names:          # a compound component, whose expressions have names of their own
        own |= {"technology": f"{_node(part, architecture):g}nm", "datawidth": part.word_bits,
                "global_cycle_seconds": architecture.cycle_seconds or ""}
    return {**found, **{key: value for key, value in own.items() if key in names}}


def _node(part: Storage | Compute, architecture: Architecture) -> float:
    """Technology node in nm: the component's own, else the architecture's."""
    own = part.attributes.get("technology", part.attributes.get("node"))
    if own is None and architecture.node_nm is not None:
        return architecture.node_nm
    try:
        return units.nanometres(own)
    except ValueError:
        raise ValueError(f"technology is {own}, which is no node such as 45nm") from None


def _actions(found: Estimate, wanted: tuple[str, ...]) -> dict[str, Figure]:
    """Energy by our actions."""
    energy = {}
    for action in wanted:
        name = next((name for name in _NAMES[action] if name in found.actions), None)
        if name is None:
            raise ValueError(f"no energy of {' or '.join(_NAMES[action])}; the component has "
                             f"{one_of(found.actions, 30)}")
        energy[action] = found.actions[name]
    return energy


def _leak(found: Estimate, level: Storage, architecture: Architecture) -> Mapping[str, Figure]:
    """pJ a cycle that one instance leaks, of which a cluster shares the array, refresh included; nothing
    where leakage or the cycle time is not known."""
    powers = [power for power in (found.leakage, found.refresh) if power is not None]
    if found.leakage is None or architecture.cycle_seconds is None:
        return {}
    milliwatts = sum(power.value for power in powers)
    text = " and ".join(power.source for power in powers)
    energy = milliwatts * 1e9 * architecture.cycle_seconds / level.cluster_size       # mW x s = 1e9 pJ
    return {"leak": Figure(energy, f"{text} x {architecture.cycle_seconds:g} s",
                           worst(powers, powers[0].basis))}


def _share(area: Figure | None, level: Storage) -> Figure | None:
    """um^2 of one instance, of which a cluster shares the array."""
    return area and replace(area, value=area.value / level.cluster_size)


def _own_metadata(found: Estimate) -> dict[str, Figure]:
    """Energy of accesses to metadata, where the component has a store for it."""
    if not {"metadata_read", "metadata_write"} <= set(found.actions):
        return {}
    write = found.actions["metadata_write"]
    return {"metadata_read": found.actions["metadata_read"], "metadata_fill": write,
            "metadata_update": found.actions.get("metadata_update", write)}
