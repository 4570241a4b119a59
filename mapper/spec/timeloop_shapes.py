"""The problem shapes that a Timeloop problem may name instead of spelling out."""

from __future__ import annotations

from typing import Any

_STRIDES = ("Wstride", "Hstride", "Wdilation", "Hdilation")
_WINDOW = ([["R", "Wdilation"], ["P", "Wstride"]], [["S", "Hdilation"], ["Q", "Hstride"]])


def _shape(name: str, dimensions: str, weights: list[Any], inputs: list[Any], outputs: list[Any],
           coefficients: tuple[str, ...] = (),
           names: tuple[str, str, str] = ("Weights", "Inputs", "Outputs")) -> dict[str, Any]:
    """A shape of two operands and a result; axes are ranks, or sums of [rank] and [rank, coefficient]."""
    axes_of = zip(names, (weights, inputs, outputs), strict=True)
    spaces: list[dict[str, Any]] = [{"name": label, "projection": axes} for label, axes in axes_of]
    spaces[-1]["read_write"] = True
    return {"name": name, "dimensions": list(dimensions), "data_spaces": spaces,
            "coefficients": [{"name": coefficient, "default": 1} for coefficient in coefficients]}


#: By name, with underscores for hyphens.
SHAPES = {shape["name"]: shape for shape in (
    _shape("cnn_layer", "RSPQCKN", ["C", "K", "R", "S"], ["N", "C", *_WINDOW], ["N", "K", "Q", "P"],
           _STRIDES),
    _shape("grouped_cnn_layer", "RSPQCKNG", ["C", "K", "R", "S", "G"], ["N", "C", *_WINDOW, "G"],
           ["N", "K", "Q", "P", "G"], _STRIDES),
    _shape("depthwise_cnn_layer", "RSPQCN", ["C", "R", "S"], ["N", "C", *_WINDOW], ["N", "C", "Q", "P"],
           _STRIDES),
    _shape("conv1d", "RP", ["R"], [[["R"], ["P"]]], ["P"]),
    _shape("conv1d_oc", "KRP", ["K", "R"], [[["R"], ["P"]]], ["K", "P"]),
    _shape("conv1d_oc_ic", "CKRP", ["C", "K", "R"], ["C", [["R"], ["P"]]], ["K", "P"]),
    _shape("gemm", "MNK", ["M", "K"], ["K", "N"], ["M", "N"], names=("A", "B", "Z")))}
#: What a problem has that says nothing of its shape.
DEFAULT = "cnn_layer"


def stock_shape(name: str) -> dict[str, Any] | None:
    """The shape of a name such as `cnn-layer`, `cnn_layer.yaml` or `conv1d+oc`; None when unknown."""
    plain = name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
    return SHAPES.get(plain.lower().replace("-", "_").replace("+", "_"))
