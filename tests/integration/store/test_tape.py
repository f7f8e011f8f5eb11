"""The tape and its watermark, on a real server and in fakeredis."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis
import redis.asyncio

from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import Entry, Gap, Market, encode_entry
from hip3_tasks.errors import Fenced, MalformedEntry
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Reading, Stamped, TapeReader, stamp, stamp_again
from hip3_tasks.store.tape_writer import LEASE_MS, Marks, TapeWriter, WatermarkDiffers
from tests.support.backends import Backend
from tests.support.factories import T0_MS, a_capture, a_market, a_signal

COIN = "xyz:TSLA"
GAP = Gap("start")

Script = Callable[..., Any]


@pytest.fixture
def feed(backend: Backend, keys: Keys) -> Script:
    """Run a coroutine with the tape writers of one or several feeds of a directory, each with its own client."""

    def run(script: Callable[..., Awaitable[Any]], *, feeds: int = 1, owner: str = "this feed") -> Any:
        async def play() -> Any:
            async with AsyncExitStack() as clients:
                opened = [await clients.enter_async_context(backend.connect_async()) for _ in range(feeds)]
                return await script(*(TapeWriter(client, keys, owner=owner) for client in opened))

        return asyncio.run(play())

    return run


@pytest.fixture
def reader(client: redis.Redis, keys: Keys) -> TapeReader:
    return TapeReader(client, keys)


def state(at_ms: int, seq: int = 0) -> Market:
    """A state with a bid that no other state has."""
    return a_market(at_ms=T0_MS, bid_px=float(at_ms - T0_MS + 1) + seq / 10)


def entry(at_ms: int, seq: int = 0, *, coin: str = COIN, value: Gap | None = None) -> Stamped:
    return stamp(coin, at_ms, seq, value or state(at_ms, seq))


def as_of(reader: TapeReader, at_ms: int, *, coin: str = COIN) -> Reading:
    (reading,) = reader.read([a_capture(a_signal(coin, at_ms=at_ms - 1000), 1000)])
    return reading


def append(feed: Script, *entries: Stamped, watermark_ms: int, expected_ms: int | None = None) -> None:
    feed(lambda tape: tape.append(entries, watermark_ms=watermark_ms, expected_ms=expected_ms))


def ids_on_tape(client: redis.Redis, keys: Keys) -> list[str]:
    return [entry_id.decode() for entry_id, _ in client.xrange(keys.tape(COIN))]


def everything(client: redis.Redis, keys: Keys) -> dict[str, Any]:
    """All that a feed's writer writes, but for the lease."""
    marks = {name: client.get(getattr(keys, name)) for name in ("watermark", "detected", "epoch")}
    coins = sorted(client.smembers(keys.tapes))
    return marks | {coin.decode(): client.xrange(keys.tape(coin.decode())) for coin in coins}


def test_a_market_is_read_as_of_an_instant(feed: Script, reader: TapeReader) -> None:
    append(feed, *(entry(T0_MS + at_ms) for at_ms in (0, 100, 5000)), watermark_ms=T0_MS + 6000)
    assert as_of(reader, T0_MS - 1).entry is None
    for at_ms, in_force in (0, 0), (99, 0), (100, 100), (4999, 100), (5000, 5000), (9000, 5000):
        assert as_of(reader, T0_MS + at_ms).entry == Entry(T0_MS + in_force, state(T0_MS + in_force))


def test_the_last_of_several_states_in_a_millisecond_counts(feed: Script, reader: TapeReader) -> None:
    append(feed, *(entry(T0_MS, seq) for seq in range(12)), entry(T0_MS + 1), watermark_ms=T0_MS)
    assert as_of(reader, T0_MS).entry == Entry(T0_MS, state(T0_MS, 11))


