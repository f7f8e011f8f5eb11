"""The feed as a process, between a scripted venue with known prices and a real server."""

import asyncio
import fcntl
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from typing import Any

import pytest

from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import Market, decode_entry
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal
from hip3_tasks.health import read_health_file
from tests.support.feed import FeedRig, universe
from tests.support.tapes import detect
from tests.support.waiting import eventually_async as eventually

OFFSETS = "400,800,1200"
RULES = Rules(offsets_ms=(400, 800, 1200))
COIN = "xyz:TSLA"

Rigged = Callable[..., FeedRig]


@pytest.fixture
def rigged(redis_url: str, name: str, tmp_path: Path) -> Rigged:
    def make(*coins: str, **settings: Any) -> FeedRig:
        return FeedRig(redis_url, name, tmp_path / "data", *coins, **({"offsets_ms": OFFSETS} | settings))

    return make


def run(script: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(script, 90))


async def feed_clock(rig: FeedRig) -> Callable[[], float]:
    """The feed's time by its watermark, which is some milliseconds behind its clock."""
    loop = asyncio.get_running_loop()
    ahead_ms = 0.0
    for _ in range(50):
        ahead_ms = max(ahead_ms, rig.watermark_ms() - loop.time() * 1000)
        await asyncio.sleep(0.003)
    return lambda: loop.time() * 1000 + ahead_ms


def newest(rig: FeedRig, coin: str) -> dict[bytes, bytes]:
    entries = rig.client.xrevrange(rig.keys.tape(coin), count=1)
    return entries[0][1] if entries else {}


def detected_ms(rig: FeedRig) -> int:
    return int(rig.client.get(rig.keys.detected) or 0)


def sealed_at_ms(rig: FeedRig, oracle_px: float) -> int | None:
    """The instant of the first state of the first coin with this oracle, once the watermark covers it."""
    for entry_id, fields in rig.client.xrange(rig.keys.tape(COIN)):
        entry = decode_entry(entry_id, fields)
        if isinstance(entry.value, Market) and entry.value.oracle_px == oracle_px and entry.value.is_two_sided:
            return entry.at_ms if entry.at_ms <= rig.watermark_ms() else None
    return None


async def one_signal(rig: FeedRig, *, oracle: float = 101.0) -> Signal:
    """Move the oracle away from the book of the first coin, and wait for the signal on disk."""
    before = len(rig.signals())
    rig.quote(COIN, bid=99.99, ask=100.01, oracle=oracle)
    await eventually("a signal on disk", lambda: len(rig.signals()) == before + 1)
    return rig.signals()[-1]


