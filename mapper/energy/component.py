"""`Component`: a kind of hardware with the energy of its actions, its area and its leakage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Mapping, Protocol, Sequence

from ..hardware.architecture import Figure
from ..spec import units
from ..spec.nodes import did_you_mean, one_of

if TYPE_CHECKING:
    from .table import EnergyTable

Value = int | float | str
Values = Mapping[str, Value]

#: The basis of figures that a user should look at twice.
DOUBTFUL = ("extrapolated", "scaled")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an estimate depends on. Without a default it has to be given; `choices` are all values of a
    text that are known, where there are few; `least` is that of a whole number, others may be 0."""

    name: str
    meaning: str
    unit: str = ""                       # "bit", "nm", "mm", "ns", "byte"; "" where it is a count or a text
    default: Value | None = None
    kind: Literal["whole", "number", "text"] = "whole"
    choices: tuple[str, ...] = ()
    least: int = 1

    def read(self, value: object) -> Value:
        """`value` as a number or a text, in the unit of the parameter; ValueError for what is neither."""
        if self.kind == "text":
            return self._text(value)
        try:
            number = self._number(value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if self.kind == "whole" and (number != int(number) or number < self.least):
            raise ValueError(f"{self.name} is {value!r}; expected a whole number, {self.least} or more")
        if number < 0:
            raise ValueError(f"{self.name} is {value!r}; expected a number, 0 or more")
        return int(number) if self.kind == "whole" else number

    def _text(self, value: object) -> str:
        found = str(value)
        if self.choices and found not in self.choices:
            folded = {choice.lower(): choice for choice in self.choices}
            if found.lower() not in folded:
                raise ValueError(f"{self.name} is {found!r}; expected {one_of(self.choices, 30)}"
                                 f"{did_you_mean(found, self.choices)}")
            found = folded[found.lower()]
        return found

    def _number(self, value: object) -> float:
        if self.unit == "nm":
            return units.nanometres(value)
        number, unit = units.split(value)
        if not unit or unit == self.unit:
            return number
        if self.unit == "bit" and unit in units.BITS:
            return number * units.BITS[unit]
        if self.unit == "byte" and unit in units.BITS:
            return number * units.BITS[unit] / 8
        if self.unit == "ns":
            return units.seconds(value) * 1e9
        if self.unit == "mm" and unit in ("um", "µm"):
            return number / 1000
        raise ValueError(f"unknown unit {unit!r} in {value!r}; expected {self.unit or 'none'}")


@dataclass(frozen=True)
class Estimate:
    """What one unit of a component costs.

    `actions`: pJ by action. `access_bits`: bits that one action moves or works on (None: no such
    number). `area`: um^2, `leakage` and `refresh`: mW; None where nobody says. `warnings`: what to know
    before one relies on the figures, in whole clauses.
    """

    actions: Mapping[str, Figure]
    area: Figure | None = None
    leakage: Figure | None = None
    refresh: Figure | None = None
    access_bits: int | None = None
    warnings: tuple[str, ...] = ()


class Component(Protocol):
    """A kind of hardware. Users may add their own, see `registry`."""

    @property
    def name(self) -> str:
        """Unique, in lower case; a class of that name means the component."""
        ...

    @property
    def classes(self) -> Mapping[str, Values]:
        """Other names of classes in descriptions that mean it, each with the values of parameters that the
        name alone fixes."""
        ...

    @property
    def parameters(self) -> Sequence[Parameter]:
        """All that `estimate` looks at."""
        ...

    @property
    def source(self) -> str:
        """Where its figures are from, in one sentence."""
        ...

    def estimate(self, given: Values, table: EnergyTable) -> Estimate:
        """The figures. `given` has a value for each parameter, checked; `table` looks up rows, arrays and
        wires. ValueError for what is not covered."""
        ...


def checked(component: Component, given: Mapping[str, object]) -> dict[str, Value]:
    """A value for each parameter of `component`: as `given`, else its default.

    Raises
    ------
    ValueError
        With every fault, one a line: names that the component does not know, values that are none of
        the parameter's, and parameters that have to be given.
    """
    known = {parameter.name: parameter for parameter in component.parameters}
    faults = [f"{component.name} has no parameter {name!r}; expected {one_of(known, 30)}"
              f"{did_you_mean(name, known)}" for name in given if name not in known]
    values: dict[str, Value] = {}
    for name, parameter in known.items():
        if name in given and given[name] is not None:
            try:
                values[name] = parameter.read(given[name])
            except ValueError as error:
                faults.append(str(error))
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            choices = f", {one_of(parameter.choices, 30)}" if parameter.choices else ""
            faults.append(f"no {name} ({parameter.meaning}{choices})")
    if faults:
        raise ValueError("\n".join(faults))
    return values
