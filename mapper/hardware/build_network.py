"""Native text of a network to `Network`."""

from __future__ import annotations

from typing import get_args

from ..spec.fields import Record, describe
from ..spec.nodes import did_you_mean, one_of
from .architecture import Basis, Figure, Network, NetworkKind

#: Field of `Network` by the key that gives its figure.
FIGURES = {"ingress_energy": "ingress", "hop_energy": "hop_pj", "wire_energy": "wire_pj_bit_mm",
           "tile_width": "tile_um", "router_energy": "router_pj", "adder_energy": "adder_pj"}
_KEYS = ("name", "kind", "multicast", "links", "distributed", "word_bits", "wires", "routers", *FIGURES,
         "transfer_energy", "fill_latency", "drain_latency")


def build_network(record: Record, key: str, wires: str | None = None) -> Network:
    """The network that a level describes under `key`, "network" or "update_network", of `wires` where
    it names none; faults go to the problems of `record`."""
    node = record.node(key)
    if node is None:
        return Network(wires=wires)
    part = Record(node, record.problems, key, _KEYS)
    figures = {field: figure(part, name) for name, field in FIGURES.items()}
    return Network(
        name=part.text("name", ""), kind=_kind(part, key), multicast=part.flag("multicast", True),
        links=part.flag("links", False), distributed=part.flag("distributed", False),
        word_bits=part.integer("word_bits", None), transfer_pj=_transfers(part),
        fill_cycles=part.integer("fill_latency", 0, least=0),
        drain_cycles=part.integer("drain_latency", 0, least=0),
        wires=part.text("wires", "") or wires, routers=part.flag("routers", False), **figures)


def figure(record: Record, key: str) -> Figure | None:
    """A number, or `{value:, source:, basis:}`; without a source, the place where it is written."""
    node = record.node(key)
    if node is None:
        return None
    if not node.is_map:
        value = record.number(key, None)
        return None if value is None else Figure(value, node.place)
    part = Record(node, record.problems, key, ("value", "source", "basis"))
    part.require("value")
    return Figure(part.number("value", 0.0), part.text("source", node.place), _basis(part))


def _basis(part: Record) -> Basis:
    """How a figure came about, of those that a text may claim."""
    known: tuple[Basis, ...] = get_args(Basis)
    text = part.text("basis", "user")
    for basis in known:
        if text == basis:
            return basis
    part.fault("basis", f"basis is {text!r}; expected {one_of(known)}{did_you_mean(text, known)}")
    return "user"


def _kind(part: Record, key: str) -> NetworkKind:
    known: tuple[NetworkKind, ...] = get_args(NetworkKind)
    text = part.text("kind", "mesh")
    for kind in known:
        if text == kind and not (kind == "tree" and key == "network"):
            return kind
    if text == "tree":
        part.fault("kind", "a tree carries words up only; expected it under update_network")
    else:
        part.fault("kind", f"kind is {text!r}; expected {one_of(known)}")
    return "mesh"


def _transfers(part: Record) -> dict[int, Figure]:
    """pJ a word by the number of instances that receive it at once."""
    node = part.node("transfer_energy")
    if node is None:
        return {}
    if not node.is_map:
        part.fault("transfer_energy", f"transfer_energy is {describe(node)}; expected a mapping from "
                   "the number of receivers to pJ a word")
    rows = Record(node, part.problems, "transfer_energy", [key for key, _ in node.items()])
    found: dict[int, Figure] = {}
    for key, value in node.items():
        energy = figure(rows, key)
        if not key.isdecimal() or key == "0":
            part.problems.error(node.key(key), f"{key!r} receivers; expected a whole number, 1 or more")
        elif energy is None:
            part.problems.error(value, f"no energy for {key} receivers; expected a number in pJ")
        else:
            found[int(key)] = energy
    return found
