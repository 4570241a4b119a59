"""The densities of a Timeloop problem in native words."""

from __future__ import annotations

from typing import Sequence

from .fields import Record, describe
from .nodes import Node, Problems, did_you_mean, one_of

#: Native model of each distribution, with its parameters under their native names.
_MODELS = {"fixed_structured": ("fixed_structured", {"density": "density"}),
           "hypergeometric": ("hypergeometric", {"density": "density"}),
           "banded": ("banded", {"band_width": "half_width"})}
_SYNONYMS = {"fixed": "fixed_structured"}
#: Parameters that Timeloop writes out for every distribution.
_ALL = ("distribution", "density", "band_width", "workload_tensor_size")


def lower_densities(instance: Node, tensors: Sequence[str], problems: Problems) -> dict[str, Node]:
    """The native density of each of the `tensors` that has one in `instance`, the instance of a problem.

    A `commonDensity` holds for all of them, whatever `densities` says.
    """
    common = instance.get("commonDensity") or instance.get("common_density")
    each = instance.get("densities")
    if common is not None:
        if each is not None:
            problems.note(each, "densities do not count beside a commonDensity, as in Timeloop")
        density = lower_density(common, problems)
        return {} if density is None else dict.fromkeys(tensors, density)
    if each is None or each.value is None:
        return {}
    if not each.is_map:
        problems.error(each, f"densities is {describe(each)}; expected a mapping from tensors to densities")
    found = {}
    for name, node in each.items():
        if name not in tensors:
            problems.error(each.key(name), f"density of an unknown tensor {name!r}; expected "
                           f"{one_of(tensors)}{did_you_mean(name, tensors)}")
        elif (density := lower_density(node, problems)) is not None:
            found[name] = density
    return found


def lower_density(node: Node, problems: Problems) -> Node | None:
    """One density in native words: a number, or a mapping with the key `distribution`."""
    if not node.is_map:
        return node                              # a number, or what the native reader will complain of
    record = Record(node, problems, "density", _ALL)
    if not record.require("distribution"):
        return None
    written = record.text("distribution", "").replace("-", "_")
    name = _SYNONYMS.get(written, written)
    if name not in _MODELS:
        record.fault("distribution", f"unknown distribution {written!r}; expected {one_of(_MODELS)}"
                     f"{did_you_mean(name, _MODELS)}")
        return None
    model, parameters = _MODELS[name]
    if not record.require(*parameters):
        return None
    return node.at({"model": node["distribution"].at(model),
                    **{native: node[given] for given, native in parameters.items()}})
