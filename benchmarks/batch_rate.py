"""Mappings a second of the batch evaluator: AlexNet conv2 on an Eyeriss-like hierarchy, one core.

    python benchmarks/batch_rate.py [--mappings N]

Prints the rate over random valid mappings (the median of several runs, in CPU seconds of one core, so that
other work on the machine counts little), its ratio to what is asked for, its ratio to `evaluate` called
in a loop, and the most memory that was used.
"""

from __future__ import annotations

import argparse
import resource
from statistics import median
from time import process_time

import numpy as np
from tilebound.hardware.architecture import Architecture, Compute, Figure, Storage
from tilebound.mapping.template import Template, slot
from tilebound.model.batch import BatchEvaluator
from tilebound.model.evaluate import evaluate
from tilebound.workload.einsum import Einsum, Tensor, Term

WANTED = 1_000_000      # mappings a second and core
RUNS = 7
ACTIONS = ("read", "fill", "update")


def conv2() -> Einsum:
    """AlexNet conv2, batch 1 (one of two groups merged: 64 to 192 channels, 27 x 27, 5 x 5)."""
    def axis(*ranks: str) -> tuple[Term, ...]:
        return tuple(Term(rank) for rank in ranks)

    return Einsum("conv2", ("N", "K", "C", "P", "Q", "R", "S"), (1, 192, 64, 27, 27, 5, 5), (
        Tensor("Weights", (axis("K"), axis("C"), axis("R"), axis("S"))),
        Tensor("Inputs", (axis("N"), axis("C"), axis("P", "R"), axis("Q", "S"))),
        Tensor("Outputs", (axis("N"), axis("K"), axis("P"), axis("Q")), is_output=True)))


def eyeriss_like() -> Architecture:
    """DRAM, a buffer of 108 KiB, 14 x 12 units with 512 bytes each."""
    def energy(pj: float) -> dict[str, Figure]:
        return {action: Figure(pj, "benchmark") for action in ACTIONS}

    return Architecture("eyeriss-like", (
        Storage("DRAM", energy=energy(200.0), read_bandwidth=4.0, write_bandwidth=4.0),
        Storage("GLB", size_words=55296, energy=energy(6.0)),
        Storage("RF", 14, 12, size_words=256, energy=energy(1.0))),
        Compute("MAC", 14, 12, energy={"compute": Figure(1.0, "benchmark")}))


def divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def random_factors(architecture: Architecture, einsum: Einsum, count: int, seed: int) -> np.ndarray:
    """Factor arrays of shape (count, slots, ranks) whose rank products are right."""
    rng = np.random.default_rng(seed)
    levels = len(architecture.levels)
    factors = np.ones((count, 3 * levels, len(einsum.ranks)), dtype=np.int64)
    usable = [slot(i, "temporal") for i in range(levels)] + [
        slot(i, kind) for i in range(levels) for kind in ("x", "y") if architecture.fanout(i) != (1, 1)]
    for rank, extent in enumerate(einsum.extents):
        for prime in divisors(extent)[1:]:
            while prime > 1 and extent % prime == 0 and divisors(prime) == [1, prime]:
                factors[np.arange(count), rng.choice(usable, count), rank] *= prime
                extent //= prime
    return factors


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mappings", type=int, default=200_000)
    wanted = parser.parse_args().mappings
    architecture, einsum = eyeriss_like(), conv2()
    keep = (frozenset(t.name for t in einsum.tensors),) * 3
    template = Template(("DRAM", "GLB", "RF"), keep, (
        ("N", "K", "C", "P", "Q", "R", "S"), ("N", "C", "R", "S", "K", "P", "Q"),
        ("N", "K", "C", "P", "Q", "S", "R")))
    run = BatchEvaluator(architecture, einsum, template)
    found: list[np.ndarray] = []
    for seed in range(1000):
        drawn = random_factors(architecture, einsum, 50_000, seed)
        found.append(drawn[run(drawn).valid])
        if sum(map(len, found)) >= wanted:
            break
    factors = np.concatenate(found)[:wanted]

    seconds = []
    for _ in range(RUNS):
        start = process_time()
        cost = run(factors)
        seconds.append(process_time() - start)
    rate = len(factors) / median(seconds)
    start = process_time()
    sample = [evaluate(architecture, einsum, template.mapping(einsum, f)) for f in factors[:300]]
    single = len(sample) / (process_time() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert [x.cycles for x in sample] == cost.cycles[:len(sample)].tolist()
    print(f"{len(factors)} valid mappings: {rate:,.0f} mappings/s, {rate / WANTED:.2f} x the "
          f"{WANTED:,}/s that are wanted (best run {len(factors) / min(seconds):,.0f}, worst "
          f"{len(factors) / max(seconds):,.0f}), {rate / single:.0f} x evaluate in a loop ({single:,.0f}/s), "
          f"at most {memory:.2f} GB")


if __name__ == "__main__":
    main()
