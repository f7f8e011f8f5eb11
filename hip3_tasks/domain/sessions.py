"""The opening hours of the stock market that most HIP-3 oracles follow. Holidays are not known here."""

from bisect import bisect_right
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


class Session(StrEnum):
    """A part of the New York week. Each begins and ends on a half hour."""

    REGULAR = "regular"
    """Monday to Friday, 09:30 to 16:00."""
    EXTENDED = "extended"
    """The other hours from Sunday 20:00 to Friday 20:00: oracles move on thinner trading."""
    WEEKEND = "weekend"
    """The rest: many oracles are then a slow average of their own book."""


DAY, CHANGES = 24 * 60, [(9 * 60 + 30, Session.REGULAR), (16 * 60, Session.EXTENDED)]
WEEK = [
    (0, Session.EXTENDED),
    *((day * DAY + minute, session) for day in range(5) for minute, session in CHANGES),
    (4 * DAY + 20 * 60, Session.WEEKEND),
    (6 * DAY + 20 * 60, Session.EXTENDED),
]
"""The minute of the week, from Monday 00:00, at which each session begins."""


def session_at(at_ms: int) -> Session:
    """The session of an instant."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(NEW_YORK)
    minute = local.weekday() * DAY + local.hour * 60 + local.minute
    return WEEK[bisect_right(WEEK, minute, key=lambda start: start[0]) - 1][1]