def test_every_followup_is_the_state_in_force_at_its_due_time(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            clock_ms = await feed_clock(rig)
            published: list[tuple[float, float]] = []
            for step in range(30):
                ask = 90.0 + step / 100
                rig.quote(COIN, bid=ask - 0.02, ask=ask, oracle=100.0 + step % 5)
                published.append((clock_ms(), ask))
                await asyncio.sleep(0.1)
            signals = rig.signals()
            assert len(signals) >= 4
            records = await rig.captured(signals)
            assert len(records) == 3 * len(signals)
            unambiguous = 0
            for record in records.values():
                assert isinstance(record, Followup)
                before = [(at_ms, ask) for at_ms, ask in published if at_ms <= record.due_at_ms + 10]
                # A frame sent shortly before the due time may be received after it.
                candidates = [ask for at_ms, ask in before[-2:] if at_ms <= record.due_at_ms - 50] or [before[-1][1]]
                in_force = {candidates[-1], before[-1][1]}
                unambiguous += len(in_force) == 1
                assert record.best_px in in_force
                assert record.state_at_ms <= record.due_at_ms
            assert unambiguous >= 3
            again = await rig.captured(signals)
            assert again == records

    run(script())


def test_a_signal_is_on_disk_with_its_captures_pending_and_its_tasks_queued(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            assert rig.client.llen(rig.keys.queue) == 3
            assert rig.client.hget(rig.keys.signal(signal.signal_id), "record") == signal.line()
            assert signal.offsets_ms == (400, 800, 1200)
            assert signal.threshold_bps == pytest.approx(6.9)
            assert (signal.oracle_px, signal.best_px, signal.best_size) == (101.0, 100.01, 2.25)

    run(script())


@pytest.mark.slow
def test_a_burst_of_a_thousand_signals_is_pending_and_queued_exactly_once(rigged: Rigged) -> None:
    async def script() -> None:
        coins = [f"xyz:C{number}" for number in range(334)]
        async with rigged(*coins, cooldown_ms=0, offsets_ms="60000,61000,62000") as rig:
            await rig.started()
            for oracle in 101.0, 102.0, 103.0:
                for coin in coins:
                    rig.quote(coin, bid=99.99, ask=100.01, oracle=oracle)
            captures = 3 * 3 * len(coins)
            await eventually("all captures pending", lambda: rig.pending.size() == captures)
            wanted = {capture.task_id for signal in rig.signals() for capture in signal.captures()}
            messages = rig.client.lrange(rig.keys.queue, 0, -1)
            assert len(wanted) == len(messages) == rig.client.zcard(rig.keys.due) == captures
            assert {json.loads(message)["headers"]["id"] for message in messages} == wanted
            assert rig.status().signals_dropped == 0

    run(script())


def test_the_same_oracle_value_coming_back_makes_another_signal_and_repeats_make_none(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(cooldown_ms=0) as rig:
            await rig.started()
            await one_signal(rig)
            for _ in range(5):
                rig.quote(COIN, bid=99.98, ask=100.005, oracle=101.0)
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0)
            rig.quote(COIN, bid=99.99, ask=100.01, oracle=100.0)
            await one_signal(rig)
            assert [signal.oracle_px for signal in rig.signals()] == [101.0, 101.0]

    run(script())


def test_a_killed_feed_repeats_no_signal_and_invents_nothing_for_its_absence(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            await eventually("the first is due", lambda: rig.watermark_ms() >= signal.timestamp_ms + 400)
            rig.kill()
            watermark_ms = rig.watermark_ms()
            await asyncio.sleep(1.2)
            await rig.started()
            records = await rig.captured([signal])
            for record in records.values():
                if record.due_at_ms <= watermark_ms:
                    assert isinstance(record, Followup)
                else:
                    assert isinstance(record, Missed) and record.detail == "the feed was away"
            assert isinstance(records[signal.signal_id, 1200], Missed)
            rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0)
            await one_signal(rig, oracle=102.0)
            assert [signal.oracle_px for signal in rig.signals()] == [101.0, 102.0]

    run(script())


def test_a_signal_that_a_killed_feed_did_not_bring_to_its_file_is_written_by_the_next_one(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(cooldown_ms=0) as rig:
            await rig.started()
            first = await one_signal(rig)
            await eventually("its captures are pending", lambda: rig.pending.size() == 3)
            await eventually("it is detected", lambda: detected_ms(rig) > first.timestamp_ms)
            (path,) = rig.data_dir.glob("signals_*.jsonl")
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # no line can be written, as on a disk that hangs
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=102.0)
                state_at_ms = await eventually("the state is sealed", lambda: sealed_at_ms(rig, 102.0))
                await asyncio.sleep(0.3)
                assert detected_ms(rig) < state_at_ms <= rig.watermark_ms()
                rig.kill()
            assert rig.signals() == [first]
            await rig.started()
            second = await eventually("the signal is on disk", lambda: len(rig.signals()) == 2 and rig.signals()[1])
            assert (second.timestamp_ms, second.oracle_px) == (state_at_ms, 102.0)
            assert second.signal_id == f"{COIN}-{state_at_ms}"
            await eventually("its captures are pending", lambda: rig.pending.size() == 6)
            assert len(await rig.captured([first, second])) == 6
            await eventually("it is detected", lambda: detected_ms(rig) > state_at_ms)
            assert len(rig.signals()) == 2
            assert "signals_detected_again" in rig.log

    run(script())


def test_a_feed_that_finds_its_tape_lost_does_not_fire_again_on_the_same_oracle(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(cooldown_ms=0) as rig:
            await rig.started()
            first = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            rig.kill()
            rig.client.delete(*rig.client.scan_iter(f"{rig.keys.prefix}*"))
            await rig.started()
            state_at_ms = await eventually("the state is sealed", lambda: sealed_at_ms(rig, 101.0))
            assert state_at_ms > first.timestamp_ms
            rig.quote(COIN, bid=99.98, ask=100.0, oracle=101.0)
            await asyncio.sleep(0.2)
            second = await one_signal(rig, oracle=102.0)
            assert rig.signals() == [first, second]

    run(script())


def test_every_signal_on_file_is_what_its_tape_makes(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(cooldown_ms=0) as rig:
            await rig.started()
            for step in range(20):
                rig.quote(COIN, bid=99.99, ask=100.01, oracle=101.0 - step % 3)
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            rig.kill()
            await rig.started()
            await one_signal(rig, oracle=103.0)
            tape = rig.client.xrange(rig.keys.tape(COIN))
            entries = [decode_entry(entry_id, fields) for entry_id, fields in tape]
            assert list(detect(COIN, entries, rules=replace(RULES, cooldown_ms=0))) == rig.signals()

    run(script())


def test_a_feed_restarted_with_fewer_coins_leaves_the_others_in_a_gap(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            rig.kill()
            watermark_ms = rig.watermark_ms()
            await rig.started(live=1, coins="xyz:AAPL")
            for record in (await rig.captured([signal])).values():
                assert isinstance(record, Followup) == (record.due_at_ms <= watermark_ms)

    run(script())


def test_offsets_changed_after_a_signal_do_not_change_its_captures(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("the last is due", lambda: rig.watermark_ms() > signal.timestamp_ms + 1200)
            rig.kill()
            await rig.started(offsets_ms="300,2000")
            assert {offset_ms for _, offset_ms in await rig.captured([signal])} == {400, 800, 1200}
            assert (await one_signal(rig, oracle=103.0)).offsets_ms == (300, 2000)

    run(script())


@pytest.mark.slow
def test_a_stalled_socket_stops_the_clock_then_makes_a_gap_to_the_ms(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(offsets_ms="500,2500,7000") as rig:
            await rig.started()
            name = "websocket 1 silence"
            await eventually("its pace is known", lambda: (rig.status().limits_ms or {}).get(name) == 4000)
            signal = await one_signal(rig)
            await asyncio.sleep(0.7)
            rig.venue.stall(True)
            await eventually("the watermark stands", lambda: rig.status().at_ms - rig.watermark_ms() > 1000, within_s=5)
            stands_ms = rig.watermark_ms()
            rig.venue.refuse(True)
            await eventually("the stall is noticed", lambda: "connection_lost" in rig.log, within_s=6)
            rig.venue.stall(False)
            rig.venue.refuse(False)
            await eventually("live again", lambda: rig.status().markets_live == 2, within_s=6)
            records = await rig.captured([signal])
            first, second, third = (records[signal.signal_id, offset] for offset in (500, 2500, 7000))
            assert isinstance(first, Followup) and isinstance(third, Followup)
            assert isinstance(second, Missed) and second.reason is MissedReason.FEED_GAP
            entries = rig.client.xrange(rig.keys.tape(COIN))
            gaps = [entry_id.decode() for entry_id, fields in entries if b"gap" in fields]
            assert gaps[-1] == f"{stands_ms + 1}-0"

    run(script())


def test_a_stall_that_ends_on_the_same_socket_is_a_gap_only_while_it_lasted(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(stall_grace_ms=700, offsets_ms="300,1500,4000") as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("the first is due", lambda: rig.watermark_ms() > signal.timestamp_ms + 300)
            rig.venue.stall(True)
            await eventually("long enough", lambda: rig.status().at_ms > signal.timestamp_ms + 2000)
            rig.venue.stall(False)
            records = await rig.captured([signal])
            reasons = [getattr(records[signal.signal_id, offset], "reason", None) for offset in (300, 1500, 4000)]
            assert reasons == [None, MissedReason.FEED_GAP, None]
            assert rig.status().reconnects == 0

    run(script())


@pytest.mark.slow
def test_a_feed_after_a_stop_does_not_treat_its_backlog_as_fresh(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(offsets_ms="500,3000,20000") as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            rig.feed.send_signal(SIGSTOP)
            stood_ms = rig.watermark_ms()
            rig.quote(COIN, bid=99.99, ask=100.01, oracle=105.0)
            await asyncio.sleep(1)
            rig.quote(COIN, bid=99.99, ask=100.01, oracle=100.0)
            await asyncio.sleep(5)
            rig.feed.send_signal(SIGCONT)
            await eventually("live again", lambda: newest(rig, COIN).get(b"s") and rig.watermark_ms() > stood_ms + 6000)
            for capture in signal.captures()[:2]:
                await eventually("captured", lambda c=capture: rig._try(c))
            records = {record.offset_ms: record for record in [*rig.followups(), *rig.missed()]}
            assert isinstance(records[3000], Missed) and records[3000].reason is MissedReason.FEED_GAP
            assert rig.signals() == [signal]
            assert "connection_lost" in rig.log

    run(script())


def test_a_dropped_or_expired_socket_is_back_within_five_seconds(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            for end in (rig.venue.drop_connections, rig.venue.expire_connections):
                before = rig.venue.connections_opened
                end()
                await eventually("a new socket", lambda n=before: rig.venue.connections_opened > n, within_s=5)
                await eventually("live again", lambda: rig.status().markets_live == 2, within_s=5)
            await eventually("both counted", lambda: rig.status().reconnects == 2)

    run(script())


def test_one_bad_coin_is_found_and_dropped_and_the_rest_is_kept(rigged: Rigged) -> None:
    async def script() -> None:
        coins = [f"xyz:C{number:02}" for number in range(20)]
        async with rigged(*coins) as rig:
            rig.venue.unknown = {"xyz:C07"}
            rig.start()
            await eventually("the other 19 live", lambda: (s := rig.status()) and s.markets_live == 19, within_s=40)
            assert rig.status().markets_followed == 19
            assert '"coin": "xyz:C07"' in rig.log and "coin_refused" in rig.log
            assert rig.venue.subscriptions_by_coin()["xyz:C08"] == 2

    run(script())


def test_names_that_the_venue_does_not_list_are_notices_and_the_others_are_followed(
    rigged: Rigged, tmp_path: Path
) -> None:
    (tmp_path / "thresholds.json").write_text('{"xyz:AAPL": 50, "xyz:APPL": 50}')
    asked = {"coins": "xyz:TSLA,xyz:TLSA,moon:A", "thresholds": tmp_path / "thresholds.json", "universe_refresh_s": 0.3}
    expected = [
        "HIP3_COINS: the venue lists no xyz:TLSA; did you mean xyz:TSLA?",
        "HIP3_COINS: the venue lists no moon:A",
        "HIP3_THRESHOLDS: the venue lists no xyz:APPL; did you mean xyz:AAPL?",
    ]

    async def script() -> None:
        async with rigged(**asked) as rig:
            await rig.started(live=1)
            await eventually("they are told", lambda: rig.status().notices == expected)
            assert rig.status().problems == []
            rig.venue.set_universe(universe("xyz:TSLA", "xyz:TLSA", "xyz:AAPL", "xyz:APPL"))
            await eventually("what is listed by now is not", lambda: rig.status().notices == expected[1:2])
            assert [rig.log.count(notice) for notice in expected] == [1, 1, 1]

    run(script())


def test_a_dex_that_the_venue_does_not_have_keeps_no_other_back(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(dexes="xyz,moon") as rig:
            await rig.started()
            await eventually("it is told", lambda: rig.status().notices == ["HIP3_DEXES: the venue has no dex moon"])

    run(script())


def test_new_markets_are_followed_and_delisted_ones_dropped_without_a_restart(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged(universe_refresh_s=0.3) as rig:
            await rig.started()
            rig.venue.set_universe(universe("xyz:TSLA", "xyz:AAPL", "xyz:NEW", AAPL={"isDelisted": True}))
            del rig.prices["xyz:AAPL"]
            rig.quote("xyz:NEW", bid=9.99, ask=10.01, oracle=10.0)
            await eventually("the new one is followed", lambda: rig.venue.subscriptions_by_coin()["xyz:NEW"] == 2)
            await eventually("it is live", lambda: newest(rig, "xyz:NEW").get(b"s"))
            await eventually("a gap", lambda: newest(rig, "xyz:AAPL") == {b"gap": b"no longer followed"})
            markets = await eventually(
                "it says so", lambda: (m := rig.store.feed_markets()) and "xyz:NEW" in m.markets and m
            )
            assert markets.delisted == ["xyz:AAPL"]
            assert {coin: facts.threshold_bps for coin, facts in markets.markets.items()} == {
                "xyz:TSLA": 6.9,
                "xyz:NEW": 6.9,
            }

    run(script())


@pytest.mark.slow
def test_it_notes_which_markets_it_follows_at_the_start_and_when_they_change(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged("xyz:TSLA", "xyz:AAPL", universe_refresh_s=0.3) as rig:
            await rig.started()
            await eventually("a first note", rig.watched)
            rig.venue.set_universe(universe("xyz:TSLA", "xyz:NEW"))
            rig.quote("xyz:NEW", bid=99.99, ask=100.01, oracle=100.0)
            await eventually("a note of the new market", lambda: rig.watched()[-1].coins == ("xyz:NEW", "xyz:TSLA"))
            read_health_file = len(rig.watched())
            rig.kill()
            await rig.started(live=2)
            await eventually("a note of the next feed", lambda: len(rig.watched()) == read_health_file + 1)
            assert [watched.coins for watched in rig.watched()] == [
                ("xyz:AAPL", "xyz:TSLA"),
                *[("xyz:NEW", "xyz:TSLA")] * 2,
            ]
            times_ms = [watched.at_ms for watched in rig.watched()]
            assert times_ms == sorted(times_ms)

    run(script())


def test_health_is_red_with_a_reason_while_no_market_is_live(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            url = f"ws{rig.venue.base_url.removeprefix('http')}/ws"
            rig.venue.refuse(True)
            rig.start()
            problem = await eventually("red", lambda: (s := rig.status()) and next(iter(s.problems), None))
            assert rig.status().is_simulated
            cause = f"socket not connected: {url}: the venue answered 503 Service Unavailable"
            assert problem.startswith(f"no market is live: {cause}, since ")
            rig.venue.refuse(False)
            await eventually("live", lambda: rig.status().markets_live == 2, within_s=6)
            await eventually("green", lambda: rig.status().problems == [])

    run(script())


def test_subscriptions_are_split_over_several_sockets(rigged: Rigged) -> None:
    async def script() -> None:
        coins = [f"xyz:C{number}" for number in range(5)]
        async with rigged(*coins, subscriptions_per_socket=4) as rig:
            await rig.started()
            assert rig.venue.connection_count == 3
            assert rig.status().sockets == 3
            assert not rig.venue.violations

    run(script())


def test_hostile_frames_are_counted_by_kind_and_never_fatal(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            for text in HOSTILE:
                rig.venue.send_raw(text)
            signal = await one_signal(rig)
            assert signal.oracle_px == 101.0
            frames = await eventually("all counted", lambda: (s := rig.status()) and "bad_bbo" in s.frames and s.frames)
            assert frames["not_json"] == 2 and frames["no_channel"] == 3 and frames["unknown_channel"] == 1
            assert frames["bad_bbo"] == 5 and frames["bad_activeAssetCtx"] == 3
            assert rig.status().reconnects == 0

    run(script())


HOSTILE = [
    "{",
    "\u0000",
    "null",
    "[]",
    '{"channel": 7}',
    '{"channel": "liquidations", "data": {}}',
    '{"channel": "bbo"}',
    '{"channel": "bbo", "data": {"coin": "xyz:TSLA", "time": 1, "bbo": [{"px": "NaN", "sz": "1"}, null]}}',
    '{"channel": "bbo", "data": {"coin": "xyz:TSLA", "time": 1, "bbo": [{"px": "1e5", "sz": "1"}, null]}}',
    '{"channel": "bbo", "data": {"coin": "xyz:TSLA", "time": 1, "bbo": [{"px": "1_0", "sz": "1"}, null]}}',
    '{"channel": "bbo", "data": {"coin": "xyz:TSLA", "time": "1", "bbo": [null, null]}}',
    '{"channel": "bbo", "data": {"coin": "xyz:TSLA", "time": 1, "bbo": [null, null, null]}}',
    '{"channel": "activeAssetCtx", "data": {"coin": "xyz:TSLA", "ctx": {}}}',
    '{"channel": "activeAssetCtx", "data": {"coin": "xyz:TSLA", "ctx": {"oraclePx": "0"}}}',
    '{"channel": "activeAssetCtx", "data": {"coin": "xyz:TSLA", "ctx": {"oraclePx": "-5"}}}',
]


def test_a_server_that_lost_everything_is_given_tape_signals_and_captures_again(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            rig.client.delete(*rig.client.scan_iter(f"{rig.keys.prefix}*"))
            await eventually("the captures are pending again", lambda: rig.pending.size() == 3)
            assert rig.client.hget(rig.keys.signal(signal.signal_id), "record") == signal.line()
            records = await rig.captured([signal])
            assert all(isinstance(record, Followup) for record in records.values())
            assert rig.pending.size() == 0

    run(script())


def test_a_lost_task_is_published_again_by_the_sweeper(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            await one_signal(rig)
            await eventually("three tasks queued", lambda: rig.client.llen(rig.keys.queue) == 3)
            rig.client.delete(rig.keys.queue)
            await eventually("queued again", lambda: rig.client.llen(rig.keys.queue) >= 3)
            rig.client.zadd(rig.keys.pending, {"nonsense": 1})
            await eventually("nonsense is dropped", lambda: rig.client.zscore(rig.keys.pending, "nonsense") is None)

    run(script())


def test_a_second_feed_on_the_directory_or_the_name_refuses_to_start(rigged: Rigged, tmp_path: Path) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            rig.start()
            assert await rig.ended() == 2
            assert "another feed runs on this data directory" in rig.log
            rig.start(data_dir=tmp_path / "other")
            assert await rig.ended(within_s=15) == 2
            assert "the name is held by another feed" in rig.log

    run(script())


def test_sigterm_ends_detection_and_waits_for_open_captures(rigged: Rigged) -> None:
    async def script() -> None:
        async with rigged() as rig:
            await rig.started()
            signal = await one_signal(rig)
            await eventually("three captures pending", lambda: rig.pending.size() == 3)
            rig.feed.send_signal(SIGTERM)
            await eventually("draining", lambda: "feed_draining" in rig.log)
            rig.quote(COIN, bid=99.99, ask=100.01, oracle=105.0)
            records = await rig.captured([signal])
            assert all(isinstance(record, Followup) for record in records.values())
            assert await rig.ended() == 0
            assert rig.signals() == [signal]

    run(script())


def test_the_health_file_holds_the_feeds_problems(rigged: Rigged, tmp_path: Path) -> None:
    async def script() -> None:
        async with rigged(health_dir=tmp_path) as rig:
            await rig.started()
            await eventually("a note that all is well", lambda: not read_health_file(tmp_path / "feed"))
            rig.feed.send_signal(SIGTERM)
            assert await rig.ended() == 0
            rig.start(min_free_mb=1 << 40)
            await eventually(
                "a full disk", lambda: any("MB free" in problem for problem in read_health_file(tmp_path / "feed"))
            )

    run(script())
