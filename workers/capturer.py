"""Measuring captures: read, measure, append once, forget. Knows nothing of Celery."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hip3_tasks.capture import Capture
from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import BadCapture, MalformedRecord, UnknownSignal
from hip3_tasks.followups import measure
from hip3_tasks.journal import Journal
from hip3_tasks.pending import Pending
from hip3_tasks.records import Signal
from hip3_tasks.signals import find_signal
from hip3_tasks.tape import Reading, TapeReader

WATERMARK_PATIENCE_MS = 500
WATERMARK_POLL_MS = 2

LEFT_PENDING = "left pending: the tape is not complete at its due time yet"


class Capturer:
    """Turns a capture into its one line on disk."""

    def __init__(
        self,
        *,
        reader: TapeReader,
        pending: Pending,
        journal: Journal,
        data_dir: Path,
        now_ms: Callable[[], int] = wall_ms,
    ) -> None:
        self._reader, self._pending, self._journal = reader, pending, journal
        self._data_dir, self._now_ms = data_dir, now_ms

    def capture(self, capture: Capture) -> str:
        """The outcome: captured, missed and why, already there, day closed, or left pending.

        Raises UnknownSignal or BadCapture for what no signal is owed, JournalError when the disk refuses,
        MalformedEntry or redis.RedisError; the capture then stays pending, but for the first two.
        """
        reading, at_ms = self._read(capture)
        signal = self._signal(capture, reading)
        if reading.is_complete_at(capture.due_at_ms):
            record = measure(signal, capture, due=reading.due, t0=reading.t0, at_ms=at_ms)
            outcome = self._journal.append([record])[0]
        else:
            already = self._journal.outcome(capture)
            if already is None:
                return LEFT_PENDING
            outcome = already
        self._pending.remove([capture.member])
        return outcome

    def close(self) -> None:
        self._journal.close()

    def _read(self, capture: Capture) -> tuple[Reading, int]:
        """Read until the tape is complete at the due time, or patience ends."""
        until_s = time.monotonic() + WATERMARK_PATIENCE_MS / 1000
        while True:
            reading = self._reader.read([capture])[0]
            at_ms = self._now_ms()
            if reading.is_complete_at(capture.due_at_ms) or time.monotonic() > until_s:
                return reading, at_ms
            time.sleep(WATERMARK_POLL_MS / 1000)

    def _signal(self, capture: Capture, reading: Reading) -> Signal:
        signal = _decoded(reading.signal_line) or find_signal(self._data_dir, capture)
        if signal is None:
            self._pending.remove([capture.member])
            raise UnknownSignal(
                f"{capture.signal_id}: neither Redis nor signals_{capture.day}.jsonl in {self._data_dir} knows it"
            )
        if capture.offset_ms not in signal.offsets_ms:
            self._pending.remove([capture.member])
            owed: Sequence[int] = signal.offsets_ms
            raise BadCapture(
                f"{capture.signal_id}: its offsets are {', '.join(map(str, owed))} ms, not {capture.offset_ms}"
            )
        return signal


def _decoded(line: bytes | None) -> Signal | None:
    try:
        return None if line is None else Signal.from_line(line)
    except MalformedRecord:
        return None
