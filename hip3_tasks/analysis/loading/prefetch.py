"""Map a function in threads, at most some results ahead of the consumer, to bound memory."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = os.cpu_count() or 1
Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, steps: int) -> Iterator[Result]:
    """Yield the results in the order of the items, at most `steps` computed ahead. An error is raised in its place."""
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > steps:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
