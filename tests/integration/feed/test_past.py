"""A feed takes over from the one before, on a real server and in fakeredis, with its signals file on a real disk."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from feed.past import resume, signals_on_file, take_tape
from hip3_tasks.domain.capture import DAY_MS
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.errors import Fenced, JournalError
from hip3_tasks.files.signal_files import SignalWriter, signals_path
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.tape import Stamped, stamp
from hip3_tasks.store.tape_writer import Marks, TapeWriter
from tests.support.backends import Backend
from tests.support.factories import DAY, T0_MS, a_market, a_signal
from tests.support.tapes import COIN, news

OTHER = "xyz:AAPL"
Script = Callable[..., Any]


@pytest.fixture
def feeds(backend: Backend, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Run a coroutine with the writer of the feed before and that of the one that starts."""
    monkeypatch.setattr("feed.past.RETRY_INTERVAL_S", 0.01)

    def run(script: Callable[[TapeWriter, TapeWriter], Awaitable[Any]], *, owners: tuple[str, str] = ("a", "a")) -> Any:
        async def play() -> Any:
            async with backend.connect_async() as first, backend.connect_async() as second:
                writers = (
                    TapeWriter(client, keys, owner=owner) for client, owner in zip((first, second), owners, strict=True)
                )
                return await script(*writers)

        return asyncio.run(play())

    return run


def dislocated(oracle_px: float, *, at_ms: int) -> Entry:
    value = a_market(at_ms=at_ms, ask_px=oracle_px - 1, bid_px=oracle_px - 2, oracle_px=oracle_px, oracle_at_ms=at_ms)
    return news(value, at_ms=at_ms)


TAPE = [dislocated(250.0 + number, at_ms=T0_MS + number * 1000) for number in range(4)]
SIGNALS = [signal for signal in map(Detector(Rules()).observe, [COIN] * 4, TAPE) if signal is not None]


def stamped(entry: Entry, *, coin: str = COIN) -> Stamped:
    return stamp(coin, entry.at_ms, 0, entry.value, entry.conditions)


def test_a_feed_finds_marks_ends_and_the_entries_between_the_marks(feeds: Script) -> None:
    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.take(at_ms=T0_MS)
        entries = [*map(stamped, TAPE), stamp(OTHER, T0_MS + 3000, 0, Gap("stalled"))]
        await before.append(entries, watermark_ms=T0_MS + 3500, expected_ms=None, detected_ms=T0_MS + 1000)
        tape = await take_tape(after)
        assert tape.marks == Marks(T0_MS + 3500, T0_MS + 1000)
        assert tape.undetected == {COIN: TAPE[2:], OTHER: [Entry(T0_MS + 3000, Gap("stalled"))]}
        assert {coin: (end.at_ms, end.market) for coin, end in tape.ends.items()} == {
            COIN: (T0_MS + 3000, TAPE[3].value),
            OTHER: (T0_MS + 3000, None),
        }
        with pytest.raises(Fenced):
            await before.append([], watermark_ms=T0_MS + 3600, expected_ms=T0_MS + 3500)

    feeds(script)


def test_nothing_is_read_again_when_every_signal_was_on_file(feeds: Script) -> None:
    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.append([*map(stamped, TAPE)], watermark_ms=T0_MS + 3500, expected_ms=None)
        assert (await take_tape(after)).undetected == {}

    feeds(script)


def test_nothing_is_detected_again_on_a_tape_of_0_1_0(feeds: Script, client: redis.Redis, keys: Keys) -> None:
    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.append([*map(stamped, TAPE)], watermark_ms=T0_MS + 3500, expected_ms=None)
        client.delete(keys.detected, keys.epoch)
        tape = await take_tape(after)
        assert (tape.marks, tape.undetected) == (Marks(T0_MS + 3500, None), {})

    feeds(script)


