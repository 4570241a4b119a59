"""Files, library names and dicts to an `Architecture`, a `WorkloadGraph` and what else they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Mapping, Sequence, TypeVar

from .errors import Problem, SpecError
from .spec.fields import describe
from .spec.nodes import Node, Problems, did_you_mean, locate, one_of

if TYPE_CHECKING:
    from .hardware.architecture import Architecture
    from .workload.graph import WorkloadGraph

#: A library name, the path of a YAML file, or what such a file holds.
Source = str | Path | Mapping[str, object]

T = TypeVar("T")

#: The top-level key that each kind of library entry holds.
_KINDS = {"arch": "architecture", "workloads": "workload"}
_SYNONYMS = {"arch": "architecture", "arch_constraints": "architecture_constraints",
             "mapspace": "mapspace_constraints"}
_KEYS = ("architecture", "workload", "problem", "mapping", "layer", "ERT", "ART", "components",
         "compound_components", "constraints", "architecture_constraints", "mapspace_constraints",
         "sparse_optimizations", "mapper", "variables", "layout", "model")


@dataclass(frozen=True)
class Loaded:
    """What a set of sources holds together.

    `mappings` has the `mapping` sections by the name of the layer that they are for ("" when the
    document does not say). `sections` has every other top-level key, as written. `unsupported`
    lists constructs that were read but that cannot be evaluated; whoever evaluates must refuse.
    """

    architecture: Architecture | None = None
    workload: WorkloadGraph | None = None
    mappings: Mapping[str, Node] = field(default_factory=dict)
    sections: Mapping[str, Node] = field(default_factory=dict)
    unsupported: tuple[Problem, ...] = ()


def load_specs(sources: Sequence[Source], need: Sequence[str] = ()) -> Loaded:
    """Load sources and merge them by top-level key.

    Parameters
    ----------
    sources : list of str, Path or dict
    need : names of what must be there, of "architecture", "workload" and "mapping"

    Raises
    ------
    SpecError
        With every fault of all sources: unreadable files, YAML syntax, unknown or repeated keys,
        wrong values, and what is needed but not there.
    """
    problems = Problems()
    sections, mappings = _merge(_documents(sources, tuple(_KINDS), problems), problems)
    present = {"mapping" if mappings else "", "workload" if "problem" in sections else "", *sections}
    if not problems.errors:
        names = ", ".join(_name(source) for source in sources) or "no input"
        problems.errors += [Problem(names, 0, 0, f"no {key} in it; expected the key {key!r}")
                            for key in need if key not in present]
    architecture = _architecture(sections, problems)
    workload = _workload(sections, problems)
    sparse = sections.get("sparse_optimizations")
    if sparse is not None and len(sparse):
        problems.refuse(sparse, "sparse_optimizations cannot be evaluated; expected a dense workload")
    problems.raise_if_any()
    rest = {key: node for key, node in sections.items()
            if key not in ("architecture", "workload", "problem", "ERT", "ART")}
    return Loaded(architecture, workload, mappings, rest, tuple(sorted(problems.unsupported)))


def load_architecture(source: Source) -> Architecture:
    """The architecture of a library entry, a file or a dict (with or without the top-level key).

    Raises
    ------
    SpecError
        With every fault found, and for what cannot be evaluated.
    """
    if isinstance(source, Mapping) and not {"architecture", "arch"} & set(source):
        source = {"architecture": source}
    problems = Problems()
    sections, _ = _merge(_documents([source], ("arch",), problems), problems)
    architecture = _architecture(sections, problems)
    return _only(architecture, "architecture", source, problems)


def load_workload(source: Source) -> WorkloadGraph:
    """The workload of a library entry, a file or a dict (with or without the top-level key).

    Raises
    ------
    SpecError
        With every fault found, and for what cannot be evaluated.
    """
    if isinstance(source, Mapping) and not {"workload", "problem"} & set(source):
        source = {"workload" if "layers" in source else "problem": source}
    problems = Problems()
    sections, _ = _merge(_documents([source], ("workloads",), problems), problems)
    workload = _workload(sections, problems)
    return _only(workload, "workload", source, problems)


def _only(found: T | None, what: str, source: Source, problems: Problems) -> T:
    """`found`, when there is nothing to complain about."""
    if problems.errors or problems.unsupported:
        raise SpecError([*problems.errors, *problems.unsupported])
    if found is None:
        raise SpecError([Problem(_name(source), 0, 0, f"no {what} in it; expected the key {what!r}")])
    return found


def _name(source: Source) -> str:
    return "<dict>" if isinstance(source, Mapping) else str(source)


def library_names(kind: str) -> list[tuple[str, str]]:
    """Name and description (the first comment line) of each library entry of a kind, "arch" or
    "workloads"."""
    entries = []
    for name, text in _library(kind).items():
        first = text.lstrip().partition("\n")[0]
        entries.append((name, first.lstrip("# ").strip() if first.startswith("#") else ""))
    return entries


def _library(kind: str) -> dict[str, str]:
    """The text of each library entry of a kind, by name."""
    from importlib.resources import files

    folder = files(f"{__package__}.library.{kind}")
    return {entry.name.removesuffix(".yaml"): entry.read_text("utf-8")
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
            if entry.name.endswith(".yaml")}


def _documents(sources: Iterable[Source], kinds: Sequence[str], problems: Problems) -> list[Node]:
    return [document for source in sources for document in _open(source, kinds, problems)]


def _open(source: Source, kinds: Sequence[str], problems: Problems) -> list[Node]:
    """The documents of one source."""
    from .spec.reader import read_file, read_text

    if isinstance(source, Mapping):
        try:
            return [locate(source)]
        except SpecError as error:
            problems.errors.extend(error.problems)
            return []
    name = str(source)
    if isinstance(source, str) and not Path(name).suffix and Path(name).name == name:
        known: dict[str, str] = {}
        for kind in kinds:
            library = _library(kind)
            if name in library:
                return read_text(library[name], problems, f"{kind}/{name}.yaml")
            known |= library
        if not Path(name).is_file():
            problems.errors.append(Problem(
                name, 0, 0, f"{name!r} is neither a file nor a library entry; expected a YAML file or "
                f"{one_of(known, 30)}{did_you_mean(name, known)}"))
            return []
    return read_file(name, problems)


def _merge(documents: Iterable[Node], problems: Problems) -> tuple[dict[str, Node], dict[str, Node]]:
    """The sections of all documents by top-level key, and the mappings by layer."""
    sections: dict[str, Node] = {}
    mappings: dict[str, Node] = {}
    for document in documents:
        if not document.is_map:
            problems.error(document, f"the document is {describe(document)}; expected a mapping with keys "
                           "such as architecture, workload or mapping")
        for written, node in document.items():
            key = _SYNONYMS.get(written, written)
            place = document.key(written)
            if key not in _KEYS:
                problems.error(place, f"unknown top-level key {key!r}; expected "
                               f"{one_of(_KEYS, 30)}{did_you_mean(key, _KEYS)}")
            elif key == "mapping":
                layer = document.get("layer")
                _add(mappings, str(layer.value) if layer else "", node, place, "mapping", problems)
            elif key != "layer":
                _add(sections, key, node, place, key, problems)
    if "workload" in sections and "problem" in sections:
        problems.error(sections["problem"], "both a workload and a problem; expected one of the two; "
                       f"the workload is at {sections['workload'].place}")
    return sections, mappings


def _add(target: dict[str, Node], key: str, node: Node, place: Node, what: str, problems: Problems) -> None:
    if node.value is None:
        problems.error(place, f"{what} is empty; expected a value")
    elif key in target:
        problems.error(place, f"a second {what}; expected one; the first is at {target[key].place}")
    else:
        target[key] = node


def _referred(node: Node, kind: str, problems: Problems) -> Node | None:
    """The section itself, or the one of the library entry or file that a bare string names."""
    if not isinstance(node.value, str):
        return node
    inner = Problems()
    sections, _ = _merge(_open(node.value, (kind,), inner), inner)
    found = sections.get(_KINDS[kind])
    problems.errors += inner.errors
    if found is None and not inner.errors:
        problems.error(node, f"{node.value!r} holds no {_KINDS[kind]}; expected the key {_KINDS[kind]!r}")
    return found


def _architecture(sections: Mapping[str, Node], problems: Problems) -> Architecture | None:
    """The architecture in `sections`, with energies from its tables and from the component table."""
    from .hardware.build import build_architecture
    from .spec.timeloop_arch import lower_architecture
    from .spec.timeloop_tables import apply_tables

    if "architecture" not in sections:
        return None
    node = _referred(sections["architecture"], "arch", problems)
    if node is None:
        return None
    ert, art = sections.get("ERT"), sections.get("ART")
    if any(key in node for key in ("subtree", "arithmetic", "storage", "nodes")):
        node = lower_architecture(node, problems, has_table=ert is not None)
    architecture = build_architecture(apply_tables(node, ert, art, problems), problems)
    return None if architecture is None else _priced(architecture, node, problems)


def _priced(architecture: Architecture, node: Node, problems: Problems) -> Architecture:
    """`architecture` with the energies that it leaves out."""
    if all({"read", "fill", "update"} <= set(level.energy) for level in architecture.levels) \
            and "compute" in architecture.compute.energy:
        return architecture
    from .energy import price

    try:
        return price(architecture)
    except ValueError as error:
        entries = [*(node.get("levels") or ()), *filter(None, [node.get("compute")])]
        for line in str(error).splitlines():
            at = [e for e in entries if "name" in e and line.startswith(f"{e['name'].value} ")]
            problems.error(at[0] if at else node, f"no energy for {line}; expected `energy`, or a component "
                           "that the component table knows")
        return architecture


def _workload(sections: Mapping[str, Node], problems: Problems) -> WorkloadGraph | None:
    from .spec.timeloop_problem import lower_problem
    from .workload.build import build_workload

    if "problem" in sections:
        return build_workload(lower_problem(sections["problem"], problems), problems)
    if "workload" not in sections:
        return None
    node = _referred(sections["workload"], "workloads", problems)
    return None if node is None else build_workload(node, problems)
