"""Notes of which markets are followed, for whoever asks later how many of them had a signal."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.records import Watched
from hip3_tasks.errors import JournalError
from hip3_tasks.files.append_file import AppendFile
from hip3_tasks.files.day_files import WATCHED, jsonl_path

log = structlog.get_logger()


class WatchNotes:
    """One line at the start, when the markets change, and when a UTC day begins; only ever a warning if it fails."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._noted: tuple[str, list[str]] | None = None
        self._is_failing = False

    def note(self, coins: Sequence[str], *, at_ms: int) -> None:
        """Note the markets that are followed now, unless that is known; what fails is tried again the next time."""
        today = utc_day(at_ms), sorted(coins)
        if today == self._noted or (self._noted is None and not coins):
            return
        try:
            with closing(AppendFile(jsonl_path(self._data_dir, WATCHED, today[0]), Watched)) as file:
                file.repair_tail()
                file.append(Watched(at_ms=at_ms, coins=tuple(today[1])).line())
        except (JournalError, OSError) as error:
            if not self._is_failing:
                log.warning("watched_not_noted", error=str(error))
            self._is_failing = True
        else:
            self._noted, self._is_failing = today, False
