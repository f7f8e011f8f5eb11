"""The limits of silence follow the pace that is observed, and a few long pauses do not move them."""

from hypothesis import given
from hypothesis import strategies as st

from feed.cadence import FIRST_LIMIT_MS, MAX_LIMIT_MS, MIN_LIMIT_MS, WINDOW_MS, Cadence

pauses = st.lists(st.integers(0, 100_000), max_size=80)


def paced(*pauses_ms: int, market: str = "xyz:A", cadence: Cadence | None = None, at_ms: int = 0) -> Cadence:
    cadence = cadence or Cadence()
    for pause_ms in pauses_ms:
        at_ms += pause_ms
        cadence.hear(market, pause_ms, at_ms)
    return cadence


def test_the_first_limit_holds_until_twenty_pauses() -> None:
    assert Cadence().limit_ms == FIRST_LIMIT_MS
    assert paced(*[1000] * 19).limit_ms == FIRST_LIMIT_MS
    assert paced(*[1000] * 20).limit_ms == MIN_LIMIT_MS


def test_a_slower_pace_is_known_after_three_frames() -> None:
    cadence = paced(*[1000] * 60)
    paced(5400, 5400, cadence=cadence, at_ms=60_000)
    assert cadence.limit_ms == MIN_LIMIT_MS
    paced(5400, cadence=cadence, at_ms=70_800)
    assert cadence.limit_ms == 3 * 5400
    paced(*[13_600] * 3, cadence=cadence, at_ms=76_200)
    assert (cadence.period_ms, cadence.limit_ms) == (13_600, 40_800)


def test_two_long_pauses_of_every_market_change_nothing() -> None:
    cadence = Cadence()
    for number in range(50):
        paced(*[1000] * 20, 9000, 9000, market=f"xyz:{number}", cadence=cadence)
    assert cadence.limit_ms == MIN_LIMIT_MS


def test_the_slowest_market_sets_the_limit() -> None:
    cadence = paced(*[1000] * 60)
    paced(*[3000] * 3, market="xyz:B", cadence=cadence)
    assert cadence.limit_ms == 9000


def test_a_faster_pace_is_known_when_the_old_one_is_out_of_the_window() -> None:
    cadence = paced(*[13_600] * 20)
    paced(*[1000] * (2 * WINDOW_MS // 1000 + 2), cadence=cadence, at_ms=20 * 13_600)
    assert cadence.limit_ms == MIN_LIMIT_MS


def test_a_market_that_is_forgotten_counts_no_longer_than_the_window() -> None:
    cadence = paced(*[13_600] * 20)
    cadence.forget("xyz:A")
    paced(*[1000] * (WINDOW_MS // 1000 + 2), market="xyz:B", cadence=cadence, at_ms=20 * 13_600)
    assert cadence.limit_ms == MIN_LIMIT_MS


def test_it_is_slow_when_most_of_the_time_passes_in_long_pauses() -> None:
    bursts = [1, 1, 1, 5400] * 10
    assert paced(*bursts, cadence=Cadence(long_ms=1500)).is_slow
    assert not paced(*[300] * 100, 6000, cadence=Cadence(long_ms=1500)).is_slow
    assert not Cadence(long_ms=1500).is_slow


@given(pauses)
def test_a_limit_is_always_between_its_bounds(pauses_ms: list[int]) -> None:
    assert MIN_LIMIT_MS <= paced(*pauses_ms).limit_ms <= MAX_LIMIT_MS


@given(pauses)
def test_no_regular_pause_reaches_the_limit_but_for_the_upper_bound(pauses_ms: list[int]) -> None:
    cadence = paced(*pauses_ms)
    last = sorted(pauses_ms)[:-2]
    assert all(
        pause_ms < cadence.limit_ms for pause_ms in last if pause_ms < MAX_LIMIT_MS and 3 * pause_ms < WINDOW_MS
    ) or (sum(pauses_ms) > WINDOW_MS)
