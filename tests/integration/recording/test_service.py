"""`hip3 record` beside a feed that writes its tape: killed, refused and stopped, on a real server and a real disk."""

import asyncio
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry
from hip3_tasks.health import read_health_file
from hip3_tasks.recording.recorder import NOT_THERE
from hip3_tasks.store.keys import Keys, connect, connect_async
from hip3_tasks.store.recorder_status import RecorderStatus
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import stamp
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.tape.columns import HOLE_SEQ, Row, row_of
from hip3_tasks.tape.load import NOT_RECORDED, load_tape
from tests.support.factories import T0_MS, a_market
from tests.support.process import HIP3, ProcessUnderTest, environment, run
from tests.support.redis_server import RedisServer
from tests.support.tapes import news
from tests.support.waiting import eventually

COINS = ("xyz:TSLA", "xyz:AAPL", "para:BANKS")
KILLS = 20
MINUTE_MS = 60_000
START_MS = T0_MS // MINUTE_MS * MINUTE_MS


class Tape:
    """The tape of a feed, whose time runs faster than the clock; and every row that was ever appended."""

    def __init__(self, url: str, name: str, *, seed: int = 7) -> None:
        self.keys, self.rows, self.watermark_ms = Keys(name), list[Row](), START_MS
        self._chance, self._loop = random.Random(seed), asyncio.new_event_loop()
        self._client = connect_async(url)
        self._writer = TapeWriter(self._client, self.keys, owner="a")
        self._expected_ms: int | None = None
        self.take()

    def take(self) -> None:
        self._loop.run_until_complete(self._writer.take(at_ms=self.watermark_ms))

    def close(self) -> None:
        self._loop.run_until_complete(self._client.aclose())
        self._loop.close()

    def reconnect(self) -> None:
        self._loop.run_until_complete(self._client.connection_pool.disconnect())

    def forget(self) -> None:
        """The server was emptied: its watermark is missing."""
        self._expected_ms = None
        self.take()

    def append(self, *, step_ms: int = 0) -> None:
        """Append some entries, of which a few share a millisecond, and move the watermark."""
        at_ms = self.watermark_ms + (step_ms or self._chance.randint(20, 200))
        entries = [(coin, seq, self._entry(at_ms)) for coin in COINS for seq in range(self._chance.randint(0, 2))]
        self.put(entries, watermark_ms=at_ms)

    def put(self, entries: list[tuple[str, int, Entry]], *, watermark_ms: int) -> None:
        stamped = [stamp(coin, entry.at_ms, seq, entry.value, entry.conditions) for coin, seq, entry in entries]
        self._loop.run_until_complete(
            self._writer.append(stamped, watermark_ms=watermark_ms, expected_ms=self._expected_ms)
        )
        self._expected_ms = self.watermark_ms = watermark_ms
        for coin, at_ms, seq, field, value, conditions in stamped:
            fields = {field.encode(): value.encode()} | ({b"d": conditions.encode()} if conditions else {})
            self.rows.append(row_of(coin, seq, decode_entry(b"%d-%d" % (at_ms, seq), fields)))

    def append_until(self, is_met: Callable[[], object]) -> None:
        while not is_met():
            self.append()

    def trim(self, *, before_ms: int) -> None:
        self._loop.run_until_complete(self._writer.trim(COINS, before_ms=before_ms))

    def _entry(self, at_ms: int) -> Entry:
        if self._chance.random() < 0.05:
            return Entry(at_ms, Gap("stalled"))
        px = self._chance.uniform(90, 110)
        market: Market = a_market(at_ms=at_ms, bid_px=px, ask_px=px + 1 / 3, oracle_px=px * 1.001)
        return news(market, at_ms=at_ms)


