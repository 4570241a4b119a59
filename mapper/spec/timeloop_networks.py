"""Timeloop's networks, the implied and the named ones, as native text."""

from __future__ import annotations

from typing import Mapping

from .fields import describe
from .nodes import Node, Problems, did_you_mean, one_of

#: What the class of a network must contain, and the kind that it is.
KINDS = {"SimpleMulticast": "multicast", "ReductionTree": "tree", "XY_NoC": "mesh", "Legacy": "mesh"}
#: Native key of each attribute, of a network or of the level above one that is implied.
_ATTRIBUTES = {"energy_per_ingress": "ingress_energy", "energy_per_hop": "hop_energy",
               "wire_energy": "wire_energy", "tile_width": "tile_width", "router_energy": "router_energy",
               "adder_energy": "adder_energy", "network_fill_latency": "fill_latency",
               "network_drain_latency": "drain_latency", "network_word_bits": "word_bits"}
_OWN_ATTRIBUTES = {"datawidth": "word_bits", "word_bits": "word_bits", "word_width": "word_bits",
                   "fill_latency": "fill_latency", "drain_latency": "drain_latency",
                   "action_name": "action", "multicast_factor_argument": "argument"}
_TYPES = ("1:1", "1:N", "M:N")
_ROLES = ("network_read", "network_fill", "network_drain", "network_update")
KNOWN = (*_ATTRIBUTES, *_ROLES, "network_type")
#: Attributes that networks alone have.
OWN = (*_OWN_ATTRIBUTES, "per_datatype_ERT")

Attributes = Mapping[str, Node]


def implied_network(node: Node, attributes: Attributes, problems: Problems) -> Node:
    """The network that Timeloop puts below a storage level with these attributes."""
    entries = {"links": node.at(True), **_renamed(attributes, _ATTRIBUTES)}
    kind = attributes.get("network_type")
    if kind is not None:
        if kind.value not in _TYPES:
            problems.error(kind, f"network_type is {describe(kind)}; expected {one_of(_TYPES)}")
        entries["distributed"] = kind.at(kind.value == "M:N")
    return node.at(entries)


def named_network(node: Node, name: str, kind: str, attributes: Attributes, problems: Problems) -> Node:
    """A network that is a component of its own, of a class that contains a key of `KINDS`."""
    for key in ("per_datatype_ERT",):
        if key in attributes and attributes[key].value:
            problems.refuse(attributes[key], f"{key} of {name} cannot be evaluated; expected none")
    native = next(native for word, native in KINDS.items() if word in kind)
    entries = _renamed(attributes, {**_ATTRIBUTES, **_OWN_ATTRIBUTES})
    if native != "tree":        # Timeloop lets neighbours pass words on below any network
        entries = {**dict(implied_network(node, attributes, problems).items()), **entries}
    return node.at({"name": (node.get("name") or node).at(name), "kind": node.at(native), **entries})


def bound_networks(name: str, above: Attributes, below: Attributes | None, implied: Node,
                   named: Mapping[str, Node], problems: Problems) -> dict[str, Node]:
    """The native keys `network` and `update_network` of level `name`.

    A connection names its networks at both ends: `above` holds the attributes of the level, `below`
    those of the storage level below (None: the compute units are).
    """
    down = _bound(name, above, below, ("network_read", "network_fill"), named, problems)
    up = _bound(name, above, below, ("network_update", "network_drain"), named, problems)
    if down is up:
        return {"network": down or implied}
    return {"network": down or implied, "update_network": up or implied}


def _bound(name: str, above: Attributes, below: Attributes | None, roles: tuple[str, str],
           named: Mapping[str, Node], problems: Problems) -> Node | None:
    """The network that both ends of a connection name; None when neither does."""
    ends = above.get(roles[0]), None if below is None else below.get(roles[1])
    given = ends[0] or ends[1]
    if given is None:
        return None
    if below is None:
        problems.refuse(given, f"{roles[0]} of {name}: the network to the compute units cannot be a named "
                        "one; expected none")
        return None
    if ends[0] is None or ends[1] is None or ends[0].value != ends[1].value:
        problems.error(given, f"{roles[0]} of {name} is {describe(ends[0]) if ends[0] else 'not given'} and "
                       f"{roles[1]} of the level below {describe(ends[1]) if ends[1] else 'not given'}; "
                       "expected the same network at both ends")
        return None
    found = named.get(str(given.value))
    if found is None:
        problems.error(given, f"no network {given.value!r}; expected {one_of(named)}"
                       f"{did_you_mean(str(given.value), named)}")
    return found


def _renamed(attributes: Attributes, names: Mapping[str, str]) -> dict[str, Node]:
    return {native: attributes[key] for key, native in names.items() if key in attributes}
