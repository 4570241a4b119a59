"""Zeros as a trained tensor has them: pruned weights in a .npy file, against as many zeros at any places.

    python examples/measured_density.py [WEIGHTS.npy]     axes K, C, R, S

Pruning leaves some channels almost empty. So there are more groups of 16 weights without a non-zero than
chance would have, and a buffer that skips inputs which meet nothing else reads fewer of them, in less time.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tilebound as tb

#: 16 x 8 units below a buffer that skips inputs which meet no weights but zeros.
MACHINE = {
    "name": "skips", "technology": "45nm", "cycle": "2 ns", "word_bits": 8,
    "levels": [
        {"name": "DRAM", "class": "DRAM", "type": "LPDDR4", "width": 64},
        {"name": "GLB", "class": "SRAM", "size": "128 KiB", "width": 8, "fanout": {"x": 16, "y": 8},
         "skip": [{"target": "Inputs", "on": ["Weights"]}]}],
    "compute": {"name": "MAC", "class": "intmac"}}

NEST = """
DRAM
  for K in {k}
GLB
    for C in {c}
      for R in {r}
        for S in {s}
          for P in 14
            for Q in 2
              for Q in 7 (Spatial-Y)
                for K in 16 (Spatial-X)
"""


def pruned(path: Path) -> None:
    """Weights of 64 x 32 x 3 x 3, of which the smallest 70 % are zero; channels differ in size."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(64, 32, 3, 3)) * rng.lognormal(sigma=1.0, size=(1, 32, 1, 1))
    weights[np.abs(weights) < np.quantile(np.abs(weights), 0.7)] = 0.0
    np.save(path, weights)


def cost(shape: tuple[int, ...], density: dict[str, object]) -> tb.Cost:
    """What one mapping of the layer costs with weights of that density."""
    k, c, r, s = shape
    layer = tb.load_workload({"layers": [{
        "name": "conv", "type": "conv", "K": k, "C": c, "P": 14, "Q": 14, "R": r, "S": s,
        "densities": {"Weights": density}}]})["conv"]
    return tb.evaluate(MACHINE, layer, NEST.format(k=k // 16, c=c, r=r, s=s))


def main(path: str = "") -> tuple[tb.Cost, tb.Cost]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(path or f"{folder}/weights.npy").absolute()
        if not path:
            pruned(file)
        weights = np.load(file)
        share = float(np.count_nonzero(weights) / weights.size)
        measured = cost(weights.shape, {"model": "measured", "file": str(file)})
    anywhere = cost(weights.shape, {"model": "hypergeometric", "density": share})
    for name, found in (("as measured", measured), ("anywhere", anywhere)):
        reads = found.level("GLB").tensors["Inputs"].sparse.reads
        print(f"{share:.0%} non-zeros {name + ':':12} {reads.skipped / reads.algorithmic:5.1%} of the inputs "
              f"skipped, {found.cycles:,} cycles, {found.energy_pj / 1e6:.2f} uJ")
    return measured, anywhere


if __name__ == "__main__":
    main(*sys.argv[1:])
