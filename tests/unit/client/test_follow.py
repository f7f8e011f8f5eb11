"""A program gets records, plain or async, and goes on where it ended."""

import asyncio
from itertools import islice
from pathlib import Path

import pytest

from hip3_tasks.client import follow
from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.errors import Unavailable
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.testing import play
from tests.support.factories import DAY, T0_MS, a_followup, a_missed, a_signal
from tests.support.waiting import eventually_async as eventually

SIGNAL, OTHER = a_signal(), a_signal("xyz:AAPL", at_ms=T0_MS + 10)
RECORDS = [SIGNAL, OTHER, a_followup(SIGNAL, 1000), a_missed(OTHER, 1000)]


def test_records_are_typed_and_a_signal_comes_before_its_outcomes(tmp_path: Path) -> None:
    play(tmp_path, RECORDS)
    records = list(islice(follow(tmp_path, since_ms=T0_MS), 4))
    assert records == RECORDS
    assert [type(record) for record in records] == [Signal, Signal, Followup, Missed]


def test_signals_before_the_instant_and_their_outcomes_are_left_out(tmp_path: Path) -> None:
    play(tmp_path, RECORDS)
    assert list(islice(follow(str(tmp_path), since_ms=T0_MS + 1), 2)) == [OTHER, a_missed(OTHER, 1000)]


def test_a_record_counts_as_taken_when_the_next_one_is_asked_for(tmp_path: Path) -> None:
    data_dir, cursor = tmp_path / "data", tmp_path / "cursor"
    data_dir.mkdir()
    first = iter(follow(data_dir, cursor=cursor))
    play(data_dir, RECORDS)
    assert [next(first), next(first)] == RECORDS[:2]
    first.close()
    assert list(islice(follow(data_dir, cursor=cursor), 3)) == RECORDS[1:]


def test_a_bot_that_fails_at_a_record_gets_it_again(tmp_path: Path) -> None:
    data_dir, cursor = tmp_path / "data", str(tmp_path / "cursor")
    data_dir.mkdir()
    following = follow(data_dir, cursor=cursor)
    play(data_dir, RECORDS)

    def fail() -> None:
        for record in following:
            assert record != RECORDS[2], "the bot failed"

    with pytest.raises(AssertionError, match="the bot failed"):
        fail()
    assert list(islice(follow(data_dir, cursor=cursor), 2)) == RECORDS[2:]


def test_a_line_that_is_no_record_is_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    jsonl_path(tmp_path, "signals", DAY).write_bytes(b'{"half": 1}\n' + SIGNAL.line())
    assert next(iter(follow(tmp_path, since_ms=T0_MS))) == SIGNAL
    (message,) = caplog.messages
    assert message.startswith(f"signals_{DAY}: a line is left out: timestamp_ms: Field required")


def test_an_absent_directory_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no such directory"):
        follow(tmp_path / "none")


def test_async_it_gives_the_same_while_the_loop_goes_on(tmp_path: Path) -> None:
    data_dir, cursor = tmp_path / "data", tmp_path / "cursor"
    data_dir.mkdir()

    async def follow_and_play() -> None:
        received: list[Signal | Followup | Missed] = []

        async def bot() -> None:
            async for record in follow(data_dir, cursor=cursor):
                received.append(record)

        running = asyncio.create_task(bot())
        for number, record in enumerate(RECORDS, 1):
            await asyncio.to_thread(play, data_dir, [record])
            await eventually("the bot gets the record", lambda number=number: len(received) == number)
        assert received == RECORDS
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(follow_and_play())
    play(data_dir, [a_followup(SIGNAL, 3000)])
    assert next(iter(follow(data_dir, cursor=cursor))) in (RECORDS[-1], a_followup(SIGNAL, 3000))
