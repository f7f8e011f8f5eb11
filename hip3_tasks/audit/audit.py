"""Audit a data directory: signals x their offsets = follow-ups + missed + open, and each line is right.

Reads only, needs no Redis, and may run on a live directory. The outcome files are opened, and their sizes taken, before
the signals file, so that the signal of each follow-up that is read is read, too.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from hip3_tasks.audit.findings import MAX_NAMED, Audit, Counts, Fault, Problem, counts_of, show
from hip3_tasks.audit.ledger import Ledger
from hip3_tasks.audit.recompute import faults_of_followup, faults_of_ids, faults_of_signal, is_too_large
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS, day_start_ms
from hip3_tasks.domain.records import MAX_BPS, Followup, Missed, Record, Signal
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.day_files import DayFiles, days_of, is_closed, jsonl_path, unread_sentence
from hip3_tasks.files.line_reader import complete_length, forwards
from hip3_tasks.terminal_text import print_results

OPEN_GRACE_MS = 30_000
"""A capture open for less than this after its due time is no error."""
TAIL_WAIT_S = 0.1
MAX_TAIL_BYTES = 1 << 20
ADVANCE_BYTES = 1 << 20

Advance = Callable[[int], object]
Place = tuple[str, int | None]
"""A file's name, and a line's number from 1."""
R = TypeVar("R", bound=Record)


def audit_command(dirs: Sequence[Path], as_json: bool) -> int:
    """Audit directories and print the result; 0 only when there is no fault. Raises Unavailable."""
    console = Console(stderr=True)
    columns = TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=sum(map(_bytes_of, dirs)))
        audits = [audit(path, at_ms=wall_ms(), advance=lambda read: progress.advance(task, read)) for path in dirs]
    return print_results(audits, as_json=as_json, show=lambda: show(audits, Console()))


def audit(data_dir: Path, *, at_ms: int, advance: Advance = lambda _: None) -> Audit:
    """Read every day of a directory, one after the other. Raises Unavailable when there is nothing to audit.

    `advance` is called with the number of bytes read since its last call.
    """
    result = Audit(data_dir=data_dir, at_ms=at_ms, notes=[text for text in [unread_sentence(data_dir)] if text])
    for day, files in days_of(data_dir).items():
        lines = Audit(data_dir=data_dir, at_ms=at_ms, problems=result.problems)
        counts = _DayAudit(lines, day, advance).run() if _has_lines(files) else None
        if counts is None or files.is_closed:
            _count_rows(result, day)
        rows = result.days.get(day)
        if counts is not None and (rows is None or rows.is_as_many_as(counts)):
            result.days[day], result.problems = counts, lines.problems
            result.notes += lines.notes
        elif counts is not None and rows is not None and not rows.faults:
            result.notes.append(f"{day}: its lines are no copy of its Parquet, which is what counts and is read")
        if is_closed(data_dir, day):
            result.closed_days.append(day)
    return result


def audit_day(data_dir: Path, day: str, *, at_ms: int, advance: Advance = lambda _: None) -> Audit:
    """Read the lines of one day only."""
    result = Audit(data_dir=data_dir, at_ms=at_ms)
    result.days[day] = _DayAudit(result, day, advance).run() or Counts()
    return result


def _has_lines(files: DayFiles) -> bool:
    return files.is_copied or not files.is_closed


def _count_rows(result: Audit, day: str) -> None:
    files = days_of(result.data_dir).get(day, DayFiles(day))
    if not files.is_closed:
        return  # deleted since it was listed
    try:
        counts = counts_of(files)
    except ValueError as error:
        counts = Counts(faults=Counter([Fault.DAMAGED]))
        file = files.parquet["followups"].name
        result.problems.append(Problem(fault=Fault.DAMAGED, file=file, line=None, id=None, what=str(error)))
    if counts is not None:
        result.days[day] = counts


def _bytes_of(data_dir: Path) -> int:
    total = 0
    for path in (path for files in days_of(data_dir).values() if _has_lines(files) for path in files.jsonl.values()):
        with suppress(FileNotFoundError):  # an old day may be deleted meanwhile
            total += path.stat().st_size
    return total


class _DayAudit:
    """The three files of one day."""

    def __init__(self, result: Audit, day: str, advance: Advance) -> None:
        self._result, self._day, self._advance = result, day, advance
        self._start_ms = day_start_ms(day)
        self._counts = Counts()
        self._ledger = Ledger()
        self._too_large = 0
        self._early = self._most_early_ms = 0
        self._named: Counter[Fault] = Counter(problem.fault for problem in result.problems)

    def run(self) -> Counts | None:
        """The counts of its lines; None when the day was compacted just now and its signals, the first, are deleted."""
        with ExitStack() as files:
            followups, missed = self._opened("followups", files), self._opened("missed", files)
            signals = self._opened("signals", files)
            if signals is None and is_closed(self._result.data_dir, self._day):
                return None
            self._take_signals(signals)
            self._take_outcomes(followups, Followup)
            self._take_outcomes(missed, Missed)
        self._take_open()
        self._result.notes += self._notes()
        return self._counts

    def _notes(self) -> Iterator[str]:
        if self._too_large:
            yield f"{self._day}: {self._too_large:,} records beyond {MAX_BPS:g} bps, which the report leaves out"
        if self._early:
            early = f"{self._early:,} outcomes captured before they were due, {self._most_early_ms:,} ms at most"
            yield f"{self._day}: {early}: a worker's clock is behind the feed's"

    def _take_signals(self, file: "_File | None") -> None:
        for place, signal in self._records(file, Signal):
            if not self._ledger.add(signal, line=place[1] or 0):
                self._report(Fault.DUPLICATE_SIGNAL, place, signal.signal_id, "the signal has a line already")
                continue
            self._counts.signals += 1
            self._counts.expected += len(signal.offsets_ms)
            self._too_large += is_too_large(signal)
            self._check_day(signal.timestamp_ms, place, signal.signal_id)
            self._check_numbers(faults_of_signal(signal), place, signal.signal_id)

    def _take_outcomes(self, file: "_File | None", kind: type[Followup] | type[Missed]) -> None:
        for place, record in self._records(file, kind):
            name = f"{record.signal_id}|{record.offset_ms}"
            self._too_large += is_too_large(record)
            if record.captured_at_ms < record.due_at_ms:
                self._early += 1
                self._most_early_ms = max(self._most_early_ms, record.due_at_ms - record.captured_at_ms)
            self._check_day(record.signal_timestamp_ms, place, name)
            signal = self._ledger.find(record.signal_id)
            if signal is None:
                self._report(Fault.STRANGER, place, name, f"signals_{self._day}.jsonl has no such signal")
            elif record.offset_ms not in signal.offsets_ms:
                offsets = ", ".join(map(str, signal.offsets_ms))
                self._report(Fault.STRANGER, place, name, f"the signal's offsets are {offsets} ms")
            elif not self._ledger.settle(signal, record.offset_ms):
                self._report(Fault.DUPLICATE, place, name, "the follow-up has a line already")
            elif isinstance(record, Missed):
                self._counts.missed[record.reason] += 1
                self._check_numbers(faults_of_ids(record, signal), place, name)
            else:
                self._counts.followups += 1
                self._check_numbers(faults_of_followup(record, signal), place, name)

    def _take_open(self) -> None:
        for capture, line in self._ledger.open():
            self._counts.open += 1
            open_ms = self._result.at_ms - capture.due_at_ms
            if open_ms < OPEN_GRACE_MS:
                self._counts.open_recent += 1
            else:
                place = f"signals_{self._day}.jsonl", line
                self._report(Fault.OVERDUE, place, capture.member, f"it was due {open_ms / 1000:,.0f} s ago")

    def _records(self, file: "_File | None", kind: type[R]) -> Iterator[tuple[Place, R]]:
        if file is None:
            return
        read_bytes = 0
        for number, line in enumerate(file.lines(), 1):
            read_bytes += len(line) + 1
            if read_bytes > ADVANCE_BYTES:
                self._advance(read_bytes)
                read_bytes = 0
            try:
                record = kind.from_line(line)
            except MalformedRecord as error:
                self._report(Fault.BROKEN, (file.name, number), None, str(error))
            else:
                yield (file.name, number), record
        self._advance(read_bytes)
        if file.torn_bytes:
            what = f"{file.torn_bytes:,} bytes without an end of line; the next writer repairs it"
            self._report(Fault.TORN, (file.name, None), None, what)

    def _check_day(self, timestamp_ms: int, place: Place, name: str) -> None:
        if not self._start_ms <= timestamp_ms < self._start_ms + DAY_MS:
            self._report(Fault.WRONG_DAY, place, name, "the signal is of another UTC day than the file")

    def _check_numbers(self, faults: Iterator[str], place: Place, name: str) -> None:
        if what := "; ".join(faults):
            self._report(Fault.WRONG_NUMBER, place, name, what)

    def _report(self, fault: Fault, place: Place, name: str | None, what: str) -> None:
        self._counts.faults[fault] += 1
        self._named[fault] += 1
        if self._named[fault] <= MAX_NAMED:
            file, line = place
            self._result.problems.append(Problem(fault=fault, file=file, line=line, id=name, what=what))

    def _opened(self, kind: str, files: ExitStack) -> "_File | None":
        with suppress(FileNotFoundError):
            file = _File(jsonl_path(self._result.data_dir, kind, self._day))
            files.callback(os.close, file.fd)
            return file
        return None


class _File:
    """A data file up to the size that it had when it was opened."""

    def __init__(self, path: Path) -> None:
        """Raises FileNotFoundError."""
        self.name, self.fd, self.torn_bytes = path.name, os.open(path, os.O_RDONLY), 0
        self._size = os.fstat(self.fd).st_size

    def lines(self) -> Iterator[bytes]:
        """Its complete lines, also the one that is being written; then `torn_bytes` is set."""
        complete = complete_length(self.fd, self._size)
        yield from forwards(self.fd, 0, complete)
        if complete < self._size:
            tail = self._tail(complete)
            if tail and b"\n" not in tail:
                time.sleep(TAIL_WAIT_S)
                tail = self._tail(complete)
            line, newline, _ = tail.partition(b"\n")
            if newline:
                yield line
            self.torn_bytes = 0 if newline else len(tail)

    def _tail(self, complete: int) -> bytes:
        """The bytes that follow the complete lines now; none when a writer has repaired the file meanwhile."""
        size = os.fstat(self.fd).st_size
        return os.pread(self.fd, min(max(0, size - complete), MAX_TAIL_BYTES), complete)
