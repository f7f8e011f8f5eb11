"""The data files of a directory, by UTC day and kind: only this module makes and parses their names.

A day is closed when `followups_DAY.parquet` exists: its data are its three Parquet files, nothing is added to it any
more, and JSON lines beside them are a copy. Parquet of a day that is not closed was left behind by a compaction that
died, and is no data.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from hip3_tasks.domain.capture import day_start_ms
from hip3_tasks.errors import Unavailable

KINDS = ("signals", "followups", "missed")
MAX_NAMED = 5
WATCHED = "watched"
"""Kind of the files that list the markets which the feed followed; deleted with their day."""
TAKEN = "taken"
"""Kind of the files with the orders of a finished day by the kept tape; deleted with their day."""
SUMS = "sums"
"""Kind of the files with the sums of finished days, which a report makes again if they are gone; deleted with their
day."""

_KINDS = "|".join((*KINDS, WATCHED, TAKEN, SUMS))
_NAME = re.compile(rf"({_KINDS})_([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})\.(jsonl|parquet)", re.ASCII)
_RULES = "rules.jsonl"
_OWN = re.compile(
    rf"(?:{_KINDS})_[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\..*"
    r"|rules\.jsonl|run\.json|\.feed|\.recorder|.*\.lock|.*\.raw\.gz"
    r"|[0-9]{2}(?:[0-9]{2})?\.parquet|[0-9]{4}-[0-9]{2}-[0-9]{2}\.parquet",
    re.ASCII,
)


def is_own(path: Path) -> bool:
    """Whether a file's name, or that of the file it links to, is one of those that a system keeps in its directory."""
    return any(_OWN.fullmatch(name) for name in (path.name, path.resolve().name))


_DATA = re.compile(rf"(?:{_KINDS}).*|.*\.(?:jsonl|ndjson|parquet|arrow|gz|zst|bz2|xz|lz4)", re.IGNORECASE)


def unread(data_dir: Path) -> list[str]:
    """The names of files that look like data and are read by nothing: compressed, renamed, or of another program."""
    try:
        names = sorted(path.name for path in data_dir.iterdir() if not path.is_dir())
    except OSError:
        return []
    return [name for name in names if _DATA.fullmatch(name) and day_of(name) is None and name != _RULES]


def unread_sentence(data_dir: Path) -> str | None:
    """A sentence that names them; None without any."""
    names = unread(data_dir)
    if not names:
        return None
    more = ", ..." if len(names) > MAX_NAMED else ""
    return f"not read: {', '.join(names[:MAX_NAMED])}{more}; only KIND_DAY.jsonl and KIND_DAY.parquet are"


def jsonl_path(data_dir: Path, kind: str, day: str) -> Path:
    return data_dir / f"{kind}_{day}.jsonl"


def parquet_path(data_dir: Path, kind: str, day: str) -> Path:
    return data_dir / f"{kind}_{day}.parquet"


def is_closed(data_dir: Path, day: str) -> bool:
    return parquet_path(data_dir, "followups", day).exists()


def day_of(name: str) -> str | None:
    """The day of a data file, with which it is deleted; None for a name of any other file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        day_start_ms(match[2])
    except ValueError:  # a day that does not exist
        return None
    return match[2]


@dataclass(frozen=True, slots=True)
class DayFiles:
    """The files of one day, by kind."""

    day: str
    jsonl: dict[str, Path] = field(default_factory=dict)
    parquet: dict[str, Path] = field(default_factory=dict)
    """Empty unless the day is closed."""

    @property
    def is_closed(self) -> bool:
        return bool(self.parquet)

    @property
    def is_copied(self) -> bool:
        """Whether the day is closed and its JSON lines are there too; of these files, signals are deleted first."""
        return self.is_closed and {"signals", "followups"} <= self.jsonl.keys()


def days_of(data_dir: Path) -> dict[str, DayFiles]:
    """The days of a directory, oldest first. Raises Unavailable when it has none."""
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
    days = {day: files for day, files in sorted(days.items()) if files.jsonl or files.parquet}
    if not days:
        raise Unavailable(
            f"{data_dir}: no signals_, followups_ or missed_YYYY-MM-DD.jsonl: nothing to read"
            + (f"; {sentence}" if (sentence := unread_sentence(data_dir)) else "")
        )
    return days
