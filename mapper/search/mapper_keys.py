"""The section `mapper` of Timeloop's inputs, as options of our search."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Problem
from ..spec.fields import whole
from ..spec.nodes import Node

_METRICS = {"edp": "edp", "delay": "latency", "cycles": "latency", "latency": "latency", "energy": "energy",
            "ed2p": "ed2p"}
#: What stops Timeloop's mapper, which does not know how good its best is.
_EFFORT = ("timeout", "victory_condition", "search_size", "sync_interval", "max_permutations_per_if_visit",
           "max_temporal_loops_in_a_mapping", "filter_revisits", "algorithm")
_SILENT = ("version", "live_status", "diagnostics", "out_prefix", "emit_whoop_nest", "mapper")
_WHY = "the search goes on until its result is proven, or to --gap or --time-limit"


@dataclass(frozen=True)
class MapperOptions:
    """`objective` and `jobs` where they are given; `warnings` about what counts for nothing."""

    objective: str | None = None
    jobs: int | None = None
    warnings: tuple[Problem, ...] = ()


def read_mapper(node: Node | None) -> MapperOptions:
    """Options from the value of the key `mapper`; everything without a meaning here is warned of."""
    objective, jobs, warnings = None, None, []

    def warn(at: Node, message: str) -> None:
        warnings.append(Problem(at.file, at.line, at.column, message, "warning"))

    for written, value in node.items() if node is not None else ():
        key = written.replace("-", "_")
        if key in ("optimization_metric", "optimization_metrics"):
            metrics = list(value) if value.is_list else [value]
            objective = next((_METRICS[str(m.value)] for m in metrics[:1] if str(m.value) in _METRICS), None)
            for metric in metrics[1:] if objective else metrics:
                warn(metric, f"metric {metric.value!r} is not used; only the first one counts, of "
                     f"{', '.join(_METRICS)}")
        elif key == "num_threads":
            jobs = whole(value)
            if jobs is None or jobs < 1:
                warn(value, f"num_threads {value.value!r} is not used; expected a whole number, 1 or more")
                jobs = None
        elif key in _EFFORT:
            warn(value, f"{written} is not used: {_WHY}")
        elif key not in _SILENT and not key.startswith("log_"):
            warn(value, f"{written} is not used: it has no meaning for this search")
    return MapperOptions(objective, jobs, tuple(warnings))
