"""Which files of which directories hold what is asked for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hip3_tasks.analysis.loading.selection import Selection
from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import days_of


@dataclass(frozen=True, slots=True)
class Source:
    """A file of one kind of record and one UTC day."""

    path: Path
    kind: str
    day: str
    is_parquet: bool
    size_bytes: int
    """When it was listed. Of follow-ups that was before their signals, so that none has come in meanwhile whose signal
    has not."""
    is_alone: bool = False
    """Compacted, so that each record is there once, and no other directory has files of its day."""


def sources_of(dirs: Sequence[Path], selection: Selection) -> list[Source]:
    """The files to read, day by day; of a closed day, the Parquet. Raises Unavailable where there are none."""
    listed = [file for data_dir in dict.fromkeys(path.resolve() for path in dirs) for file in _listed(data_dir)]
    found = [Source(*file, size_bytes=_size_bytes(file[0])) for file in sorted(listed, key=_signals_last)]
    chosen = [source for source in found if selection.has_day(day_start_ms(source.day))]
    if not chosen:
        days = sorted({source.day for source in found})
        raise Unavailable(f"no day asked for has files: there are {days[0]} to {days[-1]}, {len(days)} in all")
    dirs_of = Counter((source.day, source.kind) for source in chosen)
    return sorted(
        (replace(source, is_alone=source.is_parquet and dirs_of[source.day, source.kind] == 1) for source in chosen),
        key=lambda source: (source.day, source.path),
    )


def _listed(data_dir: Path) -> Iterator[tuple[Path, str, str, bool]]:
    for day, files in days_of(data_dir).items():
        for kind, path in (files.parquet if files.is_closed else files.jsonl).items():
            yield path, kind, day, files.is_closed


def _signals_last(file: tuple[Path, str, str, bool]) -> bool:
    return file[1] == "signals"


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted just now, which whoever reads it will tell
        return 0
