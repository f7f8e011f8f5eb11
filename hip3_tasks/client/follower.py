"""Follows the data files from a cursor on: over midnight, compaction and restarts, each line comes at least once.

It reads and never locks, so that it holds up no writer, however slowly its user takes the lines.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from hip3_tasks.client.cursor import Cursor, days_in, directory_id
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import KINDS, is_closed, jsonl_path, parquet_path
from hip3_tasks.files.tail import DataFile, Tail, sized

POLL_INTERVAL_S = 0.002
"""A look at the newest files takes 40 us, and a signal's line is wanted within milliseconds."""
SCAN_INTERVAL_S = 1.0
"""The interval at which files of older days are looked at: late lines are added to them."""
NEWEST_FILES = 2 * len(KINDS)

log = logging.getLogger("hip3_tasks.client")


class Batch(NamedTuple):
    """Lines of a kind of record of one day, without their ends."""

    file: str
    """The kind and day, as in `signals_2026-01-20`: the key of a cursor."""
    kind: str
    lines: list[bytes]
    start: int | None
    """The offset of the first line; None for lines of Parquet, which are in another order than they were written."""


class Follower:
    """Reads the lines after a cursor. Its user advances the cursor past the lines of JSONL that it has taken."""

    def __init__(self, data_dir: Path, cursor: Cursor) -> None:
        """Raises Unavailable when there is no such directory."""
        if not data_dir.is_dir():
            raise Unavailable(f"{data_dir}: there is no such directory; `hip3 up` or a feed makes it when it starts")
        self._data_dir, self.cursor = data_dir, cursor
        self._tail = Tail(data_dir, read_to={})
        self._files: list[DataFile] = []
        self._compacted: list[str] = []
        """Files whose lines are in Parquet alone, and unread."""
        self._changed_ns, self._scan_at_s = 0, 0.0
        self._name_deleted()

    @classmethod
    def resumed(cls, data_dir: Path, path: Path | None, since_ms: int | None) -> Self:
        """Go on from the cursor in a file; without one that fits, begin with the day of an instant, or with new lines.

        Raises Unavailable as the constructor does.
        """
        start = Cursor.starting(data_dir, since_ms)
        cursor, begin = None, "new lines" if since_ms is None else "the lines since then"
        try:
            cursor = Cursor.read(path) if path else None
        except ValueError as error:
            log.warning("%s %s: going on with %s of %s", path, error, begin, data_dir)
        if cursor and cursor.directory and start.directory and cursor.directory != start.directory:
            log.warning("%s is a cursor of another directory: going on with %s of %s", path, begin, data_dir)
            cursor = None
        follower = cls(data_dir, cursor or start)
        if path:
            follower.cursor.write(path)  # or a process killed before its first line would begin anew
        return follower

    def follow(self) -> Iterator[Batch]:
        """Wait for lines, without end. Raises OSError when the directory is gone."""
        while True:
            if self.has_news():
                yield from self.batches()
            time.sleep(POLL_INTERVAL_S)

    def has_news(self) -> bool:
        """Whether there may be new lines for `batches`. Raises OSError when the directory is gone."""
        changed_ns, now_s = self._data_dir.stat().st_mtime_ns, time.monotonic()
        if changed_ns != self._changed_ns or now_s >= self._scan_at_s:
            self._changed_ns, self._scan_at_s = changed_ns, now_s + SCAN_INTERVAL_S
            self._scan()
        else:
            self._files = sized(path for _, path, _ in self._files[-NEWEST_FILES:])
        return bool(self._compacted) or any(size != self._read_to(path) for _, path, size in self._files)

    def batches(self) -> Iterator[Batch]:
        """The lines that `has_news` saw, those of signals before their outcomes. Raises Unavailable and OSError."""
        for file in self._compacted:
            yield from self._rows(file)
        self._compacted = []
        for _, path, size in self._files:
            if size < (position := self._read_to(path)):
                self.cursor.files[path.stem] = size
                log.warning("%s was cut from %d to %d bytes: going on at its end", path, position, size)
        for kind, lines, path, start in self._tail.new_lines(self._files):
            if start < (self.cursor.files.get(path.stem) or 0):
                log.warning("%s has other lines than before: going on at byte %d of it", path, start)
            yield Batch(path.stem, kind, lines, start)

    def _read_to(self, path: Path) -> int:
        return self._tail.read_to.setdefault(path, self.cursor.files.get(path.stem) or 0)

    def _scan(self) -> None:
        """List the files that may get lines, and those that were compacted before they were read."""
        self.cursor.directory = self.cursor.directory or directory_id(self._data_dir)
        paths, compacted, known = list[Path](), list[str](), set[str]()
        for day, listed in days_in(self._data_dir).items():
            for kind in KINDS:
                file = f"{kind}_{day}"
                is_read = file in self.cursor.files and self.cursor.files[file] is None
                if kind in listed.jsonl or kind in listed.parquet:
                    known.add(file)
                if kind in listed.jsonl and not (is_read and listed.is_closed):
                    paths.append(listed.jsonl[kind])
                elif kind in listed.parquet and not is_read:
                    compacted.append(file)
        self._files, self._compacted = sized(paths), compacted
        self._close_read()
        self.cursor.files = {file: position for file, position in self.cursor.files.items() if file in known}

    def _close_read(self) -> None:
        """Note which files of closed days were read to their ends: these may be deleted once the Parquet is there."""
        for _, path, size in self._files:
            if self.cursor.files.get(path.stem) == size and is_closed(self._data_dir, path.stem.partition("_")[2]):
                self.cursor.files[path.stem] = None

    def _rows(self, file: str) -> Iterator[Batch]:
        """The lines of a compacted day, unless all were read before."""
        kind, _, day = file.partition("_")
        path, position = parquet_path(self._data_dir, kind, day), self.cursor.files.get(file) or 0
        if not position or sum(sum(map(len, lines)) + len(lines) for lines in _lines_of(path)) != position:
            if position:
                log.warning("%s.jsonl was compacted after byte %d: giving all lines of its day again", file, position)
            for lines in _lines_of(path):
                yield Batch(file, kind, lines, None)
        self.cursor.files[file] = None

    def _name_deleted(self) -> None:
        """Name the files of the cursor that are gone."""
        for file, position in self.cursor.files.items():
            kind, _, day = file.partition("_")
            gone = not (jsonl_path(self._data_dir, kind, day).exists() or is_closed(self._data_dir, day))
            if position is not None and gone:
                log.warning("%s.jsonl was deleted after byte %d was read: going on with other days", file, position)


def _lines_of(path: Path) -> Iterator[list[bytes]]:
    """The lines of a Parquet file, in chunks. Raises Unavailable when it cannot be read."""
    from hip3_tasks.analysis.compact.line_codec import UNREADABLE, lines_of, read_slices

    try:
        for rows in read_slices(path):
            yield list(lines_of(rows))
    except UNREADABLE as error:
        raise Unavailable(f"{path}: cannot be read ({str(error).partition(chr(10))[0]}); copy it again") from None
