"""Two processes, poll of 5 ms instead of 0.5 s, no results, 1,000 jobs at a time; on redis-py 5, which arq requires."""

import multiprocessing
from collections.abc import Sequence
from datetime import UTC, datetime

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import run_worker

from benchmarks import job
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal


async def capture(_: dict[str, object], signal_id: str, offset_ms: int) -> None:
    job.capture(signal_id, offset_ms)


async def _make_ready(_: dict[str, object]) -> None:
    job.capturer()


class Worker:
    functions = (capture,)
    redis_settings = RedisSettings.from_dsn(str(settings.load().redis_url))
    on_startup = _make_ready
    poll_delay = 0.005
    max_jobs = 1_000
    keep_result = 0


_pool: ArqRedis | None = None


async def publish(signals: Sequence[Signal]) -> None:
    global _pool  # noqa: PLW0603  the pool belongs to the publisher's loop
    _pool = _pool or await create_pool(Worker.redis_settings)
    for signal in signals:
        for expected in signal.captures():
            due = datetime.fromtimestamp(expected.due_at_ms / 1000, UTC)
            await _pool.enqueue_job(capture.__name__, expected.signal_id, expected.offset_ms, _defer_until=due)


if __name__ == "__main__":
    for _ in range(2):
        multiprocessing.Process(target=run_worker, args=(Worker,)).start()