class Recording:
    """A recorder process, and what it left on disk."""

    def __init__(self, server: RedisServer, keys: Keys, folder: Path, **settings: str) -> None:
        self.data_dir, self.health_dir = folder / "data", folder
        self._store = Store(connect(server.url), keys)
        self.process = ProcessUnderTest(
            *HIP3,
            "record",
            log=folder / "recorder.log",
            env=environment(
                HIP3_REDIS_URL=server.url,
                HIP3_NAME=keys.prefix.split(":")[1],
                HIP3_DATA_DIR=str(self.data_dir),
                HIP3_HEALTH_DIR=str(folder),
                **settings,
            ),
        )

    def count(self, event: str) -> int:
        return self.process.log.count(f'"event": "{event}"')

    def status(self) -> RecorderStatus | None:
        return self._store.recorder_status()

    def read_ms(self) -> int:
        status = self.status()
        return (status and status.read_ms) or 0

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait() == 0, self.process.log

    def rows(self) -> list[Row]:
        return load_tape(self.data_dir).collect().rows()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@contextmanager
def recorded(server: RedisServer, folder: Path, **settings: str) -> Iterator[tuple[Tape, Recording]]:
    tape = Tape(server.url, "recorded")
    recording = Recording(server, tape.keys, folder, **settings)
    try:
        yield tape, recording
    finally:
        recording.process.kill()
        tape.close()


def by_place(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row[:3])


