"""Why the mapping of a layer is the best, as facts, tables and charts of the text and the HTML report."""

from __future__ import annotations

from typing import Iterator, Sequence

from . import units
from .chart import Chart, stacked
from .curve import Curve, logarithmic, steps
from .schema import LayerEntry, ResultDocument
from .schema_explain import DropEntry, ExplainEntry, RunnerUpEntry, SensitivityEntry
from .tables import Table

_FIGURES = {"capacity": "words", "read_bandwidth": "read words / cycle",
            "write_bandwidth": "write words / cycle", "shared_bandwidth": "words / cycle",
            "array x": "instances along X", "array y": "instances along Y"}
#: Elasticities below count as none, percent for one percent.
_BINDS = 0.0005
_PARTS = 8          # rows of the table of what dominates
_CLASSES = 10       # and of that of runner-up classes
#: One more of a figure of which there is less is not a small change.
_FEW = 8
#: Classes that lose more are not drawn: others could not be told apart.
_FAR = 2.0
#: Losses below are as good as none, from here on they are said as factors.
_TELLS, _TIMES = 1e-4, 10.0
_ACCENT, _PALE, _WARM = "#0072b2", "#9cc6e0", "#d55e00"


def facts(layer: LayerEntry) -> list[tuple[str, str]]:
    """The answer in a few lines, as (name, text); empty where there is no explanation."""
    why = layer.get("explain")
    if why is None:
        return []
    parts = [f"{x['tensor']} at {x['level']} {units.percent(x['share'])}" for x in why["energy"][:3]]
    binding = [f"{_figure(x)} ({_elasticity(x)})" for x in _binding(why)[:3]]
    rows = [("dominates", ", ".join(parts)),
            ("cycles", f"{layer['cycles']:,}, bound by {layer['bottleneck']}"),
            ("binds", ", ".join(binding) if binding else "no figure of the machine, to the first order")]
    rows.append(("relaxed bound of its class", units.objective(_objective(layer), why["relaxed_bound"])))
    if met := [x for x in why["runners_up"] if x["found"] is not None]:
        nearest = min(met, key=lambda x: x["found"] or 0.0)
        rows.append(("nearest other class", f"{nearest['choice']}: {_loss(nearest)}"))
    if (among := layer["certificate"].get("among")) is not None:
        most = units.objective(among["objective"], among["most"])
        rows.insert(0, ("among", f"mappings with at most {most}"))
    return rows


def _objective(layer: LayerEntry) -> str:
    """What an explanation is in: of a front, the energy of mappings with at most so many cycles."""
    return layer["certificate"]["objective"]


def _binding(why: ExplainEntry) -> list[SensitivityEntry]:
    return [x for x in why["sensitivities"] if abs(x["elasticity"]) >= _BINDS]


def _figure(x: SensitivityEntry) -> str:
    return f"{x['level']} {_FIGURES.get(x['figure'], x['figure'])}"


def _elasticity(x: SensitivityEntry) -> str:
    """Percent of the bound for one percent of the figure; what is rounded away has no sign."""
    return f"{x['elasticity']:+.3f} %" if abs(x["elasticity"]) >= _BINDS else "0"


def _loss(x: RunnerUpEntry) -> str:
    if _exact(x):
        return _at_least(x)
    return f"{_at_least(x)}, best met {'-' if x['found'] is None else _share(x['found'])}"


def _exact(x: RunnerUpEntry) -> bool:
    """Whether the best mapping of the class was met."""
    return None not in (x["found"], x["at_least"]) and abs((x["found"] or 0) - (x["at_least"] or 0)) < 1e-9


def _share(loss: float) -> str:
    if loss >= _TIMES:
        return f"{1.0 + loss:,.0f} times"
    return f"+{units.percent(loss)}" if loss > _TELLS else units.percent(loss)


def _at_least(x: RunnerUpEntry) -> str:
    if x["at_least"] is None:
        return "does not fit"
    if x["at_least"] < -1e-9:
        return f"gains {units.about('at most', -x['at_least'])}"
    if _exact(x):
        small = x["at_least"] <= _TELLS
        return units.about("exactly", x["at_least"]) if small else f"exactly {_share(x['at_least'])}"
    return f"at least {_share(x['at_least'])}" if x["at_least"] > _TELLS else "no better"


def tables(layer: LayerEntry) -> Iterator[tuple[str, str, Table]]:
    """(title, note, table) of an explanation."""
    why = layer.get("explain")
    if why is None:
        return
    top = Table(("level", "tensor", "energy", "share"), left=frozenset({0, 1}))
    for part in why["energy"][:_PARTS]:
        top.add(part["level"], part["tensor"], units.energy(part["energy_pj"]), units.percent(part["share"]))
    yield "What dominates", "Energy by level and tensor, largest first.", top
    yield ("What binds", "What one percent more and one more of a figure change in the relaxed bound of the "
           "class of the mapping, to the first order (-: one more is much of what there is). Whole factors "
           "may not be able to use it.",
           _sensitivity_table(why, _objective(layer)))
    if why["runners_up"]:
        yield ("Runner-up classes", "All mappings that make one choice otherwise. Loses: proven for all of "
               "them (no better: proofs stop at the best value). Best met: the best one that the search "
               "came across, which need not be the best there is.", _class_table(why))
    if not why["waterfall"]:
        return
    left = Table(("mappings", "left"), left=frozenset({0}))
    for drop in why["waterfall"]:
        left.add(drop["step"], _count(drop))
    yield ("Where the mapspace went", "About: estimated from a sample. At most: as large as the regions "
           "that are left.", left)


