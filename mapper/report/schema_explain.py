"""The shape of `explain` in the result document: why the mapping of a layer is the best."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


@with_config(_STRICT)
class EnergyPart(TypedDict):
    """What one tensor costs at one level or on one network; `tensor` is "compute" or "leakage" for the
    rest."""

    level: str
    tensor: str
    energy_pj: float
    share: float


@with_config(_STRICT)
class CyclesPart(TypedDict):
    """The cycles that a level alone would need, and their share of those of the layer."""

    level: str
    cycles: Count
    share: Amount


@with_config(_STRICT)
class SensitivityEntry(TypedDict):
    """By how many percent (`elasticity`) the relaxed bound of the class of the mapping changes for one
    percent more of a figure of which there is `have`, and by how much (`marginal`, in the unit of the
    objective) for one more: words, words a cycle and instance, or instances along an axis. First-order."""

    level: str
    figure: str
    have: Amount
    elasticity: float
    marginal: float


@with_config(_STRICT)
class RunnerUpEntry(TypedDict):
    """The class of mappings that make one choice otherwise. Shares of the best value: none of them loses less
    than `at_least` (proven; below 0 while that is open), the best that was met loses `found`."""

    choice: str
    fits: bool
    at_least: float | None
    found: float | None


@with_config(_STRICT)
class DropEntry(TypedDict):
    """Mappings left after a step."""

    step: str
    mappings: Amount
    exactness: Literal["exact", "about", "at most"]


@with_config(_STRICT)
class MomentEntry(TypedDict):
    """Best value and bound so far, in the unit of the objective; the seconds depend on the machine."""

    seconds: Amount
    evaluated: Count
    value: Amount
    bound: Amount


@with_config(_STRICT)
class ExplainEntry(TypedDict):
    """Energy and cycles by what they go to, largest first; what binds; what other classes lose; where the
    mapspace went; and the search against time. `relaxed_bound` is that of the class of the mapping."""

    energy: list[EnergyPart]
    cycles: list[CyclesPart]
    relaxed_bound: Amount
    sensitivities: list[SensitivityEntry]
    runners_up: list[RunnerUpEntry]
    waterfall: list[DropEntry]
    progress: list[MomentEntry]