def test_a_recorder_that_is_killed_loses_and_doubles_nothing(server: RedisServer, tmp_path: Path) -> None:
    chance = random.Random(11)
    with recorded(server, tmp_path) as (tape, recording):
        for _ in range(KILLS):
            recording.process.log_path.unlink(missing_ok=True)
            recording.process.start()
            # Some die before they have begun, most while they catch up or write.
            if chance.random() < 0.9:
                tape.append_until(lambda: recording.count("recorder_started"))
            for _ in range(chance.randint(1, 1200)):
                tape.append()
            recording.process.kill()
            assert recording.process.wait() == -signal.SIGKILL
        recording.process.start()
        eventually("it has caught up", lambda: recording.read_ms() == tape.watermark_ms)
        tape.append()
        recording.stop()
        assert len({row[1] // MINUTE_MS for row in tape.rows}) > 10
        assert recording.rows() == by_place(tape.rows)
        assert list((recording.data_dir / "tape").glob("**/*.part")) == []


def test_what_is_recorded_is_told_while_it_runs_and_at_the_end(server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording):
        store = Store(connect(server.url), tape.keys)
        tape.append_until(lambda: tape.watermark_ms > START_MS + 2 * MINUTE_MS)
        recording.process.start()
        eventually("two minutes are on disk", lambda: store.recorded_ms() == START_MS + 2 * MINUTE_MS - 1)
        assert read_health_file(tmp_path / "recorder") == []
        recording.stop()
        status = recording.status()
        assert status and status.problems == []
        pieces = list((recording.data_dir / "tape").glob("*/*.parquet"))
        assert status.written_ms == status.read_ms == store.recorded_ms() == tape.watermark_ms
        assert status.since_ms == min(row[1] for row in tape.rows)
        assert status.bytes == sum(piece.stat().st_size for piece in pieces)


def test_an_emptied_server_leaves_a_gap(server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording), connect(server.url) as client:
        tape.append_until(lambda: tape.watermark_ms > START_MS + MINUTE_MS)
        recording.process.start()
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        lost_ms = tape.watermark_ms + 1
        client.flushall()
        tape.forget()
        tape.append(step_ms=40_000)
        eventually("it has read on", lambda: recording.read_ms() == tape.watermark_ms)
        recording.stop()
        gaps = [row_of(coin, -1, Entry(lost_ms, Gap(NOT_THERE))) for coin in COINS]
        assert recording.rows() == by_place([*tape.rows, *gaps])


def test_an_outage_of_the_server_is_one_line_and_loses_nothing(server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording):
        tape.append_until(lambda: tape.watermark_ms > START_MS + 1000)
        recording.process.start()
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        server.kill()
        eventually("the health file is red", lambda: "tape not read: " in str(read_health_file(tmp_path / "recorder")))
        server.start()
        tape.reconnect()
        tape.append_until(lambda: tape.watermark_ms > START_MS + 2000)
        eventually("it has read on", lambda: recording.read_ms() == tape.watermark_ms)
        assert recording.count("tape_not_read") == 1
        recording.stop()
        assert recording.rows() == by_place(tape.rows)


def test_a_disk_that_refuses_leaves_the_rest_in_redis(server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording):
        tape.append_until(lambda: tape.watermark_ms > START_MS + 10 * MINUTE_MS)
        recording.data_dir.mkdir()
        (recording.data_dir / "tape").touch()
        recording.process.start()
        # It stops to read once more than three minutes are in memory.
        eventually("it is red", lambda: (now := recording.status()) and "tape not written" in str(now.problems))
        eventually("it has read", lambda: recording.read_ms() > START_MS + 3 * MINUTE_MS)
        assert recording.read_ms() < START_MS + 3 * MINUTE_MS + 5_000
        assert recording.count("tape_not_written") == 1
        (recording.data_dir / "tape").unlink()
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        recording.stop()
        assert recording.rows() == by_place(tape.rows)


@pytest.mark.parametrize("trimmed_s", [240, 90], ids=["in another minute", "in the same minute"])
def test_a_tape_that_was_trimmed_unread_is_a_hole_and_red(trimmed_s: int, server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording):
        tape.append_until(lambda: tape.watermark_ms > START_MS + MINUTE_MS)
        recording.process.start()
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        recording.stop()
        until_ms = tape.watermark_ms
        tape.append_until(lambda: tape.watermark_ms > START_MS + 5 * MINUTE_MS)
        trimmed_ms = START_MS + trimmed_s * 1000
        tape.trim(before_ms=trimmed_ms)
        recording.process.start()
        status = eventually("it is red", lambda: (now := recording.status()) and now.problems and now)
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        recording.stop()
        assert status.problems[0].startswith("tape not recorded from ") and recording.count("tape_not_recorded") == 1
        kept = [row for row in tape.rows if not until_ms < row[1] < trimmed_ms]
        gaps = [row_of(coin, HOLE_SEQ, Entry(until_ms + 1, Gap(NOT_RECORDED))) for coin in COINS]
        assert recording.rows() == by_place([*kept, *gaps])


@pytest.mark.parametrize("hours", [0.5, 30])
def test_time_without_a_feed_is_recorded_at_once(hours: float, server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (tape, recording):
        tape.append()
        gap = Entry(tape.watermark_ms + 1, Gap("feed away"))
        tape.put([(coin, 0, gap) for coin in COINS], watermark_ms=tape.watermark_ms + 1)
        tape.append(step_ms=int(hours * 60 * MINUTE_MS))
        tape.append_until(lambda: tape.rows[-1][1] > gap.at_ms + hours * 60 * MINUTE_MS + 200)
        recording.process.start()
        eventually("it has read all", lambda: recording.read_ms() == tape.watermark_ms)
        recording.stop()
        rows = [row for row in recording.rows() if row[2] != HOLE_SEQ]
        assert rows == by_place(tape.rows)
        assert len(list((recording.data_dir / "tape").glob("*/*.parquet"))) <= 40
        assert recording.count("tape_not_recorded") == 0


def test_a_directory_has_one_recorder(server: RedisServer, tmp_path: Path) -> None:
    with recorded(server, tmp_path) as (_, recording):
        recording.process.start()
        recording.process.wait_for("recorder_started")
        second = run(*HIP3, "record", HIP3_REDIS_URL=server.url, HIP3_DATA_DIR=str(recording.data_dir))
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1 and "another recorder runs on this data directory" in second.stderr


def test_no_recorder_runs_where_no_tape_is_kept(tmp_path: Path) -> None:
    refused = run(*HIP3, "record", HIP3_TAPE_DAYS="0", HIP3_DATA_DIR=str(tmp_path))
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "HIP3_TAPE_DAYS is 0" in refused.stderr
