"""Faults that are built into the product on purpose: a universe that does not find them proves nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from unittest.mock import patch

from feed import book_check
from feed.signal_publisher import SignalPublisher
from hip3_tasks.files.journal_day import DayJournal
from hip3_tasks.store import tape_writer
from tests.universe.disk import Disk


def _without_epoch() -> AbstractContextManager[object]:
    """Execute every call whose watermark has not been passed, whichever feed sent it; as version 0.1.0 did."""
    script = tape_writer.APPEND
    for old, new in (
        ("epoch > tonumber(ARGV[3])", "false"),
        ("(present or '') ~= ARGV[4]", "ARGV[4] ~= '' and (not present or tonumber(present) < tonumber(ARGV[4]))"),
    ):
        assert old in script
        script = script.replace(old, new)
    return patch.object(tape_writer, "APPEND", script)


def _detection_on_arrival() -> AbstractContextManager[object]:
    """Write a signal as soon as it is detected, and detect nothing again after a death."""
    return patch.multiple(
        SignalPublisher,
        hold=lambda publisher, signal: publisher.submit([signal]),
        detected_ms=lambda publisher, sealed_ms: sealed_ms,
    )


def _journal_without_look() -> AbstractContextManager[object]:
    """Append what a task brings, without a look into the file: each task that was queued would run once."""
    return patch.object(DayJournal, "_result", lambda day, key: None)


def _acknowledged_before_sync() -> AbstractContextManager[object]:
    """Leave it to the system when a line reaches the disk."""
    return patch.object(Disk, "keep", lambda disk, name, content: None)


def _book_unchecked() -> AbstractContextManager[object]:
    """Take every book for the market's, whatever its contexts say."""
    return patch.object(book_check, "_agree", lambda book, ctx: True)


CONTROLS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "": nullcontext,
    "no-epoch": _without_epoch,
    "detection-on-arrival": _detection_on_arrival,
    "journal-without-look": _journal_without_look,
    "acknowledged-before-sync": _acknowledged_before_sync,
    "book-unchecked": _book_unchecked,
}
