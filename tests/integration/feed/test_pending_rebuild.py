"""After a rebuild, the pending set has all captures that are open in the files, for every offset."""

from pathlib import Path

import pytest
import redis

from feed.pending_rebuild import PendingRebuilder
from feed.threads import Threads
from hip3_tasks import settings
from hip3_tasks.clock import FeedClock
from hip3_tasks.domain.capture import MAX_OFFSET_MS
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import Pending, PendingCapture
from tests.support.factories import DAY, T0_MS, a_followup, a_signal


def a_rebuilder(data_dir: Path, pending: Pending) -> PendingRebuilder:
    return PendingRebuilder(
        settings.load(data_dir=data_dir, redis_url="redis://127.0.0.1:1/0"),
        pending=pending,
        threads=Threads(),
        clock=FeedClock(),
        add=lambda signals, captures, at_ms: pending.add(signals, [PendingCapture(each, None) for each in captures]),
    )


def test_rebuild_includes_captures_outside_retention(client: redis.Redis, keys: Keys, tmp_path: Path) -> None:
    long = a_signal(offsets_ms=(1000, MAX_OFFSET_MS))
    done = a_signal("xyz:AAPL", at_ms=T0_MS + 5, offsets_ms=(1000,))
    writer = SignalWriter(tmp_path)
    writer.append([long, done])
    writer.close()
    journal = Journal(tmp_path)
    journal.append([a_followup(done, 1000)])
    journal.close()
    pending = Pending(client, keys)
    rebuilder = a_rebuilder(tmp_path, pending)
    at_ms = T0_MS + 20 * 60_000
    assert rebuilder._restore(at_ms) == 2
    assert rebuilder._restore(at_ms) == 0
    members = client.zrange(keys.pending, 0, -1)
    assert sorted(members) == sorted(capture.member.encode() for capture in long.captures())
    # Overdue captures are tried at once.
    assert client.zscore(keys.pending, long.captures()[0].member) == min(at_ms, T0_MS + 1000 + 2000)


@pytest.mark.parametrize("are_deleted", [True, False])
def test_no_capture_of_a_closed_day_becomes_pending(
    client: redis.Redis, keys: Keys, tmp_path: Path, are_deleted: bool
) -> None:
    if not are_deleted:
        writer = SignalWriter(tmp_path)
        writer.append([a_signal()])
        writer.close()
    (tmp_path / f"followups_{DAY}.parquet").touch()
    rebuilder = a_rebuilder(tmp_path, Pending(client, keys))
    assert rebuilder._restore(T0_MS + 20 * 60_000) == 0
    assert not client.exists(keys.pending)
