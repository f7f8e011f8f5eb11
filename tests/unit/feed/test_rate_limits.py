import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.rate_limits import RateLimit


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 3)), max_size=60), st.integers(3, 6))
def test_no_window_ever_holds_more_than_the_limit(steps: list[tuple[float, int]], limit: int) -> None:
    now_s = 0.0
    rate_limit = RateLimit(limit, per_s=60.0, now_s=lambda: now_s)
    used_at_s: list[float] = []
    for step_s, weight in steps:
        now_s += step_s
        used_at_s += [now_s + rate_limit.reserve(weight)] * weight
    assert used_at_s == pytest.approx(sorted(used_at_s))
    for first, later in zip(used_at_s, used_at_s[limit:], strict=False):
        assert later - first >= 60.0 - 1e-9


def test_a_free_place_costs_no_wait() -> None:
    rate_limit = RateLimit(2, now_s=lambda: 100.0)
    assert [rate_limit.reserve() for _ in range(3)] == [0.0, 0.0, 60.0]
