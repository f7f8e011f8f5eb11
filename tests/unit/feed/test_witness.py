"""The laws of `feed.witness`: a socket knows a market only while its frames still tell the market's state."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed.wire import Bbo, Ctx, Level
from feed.witness import CONTRADICTED, NOT_HEARD, OLDER_BLOCK, REPEATED, STRAYS, UNUSABLE, SocketWitness

COIN, OTHER, FOREIGN = "xyz:TSLA", "xyz:AAPL", "para:TSLA"
T0_MS = 1_795_338_700_000


def bbo(mid: float = 100.0, *, coin: str = COIN, time_ms: int = T0_MS, spread: float = 0.02) -> Bbo:
    return Bbo(coin, time_ms, Level(mid - spread / 2, 1.0), Level(mid + spread / 2, 1.0))


def ctx(mid: float | None = 100.0, *, coin: str = COIN, oracle: float = 100.0) -> Ctx:
    impact = (None, None) if mid is None else (mid - 0.03, mid + 0.03)
    return Ctx(coin, oracle, oracle, mid, *impact)


class Socket:
    """A socket's witness, and the time."""

    def __init__(self, *coins: str) -> None:
        self.witness = SocketWitness(stall_grace_ms=1500)
        self.now_ms = T0_MS
        for coin in coins or (COIN,):
            self.witness.follow(coin)

    def hear(self, *frames: Bbo | Ctx, after_ms: int = 0) -> "Socket":
        for frame in frames:
            self.now_ms += after_ms
            self.witness.hear(frame, self.now_ms)
        return self

    def objection(self, coin: str = COIN, *, after_ms: int = 0) -> object:
        return self.witness.objection(coin, self.now_ms + after_ms)

    def paced(self, seconds: int, *, mid: float | None = 100.0, coins: Iterable[str] = (COIN,)) -> "Socket":
        """Hear a ctx of each coin each second, and one first book of each."""
        for coin in coins:
            self.hear(bbo(coin=coin, mid=mid or 100.0))
        for _ in range(seconds):
            self.now_ms += 1000
            for coin in coins:
                self.witness.hear(ctx(mid, coin=coin), self.now_ms)
        return self


# --- what must have been heard


def test_a_market_is_known_with_a_book_and_a_ctx() -> None:
    socket = Socket()
    assert socket.objection() == NOT_HEARD["bbo"]
    assert socket.hear(bbo()).objection() == NOT_HEARD["activeAssetCtx"]
    assert socket.hear(ctx()).objection() is None
    assert socket.witness.objection(COIN, socket.now_ms) is None


@pytest.mark.parametrize(("channel", "good"), [("bbo", bbo()), ("activeAssetCtx", ctx())])
def test_a_refused_frame_makes_its_market_unknown_until_the_next_good_one_of_its_channel(
    channel: str, good: Bbo | Ctx
) -> None:
    socket = Socket(COIN, OTHER).paced(1, coins=(COIN, OTHER))
    socket.witness.refuse(COIN, channel, socket.now_ms)
    assert socket.objection() == UNUSABLE[channel]
    assert socket.objection(OTHER) is None
    other = ctx() if channel == "bbo" else bbo(time_ms=T0_MS + 1)
    assert socket.hear(other).objection() == UNUSABLE[channel]
    assert socket.hear(good).objection() is None


def test_an_answer_that_repeats_the_ctx_before_a_renewal_does_not_make_its_market_known() -> None:
    socket = Socket().paced(30)
    socket.witness.renew(COIN)
    assert socket.hear(bbo(), after_ms=10).objection() == NOT_HEARD["activeAssetCtx"]
    assert socket.hear(ctx(), after_ms=10).objection() == REPEATED
    socket.witness.renew(COIN)
    assert socket.hear(bbo(), ctx(), after_ms=10).objection() == REPEATED
    assert socket.hear(ctx(), after_ms=1000).objection() is None  # the channel has come back, unchanged


