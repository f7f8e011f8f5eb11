"""JSON lines into frames: complete lines only, strictly by a schema, broken lines left out and located, little memory.

polars by itself infers types from the first lines and fails on a later one, fails on an empty file and on a torn tail,
and fails on all lines if one is broken.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import compress
from pathlib import Path
from typing import TypeVar

import orjson
import polars as pl

from hip3_tasks.files.line_reader import complete_length

BLOCK_BYTES = 4 << 20
"""Small enough to stay in a processor's cache: blocks of 64 MB take half as long again."""
BLOCKS_AHEAD = 4
THREADS = os.cpu_count() or 1

Advance = Callable[[int], object]
"""Called with the number of bytes read since its last call."""
Schema = dict[str, pl.DataType]
Project = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.Series]]
"""Maps rows as read to the frame of those wanted, and to a mask of the valid ones: Boolean, one for each row read."""
Item = TypeVar("Item")
Result = TypeVar("Result")
_Parsed = tuple[int, pl.DataFrame, list[int]]
"""The length of a block in bytes, its frame, and the offsets of its broken lines in the file."""


class JsonLines:
    """A file of lines, up to its size when it was listed."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path, self.size_bytes, self.torn_bytes = path, size_bytes, 0
        self.broken_at: list[int] = []
        """Offsets of the broken lines in bytes; unsorted, since those of very long lines come early."""

    def frames(self, schema: Schema, project: Project, advance: Advance = lambda _: None) -> Iterator[pl.DataFrame]:
        """The projected rows in the order of the file, parsed by several threads some blocks ahead. Raises OSError."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            size = min(self.size_bytes, os.fstat(fd).st_size)
            end = complete_length(fd, size)
            self.torn_bytes = size - end
            advance(self.torn_bytes)
            blocks = self._blocks(fd, end, advance)
            parsed = map_ahead(
                lambda block: _parse(*block, schema, project), blocks, threads=THREADS, steps=BLOCKS_AHEAD
            )
            for length, frame, broken_at in parsed:
                self.broken_at += broken_at
                advance(length)
                yield frame
        finally:
            os.close(fd)

    def line_numbers(self, offsets: list[int]) -> list[int]:
        """The numbers, from 1, of the lines that begin at these offsets, given in order."""
        numbers, line, position = [], 1, 0
        with self.path.open("rb") as file:
            for offset in offsets:
                while position < offset and (block := file.read(min(BLOCK_BYTES, offset - position))):
                    line, position = line + block.count(b"\n"), position + len(block)
                numbers.append(line)
        return numbers

    def _blocks(self, fd: int, end: int, advance: Advance) -> Iterator[tuple[int, bytes]]:
        start = 0
        while start < end:
            stop = complete_length(fd, min(start + BLOCK_BYTES, end))
            if stop > start:
                # Read at the length to parse: a slice of a larger read would copy it once more.
                block = os.pread(fd, stop - start, start)
                yield start, block[: block.rfind(b"\n") + 1]
            elif (size := os.fstat(fd).st_size) < end:  # its writer removed lines that it could not sync
                end = complete_length(fd, size)
                continue
            else:  # no line of a record is as long as a block
                self.broken_at.append(start)
                stop = _next_line(fd, start + BLOCK_BYTES, end)
                advance(stop - start)
            start = stop


def map_ahead(work: Callable[[Item], Result], items: Iterable[Item], *, threads: int, steps: int) -> Iterator[Result]:
    """Call a function in threads; yield the results in the order of the items.

    To bound memory, at most `steps` are computed ahead. An error is raised in its place.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > steps:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _next_line(fd: int, position: int, end: int) -> int:
    while position < end and (block := os.pread(fd, min(BLOCK_BYTES, end - position), position)):
        if newline := block.find(b"\n") + 1:
            return position + newline
        position += len(block)
    return end


def _parse(start: int, block: bytes, schema: Schema, project: Project) -> _Parsed:
    try:
        rows = pl.read_ndjson(block, schema=schema)
    except pl.exceptions.PolarsError:
        return len(block), *_salvage(_lines(start, block), schema, project)
    frame, is_valid = project(rows)
    if is_valid.all():
        return len(block), frame, []
    offsets = (offset for offset, _ in _lines(start, block))
    return len(block), frame, list(compress(offsets, ~is_valid))


def _lines(start: int, block: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with their offsets in the file, without blank ones, which polars skips too."""
    for line in block.split(b"\n"):
        if line.strip():
            yield start, line
        start += len(line) + 1


def _salvage(lines: Iterator[tuple[int, bytes]], schema: Schema, project: Project) -> tuple[pl.DataFrame, list[int]]:
    """Parse a block that has a broken line, line by line."""
    records = [(offset, _record(line, schema)) for offset, line in lines]
    decoded = [(offset, record) for offset, record in records if record is not None]
    frame, is_valid = project(pl.DataFrame([record for _, record in decoded], schema=schema, orient="row"))
    undecoded = [offset for offset, record in records if record is None]
    invalid = compress((offset for offset, _ in decoded), ~is_valid)
    return frame, sorted([*undecoded, *invalid])


def _record(line: bytes, schema: Schema) -> dict[str, object] | None:
    """The fields of a line that the schema names; None unless it is an object and each has its type or is null."""
    try:
        values = orjson.loads(line)
        return {name: _value(values.get(name), kind) for name, kind in schema.items()}
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _value(value: object, kind: pl.DataType) -> object:
    if value is None:
        return None
    if isinstance(kind, pl.List) and isinstance(value, list):
        return [_value(item, pl.Float64()) for item in value]
    if kind == pl.String and isinstance(value, str):
        return value
    if kind == pl.Float64 and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"{value!r} is not a {kind}")
