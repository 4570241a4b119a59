"""Timeloop's architecture (the resolved tree of v0.2 to v0.4, the older two lists) as native text.

Every node of the result keeps the place where the user wrote its value, so that faults found later
point at the user's file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .fields import describe, finite, whole
from .nodes import Node, Problems, Value, did_you_mean
from .timeloop_names import Attributes, look_at_keys
from .timeloop_networks import KINDS, KNOWN, OWN, bound_networks, implied_network, named_network
from .timeloop_sparse import ATTRIBUTES as SPARSE

STORAGE_CLASSES = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
COMPUTE_CLASSES = ("mac", "compute")
_NAME = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<first>\d+)\.\.(?P<last>\d+)\])?")
#: Attributes that change results in a way that cannot be evaluated, unless they are zero or absent.
_UNSUPPORTED = {"min_utilization": "a minimum utilization"}
_ALIASES = {"word_bits": ("word_bits", "word_width", "datawidth"),
            "width": ("width", "memory_width", "data_storage_width"),
            "depth": ("depth", "memory_depth", "data_storage_depth"),
            "block_size": ("block_size", "n_words")}
_KNOWN = ("cluster_size", "read_bandwidth", "write_bandwidth", "shared_bandwidth", "bandwidth",
          "per_dataspace_bandwidth_consumption_scale", "multiple_buffering", "meshX", "meshY",
          "vector_access_energy", "reduction_supported", "technology", "addr_gen_energy",
          "power_gated_at", *KNOWN, *SPARSE, *_UNSUPPORTED,
          *(alias for names in _ALIASES.values() for alias in names))
#: Attributes with a meaning for the model; others are handed on.
KNOWN_ATTRIBUTES = (*_KNOWN, "entries", "sizeKB")
#: Handed on, and common: for energies, for sparse tensors, or given by Timeloop's front-end itself.
_COMMON = ("type", "cell", "ports", "banks", "note", "notes", "version", "global_cycle_seconds",
           "n_banks", "nbanks", "num_banks", "n_ports", "nports", "num_ports", "has_power_gating",
           "metadata_n_banks", "metadata_counter_width")
_KEYS = ("name", "class", "subclass", "attributes", "required_actions", "enabled", "version", "keep",
         "bypass", "tilebound")
_BRANCH_KEYS = ("name", "attributes", "local", "subtree", "version")
_TOP_KEYS = ("version", "subtree", "name", "attributes", "constraints")


@dataclass(frozen=True)
class _Component:
    """One entry of `local`, or of the older lists, with how many there are (None: not said)."""

    node: Node
    name: str
    kind: str
    count: int | None
    attributes: dict[str, Node]


def lower_architecture(node: Node, problems: Problems) -> Node:
    """The native `architecture` that `node`, a Timeloop architecture, describes.

    Faults, and constructs that cannot be evaluated, go to `problems`.
    """
    names = Attributes((*KNOWN_ATTRIBUTES, *_COMMON), problems)
    if "subtree" in node:
        look_at_keys(node, _TOP_KEYS, "an architecture", problems)
        found, system = _walk(node, names)
    else:
        look_at_keys(node, ("version", "arithmetic", "storage", "constraints"), "an architecture", problems)
        found, system = _lists(node, names), {}
    names.tell()
    storage, computes, named = [], [], {}
    for component in found:
        if any(word in component.kind for word in STORAGE_CLASSES):
            storage.append(component)
        elif any(word in component.kind for word in COMPUTE_CLASSES):
            computes.append(component.node.at(_common(component, problems) | _own(component)))
        elif any(word in component.kind for word in KINDS):
            named[component.name] = named_network(component.node, component.name, component.kind,
                                                  component.attributes, problems)
        else:
            problems.note(component.node.get("class") or component.node, f"component {component.name!r} of "
                          f"class {component.kind!r} counts for nothing; expected a class with one of "
                          f"{', '.join((*STORAGE_CLASSES, *COMPUTE_CLASSES))} in its name"
                          f"{did_you_mean(component.kind, (*STORAGE_CLASSES, *COMPUTE_CLASSES))}")
    levels = [_storage(component, below, named, problems)
              for component, below in zip(storage, [*storage[1:], None], strict=False)]
    if len(computes) != 1:
        problems.error(node, f"{len(computes)} compute components; expected exactly one, with a class "
                       "that contains mac or compute")
    compute = computes[-1] if computes else node.at({"name": node.at("compute")})
    return node.at({"levels": node.at(tuple(levels)), "compute": compute, **system})


def _walk(node: Node, names: Attributes) -> tuple[list[_Component], dict[str, Node]]:
    """The components of the tree, outermost first, and what the tree says of the whole machine."""
    problems = names.problems
    found: list[_Component] = []
    system: dict[str, Node] = {}
    count: int | None = None
    while (subtree := node.get("subtree")) is not None:
        if len(subtree) != 1 or not subtree.is_list:
            problems.error(subtree, f"a subtree with {len(subtree)} branches; expected a list with one "
                           "entry: machines that fork are not described by this form")
        if not len(subtree) or not subtree.is_list:
            break
        node = subtree[0]
        look_at_keys(node, _BRANCH_KEYS, "a branch", problems)
        if (given := node.get("attributes")) is not None:
            names.look(given.at(given.value))       # as if inherited: many are there for expressions
        name, times = _split_name(node, problems)
        system.setdefault("name", node.at((name or "architecture").removesuffix("_top_level")))
        for key, value in _normal(node.get("attributes")).items():
            if key == "technology" and re.fullmatch(r"\d+(\.\d+)?\s*nm", str(value.value)):
                system["technology"] = value
            elif key == "notes":
                system["notes"] = value
            elif key == "global_cycle_seconds" and (seconds := _number(value)):
                system["cycle"] = value.at(f"{seconds!r} s")
        count = _times(count, times)
        local = node.get("local")
        if local is not None and local.value is not None and not local.is_list:
            problems.error(local, f"local is {describe(local)}; expected a list of components")
        for entry in local or ():
            if not entry.is_map:
                problems.error(entry, f"a component that is {describe(entry)}; expected a mapping with "
                               "'name' and 'class'")
                continue
            _look(entry, names)
            name, times = _split_name(entry, problems)
            found.append(_Component(entry, name, _kind(entry), _times(count, times),
                                    _normal(entry.get("attributes"))))
    return found, system


def _look(entry: Node, names: Attributes) -> None:
    """Check the names of the keys of a component, and of the attributes of one that counts."""
    look_at_keys(entry, _KEYS, "a component", names.problems)
    attributes, kind = entry.get("attributes"), _kind(entry)
    if attributes is not None and attributes.value is not None and not attributes.is_map:
        names.problems.error(attributes, f"attributes is {describe(attributes)}; expected a mapping")
    if attributes is not None and any(word in kind for word in (*STORAGE_CLASSES, *COMPUTE_CLASSES, *KINDS)):
        names.look(attributes, OWN if any(word in kind for word in KINDS) else ())


def _kind(entry: Node) -> str:
    """The class of a component; its subclass, where only that says what it does."""
    kinds = [str(entry[key].value) for key in ("class", "subclass") if key in entry]
    telling = [kind for kind in kinds if any(word in kind for word in (*STORAGE_CLASSES, *COMPUTE_CLASSES))]
    return (telling or kinds or [""])[0]


def _lists(node: Node, names: Attributes) -> list[_Component]:
    """The older form: `arithmetic`, and `storage` innermost first, with all attributes at the top."""
    problems = names.problems
    arithmetic, storage = node.get("arithmetic"), node.get("storage")
    if arithmetic is None or storage is None:
        problems.error(node, "an architecture in no known form; expected `levels` (native), `subtree` "
                       "(Timeloop), or `arithmetic` and `storage`; resolve a tree of `nodes` first")
        return []
    found = []
    for entry, kind in [*((level, "SRAM") for level in reversed(list(storage))), (arithmetic, "mac")]:
        attributes = _normal(entry)
        names.look(entry, ("name", "instances"))
        name, _ = _split_name(entry, problems)
        technology = attributes.get("technology")
        if technology is not None and technology.value == "DRAM" and kind == "SRAM":
            kind = "DRAM"
        instances = attributes.get("instances")
        free = {key: value for key, value in attributes.items()
                if key not in ("name", "technology", "instances")}
        found.append(_Component(entry, name, kind, whole(instances) if instances else None, free))
    return found


def _times(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else a * b


def _split_name(node: Node, problems: Problems) -> tuple[str, int | None]:
    """`RF[0..167]` as the name and the number of instances (None without a range)."""
    name = node.get("name")
    if name is None:
        problems.error(node, "a component without a name; expected the key 'name'")
        return "", None
    match = _NAME.fullmatch(str(name.value))
    if match is None:
        problems.error(name, f"name {name.value!r}; expected a name, or a range such as RF[0..15]")
        return "", None
    if match["first"] is None:
        return match["name"], None
    first, last = int(match["first"]), int(match["last"])
    if last < first:
        problems.error(name, f"name {name.value!r} with a range that is reversed; expected the lower number "
                       f"first: {match['name']}[{last}..{first}]")
    return match["name"], abs(last - first) + 1


def _normal(node: Node | None) -> dict[str, Node]:
    """Attributes without nulls, with underscores for the hyphens of old files."""
    return {key.replace("-", "_"): value for key, value in (node.items() if node else ())
            if value.value is not None}


def _number(node: Node | None) -> float | None:
    """A number, also when it is quoted."""
    if node is None:
        return None
    if isinstance(node.value, str):
        try:
            return float(node.value)
        except ValueError:
            return None
    return finite(node)


def _common(component: _Component, problems: Problems) -> dict[str, Node]:
    """The native keys that storage and compute share."""
    node, attributes = component.node, component.attributes
    subclass = node.get("subclass")
    result = {"name": (node.get("name") or node).at(component.name),
              "class": node.at(component.kind) if subclass is None else subclass,
              "instances": _mesh(component, problems)}
    if (bits := _first(attributes, "word_bits")) is not None:
        result["word_bits"] = bits
    free = {key: value for key, value in attributes.items() if key not in ("meshX", "meshY")}
    result["attributes"] = node.at(free)
    return result


def _mesh(component: _Component, problems: Problems) -> Node:
    """Instances in x and y, of which either may follow from the range in the name."""
    x, y = (whole(component.attributes.get(key) or component.node) for key in ("meshX", "meshY"))
    count, node = component.count, component.node
    if x is None and y is None:
        x, y = count or 1, 1
    elif x is None or y is None:
        given = x or y or 1
        other, rest = divmod(given if count is None else count, given)
        if rest:
            problems.error(node, f"{count} instances of {component.name} do not fill rows of {given}; "
                           "expected a multiple")
        x, y = (given, other) if x else (other, given)
    elif count is not None and x * y != count:
        problems.error(node, f"a mesh of {x} x {y} for {count} instances of {component.name}; "
                       f"expected {x * y} instances in its name and those around it")
    return node.at({"x": node.at(x), "y": node.at(y)})


def _storage(component: _Component, below: _Component | None, named: dict[str, Node],
             problems: Problems) -> Node:
    node, attributes = component.node, component.attributes
    result = _common(component, problems)
    for key in ("multiple_buffering", "read_bandwidth", "write_bandwidth", "shared_bandwidth"):
        if key in attributes:
            result[key] = attributes[key]
    if "per_dataspace_bandwidth_consumption_scale" in attributes:
        result["bandwidth_scale"] = attributes["per_dataspace_bandwidth_consumption_scale"]
    half = _number(attributes.get("bandwidth"))
    if half is not None:        # deprecated: shared out evenly between reading and writing
        for key in ("read_bandwidth", "write_bandwidth"):
            result.setdefault(key, attributes["bandwidth"].at(half / 2))
    for key in ("keep", "bypass"):
        if key in node:
            result[key] = node[key]
    _geometry(component, result, problems)
    result |= bound_networks(component.name, attributes, below.attributes if below else None,
                             implied_network(node, attributes, problems), named, problems)
    result["reduces"] = attributes.get("reduction_supported", node.at("DRAM" not in component.kind))
    if "power_gated_at" in attributes:
        result["power_gated_at"] = attributes["power_gated_at"]
    if "vector_access_energy" in attributes:
        result["energy"] = attributes["vector_access_energy"]
    if (address := attributes.get("addr_gen_energy")) is not None:
        whole_access = result.get("energy")
        actions = dict.fromkeys(("read", "fill", "update"), whole_access) if whole_access else {}
        result["energy"] = address.at({**actions, "address": address})
    result |= _own(component)
    _refuse(component, problems)
    return node.at(result)


def _own(component: _Component) -> dict[str, Node]:
    """Native keys, written by a conversion."""
    own = component.node.get("tilebound")
    return {} if own is None else dict(own.items())


def _geometry(component: _Component, result: dict[str, Node], problems: Problems) -> None:
    """`block_words`, `cluster_size` and `size`. Of the block and the cluster, one that is not given
    follows from the width; the depth counts rows of one block each."""
    attributes = component.attributes
    word_bits = _positive(_first(attributes, "word_bits"), 16)
    block_node, cluster_node = _first(attributes, "block_size"), attributes.get("cluster_size")
    block, cluster = _positive(block_node, 1), _positive(cluster_node, 1)
    width = _first(attributes, "width")
    if width is not None and (bits := whole(width)) is not None:
        fixed = word_bits * (block if block_node else cluster)
        if bits % fixed:
            problems.error(width, f"width {bits} of {component.name} is no multiple of {fixed}, word_bits "
                           f"times {'block_size' if block_node else 'cluster_size'}; expected one")
        elif block_node is None:
            block = max(bits // fixed, 1)
        elif cluster_node is None:
            cluster = max(bits // fixed, 1)
    for key, given, value in (("block_words", block_node, block), ("cluster_size", cluster_node, cluster)):
        result[key] = given if given is not None else (width or component.node).at(value)
    depth, entries = _first(attributes, "depth"), attributes.get("entries")
    kilobytes = attributes.get("sizeKB")
    if depth is not None and whole(depth) is not None:
        result["size"] = depth.at(f"{(whole(depth) or 0) * block} words")
    elif entries is not None:
        result["size"] = entries.at(f"{entries.value} words")
    elif kilobytes is not None and (size := _number(kilobytes)):
        result["size"] = kilobytes.at(f"{int(size * 8192 / word_bits)} words")


def _first(attributes: dict[str, Node], key: str) -> Node | None:
    """The value of an attribute under the first of its names that is there."""
    return next((attributes[name] for name in _ALIASES[key] if name in attributes), None)


def _positive(node: Node | None, default: int) -> int:
    value = default if node is None else whole(node)
    return value if value is not None and value > 0 else default


def _refuse(component: _Component, problems: Problems) -> None:
    for key, what in _UNSUPPORTED.items():
        value: Value = component.attributes[key].value if key in component.attributes else None
        if value not in (None, 0, 0.0, False):
            problems.refuse(component.attributes[key], f"{key} of {component.name}: {what} cannot be "
                            "evaluated; expected none")