def test_an_answer_with_another_ctx_and_one_after_a_lost_connection_make_a_market_known() -> None:
    socket = Socket().paced(30)
    socket.witness.renew(COIN)
    assert socket.hear(bbo(), ctx(oracle=101.0), after_ms=10).objection() is None
    socket.witness.disconnect()
    assert socket.hear(bbo(), ctx(oracle=101.0), after_ms=10).objection() is None


def test_a_silent_market_is_not_known_by_a_repeated_ctx_of_the_next_connection() -> None:
    socket = Socket().paced(30)
    socket.witness.renew(COIN)
    socket.witness.disconnect()
    assert socket.hear(bbo(), ctx(), after_ms=10).objection() == REPEATED


def test_a_socket_that_brings_only_frames_that_cannot_be_used_is_not_silent() -> None:
    socket = Socket().paced(1)
    socket.witness.refuse(COIN, "bbo", socket.now_ms + 900)
    assert socket.witness.last_data_at_ms == socket.now_ms + 900
    socket.witness.refuse("xyz:NONE", "bbo", socket.now_ms + 1800)
    socket.witness.refuse(COIN, "pong", socket.now_ms + 1800)
    assert socket.witness.last_data_at_ms == socket.now_ms + 900


def test_a_refused_frame_of_no_market_and_of_another_channel_changes_nothing() -> None:
    socket = Socket().paced(1)
    socket.witness.refuse("xyz:NONE", "bbo", socket.now_ms)
    socket.witness.refuse(COIN, "trades", socket.now_ms)
    assert socket.objection() is None


def test_after_a_renewal_and_after_a_loss_both_channels_must_be_heard_again() -> None:
    socket = Socket().paced(3)
    for end in (lambda: socket.witness.renew(COIN), socket.witness.disconnect):
        end()
        assert socket.objection() == NOT_HEARD["bbo"]
        assert socket.hear(ctx(oracle=101.0)).objection() == NOT_HEARD["bbo"]
        assert socket.hear(bbo()).objection() is None


def test_a_book_that_was_asked_for_counts_until_one_is_sent_and_raises_no_block_time() -> None:
    socket = Socket().hear(ctx())
    market = socket.witness.markets[COIN]
    market.hear_answer(bbo(time_ms=T0_MS + 5000), socket.now_ms)
    assert socket.objection() is None and not market.has_lag
    assert socket.hear(bbo(100.01, time_ms=T0_MS - 60_000)).objection() is None
    assert market.bbo == bbo(100.01, time_ms=T0_MS - 60_000)
    market.hear_answer(bbo(105.0, time_ms=T0_MS + 9000), socket.now_ms)
    assert market.bbo == bbo(100.01, time_ms=T0_MS - 60_000)


# --- the ctx and the book


def test_a_book_that_stands_still_while_the_mid_moves_is_refuted_by_the_second_ctx() -> None:
    socket = Socket().paced(3)
    check = socket.witness.markets[COIN].check
    assert socket.hear(ctx(101.0), after_ms=1000).objection() is None
    assert check.contradictions == 1
    assert socket.hear(ctx(101.1), after_ms=1000).objection() == CONTRADICTED
    assert CONTRADICTED.blames_socket


def test_a_touch_outside_the_impact_prices_is_refuted_too() -> None:
    socket = Socket().paced(3)
    outside = Ctx(COIN, 100.0, 100.0, None, 100.0, 100.2)
    assert socket.hear(outside, outside, after_ms=1000).objection() == CONTRADICTED


@pytest.mark.parametrize("mid", [99.975, 99.99, 100.0, 100.01, 100.025, None])
def test_a_quiet_book_that_the_ctx_confirms_is_known_for_as_long_as_it_does(mid: float | None) -> None:
    socket = Socket().paced(3)
    quiet = Ctx(COIN, 100.0, 100.0, mid)
    for _ in range(15 if mid is None else 600):  # without a sample, the books of the dex must go on
        socket.hear(quiet, after_ms=1000)
        assert socket.objection() is None


