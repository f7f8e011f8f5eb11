"""The feed's clock, with a wall clock that jumps."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.clock import MAX_SLEW, FeedClock, wall_ms
from tests.support.factories import T0_MS

S = 1_000_000_000


class Clocks:
    """A machine with two clocks that a test sets."""

    def __init__(self) -> None:
        self.wall_ns, self.monotonic_ns = T0_MS * 1_000_000, 77 * S

    def pass_ns(self, elapsed_ns: int, *, jump_ns: int = 0) -> None:
        self.monotonic_ns += elapsed_ns
        self.wall_ns += elapsed_ns + jump_ns

    def feed_clock(self, *, not_before_ms: int = 0) -> FeedClock:
        return FeedClock(
            not_before_ms=not_before_ms, wall_ns=lambda: self.wall_ns, monotonic_ns=lambda: self.monotonic_ns
        )


steps = st.lists(st.tuples(st.integers(0, 20 * S), st.integers(-3600 * S, 3600 * S) | st.just(0)), max_size=40)


@given(steps=steps)
def test_the_feeds_clock_never_goes_back(steps: list[tuple[int, int]]) -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    instants = [clock.now_ms()]
    for elapsed_ns, jump_ns in steps:
        clocks.pass_ns(elapsed_ns, jump_ns=jump_ns)
        instants.append(clock.now_ms())
    assert all(earlier <= later for earlier, later in pairwise(instants))


@given(steps=steps)
def test_the_feeds_clock_is_at_most_one_percent_fast_or_slow(steps: list[tuple[int, int]]) -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    before_ms = clock.now_ms()
    for elapsed_ns, jump_ns in steps:
        clocks.pass_ns(elapsed_ns, jump_ns=jump_ns)
        now_ms = clock.now_ms()
        elapsed_ms = elapsed_ns / 1e6
        assert elapsed_ms * (1 - MAX_SLEW) - 1 <= now_ms - before_ms <= elapsed_ms * (1 + MAX_SLEW) + 1
        before_ms = now_ms


@given(jump_ns=st.integers(-2 * S, 2 * S), step_ns=st.integers(S // 10, S))
def test_after_a_jump_the_feeds_clock_follows_until_both_agree(jump_ns: int, step_ns: int) -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    clocks.pass_ns(0, jump_ns=jump_ns)
    for _ in range(int(abs(jump_ns) / MAX_SLEW / step_ns) + 2):
        clocks.pass_ns(step_ns)
        clock.now_ms()
    assert clock.behind_wall_ms() == 0
    assert clock.now_ms() == clocks.wall_ns // 1_000_000


def test_the_clock_never_starts_before_the_watermark() -> None:
    assert Clocks().feed_clock().now_ms() == T0_MS
    assert Clocks().feed_clock(not_before_ms=T0_MS - 5_000).now_ms() == T0_MS
    assert Clocks().feed_clock(not_before_ms=T0_MS + 5_000).now_ms() == T0_MS + 5_000


@pytest.mark.parametrize("jump_ms", [-2500, 0, 2500])
def test_the_feeds_clock_knows_its_distance_from_the_wall_clock(jump_ms: int) -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    clocks.pass_ns(0, jump_ns=jump_ms * 1_000_000)
    assert clock.behind_wall_ms() == jump_ms


def test_a_clock_that_was_not_read_for_a_while_is_not_behind() -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    clocks.pass_ns(60 * S)
    assert clock.behind_wall_ms() == 0


def test_many_small_readings_follow_the_wall_clock_as_well_as_few_large_ones() -> None:
    clocks = Clocks()
    clock = clocks.feed_clock()
    clocks.pass_ns(0, jump_ns=100_000_000)
    for _ in range(20_000):
        clocks.pass_ns(1_000_000)
        clock.now_ms()
    assert clock.behind_wall_ms() == 0


def test_the_wall_clock_counts_milliseconds_since_the_epoch() -> None:
    assert 10**12 < wall_ms() < 10**13
    assert FeedClock().now_ms() == pytest.approx(wall_ms(), abs=1000)
