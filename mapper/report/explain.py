"""`Explanation` to the result document and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Iterator, cast

from ..search.trace import Moment
from ..search.why.explanation import Drop, Explanation, RunnerUp, Worth
from .schema_explain import CyclesPart, EnergyPart, ExplainEntry
from .views import COMPUTE, LEAKAGE

if TYPE_CHECKING:
    from .schema import LayerEntry


def explain_entry(layer: LayerEntry, x: Explanation) -> ExplainEntry:
    """What the document says of why the mapping of `layer` is the best."""
    return cast(ExplainEntry, {
        "energy": sorted(energy_parts(layer), key=lambda part: -part["energy_pj"]),
        "cycles": sorted(_cycles(layer), key=lambda part: -part["cycles"]),
        "relaxed_bound": x.bound,
        "sensitivities": [asdict(worth) for worth in x.worths],
        "runners_up": [{"choice": r.choice, "fits": r.fits, "at_least": r.at_least, "found": r.found}
                       for r in x.runners_up],
        "waterfall": [asdict(drop) for drop in x.drops],
        "progress": [asdict(moment) for moment in x.moments]})


def explanation(entry: ExplainEntry) -> Explanation:
    """The inverse of `explain_entry`."""
    def all_of(kind: Any, entries: Any) -> tuple[Any, ...]:
        return tuple(kind(**own) for own in entries)

    return Explanation(entry["relaxed_bound"], all_of(Worth, entry["sensitivities"]),
                       all_of(RunnerUp, entry["runners_up"]), all_of(Drop, entry["waterfall"]),
                       all_of(Moment, entry["progress"]))


def energy_parts(layer: LayerEntry) -> Iterator[EnergyPart]:
    """What the energy of a layer goes to, by level (or network) and tensor."""
    whole = layer["energy_pj"] or 1.0

    def part(level: str, tensor: str, energy: float) -> EnergyPart:
        return {"level": level, "tensor": tensor, "energy_pj": energy, "share": energy / whole}

    for level in layer["levels"]:
        for name, tensor in level["tensors"].items():
            yield part(level["name"], name, tensor["energy_pj"])
        if level["leakage_pj"]:
            yield part(level["name"], LEAKAGE, level["leakage_pj"])
    unit = layer["levels"][-1]
    yield part(unit["name"], COMPUTE, unit["energy_pj"] - unit["leakage_pj"])
    for network in layer["networks"]:
        for name, transfer in network["tensors"].items():
            if transfer["energy_pj"]:
                yield part(network["name"], name, transfer["energy_pj"])


def _cycles(layer: LayerEntry) -> Iterator[CyclesPart]:
    for level in layer["levels"]:
        share = level["cycles"] / (layer["cycles"] or 1)
        yield {"level": level["name"], "cycles": level["cycles"], "share": share}
