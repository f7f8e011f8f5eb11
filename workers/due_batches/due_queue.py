"""Requests by their due time, without Celery and without a clock: all instants are arguments, in seconds."""

import math
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

PAUSE_PER_MEMBER_S, MAX_PAUSE_S = 0.001, 0.020
"""Pause before the next batch, for each request of the last, and its maximum: batches grow with the rate of tasks."""

R = TypeVar("R")


class DueQueue(Generic[R]):
    """Holds requests until they are due, and gives all that are due at once."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, R]] = []
        self._sequence = count()
        self._paused_until_s = -math.inf

    def __iter__(self) -> Iterator[R]:
        return (request for *_, request in self._heap)

    def push(self, request: R, *, due_s: float) -> None:
        heappush(self._heap, (due_s, next(self._sequence), request))

    def pop_due(self, *, now_s: float) -> list[tuple[float, R]]:
        """Remove the due requests and return each after its due time, the earliest first; then pause."""
        due: list[tuple[float, R]] = []
        while self._heap and self._heap[0][0] <= now_s:
            due_s, _, request = heappop(self._heap)
            due.append((due_s, request))
        self._paused_until_s = now_s + min(PAUSE_PER_MEMBER_S * len(due), MAX_PAUSE_S)
        return due

    def wake_at_s(self) -> float:
        """The instant of the next `pop_due`; infinite when nothing waits."""
        return max(self._heap[0][0], self._paused_until_s) if self._heap else math.inf

    def clear(self) -> None:
        self._heap = []
