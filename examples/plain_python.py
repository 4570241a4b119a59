"""Without YAML: a machine, an Einsum and a mapping as Python values; cost it, then find the best one.

    python examples/plain_python.py
"""

from tilebound import (
    Architecture,
    Block,
    Compute,
    Einsum,
    Figure,
    Loop,
    Mapping,
    Storage,
    Tensor,
    Term,
    evaluate,
    search,
)


def same(pj: float) -> dict[str, Figure]:
    """One figure for every access, with its source."""
    return {action: Figure(pj, "assumed") for action in ("read", "fill", "update")}


#: Attention scores of 8 heads: S[h, m, n] += Q[h, m, k] * K[h, n, k].
SCORES = Einsum("scores", ("H", "M", "N", "E"), (8, 128, 128, 64), (
    Tensor("Q", ((Term("H"),), (Term("M"),), (Term("E"),))),
    Tensor("K", ((Term("H"),), (Term("N"),), (Term("E"),))),
    Tensor("S", ((Term("H"),), (Term("M"),), (Term("N"),)), is_output=True)))

MACHINE = Architecture("tile", (
    Storage("DRAM", energy=same(100.0)),
    Storage("Buffer", size_words=16384, energy=same(5.0)),
    Storage("Registers", mesh_x=16, mesh_y=4, size_words=64, energy=same(0.4))),
    Compute("MAC", mesh_x=16, mesh_y=4, energy={"compute": Figure(0.8, "assumed")}))

BY_HAND = Mapping((
    Block("DRAM", frozenset("QKS"), (Loop("H", 8), Loop("M", 4))),
    Block("Buffer", frozenset("QKS"), (Loop("N", 8), Loop("E", 16)), (Loop("N", 16),), (Loop("M", 4),)),
    Block("Registers", frozenset("QS"), (Loop("E", 4), Loop("M", 8)))))


def main() -> tuple[float, float]:
    given = evaluate(MACHINE, SCORES, BY_HAND)
    result = search(MACHINE, SCORES)
    found = result.layers[0]
    print(f"by hand: {given.energy_pj / 1e6:.1f} uJ, {given.cycles:,} cycles, bound by {given.bottleneck}")
    print(f"found:   {result.energy_pj / 1e6:.1f} uJ, {result.cycles:,} cycles, "
          f"gap {found.certificate.gap:.2%} ({found.certificate.status})")
    for block in found.mapping:
        loops = ", ".join(f"{loop.rank} {loop.factor}" for loop in block.loops)
        print(f"  {block.level:10} keeps {' '.join(sorted(block.keep)) or '-':6} loops {loops or '-'}")
    return given.edp, found.cost.edp


if __name__ == "__main__":
    main()
