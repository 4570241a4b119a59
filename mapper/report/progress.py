"""Progress of a search on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TextIO

from ..search.objectives import PARETO
from ..search.progress import ProgressEvent
from . import units


class ProgressDisplay:
    """A bar over the layers and a line on the one being searched: a context manager to be passed
    to a search as `progress`. Writes nothing where `stream` is no terminal."""

    def __init__(self, objective: str, stream: TextIO) -> None:
        self.objective = objective
        self.stream = stream
        self._done: set[int] = set()

    def __enter__(self) -> ProgressDisplay:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[state]}", markup=False),
            console=Console(file=self.stream), transient=True, disable=not self.stream.isatty())
        self._task = self._bar.add_task("search", total=None, state="")
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: ProgressEvent) -> None:
        state = "no mapping yet"
        if self.objective == PARETO:
            state = f"front within {units.percent(event.value - 1.0)}" if event.lower_bound == 1.0 else ""
        elif event.value != float("inf"):
            state = (f"best {units.objective(self.objective, event.value)}, "
                     f"bound {units.objective(self.objective, event.lower_bound)}, "
                     f"gap {units.percent(event.gap)}")
        if event.done:
            self._done.add(event.index)      # layers run side by side end in any order
        self._bar.update(self._task, description=event.layer, total=event.layers,
                         completed=len(self._done), state=state)
