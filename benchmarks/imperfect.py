"""What imperfect factors are worth: `python benchmarks/imperfect.py [ARCHITECTURE WORKLOAD [OBJECTIVE]]`.

Without arguments, GEMMs on a machine of two levels, for least energy, beside what AccelForge found in its
own terms (November 2026, measured on the same kind of machine): there each tensor may cut the loop nest at
its own place, which mappings here do not, and tiles that are cut off count as whole ones. With arguments,
every layer of a workload. CPU seconds are those of this process, its start included.
"""

from __future__ import annotations

import sys
from time import process_time

#: Extents, peer's energy in J with divisors and imperfect, peer's CPU seconds imperfect.
ROWS = (((1024, 1024, 1024), 0.0305094, 0.029645, 3.5), ((1021, 1021, 1021), 0.233512, 0.0293937, 3.9))
TWO_LEVEL = {"name": "two_level", "levels": [
    {"name": "DRAM", "energy": 200, "shared_bandwidth": 4},
    {"name": "GLB", "size": "32768 words", "energy": 6, "shared_bandwidth": 16}],
    "compute": {"name": "MAC", "energy": 1}}


def gemms() -> None:
    """Print the rows of the peer."""
    import tilebound as tb

    start = 0.0
    for extents, *peer, peer_seconds in ROWS:
        layer = dict(zip("MNK", extents, strict=True))
        for imperfect, theirs in zip((False, True), peer, strict=True):
            found, = tb.search(TWO_LEVEL, {"layers": [{"name": "gemm", "type": "matmul", **layer}]}, "energy",
                               imperfect=imperfect).layers
            joules, proof = found.cost.energy_pj * 1e-12, found.certificate
            potential = "".join(f", --{x.option} saves at most {x.share(proof.value):.1%}"
                                for x in proof.potential)
            seconds, start = process_time() - start, process_time()
            print(f"{'x'.join(map(str, extents))} {'imperfect' if imperfect else 'divisors':9}  "
                  f"{joules:.7f} J, peer {theirs:.7f} J, ratio {joules / theirs:.4f}; {seconds:.2f} CPU s"
                  f"{f', peer {peer_seconds}' if imperfect else ''}; gap {proof.gap:.2%}, {proof.status}"
                  f"{potential}", flush=True)


def layers(architecture: str, workload: str, objective: str = "edp") -> None:
    """Print what every layer gains."""
    import tilebound as tb

    machine, network = tb.load_architecture(architecture), tb.load_workload(workload)
    for name in [group[0] for group in network.distinct().values()]:
        results = []
        for imperfect in (False, True):
            start = process_time()
            found, = tb.search(machine, network[name], objective, imperfect=imperfect).layers
            results.append((found.certificate, process_time() - start))
        (whole, whole_seconds), (cut, seconds) = results
        bound = max((x.share(whole.value) for x in whole.potential), default=0.0)
        print(f"{name:10} {cut.value / whole.value:8.2%} of the {objective} with whole factors (could save "
              f"at most {bound:.1%}); gap {cut.gap:.2%}, {cut.status}; {seconds:.1f} CPU s, whole factors "
              f"{whole_seconds:.1f}", flush=True)


if __name__ == "__main__":
    layers(*sys.argv[1:]) if sys.argv[1:] else gemms()
