"""Publish captures again, on request or because the pending set may lack them. No capture gets a second line."""

from collections.abc import Callable
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

import orjson

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import DayClosed, UnknownSignal
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.line_reader import CHUNK_BYTES, blocks, forwards, opened
from hip3_tasks.files.signal_files import find_signal, reversed_signals, signals_path
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending, PendingCapture
from hip3_tasks.store.store import Store

CHUNK_SIGNALS = 20_000
"""Each chunk of an old day costs one reading of that day's outcomes, and the memory for this many signals."""
BATCH_SIGNALS = 500
"""Signals that one atomic call adds; it keeps the server busy for a few milliseconds."""
MAX_QUEUED = 300
"""No signal is queued again while the queue is longer than this, so live captures do not wait behind re-runs."""


class Recaptured(NamedTuple):
    open: int
    """Captures that are past due and have no line."""
    added: int
    """Open captures that the pending set had lost."""


def recapture(signal_id: str, *, data_dir: Path, store: Store) -> Signal:
    """Queue all captures of a signal, to run at once. Raises BadCapture, DayClosed, RedisError or UnknownSignal."""
    any_capture = Capture.from_ids(signal_id, 1)
    if is_closed(data_dir, any_capture.day):
        raise DayClosed(f"{signal_id}: {any_capture.day} is compacted, and compacted days do not change")
    signal = find_signal(data_dir, any_capture)
    if signal is None:
        raise UnknownSignal(f"{signal_id}: {signals_path(data_dir, any_capture.day)} has no such signal")
    store.publish(signal.captures())
    return signal


def recapture_open(
    days: list[str],
    *,
    data_dir: Path,
    journal: Journal,
    pending: Pending,
    at_ms: int,
    since_ms: int = 0,
    tick: Callable[[int], object] = lambda _: None,
) -> Recaptured:
    """Add to the pending set the captures that are open, of signals since an instant; the sweeper publishes them.

    Captures due less than FIRST_TRY_MS before `at_ms` are left to their own tasks. `tick` is called with the number
    of signals read since its last call. Raises JournalError and redis.RedisError.
    """
    total = added = 0
    for day in days:
        signals = takewhile(lambda s: s.timestamp_ms >= since_ms, reversed_signals(signals_path(data_dir, day)))
        while chunk := list(islice(signals, CHUNK_SIGNALS)):
            captures = [capture for signal in chunk for capture in signal.captures()]
            overdue = [capture for capture in captures if capture.due_at_ms + FIRST_TRY_MS <= at_ms]
            open_ = journal.open_among(overdue)
            total += len(open_)
            added += _add(pending, chunk, open_)
            tick(len(chunk))
    return Recaptured(total, added)


def open_days(data_dir: Path, *, since_ms: int = 0) -> dict[str, int]:
    """The days that have open captures, newest first, each with the number of its signals since an instant."""
    names = sorted((path.stem.removeprefix("signals_") for path in data_dir.glob("signals_*.jsonl")), reverse=True)
    counts = {day: _expected(signals_path(data_dir, day), since_ms) for day in names if not is_closed(data_dir, day)}
    return {
        day: signals
        for day, (signals, captures, newest_ms) in counts.items()
        if newest_ms >= since_ms and captures != _outcomes(data_dir, day)
    }


def _add(pending: Pending, signals: list[Signal], captures: list[Capture]) -> int:
    by_signal: dict[str, list[Capture]] = {}
    for capture in captures:
        by_signal.setdefault(capture.signal_id, []).append(capture)
    with_open = iter([signal for signal in signals if signal.signal_id in by_signal])
    added = 0
    while batch := list(islice(with_open, BATCH_SIGNALS)):
        open_ = [PendingCapture(capture, None) for signal in batch for capture in by_signal[signal.signal_id]]
        added += pending.add(batch, open_)
    return added


def _expected(path: Path, since_ms: int) -> tuple[int, int, int]:
    """(signals since an instant, captures expected of all signals, time of the newest signal) of a day."""
    signals = captures = newest_ms = 0
    with opened(path) as (fd, end):
        for line in forwards(fd, 0, end):
            with suppress(ValueError, TypeError, KeyError):
                record = orjson.loads(line)
                captures += len(record["offsets_ms"])
                newest_ms = max(newest_ms, record["timestamp_ms"])
                signals += record["timestamp_ms"] >= since_ms
    return signals, captures, newest_ms


def _outcomes(data_dir: Path, day: str) -> int:
    lines = 0
    for kind in ("followups", "missed"):
        with opened(jsonl_path(data_dir, kind, day)) as (fd, end):
            lines += sum(block.count(b"\n") for block in blocks(fd, 0, end, CHUNK_BYTES))
    return lines
