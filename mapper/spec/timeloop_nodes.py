"""Timeloop's v0.4 architecture of `nodes`, resolved to the tree with one `subtree` that its model reads.

A container gives its attributes to all that follow it, and multiplies the instances below; where it
does, a level `inter_NAME_spatial` that stores nothing stands for its fan-out. Constraints and sparse
optimisations that stand beside a component come out as lists of targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .expression import Value
from .fields import describe, whole
from .nodes import Node, Problems, did_you_mean, one_of
from .values import resolve

_GROUPS = ("!Hierarchical", "!Parallel")
_KEYS = {
    "!Component": ("name", "class", "subclass", "attributes", "spatial", "constraints", "enabled", "version",
                   "sparse_optimizations", "required_actions"),
    "!Container": ("name", "attributes", "spatial", "constraints", "enabled", "version", "nodes"),
    "!Hierarchical": ("nodes", "name", "attributes", "version"),
    "!Parallel": ("nodes", "name", "attributes", "version"),
    "!Array": ("name", "nodes", "attributes", "spatial", "constraints", "enabled", "version")}
#: Attributes that count something, so that a text there must be an expression.
NUMERIC = ("depth", "memory_depth", "data_storage_depth", "width", "memory_width", "data_storage_width",
           "datawidth", "word_bits", "word_width", "block_size", "n_words", "entries", "sizeKB", "meshX",
           "meshY", "cluster_size", "read_bandwidth", "write_bandwidth", "shared_bandwidth",
           "multiple_buffering", "global_cycle_seconds")
#: What Timeloop's front-end says of a component that does not say it.
_DEFAULTS: dict[str, Value] = {"cluster_size": 1, "reduction_supported": True, "multiple_buffering": 1}
_COUNTS = ("split", "min", "max", "proportion", "default_max_factor", "default_min_factor")
_SECTIONS = {"temporal": "temporal", "spatial": "spatial", "dataspace": "dataspace", "datatype": "dataspace",
             "bypass": "dataspace", "max_overbooked_proportion": "max_overbooked_proportion"}


@dataclass
class Resolved:
    """What a tree of nodes says.

    `tree` is the architecture, `constraints` and `sparse` are entries of the lists `targets` of the
    sections `architecture_constraints` and `sparse_optimizations`. `aliases` has the level that
    stands for the fan-out of each container, `spatial_aliases` the one above each component that has
    a fan-out of its own.
    """

    tree: Node
    constraints: list[Node] = field(default_factory=list)
    sparse: list[Node] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    spatial_aliases: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Scope:
    """What holds at one place of the tree: inherited attributes, and instances in x and y."""

    attributes: Mapping[str, Node]
    x: int = 1
    y: int = 1


def resolve_nodes(node: Node, variables: Mapping[str, Value], tensors: tuple[str, ...],
                  problems: Problems) -> Resolved:
    """Resolve `node`, an architecture with the key `nodes`.

    Parameters
    ----------
    variables : values of the names in expressions
    tensors : those of the workload, as far as they are known; levels for a fan-out bypass them
    """
    walker = _Walker(node, variables, tensors, problems)
    first = next((part for part in node.get("nodes") or () if part.tag == "!Container"), None)
    name = first.get("name") if first else None
    walker.walk(node, _Scope(walker.attributes(node, _Scope({}))))
    attributes = {**_located(node, variables), **walker.system}
    top = node.at({"name": name or node.at("architecture"), "attributes": node.at(attributes),
                   "local": node.at(tuple(walker.local))})
    walker.result.tree = node.at({"subtree": node.at((top,)),
                                  **({"version": node["version"]} if "version" in node else {})})
    return walker.result


class _Walker:
    """Walks the nodes from the outside to the inside and lists their components."""

    def __init__(self, node: Node, variables: Mapping[str, Value], tensors: tuple[str, ...],
                 problems: Problems) -> None:
        self.variables = variables
        self.tensors = tensors
        self.problems = problems
        self.local: list[Node] = []
        self.system: Mapping[str, Node] = {}     # attributes of the containers around everything
        self.result = Resolved(node)

    def walk(self, group: Node, scope: _Scope) -> _Scope:
        """All nodes of one group, each inside those before it."""
        for node in self.listed(group):
            scope = self.step(node, scope)
        return scope

    def listed(self, group: Node) -> Node:
        """The nodes of a group; none, and a fault, when there is no list."""
        nodes = group.get("nodes")
        if nodes is None or not nodes.is_list:
            self.problems.error(nodes or group, "a group without a list of nodes; expected the key 'nodes'")
            return group.at(())
        return nodes

    def step(self, node: Node, scope: _Scope) -> _Scope:
        """One node; gives what holds for those that follow."""
        if node.tag == "!Nothing":
            return scope
        if node.tag not in _KEYS or not node.is_map:
            what = f"tag {node.tag!r}" if node.tag else f"{describe(node)} without a tag"
            self.problems.error(node, f"a node of the architecture with {what}; expected "
                                f"{one_of(_KEYS)}{did_you_mean(node.tag, _KEYS)}")
            return scope
        for key, _ in node.items():
            if key not in _KEYS[node.tag]:
                self.problems.error(node.key(key), f"unknown key {key!r} in a {node.tag[1:]}; expected "
                                    f"{one_of(_KEYS[node.tag])}{did_you_mean(key, _KEYS[node.tag])}")
        if node.tag == "!Component":
            return self.component(node, scope)
        inner = replace(scope, attributes={**scope.attributes, **self.attributes(node, scope)})
        if node.tag == "!Parallel":
            return self.parallel(node, inner, scope)
        if node.tag in ("!Container", "!Array"):
            inner = self.fan_out(node, inner)
        return self.walk(node, inner) if "nodes" in node or node.tag in _GROUPS else inner

    def component(self, node: Node, scope: _Scope) -> _Scope:
        """A component, and the fan-out above it if it has one of its own. Its attributes are its own;
        its instances hold what follows."""
        if not self.local:
            self.system = scope.attributes
        inner = self.fan_out(node, scope)
        name, kind = node.get("name"), node.get("class")
        for key, value in (("name", name), ("class", kind)):
            if value is None:
                self.problems.error(node, f"a component without {key!r}; expected the key {key!r}")
        attributes = _located(node, _DEFAULTS)
        attributes |= {**scope.attributes, **self.attributes(node, scope)}
        attributes |= {"meshX": node.at(inner.x), "meshY": node.at(inner.y)}
        entries = {key: node[key] for key in ("name", "class", "subclass", "required_actions") if key in node}
        given = node.get("attributes")
        places = given.keys if given is not None else {}     # what is inherited has none
        enabled = resolve(node["enabled"], self.names(scope), self.problems) if "enabled" in node else None
        if enabled is not None and not enabled.value:
            entries["class"] = node.at("dummy_storage")
            entries["bypass"] = node.at(tuple(node.at(tensor) for tensor in self.tensors))
        self.local.append(node.at({**entries, "attributes": node.at(attributes, places)}, node.keys))
        if name is not None and (enabled is None or enabled.value):
            self.constrain(node, str(name.value), scope)
            sparse = node.get("sparse_optimizations")
            if sparse is not None and sparse.is_map:
                self.result.sparse.append(sparse.at({"name": name, **dict(sparse.items())}, sparse.keys))
            elif sparse is not None and sparse.value is not None:
                self.problems.error(sparse, f"sparse_optimizations is {describe(sparse)}; expected a mapping")
        return inner

    def parallel(self, node: Node, inner: _Scope, outer: _Scope) -> _Scope:
        """Branches side by side. A tensor that one branch keeps passes by all the others."""
        branches = []
        for branch in self.listed(node):
            first = len(self.local)
            self.step(branch, inner)
            branches.append(range(first, len(self.local)))
        kept = [{name for i in places for name in _names(self.local[i].get("keep"))} for places in branches]
        for number, places in enumerate(branches):
            others = {name for i, names in enumerate(kept) if i != number for name in names} - kept[number]
            for place in places:
                self.bypass(place, others)
        return outer

    def bypass(self, index: int, tensors: set[str]) -> None:
        """Let tensors pass by a component, beside those that already do."""
        component = self.local[index]
        present = _names(component.get("bypass"))
        names = (*present, *sorted(tensors - set(present)))
        if names != present:
            listed = component.at(tuple(component.at(name) for name in names))
            self.local[index] = component.at({**dict(component.items()), "bypass": listed}, component.keys)

    def attributes(self, node: Node, scope: _Scope) -> dict[str, Node]:
        """The node's own attributes; each may use those inherited and those before it."""
        found: dict[str, Node] = {}
        given = node.get("attributes")
        if given is not None and given.value is not None and not given.is_map:
            self.problems.error(given, f"attributes is {describe(given)}; expected a mapping")
        for key, value in given.items() if given is not None else ():
            names = self.names(replace(scope, attributes={**scope.attributes, **found}))
            names.pop(key, None)
            if key in self.variables:
                names[key] = self.variables[key]
            found[key] = resolve(value, names, self.problems, key in NUMERIC)
            if key in ("meshX", "meshY"):
                self.problems.error(value, f"{key} among the attributes; expected it under `spatial`")
        return found

    def names(self, scope: _Scope) -> dict[str, Value]:
        """What an expression may name: variables, and attributes that are known by now."""
        known = {key: value.value for key, value in scope.attributes.items()}
        return {**self.variables, **{key: value for key, value in known.items()
                                     if isinstance(value, (str, int, float))}}

    def fan_out(self, node: Node, scope: _Scope) -> _Scope:
        """The instances below a node with `spatial`, and a level that stands for their fan-out."""
        spatial = node.get("spatial")
        x, y = (self.count(spatial, key, scope) for key in ("meshX", "meshY"))
        name = node.get("name")
        if name is None or x * y == 1:
            return scope
        level = f"inter_{name.value}_spatial"
        own = node.tag == "!Component"
        (self.result.spatial_aliases if own else self.result.aliases)[str(name.value)] = level
        attributes = {"depth": 1, "width": 1, "datawidth": 1, "technology": -1, **_DEFAULTS,
                      "meshX": scope.x, "meshY": scope.y}
        self.local.append(node.at({
            "name": name.at(level), "class": node.at("dummy_storage"),
            "attributes": node.at(_located(node, attributes)),
            "bypass": node.at(tuple(node.at(tensor) for tensor in self.tensors))}))
        if not own:
            self.constrain(node, level, scope)
        return replace(scope, x=scope.x * x, y=scope.y * y)

    def count(self, spatial: Node | None, key: str, scope: _Scope) -> int:
        """Instances along one axis."""
        if spatial is None or not spatial.is_map:
            if spatial is not None:
                self.problems.error(spatial, f"spatial is {describe(spatial)}; expected {{meshX:, meshY:}}")
            return 1
        for other, _ in spatial.items():
            if other not in ("meshX", "meshY"):
                self.problems.error(spatial.key(other), f"unknown key {other!r} in spatial; expected one of "
                                    f"meshX, meshY{did_you_mean(other, ('meshX', 'meshY'))}")
        given = spatial.get(key)
        if given is None:
            return 1
        value = whole(resolve(given, self.names(scope), self.problems, numeric=True))
        if value is None or value < 1:
            self.problems.error(given, f"{key} is {describe(given)}; expected a whole number, 1 or more")
            return 1
        return value

    def constrain(self, node: Node, level: str, scope: _Scope) -> None:
        """Hand on the constraints beside a node, as entries that name its level. What they say of
        tensors is also said of the level itself."""
        given = node.get("constraints")
        for key, section in given.items() if given is not None else ():
            if key == "targets":
                self.result.constraints += section
                continue
            if key not in _SECTIONS or not section.is_map:
                self.problems.error(given.key(key) if given else node, f"constraints under {key!r}; expected "
                                    f"a mapping under {one_of(_SECTIONS)}{did_you_mean(key, _SECTIONS)}")
                continue
            kind = _SECTIONS[key]
            target = level
            if kind == "spatial" and node.tag == "!Component":
                target = self.result.spatial_aliases.get(level, level)
            names = self.names(scope)
            parts = {part: resolve(value, names, self.problems, numeric=part in _COUNTS)
                     for part, value in section.items()}
            self.result.constraints.append(section.at(
                {"target": section.at(target), "type": section.at(kind), **parts}, section.keys))
            if kind == "dataspace":
                held = self.local[-1]
                entries = dict(held.items())
                entries.update((part, parts[part]) for part in ("keep", "bypass") if part in parts)
                self.local[-1] = held.at(entries, held.keys)


def renamed(node: Node, resolved: Resolved) -> Node:
    """An entry with a `target` (or a list of them), where the name of a container becomes that of its
    level; the name of a component with a fan-out of its own only where loops in space are meant."""
    if node.is_list:
        return node.at(tuple(renamed(entry, resolved) for entry in node))
    target, kind = node.get("target"), node.get("type")
    name = str(target.value) if target is not None else ""
    spatial = kind is not None and kind.value == "spatial"
    level = resolved.aliases.get(name) or (resolved.spatial_aliases.get(name) if spatial else None)
    if target is None or level is None:
        return node
    return node.at({**dict(node.items()), "target": target.at(level)}, node.keys)


def _located(node: Node, values: Mapping[str, Value]) -> dict[str, Node]:
    """The plain values, as if they were written at `node`."""
    return {key: node.at(value) for key, value in values.items() if not isinstance(value, tuple)}


def _names(node: Node | None) -> tuple[str, ...]:
    """The names in a list, or the single one."""
    if node is None or node.value is None:
        return ()
    return tuple(str(part.value) for part in (node if node.is_list else (node,)) if part.is_scalar)
