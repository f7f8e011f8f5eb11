"""Logging: one JSON object per line; outside text is a quoted value, so it cannot forge a line.

An outage fails every call while it lasts. An event with the error as `outage` is one line a minute for each cause; the
line has the error as `error`, and as `left_out` the number of lines since the last one.
"""

import logging
import re
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from typing import Any

import structlog

REPEAT_S, FORGET_S = 60.0, 600.0


class Repeats:
    """Counts lines that are the same as one in the last minute, apart from words with a digit."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[float, int]] = {}

    def left_out(self, *words: str) -> int | None:
        """None for a line to leave out; else the number of those left out before it."""
        key, now_s = re.sub(r"\S*\d\S*", "", " ".join(words)), time.monotonic()
        logged_s, left_out = self._lines.get(key, (-REPEAT_S, 0))
        if now_s - logged_s < REPEAT_S:
            self._lines[key] = logged_s, left_out + 1
            return None
        self._lines = {key: line for key, line in self._lines.items() if now_s - line[0] < FORGET_S}
        self._lines[key] = now_s, 0
        return left_out


_repeats = Repeats()


def _thin_outage(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Leave a line of an outage out if its event and cause are in the last minute's."""
    if (error := event.pop("outage", None)) is None:
        return event
    if (left_out := _repeats.left_out(event["event"], type(error).__name__, str(error))) is None:
        raise structlog.DropEvent
    event["error"] = str(error)
    return {**event, "left_out": left_out} if left_out else event


class _Lossy(logging.Logger):
    """Drops lines that cannot be written, such as on a full disk, instead of ending the process.

    It is outside the tree of loggers, so that no other configuration of logging applies.
    """

    def __init__(self, file: str | None) -> None:
        super().__init__("hip3")
        handler = WatchedFileHandler(file) if file else logging.StreamHandler(sys.stderr)
        handler.handleError = lambda record: None  # type: ignore[method-assign]
        self.addHandler(handler)

    def handle(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):
            super().handle(record)


class _Events(logging.Handler):
    """Writes the events of the transport, which knows no structlog, as lines of this log."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record).get("fields", {})
        structlog.get_logger().log(record.levelno, vars(record).get("event", record.getMessage()), **fields)


def configure_logs(level: str, *, file: str | None = None) -> None:
    """Configure structlog for this process: to stderr, or to a file that may be rotated."""
    logger = _Lossy(file)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _thin_outage,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: logger,
        cache_logger_on_first_use=True,
    )
    transport = logging.getLogger("hip3_tasks.transport")
    transport.handlers, transport.propagate = [_Events()], False
    transport.setLevel(level.upper())
