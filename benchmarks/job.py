"""The job that every peer runs: the product's own Capturer, with timestamps of its start and of the state read.

The workers of every peer import this module, so it imports only packages that each of them has.
"""

import os
import threading
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hip3_tasks import settings
from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.capture_result import CaptureResult
from hip3_tasks.store.store import Store
from workers.capturer import Capturer

FOLDER = "BENCHMARK_FOLDER"
"""Environment variable with the folder of the run."""


class StampedCapturer(Capturer):
    """Writes a line for each capture to the file of its process: member, start and read in wall-clock ns, result.

    One write per capture or batch, into the page cache: no line is lost when the process is killed.
    """

    def __init__(self, store: Store, **options: Any) -> None:
        super().__init__(store, **options, now_ms=self._read_done)
        self._here = threading.local()
        self._fd = os.open(stamps_folder() / f"{os.getpid()}.stamps", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def capture_all(self, captures: Sequence[Capture]) -> list[CaptureResult | Exception]:
        started_ns = time.time_ns()
        answers = super().capture_all(captures)
        read_ns = self._here.read_ns
        lines = [
            f"{capture.member} {started_ns} {read_ns} {answer}\n"
            for capture, answer in zip(captures, answers, strict=True)
        ]
        os.write(self._fd, "".join(lines).encode())
        return answers

    def _read_done(self) -> int:
        """The Capturer's clock, in ms, which the Capturer calls right after each read."""
        self._here.read_ns = time.time_ns()
        return int(self._here.read_ns // 1_000_000)


def stamps_folder() -> Path:
    return Path(os.environ[FOLDER])


def capture(signal_id: str, offset_ms: int) -> None:
    """Capture one follow-up. A failure raises, so that the peer can handle it."""
    capturer().capture(Capture.from_ids(signal_id, offset_ms))


@cache
def capturer() -> StampedCapturer:
    """The Capturer of this process. Each peer creates it when a process starts; its file shows that it is ready."""
    return StampedCapturer.from_settings(settings.load())
