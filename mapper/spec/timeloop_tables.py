"""Energy and area reference tables (ERT, ART) written into the levels of a native architecture."""

from __future__ import annotations

import re

from .fields import finite, whole
from .nodes import Node, Problems, did_you_mean

_RANGE = re.compile(r"\[[^\]]*\]")       # goes first, since a range holds dots too
_Names = dict[str, tuple[str, ...]]
#: The actions of a table that give each of ours: the first that is there.
_STORAGE_ACTIONS: _Names = {"read": ("random_read", "read"),
                            "fill": ("random_fill", "random_write", "fill", "write"),
                            "update": ("random_update", "random_write", "update", "write")}
_COMPUTE_ACTIONS: _Names = {"compute": ("mac_random", "mult_random", "mac", "mult", "compute")}
_ZERO_COMPUTES: _Names = {f"{state}_compute": (f"mac_{state}", f"mult_{state}", f"{state}_compute")
                          for state in ("gated", "skipped")}
#: How like a name that is known one must be that is not, to be taken for a slip of the pen.
_ALIKE = 0.75


def _zero_actions() -> _Names:
    """Accesses that are gated or skipped, those of metadata, and changes of format: they have a figure
    where a table says so."""
    found: _Names = {"compress": ("compression_count",), "decompress": ("decompression_count",)}
    for access in ("read", "fill", "update"):
        words = (access,) if access == "read" else (access, "write")
        found[f"metadata_{access}"] = tuple(f"metadata_{word}" for word in words)
        for state in ("gated", "skipped"):
            found[f"{state}_{access}"] = tuple(f"{state}_{word}" for word in words)
            found[f"{state}_metadata_{access}"] = tuple(
                name for word in words for name in (f"{state}_metadata_{word}", f"metadata_{state}_{word}"))
    return found


def apply_tables(architecture: Node, ert: Node | None, art: Node | None, problems: Problems) -> Node:
    """`architecture` with the energies and areas that it leaves out taken from the tables.

    A component is found by the last part of its dotted name. Each figure names its line as source.
    A component of a class `dummy...` without a table is free. Names that look misspelt are noted.
    """
    energies, areas = _tables(ert, "ERT", problems), _tables(art, "ART", problems)
    _note_strangers(architecture, energies, "ERT", problems)
    _note_strangers(architecture, areas, "ART", problems)
    wire = _wire(energies.get("wire"))

    def filled(level: Node, actions: _Names, others: _Names) -> Node:
        name = level.get("name")
        entries = dict(level.items())
        table = energies.get(str(name.value)) if name else None
        own = level.get("energy")
        only_address = own is not None and {key for key, _ in own.items()} == {"address"}
        if table is not None and (own is None or only_address):
            entries["energy"] = table.at({**_actions(table, actions, others, level, problems),
                                          **dict(own.items() if own else ())})
        for key in ("network", "update_network"):
            if key in level:
                entries[key] = _network(level[key], energies, wire is not None, problems)
        kind = level.get("class")
        if "energy" not in entries and kind is not None and str(kind.value).startswith("dummy"):
            entries["energy"] = _figure(kind, 0.0, f"class {kind.value} stands for no hardware")
        area = areas.get(str(name.value)) if name else None
        if area is not None and "area" not in level and (value := area.get("area")) is not None:
            entries["area"] = _figure(value, value.value, f"ART {value.place}")
        return level.at(entries, level.keys)

    entries = dict(architecture.items())
    levels = entries.get("levels")
    if levels is not None and levels.is_list:
        storage = list(levels)
        bottom = [] if "compute" in entries else storage[-1:]
        storage = storage[:len(storage) - len(bottom)]
        zeros = _zero_actions()
        entries["levels"] = levels.at((
            *(filled(level, _STORAGE_ACTIONS, zeros) for level in storage),
            *(filled(level, _COMPUTE_ACTIONS, _ZERO_COMPUTES) for level in bottom)))
    if "compute" in entries:
        entries["compute"] = filled(entries["compute"], _COMPUTE_ACTIONS, _ZERO_COMPUTES)
    if wire is not None:
        entries["wire_energy"] = wire
    return architecture.at(entries, architecture.keys)


def _wire(table: Node | None) -> Node | None:
    """pJ a bit and mm of all wires, as the table `wire` has it."""
    rows = [row["energy"] for row in (table.get("actions") or () if table else ())
            if "energy" in row and finite(row["energy"]) is not None]
    if not rows:
        return None
    dearest = max(rows, key=lambda node: finite(node) or 0.0)
    return _figure(dearest, dearest.value, f"ERT {dearest.place}")


