"""Publishing captures again, by hand or because the pending set may lack them. Never doubles a line."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple

import orjson
import redis

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import DayClosed, UnknownSignal
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.line_reader import CHUNK_BYTES, forwards
from hip3_tasks.files.signal_files import find_signal, reversed_signals, signals_path
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending, PendingCapture
from hip3_tasks.store.task_message import task_message

CHUNK_SIGNALS = 20_000
"""Each chunk of an old day costs one reading of that day's outcomes, and the memory for this many signals."""
BATCH_SIGNALS = 500
"""What one atomic call adds; it holds the server up for a few milliseconds."""


class Recaptured(NamedTuple):
    open: int
    """Captures that are past due and have no line."""
    added: int
    """Those of them that the pending set had lost."""


def recapture(signal_id: str, *, data_dir: Path, client: "redis.Redis", keys: Keys) -> Signal:
    """Queue all captures of a signal, to run at once. Raises BadCapture, UnknownSignal or DayClosed."""
    anyone = Capture.from_ids(signal_id, 1)
    if is_closed(data_dir, anyone.day):
        raise DayClosed(f"{signal_id}: {anyone.day} is compacted; what it holds stays as it is")
    signal = find_signal(data_dir, anyone)
    if signal is None:
        raise UnknownSignal(f"{signal_id}: {signals_path(data_dir, anyone.day)} does not know it")
    client.lpush(keys.queue, *(task_message(capture, queue=keys.queue) for capture in signal.captures()))
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
    """Add to the pending set what is open since an instant; the sweeper publishes it at its pace.

    What fell due less than FIRST_TRY_MS before `at_ms` is left to its own task. `tick` is told of signals
    read.
    """
    found = added = 0
    for day in days:
        signals = takewhile(lambda s: s.timestamp_ms >= since_ms, reversed_signals(signals_path(data_dir, day)))
        while chunk := list(islice(signals, CHUNK_SIGNALS)):
            captures = [capture for signal in chunk for capture in signal.captures()]
            overdue = [capture for capture in captures if capture.due_at_ms + FIRST_TRY_MS <= at_ms]
            left = journal.open_among(overdue)
            found += len(left)
            added += _add(pending, chunk, left)
            tick(len(chunk))
    return Recaptured(found, added)


def open_days(data_dir: Path, *, since_ms: int = 0) -> dict[str, int]:
    """The days whose counts do not balance, newest first, with how many signals each has."""
    names = sorted((path.stem.removeprefix("signals_") for path in data_dir.glob("signals_*.jsonl")), reverse=True)
    counts = {day: _owed(signals_path(data_dir, day), since_ms) for day in names if not is_closed(data_dir, day)}
    return {
        day: signals
        for day, (signals, captures, youngest_ms) in counts.items()
        if youngest_ms >= since_ms and captures != _outcomes(data_dir, day)
    }


def _add(pending: Pending, signals: list[Signal], left: list[Capture]) -> int:
    of_signal: dict[str, list[Capture]] = {}
    for capture in left:
        of_signal.setdefault(capture.signal_id, []).append(capture)
    owing = iter([signal for signal in signals if signal.signal_id in of_signal])
    added = 0
    while batch := list(islice(owing, BATCH_SIGNALS)):
        wanted = [PendingCapture(capture, None) for signal in batch for capture in of_signal[signal.signal_id]]
        added += pending.add(batch, wanted)
    return added


def _owed(path: Path, since_ms: int) -> tuple[int, int, int]:
    """Of a day: its signals since an instant, the captures all its signals are owed, its last instant."""
    signals = captures = youngest_ms = 0
    for line in _lines(path):
        with suppress(ValueError, TypeError, KeyError):
            record = orjson.loads(line)
            captures += len(record["offsets_ms"])
            youngest_ms = max(youngest_ms, record["timestamp_ms"])
            signals += record["timestamp_ms"] >= since_ms
    return signals, captures, youngest_ms


def _outcomes(data_dir: Path, day: str) -> int:
    return sum(_newlines(jsonl_path(data_dir, kind, day)) for kind in ("followups", "missed"))


def _newlines(path: Path) -> int:
    count = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            count += chunk.count(b"\n")
    return count


def _lines(path: Path) -> Iterator[bytes]:
    with suppress(FileNotFoundError), path.open("rb") as file:
        yield from forwards(file.fileno(), 0, os.fstat(file.fileno()).st_size)
