"""Timeloop's `sparse_optimizations`, and the attributes about metadata, as native text."""

from __future__ import annotations

import re
from typing import Mapping

from .fields import Record, describe, one_among
from .nodes import Node, Problems, did_you_mean, one_of
from .timeloop_problem import underscored

_RANGE = re.compile(r"\[[^\]]*\]")
_TARGET = ("name", "version", "representation_format", "action_optimization", "compute_optimization",
           "max_overbooked_proportion")
_RANK = {"format": "format", "metadata_word_bits": "metadata_bits", "payload_word_bits": "payload_bits",
         "flattened_rankIDs": "flatten"}
_ACTIONS = {"gating": "gate", "skipping": "skip", "skipping_spatial": "skip_spatial"}
#: What compute units do, and the names that it had in older files.
_COMPUTES = {"gating": "gating", "skipping": "skipping", "gate_on_zero_operand": "gating",
             "skip_on_not_aligned_operands": "skipping"}
#: Attributes about metadata, by native key; the first that is there counts. A zero says that there is
#: no such store or word, but for payloads: there, it is a word of no bits.
_METADATA = {"width": ("metadata_storage_width", "metadata_width"),
             "depth": ("metadata_storage_depth", "metadata_depth"),
             "word_bits": ("metadata_word_bits", "metadata_datawidth"),
             "payload_bits": ("payload_word_bits",)}
_FLAGS = {"compression_supported": "compresses", "decompression_supported": "decompresses",
          "allow_overbooking": "overbooking"}
_BLOCK = "metadata_block_size"
#: Attributes with a meaning for what is written here.
ATTRIBUTES = (*(name for names in _METADATA.values() for name in names), *_FLAGS, _BLOCK)


def lower_attributes(architecture: Node) -> Node:
    """A native `architecture` whose levels still have Timeloop's attributes about zeros, with native keys
    in their place."""
    def lowered(level: Node) -> Node:
        attributes = dict((level.get("attributes") or level.at({})).items())
        given = {name: attributes.pop(name) for name in ATTRIBUTES if name in attributes}
        metadata = {key: node for key, names in _METADATA.items() for node in [_first(given, names)]
                    if node is not None and (node.value != 0 or key == "payload_bits")}
        block, bits = given.get(_BLOCK), metadata.get("word_bits")
        if "width" not in metadata and block is not None and bits is not None \
                and isinstance(block.value, int) and isinstance(bits.value, int) and block.value:
            metadata["width"] = block.at(block.value * bits.value)
        entries = {**dict(level.items()), "attributes": (level.get("attributes") or level).at(attributes)}
        if metadata:
            entries.setdefault("metadata", level.at(metadata))
        for name, key in _FLAGS.items():
            if name in given and given[name].value:
                entries.setdefault(key, given[name])
        return level.at(entries, level.keys)

    levels = architecture.get("levels")
    if levels is None or not levels.is_list:
        return architecture
    return architecture.at({**dict(architecture.items()), "levels": levels.at(tuple(map(lowered, levels)))},
                           architecture.keys)


def _first(given: Mapping[str, Node], names: tuple[str, ...]) -> Node | None:
    """The attribute under the first of its names."""
    return next((given[name] for name in names if name in given), None)


def lower_sparse(architecture: Node, section: Node | None, problems: Problems) -> Node:
    """A native `architecture` with what `section`, a `sparse_optimizations`, says of its levels.

    Unknown levels, and what is said twice, are faults.
    """
    targets = _targets(section, problems)
    levels, compute = architecture.get("levels"), architecture.get("compute")
    if not targets or levels is None or not levels.is_list:
        return architecture
    entries = [*levels, *([compute] if compute is not None else [])]
    places = {str(entry["name"].value): i for i, entry in enumerate(entries) if "name" in entry}
    for node in targets:
        target = Record(node, problems, "a target of sparse_optimizations", _TARGET)
        if not target.require("name"):
            continue
        name = _RANGE.sub("", target.text("name", ""))
        if name not in places:
            target.fault("name", f"unknown level {name!r}; expected {one_of(places)}"
                         f"{did_you_mean(name, places)}")
            continue
        place = places[name]
        found = _compute(target) if place == len(entries) - 1 else _level(target)
        entries[place] = _joined(entries[place], found, problems)
    result = {**dict(architecture.items()), "levels": levels.at(tuple(entries[:len(levels)]))}
    if compute is not None:
        result["compute"] = entries[-1]
    return architecture.at(result, architecture.keys)


def _targets(section: Node | None, problems: Problems) -> list[Node]:
    """The entries about levels, bare or under `targets`."""
    if section is None or section.value is None:
        return []
    plain = underscored(section)
    if plain.is_map:
        found = Record(plain, problems, "sparse_optimizations", ("version", "targets"))
        plain = found.node("targets") or plain.at(())
    if not plain.is_list:
        problems.error(plain, f"sparse_optimizations is {describe(plain)}; expected a list under `targets`")
    return list(plain)


