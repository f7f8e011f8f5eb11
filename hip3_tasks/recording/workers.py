"""Processes among which the calls of a function are shared. They end with their parent, whatever ends it."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from hip3_tasks.errors import Unavailable
from hip3_tasks.recording.replay import Map

MAX_PROCESSES = 4
"""Each has some 150 MB and the rows of a coin and day in memory."""
MIN_ROWS = 1_000_000
"""Fewer rows are replayed before a process has started."""


def processes_for(rows: int) -> int:
    return 1 if rows < MIN_ROWS else min(MAX_PROCESSES, os.cpu_count() or 1)


@contextmanager
def workers(processes: int) -> Iterator[Map]:
    """`map` for this number of processes; its results come in the order of the calls.

    A thread waits for each process, at a pipe which that process alone has the other end of: one that is killed in the
    middle of a result ends its pipe. (With the queue of a `ProcessPoolExecutor` the wait for the rest has no end.)

    Raises Unavailable when a process was killed.
    """
    if processes < 2:
        yield map
        return
    started = [_Worker() for _ in range(processes)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in started:
        idle.put(worker)

    def call(function: Callable[[Any], Any], task: Any) -> Any:
        worker = idle.get()
        try:
            return worker.call(function, task)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(processes)
    try:
        yield lambda function, tasks: threads.map(lambda task: call(function, task), tasks)
    finally:
        for worker in started:
            worker.end()  # what it does is no longer wanted, and may take seconds
        threads.shutdown(cancel_futures=True)


class _Worker:
    """A process that makes one call after the other."""

    def __init__(self) -> None:
        resource_tracker.ensure_running()  # which unblocks Ctrl-C when it starts
        self._calls, theirs = get_context("spawn").Pipe()
        self._process = get_context("spawn").Process(target=_answer, args=(theirs,), daemon=True)
        # A Ctrl-C reaches all processes of a terminal; blocked here, it is blocked in the one that is started.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def call(self, function: Callable[[Any], Any], task: Any) -> Any:
        try:
            self._calls.send((function, task))
            result, error = self._calls.recv()
        except (EOFError, OSError):
            raise Unavailable("a process of the replay was killed, perhaps for want of memory; choose a part") from None
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        self._process.terminate()
        self._process.join()


def _answer(calls: Connection) -> None:
    gc.disable()  # no cycles are made here, and looking for them would take a third of the time
    Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError):
        while True:
            function, task = calls.recv()
            result, error = None, None
            try:
                result = function(task)
            except Exception as raised:  # noqa: BLE001 - it is raised where the call was made
                error = raised
            calls.send((result, error))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
