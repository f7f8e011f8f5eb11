"""Files and keys of earlier releases are readable: by audit, report, feed, worker and status."""

import asyncio
import json
import shutil
import sys
import tarfile
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
import polars as pl
import pytest
import redis

from hip3_tasks.analysis import lines_of, load
from hip3_tasks.analysis.compact.compact import CompactionState, compact_day
from hip3_tasks.audit.audit import audit
from hip3_tasks.cli import app, exit_status
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.capture import DAY_MS, Capture
from hip3_tasks.domain.capture_result import PENDING
from hip3_tasks.domain.conditions import Conditions, Fired, Memory
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import Entry, Gap, Market, decode_entry
from hip3_tasks.files.day_files import days_of, parquet_path
from hip3_tasks.files.journal import Journal
from hip3_tasks.store.keys import Keys, connect_async
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import stamp
from hip3_tasks.store.tape_writer import TapeWriter
from hip3_tasks.store.task_message import CAPTURE_FOLLOWUP
from tests.releases import keydump
from tests.releases.release import HERE, READ_TAPE, Release
from tests.support.factories import T0_MS, a_market, texts
from tests.support.process import ROOT, run
from tests.support.tapes import detect
from workers.capturer import Capturer

FIRED = Fired(T0_MS - 5000, 250.0)
VERSIONS = sorted(path.parent.name for path in HERE.glob("*/source.tar.xz"))


@pytest.fixture(params=VERSIONS)
def release(request: pytest.FixtureRequest) -> Release:
    return Release(request.param)


@pytest.fixture
def restored(release: Release, client: redis.Redis, keys: Keys) -> redis.Redis:
    keydump.load(client, keys, release.keys)
    return client


@pytest.fixture
def capturer(restored: redis.Redis, keys: Keys, tmp_path: Path) -> Iterator[Capturer]:
    capturer = Capturer(Store(restored, keys), journal=Journal(tmp_path), data_dir=tmp_path)
    yield capturer
    capturer.close()


def waiting(client: redis.Redis, keys: Keys) -> list[Capture]:
    """The pending captures, in the order of their due times."""
    return [Capture.from_member(member.decode()) for member in client.zrange(keys.due, 0, -1)]


def test_the_audit_of_a_release_is_clean(release: Release) -> None:
    audited = audit(release.data_dir, at_ms=wall_ms())
    assert audited.ok, audited.problems
    assert audited.total.open == 0
    assert audited.total.followups > 100 and audited.total.missed.total() > 0
    compacted, written = days_of(release.data_dir).values()
    assert compacted.is_closed and not compacted.jsonl
    assert set(written.jsonl) == {"signals", "followups", "missed"}


def test_analysis_and_audit_count_the_same_lines(release: Release) -> None:
    data, total = load(release.data_dir), audit(release.data_dir, at_ms=wall_ms()).total
    assert (data.signals.height, data.followups.height) == (total.signals, total.followups)
    assert data.missed.height == total.missed.total()
    assert data.followups["market_key"].n_unique() == len(data.notes.watched or []) == 12