def test_the_market_at_the_signal_and_at_the_due_time_are_read_separately(feed: Script, reader: TapeReader) -> None:
    append(feed, entry(T0_MS), entry(T0_MS + 500), watermark_ms=T0_MS + 999)
    capture = a_capture(a_signal(at_ms=T0_MS), 1000)
    (reading,), (origin,) = reader.read([capture]), reader.origins([capture])
    assert (origin.entry, reading.entry) == (Entry(T0_MS, state(T0_MS)), Entry(T0_MS + 500, state(T0_MS + 500)))
    assert not reading.is_complete_at(T0_MS + 1000)
    assert reading.is_complete_at(T0_MS + 999)
    assert origin.signal_line is None


def test_markets_are_read_together_each_from_its_own_tape(feed: Script, reader: TapeReader) -> None:
    coins = [f"xyz:A{number}" for number in range(50)]
    append(feed, *(entry(T0_MS + number, coin=coin) for number, coin in enumerate(coins)), watermark_ms=T0_MS + 99)
    captures = [a_capture(a_signal(coin, at_ms=T0_MS), 1000) for coin in [*coins, "xyz:NONE"]]
    readings = reader.read(captures)
    assert [reading.entry.at_ms for reading in readings if reading.entry] == [T0_MS + number for number in range(50)]
    assert readings[-1].entry is None
    assert {reading.watermark_ms for reading in readings} == {T0_MS + 99}


def test_a_gap_is_read_as_a_gap_until_the_next_state(feed: Script, reader: TapeReader) -> None:
    append(feed, entry(T0_MS), entry(T0_MS + 100, value=GAP), entry(T0_MS + 200), watermark_ms=T0_MS + 300)
    assert as_of(reader, T0_MS + 150).entry == Entry(T0_MS + 100, GAP)
    assert as_of(reader, T0_MS + 200).entry == Entry(T0_MS + 200, state(T0_MS + 200))


def test_a_call_that_is_executed_twice_changes_nothing(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS - 9), watermark_ms=T0_MS - 1)
    entries = [entry(T0_MS, 0), entry(T0_MS, 1), entry(T0_MS + 5, 0)]
    append(feed, *entries, watermark_ms=T0_MS + 5, expected_ms=T0_MS - 1)
    before = everything(client, keys)
    for _ in range(2):
        with pytest.raises(WatermarkDiffers) as caught:
            append(feed, *entries, watermark_ms=T0_MS + 5, expected_ms=T0_MS - 1)
        assert caught.value.watermark_ms == T0_MS + 5
        assert everything(client, keys) == before
    assert ids_on_tape(client, keys) == [f"{T0_MS - 9}-0", f"{T0_MS}-0", f"{T0_MS}-1", f"{T0_MS + 5}-0"]


