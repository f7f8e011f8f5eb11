"""Blocking pop, two worker processes, no results; the scheduler polls each second, its shortest interval."""

from collections.abc import Sequence
from datetime import datetime

from huey import RedisHuey

from benchmarks import job
from benchmarks.peers import become
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal

huey = RedisHuey("benchmark", url=str(settings.load().redis_url), results=False)


@huey.task()
def capture(signal_id: str, offset_ms: int) -> None:
    job.capture(signal_id, offset_ms)


@huey.on_startup()
def _make_ready() -> None:
    job.capturer()


def publish(signals: Sequence[Signal]) -> None:
    for signal in signals:
        for expected in signal.captures():
            due = datetime.fromtimestamp(expected.due_at_ms / 1000)  # noqa: DTZ006  local time, as huey expects
            capture.schedule((expected.signal_id, expected.offset_ms), eta=due)


if __name__ == "__main__":
    options = "--workers=2", "--worker-type=process", "--scheduler-interval=1", "--no-periodic", "--quiet"
    become("huey.bin.huey_consumer", "benchmarks.peers.huey_.huey", *options)