def test_an_empty_side_is_confirmed_by_a_ctx_without_a_mid() -> None:
    socket = Socket().hear(Bbo(COIN, T0_MS, None, Level(100.0, 1.0)))
    for _ in range(600):
        assert socket.hear(ctx(None), after_ms=1000).objection() is None


def test_a_fast_market_whose_books_arrive_later_than_its_samples_is_known() -> None:
    socket = Socket().paced(3)
    for step in range(1, 60):
        mid = 100.0 + step  # a hundred spreads a second
        socket.hear(ctx(mid), after_ms=750)
        socket.hear(bbo(mid, time_ms=T0_MS + 1000 * step), after_ms=250)
        assert socket.objection() is None


def test_a_ctx_without_a_sample_neither_contradicts_nor_confirms() -> None:
    socket = Socket().paced(3).hear(ctx(101.0), ctx(None), after_ms=1000)
    assert socket.objection() is None
    assert socket.hear(ctx(101.0), after_ms=1000).objection() == CONTRADICTED
    assert socket.hear(ctx(None), after_ms=1000).objection() == CONTRADICTED


def refuted() -> Socket:
    return Socket().paced(3).hear(ctx(101.0), ctx(101.1), after_ms=1000)


def test_a_refuted_book_that_comes_again_on_renewal_stays_refuted() -> None:
    socket = refuted()
    socket.witness.renew(COIN)
    socket.hear(bbo(), ctx(101.2))
    assert socket.objection() == CONTRADICTED
    assert socket.hear(ctx(100.0, oracle=99.0), after_ms=1000).objection() == CONTRADICTED  # the price came by again


def test_a_refuted_book_is_known_again_with_a_new_one_that_a_new_ctx_confirms() -> None:
    socket = refuted()
    socket.witness.renew(COIN)
    assert socket.hear(bbo(101.2, time_ms=T0_MS + 5000)).objection() == NOT_HEARD["activeAssetCtx"]
    assert socket.hear(ctx(101.2)).objection() is None


def test_a_refuted_book_that_moves_again_is_known_at_once_in_a_market_that_stands_still() -> None:
    quiet = ctx(101.0)
    socket = Socket().paced(3).hear(quiet, quiet, after_ms=1000)
    assert socket.objection() == CONTRADICTED
    assert socket.hear(quiet, after_ms=1000).objection() == CONTRADICTED
    assert socket.hear(bbo(101.0, time_ms=T0_MS + 9000), after_ms=10).objection() is None


def test_where_either_channel_may_be_the_stale_one_three_confirmations_are_needed() -> None:
    quiet = ctx(101.0)
    socket = Socket().hear(bbo(), quiet).hear(quiet, after_ms=1000)
    assert socket.objection() == CONTRADICTED
    socket.hear(bbo(101.0, time_ms=T0_MS + 9000), quiet, quiet, after_ms=1000)
    assert socket.objection() == CONTRADICTED
    assert socket.hear(quiet, after_ms=1000).objection() is None


def test_a_context_that_stands_still_while_the_books_move_is_refuted_and_never_confirms() -> None:
    socket = Socket().paced(3)
    for step in range(1, 30):
        socket.hear(bbo(101.0 + step % 3, time_ms=T0_MS + 1000 * step), ctx(100.0), after_ms=500)
    assert socket.objection() == CONTRADICTED
    assert socket.hear(bbo(100.0, time_ms=T0_MS + 60_000), ctx(100.0), after_ms=500).objection() == CONTRADICTED
    assert socket.hear(ctx(100.001), after_ms=500).objection() is None


