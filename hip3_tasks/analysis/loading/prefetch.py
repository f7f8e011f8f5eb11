"""Work that is some steps ahead of whoever takes its results, and no more, for the memory's sake."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = os.cpu_count() or 1
Given = TypeVar("Given")
Made = TypeVar("Made")


def ahead(work: Callable[[Given], Made], given: Iterable[Given], *, threads: int, steps: int) -> Iterator[Made]:
    """What becomes of each, in their order."""
    with ThreadPoolExecutor(threads) as pool:
        going: deque[Future[Made]] = deque()
        for one in given:
            going.append(pool.submit(work, one))
            if len(going) > steps:
                yield going.popleft().result()
        while going:
            yield going.popleft().result()
