"""Which markets were followed, noted beside the data, so that a report can say of how many it tells."""

from collections.abc import Iterable
from pathlib import Path

from hip3_tasks.appendfile import AppendFile
from hip3_tasks.capture import utc_day
from hip3_tasks.dayfiles import WATCHED, jsonl_path
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.lines import read_from
from hip3_tasks.records import Coin, InstantMs, Record


class Watched(Record):
    """The markets followed from an instant on, until the next line says otherwise."""

    at_ms: InstantMs
    coins: tuple[Coin, ...]


class WatchedNotes:
    """One feed's notes: at its start, at the start of each UTC day, and at each change."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._noted: tuple[str, tuple[str, ...]] | None = None

    def note(self, coins: Iterable[str], *, at_ms: int) -> None:
        """Leave a line if there is anything new to say. Raises JournalError; then it is new the next time too."""
        day, now = utc_day(at_ms), tuple(sorted(coins))
        if now and (day, now) != self._noted:
            file = AppendFile(jsonl_path(self._data_dir, WATCHED, day), Watched)
            try:
                file.mend()
                file.append(Watched(at_ms=at_ms, coins=now).line())
            finally:
                file.close()
            self._noted = (day, now)


def watched_in(paths: Iterable[Path]) -> set[str]:
    """Every market that notes name; a line that is none is passed over. Raises OSError."""
    found: set[str] = set()
    for path in paths:
        for line in read_from(path)[0]:
            try:
                found.update(Watched.from_line(line).coins)
            except MalformedRecord:
                continue
    return found
