"""The rows of markets, from the data of feed and tape on a real server and in fakeredis."""

import pytest
import redis

from hip3_tasks.domain.market import Gap, Market
from hip3_tasks.domain.records import Dark
from hip3_tasks.status.market_rows import MarketStatus, dislocated, markets_at
from hip3_tasks.status.redis_snapshot import RedisSnapshot
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.market_facts import FeedMarkets, MarketFacts, dark_kind
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import stamp
from hip3_tasks.store.worker_status import FORGOTTEN_MS, WorkerStatus
from tests.support.factories import T0_MS, a_calm_market, a_market
from tests.unit.status.test_redis_snapshot import a_feed_status

FACTS = MarketFacts(threshold_bps=15.0, taker_fee_bps=9.0, ctx_at_ms=T0_MS - 400)


def put(client: redis.Redis, keys: Keys, coin: str, value: Market | Gap, *, at_ms: int = T0_MS) -> None:
    _, ms, seq, field, data, _ = stamp(coin, at_ms, 0, value)
    client.xadd(keys.tape(coin), {field: data}, id=f"{ms}-{seq}")


def say(client: redis.Redis, keys: Keys, *coins: str, delisted: tuple[str, ...] = ()) -> None:
    markets = FeedMarkets(markets=dict.fromkeys(coins, FACTS), delisted=list(delisted))
    Store(client, keys).write_feed_markets(markets)
    client.set(keys.watermark, T0_MS)


def test_each_market_is_one_row_with_its_edges(client: redis.Redis, keys: Keys) -> None:
    say(client, keys, "xyz:TSLA", "xyz:AAPL", delisted=("xyz:OLD",))
    put(client, keys, "xyz:TSLA", a_calm_market(), at_ms=T0_MS - 9)
    put(client, keys, "xyz:TSLA", a_market())
    put(client, keys, "xyz:AAPL", Gap("stalled"))
    watermark_ms, (apple, tesla, old), _ = markets_at(Store(client, keys), at_ms=T0_MS + 10)
    assert watermark_ms == T0_MS
    assert (tesla.coin, tesla.state, tesla.ctx_at_ms) == ("xyz:TSLA", MarketStatus.LIVE, T0_MS - 400)
    assert (tesla.bid_px, tesla.ask_px, tesla.oracle_px, tesla.mark_px) == (249.0, 249.5, 250.0, 249.75)
    assert (tesla.buy_edge_bps, tesla.sell_edge_bps, tesla.spread_bps) == (20.0, -40.0, 20.06)
    assert (tesla.buy_usd, tesla.sell_usd) == (499.0, 747.0)
    assert (apple.buy_usd, apple.sell_usd) == (None, None)
    assert (apple.state, apple.why, apple.ask_px, apple.threshold_bps) == (MarketStatus.GAP, "stalled", None, 15.0)
    assert (old.coin, old.state) == ("xyz:OLD", MarketStatus.DELISTED)
    assert [row.label for row in dislocated([apple, tesla, old])] == ["xyz:TSLA buy 20.0"]


def test_an_empty_side_has_no_edge_and_a_market_without_oracle_has_none(client: redis.Redis, keys: Keys) -> None:
    say(client, keys, "xyz:TSLA", "xyz:AAPL")
    put(client, keys, "xyz:TSLA", a_market(ask_px=None, ask_sz=None))
    put(client, keys, "xyz:AAPL", a_market(oracle_px=None, ask_sz=123.456))
    apple, tesla = markets_at(Store(client, keys), at_ms=T0_MS).rows
    assert (tesla.buy_usd, apple.buy_usd) == (None, 30_800.0)
    assert (tesla.buy_edge_bps, tesla.sell_edge_bps, tesla.spread_bps) == (None, -40.0, None)
    assert (apple.buy_edge_bps, apple.sell_edge_bps, apple.dislocation) == (None, None, 0.0)