def test_the_first_call_of_a_tape_that_is_executed_twice_changes_nothing(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    before = everything(client, keys)
    with pytest.raises(WatermarkDiffers):
        append(feed, entry(T0_MS), watermark_ms=T0_MS)
    assert everything(client, keys) == before


@pytest.mark.parametrize("expected_ms", [None, T0_MS - 1, T0_MS + 1], ids=["missing", "lower", "higher"])
def test_a_call_on_another_watermark_writes_nothing(
    feed: Script, client: redis.Redis, keys: Keys, expected_ms: int | None
) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    before = everything(client, keys)
    with pytest.raises(WatermarkDiffers) as caught:
        append(
            feed, entry(T0_MS + 2), entry(T0_MS + 2, coin="xyz:NEW"), watermark_ms=T0_MS + 2, expected_ms=expected_ms
        )
    assert caught.value.watermark_ms == T0_MS
    assert everything(client, keys) == before
    append(feed, entry(T0_MS + 2), watermark_ms=T0_MS + 2, expected_ms=T0_MS)
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0", f"{T0_MS + 2}-0"]


def test_the_watermark_moves_only_from_the_one_that_the_feed_knows(feed: Script, reader: TapeReader) -> None:
    assert reader.watermark_ms() is None
    append(feed, watermark_ms=T0_MS + 100)
    for expected in 50, 99, None:
        with pytest.raises(WatermarkDiffers):
            append(feed, watermark_ms=T0_MS + 50, expected_ms=expected and T0_MS + expected)
        assert reader.watermark_ms() == T0_MS + 100
    append(feed, watermark_ms=T0_MS + 101, expected_ms=T0_MS + 100)
    assert reader.watermark_ms() == T0_MS + 101


def test_append_is_rejected_when_the_server_lost_its_data(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.delete(keys.watermark, keys.tape(COIN), keys.feed)
    with pytest.raises(WatermarkDiffers) as caught:
        append(feed, entry(T0_MS + 1), watermark_ms=T0_MS + 1, expected_ms=T0_MS)
    assert caught.value.watermark_ms is None
    assert not client.exists(keys.tape(COIN), keys.watermark)


def test_a_tape_that_outlived_the_watermark_is_begun_again(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), entry(T0_MS + 9), entry(T0_MS + 9, coin="xyz:AAPL"), watermark_ms=T0_MS + 9)
    client.delete(keys.watermark)
    append(feed, entry(T0_MS + 3), entry(T0_MS + 4), watermark_ms=T0_MS + 5)
    assert ids_on_tape(client, keys) == [f"{T0_MS + 3}-0", f"{T0_MS + 4}-0"]


# --- one feed after another


def test_a_call_that_a_dead_feed_had_under_way_is_refused_and_the_gap_of_its_successor_is_kept(
    feed: Script, client: redis.Redis, keys: Keys, reader: TapeReader
) -> None:
    async def script(dead: TapeWriter, successor: TapeWriter) -> None:
        await dead.take(at_ms=T0_MS)
        await dead.append([entry(T0_MS)], watermark_ms=T0_MS, expected_ms=None)
        late = dead.append([entry(T0_MS + 1), entry(T0_MS + 400)], watermark_ms=T0_MS + 500, expected_ms=T0_MS)
        assert await successor.take(at_ms=T0_MS + 2000) == Marks(T0_MS, T0_MS)
        with pytest.raises(Fenced, match="another feed of this data directory has taken over"):
            await late
        gap = entry(T0_MS + 1, value=Gap("the feed was away"))
        await successor.append([gap], watermark_ms=T0_MS + 2000, expected_ms=T0_MS)

    feed(script, feeds=2)
    assert as_of(reader, T0_MS + 400).entry == Entry(T0_MS + 1, Gap("the feed was away"))
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0", f"{T0_MS + 1}-0"]


def test_a_call_of_a_dead_feed_that_comes_after_the_gap_of_its_successor_is_refused_too(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(dead: TapeWriter, successor: TapeWriter) -> None:
        await dead.take(at_ms=T0_MS)
        await dead.append([entry(T0_MS)], watermark_ms=T0_MS, expected_ms=None)
        await successor.take(at_ms=T0_MS + 2000)
        gap = entry(T0_MS + 1, value=Gap("the feed was away"))
        await successor.append([gap], watermark_ms=T0_MS + 2000, expected_ms=T0_MS)
        before = everything(client, keys)
        for expected_ms in T0_MS, T0_MS + 2000:
            with pytest.raises(Fenced):
                await dead.append([entry(T0_MS + 2001)], watermark_ms=T0_MS + 2001, expected_ms=expected_ms)
        assert everything(client, keys) == before

    feed(script, feeds=2)


def test_a_call_that_was_executed_before_the_successor_took_over_is_part_of_the_tape(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(dead: TapeWriter, successor: TapeWriter) -> Marks:
        await dead.take(at_ms=T0_MS)
        await dead.append([entry(T0_MS)], watermark_ms=T0_MS + 500, expected_ms=None, detected_ms=T0_MS - 1)
        return await successor.take(at_ms=T0_MS + 2000)

    assert feed(script, feeds=2) == Marks(T0_MS + 500, T0_MS - 1)


def test_a_late_take_of_a_dead_feed_cannot_take_over(feed: Script, client: redis.Redis, keys: Keys) -> None:
    async def script(dead: TapeWriter, successor: TapeWriter) -> None:
        calls: list[dict[str, Any]] = []
        take = dead._take

        async def hold(**call: Any) -> None:
            calls.append(call)
            raise redis.ConnectionError("the feed dies, and its call is still under way")

        dead._take = hold  # type: ignore[assignment]
        with pytest.raises(redis.ConnectionError):
            await dead.take(at_ms=T0_MS + 5000)
        await successor.take(at_ms=T0_MS)
        before = everything(client, keys)
        status, _ = await take(**calls[0])
        assert status == b"changed"
        assert everything(client, keys) == before
        await successor.append([entry(T0_MS)], watermark_ms=T0_MS, expected_ms=None)

    feed(script, feeds=2)


def test_a_take_that_another_one_overtook_is_tried_again(feed: Script, client: redis.Redis, keys: Keys) -> None:
    async def script(first: TapeWriter, second: TapeWriter) -> None:
        take, overtaken = second._take, False

        async def overtake(**call: Any) -> Any:
            nonlocal overtaken
            if not overtaken:
                overtaken = True
                await first.take(at_ms=T0_MS + 7)
            return await take(**call)

        second._take = overtake  # type: ignore[assignment]
        await second.take(at_ms=T0_MS)
        with pytest.raises(Fenced):
            await first.append([], watermark_ms=T0_MS, expected_ms=None)
        await second.append([], watermark_ms=T0_MS, expected_ms=None)

    feed(script, feeds=2)
    assert client.get(keys.epoch) == b"%d" % (T0_MS + 8)


def test_each_feed_takes_over_from_the_one_before_whatever_the_wall_clock_shows(feed: Script) -> None:
    async def script(*writers: TapeWriter) -> None:
        for number, writer in enumerate(writers):
            await writer.take(at_ms=T0_MS - number * 1000)
            for dead in writers[:number]:
                with pytest.raises(Fenced):
                    await dead.append([], watermark_ms=T0_MS, expected_ms=None)

    feed(script, feeds=4)


def test_a_feed_on_a_server_that_was_emptied_and_set_back_still_refuses_the_one_before(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(dead: TapeWriter, successor: TapeWriter) -> None:
        await dead.take(at_ms=T0_MS)
        await successor.take(at_ms=T0_MS + 1000)
        for epoch in None, T0_MS - 5:
            client.delete(keys.epoch, keys.watermark)
            if epoch is not None:
                client.set(keys.epoch, epoch)
            await successor.append([entry(T0_MS)], watermark_ms=T0_MS, expected_ms=None)
            with pytest.raises(Fenced):
                await dead.append([entry(T0_MS + 1)], watermark_ms=T0_MS + 1, expected_ms=T0_MS)

    feed(script, feeds=2)


def test_a_feed_of_another_directory_cannot_take_over_while_the_name_is_held(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    with pytest.raises(Fenced, match="the data directory with id this feed"):
        feed(lambda tape: tape.take(at_ms=T0_MS), owner="another")
    assert not client.exists(keys.epoch)
    client.pexpire(keys.feed, 0)
    assert feed(lambda tape: tape.take(at_ms=T0_MS), owner="another") == Marks(T0_MS, T0_MS)
    assert client.get(keys.feed) == b"another"
    assert 0 < client.pttl(keys.feed) <= LEASE_MS


def test_a_new_name_has_no_marks_and_a_tape_of_0_1_0_no_second_one(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    assert feed(lambda tape: tape.take(at_ms=T0_MS)) == Marks(None, None)
    client.set(keys.watermark, T0_MS)
    assert feed(lambda tape: tape.take(at_ms=T0_MS)) == Marks(T0_MS, None)


def test_the_second_mark_is_the_watermark_unless_a_signal_is_not_on_file(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(tape: TapeWriter) -> list[bytes | None]:
        detected = []
        for at_ms, detected_ms in (1, None), (2, T0_MS), (3, T0_MS + 3):
            expected_ms = None if at_ms == 1 else T0_MS + at_ms - 1
            await tape.append([], watermark_ms=T0_MS + at_ms, expected_ms=expected_ms, detected_ms=detected_ms)
            detected.append(client.get(keys.detected))
        return detected

    assert feed(script) == [b"%d" % (T0_MS + 1), b"%d" % T0_MS, b"%d" % (T0_MS + 3)]


def test_a_second_feed_of_the_name_is_fenced_and_writes_nothing(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    with pytest.raises(Fenced, match="the data directory with id this feed"):
        feed(lambda tape: tape.append([entry(T0_MS + 1)], watermark_ms=T0_MS + 1, expected_ms=T0_MS), owner="another")
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0"]
    assert 0 < client.pttl(keys.feed) <= LEASE_MS


def test_a_name_whose_feed_is_gone_may_be_taken(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.pexpire(keys.feed, 0)
    feed(lambda tape: tape.append([], watermark_ms=T0_MS + 1, expected_ms=T0_MS), owner="another")
    assert client.get(keys.feed) == b"another"


def test_after_a_script_flush_the_next_append_works(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.script_flush()
    append(feed, entry(T0_MS + 1), watermark_ms=T0_MS + 1, expected_ms=T0_MS)
    assert len(ids_on_tape(client, keys)) == 2


def test_a_key_of_another_type_is_an_error_and_holds_the_watermark(
    feed: Script, client: redis.Redis, keys: Keys, reader: TapeReader
) -> None:
    append(feed, watermark_ms=T0_MS - 1)
    client.set(keys.tape(COIN), "not a stream")
    with pytest.raises(redis.ResponseError):
        append(feed, entry(T0_MS), watermark_ms=T0_MS, expected_ms=T0_MS - 1)
    assert reader.watermark_ms() == T0_MS - 1


@pytest.mark.fakeredis_differs(reason="its Lua cannot read the text of an error", raises=redis.ResponseError)
def test_a_call_that_failed_half_way_succeeds_once_its_cause_is_gone(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    append(feed, watermark_ms=T0_MS - 1)
    client.set(keys.tape("xyz:AAPL"), "not a stream")
    entries = [entry(T0_MS), entry(T0_MS, coin="xyz:AAPL")]
    with pytest.raises(redis.ResponseError):
        append(feed, *entries, watermark_ms=T0_MS, expected_ms=T0_MS - 1)
    client.delete(keys.tape("xyz:AAPL"))
    append(feed, *entries, watermark_ms=T0_MS, expected_ms=T0_MS - 1)


@pytest.mark.parametrize("field", [b"s", b"gap", b"other"])
def test_an_entry_that_does_not_decode_is_malformed_and_never_a_market(
    client: redis.Redis, keys: Keys, reader: TapeReader, field: bytes
) -> None:
    client.xadd(keys.tape(COIN), {field: b"\xff"}, id=f"{T0_MS}-0")
    reading = as_of(reader, T0_MS)
    with pytest.raises(MalformedEntry):
        assert reading.entry


def test_a_tape_begun_with_a_gap_is_listed_until_it_is_trimmed_empty(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(tape: TapeWriter) -> list[set[str]]:
        listed = [await tape.coins()]
        entries = [entry(T0_MS, value=GAP), entry(T0_MS + 50), entry(T0_MS, coin="xyz:OLD", value=GAP)]
        await tape.append(entries, watermark_ms=T0_MS + 50, expected_ms=None)
        listed.append(await tape.coins())
        await tape.trim([COIN, "xyz:OLD"], before_ms=T0_MS + 50)
        return [*listed, await tape.coins()]

    assert feed(script) == [set(), {COIN, "xyz:OLD"}, {COIN}]
    assert ids_on_tape(client, keys) == [f"{T0_MS + 50}-0"]
    assert not client.exists(keys.tape("xyz:OLD"))


def test_the_tail_of_a_tape_is_its_last_instant_and_last_known_state(
    feed: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(tape: TapeWriter) -> dict[str, tuple[int, bool]]:
        entries = [entry(T0_MS), entry(T0_MS + 10, value=GAP), entry(T0_MS + 20, value=GAP)]
        entries += [entry(T0_MS + 7, coin="xyz:GAP", value=GAP)]
        await tape.append(entries, watermark_ms=T0_MS + 20, expected_ms=None)
        tails = await tape.ends([COIN, "xyz:GAP", "xyz:NONE"])
        return {coin: (tail.at_ms, tail.market == state(T0_MS)) for coin, tail in tails.items()}

    client.xadd(keys.tape(COIN), {"s": "garbage"}, id=f"{T0_MS - 5}-0")
    assert feed(script) == {COIN: (T0_MS + 20, True), "xyz:GAP": (T0_MS + 7, False)}


def test_the_entries_of_a_market_after_one_instant_up_to_another(
    feed: Script, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hip3_tasks.store.tape_writer.READ_AT_ONCE", 3)
    stamped = [entry(T0_MS + at_ms, seq) for at_ms in range(8) for seq in range(2)]

    async def script(tape: TapeWriter) -> list[list[Entry]]:
        await tape.append(stamped, watermark_ms=T0_MS + 9, expected_ms=None)
        spans = (-5, 9), (2, 5), (2, 3), (7, 9), (3, 3)
        return [await tape.entries(COIN, after_ms=T0_MS + a, up_to_ms=T0_MS + b) for a, b in spans]

    def states(first: int, last: int) -> list[Entry]:
        return [Entry(T0_MS + ms, state(T0_MS + ms, seq)) for ms in range(first, last + 1) for seq in range(2)]

    assert feed(script) == [states(0, 7), states(3, 5), states(3, 3), [], []]
    assert feed(lambda tape: tape.entries("xyz:NONE", after_ms=0, up_to_ms=T0_MS)) == []


def test_an_entry_that_cannot_be_read_is_left_out_of_the_entries(
    feed: Script, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hip3_tasks.store.tape_writer.READ_AT_ONCE", 1)
    for at_ms, fields in (1, {"s": "garbage"}), (2, {"gap": "start"}), (3, {"gap": "start", "d": "garbage"}):
        client.xadd(keys.tape(COIN), fields, id=f"{T0_MS + at_ms}-0")
    read = feed(lambda tape: tape.entries(COIN, after_ms=T0_MS, up_to_ms=T0_MS + 9))
    assert read == [Entry(T0_MS + 2, GAP)]


def test_an_empty_read_sends_nothing(feed: Script) -> None:
    async def script(tape: TapeWriter) -> dict[str, object]:
        await tape.trim([], before_ms=T0_MS)
        return dict(await tape.ends([]))

    assert feed(script) == {}


def test_the_tape_has_the_encoded_entries(feed: Script, client: redis.Redis, keys: Keys) -> None:
    conditions = Conditions(is_news=True, is_judged=True, ctx_age_ms=7, taker_fee_bps=9.0, threshold_bps=15.0)
    judged = stamp(COIN, T0_MS + 1, 0, state(T0_MS + 1), conditions)
    append(feed, entry(T0_MS), judged, watermark_ms=T0_MS + 1)
    (_, plain), (_, fields) = client.xrange(keys.tape(COIN))
    assert plain == dict([encode_entry(state(T0_MS))])
    assert fields == dict([encode_entry(state(T0_MS + 1))]) | {b"d": b"[3,3,7,9.0,15.0]"}


def test_a_state_that_is_stamped_again_is_no_news() -> None:
    conditions = Conditions(is_news=True, is_judged=True, ctx_age_ms=7, taker_fee_bps=9.0, threshold_bps=15.0)
    again = stamp_again(stamp(COIN, T0_MS, 0, state(T0_MS), conditions), T0_MS + 500, 1)
    repeated = Conditions(is_judged=True, taker_fee_bps=9.0, threshold_bps=15.0)
    assert again == stamp(COIN, T0_MS + 500, 1, state(T0_MS), repeated)
    plain = entry(T0_MS, value=GAP)
    assert stamp_again(plain, T0_MS + 500, 1) == entry(T0_MS + 500, 1, value=GAP)
