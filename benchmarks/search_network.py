"""How fast a network is mapped: `python benchmarks/search_network.py [ARCHITECTURE WORKLOAD [JOBS]]`.

Prints a line a layer, then CPU seconds and peak memory. The baseline is ZigZag as measured in
November 2026, which took 14 CPU seconds a conv layer on an Eyeriss-like machine and proved nothing.
"""

from __future__ import annotations

import resource
import sys
from time import process_time

BASELINE_SECONDS_A_LAYER = 14.0


def main(architecture: str = "eyeriss", workload: str = "alexnet", jobs: str = "1") -> None:
    import tilebound as tb

    start = process_time()
    result = tb.search(architecture, workload, jobs=int(jobs))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = process_time() - start + children.ru_utime + children.ru_stime
    searched = {id(layer.certificate): layer for layer in result.layers}.values()
    for layer in searched:
        proof = layer.certificate
        print(f"{layer.name:20} {proof.status:11} gap {proof.gap:8.2%}  {proof.seconds:6.2f} s  "
              f"{proof.bound_solves:4} programs  {proof.evaluated:9,} mappings evaluated")
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ratio = BASELINE_SECONDS_A_LAYER * len(searched) / seconds
    print(f"{len(searched)} distinct layers, {seconds:.1f} CPU s, {ratio:.1f}x the speed of the baseline; "
          f"peak memory of a process {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
