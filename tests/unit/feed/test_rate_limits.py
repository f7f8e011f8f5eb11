from hypothesis import given
from hypothesis import strategies as st

from feed.rate_limits import RateLimit


@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_limit(steps_s: list[float], limit: int) -> None:
    now_s = 0.0
    rate_limit = RateLimit(limit, per_s=60.0, now_s=lambda: now_s)
    used_at_s: list[float] = []
    for step_s in steps_s:
        now_s += step_s
        used_at_s.append(now_s + rate_limit.reserve())
    for first, later in zip(used_at_s, used_at_s[limit:], strict=False):
        assert later - first >= 60.0 - 1e-9


def test_a_free_place_costs_no_wait() -> None:
    rate_limit = RateLimit(2, now_s=lambda: 100.0)
    assert [rate_limit.reserve() for _ in range(3)] == [0.0, 0.0, 60.0]