def test_the_report_of_a_release_has_rows(release: Release, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["report", str(release.data_dir), "--cost-bps", "1"]
    assert exit_status(lambda: app(command, prog_name="hip3", standalone_mode=False)) == 0
    assert "xyz:C000" in capsys.readouterr().out


def test_its_lines_and_its_parquet_are_read_with_null_in_later_fields(release: Release) -> None:
    data = load(release.data_dir, all_fields=True)
    assert data.signals["trigger"].null_count() == data.signals.height > 0
    assert data.followups["lag_ms"].null_count() == data.followups.height > 0
    assert data.followups["due_at_ms"].null_count() == 0


def test_its_lines_are_compacted_byte_for_byte(release: Release, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(release.data_dir, data_dir)
    *_, (day, files) = days_of(data_dir).items()
    lines = {kind: sorted(path.read_bytes().splitlines()) for kind, path in files.jsonl.items()}
    before = load(data_dir, all_fields=True)
    done = compact_day(data_dir, day, at_ms=wall_ms() + 3 * DAY_MS, delete=True)
    assert (done.state, done.lines_deleted) == (CompactionState.COMPACTED, True), done.why
    for kind in lines:
        rows = pl.read_parquet(parquet_path(data_dir, kind, day))
        assert sorted(lines_of(rows)) == lines[kind]
        assert rows.columns == list(pl.read_parquet_schema(min(data_dir.glob(f"{kind}_*.parquet"))))
    after = load(data_dir, all_fields=True)
    assert before.signals.sort("signal_id").equals(after.signals.sort("signal_id"))
    assert audit(data_dir, at_ms=wall_ms()).ok


def test_keys_of_a_release_are_understood(restored: redis.Redis, keys: Keys) -> None:
    store = Store(restored, keys)
    status, markets = store.feed_status(), store.feed_markets()
    assert status is not None and status.markets_live == 12 and status.detecting
    assert markets is not None and len(markets.markets) == 12
    (worker,) = store.workers()
    assert worker.held > 0
    assert len(restored.get(keys.feed)) == 32
    assert store.pending.size() == len(waiting(restored, keys)) > 50
    assert restored.llen(keys.queue) > 30 and restored.hlen(keys.unacked) > 0
    watermark_ms, states = store.tape.newest(sorted(markets.markets))
    assert watermark_ms is not None and watermark_ms >= status.watermark_ms
    assert all(isinstance(state.entry.value, Market) for state in states if state.entry)


def test_pending_captures_of_a_release_are_settled(restored: redis.Redis, keys: Keys, capturer: Capturer) -> None:
    captures = waiting(restored, keys)
    due = sum(capture.due_at_ms <= int(restored.get(keys.watermark) or 0) for capture in captures)
    answers = capturer.capture_all(captures)
    assert due > 0
    assert answers[due:] == [PENDING] * (len(captures) - due)
    # The market does not change until the last of them is due.
    restored.set(keys.watermark, captures[-1].due_at_ms)
    answers = answers[:due] + capturer.capture_all(captures[due:])
    assert all(text == "captured" or text.startswith("missed") for text in texts(answers))
    assert texts(answers).count("captured") > len(captures) // 2
    assert restored.zcard(keys.pending) == restored.zcard(keys.due) == 0


def test_messages_of_a_release_call_the_current_task(restored: redis.Redis, keys: Keys) -> None:
    deliveries = [orjson.loads(entry)[0] for entry in restored.hvals(keys.unacked)]
    messages = [*map(orjson.loads, restored.lrange(keys.queue, 0, -1)), *deliveries]
    assert {message["headers"]["task"] for message in messages} == {CAPTURE_FOLLOWUP}
    assert {message["properties"]["delivery_info"]["routing_key"] for message in messages} == {keys.queue}
    called = {Capture.from_ids(*orjson.loads(b64decode(message["body"]))[0]) for message in messages}
    assert len(called & set(waiting(restored, keys))) > 30


def test_its_entries_are_read_without_conditions_and_make_no_signal(restored: redis.Redis, keys: Keys) -> None:
    coins = sorted(coin.decode() for coin in restored.smembers(keys.tapes))
    tapes = {coin: [decode_entry(*row) for row in restored.xrange(keys.tape(coin))] for coin in coins}
    assert len(tapes) == 12 and all(tapes.values())
    assert {entry.conditions for tape in tapes.values() for entry in tape} == {None}
    assert not [signal for coin, tape in tapes.items() for signal in detect(coin, tape, rules=Rules())]


def test_it_reads_todays_entries_with_their_states_unchanged(
    release: Release, redis_url: str, server_client: redis.Redis, keys: Keys, name: str, tmp_path: Path
) -> None:
    keyframe = Conditions(ctx_age_ms=40, taker_fee_bps=9.0, threshold_bps=15.0, memory=Memory({Side.BUY: FIRED}))
    judged = Conditions(is_news=True, is_judged=True, ctx_age_ms=0, taker_fee_bps=9.0, threshold_bps=15.0)
    entries = [
        Entry(T0_MS, a_market(), judged),
        Entry(T0_MS + 1, Gap("stalled")),
        Entry(T0_MS + 2, a_market(bid_px=None, bid_sz=None, oracle_px=None), Conditions()),
        Entry(T0_MS + 3, Gap("no data yet"), keyframe),
        Entry(T0_MS + 4, a_market(ask_px=249.75), keyframe),
    ]
    write_tape(redis_url, keys, entries)
    root = release.unpacked(tmp_path)
    tapes = [
        json.loads(printed(script, redis_url, name, path=path))
        for script, path in ((release.read_tape, root), (READ_TAPE, ROOT))
    ]
    assert tapes == [[[entry.at_ms, asdict(entry.value)] for entry in entries]] * 2


def write_tape(redis_url: str, keys: Keys, entries: Sequence[Entry]) -> None:
    async def write() -> None:
        async with connect_async(redis_url) as client:
            writer = TapeWriter(client, keys, owner="today's feed")
            await writer.take(at_ms=T0_MS)
            stamped = [stamp("xyz:TSLA", entry.at_ms, 0, entry.value, entry.conditions) for entry in entries]
            await writer.append(stamped, watermark_ms=entries[-1].at_ms, expected_ms=None)

    asyncio.run(write())


def printed(script: Path, *arguments: str, path: Path) -> str:
    answer = run(sys.executable, "-P", str(script), *arguments, "xyz:TSLA", PYTHONPATH=str(path))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_its_source_is_whole_and_names_no_place(release: Release) -> None:
    with tarfile.open(release.source) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        lock = archive.extractfile(f"hip3-tasks-{release.version}/requirements.lock")
        assert lock is not None
        text = lock.read().decode()
    assert {"feed/__main__.py", "workers/tasks.py", "celeryconfig.py", "pyproject.toml", "LICENSE"} <= set(names)
    assert "celery==" in text
    assert "://" not in text and "--index" not in text