def test_the_cause_of_a_gap_is_the_one_that_the_feed_reports_now(client: redis.Redis, keys: Keys) -> None:
    coins = ("xyz:AAPL", "xyz:TSLA")
    dark = [Dark(coin=coin, cause="subscription not answered", since_ms=T0_MS) for coin in (*coins, "xyz:NEW")]
    markets = FeedMarkets(markets=dict.fromkeys(coins, FACTS), delisted=[], dark=dark)
    Store(client, keys).write_feed_markets(markets)
    client.set(keys.watermark, T0_MS)
    put(client, keys, "xyz:AAPL", Gap("no data yet"))
    put(client, keys, "xyz:TSLA", a_market())  # live since that report
    table = markets_at(Store(client, keys), at_ms=T0_MS)
    assert [row.why for row in table.rows] == ["subscription not answered", None]
    assert table.dark == dark
    assert dark_kind("subscription refused: xyz") == "subscription refused"


def test_no_state_is_known_when_the_watermark_stands_still(client: redis.Redis, keys: Keys) -> None:
    say(client, keys, "xyz:TSLA")
    put(client, keys, "xyz:TSLA", a_market())
    (row,) = markets_at(Store(client, keys), at_ms=T0_MS + 3_001).rows
    assert (row.state, row.why, row.ask_px) == (MarketStatus.GAP, "the watermark stands still", None)


def test_an_entry_that_does_not_decode_and_an_empty_tape_are_gaps(client: redis.Redis, keys: Keys) -> None:
    say(client, keys, "xyz:TSLA", "xyz:AAPL")
    client.xadd(keys.tape("xyz:TSLA"), {"s": "rubbish"}, id=f"{T0_MS}-0")
    apple, tesla = markets_at(Store(client, keys), at_ms=T0_MS).rows
    assert (apple.why, tesla.why) == ("the tape has no entry of it", "its last entry does not decode")


def test_before_a_feed_has_run_there_is_no_market(client: redis.Redis, keys: Keys) -> None:
    assert markets_at(Store(client, keys), at_ms=T0_MS) == (None, [], None)


def test_the_feeds_status_is_read_back_and_expires_within_a_minute(client: redis.Redis, keys: Keys) -> None:
    store = Store(client, keys)
    assert store.feed_status() is None
    status = a_feed_status(problems=["the tape stands"])
    store.write_feed_status(status)
    assert store.feed_status() == status
    assert 0 < client.ttl(keys.status) <= 60


@pytest.mark.fakeredis_differs(reason="fakeredis does not know INFO memory", raises=AssertionError)
def test_a_snapshot_has_the_feed_the_watermark_and_the_pending_set(client: redis.Redis, keys: Keys) -> None:
    status = a_feed_status()
    Store(client, keys).write_feed_status(status)
    client.set(keys.watermark, T0_MS)
    snapshot = RedisSnapshot.take(Store(client, keys))
    assert (snapshot.feed, snapshot.watermark_ms, snapshot.pending) == (status, T0_MS, 0)


def note(name: str, **changes: int) -> WorkerStatus:
    return WorkerStatus(
        **({"name": name, "at_ms": T0_MS, "pid": 1, "processes": 2, "most_processes": 8, "held": 3} | changes)
    )


def test_workers_are_read_back_and_long_silent_ones_removed(client: redis.Redis, keys: Keys) -> None:
    store, old, young = Store(client, keys), note("old", at_ms=T0_MS - FORGOTTEN_MS - 1), note("young")
    for worker in (young, old):
        store.write_worker(worker)
    client.hset(keys.workers, "odd", b"rubbish")
    assert store.workers() == [old, young]
    store.remove_silent_workers(at_ms=T0_MS)
    assert store.workers() == [young]
    assert 0 < client.ttl(keys.workers) <= 60
    twin = note("young", pid=2)
    store.write_worker(twin)
    assert store.workers() == [young, twin]
    store.remove_workers(young)
    assert store.workers() == [twin]


def test_a_worker_that_0_1_0_wrote_by_its_name_alone_is_read_and_removed(client: redis.Redis, keys: Keys) -> None:
    store, worker = Store(client, keys), note("old")
    client.hset(keys.workers, worker.name, worker.model_dump_json())
    assert store.workers() == [worker]
    store.remove_workers(worker)
    assert store.workers() == []
