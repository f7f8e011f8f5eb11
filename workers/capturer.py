"""Measuring captures: read, measure, append once, forget. Knows nothing of Celery."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

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

WATERMARK_PATIENCE_MS = 500
WATERMARK_POLL_MS = 2
READ_AT_ONCE = 250
"""So that a large batch neither holds up the server for long nor stamps its first reading late."""

Answers = dict[Capture, CaptureResult | Exception]


class Capturer:
    """Turns captures into their lines on disk: one read, one write, one sync for all that are due together."""

    def __init__(self, store: Store, *, journal: Journal, data_dir: Path, now_ms: Callable[[], int] = wall_ms) -> None:
        self._tape, self._pending, self._journal = store.tape, store.pending, journal
        self._data_dir, self._now_ms = data_dir, now_ms
        # As last read: captures due up to here are worth reading. Each reading then has the watermark that counts.
        self._watermark_ms = 0

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the capturer of one process, to call after the fork."""
        journal = Journal(settings.data_dir, window_ms=settings.retention_s * 1000)
        return cls(Store.from_settings(settings), journal=journal, data_dir=settings.data_dir)

    def make_ready(self) -> None:
        """Look at today's files, so that the first capture of this process is no later than others."""
        with suppress(JournalError):
            self._journal.prepare(utc_day(self._now_ms()))

    def capture(self, capture: Capture) -> CaptureResult:
        """The result of one capture; raises what `capture_all` answers."""
        (answer,) = self.capture_all([capture])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def capture_all(self, captures: Sequence[Capture]) -> list[CaptureResult | Exception]:
        """The result of each: captured, missed and why, already there, day closed, or left pending.

        A capture that fails is answered by its error, and keeps none of the others: UnknownSignal or BadCapture for
        what no signal is owed, JournalError when the disk refuses, MalformedEntry or redis.RedisError. It then stays
        pending, but for the first two.
        """
        answers: Answers = {}
        until_s = time.monotonic() + WATERMARK_PATIENCE_MS / 1000
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
                    answers |= self._left([capture for capture in waiting if capture not in settled])
                elif not settled:
                    time.sleep(WATERMARK_POLL_MS / 1000)
        except (redis.RedisError, JournalError) as error:
            answers = dict.fromkeys(captures, error) | answers
        return [answers[capture] for capture in captures]

    def close(self) -> None:
        self._journal.close()

    def _settle(self, captures: Sequence[Capture]) -> Answers:
        """Measure, append and forget those that the tape is complete for; the others are not answered."""
        read = [seen for seen in self._read(captures) if seen[1].is_complete_at(seen[0].due_at_ms)]
        origins = self._tape.origins([capture for capture, *_ in read])
        failed: Answers = {}
        records: dict[Capture, Followup | Missed] = {}
        for (capture, reading, at_ms), origin in zip(read, origins, strict=True):
            try:
                signal = self._signal(capture, origin)
                records[capture] = measure(signal, capture, due=reading.entry, t0=origin.entry, at_ms=at_ms)
            except (BadCapture, UnknownSignal, MalformedEntry) as error:
                failed[capture] = self._answer(capture, error)
        results = self._journal.append(list(records.values()))
        answers = failed | dict(zip(records, results, strict=True))
        self._forget(answers)
        return answers

    def _left(self, captures: Sequence[Capture]) -> Answers:
        """What is said of captures that the tape is still not complete for."""
        answers: Answers = {}
        for capture, origin in zip(captures, self._tape.origins(captures), strict=True):
            try:
                self._signal(capture, origin)
                answers[capture] = self._journal.result(capture) or PENDING
            except (BadCapture, UnknownSignal) as error:
                answers[capture] = self._answer(capture, error)
        self._forget(answers)
        return answers

    def _read(self, captures: Sequence[Capture]) -> list[tuple[Capture, Reading, int]]:
        """Each with the state as of due, and the wall clock right after that was read."""
        found: list[tuple[Capture, Reading, int]] = []
        for first in range(0, len(captures), READ_AT_ONCE):
            some = captures[first : first + READ_AT_ONCE]
            readings = self._tape.read(some)
            at_ms = self._now_ms()
            found += [(capture, reading, at_ms) for capture, reading in zip(some, readings, strict=True)]
        return found

    def _signal(self, capture: Capture, origin: Origin) -> Signal:
        signal = _decoded(origin.signal_line, capture) or find_signal(self._data_dir, capture)
        if signal is None:
            raise UnknownSignal(
                f"{capture.signal_id}: neither Redis nor signals_{capture.day}.jsonl in {self._data_dir} knows it"
            )
        if capture.offset_ms not in signal.offsets_ms:
            owed = ", ".join(map(str, signal.offsets_ms))
            raise BadCapture(f"{capture.signal_id}: its offsets are {owed} ms, not {capture.offset_ms}")
        return signal

    def _answer(self, capture: Capture, error: Hip3Error) -> CaptureResult | Exception:
        """What is said of an error: a signal that nobody knows may be of a day whose lines are deleted."""
        is_over = isinstance(error, UnknownSignal) and self._journal.is_closed(capture.day)
        return DAY_CLOSED if is_over else error

    def _forget(self, answers: Answers) -> None:
        """Take what is on disk, or can never be, out of the pending set."""
        self._pending.remove(capture.member for capture, answer in answers.items() if _is_final(answer))


def _is_final(answer: CaptureResult | Exception) -> bool:
    return answer.is_final if isinstance(answer, CaptureResult) else isinstance(answer, BadCapture | UnknownSignal)


def _decoded(line: bytes | None, capture: Capture) -> Signal | None:
    """The signal of a capture, if the line is its line: Redis may hold anything."""
    with suppress(MalformedRecord):
        signal = None if line is None else Signal.from_line(line)
        return signal if signal and signal.signal_id == capture.signal_id else None
    return None
