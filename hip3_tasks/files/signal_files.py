"""The signals files, which define what captures must exist. A signal is durable here before it is published."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import DAY_MS, Capture, utc_day
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import JournalError, MalformedRecord
from hip3_tasks.files.append_file import AppendFile, as_journal_error
from hip3_tasks.files.day_files import is_closed, jsonl_path
from hip3_tasks.files.line_reader import backwards, bisect, containing, opened
from hip3_tasks.files.lock import locked

log = structlog.get_logger()

NEAR_BYTES = 1 << 17
"""More than the signals of all markets in one millisecond take."""

_match_own_line = re.compile(rb'\{"timestamp_ms":(\d+),').match


def signals_path(data_dir: Path, day: str) -> Path:
    return jsonl_path(data_dir, "signals", day)


class SignalWriter:
    """Writes the signals files, for the feed alone."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._day = ""
        self._file: AppendFile | None = None

    def append(self, signals: Sequence[Signal]) -> None:
        """Make signals of one day durable with one sync. Raises JournalError; then none of them was written.

        Signals of a closed day, for example held back for hours by a full disk, are logged and not written.
        """
        (day,) = {utc_day(signal.timestamp_ms) for signal in signals}
        while not is_closed(self._data_dir, day):
            file = self._opened(day)
            with as_journal_error(file.path), locked(file.fd):
                # A process that closes a day holds this lock meanwhile.
                if file.is_in_place() and not is_closed(self._data_dir, day):
                    file.append(b"".join(signal.line() for signal in signals))
                    return
        log.error("signals_of_a_closed_day", day=day, signals=[signal.signal_id for signal in signals])

    def repair_tails(self) -> JournalError | None:
        """Repair the files of every day after a feed has died, and make durable what it may have written last.

        Called before anything relies on a line: a power cut could take one that was never synced. What a disk refuses
        to complete is cut off, or a line that this feed does not see would be completed later; the error is the value.
        Raises JournalError when lines cannot be synced.
        """
        refused: JournalError | None = None
        for path in self._data_dir.glob("signals_*.jsonl"):
            with suppress(FileNotFoundError), closing(AppendFile(path, Signal, create=False)) as file:
                file.sync()  # first: the lines before a tail are relied on, whether or not it is repaired
                try:
                    file.repair_tail()
                except JournalError as error:
                    file.cut_tail()
                    refused = error
        return refused

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, day: str) -> AppendFile:
        if self._file is None or day != self._day or not self._file.is_in_place():
            self.close()
            self._file, self._day = AppendFile(signals_path(self._data_dir, day), Signal), day
            try:
                self._file.repair_tail()
            except BaseException:
                self.close()  # or the next line would continue a torn one
                raise
        return self._file


def find_signal(data_dir: Path, capture: Capture) -> Signal | None:
    """The signal a capture belongs to, from its day's file."""
    with opened(signals_path(data_dir, capture.day)) as (fd, end):
        # A feed writes in the order of time, so bisection finds a signal at once; else the whole file is searched.
        start = bisect(fd, end, lambda line: _timestamp_ms(line) < capture.timestamp_ms)
        for span in (start, min(end, start + NEAR_BYTES)), (0, end):
            for line in containing(fd, f'"{capture.signal_id}"'.encode(), *span):
                with suppress(MalformedRecord):
                    signal = Signal.from_line(line)
                    if signal.signal_id == capture.signal_id:
                        return signal
    return None


def _timestamp_ms(line: bytes) -> int:
    """`timestamp_ms` of a line that this program wrote, else -1."""
    match = _match_own_line(line)
    return int(match[1]) if match else -1


def signals_since(data_dir: Path, since_ms: int, *, until_ms: int, limit: int | None = None) -> list[Signal]:
    """The signals since an instant, oldest first; at most `limit`, of which the newest are kept."""
    newest_first: list[Signal] = []
    for day in range(until_ms // DAY_MS, since_ms // DAY_MS - 1, -1):
        for signal in reversed_signals(signals_path(data_dir, utc_day(day * DAY_MS))):
            if signal.timestamp_ms < since_ms or len(newest_first) == limit:
                break
            newest_first.append(signal)
    return newest_first[::-1]


def reversed_signals(path: Path) -> Iterator[Signal]:
    """The signals of a file, the last one first; a line that is no signal is logged and left out."""
    with opened(path) as (fd, end):
        for lines in backwards(fd, end):
            for line in reversed(lines):
                try:
                    yield Signal.from_line(line)
                except MalformedRecord as error:
                    log.warning("signal_line_ignored", file=path.name, error=str(error))
