"""Records which markets are followed, so that the report can count markets that never had a signal."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.records import Followed
from hip3_tasks.errors import JournalError
from hip3_tasks.files.append_file import AppendFile
from hip3_tasks.files.day_files import WATCHED, jsonl_path

log = structlog.get_logger()


class FollowedLog:
    """Has a line for the start, each change of the markets, and each new UTC day. A failure to write is a warning."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._written: tuple[str, list[str]] | None = None
        self._is_failing = False

    def update(self, coins: Sequence[str], *, at_ms: int) -> None:
        """Write the followed markets if they or the day have changed; the next call repeats a write that failed."""
        today = utc_day(at_ms), sorted(coins)
        if today == self._written or (self._written is None and not coins):
            return
        try:
            with closing(AppendFile(jsonl_path(self._data_dir, WATCHED, today[0]), Followed)) as file:
                file.repair_tail()
                file.append(Followed(at_ms=at_ms, coins=tuple(today[1])).line())
        except (JournalError, OSError) as error:
            if not self._is_failing:
                log.warning("followed_markets_not_written", error=str(error))
            self._is_failing = True
        else:
            self._written, self._is_failing = today, False
