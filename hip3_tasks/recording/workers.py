"""Processes among which the calls of a function are shared. They end with their parent, whatever ends it."""

import gc
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

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
    """`map` for this number of processes; its results come in the order of the calls."""
    if processes < 2:
        yield map
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_begin)
    # A Ctrl-C reaches all processes of a terminal; blocked here, it is blocked in those that are started meanwhile.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(processes):
            pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        yield pool.map
    except BrokenProcessPool:
        raise Unavailable("a process of the replay was killed, perhaps for want of memory; choose a part") from None
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()  # what it does is no longer wanted, and may take seconds
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    gc.disable()  # no cycles are made here, and looking for them would take a third of the time
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
