"""Logs events that a venue can cause without limit: each kind at most ten times in any minute."""

from collections import deque
from collections.abc import Callable

import structlog

log = structlog.get_logger()

MAX_LINES = 10
PERIOD_MS = 60_000


class FloodLog:
    """Warnings by event; a line that follows others that were left out has their number."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lines: dict[str, deque[int]] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, **fields: str) -> None:
        at_ms = self._now_ms()
        lines = self._lines.setdefault(event, deque(maxlen=MAX_LINES))
        if len(lines) == MAX_LINES and at_ms - lines[0] < PERIOD_MS:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        lines.append(at_ms)
        left_out = self._left_out.pop(event, 0)
        log.warning(event, **fields, **({"left_out": left_out} if left_out else {}))
