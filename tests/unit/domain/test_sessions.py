"""The New York week, in summer and in winter."""

from datetime import datetime

import pytest

from hip3_tasks.domain.sessions import NEW_YORK, Session, session_at


@pytest.mark.parametrize(
    ("there", "session"),
    [
        ("2026-11-23 09:29:59", Session.EXTENDED),  # a Monday
        ("2026-11-23 09:30:00", Session.REGULAR),
        ("2026-11-23 15:59:59", Session.REGULAR),
        ("2026-11-23 16:00:00", Session.EXTENDED),
        ("2026-07-22 09:30:00", Session.REGULAR),
        ("2026-11-24 03:00:00", Session.EXTENDED),
        ("2026-11-27 19:59:59", Session.EXTENDED),
        ("2026-11-27 20:00:00", Session.WEEKEND),
        ("2026-11-28 12:00:00", Session.WEEKEND),
        ("2026-11-29 12:00:00", Session.WEEKEND),
        ("2026-11-29 19:59:59", Session.WEEKEND),
        ("2026-11-29 20:00:00", Session.EXTENDED),
    ],
)
def test_a_session_goes_by_the_clock_of_new_york(there: str, session: Session) -> None:
    instant = datetime.fromisoformat(there).replace(tzinfo=NEW_YORK)
    assert session_at(int(instant.timestamp() * 1000)) is session
