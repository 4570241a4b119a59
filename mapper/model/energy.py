"""Energy of the accesses of one level, pJ."""

from __future__ import annotations

from fractions import Fraction

from ..hardware.architecture import Architecture, Compute, Storage
from .traffic import Accesses


def action_energy(component: Storage | Compute, action: str) -> float:
    """pJ of one `action` of `component`; ValueError when it is not known (never a silent zero)."""
    figure = component.energy.get(action)
    if figure is None:
        raise ValueError(f"{component.name}: no energy is known for the action {action!r}; "
                         f"known: {', '.join(sorted(component.energy)) or 'none'}")
    return figure.value


def actions(is_output: bool, outermost: bool) -> tuple[str, ...]:
    """The actions that a tensor needs at a level; `outermost`: the level keeps the whole of it."""
    return ("read",) + ("fill",) * (not outermost) + ("update",) * is_output


def clusters(level: Storage, utilized: float, share: Fraction = Fraction(1)) -> float:
    """Physical accesses that happen at once when `utilized` instances of `level` are at work: the
    instances of a cluster share one. Where they are a `share` of those that ever are, Timeloop takes
    that share of the clusters of all of these."""
    most = max(level.instances // level.cluster_size, 1)
    if share == 1:
        return min(utilized, most)
    return float(min(Fraction(utilized) / share, Fraction(most)) * share)


def access_energy(level: Storage, x: Accesses, is_output: bool, outermost: bool,
                  at_once: float) -> float:
    """pJ that the accesses `x` of one tensor cost, of which so many happen `at_once` (see `clusters`).

    A physical access moves a block of words; the last block of the run may be part empty.
    """
    counts = {"read": x.reads, "fill": x.fills, "update": x.updates}
    energy = sum(blocks(counts[action], level.block_words) * action_energy(level, action)
                 for action in actions(is_output, outermost))
    return energy * at_once


def blocks(words: float, size: int) -> float:
    """Physical accesses that move `words`. An average of single words need not be a whole number."""
    return words if size == 1 else -(-words // size)


def address_energy(level: Storage, x: Accesses, at_once: float) -> float:
    """pJ of the addresses of the accesses `x` of one tensor, of which so many happen `at_once`."""
    return address_price(level) * x.address_generations * at_once


def address_price(level: Storage) -> float:
    """pJ of one address; 0 where none is declared."""
    figure = level.energy.get("address")
    return 0.0 if figure is None else figure.value


def gate(architecture: Architecture, index: int) -> tuple[int, int]:
    """Level whose instances switch those of storage level `index` on and off (one past the last
    for the compute units), and how many each of them switches."""
    level = architecture.levels[index]
    if level.power_gated_at is None:
        return index, 1
    parts: list[Storage | Compute] = [*architecture.levels, architecture.compute]
    switch = next(i for i, part in enumerate(parts) if part.name == level.power_gated_at)
    return switch, max(level.instances // parts[switch].instances, 1)


def leakage_energy(level: Storage, cycles: int, powered: float) -> float:
    """pJ that the `powered` instances leak in `cycles`; the others are off."""
    return leakage_per_cycle(level) * cycles * powered


def leakage_per_cycle(level: Storage) -> float:
    """pJ that one instance leaks in a cycle; 0 where no leakage is declared."""
    figure = level.energy.get("leak")
    return 0.0 if figure is None else figure.value
