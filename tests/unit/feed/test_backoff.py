"""Growing pauses between attempts."""

from hypothesis import given
from hypothesis import strategies as st

from feed.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    backoff = Backoff(1_000, 5_000)
    assert [backoff.postpone(at_ms) for at_ms in (0, 10, 20, 30)] == [1_000, 2_000, 4_000, 5_000]
    assert backoff.next_at_ms == 5_030


def test_pauses_begin_anew_when_no_attempt_was_needed_for_long() -> None:
    backoff = Backoff(1_000, 5_000)
    assert backoff.take(10_000) and not backoff.take(10_999) and backoff.take(11_000)
    assert backoff.pause_ms == 2_000
    assert backoff.take(13_000 + 5_001) and backoff.pause_ms == 1_000


@given(st.lists(st.integers(0, 2_000), max_size=60))
def test_attempts_that_count_as_made_are_a_pause_apart(steps_ms: list[int]) -> None:
    backoff, at_ms, last_ms = Backoff(500, 4_000), 100_000, None
    for step_ms in steps_ms:
        at_ms += step_ms
        pause_ms = backoff.pause_ms
        if backoff.take(at_ms):
            assert last_ms is None or at_ms - last_ms >= pause_ms
            last_ms = at_ms
