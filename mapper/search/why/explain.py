"""Why the mapping of a layer is the best, from the search that has found it."""

from __future__ import annotations

from ...bounds.programs.bound import energy_floor
from ...bounds.programs.relax import Relaxation
from ...bounds.programs.sensitivity import Sensitivity, sensitivities
from ...bounds.region import TRIVIAL, Region
from ...hardware.architecture import Architecture
from ...mapping.constraints import Constraints
from ...mapping.nest import Mapping
from ...mapping.parts import unfold
from ...workload.einsum import Einsum
from ..certificate import Certificate
from ..layer import LayerSearch
from ..space import Mapspace
from ..uneven.arranged import asked_of_parts, least_steps
from .explanation import Explanation, Worth
from .runners_up import runners_up
from .waterfall import waterfall


def explained(search: LayerSearch, mapping: Mapping, certificate: Certificate,
              closely: bool = False) -> Explanation:
    """What binds the class of `mapping`, what other classes lose, where the mapspace went and when what was
    found, in the objective of `search`, which has given the `certificate`; `closely`: see `runners_up`."""
    space, relaxation = search.space, search.relaxation
    region, root = class_of(space, mapping), search.trace.root
    return Explanation(
        *binding(relaxation, region, search.powers),
        runners_up(search, region, 0.0 if root is None else root.floor, certificate, closely),
        waterfall(space, root, certificate.value, certificate.evaluated), tuple(search.trace.moments))


def opened(architecture: Architecture, einsum: Einsum, constraints: Constraints,
           mapping: Mapping) -> tuple[Mapspace, Mapping]:
    """The mapspace that a mapping is cut level by level in: of the machine with a level for each of its
    blocks, where it is uneven; and the mapping there."""
    machine, parts = unfold(architecture, mapping)
    space = Mapspace(architecture, einsum, constraints)
    if machine is architecture:
        return space, parts
    order = [block.level for block in mapping]
    opened = Mapspace(machine, einsum, asked_of_parts(architecture, machine, order, constraints))
    opened.least_steps = least_steps(space)
    return opened, parts


def binding(relaxation: Relaxation, region: Region,
            powers: tuple[int, int]) -> tuple[float, tuple[Worth, ...]]:
    """The relaxed bound of a class, and what one more of each figure of the machine is worth in it."""
    floor = energy_floor(relaxation, region)[0] if min(powers) > 0 else 0.0
    bound, found = sensitivities(relaxation, region, *powers, floor)
    return bound, tuple(_worth(relaxation, x) for x in found if x.have > 1 or x.label.kind != "array")


def class_of(space: Mapspace, mapping: Mapping) -> Region:
    """The mappings that keep what `mapping` keeps and have the same innermost loops."""
    names = {t.name for t in space.einsum.tensors}
    keep = tuple(block.keep & names for block in mapping)
    inner = tuple(block.temporal[-1].rank if block.temporal else TRIVIAL for block in mapping)
    return Region(keep, inner[:-1])


def _worth(relaxation: Relaxation, x: Sensitivity) -> Worth:
    level = relaxation.scenario.architecture.levels[x.label.level]
    return Worth(level.name, f"{x.label.kind} {x.label.axes}".strip(), x.have, x.elasticity, x.marginal)
