"""What zeros cost a search: `python benchmarks/search_sparse.py [ARCHITECTURE WORKLOAD [OBJECTIVE [GAP]]]`.

Every layer is mapped twice in this process, onto the machine and onto the same one that does nothing about
zeros. Prints CPU seconds, gaps and statuses of both, what zeros save, and the ratio of the seconds; the
bar is 2.
"""

from __future__ import annotations

import sys
from time import process_time


def main(architecture: str = "eyeriss_sparse", workload: str = "alexnet_sparse",
         objective: str = "edp", gap: str = "0") -> None:
    import tilebound as tb

    machine, network = tb.load_architecture(architecture), tb.load_workload(workload)
    spent = [0.0, 0.0]
    names = [layers[0] for layers in network.distinct().values()]
    for name in names:
        results = []
        for which, target in enumerate((machine, machine.without_zeros())):
            start = process_time()
            found = tb.search(target, network[name], objective=objective, gap=float(gap))
            results.append(found.layers[0])
            seconds = process_time() - start
            spent[which] += seconds
            proof = results[-1].certificate
            print(f"{name:16} {('zeros', 'dense')[which]}  {seconds:6.1f} CPU s  "
                  f"gap {proof.gap:9.4%}  {proof.status}", flush=True)
        sparse, dense = (x.cost for x in results)
        print(f"{'':16} energy {sparse.energy_pj / dense.energy_pj:7.1%} of dense, "
              f"cycles {sparse.cycles / dense.cycles:7.1%}", flush=True)
    print(f"{len(names)} distinct layers: {spent[0]:.1f} CPU s with zeros, {spent[1]:.1f} dense, "
          f"ratio {spent[0] / spent[1]:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
