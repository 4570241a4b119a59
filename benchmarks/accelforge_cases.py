"""Layers that AccelForge was measured on, in November 2026: `benchmarks/accelforge_cases.py [CASE ...]`.

Prints for each case the value, the peer's, the ratio of the two, the gap that is proved, the status, and CPU
seconds beside the peer's; once for mappings that cut the loop nest level by level, and once with `--uneven`,
which lets each tensor cut it at a place of its own, as that peer does.

Its rules are those of this model where they are said: 16-bit words, read and write of a word cost the same,
the first read of a partial sum is free, so are multicast and sums in the array; reads and writes of a level
share a port.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from time import process_time
from typing import Any

MHZ = 200
DRAM = {"name": "DRAM", "class": "DRAM", "energy": 200, "shared_bandwidth": 4}


def _level(name: str, words: int, energy: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "size": f"{words} words", "energy": energy, **more}


def _machine(name: str, *levels: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "levels": list(levels), "compute": {"name": "MAC", "energy": 1},
            "cycle": f"{MHZ} MHz"}


def _eyeriss(x: list[str] | None = None, y: list[str] | None = None) -> dict[str, Any]:
    """Constrained where the ranks along x and y are given: weights then bypass the buffer."""
    only = {"bypass": ["Weights"]} if x else {}
    fanout: dict[str, Any] = {"x": 14, "y": 12, **({"x_ranks": x, "y_ranks": y} if x else {})}
    tensors = ("Inputs", "Weights", "Outputs")
    pads = [_level(f"{t[0]}RF", words, 1, keep=[t], bypass=[o for o in tensors if o != t])
            for t, words in zip(tensors, (12, 224, 24), strict=True)]
    glb = _level("GLB", 110592 // 2, 6, shared_bandwidth=16, fanout=fanout, **only)
    return _machine("eyeriss_constrained" if only else "eyeriss", DRAM, glb, *pads)


ARCHITECTURES = {
    "two_level": _machine("two_level", DRAM, _level("GLB", 65536 // 2, 6, shared_bandwidth=16)),
    "three_level": _machine("three_level", DRAM, _level(
        "GLB", 131072 // 2, 6, shared_bandwidth=16, fanout={"x": 16, "y": 16}), _level("SPAD", 512 // 2, 1)),
    "eyeriss": _eyeriss(),
    "eyeriss_constrained": _eyeriss(["N", "P", "Q"], ["C", "R", "S"]),
}


def _gemm(n: int) -> dict[str, Any]:
    return {"type": "matmul", "M": n, "N": n, "K": n}


def _conv(k: int, c: int, p: int, r: int, stride: int = 1) -> dict[str, Any]:
    return {"type": "conv", "K": k, "C": c, "P": p, "Q": p, "R": r, "S": r, "stride": stride}


@dataclass(frozen=True)
class Case:
    """A layer on a machine, what the peer found (J, J s or cycles; None: nothing) and its CPU seconds."""

    architecture: str
    layer: dict[str, Any]
    objective: str
    peer: float | None
    seconds: float


CASES = {
    "gemm1024_2": Case("two_level", _gemm(1024), "energy", 0.0305094, 2.5),
    "gemm1024_3": Case("three_level", _gemm(1024), "energy", 5.22191e-3, 30),
    "gemm1024_3_edp": Case("three_level", _gemm(1024), "edp", 1.0951e-4, 59),
    "gemm1024_3_latency": Case("three_level", _gemm(1024), "latency", 4194304, 41),
    "alexnet_conv1": Case("eyeriss_constrained", _conv(96, 3, 55, 11, 4), "energy", 0.00266553, 51),
    "alexnet_conv3": Case("eyeriss_constrained", _conv(384, 256, 13, 3), "energy", 0.00326083, 40),
    "alexnet_conv3_free": Case("eyeriss", _conv(384, 256, 13, 3), "energy", None, 403),
    "resnet18_layer1": Case("eyeriss_constrained", _conv(64, 64, 56, 3), "energy", 0.000999465, 85),
    "vgg16_conv3_2": Case("eyeriss_constrained", _conv(256, 256, 56, 3), "energy", 0.015031, 70),
    "resnet18_layer4_down": Case("eyeriss", _conv(512, 256, 7, 1, 2), "energy", 7.86107e-05, 85),
}


def run(name: str, uneven: bool) -> None:
    """Search one case and print a line."""
    import tilebound as tb

    case = CASES[name]
    start = process_time()
    result = tb.search({"architecture": ARCHITECTURES[case.architecture]},
                       {"workload": {"name": name, "layers": [{"name": name, **case.layer}]}},
                       case.objective, **({"uneven": True} if uneven else {}))
    seconds = process_time() - start
    (layer,) = result.layers
    proof = layer.certificate
    value = {"energy": proof.value * 1e-12, "latency": proof.value,
             "edp": proof.value * 1e-12 / (MHZ * 1e6)}[case.objective]
    ratio = f"{value / case.peer:9.5f}" if case.peer else "        -"
    print(f"{name:21} {'uneven' if uneven else 'even':6} {value:12.6g} {case.peer or '-':>12} {ratio} "
          f"gap {proof.gap:7.3%} {proof.status:11} {seconds:6.1f} s (peer {case.seconds:g} s)  "
          f"{layer.cost.energy_pj * 1e-12:.6g} J in {layer.cost.cycles} cycles", flush=True)


def main(*names: str) -> None:
    for name in names or CASES:
        for uneven in (False, True):
            run(name, uneven)


if __name__ == "__main__":
    main(*sys.argv[1:])
