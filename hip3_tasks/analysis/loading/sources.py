"""The files that hold the selected records: JSON lines of open days, Parquet of compacted ones."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.domain.records import Followed
from hip3_tasks.errors import MalformedRecord, Unavailable
from hip3_tasks.files.day_files import WATCHED, days_of, jsonl_path
from hip3_tasks.files.line_reader import read_from


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file with one kind of record of one UTC day."""

    path: Path
    kind: str
    day: str
    is_parquet: bool
    size_bytes: int = 0
    """Size when listed. Follow-ups are listed before signals, so the signal of each is within the listed bytes."""
    is_only_copy: bool = False
    """It is compacted, which leaves no record twice, and no other directory has this kind of record of its day."""


def list_sources(dirs: Sequence[Path], selection: Selection) -> list[SourceFile]:
    """The files to read, sorted by day and path; the Parquet of a closed day. Raises Unavailable if there are none."""
    unique_dirs = dict.fromkeys(path.resolve() for path in dirs)
    days = [files for data_dir in unique_dirs for files in days_of(data_dir).values()]
    files = [
        SourceFile(path=path, kind=kind, day=day.day, is_parquet=day.is_closed)
        for day in days
        for kind, path in (day.parquet if day.is_closed else day.jsonl).items()
    ]
    selected = [file for file in files if selection.has_day(day_start_ms(file.day))]
    if not selected:
        names = sorted({file.day for file in files})
        raise Unavailable(f"no selected day has files: there are {names[0]} to {names[-1]}, {len(names)} in all")
    copies = Counter((file.day, file.kind) for file in selected)
    signals_last = sorted(selected, key=lambda file: file.kind == "signals")
    sources = [
        replace(
            file, size_bytes=_size_bytes(file.path), is_only_copy=file.is_parquet and copies[file.day, file.kind] == 1
        )
        for file in signals_last
    ]
    return sorted(sources, key=lambda file: (file.day, file.path))


def followed_coins(sources: Sequence[SourceFile]) -> tuple[set[str], set[str]]:
    """Coins that the feed followed on the days that are read, and those that it heard, as its files say.

    A line of 0.1.0 does not tell which were heard: all of them. Raises Unavailable.
    """
    followed, heard = set[str](), set[str]()
    for path in sorted({jsonl_path(source.path.parent, WATCHED, source.day) for source in sources}):
        try:
            for line in read_from(path)[0]:
                with suppress(MalformedRecord):
                    record = Followed.from_line(line)
                    followed.update(record.coins)
                    heard.update(record.coins if record.heard is None else record.heard)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from None
    return followed, heard


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted since it was listed: the loader reports it
        return 0
