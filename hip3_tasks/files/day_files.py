"""The data files of a directory, by UTC day and kind: their names are made and understood here and nowhere else.

A day is closed when `followups_DAY.parquet` exists: its three Parquet files are what it holds, nothing is added to it
any more, and JSON lines beside them are a copy. Parquet of a day that is not closed was left behind by a compaction
that died, and is no data.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.errors import Unavailable

KINDS = ("signals", "followups", "missed")
WATCHED = "watched"
"""What the feed followed: notes beside the data, which go with their day."""

_NAME = re.compile(rf"({'|'.join((*KINDS, WATCHED))})_([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})\.(jsonl|parquet)", re.ASCII)


def jsonl_path(data_dir: Path, kind: str, day: str) -> Path:
    return data_dir / f"{kind}_{day}.jsonl"


def parquet_path(data_dir: Path, kind: str, day: str) -> Path:
    return data_dir / f"{kind}_{day}.parquet"


def is_closed(data_dir: Path, day: str) -> bool:
    return parquet_path(data_dir, "followups", day).exists()


def day_of(name: str) -> str | None:
    """The day that a file of this name belongs to and goes with; None for a name that is none of ours."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day_start_ms(match[2])
    except ValueError:  # a day that no calendar has
        return None
    return match[2]


@dataclass(frozen=True, slots=True)
class DayFiles:
    """What there is of one day, by kind."""

    day: str
    jsonl: dict[str, Path] = field(default_factory=dict)
    parquet: dict[str, Path] = field(default_factory=dict)
    """Empty unless the day is closed."""

    @property
    def is_closed(self) -> bool:
        return bool(self.parquet)

    @property
    def is_copied(self) -> bool:
        """Whether the day is closed and all its JSON lines are there too; of those, signals are deleted first."""
        return self.is_closed and {"signals", "followups"} <= self.jsonl.keys()


def days_of(data_dir: Path) -> dict[str, DayFiles]:
    """The days of a directory, oldest first. Raises Unavailable where there is none."""
    try:
        names = sorted(path.name for path in data_dir.iterdir())
    except OSError as error:
        raise Unavailable(f"{data_dir}: {error.strerror}: nothing to read") from None
    days: dict[str, DayFiles] = {}
    for name in names:
        kind, day = name.partition("_")[0], day_of(name)
        if day is not None and kind in KINDS:
            files = days.setdefault(day, DayFiles(day))
            (files.jsonl if name.endswith(".jsonl") else files.parquet)[kind] = data_dir / name
    for files in days.values():
        if "followups" not in files.parquet:
            files.parquet.clear()
    found = {day: files for day, files in sorted(days.items()) if files.jsonl or files.parquet}
    if not found:
        raise Unavailable(f"{data_dir}: no signals_, followups_ or missed_YYYY-MM-DD.jsonl: nothing to read")
    return found
