from hypothesis import given
from hypothesis import strategies as st

from feed.bad_subscriptions import Suspects


def found(coins: list[str], bad: set[str]) -> tuple[set[str], int]:
    """Play a venue that dies on a bad coin, as a connection would see it; the guilty, and how many connections."""
    suspects, live, guilty, connections = Suspects(), list(coins), set[str](), 0
    while True:
        connections += 1
        sure = [coin for coin in live if coin not in suspects]
        sent: list[str] = []
        for group in [sure, *suspects.groups()]:
            sent = group
            if bad & set(group):
                break
            suspects.clear(group)
        else:
            return guilty, connections
        first_bad = min(sent.index(coin) for coin in bad & set(sent))
        convicted = suspects.accuse(sent[first_bad // 2 :])  # some answers before the end were lost with it
        if convicted is not None:
            guilty.add(convicted)
            live.remove(convicted)
            bad = bad - {convicted}


@given(st.integers(1, 120), st.sets(st.integers(0, 119), max_size=3))
def test_exactly_the_bad_coins_are_found_in_a_few_connections(count: int, bad: set[int]) -> None:
    coins = [f"xyz:C{number}" for number in range(count)]
    wanted = {f"xyz:C{number}" for number in bad if number < count}
    guilty, connections = found(coins, wanted)
    assert guilty == wanted
    assert connections <= 1 + 7 * max(1, len(wanted))


def test_a_coin_that_was_there_once_when_a_connection_died_is_not_guilty() -> None:
    suspects = Suspects()
    assert suspects.accuse(["xyz:TSLA"]) is None
    assert "xyz:TSLA" in suspects
    suspects.clear(["xyz:TSLA"])
    assert suspects.accuse(["xyz:TSLA"]) is None
    assert suspects.accuse(["xyz:TSLA"]) == "xyz:TSLA"
    assert "xyz:TSLA" not in suspects
