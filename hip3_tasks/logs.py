"""Logging: one JSON object per line; outside text is a quoted value, so it cannot forge a line."""

import logging
import sys
from contextlib import suppress
from logging.handlers import WatchedFileHandler

import structlog


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