def _sensitivity_table(why: ExplainEntry, objective: str) -> Table:
    table = Table(("level", "figure", "have", "1 % more", "one more"), left=frozenset({0, 1}))
    for x in why["sensitivities"]:
        none = abs(x["elasticity"]) < _BINDS
        one = "-" if x["have"] < _FEW else _signed(units.objective(objective, x["marginal"]))
        table.add(x["level"], _FIGURES.get(x["figure"], x["figure"]), f"{x['have']:,.10g}",
                  _elasticity(x), "0" if none else one)
    return table


def _signed(text: str) -> str:
    return text if text.startswith("-") else f"+{text}"


def _class_table(why: ExplainEntry) -> Table:
    table = Table(("choice", "loses", "best met"), left=frozenset({0}))
    for x in why["runners_up"][:_CLASSES]:
        table.add(x["choice"], _at_least(x), "-" if x["found"] is None else _share(x["found"]))
    return table


def _count(drop: DropEntry) -> str:
    amount = drop["mappings"]
    text = f"{amount:,.0f}" if amount < 1e6 else f"{amount:.3g}"
    return text if drop["exactness"] == "exact" else f"{drop['exactness']} {text}"


def lines(layer: LayerEntry, notes: bool = True) -> Iterator[str]:
    """The explanation as lines of text, with an empty one before each part; `notes` say what tables hold."""
    if rows := facts(layer):
        width = max(len(name) for name, _ in rows)
        yield from ("", "Why this mapping", *(f"{name.ljust(width)}  {text}" for name, text in rows))
    for title, note, table in tables(layer):
        yield from ("", f"{title}. {note}" if notes else f"{title}:", *table.lines())


def render(document: ResultDocument) -> str:
    """The explanations of all layers as text, what the tables hold said once; empty where there are none."""
    parts, notes = [], dict[str, str]()
    for layer in document["layers"]:
        if "explain" in layer:
            text = "\n".join(lines(layer, notes=False))
            parts.append(f"{layer['name']}\n{'=' * len(layer['name'])}{text}")
            notes |= {title: note for title, note, _ in tables(layer)}
    return "\n\n".join(parts + [f"{title}. {note}" for title, note in notes.items()])


def charts(layer: LayerEntry, document: ResultDocument,
           tensor_colors: dict[str, str]) -> tuple[list[Chart], list[Curve]]:
    """Drawings of an explanation: bars, and lines."""
    why = layer.get("explain")
    if why is None:
        return [], []
    by_level: dict[str, dict[str, float]] = {}
    for part in why["energy"]:
        parts = by_level.setdefault(part["level"], {})
        parts[part["tensor"]] = parts.get(part["tensor"], 0.0) + part["energy_pj"]
    drawn = [stacked("Energy by level and tensor", list(by_level.items()), tensor_colors, units.energy)]
    known = [x for x in why["runners_up"] if x["found"] is not None or (x["at_least"] or 0.0) > 0.0]
    losing = [x for x in known if max(_shares(x)) <= _FAR][:_CLASSES]
    if losing:
        drawn.append(_classes(losing))
    if why["waterfall"]:
        drawn.append(logarithmic("Mappings left, logarithmic", [
            (x["step"], x["mappings"], _count(x)) for x in why["waterfall"]], _ACCENT))
    curve = _progress(why)
    return drawn, [curve] if curve else []


def _shares(x: RunnerUpEntry) -> tuple[float, float]:
    """What is proven that a class loses, and what the best of it loses that was met, at least that."""
    proven = max(x["at_least"] or 0.0, 0.0)
    return proven, max(x["found"] or 0.0, proven)


def _classes(losing: Sequence[RunnerUpEntry]) -> Chart:
    rows = []
    for x in losing:
        proven, met = _shares(x)
        rows.append((x["choice"], {"proven": proven, "best met": met - proven}))
    longest = max(sum(parts.values()) for _, parts in rows)
    return stacked("What other classes lose", rows, {"proven": _ACCENT, "best met": _PALE}, units.percent,
                   None if longest > 0.04 else 0.04, letters=40)


def _progress(why: ExplainEntry) -> Curve | None:
    moments = why["progress"]
    best = moments[-1]["value"] if moments else 0.0
    if best <= 0.0:
        return None
    first = max(moments[0]["seconds"], 1e-4)
    value = [(max(x["seconds"], first), x["value"] / best) for x in moments]
    bound = [(max(x["seconds"], first), x["bound"] / best) for x in moments if x["bound"] > 0.0]
    return steps("Best so far and proven bound, over the final value, against seconds",
                 [("best so far", _ACCENT, value), ("proven bound", _WARM, bound)],
                 lambda x: f"{x:g} s", lambda y: f"{y:g}")
