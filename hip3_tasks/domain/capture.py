"""A capture: the follow-up of one signal at one offset. Also its ids, and the UTC days of data files."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Self

from hip3_tasks.domain.market import COIN
from hip3_tasks.errors import BadCapture

_MEMBER = re.compile(r"(.+)\|([1-9][0-9]{0,6})", re.ASCII)
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MAX_OFFSET_MS = HOUR_MS


def signal_id_of(market_key: str, timestamp_ms: int) -> str:
    """`{market_key}-{timestamp_ms}`: at most one signal per market and millisecond."""
    return f"{market_key}-{timestamp_ms}"


def parse_signal_id(signal_id: str) -> tuple[str, int]:
    """(market_key, timestamp_ms), the inverse of `signal_id_of`; the market key is not checked. Raises BadCapture."""
    market_key, _, digits = signal_id.rpartition("-")
    if len(digits) != 13 or digits[0] == "0" or not (digits.isascii() and digits.isdigit()):
        raise _bad_signal_id(signal_id)
    return market_key, int(digits)


def _bad_signal_id(signal_id: object) -> BadCapture:
    return BadCapture(f"signal_id: expected 'DEX:COIN-MILLISECONDS', was {str(signal_id)[:80]!r}")


def utc_day(at_ms: int) -> str:
    """`YYYY-MM-DD` of an instant; the only source of a data file's name."""
    return _day(at_ms // DAY_MS)


def day_start_ms(day: str) -> int:
    """The first instant of `YYYY-MM-DD`. Raises ValueError for a day that does not exist."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


@lru_cache(maxsize=16)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS // 1000, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True)
class Capture:
    """A follow-up to be captured, known by its ids; its signal need not exist."""

    signal_id: str
    offset_ms: int
    market_key: str
    timestamp_ms: int

    @classmethod
    def from_ids(cls, signal_id: Any, offset_ms: Any) -> Self:
        """Validate task arguments, which may be anything. Raises BadCapture."""
        market_key, timestamp_ms = parse_signal_id(signal_id) if isinstance(signal_id, str) else ("", 0)
        if not COIN.fullmatch(market_key):
            raise _bad_signal_id(signal_id)
        if type(offset_ms) is not int or not 0 < offset_ms <= MAX_OFFSET_MS:
            raise BadCapture(f"offset_ms: expected 1 to {MAX_OFFSET_MS}, was {str(offset_ms)[:80]!r}")
        return cls(signal_id, offset_ms, market_key, timestamp_ms)

    @classmethod
    def from_member(cls, member: str) -> Self:
        """Parse `signal_id|offset_ms`, the member of the pending set. Raises BadCapture."""
        match = _MEMBER.fullmatch(member)
        if match is None:
            raise BadCapture(f"member: expected 'SIGNAL_ID|OFFSET_MS', was {member[:80]!r}")
        return cls.from_ids(match[1], int(match[2]))

    @classmethod
    def from_task_id(cls, task_id: str) -> Self:
        """Parse `signal_id:offset_ms`, the usual id of its task. Raises BadCapture."""
        return cls.from_member("|".join(task_id.rsplit(":", 1)))

    @property
    def member(self) -> str:
        return f"{self.signal_id}|{self.offset_ms}"

    @property
    def task_id(self) -> str:
        """Always the same for a capture, so that Flower shows a repeated task as such."""
        return f"{self.signal_id}:{self.offset_ms}"

    @property
    def due_at_ms(self) -> int:
        """T+N, on the feed's clock: the instant whose state is captured."""
        return self.timestamp_ms + self.offset_ms

    @property
    def day(self) -> str:
        """The UTC day of the signal; the follow-up is in the files of that day."""
        return utc_day(self.timestamp_ms)