def _network(network: Node, energies: dict[str, Node], wired: bool, problems: Problems) -> Node:
    """`network` with the energy of a word by its receivers from the table of its name. Where the
    table `wire` says what all wires cost (`wired`), a network's own figure does not count."""
    entries = {key: node for key, node in network.items()
               if key not in ("action", "argument") and not (wired and key == "wire_energy")}
    name, argument = network.get("name"), network.get("argument")
    table = energies.get(str(name.value)) if name else None
    kind = network.get("kind")
    if kind is not None and kind.value == "multicast" and table is not None \
            and "transfer_energy" not in network:
        if argument is None:
            problems.refuse(network, "a multicast network without multicast_factor_argument cannot be "
                            "evaluated; expected the argument of its ERT that holds the number of receivers")
        action = network.get("action")
        entries["transfer_energy"] = table.at(
            _transfers(table, str(action.value) if action else "transfer",
                       str(argument.value) if argument else ""))
    return network.at(entries, network.keys)


def _transfers(table: Node, action: str, argument: str) -> dict[str, Node]:
    """Energy of a word by the number of receivers that `argument` holds; the dearest row counts."""
    found: dict[str, Node] = {}
    for row in table.get("actions") or ():
        name, energy, arguments = row.get("name"), row.get("energy"), row.get("arguments")
        receivers = arguments.get(argument) if arguments else None
        if name is None or str(name.value) != action or energy is None or receivers is None:
            continue
        best = found.get(str(receivers.value))
        if best is None or (finite(energy) or 0.0) > (finite(best["value"]) or 0.0):
            found[str(receivers.value)] = _figure(energy, energy.value, f"ERT {energy.place}")
    return found


def _tables(node: Node | None, what: str, problems: Problems) -> dict[str, Node]:
    """The tables by the last part of their names, without instance ranges."""
    if node is None:
        return {}
    tables = node.get("tables")
    if tables is None or not tables.is_list:
        problems.error(node, f"{what} without a list of tables; expected the key 'tables'")
        return {}
    result = {}
    for table in tables:
        name = table.get("name")
        if name is None:
            problems.error(table, f"a table of the {what} without a name; expected the key 'name'")
            continue
        result[_RANGE.sub("", str(name.value)).rpartition(".")[2]] = table
    return result


def _actions(table: Node, wanted: _Names, others: _Names, level: Node, problems: Problems) -> dict[str, Node]:
    """Energy by action. Of several rows of one action the dearest counts; a `wanted` action that is
    missing costs the dearest of all, shared by the instances of a cluster, and `others` stay out.
    Where no wanted action is there, the table says nothing of them."""
    dearest: dict[str, Node] = {}
    for row in table.get("actions") or ():
        name, energy = row.get("name"), row.get("energy")
        if name is None or energy is None or finite(energy) is None:
            problems.error(energy or row, "an action without a name and a number as energy; expected "
                           "{name: ACTION, energy: NUMBER}")
            continue
        best = dearest.get(str(name.value))
        if best is None or (finite(energy) or 0) > (finite(best) or 0):
            dearest[str(name.value)] = energy
    if not dearest:
        return {}
    _note_slips(table, [name for names in (*wanted.values(), *others.values(), ("leak",)) for name in names],
                problems)
    top = max(dearest.values(), key=lambda node: finite(node) or 0)
    cluster = whole(level["cluster_size"]) if "cluster_size" in level else 1
    result = {}
    known = any(name in dearest for names in wanted.values() for name in names)
    for action, names in wanted.items() if known else ():
        found = next((dearest[name] for name in names if name in dearest), None)
        if found is not None:
            result[action] = _figure(found, found.value, f"ERT {found.place}")
        else:
            result[action] = _figure(top, (finite(top) or 0) / (cluster or 1),
                                     f"ERT {top.place}, the dearest action for want of {action!r}", "rule")
    for action, names in {**others, "leak": ("leak",)}.items():
        if (found := next((dearest[name] for name in names if name in dearest), None)) is not None:
            result[action] = _figure(found, found.value, f"ERT {found.place}")
    return result


def _note_slips(table: Node, known: list[str], problems: Problems) -> None:
    """Note actions that mean nothing and look like ones that do."""
    for name in (row["name"] for row in table.get("actions") or () if "name" in row):
        if name.value not in known and (near := did_you_mean(str(name.value), known, _ALIKE)):
            problems.note(name, f"action {name.value!r} counts for nothing{near}")


def _note_strangers(architecture: Node, tables: dict[str, Node], what: str, problems: Problems) -> None:
    """Note tables of no component whose names look like that of a component without one."""
    bottom = architecture.get("compute")
    parts = [*(architecture.get("levels") or ()), *((bottom,) if bottom is not None else ())]
    names = {str(part["name"].value) for part in parts if "name" in part}
    for name, table in tables.items():
        if name not in names and (near := did_you_mean(name, names - set(tables))):
            problems.note(table["name"], f"the {what} has a table of {name!r}, which is no component{near}")


def _figure(node: Node, value: object, source: str, basis: str = "user") -> Node:
    return node.at({"value": node.at(value), "source": node.at(source),  # type: ignore[arg-type]
                    "basis": node.at(basis)})
