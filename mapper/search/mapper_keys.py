"""The section `mapper` of Timeloop's inputs, as options of our search."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import Problem
from ..spec.fields import describe, whole
from ..spec.nodes import Node, Problems, did_you_mean, one_of

_METRICS = {"edp": "edp", "delay": "latency", "cycles": "latency", "latency": "latency", "energy": "energy",
            "ed2p": "ed2p"}
#: What Timeloop's mapper can make least besides; words moved are no objective here.
_ACCESSES = re.compile(r"last[-_]level[-_]accesses|ordered[-_]accesses|accesses([-_]\d+)?")
_METRIC_KEYS = ("optimization_metric", "optimization_metrics")
#: What stops Timeloop's mapper, which does not know how good its best is.
_EFFORT = ("timeout", "victory_condition", "search_size", "sync_interval", "max_permutations_per_if_visit",
           "max_temporal_loops_in_a_mapping", "filter_revisits", "penalize_consecutive_bypass_fails",
           "algorithm")
_SILENT = ("version", "live_status", "diagnostics", "out_prefix", "emit_whoop_nest", "mapper")
_KEYS = (*_METRIC_KEYS, "num_threads", *_EFFORT, *_SILENT)
_WHY = "the search goes on until its result is proven, or to --gap or --time-limit"


@dataclass(frozen=True)
class MapperOptions:
    """`objective` and `jobs` where they are given; `warnings` about what counts for nothing."""

    objective: str | None = None
    jobs: int | None = None
    warnings: tuple[Problem, ...] = ()


class _Warnings:
    """Warnings with their places."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def warn(self, at: Node, message: str) -> None:
        self.found.append(Problem(at.file, at.line, at.column, message, "warning"))


def read_mapper(node: Node | None, problems: Problems) -> MapperOptions:
    """Options from the value of the key `mapper`. Timeloop's keys that have no meaning here are warned of;
    faults, such as keys that it does not know either, go to `problems`."""
    objective, jobs, warnings = None, None, _Warnings()
    if node is not None and not node.is_map:
        problems.error(node, f"mapper is {describe(node)}; expected a mapping")
    for written, value in node.items() if node is not None else ():
        key, place = written.replace("-", "_"), node.key(written) if node is not None else value
        if key in _METRIC_KEYS:
            objective = _objective(value, problems, warnings)
        elif key == "num_threads":
            jobs = whole(value)
            if jobs is None or jobs < 1:
                problems.error(value, f"num_threads is {describe(value)}; expected a whole number, 1 or more")
        elif key in _EFFORT:
            warnings.warn(place, f"{written} is not used: {_WHY}")
        elif key not in _SILENT and not key.startswith("log_"):
            problems.error(place, f"unknown key {written!r} in mapper; expected {one_of(_KEYS, 30)}"
                           f"{did_you_mean(key, _KEYS)}")
    return MapperOptions(objective, jobs, tuple(warnings.found))


def _objective(node: Node, problems: Problems, warnings: _Warnings) -> str | None:
    """The objective of the metrics that are objectives: the first, and among mappings that are equal in it
    the next. Mappings that are equal in two are equal in all."""
    chosen: list[str] = []
    for metric in node if node.is_list else (node,):
        name = str(metric.value)
        own = _METRICS.get(name.lower())
        if own is None and _ACCESSES.fullmatch(name):
            warnings.warn(metric, f"metric {name!r} is not used: words moved are no objective here; expected "
                          f"{one_of(_METRICS)}")
        elif own is None:
            problems.error(metric, f"unknown metric {name!r}; expected {one_of(_METRICS)}"
                           f"{did_you_mean(name, _METRICS)}")
        elif own in chosen or len(chosen) == 2:
            warnings.warn(metric, f"metric {name!r} is not used: mappings that are equal in "
                          f"{' and '.join(chosen)} are equal in it")
        else:
            chosen.append(own)
    return ",".join(chosen) or None
