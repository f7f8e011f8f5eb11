"""The JSON lines of one kind of record of a day, and their conversion to Parquet, verified line by line."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import polars as pl

from hip3_tasks.analysis.compact import line_codec
from hip3_tasks.analysis.compact.external_sort import ExternalSort
from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.schemas import RecordSchema
from hip3_tasks.errors import NotCompacted
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.files.line_reader import blocks

HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The number of lines in any order, and the sum of their 128-bit hashes modulo 2^128. Those of parts add up."""

    lines: int = 0
    total: int = 0

    @classmethod
    def from_lines(cls, lines: Iterable[bytes]) -> Self:
        """Fingerprint lines, given without their ends."""
        hashes = [int.from_bytes(blake2b(line, digest_size=HASH_BYTES).digest(), "little") for line in lines]
        return cls(len(hashes), sum(hashes) % (1 << 8 * HASH_BYTES))

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        return Fingerprint(self.lines + other.lines, (self.total + other.total) % (1 << 8 * HASH_BYTES))


class DayLines:
    """A file of lines as it was when this was created; the file may be missing.

    `advance` is called with the number of bytes of lines that were read, from the file or converted back from rows.
    """

    def __init__(self, data_dir: Path, schema: RecordSchema, day: str, *, advance: Advance) -> None:
        self.schema, self.path, self._advance = schema, jsonl_path(data_dir, schema.name, day), advance
        self._identity = self._stat()

    @property
    def size(self) -> int:
        return self._identity[-1] if self._identity else 0

    @property
    def are_unchanged(self) -> bool:
        """Whether the file has the same bytes: files only grow, and a replaced one has another inode."""
        return self._stat() == self._identity

    def write(self, parquet: Path) -> int:
        """Write the lines as sorted rows, durably, verify them, and return their number.

        Raises NotCompacted when the rows would not give back the same lines, and UNREADABLE.
        """
        columns = line_codec.schema_of(self.schema.record)
        by = [name for name in ("market_key", self.schema.timestamp, "offset_ms") if name in columns]
        rows = ExternalSort(parquet.parent, schema=columns, by=by)
        fingerprint, layouts = Fingerprint(), set[int]()
        for block in self._blocks():
            fingerprint += _fingerprint(block)
            frame = self._rows(block)
            layouts.update(frame[line_codec.LINE_FIELDS].unique())
            rows.add(frame)
        rows.write(parquet, line_codec.columns_for(self.schema.record, layouts))
        _flush_to_disk(parquet)
        if self._parquet_fingerprint(parquet) != fingerprint:
            raise self._not_lossless()
        return fingerprint.lines

    def check(self, parquet: Path) -> None:
        """Raises NotCompacted when the rows do not give back the same lines, and UNREADABLE."""
        lines = sum(map(_fingerprint, self._blocks()), Fingerprint())
        rows = self._parquet_fingerprint(parquet)
        if rows != lines:
            raise NotCompacted(
                f"{self.path.name} and {parquet.name} differ ({lines.lines:,} lines, {rows.lines:,} rows):"
                " neither is deleted; without the Parquet of its follow-ups the day is open again"
            )

    def _rows(self, block: bytes) -> pl.DataFrame:
        try:
            return line_codec.rows_of(block, self.schema.record)
        except line_codec.UNREADABLE:
            raise self._not_lossless() from None

    def _blocks(self) -> Iterator[bytes]:
        if self._identity is None:
            return
        with self.path.open("rb") as file:
            for block in blocks(file.fileno(), 0, self.size, line_codec.BLOCK_BYTES):
                yield block
                self._advance(len(block))

    def _parquet_fingerprint(self, parquet: Path) -> Fingerprint:
        fingerprint = Fingerprint()
        for rows in line_codec.read_slices(parquet):
            lines = list(line_codec.lines_of(rows))
            fingerprint += Fingerprint.from_lines(lines)
            self._advance(sum(map(len, lines)) + len(lines))
        return fingerprint

    def _not_lossless(self) -> NotCompacted:
        with self.path.open("rb") as file:
            altered = line_codec.first_altered(file.fileno(), self.size, self.schema.record)
        if altered is None:
            return NotCompacted(f"{self.path.name}: the rows read back differ from the rows written; check the disk")
        number, line = altered
        return NotCompacted(
            f"{self.path.name}:{number} is not written as this or an earlier version writes lines, and Parquet would"
            f" not give it back: {line[:200]!r}"
        )

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return (stat.st_dev, stat.st_ino, stat.st_size) if stat.st_size else None


def _fingerprint(block: bytes) -> Fingerprint:
    return Fingerprint.from_lines(block.split(b"\n")[:-1])


def _flush_to_disk(path: Path) -> None:
    """Make a file durable, and drop it from the page cache where possible, so that it is read back from the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
