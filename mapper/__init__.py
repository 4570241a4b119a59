"""Mapper and energy estimator for DNN accelerators: exact costs, and mappings with a proven gap.

>>> import tilebound as tb
>>> architecture, network = tb.load_architecture("eyeriss"), tb.load_workload("alexnet")
>>> architecture.levels[1].name, network["conv1"].macs
('GLB', 70276800)

`search(architecture, network)` finds mappings, `evaluate(architecture, einsum, mapping)` costs a
given one. Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# The public name `search` is a function, and the folder `search/` has the same one. Importing a
# folder binds its name here, once; doing so now and unbinding it leaves the name to the function.
from . import search as _search_room  # noqa: F401

del search  # noqa: F821

if TYPE_CHECKING:
    from .api import Result, evaluate, load_result, search
    from .energy import Component, EnergyTable, Estimate, Parameter, register_component
    from .errors import InfeasibleError, MappingError, Problem, SpecError, TileboundError
    from .hardware.architecture import Architecture, Compute, Figure, Network, Storage
    from .loading import library_names, load_architecture, load_workload
    from .mapping.constraints import Constraints
    from .mapping.nest import Block, Loop, Mapping
    from .model.cost import Cost, LevelCost, NetworkCost, TensorCost, TransferCost
    from .model.options import Options
    from .search.certificate import Certificate
    from .search.progress import ProgressEvent
    from .search.result import LayerResult
    from .workload.einsum import Einsum, Tensor, Term
    from .workload.graph import WorkloadGraph

#: Where each public name lives.
_HOMES = {
    ".api": ("Result", "evaluate", "load_result", "search"),
    ".energy": ("Component", "EnergyTable", "Estimate", "Parameter", "register_component"),
    ".errors": ("InfeasibleError", "MappingError", "Problem", "SpecError", "TileboundError"),
    ".hardware.architecture": ("Architecture", "Compute", "Figure", "Network", "Storage"),
    ".loading": ("library_names", "load_architecture", "load_workload"),
    ".mapping.constraints": ("Constraints",),
    ".mapping.nest": ("Block", "Loop", "Mapping"),
    ".model.cost": ("Cost", "LevelCost", "NetworkCost", "TensorCost", "TransferCost"),
    ".model.options": ("Options",),
    ".search.progress": ("ProgressEvent",),
    ".search.result": ("Certificate", "LayerResult"),
    ".workload.einsum": ("Einsum", "Tensor", "Term"),
    ".workload.graph": ("WorkloadGraph",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  (grouped as above)
    "Result", "evaluate", "library_names", "load_architecture", "load_result", "load_workload", "search",
    "Component", "EnergyTable", "Estimate", "Parameter", "register_component",
    "InfeasibleError", "MappingError", "Problem", "SpecError", "TileboundError",
    "Architecture", "Compute", "Figure", "Network", "Storage",
    "Block", "Constraints", "Loop", "Mapping",
    "Cost", "LevelCost", "NetworkCost", "Options", "TensorCost", "TransferCost",
    "ProgressEvent",
    "Certificate", "LayerResult",
    "Einsum", "Tensor", "Term",
    "WorkloadGraph",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("tilebound")
    elif name in _HOME:
        value = getattr(import_module(_HOME[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
