"""The problem shapes that a Timeloop problem may name instead of spelling out."""

from __future__ import annotations

from typing import Any

_STRIDES = ("Wstride", "Hstride", "Wdilation", "Hdilation")
_WINDOW = ([["R", "Wdilation"], ["P", "Wstride"]], [["S", "Hdilation"], ["Q", "Hstride"]])


def _shape(name: str, dimensions: str, weights: list[Any], inputs: list[Any], outputs: list[Any],
           coefficients: tuple[str, ...] = ()) -> dict[str, Any]:
    """A layer of a network; axes are ranks, or sums of [rank] and [rank, coefficient]."""
    return _named(name, dimensions, {"Weights": weights, "Inputs": inputs, "Outputs": outputs}, coefficients)


def _algebra(name: str, dimensions: str, result: str, **operands: str) -> dict[str, Any]:
    """A product of tensors with a letter an axis, summed over the ranks that the result Z has not."""
    return _named(name, dimensions, {label: list(axes) for label, axes in [*operands.items(), ("Z", result)]})


def _named(name: str, dimensions: str, spaces: dict[str, list[Any]],
           coefficients: tuple[str, ...] = ()) -> dict[str, Any]:
    """A shape whose last data space is the result."""
    found: list[dict[str, Any]] = [{"name": label, "projection": axes} for label, axes in spaces.items()]
    found[-1]["read_write"] = True
    return {"name": name, "dimensions": list(dimensions), "data_spaces": found,
            "coefficients": [{"name": coefficient, "default": 1} for coefficient in coefficients]}


#: By name, with underscores for hyphens.
SHAPES = {shape["name"]: shape for shape in (
    _shape("cnn_layer", "RSPQCKN", ["C", "K", "R", "S"], ["N", "C", *_WINDOW], ["N", "K", "Q", "P"],
           _STRIDES),
    _shape("grouped_cnn_layer", "RSPQCKNG", ["C", "K", "R", "S", "G"], ["N", "C", *_WINDOW, "G"],
           ["N", "K", "Q", "P", "G"], _STRIDES),
    _shape("depthwise_cnn_layer", "RSPQCN", ["C", "R", "S"], ["N", "C", *_WINDOW], ["N", "C", "Q", "P"],
           _STRIDES),
    _shape("pointwise_cnn_layer", "PQCKN", ["C", "K"], ["N", "C", [["P", "Wstride"]], [["Q", "Hstride"]]],
           ["N", "K", "Q", "P"], _STRIDES[:2]),
    _shape("fc", "CKN", ["C", "K"], ["N", "C"], ["N", "K"]),
    _shape("conv1d", "RP", ["R"], [[["R"], ["P"]]], ["P"]),
    _shape("conv1d_oc", "KRP", ["K", "R"], [[["R"], ["P"]]], ["K", "P"]),
    _shape("conv1d_oc_ic", "CKRP", ["C", "K", "R"], ["C", [["R"], ["P"]]], ["K", "P"]),
    _algebra("gemm", "MNK", A="MK", B="KN", result="MN"),
    _algebra("gemv", "MK", A="MK", B="K", result="M"),
    _algebra("batched_gemm", "HMNK", A="HMK", B="HKN", result="HMN"),
    _algebra("ttv", "IJK", A="IJK", B="K", result="IJ"),
    _algebra("ttm", "IJKL", A="IJL", B="KL", result="IJK"),
    _algebra("ttmc", "IJKLM", A="IJK", B="JL", C="KM", result="ILM"),
    _algebra("mttkrp", "IJKL", A="IKL", B="KJ", C="LJ", result="IJ"),
    _algebra("sddmm", "IJK", A="IJ", B="IK", C="KJ", result="IJ"))}
#: Other names that people use.
_ALSO = {"conv2d": "cnn_layer", "conv_layer": "cnn_layer", "grouped_conv2d": "grouped_cnn_layer",
         "depthwise_conv2d": "depthwise_cnn_layer", "depthwise": "depthwise_cnn_layer",
         "pointwise": "pointwise_cnn_layer", "fully_connected": "fc", "fc_layer": "fc", "linear": "fc",
         "matmul": "gemm", "mm": "gemm", "mv": "gemv", "bmm": "batched_gemm"}
#: What a problem has that says nothing of its shape.
DEFAULT = "cnn_layer"


def stock_shape(name: str) -> dict[str, Any] | None:
    """The shape of a name such as `cnn-layer`, `cnn_layer.yaml` or `conv1d+oc`; None when unknown."""
    plain = name.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml")
    plain = plain.lower().replace("-", "_").replace("+", "_")
    return SHAPES.get(_ALSO.get(plain, plain))
