"""Records which markets are followed and heard, so that the report can count markets that never had a signal."""

from collections.abc import Collection, Mapping
from contextlib import closing
from pathlib import Path

import structlog

from hip3_tasks.domain.capture import MINUTE_MS, utc_day
from hip3_tasks.domain.records import Dark, Followed
from hip3_tasks.errors import JournalError
from hip3_tasks.files.append_file import AppendFile
from hip3_tasks.files.day_files import WATCHED, jsonl_path

log = structlog.get_logger()

SETTLED_MS = 5_000
"""A change is written once none followed for this long: at a start, markets are heard one after the other."""

_State = tuple[tuple[str, ...], tuple[Dark, ...]]
"""The markets that are heard, and those that are dark."""


class FollowedLog:
    """Has a line for the start, each change of the followed markets, and each new UTC day.

    Changes of what is heard alone make one line a minute at most. A failure to write is a warning.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._written: Followed | None = None
        self._state: _State = (), ()
        self._changed_at_ms = 0
        self._next_change_at_ms = 0
        self._is_failing = False

    def update(self, coins: Collection[str], *, heard: Collection[str], dark: Mapping[str, Dark], at_ms: int) -> None:
        """Write a line if one is due; the next call repeats a write that failed.

        `heard` are the markets whose state is known, `dark` the others, as far as the cause is known.
        """
        followed = tuple(sorted(coins))
        state = tuple(sorted(heard)), tuple(dark[coin] for coin in sorted(dark))
        if state != self._state:
            self._state, self._changed_at_ms = state, at_ms
        is_change_alone = self._is_written(followed, at_ms)
        if is_change_alone and not self._is_change_due(at_ms):
            return
        if self._written is None and not followed:
            return
        line = Followed(at_ms=at_ms, coins=followed, heard=state[0], dark=state[1])
        if self._write(line) and is_change_alone:
            self._next_change_at_ms = at_ms + MINUTE_MS

    def _is_written(self, followed: tuple[str, ...], at_ms: int) -> bool:
        """Whether a line of this day has these followed markets."""
        last = self._written
        return last is not None and last.coins == followed and utc_day(last.at_ms) == utc_day(at_ms)

    def _is_change_due(self, at_ms: int) -> bool:
        last = self._written
        if last is None or self._state == (last.heard, last.dark) or at_ms < self._next_change_at_ms:
            return False
        return at_ms - self._changed_at_ms >= SETTLED_MS or at_ms - last.at_ms >= MINUTE_MS

    def _write(self, line: Followed) -> bool:
        try:
            with closing(AppendFile(jsonl_path(self._data_dir, WATCHED, utc_day(line.at_ms)), Followed)) as file:
                file.repair_tail()
                file.append(line.line())
        except (JournalError, OSError) as error:
            if not self._is_failing:
                log.warning("followed_markets_not_written", error=str(error))
            self._is_failing = True
        else:
            self._written, self._is_failing = line, False
        return not self._is_failing
