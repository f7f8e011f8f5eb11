"""The ends of the data files: what is appended to them, of whatever day, as it comes."""

import os
from collections.abc import Iterator
from pathlib import Path

from hip3_tasks.files.day_files import KINDS
from hip3_tasks.files.line_reader import complete_length, read_from


class Tail:
    """The whole lines appended since its making, each once."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.read_to = {path: _complete_length(path) for _, path, _ in data_files(data_dir)}
        """Up to where each file is known; at first where each ended."""

    def new_lines(self) -> Iterator[tuple[str, list[bytes]]]:
        """By kind of file. Raises OSError when the directory is gone."""
        for kind, path, size in data_files(self._data_dir):
            # A writer that could not finish takes its own bytes back.
            read_to = min(self.read_to.get(path, 0), size)
            if size > read_to:
                lines, read_to = read_from(path, read_to)
                yield kind, lines
            self.read_to[path] = read_to


def data_files(data_dir: Path) -> list[tuple[str, Path, int]]:
    """The data files with their kinds and sizes, signals before what became of them."""
    with os.scandir(data_dir) as entries:
        found = [
            (kind, Path(entry.path), entry.stat().st_size)
            for entry in entries
            if entry.name.endswith(".jsonl") and (kind := entry.name.partition("_")[0]) in KINDS
        ]
    return sorted(found, key=lambda file: (KINDS.index(file[0]), file[1]))


def _complete_length(path: Path) -> int:
    with path.open("rb") as file:
        return complete_length(file.fileno(), os.fstat(file.fileno()).st_size)
