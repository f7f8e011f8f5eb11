"""FedTape, the tape for tests of programs built on this project, on a real server and in fakeredis."""

import asyncio
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import Conditions, CtxWitness
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market
from hip3_tasks.domain.records import Followup, Missed, MissedReason
from hip3_tasks.testing import T0_MS, FakeServer, FedTape, make_market, make_signal

COIN, OTHER = "xyz:TSLA", "xyz:AAPL"
GAP = Gap("connection lost")


@pytest.fixture
def tape(client: redis.Redis) -> Iterator[FedTape]:
    with FedTape(client) as tape:
        yield tape


def state(ask_px: float) -> Market:
    return make_market(ask_px=ask_px)


class PlainTape:
    """A model of a tape with lists: slow, but obviously correct."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = {COIN: [], OTHER: []}
        self.watermark_ms = 0

    def takes(self, coin: str, at_ms: int) -> bool:
        return at_ms > self.watermark_ms and all(entry.at_ms <= at_ms for entry in self.entries[coin])

    def as_of(self, coin: str, at_ms: int) -> Entry | None:
        return next((entry for entry in reversed(self.entries[coin]) if entry.at_ms <= at_ms), None)


coins = st.sampled_from([COIN, OTHER])
instants = st.integers(T0_MS, T0_MS + 20)
values = st.just(GAP) | st.floats(1.0, 1e6).map(state)
steps = st.one_of(
    st.tuples(st.just("feed"), coins, instants, values),
    st.tuples(st.just("complete"), coins, instants, st.none()),
    st.tuples(st.just("ask"), coins, instants, st.none()),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(steps, max_size=30))
def test_the_answer_is_the_last_entry_at_or_before_an_instant_or_a_refusal(
    client: redis.Redis, script: list[tuple[str, str, int, Market | Gap | None]]
) -> None:
    plain = PlainTape()
    with FedTape(client) as tape:
        for step, coin, at_ms, value in script:
            if step == "complete":
                tape.complete_up_to(at_ms)
                plain.watermark_ms = max(plain.watermark_ms, at_ms)
            elif step == "ask" and at_ms <= plain.watermark_ms:
                assert tape.as_of(coin, at_ms) == plain.as_of(coin, at_ms)
            elif step == "ask":
                with pytest.raises(ValueError, match="beyond the watermark"):
                    tape.as_of(coin, at_ms)
            elif value is not None and plain.takes(coin, at_ms):
                tape.feed(coin, value, at_ms=at_ms)
                plain.entries[coin].append(Entry(at_ms, value))
            elif value is not None:
                with pytest.raises(ValueError, match=r"not after the watermark|in the order of time"):
                    tape.feed(coin, value, at_ms=at_ms)


def test_a_follow_up_equals_that_of_a_punctual_worker(tape: FedTape) -> None:
    tape.feed(COIN, make_market(), at_ms=T0_MS)
    tape.feed(COIN, make_market(at_ms=T0_MS + 900, ask_px=249.75, oracle_updates=9), at_ms=T0_MS + 900)
    tape.feed(COIN, GAP, at_ms=T0_MS + 2000)
    tape.complete_up_to(T0_MS + 3000)
    signal = make_signal(COIN)
    followup, missed = tape.follow_up(signal, 1000), tape.follow_up(signal, 3000)
    assert isinstance(followup, Followup)
    assert (followup.best_px, followup.raw_edge_bps, followup.edge_change_bps) == (249.75, 10.0, -10.0)
    assert (followup.state_at_ms, followup.captured_at_ms) == (T0_MS + 900, T0_MS + 1000)
    assert followup.oracle_updates == 2
    assert isinstance(missed, Missed) and missed.detail == "connection lost"
    with pytest.raises(ValueError, match="call complete_up_to first"):
        tape.follow_up(signal, 5000)


def test_a_follow_up_names_how_current_a_state_was_if_the_test_says_so(tape: FedTape) -> None:
    witness = CtxWitness(mid_px=249.2, impact_bid_px=248.0, impact_ask_px=250.0, period_ms=3000)
    tape.feed(COIN, make_market(), at_ms=T0_MS)
    conditions = Conditions(has_lag=True, ctx_age_ms=70, witness=witness)
    tape.feed(COIN, make_market(at_ms=T0_MS + 900), at_ms=T0_MS + 900, conditions=conditions)
    tape.complete_up_to(T0_MS + 1000)
    followup = tape.follow_up(make_signal(COIN), 1000)
    assert isinstance(followup, Followup)
    assert (followup.lag_ms, followup.ctx_age_ms, followup.oracle_age_max_ms) == (250, 170, 3170)
    assert (followup.ctx_mid_px, followup.impact_bid_px, followup.impact_ask_px) == (249.2, 248.0, 250.0)


def test_a_follow_up_on_an_empty_tape_is_expired(tape: FedTape) -> None:
    tape.complete_up_to(T0_MS + 1000)
    missed = tape.follow_up(make_signal(side=Side.SELL), 1000)
    assert isinstance(missed, Missed) and missed.reason is MissedReason.EXPIRED


def test_code_under_test_sees_the_tape_and_its_watermark_by_a_reader(tape: FedTape) -> None:
    tape.feed(COIN, state(249.1), at_ms=T0_MS)
    tape.feed(COIN, state(249.2), at_ms=T0_MS + 7)
    assert tape.reader.newest([COIN])[0] is None
    tape.complete_up_to(T0_MS + 5)
    watermark_ms, (newest,) = tape.reader.newest([COIN])
    assert (watermark_ms, newest.entry) == (T0_MS + 5, Entry(T0_MS, state(249.1)))


@pytest.mark.parametrize(("coin", "at_ms"), [("TSLA", T0_MS), (COIN, T0_MS // 1000), (COIN, 0)])
def test_a_bad_coin_and_a_bad_instant_are_named(tape: FedTape, coin: str, at_ms: int) -> None:
    for refused in (lambda: tape.feed(coin, GAP, at_ms=at_ms), lambda: tape.as_of(coin, at_ms)):
        with pytest.raises(ValueError, match=r"^(coin|at_ms): expected "):
            refused()


def test_two_tapes_on_one_server_know_nothing_of_each_other_and_leave_nothing(client: redis.Redis) -> None:
    with FedTape(client) as first, FedTape(client, name=f"{first.keys.prefix[5:-1]}-b") as second:
        first.feed(COIN, state(249.1), at_ms=T0_MS)
        for tape in first, second:
            tape.complete_up_to(T0_MS)
        assert first.as_of(COIN, T0_MS) is not None
        assert second.as_of(COIN, T0_MS) is None
    assert list(client.scan_iter(f"{first.keys.prefix[:-1]}*")) == []


def test_a_tape_is_fed_and_asked_where_an_event_loop_runs_and_its_async_clients_see_the_same() -> None:
    async def scene() -> None:
        server = FakeServer()
        tape = FedTape(server.connect())
        tape.feed(COIN, state(249.1), at_ms=T0_MS)
        tape.complete_up_to(T0_MS + 1)
        async with server.connect_async() as client:
            assert await client.get(tape.keys.watermark) == b"%d" % (T0_MS + 1)
            assert await client.xlen(tape.keys.tape(COIN)) == 1

    asyncio.run(scene())
