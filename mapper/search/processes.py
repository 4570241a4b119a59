"""Layers searched one after another, or side by side in processes, until the time is up or Ctrl-C comes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Any, Iterator

from .limits import never
from .task import Answer, Send, Task, search_layer

_PATIENCE = 0.1      # seconds between looks at what the processes report


def one_by_one(tasks: list[Task], clock: Clock, stop: threading.Event,
               send: Send) -> Iterator[tuple[int, Answer]]:
    """The answer for each task with its index, in order; `stop` ends a search early."""
    for task in tasks:
        if stop.is_set():
            return
        seconds = clock.share(len(tasks) - task.index)
        limits = replace(task.limits, seconds=seconds, stopped=stop.is_set)
        yield task.index, search_layer(replace(task, limits=limits), send)


class Clock:
    """Shares a time limit among layers that are searched `jobs` at a time."""

    def __init__(self, limit: float | None, jobs: int) -> None:
        self.end = inf if limit is None else monotonic() + limit
        self.jobs = jobs

    def share(self, layers_left: int) -> float:
        """Seconds for the next layer."""
        rounds = max(layers_left / self.jobs, 1.0)
        return max(self.end - monotonic(), 0.0) / rounds


_worker: dict[str, Any] = {}     # what a process is given when it starts


def _start_worker(queue: Any, stop: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)     # the parent tells the processes to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_heed_parent, daemon=True).start()
    _worker.update(queue=queue, stop=stop)


def _end_with_parent() -> None:
    """Wait for the parent to go, however it goes, and go as well."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _heed_parent() -> None:
    """Go on SIGTERM from the parent. From others it reaches the parent too, which lets the search end."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(1)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started inside do not hear Ctrl-C and SIGTERM, not even before they have started up."""
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(task: Task) -> Answer:
    limits = replace(task.limits, stopped=_worker["stop"].is_set)
    return search_layer(replace(task, limits=limits), _worker["queue"].put)


def in_processes(tasks: list[Task], jobs: int, clock: Clock, stop: threading.Event,
                 send: Send) -> Iterator[tuple[int, Answer]]:
    """The same from `jobs` processes, as the answers come."""
    context = multiprocessing.get_context("spawn")
    queue, stopped = context.Queue(), context.Event()
    waiting = list(reversed(tasks))
    with ProcessPoolExecutor(min(jobs, len(tasks)), context, _start_worker, (queue, stopped)) as pool:
        running: dict[Future[Answer], int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = waiting.pop()
                    seconds = clock.share(len(waiting) + 1)
                    limits = replace(task.limits, seconds=seconds, stopped=never)
                    with _deaf_children():
                        running[pool.submit(_work, replace(task, limits=limits))] = task.index
                done, _ = wait(running, _PATIENCE, FIRST_COMPLETED)
                if stop.is_set():
                    stopped.set()
                    waiting.clear()
                _hand_on(queue, send)
                for future in done:
                    yield running.pop(future), future.result()
        except BaseException:
            stopped.set()        # let the other processes end before the error is raised
            raise


def _hand_on(queue: Any, send: Send) -> None:
    while not queue.empty():
        send(queue.get())
