"""The report as rows: CSV for spreadsheets and data frames, Markdown for pages that others write."""

from __future__ import annotations

import csv
from html import escape
from io import StringIO
from typing import Any

from . import front
from .schema import ResultDocument
from .tables import Table
from .text import energy_tables, summary, title, totals

#: Columns of a layer, each under its name in the result document; one occurrence, pJ and cycles.
_COLUMNS = ("name", "count", "macs", "cycles", "energy_pj", "utilization", "bottleneck")
#: Those of its certificate, where it was searched.
_PROOF = ("objective", "value", "lower_bound", "gap", "status", "seconds")


def columns(document: ResultDocument) -> dict[str, list[Any]]:
    """By name in the result document the figures of all layers, in order; None for what one does not have."""
    layers: list[Any] = list(document["layers"])
    found = {name: [layer.get(name) for layer in layers] for name in _COLUMNS}
    if any("certificate" in layer for layer in layers):
        found |= {name: [layer.get("certificate", {}).get(name) for layer in layers] for name in _PROOF}
    return found


def render_csv(document: ResultDocument) -> str:
    """One row a layer, figures as in the result document."""
    text, figures = StringIO(), columns(document)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(figures)
    writer.writerows(zip(*figures.values(), strict=True))
    return text.getvalue()


def render_markdown(document: ResultDocument) -> str:
    """Title, figures of the network, layers, the front where there is one, and where the energy goes."""
    whole = Table(("figure", "value", "detail"), left=frozenset({0, 1, 2}))
    whole.rows += totals(document)
    tables = [whole, summary(document)]
    if (points := front.summary(document)) is not None:
        tables.append(points)
    tables += energy_tables(document)
    return "\n\n".join([f"# {_plain(title(document))}", *map(_markdown, tables)]) + "\n"


def _markdown(table: Table) -> str:
    rule = tuple(":--" if i in table.left else "--:" for i in range(len(table.header)))
    rows = [[_plain(cell) for cell in row] for row in (table.header, rule, *table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """Text that begins no tag and ends no cell."""
    return escape(text, quote=False).replace("|", r"\|")
