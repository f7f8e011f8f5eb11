"""A watcher in its own process: it records when signals and captures become visible to other processes.

    python -m benchmarks.departures DATA_DIR OUT

Every few ms it reads the pending set, which a capture leaves only after its line was synced to disk, and the file of
signals; when it is terminated it writes OUT. Each instant is the time of the first look that shows the event: never too
early, and too late by at most the pause between two looks.
"""

import signal
import time
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import redis
import typer

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.files.line_reader import read_from
from hip3_tasks.files.signal_files import signals_path
from hip3_tasks.run_file import RunFile
from hip3_tasks.store.keys import Keys, connect

LOOK_INTERVAL_S = 0.005
MAX_OVERDUE = 5_000
ORDER_SLACK_MS = 100
"""Signals are queued in the order of time, with at most this deviation."""


@dataclass(slots=True)
class Sightings:
    """Times of the looks, and the first or last look that showed each signal and capture."""

    begun_ms: list[float] = field(default_factory=list)
    """When each look began; the look asks for the captures due by then."""
    looks_ms: list[float] = field(default_factory=list)
    """When each look ended."""
    last_overdue: dict[str, int] = field(default_factory=dict)
    """Number of the last look at which a capture was due and pending, by member of the pending set."""
    queued_at_ms: dict[str, float] = field(default_factory=dict)
    """When a signal's captures were in the pending set and its tasks in the queue (one atomic call), by signal."""
    written_at_ms: dict[str, float] = field(default_factory=dict)
    """When a signal's line was in the file, by signal. The sync follows, and then the queue."""

    def note(
        self, began_ms: float, at_ms: float, *, overdue: Iterable[str], pending: Iterable[str], lines: Iterable[bytes]
    ) -> None:
        """Add one look."""
        self.last_overdue.update(dict.fromkeys(overdue, len(self.looks_ms)))
        for member in pending:
            self.queued_at_ms.setdefault(member.partition("|")[0], at_ms)
        for line in lines:
            self.written_at_ms.setdefault(orjson.loads(line)["signal_id"], at_ms)
        self.begun_ms.append(began_ms)
        self.looks_ms.append(at_ms)

    def left_at_ms(self, member: str, *, not_before_ms: float) -> float | None:
        """End of the first look, begun at `not_before_ms` or later, at which a due capture was no longer pending."""
        first = bisect_left(self.begun_ms, not_before_ms)
        look = max(first, self.last_overdue.get(member, -1) + 1)
        return self.looks_ms[look] if look < len(self.looks_ms) else None

    def pauses_ms(self) -> list[float]:
        """The time from each look to the next."""
        return [after - before for before, after in zip(self.looks_ms, self.looks_ms[1:], strict=False)]


class Watcher:
    """Looks again and again at one running system."""

    def __init__(self, client: redis.Redis, keys: Keys, data_dir: Path) -> None:
        self.sightings = Sightings()
        self._client, self._keys, self._data_dir = client, keys, data_dir
        self._newest_ms = 0.0
        self._path = self._signals_path()
        self._read_bytes = self._path.stat().st_size if self._path.exists() else 0

    def look(self) -> None:
        pipe, began_ms = self._client.pipeline(transaction=False), _now_ms()
        pipe.zrangebyscore(self._keys.due, "-inf", began_ms, start=0, num=MAX_OVERDUE)
        pipe.zrangebyscore(self._keys.due, self._newest_ms - ORDER_SLACK_MS, "+inf", withscores=True)
        overdue, newest = pipe.execute()
        lines = self._new_lines()
        self._newest_ms = max(self._newest_ms, *(due_ms for _, due_ms in newest)) if newest else self._newest_ms
        pending = (member.decode() for member, _ in newest)
        self.sightings.note(began_ms, _now_ms(), overdue=map(bytes.decode, overdue), pending=pending, lines=lines)

    def _new_lines(self) -> list[bytes]:
        if self._path != (path := self._signals_path()):
            self._path, self._read_bytes = path, 0
        lines, self._read_bytes = read_from(path, self._read_bytes)
        return lines

    def _signals_path(self) -> Path:
        return signals_path(self._data_dir, utc_day(int(_now_ms())))


def _now_ms() -> float:
    return time.time_ns() / 1e6


def main(data_dir: Path, out: Path) -> None:
    run = RunFile.read(data_dir)
    assert run is not None, f"no `hip3 up` runs in {data_dir}"
    is_ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: is_ended.append(number))
    with connect(run.redis_url) as client:
        watcher = Watcher(client, Keys(run.name), data_dir)
        watcher.look()
        print("looks", flush=True)
        while not is_ended:
            began_s = time.monotonic()
            watcher.look()
            time.sleep(max(0.0, LOOK_INTERVAL_S - (time.monotonic() - began_s)))
    out.write_bytes(orjson.dumps(watcher.sightings))


if __name__ == "__main__":
    typer.run(main)