def test_three_confirmations_in_a_row_clear_a_book_that_did_not_change() -> None:
    socket = refuted()
    assert socket.hear(ctx(100.0, oracle=99.0), ctx(100.001), after_ms=1000).objection() == CONTRADICTED
    assert socket.hear(ctx(100.0, oracle=99.0), after_ms=1000).objection() is None


# --- blocks


def test_a_single_book_of_an_older_block_is_left_out_and_a_second_one_is_an_older_node() -> None:
    socket = Socket().paced(3)
    socket.hear(bbo(100.01, time_ms=T0_MS + 2000), after_ms=10)
    socket.hear(bbo(99.0, time_ms=T0_MS + 1000), after_ms=10)
    assert socket.objection() is None
    assert socket.witness.markets[COIN].bbo == bbo(100.01, time_ms=T0_MS + 2000)
    assert socket.hear(bbo(99.0, time_ms=T0_MS + 1500), after_ms=10).objection() == OLDER_BLOCK
    assert socket.hear(bbo(100.0, time_ms=T0_MS + 2000), after_ms=10).objection() is None


def test_a_new_socket_of_an_older_node_is_not_current() -> None:
    socket = Socket().paced(3)
    socket.hear(bbo(time_ms=T0_MS + 9000), after_ms=10_000)
    socket.witness.disconnect()
    socket.hear(bbo(time_ms=T0_MS - 420_000), ctx(), bbo(99.9, time_ms=T0_MS - 419_000))
    assert socket.objection() is not None
    assert socket.hear(bbo(time_ms=T0_MS + 9000), ctx()).objection() is None


def test_a_block_of_the_future_does_not_lock_a_market_out() -> None:
    socket = Socket().hear(bbo(time_ms=T0_MS + 10**9), ctx(), after_ms=10)
    socket.hear(*(bbo(100.01, time_ms=T0_MS - 240 + step) for step in range(STRAYS)), after_ms=10)
    assert socket.objection() is None


def test_a_block_of_the_future_on_the_tape_does_not_lock_a_market_out() -> None:
    for block_ms, is_known in ((T0_MS + 10**9, True), (T0_MS + 900, False)):
        socket = Socket("xyz:OTHER")
        socket.witness.follow(COIN, block_ms=block_ms, at_ms=T0_MS)
        socket.hear(bbo(time_ms=T0_MS), ctx(), after_ms=10)
        assert (socket.objection() is None) is is_known


# --- silence


def test_a_market_without_a_ctx_is_unknown_after_the_limit_in_force() -> None:
    socket = Socket(COIN, OTHER).paced(30, coins=(COIN, OTHER))
    assert socket.objection(after_ms=4000) is None
    for _ in range(4):
        socket.hear(ctx(coin=OTHER), after_ms=1000)
    socket.now_ms += 1
    silent = socket.witness.objection(COIN, socket.now_ms)
    assert silent is not None and (silent.cause, silent.blames_socket) == ("no context for 4 s", True)
    assert socket.objection(OTHER) is None
    assert socket.hear(ctx()).objection() is None


def test_a_slower_pace_of_one_dex_leaves_the_limits_of_another() -> None:
    socket = Socket(COIN, FOREIGN).paced(30, coins=(COIN, FOREIGN))
    for _ in range(5):
        for _ in range(5):
            socket.hear(ctx(coin=FOREIGN), after_ms=1080)
        socket.hear(ctx())
    assert socket.witness.limits_ms() == {"xyz bbo": 20_000, "xyz ctx": 16_200, "para bbo": 20_000, "para ctx": 4000}


def test_what_answers_a_renewal_is_no_part_of_the_pace() -> None:
    socket = Socket().paced(30)
    for _ in range(20):
        socket.now_ms += 9000
        socket.witness.renew(COIN)
        socket.hear(bbo(), ctx())
    assert socket.witness.limits_ms()["xyz ctx"] == 4000


