"""Captures are published again to the pending set and the queue, on a real server and in fakeredis."""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import redis

from hip3_tasks import cli
from hip3_tasks.domain.records import Signal
from hip3_tasks.errors import BadCapture, UnknownSignal
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter
from hip3_tasks.recapture import recapture
from hip3_tasks.recapture.recapture import MAX_QUEUED, Recaptured, open_days, recapture_open
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending
from hip3_tasks.store.store import Store
from tests.support.factories import T0_MS, a_followup, a_missed, a_signal

DAY_MS = 86_400_000
LATER_MS = T0_MS + 60_000


@pytest.fixture
def pending(client: redis.Redis, keys: Keys) -> Pending:
    return Pending(client, keys)


def write(data_dir: Path, *signals: Signal) -> None:
    writer = SignalWriter(data_dir)
    for signal in signals:
        writer.append([signal])
    writer.close()


def members(client: redis.Redis, keys: Keys) -> list[str]:
    return sorted(member.decode() for member in client.zrange(keys.pending, 0, -1))


def queued(client: redis.Redis, keys: Keys) -> list[list[object]]:
    messages = [json.loads(message) for message in reversed(client.lrange(keys.queue, 0, -1))]
    return [json.loads(base64.b64decode(message["body"]))[0] for message in messages]


def recapture_all(data_dir: Path, pending: Pending, *, at_ms: int = LATER_MS, since_ms: int = 0) -> Recaptured:
    journal = Journal(data_dir)
    try:
        days = list(open_days(data_dir, since_ms=since_ms))
        return recapture_open(days, data_dir=data_dir, journal=journal, pending=pending, at_ms=at_ms, since_ms=since_ms)
    finally:
        journal.close()


def test_a_signal_is_queued_for_each_of_its_own_offsets(tmp_path: Path, client: redis.Redis, keys: Keys) -> None:
    signal = a_signal(offsets_ms=(500, 7_000))
    write(tmp_path, a_signal("xyz:MU"), signal)
    recapture.recapture(signal.signal_id, data_dir=tmp_path, store=Store(client, keys))
    assert queued(client, keys) == [[signal.signal_id, 500], [signal.signal_id, 7_000]]


def test_an_unknown_signal_and_a_malformed_id_are_errors(tmp_path: Path, client: redis.Redis, keys: Keys) -> None:
    with pytest.raises(UnknownSignal, match=f"xyz:TSLA-{T0_MS}"):
        recapture.recapture(f"xyz:TSLA-{T0_MS}", data_dir=tmp_path, store=Store(client, keys))
    with pytest.raises(BadCapture):
        recapture.recapture("TSLA", data_dir=tmp_path, store=Store(client, keys))
    assert not client.exists(keys.queue)


@pytest.fixture
def command(
    tmp_path: Path, name: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Sequence[str]], int]:
    """Run `hip3 recapture` on the test's directory and name; return its exit code."""
    monkeypatch.setenv("HIP3_REDIS_URL", redis_url)
    monkeypatch.setenv("HIP3_NAME", name)

    def run(signal_ids: Sequence[str]) -> int:
        monkeypatch.setattr("sys.argv", ["hip3", "recapture", *signal_ids, "--data-dir", str(tmp_path)])
        return cli.main()

    return run


