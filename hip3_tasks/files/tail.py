"""The ends of the data files: lines appended to them, on any day, as they come."""

import os
from collections.abc import Iterator
from pathlib import Path

from hip3_tasks.files.day_files import KINDS
from hip3_tasks.files.line_reader import opened, read_from


class Tail:
    """Reads each complete line that is appended after its construction once."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.read_to = {path: _complete_length(path) for _, path, _ in data_files(data_dir)}
        """The offset up to which each file was read; at first the end of its last complete line."""

    def new_lines(self) -> Iterator[tuple[str, list[bytes]]]:
        """(kind of file, lines) for each file that has grown. Raises OSError when the directory is gone."""
        for kind, path, size in data_files(self._data_dir):
            # A writer that fails cuts its own bytes off again.
            read_to = min(self.read_to.get(path, 0), size)
            if size > read_to:
                lines, read_to = read_from(path, read_to)
                yield kind, lines
            self.read_to[path] = read_to


def data_files(data_dir: Path) -> list[tuple[str, Path, int]]:
    """(kind, path, size) of the data files, signals before follow-ups and missed."""
    with os.scandir(data_dir) as entries:
        files = [
            (kind, Path(entry.path), entry.stat().st_size)
            for entry in entries
            if entry.name.endswith(".jsonl") and (kind := entry.name.partition("_")[0]) in KINDS
        ]
    return sorted(files, key=lambda file: (KINDS.index(file[0]), file[1]))


def _complete_length(path: Path) -> int:
    with opened(path) as (_, length):
        return length