def test_a_dex_without_any_book_is_unknown_where_no_ctx_confirms_the_book() -> None:
    coins = (COIN, OTHER)
    socket = Socket(*coins).paced(3, coins=coins)
    for step in range(1, 31):
        for coin in coins:
            socket.hear(bbo(100.0 + step % 2 / 100, coin=coin, time_ms=T0_MS + 300 * step))
        socket.hear(ctx(None), ctx(100.0, coin=OTHER), after_ms=500)
    for _ in range(6):
        socket.hear(ctx(None), ctx(100.0, coin=OTHER), after_ms=500)
    silent = socket.witness.objection(COIN, socket.now_ms)
    assert silent is not None and silent.cause == "no book of xyz for 7 s"
    assert socket.objection(OTHER) is None


def test_a_socket_whose_frames_come_in_bursts_gets_the_grace_of_its_pace() -> None:
    socket = Socket(COIN, OTHER).paced(5, coins=(COIN, OTHER))
    assert (socket.witness.grace_ms, socket.witness.silence_ms) == (1500, 20_000)
    for _ in range(20):
        socket.now_ms += 5400
        socket.hear(ctx(), ctx(coin=OTHER))
    assert (socket.witness.grace_ms, socket.witness.silence_ms) == (16_200, 16_200)
    for _ in range(20):
        socket.now_ms += 13_600
        socket.hear(ctx(), ctx(coin=OTHER))
    assert (socket.witness.grace_ms, socket.witness.silence_ms) == (20_000, 40_800)


# --- for any sequence

books = st.builds(bbo, st.sampled_from([99.0, 100.0, 100.01, 101.0]), time_ms=st.integers(T0_MS, T0_MS + 5000))
contexts = st.builds(ctx, st.sampled_from([None, 99.0, 100.0, 101.0]), oracle=st.sampled_from([100.0, 101.0]))
events = st.lists(st.tuples(st.sampled_from([0, 10, 990, 3000]), books | contexts | st.sampled_from(["bbo", "renew"])))


def played(events: list[tuple[int, Bbo | Ctx | str]], socket: Socket, coin: str = COIN) -> Socket:
    for after_ms, event in events:
        socket.now_ms += after_ms
        if event == "bbo":
            socket.witness.refuse(coin, "bbo", socket.now_ms)
        elif event == "renew":
            socket.witness.renew(coin)
        elif not isinstance(event, str):
            socket.hear(event._replace(coin=coin))
    return socket


@given(events)
def test_a_known_market_has_a_book_a_ctx_and_no_lasting_contradiction(
    events: list[tuple[int, Bbo | Ctx | str]],
) -> None:
    socket = Socket()
    for event in events:
        played([event], socket)
        market = socket.witness.markets[COIN]
        if socket.witness.objection(COIN, socket.now_ms) is None:
            assert market.bbo is not None and market.ctx is not None
            assert market.check.contradictions < 2 and market.strays < STRAYS
            assert socket.now_ms - market.ctx_at_ms <= socket.witness.limits_ms()["xyz ctx"]
            assert market.bbo.time_ms >= market.block_ms or not market.has_lag
        assert socket.witness.objection(COIN, socket.now_ms + 60_001) is not None


@given(events, events)
def test_what_is_heard_of_one_market_changes_nothing_of_another(
    of_one: list[tuple[int, Bbo | Ctx | str]], of_other: list[tuple[int, Bbo | Ctx | str]]
) -> None:
    both, alone = Socket(COIN, OTHER), Socket(COIN)
    played(of_other, both, OTHER)
    both.now_ms = T0_MS
    for socket in (both, alone):
        played(of_one, socket)
    assert both.witness.markets[COIN] == alone.witness.markets[COIN]


@given(events)
def test_two_sockets_that_hear_the_same_know_the_same(events: list[tuple[int, Bbo | Ctx | str]]) -> None:
    first, second = played(events, Socket()), played(events, Socket())
    assert first.objection() == second.objection()
    assert first.witness.markets == second.witness.markets
