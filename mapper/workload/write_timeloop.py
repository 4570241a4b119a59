"""`Einsum` to Timeloop's problem, such that reading it back gives an equal one."""

from __future__ import annotations

from typing import Any

from ..errors import Problem, SpecError
from .einsum import Einsum


def einsum_to_timeloop(einsum: Einsum) -> dict[str, Any]:
    """The value of the key `problem`: the shape and its instance.

    Raises SpecError for a density that Timeloop has no distribution for.
    """
    values = sorted({term.coefficient for tensor in einsum.tensors for axis in tensor.projection
                     for term in axis if term.coefficient != 1})
    names = {value: _coefficient(value) for value in values}
    spaces = []
    for tensor in einsum.tensors:
        axes = [[[t.rank] if t.coefficient == 1 else [t.rank, names[t.coefficient]] for t in axis]
                for axis in tensor.projection]
        spaces.append({"name": tensor.name, "projection": axes,
                       **({"read_write": True} if tensor.is_output else {})})
    flatten = [{"name": x.rank, "dimensions": [name for name, _ in x.parts]} for x in einsum.flattened]
    return {"version": "0.4",
            "shape": {"name": einsum.name, "dimensions": list(einsum.point_extent),
                      "coefficients": [{"name": name, "default": value} for value, name in names.items()],
                      "data_spaces": spaces, **({"flatten": flatten} if flatten else {})},
            "instance": {**einsum.point_extent, **{name: value for value, name in names.items()},
                         **_densities(einsum)}}


def _densities(einsum: Einsum) -> dict[str, Any]:
    sparse = {tensor.name: tensor.density for tensor in einsum.tensors if tensor.density is not None}
    if not sparse:
        return {}
    from .density.parse import density_to_timeloop

    found, problems = {}, []
    for name, density in sparse.items():
        try:
            found[name] = density_to_timeloop(density, einsum.tensor_shape(name))
        except ValueError as error:
            problems.append(Problem(einsum.name, 0, 0, f"tensor {name}: {error}"))
    if problems:
        raise SpecError(problems)
    return {"densities": found}


def _coefficient(value: int) -> str:
    return f"minus{-value}" if value < 0 else f"times{value}"
