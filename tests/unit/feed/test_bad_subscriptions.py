from hypothesis import given
from hypothesis import strategies as st

from feed.bad_subscriptions import SubscriptionBisector


def bisect(coins: list[str], bad: set[str]) -> tuple[set[str], int]:
    """Play a venue that closes on a bad coin; return the rejected coins, and how many connections it took."""
    suspects, live, rejected, connections = SubscriptionBisector(), list(coins), set[str](), 0
    while True:
        connections += 1
        sure = [coin for coin in live if coin not in suspects]
        sent: list[str] = []
        for group in [sure, *suspects.groups()]:
            sent = group
            if bad & set(group):
                break
            suspects.accepted(group)
        else:
            return rejected, connections
        first_bad = min(sent.index(coin) for coin in bad & set(sent))
        # Some answers before the end are lost with the connection.
        rejected_coin = suspects.connection_died(sent[first_bad // 2 :])
        if rejected_coin is not None:
            rejected.add(rejected_coin)
            live.remove(rejected_coin)
            bad = bad - {rejected_coin}


@given(st.integers(1, 120), st.sets(st.integers(0, 119), max_size=3))
def test_exactly_the_bad_coins_are_found_in_a_few_connections(count: int, bad: set[int]) -> None:
    coins = [f"xyz:C{number}" for number in range(count)]
    wanted = {f"xyz:C{number}" for number in bad if number < count}
    rejected, connections = bisect(coins, wanted)
    assert rejected == wanted
    assert connections <= 1 + 7 * max(1, len(wanted))


def test_a_coin_that_was_there_once_when_a_connection_died_is_not_rejected() -> None:
    suspects = SubscriptionBisector()
    assert suspects.connection_died(["xyz:TSLA"]) is None
    assert "xyz:TSLA" in suspects
    suspects.accepted(["xyz:TSLA"])
    assert suspects.connection_died(["xyz:TSLA"]) is None
    assert suspects.connection_died(["xyz:TSLA"]) == "xyz:TSLA"
    assert "xyz:TSLA" not in suspects
