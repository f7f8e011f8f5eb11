"""The ends of the data files: lines appended to them, on any day, as they come."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hip3_tasks.files.day_files import KINDS
from hip3_tasks.files.line_reader import CHUNK_BYTES, blocks, complete_length, opened

DataFile = tuple[str, Path, int]
"""(kind, path, size) of a data file."""


class NewLines(NamedTuple):
    """Complete lines of a file, without their ends, and the offset at which the first one begins."""

    kind: str
    lines: list[bytes]
    path: Path
    start: int


class Tail:
    """Reads each complete line that is appended after its construction once."""

    def __init__(self, data_dir: Path, read_to: dict[Path, int] | None = None) -> None:
        """Begin at these offsets, and at the beginning of other files; None begins at the end of each file."""
        self._data_dir = data_dir
        self.read_to = {path: end_of(path) for _, path, _ in data_files(data_dir)} if read_to is None else read_to
        """The offset up to which each file was read, which ends a line."""

    def new_lines(self, files: Iterable[DataFile] | None = None) -> Iterator[NewLines]:
        """Read the lines that these files have got, or all files. Raises OSError when the directory is gone."""
        for kind, path, size in data_files(self._data_dir) if files is None else files:
            # A writer that fails cuts its own bytes off again.
            read_to = self.read_to[path] = min(self.read_to.get(path, 0), size)
            if size > read_to:
                with opened(path) as (fd, end):
                    if 0 < read_to < end and os.pread(fd, 1, read_to - 1) != b"\n":
                        read_to = complete_length(fd, read_to)  # other lines were written in their place
                    for block in blocks(fd, read_to, min(size, end), CHUNK_BYTES):
                        start, read_to = read_to, read_to + len(block)
                        self.read_to[path] = read_to
                        yield NewLines(kind, block.split(b"\n")[:-1], path, start)


def data_files(data_dir: Path) -> list[DataFile]:
    """The files of lines by day, signals before follow-ups and missed."""
    with os.scandir(data_dir) as entries:
        paths = [Path(entry.path) for entry in entries if entry.name.endswith(".jsonl")]
    kinds = {path: path.name.partition("_")[0] for path in paths}
    paths = [path for path in paths if kinds[path] in KINDS]
    return sized(sorted(paths, key=lambda path: (path.stem.partition("_")[2], KINDS.index(kinds[path]))))


def sized(paths: Iterable[Path]) -> list[DataFile]:
    """The same files as they are now, in their order.

    The last one is asked for its size first, so that the signal of each outcome is within the size of its file.
    """
    files = list[DataFile]()
    for path in reversed(list(paths)):
        with suppress(FileNotFoundError):
            files.append((path.name.partition("_")[0], path, path.stat().st_size))
    return files[::-1]


def end_of(path: Path) -> int:
    """The end of a file's last complete line; 0 for an absent file."""
    with opened(path) as (_, length):
        return length
