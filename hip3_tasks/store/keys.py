"""The Redis keyspace, and how to connect.

Every key starts with `hip3:{name}:`, `name` being HIP3_NAME.

| key           | type   | TTL       | written by          | read by         | what                            |
|---------------|--------|-----------|---------------------|-----------------|---------------------------------|
| `tape:{coin}` | stream | trimmed   | feed                | workers, page   | states and gaps, by receive ms  |
| `tapes`       | set    | -         | feed                | feed            | the coins that have a tape      |
| `watermark`   | string | -         | feed                | workers, status | the tape is complete up to here |
| `feed`        | string | 5 s       | feed                | feed            | which directory owns the name   |
| `signal:{id}` | hash   | retention | feed, recapture     | workers         | `record`: the signal's line     |
| `pending`     | zset   | -         | feed; workers remove | feed, status   | captures by when to try again   |
| `due`         | zset   | -         | feed; workers remove | feed, status   | the same captures by due time   |
| `captures`    | list   | -         | feed, `celery call` | workers         | the Celery queue                |
| `unacked*`    | zset.. | -         | workers (kombu)     | workers         | deliveries not yet acknowledged |
| `quarantine`  | list   | 1,000     | workers             | operator        | messages that cannot be handled |
| `status`      | string | 60 s      | feed                | status, page    | the feed's counters             |
| `markets`     | string | -         | feed                | status, page    | threshold, fee, ctx of each     |
| `workers`     | hash   | 60 s      | workers             | feed, status, page | each worker's pool and queues |
"""

import asyncio
from typing import Any

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT_S = 5.0


class Keys:
    """The names of one feed's keys."""

    def __init__(self, name: str) -> None:
        self.prefix = f"hip3:{name}:"
        self.tapes = self.prefix + "tapes"
        self.watermark = self.prefix + "watermark"
        self.feed = self.prefix + "feed"
        self.pending = self.prefix + "pending"
        self.due = self.prefix + "due"
        self.queue = self.prefix + "captures"
        self.unacked = self.prefix + "unacked"
        self.quarantine = self.prefix + "quarantine"
        self.status = self.prefix + "status"
        self.markets = self.prefix + "markets"
        self.workers = self.prefix + "workers"

    def tape(self, coin: str) -> str:
        return f"{self.prefix}tape:{coin}"

    def signal(self, signal_id: str) -> str:
        return f"{self.prefix}signal:{signal_id}"


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> "redis.Redis":
    """A client that tries each command once: a command sent twice may run twice."""
    return redis.Redis.from_url(url, **_options(timeout_s))


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> "redis.asyncio.Redis":
    return redis.asyncio.Redis.from_url(url, **_options(timeout_s))


def is_cancelled() -> bool:
    """Whether the running task was asked to end. To be asked after each use of an async client in a loop:

    it sends through `asyncio.wait_for`, which up to Python 3.11 swallows a cancellation that comes as it is done.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        "protocol": 2,
    }