def test_the_command_queues_the_known_and_names_the_unknown(
    tmp_path: Path,
    server_client: redis.Redis,
    keys: Keys,
    command: Callable[[Sequence[str]], int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal, absent = a_signal(), f"xyz:TSLA-{T0_MS + 1}"
    write(tmp_path, signal)
    assert command([absent, signal.signal_id]) == 1
    shown = capsys.readouterr()
    assert shown.out == f"{signal.signal_id}: queued for 1000, 3000, 5000 ms\n"
    assert shown.err.startswith(f"hip3: {absent}: ") and len(shown.err.splitlines()) == 1
    assert len(queued(server_client, keys)) == 3


@pytest.mark.parametrize("are_deleted", [True, False])
def test_the_command_reports_closed_days_and_queues_none(
    tmp_path: Path,
    server_client: redis.Redis,
    keys: Keys,
    command: Callable[[Sequence[str]], int],
    capsys: pytest.CaptureFixture[str],
    are_deleted: bool,
) -> None:
    old, young = a_signal(at_ms=T0_MS - DAY_MS), a_signal()
    write(tmp_path, *([young] if are_deleted else [old, young]))
    (tmp_path / "followups_2026-11-21.parquet").touch()
    assert command([old.signal_id, young.signal_id]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"hip3: {old.signal_id}: 2026-11-21 is compacted, and compacted days do not change\n"
    assert [args[0] for args in queued(server_client, keys)] == [young.signal_id] * 3


def test_the_command_waits_until_few_captures_are_queued(
    tmp_path: Path, server_client: redis.Redis, keys: Keys, command: Callable[[Sequence[str]], int]
) -> None:
    signal = a_signal()
    write(tmp_path, signal)
    server_client.lpush(keys.queue, *range(MAX_QUEUED + 1))
    worker = threading.Timer(0.3, lambda: server_client.ltrim(keys.queue, 0, -2))
    worker.start()
    assert command([signal.signal_id]) == 0
    worker.join()
    assert server_client.llen(keys.queue) == MAX_QUEUED + 3


def test_the_command_fails_when_no_worker_empties_the_queue(
    tmp_path: Path,
    server_client: redis.Redis,
    keys: Keys,
    command: Callable[[Sequence[str]], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("hip3_tasks.recapture.command.QUEUE_TIMEOUT_S", 0.1)
    signals = [a_signal(at_ms=T0_MS + number) for number in range(MAX_QUEUED // 3 + 2)]
    write(tmp_path, *signals)
    assert command([signal.signal_id for signal in signals]) == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == MAX_QUEUED // 3 + 1
    assert shown.err.startswith(f"hip3: {MAX_QUEUED + 3} captures are queued") and len(shown.err.splitlines()) == 1


def test_open_captures_of_every_day_become_pending(
    tmp_path: Path, client: redis.Redis, keys: Keys, pending: Pending
) -> None:
    old, young = a_signal(at_ms=T0_MS - 3 * DAY_MS), a_signal()
    write(tmp_path, old, young)
    journal = Journal(tmp_path)
    journal.append([a_followup(old, 1000), a_missed(old, 3000), a_followup(young, 1000)])
    journal.close()
    expected = sorted([f"{old.signal_id}|5000", f"{young.signal_id}|3000", f"{young.signal_id}|5000"])
    assert recapture_all(tmp_path, pending) == Recaptured(open=3, added=3)
    assert members(client, keys) == expected
    assert recapture_all(tmp_path, pending) == Recaptured(open=3, added=0)
    assert members(client, keys) == expected
    assert client.hget(keys.signal(old.signal_id), "record") == old.line()
    assert not client.exists(keys.queue)


def test_captures_not_overdue_are_left_to_their_tasks(
    tmp_path: Path, client: redis.Redis, keys: Keys, pending: Pending
) -> None:
    signal = a_signal()
    write(tmp_path, signal)
    recapture_all(tmp_path, pending, at_ms=T0_MS + 3_000 + FIRST_TRY_MS - 1)
    assert members(client, keys) == [f"{signal.signal_id}|1000"]


def test_since_limits_recapture_to_newer_signals(
    tmp_path: Path, client: redis.Redis, keys: Keys, pending: Pending
) -> None:
    signals = [a_signal(at_ms=T0_MS - hours * 3_600_000) for hours in (50, 2, 0)]
    write(tmp_path, *signals)
    assert recapture_all(tmp_path, pending, since_ms=T0_MS - 3_600_000).open == 3
    assert members(client, keys) == [f"{signals[2].signal_id}|{ms}" for ms in (1000, 3000, 5000)]


def test_a_balanced_or_closed_day_is_not_read(tmp_path: Path) -> None:
    done, closed, left = (a_signal(at_ms=T0_MS - days * DAY_MS) for days in (2, 1, 0))
    write(tmp_path, done, closed, left)
    journal = Journal(tmp_path)
    journal.append([a_followup(done, 1000), a_missed(done, 3000), a_followup(done, 5000)])
    journal.close()
    (tmp_path / "followups_2026-11-21.parquet").touch()
    assert open_days(tmp_path) == {"2026-11-22": 1}


def test_nothing_is_open_on_a_closed_day(tmp_path: Path, client: redis.Redis, keys: Keys, pending: Pending) -> None:
    write(tmp_path, a_signal())
    (tmp_path / "followups_2026-11-22.parquet").touch()
    days = {"data_dir": tmp_path, "journal": Journal(tmp_path), "pending": pending, "at_ms": LATER_MS}
    assert recapture_open(["2026-11-22"], **days) == Recaptured(open=0, added=0)
    assert members(client, keys) == []


def test_many_open_captures_are_added_in_batches(
    tmp_path: Path, client: redis.Redis, keys: Keys, pending: Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recapture, "CHUNK_SIGNALS", 700)
    signals = [a_signal(at_ms=T0_MS + ms) for ms in range(1_600)]
    (tmp_path / "signals_2026-11-22.jsonl").write_bytes(b"".join(signal.line() for signal in signals))
    journal = Journal(tmp_path)
    journal.append([a_followup(signal, 3000) for signal in signals])
    journal.close()
    assert recapture_all(tmp_path, pending) == Recaptured(open=3_200, added=3_200)
    assert client.zcard(keys.pending) == client.zcard(keys.due) == 3_200
