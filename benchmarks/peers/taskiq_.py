"""Redis stream broker and list schedule source; two workers; the scheduler polls each second, its shortest interval."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from taskiq import TaskiqEvents, TaskiqScheduler, TaskiqState
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from benchmarks import job
from benchmarks.peers import become
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal

URL = str(settings.load().redis_url)

broker = RedisStreamBroker(URL)
source = ListRedisScheduleSource(URL)
scheduler = TaskiqScheduler(broker, [source])


@broker.task
async def capture(signal_id: str, offset_ms: int) -> None:
    job.capture(signal_id, offset_ms)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _make_ready(_: TaskiqState) -> None:
    job.capturer()


async def publish(signals: Sequence[Signal]) -> None:
    for signal in signals:
        for expected in signal.captures():
            due = datetime.fromtimestamp(expected.due_at_ms / 1000, UTC)
            await capture.schedule_by_time(source, due, expected.signal_id, expected.offset_ms)


if __name__ == "__main__":
    module, quiet = "benchmarks.peers.taskiq_", "--log-level=ERROR"
    scheduling = "taskiq", "scheduler", f"{module}:scheduler", "--update-interval=1", "--loop-interval=1", quiet
    subprocess.Popen([sys.executable, "-m", *scheduling])
    become("taskiq", "worker", f"{module}:broker", "--workers=2", quiet)
