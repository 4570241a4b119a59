"""Text to density models and back, in the native words and in Timeloop's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from ...spec.fields import Record, describe, finite, whole
from ...spec.nodes import Node, Problems, did_you_mean, one_of
from ...spec.timeloop_density import lower_density
from ..einsum import Axis
from .banded import Banded
from .histogram import Histogram
from .measured import Measured
from .pattern import KernelPattern
from .permuted import PermutedDiagonal
from .protocol import Density, Tile
from .structured import StructuredNM
from .uniform import Binomial, FixedStructured, Hypergeometric


def parse_density(node: Node, problems: Problems, projection: tuple[Axis, ...],
                  shape: Tile) -> Density | None:
    """The density that `node` describes, for a tensor of `shape` addressed by `projection`.

    A number is `FixedStructured`; a mapping has the key `model` (or Timeloop's `distribution`) and the
    parameters of that model. An axis is a position from 0, or the name of the rank that alone moves
    it. Every fault goes to `problems`; the result is None when there was one.
    """
    before = len(problems.errors)
    lowered = lower_density(node, problems) if "distribution" in node else node
    if lowered is None:
        return None
    found = _Reader(lowered, problems, projection, shape).read()
    if found is None or len(problems.errors) > before:
        return None
    try:
        found.bind(shape)
    except ValueError as error:
        problems.error(node, str(error))
        return None
    return found


class _Reader:
    """Reads one density; knows the tensor that it is of."""

    def __init__(self, node: Node, problems: Problems, projection: tuple[Axis, ...], shape: Tile) -> None:
        self.node = node
        self.problems = problems
        self.names = axis_names(projection)
        self.shape = shape
        self.record: Record

    def read(self) -> Density | None:
        """The density; None when there is a fault."""
        if self.node.is_scalar:
            share = self.number(self.node, "density")
            return None if share is None else FixedStructured(share)
        model = self.node.get("model")
        if model is None:
            self.problems.error(self.node, f"density is {describe(self.node)} without a model; expected a "
                                "number from 0 to 1, or a mapping with the key 'model'")
            return None
        if str(model.value) not in MODELS:
            self.problems.error(model, f"unknown density model {describe(model)}; expected "
                                f"{one_of(MODELS)}{did_you_mean(str(model.value), MODELS)}")
            return None
        before = len(self.problems.errors)
        kind, needed, optional = MODELS[str(model.value)]
        what = f"{model.value} density"
        self.record = Record(self.node, self.problems, what, ("model", *needed, *optional))
        if kind is Measured:
            return self.measured()
        values = {key: _KINDS[key](self, key) for key in (*needed, *optional)
                  if key in needed or self.record.has(key) or key == "axes"}
        return None if len(self.problems.errors) > before else self.built(lambda: kind(**values))

    def built(self, make: Callable[[], Density], key: str = "") -> Density | None:
        """What `make` gives; its ValueError is a fault at `key`, or at the density."""
        try:
            return make()
        except ValueError as error:
            self.problems.error(self.record.node(key) or self.node, str(error))
            return None

    def measured(self) -> Density | None:
        """An array in a file, or the bits themselves."""
        record, inline = self.record, self.record.has("bits")
        wrong = [key for key in ("file", "name", "axes") if inline and record.has(key)]
        if wrong or not record.require(*(("shape", "bits") if inline else ("file",))):
            for key in wrong:
                record.fault(key, f"{key} beside the bits; expected either a file or bits")
            return None
        text = record.text("bits" if inline else "file", "")
        if inline:
            extents = [whole(extent) for extent in record.entries("shape")]
            if tuple(extents) != self.shape:
                record.fault("shape", f"shape is {extents}; expected {list(self.shape)}, that of the tensor")
                return None
            return self.built(lambda: Measured.decode(self.shape, text), "bits")
        order = None
        if record.has("axes"):
            before = len(self.problems.errors)
            positions = self.axes("axes", len(self.shape))
            if len(self.problems.errors) > before:
                return None
            order = [positions.index(axis) for axis in range(len(self.shape))]
        path = Path(self.node.file).parent / text
        name = record.text("name", "") if record.has("name") else None
        return self.built(lambda: Measured.load(path, name, order), "file")

    def number(self, node: Node, what: str) -> float | None:
        """A number from 0 to 1; None, and a fault, for anything else."""
        value = finite(node)
        if value is None or not 0 <= value <= 1:
            self.problems.error(node, f"{what} is {describe(node)}; expected a number from 0 to 1")
            return None
        return float(value)

    def share(self, key: str) -> float | None:
        node = self.needed(key)
        return None if node is None else self.number(node, key)

    def shares(self, key: str) -> tuple[float | None, ...]:
        self.needed(key)
        return tuple(self.number(node, "density of a channel") for node in self.record.entries(key))

    def count(self, key: str) -> int:
        self.needed(key)
        return self.record.integer(key, 0, least=1 if key in ("m", "block") else 0)

    def needed(self, key: str) -> Node | None:
        """The value of `key`; a fault when it is absent."""
        self.record.require(key)
        return self.record.node(key)

    def axis(self, key: str) -> int:
        node = self.needed(key)
        return 0 if node is None else self.position(node)

    def axes(self, key: str, count: int | None = None) -> tuple[int, ...]:
        """Positions of the axes in a list; of a matrix, its two axes in order when there is none."""
        count = 2 if key == "axes" and count is None else count
        if not self.record.has(key) and key == "axes" and len(self.shape) == 2:
            return 0, 1
        node = self.needed(key)
        found = tuple(self.position(entry) for entry in self.record.entries(key))
        good = 0 < len(found) == len(set(found)) and count in (None, len(found))
        if node is not None and not good:
            wanted = "one or more" if count is None else str(count)
            self.problems.error(node, f"{key} has {len(found)} axes; expected {wanted}, each once")
        return found

    def position(self, node: Node) -> int:
        """The axis that `node` names, or counts from 0; 0, and a fault, when there is none."""
        position = whole(node)
        if position is not None and 0 <= position < len(self.shape):
            return position
        if isinstance(node.value, str) and self.names.count(node.value) == 1:
            return self.names.index(node.value)
        known = [name or str(at) for at, name in enumerate(self.names)]
        self.problems.error(node, f"no axis {describe(node)}; expected {one_of(known)}"
                            f"{did_you_mean(str(node.value), known)}")
        return 0


def axis_names(projection: tuple[Axis, ...]) -> list[str | None]:
    """The rank that alone moves each axis; None for sums of several."""
    return [axis[0].rank if len(axis) == 1 else None for axis in projection]


#: The classes by their names in text, with the parameters that must and those that may be there. Each
#: is the attribute of the same name, and read by the method of `_Reader` that `_KINDS` has for it.
MODELS: dict[str, tuple[type[Any], tuple[str, ...], tuple[str, ...]]] = {
    "fixed_structured": (FixedStructured, ("density",), ()),
    "hypergeometric": (Hypergeometric, ("density",), ()),
    "binomial": (Binomial, ("density",), ()),
    "n_m": (StructuredNM, ("n", "m", "axis"), ()),
    "banded": (Banded, ("half_width",), ("axes",)),
    "permuted_diagonal": (PermutedDiagonal, ("block",), ("axes",)),
    "pattern": (KernelPattern, ("kernel", "nonzeros"), ("connectivity",)),
    "histogram": (Histogram, ("axis", "densities"), ()),
    "measured": (Measured, (), ("file", "name", "axes", "shape", "bits")),
}
_KINDS: dict[str, Callable[[_Reader, str], Any]] = {
    "density": _Reader.share, "connectivity": _Reader.share, "densities": _Reader.shares,
    "n": _Reader.count, "m": _Reader.count, "half_width": _Reader.count, "block": _Reader.count,
    "nonzeros": _Reader.count, "axis": _Reader.axis, "axes": _Reader.axes, "kernel": _Reader.axes}


def density_to_dict(density: Density, projection: tuple[Axis, ...] = ()) -> Any:
    """The native form of `density`, which `parse_density` reads back. Axes are called by the names that
    they have in `projection`; a measured density is written whole, without the file it is from.

    Raises
    ------
    ValueError
        For a class that has no such form.
    """
    names = axis_names(projection)

    def named(axis: int) -> str | int:
        name = names[axis] if axis < len(names) else None
        return axis if name is None or names.count(name) > 1 else name
    if isinstance(density, FixedStructured):
        return density.density
    if isinstance(density, Measured):
        return {"model": "measured", "shape": list(density.shape), "bits": density.encoded}
    for model, (kind, needed, optional) in MODELS.items():
        if type(density) is kind:
            values = {key: getattr(density, key) for key in (*needed, *optional)}
            return {"model": model, **{
                key: named(value) if key == "axis" else [named(axis) for axis in value]
                if key in ("axes", "kernel") else list(value) if isinstance(value, tuple) else value
                for key, value in values.items()}}
    raise ValueError(f"a density of the class {type(density).__name__}; expected one of the models "
                     f"{', '.join(MODELS)} for it to be written")


def density_to_timeloop(density: Density, shape: Tile) -> dict[str, Any]:
    """Timeloop's form of the `density` of a tensor of `shape`.

    Raises
    ------
    ValueError
        For a model that Timeloop does not have; its bands are those of square matrices.
    """
    if isinstance(density, FixedStructured):
        return {"distribution": "fixed_structured", "density": density.density}
    if isinstance(density, Hypergeometric):
        return {"distribution": "hypergeometric", "density": density.density}
    if isinstance(density, Banded) and len(shape) == 2 and shape[0] == shape[1]:
        return {"distribution": "banded", "band_width": density.half_width}
    raise ValueError(f"the density model {type(density).__name__}; expected fixed_structured, hypergeometric "
                     "or banded (of a square matrix), the ones that Timeloop has")
