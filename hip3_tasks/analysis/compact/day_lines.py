"""The JSON lines of one kind of a day, as they were when first looked at, and Parquet that holds the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from hip3_tasks.analysis.compact.external_sort import Runs
from hip3_tasks.analysis.compact.line_codec import BLOCK_BYTES, UNREADABLE, first_unlike, lines_of, rows_of, slices_of
from hip3_tasks.analysis.compact.multiset_hash import Fingerprint
from hip3_tasks.analysis.loading.columns import columns_of
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.schemas import RecordSchema
from hip3_tasks.errors import NotCompacted
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.files.line_reader import blocks


class DayLines:
    """A file of lines, or none. `advance` is told how many bytes of lines were read, from it or given back by rows."""

    def __init__(self, data_dir: Path, kind: RecordSchema, day: str, *, advance: Advance) -> None:
        self.kind, self.path, self._advance = kind, jsonl_path(data_dir, kind.name, day), advance
        self._schema = columns_of(kind.record)
        self._identity = self._now()

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def size(self) -> int:
        return self._identity[-1] if self._identity else 0

    @property
    def are_unchanged(self) -> bool:
        """Whether they are still the very bytes: files only grow, and a new one is another one."""
        return self._now() == self._identity

    def write(self, parquet: Path) -> int:
        """Make them durable as sorted rows, and read those back; how many. Raises NotCompacted and UNREADABLE."""
        by = [name for name in ("market_key", self.kind.timestamp, "offset_ms") if name in self._schema]
        runs = Runs(parquet.parent, schema=self._schema, by=by)
        seen = Fingerprint()
        for block in self._blocks():
            seen += _of_lines(block)
            runs.add(self._rows_of(block))
        runs.write(parquet)
        _to_disk(parquet)
        if self._fingerprint_of(parquet) != seen:
            raise self._unlike()
        return seen.lines

    def check(self, parquet: Path) -> None:
        """Raises NotCompacted when the rows are not the very lines, and UNREADABLE."""
        seen = sum(map(_of_lines, self._blocks()), Fingerprint())
        kept = self._fingerprint_of(parquet)
        if kept != seen:
            raise NotCompacted(
                f"{self.path.name} and {parquet.name} do not hold the same ({seen.lines:,} lines, {kept.lines:,} rows):"
                " neither is deleted, and without the Parquet of its follow-ups the day is open again"
            )

    def _rows_of(self, block: bytes) -> pl.DataFrame:
        try:
            return rows_of(block, self._schema)
        except UNREADABLE:
            raise self._unlike() from None

    def _blocks(self) -> Iterator[bytes]:
        if self._identity is None:
            return
        with self.path.open("rb") as file:
            for block in blocks(file.fileno(), 0, self.size, BLOCK_BYTES):
                yield block
                self._advance(len(block))

    def _fingerprint_of(self, parquet: Path) -> Fingerprint:
        kept = Fingerprint()
        for rows in slices_of(parquet):
            lines = list(lines_of(rows))
            kept += Fingerprint.of(lines)
            self._advance(sum(map(len, lines)) + len(lines))
        return kept

    def _unlike(self) -> NotCompacted:
        with self.path.open("rb") as file:
            found = first_unlike(file.fileno(), self.size, self._schema)
        if found is None:
            return NotCompacted(f"{self.path.name}: what was read back was not what had been written; look to the disk")
        number, line = found
        return NotCompacted(
            f"{self.path.name}:{number} is laid out as this version writes no line, and could not be had back"
            f" from Parquet: {line[:200]!r}"
        )

    def _now(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return (stat.st_dev, stat.st_ino, stat.st_size) if stat.st_size else None


def _of_lines(block: bytes) -> Fingerprint:
    return Fingerprint.of(block.split(b"\n")[:-1])


def _to_disk(path: Path) -> None:
    """Make a file durable, and forget it as far as the machine lets us: it is to be read back from the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
