"""Which files of which directories hold what is asked for."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from hip3_tasks.analysis.selection import Selection
from hip3_tasks.errors import Unavailable

_NAME = re.compile(r"(signals|followups|missed|watched)_([0-9]{4}-[0-9]{2}-[0-9]{2})\.(jsonl|parquet)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of one kind of record and one UTC day."""

    path: Path
    kind: str
    day: str
    is_parquet: bool
    size_bytes: int
    is_alone: bool = False
    """Compacted, so that each record is there once, and no other directory has files of its day."""


def sources_of(dirs: Sequence[Path], selection: Selection) -> list[Source]:
    """The files to read, day by day; of a compacted day, the Parquet. Raises Unavailable where there are none."""
    found = [source for data_dir in dict.fromkeys(path.resolve() for path in dirs) for source in _listed(data_dir)]
    if not found:
        said = ", ".join(map(str, dirs))
        raise Unavailable(f"{said}: no signals_, followups_ or missed_YYYY-MM-DD: nothing to report on")
    chosen = [source for source in found if selection.has_day(_start_ms(source.day))]
    if not chosen:
        days = sorted({source.day for source in found})
        raise Unavailable(f"no day asked for has files: there are {days[0]} to {days[-1]}, {len(days)} in all")
    dirs_of = Counter((source.day, source.kind) for source in chosen)
    return sorted(
        (replace(source, is_alone=source.is_parquet and dirs_of[source.day, source.kind] == 1) for source in chosen),
        key=lambda source: (source.day, source.path),
    )


def _listed(data_dir: Path) -> list[Source]:
    try:
        paths = {path.name: path for path in data_dir.iterdir()}
        return [
            Source(paths[match[0]], match[1], match[2], match[3] == "parquet", _size_bytes(paths[match[0]]))
            for match in filter(None, map(_NAME.fullmatch, paths))
            if _is_day(match[2])
            and (match[1] == "watched" or (match[3] == "parquet") == (f"followups_{match[2]}.parquet" in paths))
        ]
    except OSError as error:
        raise Unavailable(f"{data_dir}: {error.strerror}: nothing to report on") from None


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted just now, which whoever reads it will tell
        return 0


def _is_day(day: str) -> bool:
    try:
        return bool(_start_ms(day))
    except ValueError:
        return False


def _start_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000
