"""Frames per second, from running counts."""

from hip3_tasks.status.system_status import FrameRate
from tests.support.factories import T0_MS
from tests.unit.status.test_redis_snapshot import a_feed_status


def test_the_first_rate_is_the_mean_since_the_start() -> None:
    rate = FrameRate()
    assert rate.update(None) is None
    assert (
        rate.update(a_feed_status(started_at_ms=T0_MS - 10_000, at_ms=T0_MS, frames={"bbo": 500, "ctx": 500})) == 100.0
    )
    again = a_feed_status(started_at_ms=T0_MS - 10_000, at_ms=T0_MS + 2_000, frames={"bbo": 500, "ctx": 1_100})
    assert rate.update(again) == 300.0


def test_statuses_older_than_ten_seconds_do_not_count() -> None:
    rate = FrameRate()
    for second in range(30):
        frames = 100 * min(second, 15) + 10 * max(0, second - 15)
        frames_per_s = rate.update(a_feed_status(at_ms=T0_MS + second * 1000, frames={"bbo": frames}))
    assert frames_per_s == 10.0


def test_a_restarted_feed_begins_a_new_rate() -> None:
    rate = FrameRate()
    rate.update(a_feed_status(started_at_ms=T0_MS, at_ms=T0_MS + 50_000, frames={"bbo": 90_000}))
    born = T0_MS + 51_000
    assert rate.update(a_feed_status(started_at_ms=born, at_ms=born + 1_000, frames={"bbo": 7})) == 7.0
