"""The tape and its watermark, on a real server and in fakeredis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from hip3_tasks.domain.market import Entry, Gap, Market, encode_entry
from hip3_tasks.errors import Fenced, MalformedEntry
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Reading, Stamped, TapeReader, stamp
from hip3_tasks.store.tape_writer import LEASE_MS, LostData, TapeWriter
from tests.support.backends import PCALL_DIFFERS, Backend
from tests.support.factories import T0_MS, a_capture, a_market, a_signal

COIN = "xyz:TSLA"
GAP = Gap("start")

Script = Callable[..., Any]


@pytest.fixture
def feed(backend: Backend, keys: Keys) -> Script:
    """Run a coroutine with the tape writer of a feed."""

    def run(script: Callable[[TapeWriter], Awaitable[Any]], *, owner: str = "this feed") -> Any:
        async def play() -> Any:
            async with backend.connect_async() as client:
                return await script(TapeWriter(client, keys, owner=owner))

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


def append(feed: Script, *entries: Stamped, watermark_ms: int | None = None, confirmed_ms: int | None = None) -> None:
    feed(lambda tape: tape.append(entries, watermark_ms=watermark_ms, confirmed_ms=confirmed_ms))


def ids_on_tape(client: redis.Redis, keys: Keys) -> list[str]:
    return [entry_id.decode() for entry_id, _ in client.xrange(keys.tape(COIN))]


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


@pytest.mark.fakeredis_differs(reason=PCALL_DIFFERS, raises=redis.ResponseError)
def test_an_append_that_is_repeated_changes_nothing(feed: Script, client: redis.Redis, keys: Keys) -> None:
    entries = [entry(T0_MS, 0), entry(T0_MS, 1), entry(T0_MS + 5, 0)]
    for _ in range(3):
        append(feed, *entries, watermark_ms=T0_MS + 5)
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0", f"{T0_MS}-1", f"{T0_MS + 5}-0"]


@pytest.mark.fakeredis_differs(reason=PCALL_DIFFERS, raises=redis.ResponseError)
def test_a_repeated_append_adds_only_new_entries(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    append(feed, entry(T0_MS), entry(T0_MS + 1), watermark_ms=T0_MS + 1, confirmed_ms=T0_MS)
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0", f"{T0_MS + 1}-0"]


def test_the_watermark_never_goes_back(feed: Script, reader: TapeReader) -> None:
    assert reader.watermark_ms() is None
    for at_ms, expected_ms in (100, 100), (50, 100), (None, 100), (101, 101):
        append(feed, watermark_ms=None if at_ms is None else T0_MS + at_ms)
        assert reader.watermark_ms() == T0_MS + expected_ms


def test_append_is_rejected_when_the_watermark_went_back(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    with pytest.raises(LostData) as caught:
        append(feed, entry(T0_MS + 2), watermark_ms=T0_MS + 2, confirmed_ms=T0_MS + 1)
    assert caught.value.watermark_ms == T0_MS
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0"]
    append(feed, entry(T0_MS + 2), watermark_ms=T0_MS + 2, confirmed_ms=T0_MS)


def test_append_is_rejected_when_the_server_lost_its_data(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.delete(keys.watermark, keys.tape(COIN), keys.feed)
    with pytest.raises(LostData) as caught:
        append(feed, entry(T0_MS + 1), watermark_ms=T0_MS + 1, confirmed_ms=T0_MS)
    assert caught.value.watermark_ms is None
    assert not client.exists(keys.tape(COIN), keys.watermark)


def test_a_second_feed_of_the_name_is_fenced_and_writes_nothing(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    with pytest.raises(Fenced, match="the data directory with id this feed"):
        feed(lambda tape: tape.append([entry(T0_MS + 1)], watermark_ms=T0_MS + 1, confirmed_ms=None), owner="another")
    assert ids_on_tape(client, keys) == [f"{T0_MS}-0"]
    assert 0 < client.pttl(keys.feed) <= LEASE_MS


def test_a_name_whose_feed_is_gone_may_be_taken(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.pexpire(keys.feed, 0)
    feed(lambda tape: tape.append([], watermark_ms=T0_MS + 1, confirmed_ms=T0_MS), owner="another")
    assert client.get(keys.feed) == b"another"


def test_after_a_script_flush_the_next_append_works(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    client.script_flush()
    append(feed, entry(T0_MS + 1), watermark_ms=T0_MS + 1)
    assert len(ids_on_tape(client, keys)) == 2


def test_a_key_of_another_type_is_an_error_and_holds_the_watermark(
    feed: Script, client: redis.Redis, keys: Keys, reader: TapeReader
) -> None:
    client.set(keys.tape(COIN), "not a stream")
    with pytest.raises(redis.ResponseError):
        append(feed, entry(T0_MS), watermark_ms=T0_MS)
    assert reader.watermark_ms() is None


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
        await tape.append(entries, watermark_ms=T0_MS + 50, confirmed_ms=None)
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
        await tape.append(entries, watermark_ms=T0_MS + 20, confirmed_ms=None)
        tails = await tape.ends([COIN, "xyz:GAP", "xyz:NONE"])
        return {coin: (tail.at_ms, tail.market == state(T0_MS)) for coin, tail in tails.items()}

    client.xadd(keys.tape(COIN), {"s": "garbage"}, id=f"{T0_MS - 5}-0")
    assert feed(script) == {COIN: (T0_MS + 20, True), "xyz:GAP": (T0_MS + 7, False)}


def test_an_empty_read_sends_nothing(feed: Script) -> None:
    async def script(tape: TapeWriter) -> dict[str, object]:
        await tape.trim([], before_ms=T0_MS)
        return dict(await tape.ends([]))

    assert feed(script) == {}


def test_the_tape_has_the_encoded_entries(feed: Script, client: redis.Redis, keys: Keys) -> None:
    append(feed, entry(T0_MS), watermark_ms=T0_MS)
    ((_, fields),) = client.xrange(keys.tape(COIN))
    assert fields == dict([encode_entry(state(T0_MS))])
