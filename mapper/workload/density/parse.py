"""Text to density models and back, in the native words and in Timeloop's."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from ...spec.fields import Record, describe, finite, whole
from ...spec.nodes import Node, Problems, did_you_mean, one_of
from ...spec.timeloop_density import lower_density
from ..einsum import Axis
from .protocol import Density, Tile
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
            share = self.share(self.node, "density")
            return None if share is None else FixedStructured(share)
        model = self.node.get("model")
        if not self.node.is_map or model is None:
            self.problems.error(self.node, f"density is {describe(self.node)} without a model; expected a "
                                "number from 0 to 1, or a mapping with the key 'model'")
            return None
        if model.value not in MODELS:
            self.problems.error(model, f"unknown density model {describe(model)}; expected "
                                f"{one_of(MODELS)}{did_you_mean(str(model.value), MODELS)}")
            return None
        needed, optional, build = MODELS[str(model.value)]
        self.record = Record(self.node, self.problems, f"{model.value} density",
                             ("model", *needed, *optional))
        before = len(self.problems.errors)
        if not self.record.require(*needed):
            return None
        found = None
        try:
            found = build(self)
        except ValueError as error:
            if len(self.problems.errors) == before:      # else it speaks of a value put in for a wrong one
                self.problems.error(self.node, str(error))
        return found

    def share(self, node: Node | None, what: str, default: float = 1.0) -> float | None:
        """A number from 0 to 1."""
        if node is None:
            return default
        value = finite(node)
        if value is None or not 0 <= value <= 1:
            self.problems.error(node, f"{what} is {describe(node)}; expected a number from 0 to 1")
            return None
        return float(value)

    def density(self, key: str = "density") -> float:
        share = self.share(self.record.node(key), key)
        return 1.0 if share is None else share

    def axis(self, node: Node | None) -> int:
        """The position of the axis that `node` names; 0, and a fault, when there is none."""
        if node is None:
            return 0
        position = whole(node)
        if position is not None and 0 <= position < len(self.shape):
            return position
        if isinstance(node.value, str) and node.value in self.names:
            return self.names.index(node.value)
        known = [name or str(at) for at, name in enumerate(self.names)]
        self.problems.error(node, f"no axis {node.value!r}; expected {one_of(known)}"
                            f"{did_you_mean(str(node.value), known)}")
        return 0

    def axes(self, key: str, count: int | None = None) -> tuple[int, ...]:
        """Positions of the axes in a list; all axes of the tensor, in order, when there is none."""
        node = self.record.node(key)
        if node is not None and not node.is_list:
            self.problems.error(node, f"{key} is {describe(node)}; expected a list of axes")
            node = None
        positions = tuple(range(len(self.shape))) if node is None else tuple(map(self.axis, node))
        if len(set(positions)) < len(positions) or count not in (None, len(positions)):
            wanted = "each axis once" if count in (None, len(positions)) else f"{count} axes"
            self.record.fault(key, f"{len(positions)} axes of {_names(self.names)}; expected {wanted}")
        return positions


def axis_names(projection: tuple[Axis, ...]) -> list[str | None]:
    """The rank that alone moves each axis; None for sums of several."""
    return [axis[0].rank if len(axis) == 1 else None for axis in projection]


def _names(names: Sequence[str | None]) -> str:
    return ", ".join(name or str(at) for at, name in enumerate(names)) or "a scalar"


_Build = Callable[[_Reader], Density]
#: What each model needs, what it may have, and how it is built.
MODELS: dict[str, tuple[tuple[str, ...], tuple[str, ...], _Build]] = {
    "fixed_structured": (("density",), (), lambda reader: FixedStructured(reader.density())),
    "hypergeometric": (("density",), (), lambda reader: Hypergeometric(reader.density())),
    "binomial": (("density",), (), lambda reader: Binomial(reader.density())),
}


def density_to_dict(density: Density, projection: tuple[Axis, ...] = ()) -> Any:
    """The native form of `density`, which `parse_density` reads back.

    Raises
    ------
    ValueError
        For a class that has no such form.
    """
    if isinstance(density, FixedStructured):
        return density.density
    if isinstance(density, (Hypergeometric, Binomial)):
        return {"model": type(density).__name__.lower(), "density": density.density}
    raise ValueError(f"a density of the class {type(density).__name__}; expected one of the models "
                     f"{', '.join(MODELS)} for it to be written")


def density_to_timeloop(density: Density) -> dict[str, Any]:
    """Timeloop's form of `density`.

    Raises
    ------
    ValueError
        For a model that Timeloop does not have.
    """
    if isinstance(density, FixedStructured):
        return {"distribution": "fixed_structured", "density": density.density}
    if isinstance(density, Hypergeometric):
        return {"distribution": "hypergeometric", "density": density.density}
    raise ValueError(f"the density model {type(density).__name__}; expected fixed_structured, hypergeometric "
                     "or banded, the ones that Timeloop has")
