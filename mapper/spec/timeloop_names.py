"""Names in Timeloop's files: nearly a known one is misspelt, unlike all of them is the user's own."""

from __future__ import annotations

from collections.abc import Iterable

from .nodes import Node, Problems, one_of

#: Versions of Timeloop's and Accelergy's files that are read.
VERSIONS = ("0.2", "0.3", "0.4")


class Attributes:
    """Looks at the names of all attributes of one architecture.

    People keep attributes of their own, for other tools. One that differs from a `known` name by a slip
    of the pen is a fault; the others are told in one note, each with its line.
    """

    def __init__(self, known: Iterable[str], problems: Problems) -> None:
        self.known = tuple(known)
        self.problems = problems
        self.noted: set[tuple[str, str, int, int]] = set()
        self.own: dict[str, list[Node]] = {}      # where each name is written

    def look(self, attributes: Node, more: Iterable[str] = ()) -> None:
        """Look at the names of `attributes`, of which `more` are known here. Those that are not written
        in this place are inherited, and may be there for expressions only."""
        for written, value in attributes.items():
            key = written.replace("-", "_")
            if value.value is None or key in self.known or key in more:
                continue
            here, place = written in attributes.keys, attributes.keys.get(written, value)
            name = None if key.isupper() else nearly(key, (*self.known, *more))
            if name is None:
                if here:
                    self.own.setdefault(key, []).append(place)
            elif here or not attributes.line:
                self.problems.error(place, f"unknown attribute {key!r}; expected a known one, or one that is "
                                    f"like none of them; did you mean {name!r}?")
            else:
                self.hint(key, place, name)

    def hint(self, key: str, place: Node, name: str) -> None:
        """Note once that an inherited attribute is nearly a known one."""
        at = (key, place.file, place.line, place.column)
        if at not in self.noted:
            self.noted.add(at)
            self.problems.note(place, f"attribute {key!r} counts for nothing here, but in expressions; "
                               f"expected a known one, or one of your own; did you mean {name!r}?")

    def tell(self) -> None:
        """Note the attributes that mean nothing for the model."""
        if not self.own:
            return
        first = next(iter(self.own.values()))[0]
        listed = []
        for key, nodes in self.own.items():
            places = [str(x.line) if x.file == first.file else x.place for x in nodes]
            more = ", ..." if len(places) > 3 else ""
            listed.append(f"{key} (line {', '.join(places[:3])}{more})")
        self.problems.note(first, "attributes that count for nothing here, and are kept: "
                           f"{', '.join(listed)}; expected such as depth, width, datawidth")


def look_at_keys(node: Node, known: Iterable[str], what: str, problems: Problems) -> None:
    """Report each key of the mapping `node`, which is `what`, that is not `known`: as a fault where it is
    nearly one, else as a note, since Timeloop reads past it."""
    names = tuple(known)
    for key, _ in node.items():
        plain = key.replace("-", "_")
        if plain in names:
            continue
        if name := nearly(plain, names):
            problems.error(node.key(key), f"unknown key {key!r} in {what}; expected {one_of(names)}; "
                           f"did you mean {name!r}?")
        else:
            problems.note(node.key(key), f"key {key!r} of {what} counts for nothing here; expected "
                          f"{one_of(names)}")


def look_at_version(section: Node, problems: Problems) -> None:
    """Report a `version` of a section, of one of its parts or of the shape of a problem that is not known."""
    for part in (*section, section, section.get("shape")):
        version = None if part is None else part.get("version")
        if version is not None and str(version.value) not in VERSIONS:
            problems.error(version, f"version {version.plain()!r}; expected {one_of(VERSIONS)}")


def nearly(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is a misspelling of: equal but for case and underscores, or with at most
    one slip in each of its words.

    >>> nearly("dpeth", ["depth", "width"]), nearly("mesh_x", ["meshX"]), nearly("n_rows", ["n_words"])
    ('depth', 'meshX', None)
    """
    words = name.lower().split("_")
    for other in known:
        others = other.lower().split("_")
        if "".join(words) == "".join(others):
            return other
        if len(words) == len(others) and all(
                a == b or (len(b) > 3 and one_slip(a, b)) for a, b in zip(words, others, strict=True)):
            return other
    return None


def one_slip(a: str, b: str) -> bool:
    """Whether one letter more, less or other, or two neighbours swapped, make `b` of `a`.

    >>> [one_slip(word, "depth") for word in ("dept", "deepth", "dapth", "detph", "width")]
    [True, True, True, True, False]
    """
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    a, b = a[start:], b[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
