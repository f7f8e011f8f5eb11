"""JSON lines into frames: whole lines only, strictly by a schema, what is broken put aside and named, little memory.

polars by itself infers types from the first lines and fails on a later one, fails on an empty file and on a torn tail,
and on one broken line as on all.
"""

import os
from collections.abc import Callable, Iterator
from itertools import compress
from pathlib import Path

import orjson
import polars as pl

from hip3_tasks.analysis.loading.prefetch import THREADS, ahead
from hip3_tasks.files.line_reader import complete_length

PIECE_BYTES = 4 << 20
"""Small enough to stay in a processor's cache: pieces of 64 MB take half as long again."""
NEAR_BYTES = 1 << 14
AHEAD = 4

Advance = Callable[[int], object]
Schema = dict[str, pl.DataType]
Shape = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.Series]]
"""Of rows as they were read, what is wanted, and for each whether it is in order."""
_Parsed = tuple[int, pl.DataFrame, list[int]]
"""How long a piece of a file is, what is wanted of it, and where its broken lines begin, in bytes."""


class JsonLines:
    """One file of lines, as long as it was when it was listed."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path, self.size_bytes, self.torn_bytes = path, size_bytes, 0
        self.broken_at: list[int] = []
        """Where each line begins that is not in order, in bytes; those of very long ones come early."""

    def frames(self, schema: Schema, shape: Shape, advance: Advance = lambda _: None) -> Iterator[pl.DataFrame]:
        """What is wanted, in the order of the file, parsed by several threads a few pieces ahead. Raises OSError."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            size = min(self.size_bytes, os.fstat(fd).st_size)
            end = complete_length(fd, size)
            self.torn_bytes = size - end
            advance(self.torn_bytes)
            pieces = self._pieces(fd, end, advance)
            parsing = ahead(lambda piece: _parsed(*piece, schema, shape), pieces, threads=THREADS, steps=AHEAD)
            for length, frame, broken_at in parsing:
                self.broken_at += broken_at
                advance(length)
                yield frame
        finally:
            os.close(fd)

    def line_numbers(self, offsets: list[int]) -> list[int]:
        """Which lines, from 1, begin at these places, given in order."""
        numbers, line, at = [], 1, 0
        with self.path.open("rb") as file:
            for offset in offsets:
                while at < offset and (chunk := file.read(min(PIECE_BYTES, offset - at))):
                    line, at = line + chunk.count(b"\n"), at + len(chunk)
                numbers.append(line)
        return numbers

    def _pieces(self, fd: int, end: int, advance: Advance) -> Iterator[tuple[int, bytes]]:
        start = 0
        while start < end:
            stop = _last_newline(fd, start, min(start + PIECE_BYTES, end))
            if stop > start:
                # Read as it is to be parsed: to cut it out of more would copy it once again.
                piece = os.pread(fd, stop - start, start)
                yield start, piece[: piece.rfind(b"\n") + 1]
            elif (size := os.fstat(fd).st_size) < end:  # its writer took back what it could not sync
                end = complete_length(fd, size)
                continue
            else:  # no line of any record is as long
                self.broken_at.append(start)
                stop = _next_line(fd, start + PIECE_BYTES, end)
                advance(stop - start)
            start = stop


def _last_newline(fd: int, start: int, end: int) -> int:
    """Where the line begins that these bytes end in the middle of, or `start`."""
    near = max(start, end - NEAR_BYTES)
    newline = os.pread(fd, end - near, near).rfind(b"\n") + 1
    if not newline and near > start:
        return _last_newline(fd, start, near)
    return near + newline if newline else start


def _next_line(fd: int, at: int, end: int) -> int:
    while at < end and (chunk := os.pread(fd, min(PIECE_BYTES, end - at), at)):
        if newline := chunk.find(b"\n") + 1:
            return at + newline
        at += len(chunk)
    return end


def _parsed(start: int, piece: bytes, schema: Schema, shape: Shape) -> _Parsed:
    try:
        read = pl.read_ndjson(piece, schema=schema)
    except pl.exceptions.PolarsError:
        return len(piece), *_salvaged(_placed(start, piece), schema, shape)
    frame, in_order = shape(read)
    if in_order.all():
        return len(piece), frame, []
    places = (at for at, _ in _placed(start, piece))
    return len(piece), frame, list(compress(places, ~in_order))


def _placed(start: int, piece: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines with where they begin, but for blank ones, which polars passes over as well."""
    for line in piece.split(b"\n"):
        if line.strip():
            yield start, line
        start += len(line) + 1


def _salvaged(lines: Iterator[tuple[int, bytes]], schema: Schema, shape: Shape) -> tuple[pl.DataFrame, list[int]]:
    """A piece in which something is broken, line by line."""
    good: list[dict[str, object]] = []
    places: list[int] = []
    broken_at: list[int] = []
    for at, line in lines:
        record = _record(line, schema)
        if record is None:
            broken_at.append(at)
        else:
            good.append(record)
            places.append(at)
    frame, in_order = shape(pl.DataFrame(good, schema=schema, orient="row"))
    return frame, sorted([*broken_at, *compress(places, ~in_order)])


def _record(line: bytes, schema: Schema) -> dict[str, object] | None:
    """The fields of a line that the schema asks for; None unless it is an object and each of its right type or null."""
    try:
        read = orjson.loads(line)
        return {name: _value(read.get(name), kind) for name, kind in schema.items()}
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None


def _value(value: object, kind: pl.DataType) -> object:
    if value is None:
        return None
    if isinstance(kind, pl.List) and isinstance(value, list):
        return [_value(part, pl.Float64()) for part in value]
    if kind == pl.String and isinstance(value, str):
        return value
    if kind == pl.Float64 and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"{value!r} is no {kind}")
