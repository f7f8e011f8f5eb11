"""Redis broker, two processes of four threads, idle poll of 10 ms instead of 1 s, retries, no other middleware."""

import os
import time
from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, Retries

from benchmarks import job
from benchmarks.peers import become
from hip3_tasks import settings
from hip3_tasks.domain.records import Signal


class MakeReady(Middleware):
    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        job.capturer()


dramatiq.set_broker(RedisBroker(url=settings.load().redis_url, middleware=[Retries(), MakeReady()]))


@dramatiq.actor
def capture(signal_id: str, offset_ms: int) -> None:
    job.capture(signal_id, offset_ms)


def publish(signals: Sequence[Signal]) -> None:
    for signal in signals:
        for expected in signal.captures():
            delay_ms = max(0, expected.due_at_ms - time.time_ns() // 1_000_000)
            capture.send_with_options(args=(expected.signal_id, expected.offset_ms), delay=delay_ms)


if __name__ == "__main__":
    os.environ["dramatiq_worker_timeout"] = "10"  # noqa: SIM112  dramatiq's name for it
    become("dramatiq", "benchmarks.peers.dramatiq_", "--processes", "2", "--threads", "4")
