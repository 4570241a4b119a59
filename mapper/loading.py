"""Files, library names and dicts to an `Architecture`, a `WorkloadGraph` and what else they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Iterable, Mapping, Sequence, TypeVar

from .errors import Problem, SpecError
from .model.options import DEFAULT, Options, read_globals
from .spec.fields import describe
from .spec.nodes import Node, Problems, did_you_mean, locate, one_of
from .spec.timeloop_names import look_at_version

if TYPE_CHECKING:
    from .energy import Component
    from .hardware.architecture import Architecture
    from .spec.sources import Sources
    from .workload.graph import WorkloadGraph

#: A library name, the path of a YAML file, or what such a file holds.
Source = str | Path | Mapping[str, object]

T = TypeVar("T")

#: The top-level key that each kind of library entry holds.
_KINDS = {"arch": "architecture", "workloads": "workload"}
_SYNONYMS = {"arch": "architecture", "arch_constraints": "architecture_constraints",
             "mapspace": "mapspace_constraints", "compound_components": "components"}
_KEYS = ("architecture", "workload", "problem", "mapping", "layer", "ERT", "ART", "components", "constraints",
         "architecture_constraints", "mapspace_constraints", "extra_mapping_constraints", "variables",
         "sparse_optimizations", "mapper", "globals", "layout", "model")


@dataclass(frozen=True)
class Loaded:
    """What a set of sources holds together.

    `mappings` has the `mapping` sections by the name of the layer that they are for ("" when the
    document does not say). `sections` has every other top-level key, as written. `unsupported`
    lists constructs that were read but that cannot be evaluated; whoever evaluates must refuse.
    `notes` say what a reader of results should know, each with its place. `options` are switches
    that the section `globals` sets.
    """

    architecture: Architecture | None = None
    workload: WorkloadGraph | None = None
    mappings: Mapping[str, Node] = field(default_factory=dict)
    sections: Mapping[str, Node] = field(default_factory=dict)
    unsupported: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    options: Options = DEFAULT


def load_specs(sources: Sequence[Source], need: Sequence[str] = (),
               define: Mapping[str, object] | None = None) -> Loaded:
    """Load sources and merge them by top-level key.

    Parameters
    ----------
    sources : list of str, Path or dict
    need : names of what must be there, of "architecture", "workload" and "mapping"
    define : values of names in files that are jinja2 templates, each asked for by one of them

    Raises
    ------
    SpecError
        With every fault of all sources: unreadable files, YAML syntax, unknown or repeated keys,
        wrong values, and what is needed but not there.
    """
    problems = Problems()
    files = _files(sources, problems, define)
    sections, mappings = _merge(_documents(sources, tuple(_KINDS), files), problems)
    present = {"mapping" if mappings else "", "workload" if "problem" in sections else "", *sections}
    if not problems.errors:
        names = ", ".join(_name(source) for source in sources) or "no input"
        problems.errors += [Problem(names, 0, 0, f"no {key} in it; expected the key {key!r}")
                            for key in need if key not in present]
    sections, mappings = _resolved(sections, mappings, files)
    files.report_unused()
    workload = _workload(sections, problems)
    architecture = _architecture(sections, problems, workload)
    options = read_globals(sections.get("globals"), problems)
    problems.raise_if_any()
    rest = {key: node for key, node in sections.items()
            if key not in ("architecture", "workload", "problem", "ERT", "ART", "sparse_optimizations")}
    return Loaded(architecture, workload, mappings, rest, tuple(sorted(problems.unsupported)),
                  tuple(sorted(problems.notes)), options)


def load_architecture(source: Source, components: Iterable[Component] = ()) -> Architecture:
    """The architecture of a library entry, a file or a dict (with or without the top-level key), with
    `components` of one's own beside those that are known.

    Raises
    ------
    SpecError
        With every fault found, and for what cannot be evaluated.
    """
    if isinstance(source, Mapping) and not {"architecture", "arch"} & set(source):
        source = {"architecture": source}
    problems = Problems()
    files = _files([source], problems)
    sections, _ = _resolved(*_merge(_documents([source], ("arch",), files), problems), files)
    architecture = _architecture(sections, problems, components=components)
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
    files = _files([source], problems)
    sections, _ = _resolved(*_merge(_documents([source], ("workloads",), files), problems), files)
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


def _files(sources: Sequence[Source], problems: Problems,
           define: Mapping[str, object] | None = None) -> Sources:
    """What reads the files among the sources; they may include others from their own folders."""
    from .spec.sources import Sources

    wrong = [source for source in sources if not isinstance(source, (str, Path, Mapping))]
    if wrong:
        raise SpecError([Problem(f"<{type(source).__name__}>", 0, 0, f"{str(source)[:80]!r} is no source; "
                                 "expected the name of a library entry, the path of a YAML file, or a dict")
                         for source in wrong])
    return Sources([Path(source).parent for source in sources if not isinstance(source, Mapping)],
                   problems, define)


def _documents(sources: Iterable[Source], kinds: Sequence[str], files: Sources) -> list[Node]:
    return [document for source in sources for document in _open(source, kinds, files)]


def _open(source: Source, kinds: Sequence[str], files: Sources) -> list[Node]:
    """The documents of one source."""
    from .spec.reader import read_text

    problems = files.problems
    if isinstance(source, Mapping):
        try:
            return [locate(source)]
        except SpecError as error:
            problems.errors.extend(error.problems)
            return []
    name = str(source)
    if not name:
        problems.errors.append(Problem("''", 0, 0, "a source without a name; expected a YAML file or the "
                                       "name of a library entry"))
        return []
    if isinstance(source, str) and not Path(name).suffix and Path(name).name == name:
        known: dict[str, str] = {}
        for kind in kinds:
            library = _library(kind)
            if name in library:
                return read_text(library[name], problems, f"{kind}/{name}.yaml")
            known |= library
        if not Path(name).exists():
            problems.errors.append(Problem(
                name, 0, 0, f"{name!r} is neither a file nor a library entry; expected a YAML file or "
                f"{one_of(known, 30)}{did_you_mean(name, known)}"))
            return []
    return files.read(Path(name))


def _merge(documents: Iterable[Node], problems: Problems) -> tuple[dict[str, Node], dict[str, Node]]:
    """The sections of all documents by top-level key, and the mappings by layer."""
    sections: dict[str, Node] = {}
    mappings: dict[str, Node] = {}
    for document in documents:
        if not document.is_map:
            problems.error(document, f"the document is {describe(document)}; expected a mapping with keys "
                           "such as architecture, workload or mapping")
        for written, node in document.items():
            key = written.replace("-", "_")
            key = _SYNONYMS.get(key, key)
            place = document.key(written)
            if key not in _KEYS:
                problems.error(place, f"unknown top-level key {key!r}; expected "
                               f"{one_of(_KEYS, 30)}{did_you_mean(key, _KEYS)}")
            elif key == "mapping":
                layer = document.get("layer")
                _add(mappings, str(layer.value) if layer else "", node, place, "mapping", problems)
            elif key in sections and (key in ("components", "variables") or _parts(sections[key], node, key)):
                sections[key] = _joined(sections[key], node)
            elif key != "layer":
                _add(sections, key, node, place, key, problems)
            look_at_version(node, problems)
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


def _parts(first: Node, second: Node, key: str) -> bool:
    """Whether two problems are one: the shape in one file, the instance in another."""
    common = {name for name, _ in first.items()} & {name for name, _ in second.items()}
    return key == "problem" and common <= {"version"} and len(first) > 0 and len(second) > 0


def _joined(first: Node, second: Node) -> Node:
    """Two sections as one, their lists one after the other; otherwise the later value counts."""
    if first.is_list or second.is_list:
        return first.at((*(first if first.is_list else (first,)), *(second if second.is_list else (second,))))
    if not (first.is_map and second.is_map):
        return second
    entries = dict(first.items())
    for key, value in second.items():
        both = key in entries and entries[key].is_list and value.is_list
        entries[key] = value.at((*entries[key], *value)) if both else value
    return first.at(entries, {**first.keys, **second.keys})


def _resolved(sections: Mapping[str, Node], mappings: Mapping[str, Node],
              files: Sources) -> tuple[dict[str, Node], dict[str, Node]]:
    """The sections with what bare names refer to, and with nothing left to compute."""
    from .spec.frontend import resolve_sections

    found = dict(sections)
    for kind, key in _KINDS.items():
        if key in found and isinstance(found[key].value, str):
            node = _referred(found.pop(key), kind, files)
            if node is not None:
                found[key] = node
    return resolve_sections(found, mappings, files.problems)


def _referred(node: Node, kind: str, files: Sources) -> Node | None:
    """The section of the library entry or file that a bare string names."""
    name, problems = str(node.value), files.problems
    if node.line and Path(name).suffix:       # written in a file, which may not name just any other
        path = files.locate(name, Path(node.file).parent) or files.locate(name, Path())
        if path is None:
            problems.error(node, files.missing(repr(name), Path(node.file).parent))
            return None
        name = str(path)
    before = len(problems.errors)
    sections, _ = _merge(_open(name, (kind,), files), problems)
    found = sections.get(_KINDS[kind])
    if found is None and len(problems.errors) == before:
        problems.error(node, f"{name!r} holds no {_KINDS[kind]}; expected the key {_KINDS[kind]!r}")
    return found


def _architecture(sections: Mapping[str, Node], problems: Problems, workload: WorkloadGraph | None = None,
                  components: Iterable[Component] = ()) -> Architecture | None:
    """The architecture in `sections`, with energies from its tables and from the component table, which
    knows `components` as well. What it says of tensors must be of some in the `workload`."""
    from .energy.registry import registry
    from .energy.user import check_parameters, read_components
    from .hardware.build import build_architecture
    from .hardware.build_lockstep import check_lockstep_names
    from .hardware.build_sparsity import check_names
    from .spec.timeloop_arch import lower_architecture
    from .spec.timeloop_sparse import lower_attributes, lower_sparse
    from .spec.timeloop_tables import apply_tables

    if "architecture" not in sections:
        if (sparse := sections.get("sparse_optimizations")) is not None and len(sparse):
            problems.error(sparse, "sparse_optimizations without the architecture that they are about; "
                           "expected it as well")
        return None
    node = sections["architecture"]
    ert, art = sections.get("ERT"), sections.get("ART")
    timeloop = [key for key in ("subtree", "arithmetic", "storage") if key in node]
    if timeloop:
        node = lower_attributes(lower_architecture(node, problems))
    node = lower_sparse(node, sections.get("sparse_optimizations"), problems)
    before = len(problems.errors)
    if workload is not None:
        check_names(node, workload, problems)
        check_lockstep_names(node, workload, problems)
    node = apply_tables(node, ert, art, problems)
    architecture = build_architecture(node, problems)
    faults = len(problems.errors)
    known = [*read_components(sections.get("components"), problems), *components]
    if not timeloop:
        check_parameters(node, registry(known), problems)
    if architecture is None or len(problems.errors) > faults:
        return architecture
    if workload is not None and architecture.compute.lockstep is not None and len(problems.errors) == before:
        _check_lockstep(architecture, node, workload, problems)
    plain = bool(timeloop) and ("subtree" not in timeloop or ert is not None)
    return _priced(architecture, node, problems, known, bool(timeloop), plain)


def _check_lockstep(architecture: Architecture, node: Node, workload: WorkloadGraph,
                    problems: Problems) -> None:
    """Report units that skip in lockstep in a way that fits no layer."""
    from .errors import MappingError
    from .hardware.build_lockstep import declared
    from .model.lockstep.cycles import checked

    reasons: list[str] = []
    for einsum in workload:
        try:
            checked(architecture, einsum)
            return
        except MappingError as error:
            reasons += error.reasons
    for reason in dict.fromkeys(reasons):
        problems.error(declared(node) or node, reason)


def _priced(architecture: Architecture, node: Node, problems: Problems, components: Iterable[Component],
            timeloop: bool, plain: bool) -> Architecture:
    """`architecture` with the energies that it leaves out: from the component table; in Timeloop's
    dialects its own estimates where the table does not know all components, or for `plain` files,
    which it reads without Accelergy: those with an ERT, and old lists."""
    from .energy import EnergyTable, priced
    from .energy.estimate import SOURCE, estimate, free_metadata
    from .energy.rules import spelt_out

    if timeloop:
        architecture = free_metadata(architecture)
    if plain:
        return spelt_out(estimate(architecture))
    try:
        found = priced(architecture, EnergyTable.default(components=components), timeloop=timeloop)
        for warning in found.warnings:
            problems.note(node, warning)
        return found.architecture
    except ValueError as error:
        faults = str(error).splitlines()
    if timeloop:
        problems.note(node, f"energies are {SOURCE}: no energy for {faults[0]}; "
                      "expected an ERT, or components that the component table knows")
        return spelt_out(estimate(architecture))
    entries = [*(node.get("levels") or ()), *filter(None, [node.get("compute")])]
    for line in faults:
        at = [e for e in entries if "name" in e and line.startswith(f"{e['name'].value} ")]
        expected = "`hop_energy`, or what wires and routers ask for" if " (network): " in line else \
            "`energy`, or a component that the component table knows"
        problems.error(at[0] if at else node, f"no energy for {line}; expected {expected}")
    return architecture


def _workload(sections: Mapping[str, Node], problems: Problems) -> WorkloadGraph | None:
    from .spec.timeloop_problem import lower_problem
    from .workload.build import build_workload

    if "problem" in sections:
        return build_workload(lower_problem(sections["problem"], problems), problems)
    node = sections.get("workload")
    return None if node is None else build_workload(node, problems)