def test_signals_that_did_not_reach_the_file_are_made_again_and_the_torn_one_once(
    feeds: Script, tmp_path: Path
) -> None:
    signals_path(tmp_path, DAY).write_bytes(SIGNALS[0].line() + SIGNALS[1].line() + SIGNALS[2].line()[:40])

    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.append([*map(stamped, TAPE)], watermark_ms=T0_MS + 3500, expected_ms=None, detected_ms=T0_MS - 1)
        for _ in range(2):  # a feed that dies before it wrote them leaves them to the next one
            tape = await take_tape(after)
            past = resume(Detector(Rules()), tape, signals_on_file(tmp_path, at_ms=T0_MS + 5000))
            assert past.signals_not_on_file == SIGNALS[2:]
        writer = SignalWriter(tmp_path)
        writer.append(past.signals_not_on_file)
        writer.close()
        past = resume(Detector(Rules()), await take_tape(after), signals_on_file(tmp_path, at_ms=T0_MS + 5000))
        assert past.signals_not_on_file == []

    feeds(script)
    assert signals_path(tmp_path, DAY).read_bytes() == b"".join(signal.line() for signal in SIGNALS)


def test_a_feed_waits_for_redis_and_for_the_lease_of_another_one(
    feeds: Script, client: redis.Redis, keys: Keys
) -> None:
    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.append([*map(stamped, TAPE)], watermark_ms=T0_MS + 3500, expected_ms=None)
        refusals, take = 3, after.take

        async def refuse(**named: Any) -> Marks:
            nonlocal refusals
            refusals -= 1
            if refusals > 0:
                raise redis.ConnectionError("refused")
            return await take(**named)

        after.take = refuse  # type: ignore[method-assign]
        with capture_logs() as logs:
            taking = asyncio.create_task(take_tape(after))
            while refusals > -3:
                await asyncio.sleep(0.01)
            assert not taking.done()
            client.pexpire(keys.feed, 0)
            assert (await taking).marks.watermark_ms == T0_MS + 3500
        assert {log["event"] for log in logs} == {"redis_away"}

    feeds(script, owners=("a", "b"))


def test_a_feed_does_not_wait_for_a_name_that_stays_held(
    feeds: Script, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feed.past.LEASE_MS", 20)

    async def script(before: TapeWriter, after: TapeWriter) -> None:
        await before.append([], watermark_ms=T0_MS, expected_ms=None)
        with pytest.raises(Fenced):
            await take_tape(after)

    feeds(script, owners=("a", "b"))
    assert client.get(keys.feed) == b"a"


def test_signals_on_file_are_those_of_the_last_day_after_the_tails_are_repaired(tmp_path: Path) -> None:
    writer = SignalWriter(tmp_path)
    old, last, new = (a_signal(at_ms=T0_MS + at_ms) for at_ms in (-DAY_MS - 1, -DAY_MS, 0))
    for signal in old, last, new:
        writer.append([signal])
    writer.close()
    today, past = signals_path(tmp_path, DAY), signals_path(tmp_path, "2026-01-20")
    whole = today.read_bytes()
    today.write_bytes(whole + b'{"timestamp_ms":17')
    past.write_bytes(b'{"timestamp_ms":17')
    assert signals_on_file(tmp_path, at_ms=T0_MS) == [last, new]
    assert (today.read_bytes(), past.read_bytes()) == (whole, b"")


def refuse(*_: object) -> None:
    raise OSError(5, "Input/output error")


def test_a_disk_that_refuses_the_repair_does_not_keep_a_feed_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals_path(tmp_path, DAY).write_bytes(SIGNALS[0].line() + SIGNALS[0].line()[:-1])
    monkeypatch.setattr("hip3_tasks.files.append_file.os.write", refuse)
    with capture_logs() as logs:
        assert signals_on_file(tmp_path, at_ms=T0_MS + 5) == [SIGNALS[0]]
    assert [log["event"] for log in logs] == ["torn_tail_cut", "signals_not_repaired"]


def test_a_feed_does_not_rely_on_lines_that_the_disk_cannot_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals_path(tmp_path, DAY).write_bytes(SIGNALS[0].line())
    monkeypatch.setattr("hip3_tasks.files.append_file._sync", refuse)
    with pytest.raises(JournalError, match="Input/output error"):
        signals_on_file(tmp_path, at_ms=T0_MS + 5)
