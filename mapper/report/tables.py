"""Tables of text: plain columns for files and pipes, rich ones for a terminal."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from typing import Sequence, TextIO


@dataclass
class Table:
    """Rows of text under `header`. `left` names the columns that are not numbers; `total` tells
    that the last row sums up the others."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)
    left: frozenset[int] = frozenset({0})
    total: bool = False

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The table as lines of plain text without trailing blanks."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        rule = tuple("-" * width for width in widths)
        body: list[Sequence[str]] = [self.header, rule, *self.rows]
        if self.total and len(self.rows) > 1:
            body.insert(-1, rule)
        return ["  ".join(
            cell.ljust(width) if i in self.left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in body]


def show(table: Table, stream: TextIO | None = None) -> None:
    """Print `table` on `stream` (stdout): drawn by rich on a terminal that is wide enough (it would
    cut cells short otherwise), plain text elsewhere."""
    stream = stream or sys.stdout
    lines = table.lines()
    wide = max(map(len, lines)) + 2 * len(table.header)
    if not stream.isatty() or wide > shutil.get_terminal_size().columns:
        print("\n".join(lines), file=stream)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(table.header):
        drawn.add_column(Text(name), justify="left" if i in table.left else "right", no_wrap=True)
    for i, row in enumerate(table.rows):
        last = table.total and i == len(table.rows) - 1
        if last and i:
            drawn.add_section()
        drawn.add_row(*map(Text, row), style="bold" if last else None)
    Console(file=stream).print(drawn)
