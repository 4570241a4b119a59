"""CPU seconds until a search held a mapping within 5 % of the one that it ends with.

`python benchmarks/first_answer.py [unified|split] [free|kept] [energy|edp] [LAYER...]` prints a line for
each layer of `common_case.py`, `python benchmarks/first_answer.py ARCHITECTURE NETWORK [energy|edp]` for
each layer of a network, counted from when the search of the layer starts. Imports are done before that, by
a search of a layer that is none of these.
"""

from __future__ import annotations

import sys
from time import process_time
from typing import Iterator

import tilebound as tb
from tilebound.bounds.chains.costs import Keep
from tilebound.search.layer import LayerSearch
from tilebound.workload.einsum import Einsum

from common_case import LAYERS, REGISTERS, layer, machine

NEAR = 1.05


def cases(arguments: list[str]) -> Iterator[tuple[str, tb.Architecture, Einsum]]:
    """Name, machine and Einsum of what is searched."""
    if not arguments or arguments[0] in REGISTERS:
        registers, rules, _, *only = (*arguments, *("unified", "free", "edp")[len(arguments):])
        architecture = machine(registers, rules == "kept")
        for network, name, _, *sizes in LAYERS:
            if not only or any(x in f"{network}/{name}" for x in only):
                yield f"{network}/{name}", architecture, next(iter(layer(name, *sizes)))
        return
    architecture, graph = tb.load_architecture(arguments[0]), tb.load_workload(arguments[1])
    for names in graph.distinct().values():
        yield names[0], architecture, graph[names[0]]


def searched(architecture: tb.Architecture, einsum: Einsum,
             objective: str) -> tuple[float, float, float, int]:
    """CPU seconds until a near answer and in all, how far the first answer is off, and mappings evaluated
    until the near one."""
    start = process_time()
    held: list[tuple[float, float, int]] = []
    search = LayerSearch(architecture, einsum, objective)
    noted = search.trace.offered

    def offered(keep: Keep, value: float, evaluated: int, better: bool) -> None:
        noted(keep, value, evaluated, better)
        held.append((process_time() - start, search.trace.moments[-1].value, evaluated))

    search.trace.offered = offered          # type: ignore[method-assign]
    search.run()
    last = held[-1][1]
    seconds, _, evaluated = next(x for x in held if x[1] <= NEAR * last)
    return seconds, process_time() - start, held[0][1] / last, evaluated


def main(*arguments: str) -> None:
    objective = next((x for x in arguments if x in ("energy", "edp", "cycles")), "edp")
    searched(machine("unified", False), next(iter(layer("warm", 6, 6, 6, 3, 1))), objective)
    times = []
    for name, architecture, einsum in cases(list(arguments)):
        near, whole, first, evaluated = searched(architecture, einsum, objective)
        times.append(near)
        print(f"{name:24} within {NEAR - 1:.0%} after {near:5.2f} of {whole:6.2f} CPU s, "
              f"{evaluated:8,} mappings; the first was {first:.2f} times the last", flush=True)
    print(f"{sum(x <= 0.5 for x in times)} of {len(times)} within 0.5 s, the slowest {max(times):.2f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
