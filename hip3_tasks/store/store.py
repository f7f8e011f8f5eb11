"""The Redis of one feed: every value that this program keeps there is read and written here.

Only the feed writes the tape, with `TapeWriter` on its event loop.

Every key starts with `hip3:{name}:`, where `name` is HIP3_NAME. `Keys` has the names.

| key           | type   | TTL          | written by           | read by            | content                          |
|---------------|--------|--------------|----------------------|--------------------|----------------------------------|
| `tape:{coin}` | stream | trimmed      | feed                 | all                | states and gaps, by receive ms   |
| `tapes`       | set    | -            | feed                 | feed, recorder     | the coins that have a tape       |
| `watermark`   | string | -            | feed                 | all                | the tape is complete up to here  |
| `detected`    | string | -            | feed                 | feed               | all signals are on file to here  |
| `epoch`       | string | -            | feed                 | feed               | when the feed took over          |
| `feed`        | string | 5 s          | feed                 | feed               | the directory that owns the name |
| `signal:{id}` | hash   | retention    | feed, recapture      | workers            | `record`: the signal's line      |
| `signals`     | stream | 10,000       | feed, recapture      | bots               | `signal`: lines, as queued       |
| `outcomes`    | stream | 10,000       | workers              | bots               | `followup` or `missed`: lines    |
| `pending`     | zset   | -            | feed; workers remove | feed, status       | captures by their next try       |
| `due`         | zset   | -            | feed; workers remove | feed, status       | the same captures by due time    |
| `revoked`     | zset   | -            | workers              | feed, status       | revoked captures by due time     |
| `added`       | string | -            | feed, recapture      | feed               | calls that added captures        |
| `captures`    | list   | -            | feed, `celery call`  | workers            | the Celery queue                 |
| `unacked*`    | zset.. | -            | workers (kombu)      | workers            | deliveries not yet acknowledged  |
| `quarantine`  | list   | 1,000        | workers              | operator           | messages that cannot be handled  |
| `status`      | string | 60 s         | feed                 | status, page       | the feed's counters              |
| `markets`     | string | -            | feed                 | status, page       | threshold, fee, ctx by coin      |
| `workers`     | hash   | 60 s         | workers              | feed, status, page | each worker's pool and queues    |
| `recorder`    | string | 60 s         | recorder             | status, page       | the recorder's status            |
| `recorded`    | string | 4 retentions | recorder             | feed, status, page | the tape is on disk up to here   |
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property
from typing import Any, Self
from uuid import uuid4

import redis
from pydantic import ValidationError

from hip3_tasks.domain.capture import Capture
from hip3_tasks.errors import Unavailable
from hip3_tasks.settings import Settings
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import SOCKET_TIMEOUT_S, Keys, connect
from hip3_tasks.store.market_facts import FeedMarkets
from hip3_tasks.store.pending import FIRST_TRY_MS, SIGNAL_TTL_S, Pending
from hip3_tasks.store.recorder_status import RecorderStatus
from hip3_tasks.store.tape import TapeReader, int_or_none
from hip3_tasks.store.tape_log import TapeLog
from hip3_tasks.store.task_message import task_message
from hip3_tasks.store.worker_status import FORGOTTEN_MS, WorkerStatus

STATUS_TTL_S = 60
MAX_RETENTIONS = 4
"""The tape is kept for at most this many times its retention, for whatever may still need it."""


def unavailable(error: redis.RedisError) -> Unavailable:
    """The error with which a command ends when Redis is away or refuses."""
    if isinstance(error, redis.ResponseError):
        return Unavailable(f"Redis refuses: {str(error).rstrip('.')}; correct that on the server, and run this again")
    return Unavailable(f"Redis: {error}")


class Store:
    """A client and the names of one feed's keys. Every method may raise redis.RedisError."""

    def __init__(self, client: "redis.Redis", keys: Keys, *, signal_ttl_s: int = SIGNAL_TTL_S) -> None:
        self.client, self.keys, self._signal_ttl_s = client, keys, signal_ttl_s

    @classmethod
    def from_settings(cls, settings: Settings, *, timeout_s: float = SOCKET_TIMEOUT_S) -> Self:
        client = connect(str(settings.redis_url), timeout_s=timeout_s)
        return cls(client, Keys(settings.feed_name), signal_ttl_s=settings.retention_s)

    @cached_property
    def tape(self) -> TapeReader:
        return TapeReader(self.client, self.keys)

    @cached_property
    def tape_log(self) -> TapeLog:
        return TapeLog(self.client, self.keys)

    @cached_property
    def pending(self) -> Pending:
        return Pending(self.client, self.keys, signal_ttl_s=self._signal_ttl_s)

    def feed_status(self) -> FeedStatus | None:
        """The feed's last status; None after a minute without one. Raises ValidationError for another version's."""
        text = self.client.get(self.keys.status)
        return None if text is None else FeedStatus.model_validate_json(text)

    def write_feed_status(self, status: FeedStatus) -> None:
        self.client.set(self.keys.status, status.model_dump_json(), ex=STATUS_TTL_S)

    def feed_markets(self) -> FeedMarkets | None:
        """The markets that the feed wrote last, at any time. Raises ValidationError for another version's."""
        text = self.client.get(self.keys.markets)
        return None if text is None else FeedMarkets.model_validate_json(text)

    def write_feed_markets(self, markets: FeedMarkets) -> None:
        self.client.set(self.keys.markets, markets.model_dump_json())

    def workers(self) -> list[WorkerStatus]:
        """The last status of each worker, by name and pid. A status that another version wrote is left out."""
        workers = []
        for text in self.client.hvals(self.keys.workers):
            try:
                workers.append(WorkerStatus.model_validate_json(text))
            except ValidationError:
                continue
        return sorted(workers, key=lambda worker: worker.key)

    def write_worker(self, worker: WorkerStatus) -> None:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hset(self.keys.workers, worker.key, worker.model_dump_json())
            pipe.expire(self.keys.workers, STATUS_TTL_S)
            pipe.execute()

    def remove_workers(self, *workers: WorkerStatus) -> None:
        # 0.1.0 wrote them by name alone.
        self.client.hdel(self.keys.workers, *(field for worker in workers for field in (worker.key, worker.name)))

    def remove_silent_workers(self, *, at_ms: int) -> None:
        """Remove workers that ended long ago: under Compose each has a name of its own. `at_ms` is wall time."""
        silent = [worker for worker in self.workers() if at_ms - worker.at_ms > FORGOTTEN_MS]
        if silent:
            self.remove_workers(*silent)

    def recorder_status(self) -> RecorderStatus | None:
        """The recorder's last status; None after a minute without one, and for another version's."""
        text = self.client.get(self.keys.recorder)
        try:
            return None if text is None else RecorderStatus.model_validate_json(text)
        except ValidationError:
            return None

    def recorded_ms(self) -> int | None:
        """The tape is on disk up to here; None where no recorder has run for so long that none is waited for."""
        return int_or_none(self.client.get(self.keys.recorded))

    def write_recorder(self, status: RecorderStatus) -> None:
        """Write the status, and how far the tape is recorded."""
        with self.client.pipeline(transaction=False) as pipe:
            if status.written_ms is not None:
                ttl_s = MAX_RETENTIONS * self._signal_ttl_s + 60
                pipe.set(self.keys.recorded, status.written_ms, ex=ttl_s)
            pipe.set(self.keys.recorder, status.model_dump_json(), ex=STATUS_TTL_S)
            pipe.execute()

    def queue_length(self) -> int:
        """Tasks that no worker has taken yet."""
        return int(self.client.llen(self.keys.queue))

    def dead_letters(self) -> int:
        """Messages that no worker could handle."""
        return int(self.client.llen(self.keys.quarantine))

    def quarantined(self) -> list[bytes]:
        """These messages, newest first."""
        messages: Any = self.client.lrange(self.keys.quarantine, 0, -1)
        return list(messages)

    def queue_again(self, raw: bytes, message: bytes) -> None:
        """Move a message of the quarantine to the queue."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.lpush(self.keys.queue, message)
            pipe.lrem(self.keys.quarantine, 0, raw)  # type: ignore[arg-type]  # bytes are a value as well
            pipe.execute()

    def drop_quarantined(self, raw: bytes) -> None:
        self.client.lrem(self.keys.quarantine, 0, raw)  # type: ignore[arg-type]

    def overdue(self, *, at_ms: int) -> int:
        """Captures that are still pending FIRST_TRY_MS after their due time."""
        return int(self.client.zcount(self.keys.due, "-inf", at_ms - FIRST_TRY_MS))

    def refuse_cluster(self) -> None:
        """Raise Unavailable for a server in cluster mode. One that does not answer now may be right later."""
        with suppress(redis.RedisError):
            if self.client.info("cluster").get("cluster_enabled"):
                raise Unavailable(
                    "the Redis is in cluster mode, and captures need all keys on one server: "
                    "set HIP3_REDIS_URL to a server with `cluster-enabled no`"
                )

    def memory_bytes(self) -> int:
        """Memory that the server uses."""
        return int(self.client.info("memory")["used_memory"])

    def is_half_full(self) -> bool:
        """Whether the server uses more than half of its memory; never, if that has no limit."""
        memory = self.client.info("memory")
        limit_bytes = int(memory["maxmemory"])
        return 0 < limit_bytes < 2 * int(memory["used_memory"])

    def publish(self, captures: Iterable[Capture]) -> None:
        """Queue the tasks of captures, by ids of their own: the usual ones may be revoked."""
        queue = self.keys.queue
        messages = (task_message(capture, queue=queue, suffix=f":{uuid4().hex[:8]}") for capture in captures)
        self.client.lpush(queue, *messages)
