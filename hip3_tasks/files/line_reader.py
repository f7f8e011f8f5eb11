"""Reading files of lines while others append to them: only whole lines count, and no file is held in memory."""

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 1 << 18


def forwards(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The whole lines between two offsets, `start` being the start of a line; a torn tail is left out."""
    rest = b""
    while start < end:
        chunk = os.pread(fd, min(CHUNK_BYTES, end - start), start)
        if not chunk:
            return
        start += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def blocks(fd: int, end: int, size: int) -> Iterator[bytes]:
    """The whole lines before an offset, some `size` bytes of them at a time, each with its end."""
    start, rest = 0, b""
    while start < end and (chunk := os.pread(fd, min(size, end - start), start)):
        start += len(chunk)
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if newline:
            yield lines + newline


def backwards(fd: int, end: int) -> Iterator[list[bytes]]:
    """The whole lines before an offset that is the end of a line, last chunk first; each chunk in file order."""
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
    """How many of the first `size` bytes are whole lines."""
    while size > 0:
        start = max(0, size - CHUNK_BYTES)
        newline = os.pread(fd, size - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        size = start
    return 0


def containing(fd: int, needle: bytes, start: int, end: int) -> Iterator[bytes]:
    """The whole lines that contain the needle between two offsets, last one first."""
    if end <= start:
        return
    with mmap.mmap(fd, end, access=mmap.ACCESS_READ) as file:
        while (found := file.rfind(needle, start, end)) >= 0:
            begin = file.rfind(b"\n", 0, found) + 1
            stop = file.find(b"\n", found)
            if stop >= 0:
                yield file[begin:stop]
            end = begin


def bisect(fd: int, end: int, is_before: Callable[[bytes], bool]) -> int:
    """Where the first line begins that is not before something, in a file whose lines before it come first."""
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
    """The whole lines of a file from an offset on, and the offset after them; nothing where there is no file."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return [], 0
    try:
        end = complete_length(fd, os.fstat(fd).st_size)
        return list(forwards(fd, start, end)), max(start, end)
    finally:
        os.close(fd)
