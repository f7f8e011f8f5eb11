"""Makes captures, without Celery: read the tape, measure, append to the files, remove from the pending set."""

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis
import structlog

from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import Capture, utc_day
from hip3_tasks.domain.capture_result import DAY_CLOSED, PENDING, CaptureResult
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.errors import BadCapture, Hip3Error, JournalError, MalformedEntry, MalformedRecord, UnknownSignal
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import find_signal
from hip3_tasks.settings import Settings
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import Origin, Reading

WATERMARK_TIMEOUT_MS = 500
WATERMARK_POLL_MS = 2
MAX_READ = 250
"""Captures that one call reads: a larger one would block the server, and stamp its first reading late."""

EARLY_LOG_MS = 60_000
"""The least time between two log lines about captures that came early by this machine's clock."""

log = structlog.get_logger()

Answers = dict[Capture, CaptureResult | Exception]
NO_RECORDS: Mapping[Capture, Followup | Missed] = {}


class Capturer:
    """Turns captures into lines on disk: one read, one write and one sync for all that are due together."""

    def __init__(self, store: Store, *, journal: Journal, data_dir: Path, now_ms: Callable[[], int] = wall_ms) -> None:
        self._tape, self._pending, self._journal = store.tape, store.pending, journal
        self._data_dir, self._now_ms = data_dir, now_ms
        # As last read: captures due up to here are worth reading. Each reading then has the watermark that counts.
        self._watermark_ms = 0
        self._named_early_ms = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the capturer of one process, to call after the fork."""
        journal = Journal(settings.data_dir, window_ms=settings.retention_s * 1000)
        return cls(Store.from_settings(settings), journal=journal, data_dir=settings.data_dir)

    def make_ready(self) -> None:
        """Index today's files, so that the first capture of this process is as fast as later ones."""
        with suppress(JournalError):
            self._journal.prepare(utc_day(self._now_ms()))

    def capture(self, capture: Capture) -> CaptureResult:
        """The result of one capture. Raises the error that `capture_all` returns."""
        (answer,) = self.capture_all([capture])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def capture_all(self, captures: Sequence[Capture]) -> list[CaptureResult | Exception]:
        """The result or the error of each: captured, missed with its reason, already on disk, day closed, or pending.

        One that fails does not affect the others: UnknownSignal or BadCapture for a capture that no signal expects,
        JournalError for the disk, MalformedEntry, or redis.RedisError. After the last three it stays pending.
        """
        answers: Answers = {}
        until_s = time.monotonic() + WATERMARK_TIMEOUT_MS / 1000
        try:
            while waiting := [capture for capture in dict.fromkeys(captures) if capture not in answers]:
                if any(capture.due_at_ms > self._watermark_ms for capture in waiting):
                    self._watermark_ms = self._tape.watermark_ms() or 0
                complete = [capture for capture in waiting if capture.due_at_ms <= self._watermark_ms]
                settled = self._settle(complete) if complete else {}
                answers |= settled
                if len(settled) < len(complete):
                    self._watermark_ms = 0  # the server has lost it
                if time.monotonic() > until_s:
                    answers |= self._answer_incomplete([capture for capture in waiting if capture not in settled])
                elif not settled:
                    time.sleep(WATERMARK_POLL_MS / 1000)
        except (redis.RedisError, JournalError) as error:
            answers = dict.fromkeys(captures, error) | answers
        return [answers[capture] for capture in captures]

    def close(self) -> None:
        self._journal.close()

    def _settle(self, captures: Sequence[Capture]) -> Answers:
        """Measure, append and remove the captures that the tape is complete for; the others get no answer."""
        complete = [read for read in self._read(captures) if read[1].is_complete_at(read[0].due_at_ms)]
        origins = self._tape.origins([capture for capture, *_ in complete])
        failed: Answers = {}
        records: dict[Capture, Followup | Missed] = {}
        for (capture, reading, at_ms), origin in zip(complete, origins, strict=True):
            try:
                signal = self._signal(capture, origin)
                records[capture] = measure(signal, capture, due=reading.entry, t0=origin.entry, at_ms=at_ms)
            except (BadCapture, UnknownSignal, MalformedEntry) as error:
                failed[capture] = self._answer(capture, error)
        results = self._journal.append(list(records.values()))
        answers = failed | dict(zip(records, results, strict=True))
        self._remove_final(answers, records)
        return answers

    def _answer_incomplete(self, captures: Sequence[Capture]) -> Answers:
        """Answer captures that the tape is still not complete for."""
        answers: Answers = {}
        for capture, origin in zip(captures, self._tape.origins(captures), strict=True):
            try:
                self._signal(capture, origin)
                answers[capture] = self._journal.result(capture) or PENDING
            except (BadCapture, UnknownSignal) as error:
                answers[capture] = self._answer(capture, error)
        self._remove_final(answers)
        return answers

    def _read(self, captures: Sequence[Capture]) -> list[tuple[Capture, Reading, int]]:
        """Each capture with its market as of its due time, and the wall time right after that was read."""
        readings: list[tuple[Capture, Reading, int]] = []
        for first in range(0, len(captures), MAX_READ):
            chunk = captures[first : first + MAX_READ]
            chunk_readings = self._tape.read(chunk)
            at_ms = self._now_ms()
            readings += [(capture, reading, at_ms) for capture, reading in zip(chunk, chunk_readings, strict=True)]
        self._name_early(readings)
        return readings

    def _name_early(self, readings: Sequence[tuple[Capture, Reading, int]]) -> None:
        """Log, once a minute, that captures came before they were due: this machine's clock is behind the feed's."""
        early_ms, at_ms = max(((capture.due_at_ms - at_ms, at_ms) for capture, _, at_ms in readings), default=(0, 0))
        if early_ms > 0 and at_ms >= self._named_early_ms + EARLY_LOG_MS:
            self._named_early_ms = at_ms
            log.warning("captured_before_due", host=socket.gethostname(), early_ms=early_ms)

    def _signal(self, capture: Capture, origin: Origin) -> Signal:
        signal = _decoded(origin.signal_line, capture) or find_signal(self._data_dir, capture)
        if signal is None:
            raise UnknownSignal(
                f"{capture.signal_id}: neither Redis nor signals_{capture.day}.jsonl in {self._data_dir} has it"
            )
        if capture.offset_ms not in signal.offsets_ms:
            offsets = ", ".join(map(str, signal.offsets_ms))
            raise BadCapture(f"{capture.signal_id}: its offsets are {offsets} ms, not {capture.offset_ms}")
        return signal

    def _answer(self, capture: Capture, error: Hip3Error) -> CaptureResult | Exception:
        """Answer an error: the signal may be unknown because the lines of its day are deleted."""
        is_over = isinstance(error, UnknownSignal) and self._journal.is_closed(capture.day)
        return DAY_CLOSED if is_over else error

    def _remove_final(self, answers: Answers, records: Mapping[Capture, Followup | Missed] = NO_RECORDS) -> None:
        """Remove captures from the pending set that are on disk or can never be; stream the lines that are new."""
        written = {
            capture.member: record
            for capture, record in records.items()
            if answers[capture] == CaptureResult.from_record(record)
        }
        self._pending.remove((capture.member for capture, answer in answers.items() if _is_final(answer)), written)


def _is_final(answer: CaptureResult | Exception) -> bool:
    return answer.is_final if isinstance(answer, CaptureResult) else isinstance(answer, BadCapture | UnknownSignal)


def _decoded(line: bytes | None, capture: Capture) -> Signal | None:
    """The signal of a capture; None when the line in Redis is missing, malformed or of another signal."""
    with suppress(MalformedRecord):
        signal = None if line is None else Signal.from_line(line)
        return signal if signal and signal.signal_id == capture.signal_id else None
    return None
