"""The job that every peer runs: the product's own Capturer, stamped when it starts and when it has read.

Imported by the workers of every peer, so it imports nothing that one of them may not have.
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
"""The variable that names this run's folder."""


class StampedCapturer(Capturer):
    """Writes each capture's member, two instants in ns of the wall clock and the outcome into this process's file.

    One write into memory when a capture, or a batch, is done: nothing is lost however the process ends.
    """

    def __init__(self, store: Store, **parts: Any) -> None:
        super().__init__(store, **parts, now_ms=self._read_done)
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
        """What the Capturer calls for the time, right after each read."""
        self._here.read_ns = time.time_ns()
        return int(self._here.read_ns // 1_000_000)


def stamps_folder() -> Path:
    return Path(os.environ[FOLDER])


def capture(signal_id: str, offset_ms: int) -> None:
    """The job. What fails raises, so that the peer knows of it."""
    capturer().capture(Capture.from_ids(signal_id, offset_ms))


@cache
def capturer() -> StampedCapturer:
    """This process's own. Each peer makes it when a process starts, which tells that the process is ready."""
    return StampedCapturer.from_settings(settings.load())
