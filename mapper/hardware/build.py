"""Native architecture text to `Architecture`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from ..spec import units
from ..spec.fields import MOST_WHOLE, Record, describe, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of
from .architecture import Architecture, Compute, Figure, Storage
from .build_lockstep import build_lockstep
from .build_network import build_network, figure
from .build_sparsity import COMPUTE_KEYS, STORAGE_KEYS, check_parents, compute_sparsity, storage_sparsity
from .sparsity import COMPUTE_ACTIONS, STORAGE_ACTIONS

_ARCHITECTURE_KEYS = ("name", "technology", "cycle", "notes", "word_bits", "levels", "compute",
                      "wire_energy", "wires")
#: Component attributes that may stand at the top of a level; all others go into `attributes`.
_COMPONENT_KEYS = ("type", "technology", "cell", "ports", "banks")
_COMPUTE_KEYS = ("name", "class", "word_bits", "instances", "energy", "area", "attributes", "parameters",
                 *_COMPONENT_KEYS)
_LEVEL_KEYS = (*_COMPUTE_KEYS, *STORAGE_KEYS, "width", "block_words", "cluster_size", "size", "depth",
               "multiple_buffering", "read_bandwidth", "write_bandwidth", "shared_bandwidth",
               "bandwidth_scale", "keep", "bypass", "fanout", "network", "update_network", "reduces",
               "power_gated_at")
_STORAGE_ACTIONS = ("read", "fill", "update")
_OTHER_ACTIONS = ("leak", "address")      # what `energy` with a single figure does not set
_Mesh = tuple[int, int]


@dataclass(frozen=True)
class _Fanout:
    """The array below a level."""

    x: int = 1
    y: int = 1
    x_ranks: tuple[str, ...] | None = None
    y_ranks: tuple[str, ...] | None = None


def build_architecture(node: Node, problems: Problems) -> Architecture | None:
    """The machine that the value of the top-level key `architecture` describes.

    Every fault goes to `problems`; the result is None when there was one. Energies and areas that
    the text leaves out stay out.
    """
    before = len(problems.errors)
    record = Record(node, problems, "architecture", _ARCHITECTURE_KEYS)
    record.require("levels")
    word_bits, wires = record.integer("word_bits", 16), record.text("wires", "") or None
    entries = list(record.entries("levels"))
    bottom = record.node("compute")
    if bottom is None and entries:
        bottom = entries.pop()
    levels_node = record.node("levels")
    if levels_node is not None and levels_node.is_list and (not entries or bottom is None):
        record.fault("levels", "an architecture without storage; expected one storage level or more "
                     "above the compute level")
    levels: list[Storage] = []
    mesh, fanout = (1, 1), _Fanout()
    for entry in entries:
        level = Record(entry, problems, "level", _LEVEL_KEYS)
        mesh = _instances(level, mesh, fanout)
        fanout = _fanout(level)
        levels.append(_storage(level, mesh, fanout, word_bits, wires))
    compute = Compute("compute")
    if bottom is not None:
        unit = Record(bottom, problems, "compute level", (*_COMPUTE_KEYS, *COMPUTE_KEYS, "lockstep"))
        compute = _compute(unit, _instances(unit, mesh, fanout), word_bits)
        names = [level.name for level in levels]
        compute = replace(compute, lockstep=build_lockstep(unit.node("lockstep"), names, problems))
    _check_names(entries + ([bottom] if bottom else []), problems)
    node_nm = record.parsed("technology", units.nanometres)
    cycle = record.parsed("cycle", units.seconds)
    _check_gating(entries + ([bottom] if bottom else []), problems)
    check_parents(entries, problems)
    name, notes = record.text("name", "architecture"), record.text("notes", "")
    wire = figure(record, "wire_energy")
    if len(problems.errors) > before:
        return None
    return Architecture(name, tuple(levels), compute, node_nm, cycle, notes, wire, node.position)


def _check_names(entries: list[Node], problems: Problems) -> None:
    seen: dict[str, Node] = {}
    for entry in entries:
        name = entry.get("name")
        if name is None:
            continue
        first = seen.setdefault(str(name.value), name)
        if first is not name:
            problems.error(name, f"a second level {name.value!r}; expected unique level names; "
                           f"the first is at {first.place}")


def _check_gating(entries: list[Node], problems: Problems) -> None:
    """Levels that others are power gated at must exist."""
    names = [str(entry["name"].value) for entry in entries if "name" in entry]
    for entry in entries:
        gate = entry.get("power_gated_at")
        if gate is not None and gate.value is not None and str(gate.value) not in names:
            problems.error(gate, f"power_gated_at is {describe(gate)}, which is no level; expected "
                           f"{one_of(names)}{did_you_mean(str(gate.value), names)}")


def _instances(record: Record, above: _Mesh, fanout: _Fanout) -> _Mesh:
    """Instances (x, y) in the whole machine: as written, else what the fanouts above multiply to."""
    product = above[0] * fanout.x, above[1] * fanout.y
    if prod(product) > MOST_WHOLE:
        record.fault("name", f"{prod(product)} instances; expected at most {MOST_WHOLE}")
        return above
    node = record.node("instances")
    if node is None:
        return product
    mesh = _mesh(record, node)
    if (fanout.x, fanout.y) != (1, 1) and mesh != product:
        record.fault("instances", f"{mesh[0]} x {mesh[1]} instances; expected {product[0]} x {product[1]}, "
                     "which the fanouts above multiply to; give one of the two")
    elif mesh[0] % above[0] or mesh[1] % above[1]:
        record.fault("instances", f"{mesh[0]} x {mesh[1]} instances cannot be shared evenly by {above[0]} x "
                     f"{above[1]} instances of the level above; expected multiples")
    return mesh


def _mesh(record: Record, node: Node) -> _Mesh:
    """`{x:, y:}` or a single number for x."""
    if node.is_map:
        part = Record(node, record.problems, "instances", ("x", "y"))
        return part.integer("x", 1), part.integer("y", 1)
    return record.integer("instances", 1), 1


def _fanout(record: Record) -> _Fanout:
    node = record.node("fanout")
    if node is None:
        return _Fanout()
    if not node.is_map:
        return _Fanout(record.integer("fanout", 1))
    part = Record(node, record.problems, "fanout", ("x", "y", "x_ranks", "y_ranks"))
    return _Fanout(part.integer("x", 1), part.integer("y", 1),
                   part.names("x_ranks", None), part.names("y_ranks", None))


def _storage(record: Record, mesh: _Mesh, fanout: _Fanout, default_bits: int, wires: str | None) -> Storage:
    record.require("name")
    word_bits = record.integer("word_bits", default_bits)
    block_words = _block_words(record, word_bits)
    keep, bypass = frozenset(record.names("keep", ())), frozenset(record.names("bypass", ()))
    if both := sorted(keep & bypass):
        record.fault("bypass", f"{', '.join(both)} both kept and bypassed; expected one of the two")
    attributes = _attributes(record)
    for key in ("width", "depth"):
        if whole(record.node(key) or record.source) is not None:
            attributes.setdefault(key, record.integer(key, 1))
    return Storage(
        name=record.text("name", ""), mesh_x=mesh[0], mesh_y=mesh[1],
        size_words=_size_words(record, word_bits, block_words), word_bits=word_bits,
        block_words=block_words, cluster_size=record.integer("cluster_size", 1),
        multiple_buffering=_at_least_one(record, "multiple_buffering"),
        read_bandwidth=record.number("read_bandwidth", None, positive=True),
        write_bandwidth=record.number("write_bandwidth", None, positive=True),
        shared_bandwidth=record.number("shared_bandwidth", None, positive=True),
        bandwidth_scale=_scales(record), keep=keep, bypass=bypass,
        spatial_x=fanout.x_ranks, spatial_y=fanout.y_ranks,
        network=build_network(record, "network", wires),
        update_network=(build_network(record, "update_network", wires) if record.has("update_network")
                        else None),
        reduces=record.flag("reduces", True), power_gated_at=record.text("power_gated_at", "") or None,
        component=record.text("class", "storage"), attributes=attributes,
        energy=_energy(record, _STORAGE_ACTIONS, STORAGE_ACTIONS), area=figure(record, "area"),
        sparsity=storage_sparsity(record), place=record.source.position)


def _compute(record: Record, mesh: _Mesh, default_bits: int) -> Compute:
    return Compute(
        name=record.text("name", "compute"), mesh_x=mesh[0], mesh_y=mesh[1],
        word_bits=record.integer("word_bits", default_bits), component=record.text("class", "intmac"),
        attributes=_attributes(record), energy=_energy(record, ("compute",), COMPUTE_ACTIONS),
        area=figure(record, "area"), sparsity=compute_sparsity(record))


def _block_words(record: Record, word_bits: int) -> int:
    """Words of one physical access, from `block_words` or from `width`."""
    width = record.integer("width", None)
    if width is None:
        return record.integer("block_words", 1)
    if width % word_bits:
        record.fault("width", f"width {width} is no multiple of word_bits {word_bits}; expected whole words")
    words = max(width // word_bits, 1)
    if record.integer("block_words", words) != words:
        record.fault("block_words", f"block_words disagrees with width / word_bits = {words}; "
                     "expected one of the two")
    return words


def _size_words(record: Record, word_bits: int, block_words: int) -> int | None:
    """Words of one instance, from `size` or from `depth`; None when unlimited."""
    if record.has("size") and record.has("depth"):
        record.fault("depth", "both size and depth; expected one of the two")
    depth = record.integer("depth", None)
    if depth is not None:
        return depth * block_words
    return record.parsed("size", lambda text: units.words(text, word_bits))


def _at_least_one(record: Record, key: str) -> float:
    value = record.number(key, 1.0)
    if value < 1:
        record.fault(key, f"{key} is {value:g}; expected 1 or more")
    return value


def _scales(record: Record) -> tuple[tuple[str, float], ...]:
    node = record.node("bandwidth_scale")
    if node is None:
        return ()
    part = Record(node, record.problems, "bandwidth_scale", [key for key, _ in node.items()])
    return tuple((key, part.number(key, 1.0)) for key, _ in node.items())


def _attributes(record: Record) -> dict[str, object]:
    """The free attributes, the parameters of the component, and the well-known ones from the top of the
    level."""
    found: dict[str, object] = {}
    for name in ("attributes", "parameters"):
        if (node := record.node(name)) is not None and not node.is_map:
            record.fault(name, f"{name} is {describe(node)}; expected a mapping")
        found |= {key: value.plain() for key, value in (node.items() if node else ())}
    for key in _COMPONENT_KEYS:
        if (value := record.node(key)) is not None:
            found[key] = value.plain()
    return found


def _energy(record: Record, actions: tuple[str, ...], others: tuple[str, ...]) -> dict[str, Figure]:
    """pJ by action. A single figure stands for all of `actions`, and for none of the `others`."""
    node = record.node("energy")
    if node is None:
        return {}
    if not node.is_map or "value" in node:
        single = figure(record, "energy")
        return dict.fromkeys(actions, single) if single else {}
    known = (*actions, *_OTHER_ACTIONS, *others)
    part = Record(node, record.problems, "energy", known)
    figures = {action: figure(part, action) for action in known}
    return {action: found for action, found in figures.items() if found is not None}
