"""`Compound`: a component put together from others, as Accelergy 0.4 describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Mapping

from ..hardware.architecture import Figure
from ..spec import expression
from ..spec.nodes import did_you_mean, one_of
from .component import Component, Estimate, Parameter, Values, checked
from .figures import total

if TYPE_CHECKING:
    from .table import EnergyTable

#: What a parameter of ours is called there: the first that is given counts.
_ALIASES = {"bits": ("bits", "n_bits", "width", "datawidth", "width_a", "precision", "multiplier_width"),
            "adder_bits": ("adder_bits", "adder_width"), "counter_bits": ("counter_bits", "width"),
            "node": ("node", "technology"), "banks": ("banks", "n_banks", "nbanks"),
            "metadata_width": ("metadata_width", "metadata_storage_width"),
            "metadata_depth": ("metadata_depth", "metadata_storage_depth")}
#: What an action of ours is called there, where that is another name.
_ACTIONS = {"decompression_count": "decompress", "compression_count": "compress", "mac": "compute",
            "mac_random": "compute", "mult_random": "compute", "mac_gated": "gated_compute",
            "mac_skipped": "skipped_compute"}
#: Names that expressions may use without the class declaring them.
_INHERITED = ("technology", "global_cycle_seconds")
_MUST = "must_specify"


@dataclass(frozen=True)
class Part:
    """A component in a compound: `first` and `last` are texts of its range; the values of `attributes` and
    the scale of its area may be expressions."""

    name: str
    kind: str
    attributes: Mapping[str, object] = field(default_factory=dict)
    first: str = "1"
    last: str = "1"
    area_scale: object = 1


@dataclass(frozen=True)
class Use:
    """An action of a part in one of the compound: of instances `first` to `last`; of all where None."""

    part: str
    action: str
    first: str | None = None
    last: str | None = None
    scale: object = 1


@dataclass(frozen=True)
class Compound:
    """The sum of its parts: energy by action, area, and leakage (that of the action `leak`, or of all)."""

    name: str
    attributes: Mapping[str, object]
    parts: tuple[Part, ...]
    uses: Mapping[str, tuple[Use, ...]]
    source: str
    classes: Mapping[str, Values] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        declared = [Parameter(key, "attribute of the compound", kind="text",
                              default=None if value == _MUST else "" if value is None else str(value))
                    for key, value in self.attributes.items() if key not in _INHERITED]
        return (*declared, *(Parameter(key, "attribute of every part", kind="text", default="")
                             for key in _INHERITED))

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        names: dict[str, expression.Value] = {}
        for key in (*_INHERITED, *self.attributes):
            if given.get(key, "") != "":
                names[key] = _value(given[key], names)
        found = {part.name: self._part(part, names, table) for part in self.parts}
        counts = {part.name: _count(part.first, part.last, names) for part in self.parts}
        energies = {_ACTIONS.get(action, action): self._sum(action, uses, found, counts, names)
                    for action, uses in self.uses.items() if action != "leak"}
        areas = [(counts[part.name] * _scale(part.area_scale, names), found[part.name].area)
                 for part in self.parts]
        leaks = [(_times(use, counts, names), found[use.part].leakage) for use in self.uses["leak"]] \
            if "leak" in self.uses else [(counts[name], estimate.leakage) for name, estimate in found.items()]
        warnings = dict.fromkeys(warning for estimate in found.values() for warning in estimate.warnings)
        return Estimate(energies, self._all(areas), self._all(leaks), warnings=tuple(warnings))

    def _all(self, parts: list[tuple[float, Figure | None]]) -> Figure | None:
        """The sum; None where one of the parts is unknown."""
        known = [(times, figure) for times, figure in parts if figure is not None]
        if len(known) < len(parts):
            return None
        return total(known) if known else Figure(0.0, self.source, "user")

    def _part(self, part: Part, names: Mapping[str, expression.Value], table: EnergyTable) -> Estimate:
        attributes = {key: _value(value, names) for key, value in part.attributes.items()}
        attributes.setdefault("technology", names.get("technology", ""))
        try:
            component, fixed = table.registry.named(part.kind)
            given = _given(component, attributes, names)
            return component.estimate(checked(component, {**given, **fixed}), table)
        except ValueError as error:
            raise ValueError(f"{part.name} (class {part.kind}): {error}") from None

    def _sum(self, action: str, uses: tuple[Use, ...], found: Mapping[str, Estimate],
             counts: Mapping[str, float], names: Mapping[str, expression.Value]) -> Figure:
        """pJ of one action."""
        parts = [(_times(use, counts, names), _acted(use, found[use.part])) for use in uses]
        return total(parts) if parts else Figure(0.0, f"no part acts in {action} ({self.source})", "user")


def _given(component: Component, attributes: Mapping[str, expression.Value],
           names: Mapping[str, expression.Value]) -> dict[str, expression.Value]:
    """Parameters of a part: a compound inherits what it declares, others have our names for theirs."""
    if isinstance(component, Compound):
        declared = {parameter.name for parameter in component.parameters}
        return {key: value for key, value in {**names, **attributes}.items() if key in declared}
    found = {}
    for parameter in component.parameters:
        known = _ALIASES.get(parameter.name, (parameter.name,))
        value = next((attributes[key] for key in known if attributes.get(key, "") != ""), None)
        if value is not None:
            found[parameter.name] = value
    return found


def _acted(use: Use, part: Estimate) -> Figure:
    """The figure of an action of a part. Arithmetic has one, whatever it is called."""
    for name in (_ACTIONS.get(use.action, use.action), "write" if use.action == "update" else "", "compute"):
        if name in part.actions:
            return part.actions[name]
    raise ValueError(f"{use.part} has no action {use.action!r}; it has {one_of(part.actions, 30)}"
                     f"{did_you_mean(use.action, part.actions)}")


def _times(use: Use, counts: Mapping[str, float], names: Mapping[str, expression.Value]) -> float:
    count = counts[use.part] if use.first is None or use.last is None else _count(use.first, use.last, names)
    return count * _scale(use.scale, names)


def _count(first: str, last: str, names: Mapping[str, expression.Value]) -> float:
    return max(_number(last, names) - _number(first, names) + 1, 0)


def _scale(value: object, names: Mapping[str, expression.Value]) -> float:
    found = _number(value, names)
    if not 0 <= found < inf:
        raise ValueError(f"a scale of {found:g}; expected 0 or more")
    return found


def _number(value: object, names: Mapping[str, expression.Value]) -> float:
    found = _value(value, names)
    if isinstance(found, (int, float)):
        return float(found)
    raise ValueError(f"{value!r} has no value; expected a number or an expression of {one_of(names, 30)}")


def _value(value: object, names: Mapping[str, expression.Value]) -> expression.Value:
    """The value of an expression; a text that is none stays what it is."""
    if isinstance(value, (bool, int, float)):
        return value
    try:
        return expression.parse(str(value)).evaluate(names)
    except expression.ExpressionError:
        return str(value)
