"""`Constraints` as native text and as Timeloop's entries."""

from __future__ import annotations

from typing import Any

from ..errors import MappingError
from ..hardware.architecture import Architecture
from .constraints import UNLIMITED, Constraints, FactorRange, LevelConstraints, LoopRules


def constraints_to_dict(constraints: Constraints) -> dict[str, Any]:
    """The value of a native `constraints` key; `read_constraints` reads it back."""
    result: dict[str, Any] = {}
    if constraints.min_utilization:
        result["min_utilization"] = constraints.min_utilization
    if constraints.imperfect:
        result["imperfect"] = True
    if constraints.uneven:
        result["uneven"] = True
    result["levels"] = [_level_to_dict(level) for level in constraints.levels]
    return result


def _level_to_dict(level: LevelConstraints) -> dict[str, Any]:
    entry: dict[str, Any] = {"level": level.level}
    for key, names in (("keep", level.keep), ("bypass", level.bypass), ("no_multicast", level.no_multicast)):
        if names:
            entry[key] = sorted(names)
    for key, rules in (("temporal", level.temporal), ("spatial", level.spatial)):
        if rules == LoopRules():
            continue
        part: dict[str, Any] = {}
        if rules.factors:
            part["factors"] = {rank: _range_text(asked) for rank, asked in rules.factors}
        if rules.remainders:
            part["remainders"] = dict(rules.remainders)
        if rules.default != FactorRange():
            part["default"] = _range_text(rules.default)
        sides = (("inner", rules.inner), ("outer", rules.outer))
        part |= {side: list(names) for side, names in sides if names}
        if rules.split is not None:
            part["split"] = rules.split
        entry[key] = part
    return entry


def _range_text(asked: FactorRange) -> str | int:
    if asked.fixed:
        return asked.least
    parts = ["rest"] if asked.rest else []
    parts += [f">= {asked.least}"] if asked.least > 1 else []
    parts += [] if asked.most is None else [f"<= {asked.most}"]
    return ", ".join(parts) or ">= 1"


def constraints_to_timeloop(constraints: Constraints, architecture: Architecture) -> dict[str, Any]:
    """The value of the key `architecture_constraints`, with what the levels themselves must keep or
    bypass, which Timeloop takes for a constraint.

    Raises MappingError for what it has no word for: remainders of every loop, uneven mappings.
    """
    silent = [name for name in ("imperfect", "uneven") if getattr(constraints, name)]
    if silent:
        raise MappingError([f"constraints: Timeloop has no word for {name}: true; expected none"
                            for name in silent])
    targets: list[dict[str, Any]] = []
    for level in architecture.levels:
        asked = constraints.level(level.name)
        keep, bypass = asked.keep | level.keep, asked.bypass | level.bypass
        if keep or bypass:
            sets = {key: sorted(names) for key, names in (("keep", keep), ("bypass", bypass)) if names}
            targets.append({"target": level.name, "type": "bypass", **sets})
        for kind, rules in (("temporal", asked.temporal), ("spatial", asked.spatial)):
            sent = sorted(asked.no_multicast) if kind == "spatial" else []
            if rules != LoopRules() or sent:
                targets.append({"target": level.name, "type": kind, **_rules(rules),
                                **({"no_reuse": sent} if sent else {})})
    if constraints.min_utilization:
        targets.append({"target": architecture.levels[-1].name, "type": "utilization",
                        "min": constraints.min_utilization})
    return {"version": "0.4", "targets": targets}


def _rules(rules: LoopRules) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if rules.factors:
        entry["factors"] = [text for rank, asked in rules.factors
                            for text in _factor(rank, asked, rules.default)]
    if rules.remainders:
        entry["remainders"] = [f"{rank}={most}" for rank, most in rules.remainders]
    if rules.default.most is not None:
        entry["default_max_factor"] = rules.default.most
    if rules.default.least > 1:
        entry["default_min_factor"] = rules.default.least
    if rules.outer:
        entry["permutation"] = f"{''.join(rules.inner)},{''.join(rules.outer)}"
    elif rules.inner:
        entry["permutation"] = list(rules.inner)
    if rules.split is not None:
        entry["split"] = rules.split
    return entry


def _factor(rank: str, asked: FactorRange, default: FactorRange) -> list[str]:
    """Timeloop's limits; both where the default would hold for the one that is left out."""
    if asked.rest:
        return [f"{rank}=0"]
    if asked.fixed:
        return [f"{rank}={asked.least}"]
    low = asked.least > 1 or default.least > 1 or asked.most is None
    high = asked.most is not None or default.most is not None
    return [f"{rank}>={asked.least}"] * low + [f"{rank}<={asked.most or UNLIMITED}"] * high
