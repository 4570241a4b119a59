"""How a command answers: tables on stdout, files, and what is said beside them on stderr."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator

import click

from .errors import InfeasibleError
from .signals import interrupts

if TYPE_CHECKING:
    from .report.schema import ResultDocument
    from .search.result import NetworkResult
    from .workload.graph import WorkloadGraph

DONE, INTERNAL, BAD_INPUT, INFEASIBLE, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143


def write(text: str, file: Path | None) -> int:
    """Write `text` to the file, or else to stdout."""
    if file is None:
        click.echo(text, nl=False)
    else:
        from .files import write_atomic

        write_atomic(file, text)
    return DONE


def require_place(folder: Path | None) -> None:
    """Raise an OSError where the folder of the answer cannot be written or made, so that no long run ends
    without a place for it. It is made when there is something to write."""
    if folder is None:
        return
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def saver(workload: WorkloadGraph, folder: Path | None) -> Callable[[NetworkResult], None] | None:
    """Keeps result.json up to date while layers are still being searched. Where that cannot be, it says so
    once: the search goes on, and its answer is shown in any case."""
    if folder is None:
        return None
    from .files import write_atomic
    from .report.document import dumps, to_document

    failed: list[OSError] = []

    def save(result: NetworkResult) -> None:
        try:
            write_atomic(folder / "result.json", dumps(to_document(result, workload)))
        except OSError as error:
            if not failed:
                click.echo(f"warning: {error.filename}: {error.strerror}; the best so far is not kept",
                           err=True)
            failed.append(error)

    return save


@contextmanager
def conflicts_shown(as_json: bool) -> Iterator[None]:
    """Prints what conflicts as JSON where nothing fits, if that is asked for."""
    try:
        yield
    except InfeasibleError as error:
        if as_json:
            from .report.conflict import conflict_text

            click.echo(conflict_text(error), nl=False)
        raise


def answer(result: NetworkResult, workload: WorkloadGraph, as_json: bool, folder: Path | None,
           explain: bool = False) -> int:
    """Print the answer and write its files."""
    with interrupts():      # a signal that comes now would leave nothing of what was found
        return _answer(result, workload, as_json, folder, explain)


def _answer(result: NetworkResult, workload: WorkloadGraph, as_json: bool, folder: Path | None,
            explain: bool) -> int:
    from .report import front
    from .report.document import dumps, to_document
    from .report.output import write_outputs
    from .report.potential import sentences
    from .report.tables import show
    from .report.text import summary
    from .report.views import counting

    document: ResultDocument = to_document(result, workload)
    try:
        if folder is not None:
            write_outputs(document, folder)
    finally:        # an answer that cannot be written is still shown
        if as_json:
            click.echo(dumps(document), nl=False)
        else:
            show(summary(document))
            if (table := front.summary(document)) is not None:
                click.echo()
                show(table)
                click.echo(front.note(document["front"]))
            if explain:
                from .report.why import render

                click.echo(f"\n{render(document)}")
            if any("difference" in layer for layer in document["layers"]):
                click.echo(counting(document), err=True)
            for sentence in sentences(document):
                click.echo(sentence, err=True)
    if not document["interrupted"]:
        return DONE
    missing = document.get("missing", [])
    click.echo(f"interrupted: {len(document['layers'])} of {len(workload)} layers, the best found so far"
               + (f"; none yet of {', '.join(missing)}" if missing else ""), err=True)
    return INTERRUPTED
