"""Ctrl-C and SIGTERM: while the command runs, and while a search or an answer is not to be lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(SystemExit):
    """SIGTERM came while nothing waited for it."""


@contextmanager
def heeded() -> Iterator[list[int]]:
    """Ctrl-C raises KeyboardInterrupt and SIGTERM raises Terminated; but SIGTERM does what Ctrl-C does
    where a search has taken that over.

    Gives the list of the signals that have come, to which those to come are added. Ctrl-C that the
    parent wants ignored (as with `nohup`) stays ignored.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    def terminate(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = signal.getsignal(signal.SIGINT)
        if handler is interrupt or not callable(handler):
            raise Terminated(128 + number)
        handler(number, frame)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] != signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts as usual. Where Ctrl-C is to be ignored
    it is, but not what else is handed to its handler (see `heeded`)."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def first(number: int, _: object) -> None:
        if number != signal.SIGINT or previous != signal.SIG_IGN:
            stop.set()
            signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
