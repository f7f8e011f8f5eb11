from hypothesis import given
from hypothesis import strategies as st

from feed.fresh_coins import FIRST_PAUSE_MS, MAX_PAUSE_MS, FreshCoins
from tests.support.factories import T0_MS

A = "xyz:A"


def test_a_coin_that_ends_its_socket_alone_waits_a_minute_doubling_to_an_hour() -> None:
    fresh, at_ms, pauses_ms = FreshCoins(), T0_MS, []
    fresh.add([A], at_ms=at_ms)
    for _ in range(9):
        assert fresh.batch(at_ms) == [A]
        pauses_ms.append(fresh.ended_socket([A], at_ms=at_ms))
        assert fresh.batch(at_ms + pauses_ms[-1] - 1) == []
        at_ms += pauses_ms[-1]
    minutes = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pauses_ms == [minute * 60_000 for minute in minutes]
    assert fresh.passed([A]) == [A] and not list(fresh)
    assert fresh.ban(A, at_ms=at_ms) == MAX_PAUSE_MS  # it joined the others, and ended their socket
    fresh.keep_only([])
    assert fresh.ban(A, at_ms=at_ms) == FIRST_PAUSE_MS


def test_dark_coins_have_the_instant_at_which_they_were_listed_and_that_of_the_next_try() -> None:
    fresh = FreshCoins()
    fresh.add([A], at_ms=T0_MS)
    (new,) = fresh.dark()
    assert new.cause == "new listing: tried on a socket of its own"
    fresh.ended_socket([A], at_ms=T0_MS + 1_000)
    (refused,) = fresh.dark()
    assert (refused.coin, refused.since_ms) == (A, T0_MS)
    assert refused.cause == "closes the socket when subscribed: next try at 09:12:42 UTC"


@given(st.integers(1, 60), st.sets(st.integers(0, 59)))
def test_good_coins_pass_and_bad_ones_are_banned_within_a_few_sockets(count: int, bad_numbers: set[int]) -> None:
    coins = [f"xyz:C{number}" for number in range(count)]
    bad = {coins[number] for number in bad_numbers if number < count}
    fresh, passed, sockets = FreshCoins(), set[str](), 0
    fresh.add(coins, at_ms=T0_MS)
    while batch := fresh.batch(T0_MS):
        sockets += 1
        if bad & {*batch}:
            fresh.ended_socket(batch, at_ms=T0_MS)
        else:
            passed |= {*fresh.passed(batch)}
    assert passed == {*coins} - bad
    assert {market.coin for market in fresh.dark()} == bad
    assert sockets <= 2 * count
    assert bad or sockets <= count.bit_length()
