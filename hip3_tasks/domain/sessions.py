"""When the stock market that most HIP-3 oracles follow is open. Holidays are not known here."""

from datetime import UTC, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
OPEN, CLOSE, LATE = time(9, 30), time(16), time(20)
FRIDAY, SATURDAY, SUNDAY = 4, 5, 6


class Session(StrEnum):
    """Of the New York week."""

    REGULAR = "regular"
    """Monday to Friday, 09:30 to 16:00."""
    EXTENDED = "extended"
    """The other hours from Sunday 20:00 to Friday 20:00: oracles move on thinner trading."""
    WEEKEND = "weekend"
    """The rest: many oracles are then a slow average of their own book."""


def session_at(at_ms: int) -> Session:
    """The session of an instant."""
    there = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(NEW_YORK)
    day, clock = there.weekday(), there.time()
    if day == SATURDAY or (day == FRIDAY and clock >= LATE) or (day == SUNDAY and clock < LATE):
        return Session.WEEKEND
    return Session.REGULAR if day != SUNDAY and OPEN <= clock < CLOSE else Session.EXTENDED
