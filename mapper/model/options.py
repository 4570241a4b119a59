"""`Options`: rules of counting that hold for a whole evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from ..spec.fields import describe
from ..spec.nodes import Node, Problems, did_you_mean, one_of


@dataclass(frozen=True, slots=True)
class Options:
    """Switches that Timeloop takes from environment variables.

    `first_read_elision`: the first update of an output word reads no partial sum
    (TIMELOOP_ENABLE_FIRST_READ_ELISION). `torus`: where neighbours pass words on, so do the two ends
    of a row or column (TIMELOOP_ENABLE_TOROIDAL_LINKS). `updated_rmw`: the innermost level starts its
    partial sums at zero, see `updates` (TIMELOOP_ENABLE_UPDATED_RMW).
    """

    first_read_elision: bool = True
    torus: bool = False
    updated_rmw: bool = False

    def changed(self) -> dict[str, bool]:
        """The switches that do not stand as Timeloop's defaults have them."""
        return {field.name: value for field in fields(self)
                if (value := getattr(self, field.name)) != field.default}


DEFAULT = Options()
NAMES = tuple(field.name for field in fields(Options))

_VARIABLES = {"TIMELOOP_ENABLE_FIRST_READ_ELISION": "first_read_elision",
              "TIMELOOP_ENABLE_TOROIDAL_LINKS": "torus", "TIMELOOP_ENABLE_UPDATED_RMW": "updated_rmw"}
#: What the variables of the program that change no number begin with.
_SILENT = ("TIMELOOP_HIDE", "TIMELOOP_GLOBAL", "TIMELOOP_DISPLAY")
_STATES = {"1": True, "0": False, "true": True, "false": False, "on": True, "off": False}


def read_globals(section: Node | None, problems: Problems) -> Options:
    """The switches among the `environment_variables` of the section `globals` of Timeloop's front-end.

    What is no switch of the model is noted; a value that is neither on nor off is a fault.
    """
    variables = section.get("environment_variables") if section is not None else None
    if variables is None or variables.value is None:
        return DEFAULT
    if not variables.is_map:
        problems.error(variables, f"environment_variables is {describe(variables)}; expected a mapping of "
                       "names to values")
    found: dict[str, bool] = {}
    for key, value in variables.items():
        state = _STATES.get(str(value.value).lower())
        if key in _VARIABLES and state is not None:
            found[_VARIABLES[key]] = state
        elif key in _VARIABLES:
            problems.error(value, f"{key} is {describe(value)}; expected 0 or 1")
        elif key.startswith("TIMELOOP_") and not key.startswith(_SILENT):
            problems.note(variables.key(key), f"environment variable {key} counts for nothing here; expected "
                          f"{one_of(_VARIABLES)}{did_you_mean(key, _VARIABLES, cutoff=0.8)}")
    return replace(DEFAULT, **found)


def refuse_changed(section: Node, problems: Problems) -> None:
    """Refuse, each at its place, the switches in `globals` that are set otherwise than by default: a
    search counts on the defaults."""
    changed = read_globals(section, Problems()).changed()
    variables = section["environment_variables"] if changed else section
    for key, name in _VARIABLES.items():
        if name in changed:
            problems.refuse(variables.key(key), f"{key}={variables[key].value}: a search does not take it; "
                            "expected the default; given mappings can be evaluated so")


def with_switches(options: Options, settings: Mapping[str, str]) -> Options:
    """`options` with switches set, such as {"first-read-elision": "off"}; raises ValueError, which says
    what is expected, for other names and states."""
    found = {}
    for written, text in settings.items():
        name, state = written.replace("-", "_"), _STATES.get(text.lower())
        if name not in NAMES:
            known = [name.replace("_", "-") for name in NAMES]
            raise ValueError(f"no option {written!r}; expected {one_of(known)}{did_you_mean(written, known)}")
        if state is None:
            raise ValueError(f"{written} is {text!r}; expected on or off")
        found[name] = state
    return replace(options, **found)
