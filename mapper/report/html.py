"""The report as one HTML file that needs nothing else: style and drawings are inside."""

from __future__ import annotations

from importlib import resources
from typing import Any, Sequence

from . import figures, front, text, units, why, zeros
from .chart import GREY, PALE, Chart, colors, stacked
from .schema import LayerEntry, ResultDocument
from .views import (
    COMPUTE,
    LEAKAGE,
    NETWORKS,
    bandwidths,
    counting,
    energy_by_level,
    energy_by_tensor,
    nest,
    network_energy,
    occupancy,
)

#: Bars in one drawing; longer networks are drawn in pieces, so that each fits on a page.
_BARS = 36


def render_html(document: ResultDocument) -> str:
    """The whole report as the text of one HTML file."""
    return str(_environment().get_template("report.html.jinja2").render(_context(document)))


def _environment() -> Any:
    from jinja2 import FunctionLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    folder = resources.files("tilebound.library.templates")
    environment = SandboxedEnvironment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text("utf-8")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"energy": units.energy, "percent": units.percent, "si": units.si,
                            "words": units.words, "objective": units.objective}
    return environment


def _context(document: ResultDocument) -> dict[str, Any]:
    level_colors = _level_colors(document)
    return {
        "document": document,
        "title": text.title(document),
        "interruption": text.interruption(document),
        "cards": text.totals(document),
        "counting": counting(document),
        "searched": any("certificate" in layer for layer in document["layers"]),
        "plot": front.plot(document),
        "front_note": front.note(document["front"]) if "front" in document else "",
        "charts": _charts(document, level_colors),
        "layers": [_layer(layer, document, level_colors) for layer in document["layers"]],
        "figures": figures.figure_table(document["architecture"]),
        "machine": figures.machine_table(document["architecture"]),
        "notes": figures.notes(document["architecture"]),
    }


def _level_colors(document: ResultDocument) -> dict[str, str]:
    names = [level["name"] for level in document["architecture"]["levels"]]
    return colors([*names, NETWORKS], {names[-1]: GREY, NETWORKS: PALE})


def _tensor_colors(document: ResultDocument) -> dict[str, str]:
    return colors(list(network_energy(document, "tensor")), {COMPUTE: GREY, LEAKAGE: PALE})


def _charts(document: ResultDocument, level_colors: dict[str, str]) -> list[list[Chart]]:
    """The drawings of the overview; each is a list of pieces."""
    layers = document["layers"]
    tensor_colors = _tensor_colors(document)

    def times(parts: dict[str, float], layer: LayerEntry) -> dict[str, float]:
        return {name: value * layer["count"] for name, value in parts.items()}

    by_level = [(_label(x), times(energy_by_level(x), x)) for x in layers]
    by_tensor = [(_label(x), times(energy_by_tensor(x), x)) for x in layers]
    used = [(x["name"], {"used": x["utilization"]}) for x in layers]
    charts = [
        _pieces("Energy by level", by_level, level_colors, units.energy),
        _pieces("Energy by tensor", by_tensor, tensor_colors, units.energy),
        _pieces("Utilization of the compute units", used, {"used": "#0072b2"}, units.percent, 1.0)]
    gaps = [(x["name"], {"gap": max(0.0, x["certificate"]["gap"])})
            for x in layers if "certificate" in x]
    if gaps:
        longest = max(max(parts["gap"] for _, parts in gaps), 0.04)     # tiny gaps stay tiny bars
        charts.append(_pieces("Gap to the proven bound", gaps, {"gap": "#d55e00"}, units.percent,
                              None if longest > 0.04 else longest))
    return charts


def _label(layer: LayerEntry) -> str:
    return layer["name"] if layer["count"] == 1 else f"{layer['name']} × {layer['count']}"


def _pieces(title: str, rows: Sequence[tuple[str, dict[str, float]]], color: dict[str, str],
            write: Any, limit: float | None = None) -> list[Chart]:
    """One chart, or several on the same axis where there are too many bars."""
    if len(rows) <= _BARS:
        return [stacked(title, rows, color, write, limit)]
    end = limit or max(sum(parts.values()) for _, parts in rows)
    return [stacked(title if start == 0 else f"{title}, continued", rows[start:start + _BARS], color,
                    write, end) for start in range(0, len(rows), _BARS)]


def _layer(layer: LayerEntry, document: ResultDocument, level_colors: dict[str, str]) -> dict[str, Any]:
    """What the template shows of one layer."""
    palette = [level_colors[level["name"]] for level in layer["levels"]]
    whole = layer["energy_pj"] or 1.0
    levels = []
    for level, component in zip(layer["levels"], document["architecture"]["levels"], strict=True):
        storage = level is not layer["levels"][-1]
        levels.append({
            **level, "color": level_colors[level["name"]], "share": level["energy_pj"] / whole,
            "full": occupancy(level, component),
            "bandwidths": bandwidths(level, component, layer["cycles"]) if storage else [],
            "rows": text.tensor_rows(level, whole)})
    tensor_colors = _tensor_colors(document)
    bars, curves = why.charts(layer, document, tensor_colors)
    return {
        **layer,
        "levels": levels,
        "why": why.facts(layer),
        "why_bars": bars,
        "why_curves": curves,
        "why_tables": list(why.tables(layer)),
        "nest": [(line.kind, palette[min(line.level, len(palette) - 1)],
                  " ".join(line.text.split()) if line.kind == "compute" else line.text)
                 for line in nest(layer)],
        "proof": text.certificate(layer),
        "front_table": front.layer_table(layer),
        "differs": text.difference(layer),
        "computed": zeros.computes(layer),
        "networks": text.networks(layer),
        "zeros": zeros.tables(layer, document["architecture"]["levels"]),
    }
