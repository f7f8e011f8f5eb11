"""Keeps the frames as they were received, for `HIP3_RAW`: a thread writes them, and the feed never waits for it."""

import gzip
import threading
from collections import deque
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import HOUR_MS
from hip3_tasks.files.raw_file import HEADER, RawKind, RawRecord, new_raw_path
from hip3_tasks.files.retention import ROOM, free_mb

log = structlog.get_logger()

INTERVAL_S, RETRY_INTERVAL_S = 0.5, 30.0
CLOSE_TIMEOUT_S = 3.0
MAX_WAITING_BYTES = 32_000_000
"""Beyond it frames are dropped: at 90 kB/s the disk may refuse for six minutes."""
LEVEL = 1


class RawFrames:
    """The raw frames of one feed."""

    def __init__(self, data_dir: Path, *, min_free_mb: int) -> None:
        self._data_dir, self._min_free_mb = data_dir, min_free_mb
        self.dropped = 0
        """Frames that were not written, because thread or disk fell behind."""
        self.trouble: str | None = None
        """The reason why nothing can be written at present."""
        self._waiting: deque[RawRecord] = deque()
        self._put_bytes = self._taken_bytes = 0  # each has one writer, so that no lock is needed
        self._incomplete: set[int] = set()
        """Sockets of which frames were dropped since their last record."""
        self._file: gzip.GzipFile | None = None
        self._hour = -1
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="raw", daemon=True)
        self._thread.start()

    def put(self, socket: int, kind: RawKind, text: str | bytes, at_ms: int) -> None:
        """Hand over an event of a socket, without waiting."""
        if self._put_bytes - self._taken_bytes > MAX_WAITING_BYTES:
            self.dropped += 1
            self._incomplete.add(socket)
            return
        if socket in self._incomplete:
            self._incomplete.remove(socket)
            self.put(socket, RawKind.LOST, "frames were dropped", at_ms)
        content = text.encode() if isinstance(text, str) else text
        self._put_bytes += len(content)
        self._waiting.append(RawRecord(at_ms, socket, kind, content))

    def close(self) -> None:
        """Write what waits, for a few seconds at most."""
        self._is_closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._is_closing.wait(RETRY_INTERVAL_S if self.trouble else INTERVAL_S)
            try:
                self._write()
                self.trouble = None
            except OSError as error:
                if self.trouble is None:
                    log.error("raw_frames_not_written", error=str(error))
                self.trouble = str(error)
                self._forget_file()
        self._forget_file()

    def _write(self) -> None:
        """Write what waits; it waits on if it cannot be written. Raises OSError."""
        records = list(self._waiting)
        if not records:
            return
        if free_mb(self._data_dir) < ROOM * self._min_free_mb:
            raise OSError(f"less than {ROOM} x HIP3_MIN_FREE_MB of disk space is free")
        for hour in dict.fromkeys(record.at_ms // HOUR_MS for record in records):
            some = [record for record in records if record.at_ms // HOUR_MS == hour]
            self._file_of(hour, some[0].at_ms).write(b"".join(map(RawRecord.encode, some)))
            self._file_of(hour, some[0].at_ms).flush()
            for record in some:
                self._waiting.popleft()
                self._taken_bytes += len(record.text)

    def _file_of(self, hour: int, at_ms: int) -> gzip.GzipFile:
        if self._file is None or hour != self._hour:
            self._forget_file()
            path = new_raw_path(self._data_dir, at_ms)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file, self._hour = gzip.GzipFile(path, "xb", LEVEL), hour
            self._file.write(HEADER)
        return self._file

    def _forget_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                log.debug("raw_file_not_closed", error=str(error))
