"""`hip3 record`: the recorder as a process beside the feed, which never waits for it."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import TypeVar

import polars as pl
import redis
import structlog

from hip3_tasks.clock import wall_ms
from hip3_tasks.errors import BadSetting
from hip3_tasks.files.lock import lock_directory
from hip3_tasks.health import GRACE_MS, write_health_file
from hip3_tasks.logs import configure_logs
from hip3_tasks.recording.merge import merge_pieces
from hip3_tasks.recording.recorder import Recorder
from hip3_tasks.recording.retention import Kept, delete_old_pieces, kept
from hip3_tasks.run_file import located
from hip3_tasks.settings import Settings
from hip3_tasks.store.recorder_status import RecorderStatus
from hip3_tasks.store.store import Store
from hip3_tasks.terminal_text import utc_time

log = structlog.get_logger()

INTERVAL_S = 1.0
AT_ONCE_MS = 2_000
"""A recorder that is further behind reads on at once."""
MAX_UNWRITTEN_MS = 180_000
"""While the disk refuses, so much stays in memory; the rest waits in Redis."""
UPKEEP_INTERVAL_S = 60.0
HOLE_RED_S = 600.0
LAST_INTERVAL_S, LAST_TIMEOUT_S = 0.2, 3.0
"""A recorder that ends waits so for the last watermark, of a feed that ends or has ended."""
POLL_S = 0.05

T = TypeVar("T")


def record_command(chosen: Settings) -> int:
    """Run the recorder until SIGTERM or Ctrl-C. Raises BadSetting and Unavailable."""
    if not chosen.tape_days:
        raise BadSetting("HIP3_TAPE_DAYS is 0: no tape is kept, and no recorder is needed")
    chosen = located(chosen)
    configure_logs(chosen.log_level)
    store = Store.from_settings(chosen)
    store.refuse_cluster()
    lock_fd = lock_directory(chosen.data_dir, role="recorder")
    try:
        RecorderService(chosen, store).run(_stop_request())
    finally:
        os.close(lock_fd)
    return 0


def _stop_request() -> Callable[[], bool]:
    """Whether SIGTERM or Ctrl-C came, from now on."""
    received: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return lambda: bool(received)


class RecorderService:
    """Runs one recorder, and reports on it."""

    def __init__(self, chosen: Settings, store: Store) -> None:
        self._settings, self._store = chosen, store
        self._recorder = Recorder(store.tape_log, chosen.data_dir)
        self._is_resumed = False
        """Only then does it know which part of the tape is not on disk."""
        self._kept = Kept()
        self._faults: dict[str, tuple[float, str]] = {}
        """Steps that fail: since when, and the reason."""
        self._hole: tuple[int, int] | None = None
        self._hole_until_s = 0.0
        self._report_at_s = self._upkeep_at_s = 0.0
        self._merging = Thread(target=self._merge, daemon=True)
        self._unmerged: set[Path] = set()
        """Pieces that are not made, because a part of them is damaged."""

    def run(self, is_stopped: Callable[[], bool]) -> None:
        """Record until stopped, then up to the last watermark."""
        while not is_stopped():
            next_s = time.monotonic() + INTERVAL_S
            is_far_behind = self._step() > AT_ONCE_MS
            while not (is_far_behind or is_stopped()) and time.monotonic() < next_s:
                time.sleep(POLL_S)
        self._finish()
        log.info("recorder_stopped", written_ms=self._recorder.written_ms)

    def _step(self) -> int:
        """Read on, write what is complete, and report if it is time; return how far it is behind, in ms."""
        behind_ms: int | None = 0
        if not self._is_resumed:
            self._attempt("tape_not_resumed", self._resume)
        if self._is_resumed and self._recorder.unwritten_ms <= MAX_UNWRITTEN_MS:
            behind_ms = self._attempt("tape_not_read", self._recorder.read)
        self._attempt("tape_not_written", self._recorder.write)
        if time.monotonic() >= self._upkeep_at_s:
            self._attempt("old_tape_not_deleted", self._upkeep)
            if not self._merging.is_alive():
                self._merging = Thread(target=self._merge, daemon=True)
                self._merging.start()
        if time.monotonic() >= self._report_at_s:
            self._report()
        return behind_ms or 0

    def _resume(self) -> None:
        self._recorder.resume()
        self._is_resumed = True
        log.info("recorder_started", data_dir=str(self._settings.data_dir), written_ms=self._recorder.written_ms)

    def _finish(self) -> None:
        """Read until the watermark stands, and write everything that was read."""
        until_s = time.monotonic() + LAST_TIMEOUT_S
        before_ms: int | None = -1
        while self._recorder.read_ms != before_ms and time.monotonic() < until_s:
            before_ms = self._recorder.read_ms
            if self._step() <= AT_ONCE_MS:
                time.sleep(LAST_INTERVAL_S)
        self._attempt("tape_not_written", partial(self._recorder.write, is_ending=True))
        self._attempt("old_tape_not_deleted", self._upkeep)
        self._report()

    def _attempt(self, event: str, step: Callable[[], T]) -> T | None:
        """Do a step that Redis or the disk may refuse; the first error of an outage is logged."""
        try:
            result = step()
        except (redis.RedisError, OSError, pl.exceptions.PolarsError) as error:
            since_s, _ = self._faults.get(event, (time.monotonic(), ""))
            if event not in self._faults:
                log.error(event, error=str(error))
            self._faults[event] = since_s, str(error).partition("\n")[0]
            return None
        self._faults.pop(event, None)
        return result

    def _upkeep(self) -> None:
        self._upkeep_at_s = time.monotonic() + UPKEEP_INTERVAL_S
        data_dir, chosen = self._settings.data_dir, self._settings
        try:
            delete_old_pieces(data_dir, tape_days=chosen.tape_days, min_free_mb=chosen.min_free_mb, at_ms=wall_ms())
        finally:
            self._kept = kept(data_dir)

    def _merge(self) -> None:
        """Merge pieces, for which a day takes minutes; a process that ends meanwhile leaves the shorter ones."""
        data_dir, written_ms = self._settings.data_dir, self._recorder.written_ms
        if written_ms is not None:
            merge = partial(merge_pieces, data_dir, until_ms=written_ms + 1, given_up=self._unmerged)
            self._attempt("tape_not_merged", merge)

    def _report(self) -> None:
        """Write health file, status and mark; a Redis that is away is a fault of reading already."""
        self._report_at_s = time.monotonic() + INTERVAL_S
        problems = self._problems()
        if self._settings.health_dir:
            write_health_file(self._settings.health_dir / "recorder", problems)
        status = RecorderStatus(
            at_ms=wall_ms(),
            since_ms=self._kept.since_ms,
            written_ms=self._recorder.written_ms,
            read_ms=self._recorder.read_ms,
            bytes=self._kept.bytes,
            problems=problems,
        )
        try:
            self._store.write_recorder(status)
        except redis.RedisError as error:
            log.debug("status_not_written", error=str(error))

    def _problems(self) -> list[str]:
        now_s = time.monotonic()
        lasting = [
            f"{event.replace('_', ' ')}: {text}"
            for event, (since_s, text) in list(self._faults.items())
            if now_s - since_s >= GRACE_MS / 1000
        ]
        if self._hole != self._recorder.hole:
            self._hole, self._hole_until_s = self._recorder.hole, now_s + HOLE_RED_S
        if self._hole is None or now_s >= self._hole_until_s:
            return lasting
        span = f"{utc_time(self._hole[0])} to {utc_time(self._hole[1])}"
        return [*lasting, f"tape not recorded from {span}: the server no longer had it"]