def _level(target: Record) -> dict[str, Node]:
    """What a target says of a storage level, by native key."""
    found: dict[str, Node] = {}
    for entry in _listed(target, "compute_optimization"):
        target.problems.error(entry, f"compute_optimization of the storage level {target.text('name', '')}; "
                              "expected it for the compute level")
    if (share := target.node("max_overbooked_proportion")) is not None:
        found["overbooking"] = share
    if (written := target.node("representation_format")) is not None:
        found["formats"] = _formats(written, target.problems)
    for node in _listed(target, "action_optimization"):
        action = Record(node, target.problems, "an action_optimization",
                        ("type", "options", "target", "condition_on"))
        kind = one_among(action.source, "type", _ACTIONS, "optimization", target.problems)
        if kind is not None:
            key = _ACTIONS[kind]
            found[key] = node.at((*found.get(key, ()), _action(node, target.problems)))
    return found


def _formats(node: Node, problems: Problems) -> Node:
    """The representations of tensors."""
    formats: dict[str, Node] = {}
    keys: dict[str, Node] = {}
    for entry in Record(node, problems, "representation_format", ("data_spaces",)).entries("data_spaces"):
        space = Record(entry, problems, "a data space", ("name", "ranks", "rank_application_order"))
        if not space.require("name", "ranks"):
            continue
        name = space.text("name", "")
        if name in formats:
            space.fault("name", f"a second format for {name}; expected one at a level")
        formats[name], keys[name] = _format(space), entry["name"]
    return node.at(formats, keys)


def _format(space: Record) -> Node:
    ranks = []
    for node in space.entries("ranks"):
        rank = Record(node, space.problems, "a rank", tuple(_RANK))
        kind = rank.node("format")
        entries = {native: rank.source[key] for key, native in _RANK.items() if rank.has(key)}
        if kind is not None and isinstance(kind.value, str):
            entries["format"] = kind.at(kind.value.upper())
        groups = entries.get("flatten")
        if groups is not None and groups.is_list and all(name.is_scalar for name in groups):
            entries["flatten"] = groups.at((groups,))
        ranks.append(node.at(entries))
    found = {"ranks": space.source["ranks"].at(tuple(ranks))}
    if (order := space.node("rank_application_order")) is not None:
        found["order"] = order
    return space.source.at(found)


def _action(node: Node, problems: Problems) -> Node:
    """An optimization in native keys; what is wrong with it is found when these are read."""
    entries = {{"condition_on": "on"}.get(key, key): value for key, value in node.items() if key != "type"}
    options = entries.get("options")
    if options is not None and options.is_list:
        for option in options:
            Record(option, problems, "an option", ("target", "condition_on"))
        entries["options"] = options.at(tuple(_action(x, problems) for x in options if x.is_map))
    return node.at(entries)


def _compute(target: Record) -> dict[str, Node]:
    """What a target says of the compute units, by native key."""
    found: dict[str, Node] = {}
    for key in ("representation_format", "action_optimization", "max_overbooked_proportion"):
        if target.has(key):
            target.fault(key, f"{key} of the compute level {target.text('name', '')}; expected it for a "
                         "storage level")
    for node in _listed(target, "compute_optimization"):
        optimization = Record(node, target.problems, "a compute_optimization", ("type", *_COMPUTES))
        flags = [key for key in _COMPUTES if optimization.has(key)]     # of older files
        for key in flags:
            if optimization.flag(key, False):
                found[_COMPUTES[key]] = node[key]
        if not flags and (kind := one_among(node, "type", _COMPUTES, "optimization", target.problems)):
            found[_COMPUTES[kind]] = node["type"].at(True)
    return found


def _listed(target: Record, key: str) -> tuple[Node, ...]:
    """The entries of a list, or the single one that stands without it."""
    node = target.node(key)
    return (node,) if node is not None and node.is_map else target.entries(key)


def _joined(entry: Node, found: dict[str, Node], problems: Problems) -> Node:
    """A level with more keys. Lists join; a tensor must not get a second format."""
    entries = dict(entry.items())
    for key, node in found.items():
        present = entries.get(key)
        if key == "formats" and present is not None:
            for tensor in (name for name, _ in node.items() if name in present):
                problems.error(node.key(tensor), f"a second format for {tensor}; expected one at a level")
            entries[key] = node.at({**dict(present.items()), **dict(node.items())},
                                   {**present.keys, **node.keys})
        elif key in _ACTIONS.values() and present is not None:
            entries[key] = node.at((*present, *node))
        elif key == "overbooking":
            if present is None or present.value is not True:
                problems.note(node, "max_overbooked_proportion counts for nothing; expected "
                              "allow_overbooking among the attributes of the level")
            else:
                entries[key] = node
        else:
            entries[key] = node
    return entry.at(entries, entry.keys)
