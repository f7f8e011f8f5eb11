"""Read files of lines while others append to them: only complete lines count, and no file is held in memory."""

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK_BYTES = 1 << 18


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, int]]:
    """(descriptor, length of the complete lines) for the functions below; an absent file has the length 0."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield -1, 0
        return
    try:
        yield fd, complete_length(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def forwards(fd: int, start: int, end: int) -> Iterator[bytes]:
    """Read the complete lines between two offsets, of which `start` begins a line; a torn tail is left out."""
    for block in blocks(fd, start, end, CHUNK_BYTES):
        yield from block.split(b"\n")[:-1]


def blocks(fd: int, start: int, end: int, size: int) -> Iterator[bytes]:
    """Read the same lines with their newlines, in blocks of some `size` bytes."""
    rest = b""
    while start < end and (chunk := os.pread(fd, min(size, end - start), start)):
        start += len(chunk)
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines + newline


def backwards(fd: int, end: int) -> Iterator[list[bytes]]:
    """Read the lines before an offset that ends a line: the last chunk first, each chunk in file order."""
    rest = b""
    while end > 0:
        start = max(0, end - CHUNK_BYTES)
        chunk = os.pread(fd, end - start, start) + rest
        end = start
        if start:
            rest, newline, chunk = chunk.partition(b"\n")
            rest += newline
        if lines := chunk.split(b"\n")[:-1]:
            yield lines


def complete_length(fd: int, size: int) -> int:
    """The number of bytes in complete lines among the first `size` bytes."""
    while size > 0:
        start = max(0, size - CHUNK_BYTES)
        newline = os.pread(fd, size - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0


def containing(fd: int, needle: bytes, start: int, end: int) -> Iterator[bytes]:
    """Find the complete lines between two offsets that contain the needle, the last line first."""
    if end <= start:
        return
    with mmap.mmap(fd, end, access=mmap.ACCESS_READ) as file:
        while (position := file.rfind(needle, start, end)) >= 0:
            begin = file.rfind(b"\n", 0, position) + 1
            stop = file.find(b"\n", position)
            if stop >= 0:
                yield file[begin:stop]
            end = begin


def bisect(fd: int, end: int, is_before: Callable[[bytes], bool]) -> int:
    """The offset of the first line for which `is_before` is false, in a file where all lines before it make it true."""
    if end <= 0:
        return 0
    start = 0
    with mmap.mmap(fd, end, access=mmap.ACCESS_READ) as file:
        while start < end:
            middle = (start + end) // 2
            begin = file.rfind(b"\n", start, middle) + 1 or start
            stop = file.find(b"\n", middle, end)
            if is_before(file[begin:stop]):
                start = stop + 1
            else:
                end = begin
    return start


def read_from(path: Path, start: int = 0) -> tuple[list[bytes], int]:
    """(complete lines, offset after them) of a file from an offset on; ([], 0) for an absent file."""
    with opened(path) as (fd, end):
        return list(forwards(fd, start, end)), max(start, end) if fd >= 0 else 0
