"""`Sources`: the files of a specification with all that they include, inside the folders given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import Problem
from .fields import describe
from .nodes import Node, Problems, did_you_mean, one_of
from .reader import INCLUDE_TAG, load_text, read_text, size

_SUFFIXES = (".jinja2", ".jinja", ".j2")
#: Files inside files, and files in all, that no honest specification needs.
_MOST_DEEP, _MOST_FILES, _MOST_NODES = 20, 500, 2_000_000


class Sources:
    """Reads files. A file may be a jinja2 template; it may list others under the top-level key
    `include`, put a value of another in place with `!include FILE` or `!include [FILE, KEY]`, or
    with the template functions `include`, `include_all` and `include_text`.

    Whatever is included must lie in one of the folders `roots` or below.

    Parameters
    ----------
    roots : folders, as a rule those of the files that the user named
    problems : collects the faults
    define : names and plain values for the templates
    """

    def __init__(self, roots: Iterable[Path], problems: Problems,
                 define: Mapping[str, object] | None = None) -> None:
        self.roots = [root.resolve() for root in roots]
        self.problems = problems
        self.define = dict(define or {})
        self.asked: set[str] = set()            # names by which templates take values
        self.path: list[Path] = []              # added by add_to_path
        self.open: list[Path] = []              # files being read, outermost first
        self.files = self.nodes = 0

    def read(self, path: Path) -> list[Node]:
        """The documents of a file, and of those under its key `include`."""
        resolved = path.resolve()
        self.files += 1
        if resolved in self.open or len(self.open) >= _MOST_DEEP or self.files > _MOST_FILES:
            self.problems.error(Node(None, str(path)), "a file that includes itself, or too many files; "
                                "expected files that end")
            return []
        text = load_text(path, self.problems, str(path))
        if text is None:
            return []
        self.open.append(resolved)
        documents = self._documents(path, text)
        found = [part for document in documents for part in self._with_listed(document, path.parent)]
        self.open.pop()
        return found

    def _documents(self, path: Path, text: str) -> list[Node]:
        label, lines = str(path), list[int]()
        scope = _Scope(self, path)
        if is_template(path.name, text):
            from .template import render  # jinja2 is slow to import

            rendered = render(text, label, self.define, scope.functions(), self.problems, self.asked)
            if rendered is None:
                return []
            text, lines = rendered
        return read_text(text, self.problems, label, scope.include_node, lines)

    def _with_listed(self, document: Node, folder: Path) -> list[Node]:
        """The document without its key `include`, and the documents of the files listed there."""
        listed = document.get("include")
        if listed is None:
            return [document]
        entries = dict(document.items())
        del entries["include"]
        found = [replace(document, value=entries)] if entries else []
        for name in listed if listed.is_list else (listed,):
            path = self.locate(str(name.value), folder) if name.is_scalar else None
            if path is None:
                self.problems.error(name, self.missing(describe(name), folder))
            else:
                found += self.read(path)
        return found

    def report_unused(self) -> None:
        """Report each value that no template read so far asks for; but not where none could be read."""
        asked = sorted(self.asked)
        if not asked and self.problems.errors:
            return
        expected = one_of(asked, 30) if asked else "a SPEC that is a template, with names for values"
        self.problems.errors += [Problem(f"-D {name}", 0, 0, "no SPEC takes a value by this name; expected "
                                         f"{expected}{did_you_mean(name, asked)}")
                                 for name in self.define if name not in self.asked]

    def locate(self, name: str, folder: Path) -> Path | None:
        """The file `name`, seen from `folder` or one that was added to the path; None when there is
        none, or none that may be read."""
        for base in (folder, *self.path):
            try:
                path = base / name
                if self.allowed(path) and path.is_file():
                    return path
            except (OSError, ValueError):
                continue
        return None

    def allowed(self, path: Path) -> bool:
        """Whether a path lies in one of the folders, links followed."""
        try:
            resolved = path.resolve()
        except (OSError, RuntimeError, ValueError):
            return False
        return any(resolved.is_relative_to(root) for root in self.roots)

    def missing(self, name: str, folder: Path) -> str:
        """The message for a file that cannot be included."""
        try:
            outside = not any(self.allowed(base / name.strip("'\"")) for base in (folder, *self.path))
            near = [entry.name for entry in folder.iterdir()] if self.allowed(folder) else []
        except (OSError, ValueError):
            outside, near = False, []
        reason = "lies outside of the folders of the files given" if outside else "is no file there"
        return (f"cannot include {name}: it {reason}; expected a file in {folder} or below"
                f"{did_you_mean(Path(name).name, near)}")


def is_template(name: str, text: str) -> bool:
    """Whether a file is a template: by its name, or by what stands outside its YAML comments."""
    return name.endswith(_SUFFIXES) or any(
        mark in line.partition(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#")
        for mark in ("{{", "{%"))


class _Scope:
    """What one file may call while it is read."""

    def __init__(self, sources: Sources, file: Path) -> None:
        self.sources = sources
        self.file = file
        self.parts: list[Node] = []         # values that the template put in place, by number

    def functions(self) -> dict[str, Any]:
        """The functions of templates. Paths are texts, relative ones seen from the file's folder."""
        folder, sources = self.file.parent, self.sources

        def find(name: str) -> Path:
            found = sources.locate(str(name), folder)
            if found is None:
                raise ValueError(sources.missing(repr(name), folder))
            return found

        def path_exists(name: str) -> bool:
            return sources.locate(str(name), folder) is not None

        def add_to_path(name: str) -> str:
            if not sources.allowed(folder / str(name)):
                raise ValueError(sources.missing(repr(name), folder))
            sources.path.append(folder / str(name))
            return ""

        def placed(node: Node) -> str:
            self.parts.append(node)
            return f"{INCLUDE_TAG} '@{len(self.parts) - 1}'"

        def include(name: str, key: str = "") -> str:
            return placed(self.value(find(name), str(key)))

        def include_all(pattern: str, key: str = "") -> str:
            return placed(self.all(str(pattern), str(key)))

        def include_text(name: str) -> str:
            path = find(name)
            text = load_text(path, sources.problems, str(path)) or ""
            if len(text) > _MOST_NODES:
                raise ValueError(f"{name} has millions of characters")
            return text

        def cwd() -> str:
            return str(folder.absolute())

        def find_path(name: str) -> str:
            return str(find(name))

        return {function.__name__: function for function in (
            cwd, path_exists, find_path, add_to_path, include, include_all, include_text)} | {"find_cwd": cwd}

    def include_node(self, node: Node) -> Node:
        """The value that stands for a node tagged `!include`."""
        text = str(node.value) if node.is_scalar else ""
        if text.startswith("@") and text[1:].isdigit():
            number = int(text[1:])
            return self.parts[number] if number < len(self.parts) else node.at(None)
        names = [str(part.value) for part in (node if node.is_list else (node,)) if part.is_scalar]
        path = self.sources.locate(names[0], self.file.parent) if 1 <= len(names) <= 2 else None
        if path is None:
            message = f"!include of {describe(node)}; expected FILE or [FILE, KEY]"
            if 1 <= len(names) <= 2:
                message = self.sources.missing(repr(names[0]), self.file.parent)
            self.sources.problems.error(node, message)
            return node.at(None)
        return self.value(path, names[1] if len(names) == 2 else "")

    def value(self, path: Path, key: str) -> Node:
        """The value under `key` (a.b for b in a; empty for the whole) in the first document of a file."""
        sources = self.sources
        before = len(sources.problems.errors)
        documents = sources.read(path)
        node = documents[0] if documents else Node(None, str(path))
        for part in key.split(".") if key else ():
            inner = node.get(part)
            if inner is None:
                if len(sources.problems.errors) == before:
                    names = [name for name, _ in node.items()]
                    sources.problems.error(node, f"no {part!r} to include here; expected {one_of(names)}"
                                           f"{did_you_mean(part, names)}")
                return node.at(None)
            node = inner
        sources.nodes += size(node)
        if sources.nodes > _MOST_NODES:
            sources.problems.error(node, "millions of values are included; expected fewer")
            return node.at(None)
        return node

    def all(self, pattern: str, key: str) -> Node:
        """The lists under `key` in every file that a pattern such as `folder/*.yaml` names, as one."""
        first, _, last = pattern.rpartition("/")
        entries: list[Node] = []
        for base in (self.file.parent, *self.sources.path):
            folder = base / first
            if not self.sources.allowed(folder) or not folder.is_dir() or "*" in first or ".." in last:
                continue
            for path in sorted(folder.glob(last)):
                if path.is_file() and self.sources.allowed(path):
                    part = self.value(path, key)
                    entries += part if part.is_list else [part] if part.value is not None else []
            break
        else:
            raise ValueError(self.sources.missing(repr(pattern), self.file.parent))
        return Node(tuple(entries), str(self.file))
