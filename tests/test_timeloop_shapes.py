"""The problem shapes that have a name: ranks, projections and operations of each."""

from __future__ import annotations

import pytest
from tilebound.errors import SpecError
from tilebound.loading import load_workload
from tilebound.spec.timeloop_shapes import SHAPES, stock_shape
from tilebound.workload.einsum import Einsum

EXTENTS = dict(zip("RSPQCKNGMHIJL", (2, 3, 5, 7, 11, 13, 17, 19, 4, 6, 8, 9, 10), strict=True))
#: By shape its ranks, and the axes of each data space, the result last.
EXPECTED = {
    "cnn_layer": ("RSPQCKN", {"Weights": "C K R S", "Inputs": "N C 3R+2P 5S+4Q", "Outputs": "N K Q P"}),
    "grouped_cnn_layer": ("RSPQCKNG", {"Weights": "C K R S G", "Inputs": "N C 3R+2P 5S+4Q G",
                                       "Outputs": "N K Q P G"}),
    "depthwise_cnn_layer": ("RSPQCN", {"Weights": "C R S", "Inputs": "N C 3R+2P 5S+4Q",
                                       "Outputs": "N C Q P"}),
    "pointwise_cnn_layer": ("PQCKN", {"Weights": "C K", "Inputs": "N C 2P 4Q", "Outputs": "N K Q P"}),
    "fc": ("CKN", {"Weights": "C K", "Inputs": "N C", "Outputs": "N K"}),
    "conv1d": ("RP", {"Weights": "R", "Inputs": "R+P", "Outputs": "P"}),
    "conv1d_oc": ("KRP", {"Weights": "K R", "Inputs": "R+P", "Outputs": "K P"}),
    "conv1d_oc_ic": ("CKRP", {"Weights": "C K R", "Inputs": "C R+P", "Outputs": "K P"}),
    "gemm": ("MNK", {"A": "M K", "B": "K N", "Z": "M N"}),
    "gemv": ("MK", {"A": "M K", "B": "K", "Z": "M"}),
    "batched_gemm": ("HMNK", {"A": "H M K", "B": "H K N", "Z": "H M N"}),
    "ttv": ("IJK", {"A": "I J K", "B": "K", "Z": "I J"}),
    "ttm": ("IJKL", {"A": "I J L", "B": "K L", "Z": "I J K"}),
    "ttmc": ("IJKLM", {"A": "I J K", "B": "J L", "C": "K M", "Z": "I L M"}),
    "mttkrp": ("IJKL", {"A": "I K L", "B": "K J", "C": "L J", "Z": "I J"}),
    "sddmm": ("IJK", {"A": "I J", "B": "I K", "C": "K J", "Z": "I J"})}
COEFFICIENTS = {"Wstride": 2, "Wdilation": 3, "Hstride": 4, "Hdilation": 5}


def layer(name: str) -> Einsum:
    ranks = EXPECTED[name][0]
    used = {c["name"] for c in SHAPES[name]["coefficients"]}
    instance = {**{rank: EXTENTS[rank] for rank in ranks},
                **{key: value for key, value in COEFFICIENTS.items() if key in used}}
    found, = load_workload({"shape": name, "instance": instance})
    return found


def axes(einsum: Einsum) -> dict[str, str]:
    """Every projection in the notation above."""
    def text(coefficient: int, rank: str) -> str:
        return rank if coefficient == 1 else f"{coefficient}{rank}"

    return {tensor.name: " ".join("+".join(text(term.coefficient, term.rank) for term in axis)
                                  for axis in tensor.projection) for tensor in einsum.tensors}


def test_all_shapes_are_here() -> None:
    assert set(SHAPES) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_projections(name: str) -> None:
    ranks, spaces = EXPECTED[name]
    einsum = layer(name)
    assert einsum.name == name and sorted(einsum.ranks) == sorted(ranks)
    assert axes(einsum) == spaces
    assert [t.name for t in einsum.tensors if t.is_output] == [list(spaces)[-1]]
    operations = 1
    for rank in ranks:
        operations *= EXTENTS[rank]
    assert einsum.macs == operations


@pytest.mark.parametrize(("written", "name"), [
    ("cnn-layer", "cnn_layer"), ("problem-shapes/cnn_layer.yaml", "cnn_layer"), ("Conv2D", "cnn_layer"),
    ("grouped-cnn-layer.yaml", "grouped_cnn_layer"), ("depthwise", "depthwise_cnn_layer"),
    ("conv1d+oc", "conv1d_oc"), ("conv1d+oc+ic.yml", "conv1d_oc_ic"), ("fully-connected", "fc"),
    ("matmul", "gemm"), ("MTTKRP", "mttkrp"), ("bmm", "batched_gemm")])
def test_other_spellings(written: str, name: str) -> None:
    assert stock_shape(written) == SHAPES[name]


def test_unknown_shapes() -> None:
    with pytest.raises(SpecError, match=r"shape 'mtkrp'; expected a mapping, or one .*mean 'mttkrp'"):
        load_workload({"shape": "mtkrp", "instance": {}})
