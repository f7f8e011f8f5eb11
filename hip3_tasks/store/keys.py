"""The names of a feed's keys in Redis (`store.store` describes them), and clients to connect with."""

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
        self.detected = self.prefix + "detected"
        self.feed = self.prefix + "feed"
        self.epoch = self.prefix + "epoch"
        self.pending = self.prefix + "pending"
        self.due = self.prefix + "due"
        self.revoked = self.prefix + "revoked"
        self.added = self.prefix + "added"
        self.queue = self.prefix + "captures"
        self.unacked = self.prefix + "unacked"
        self.quarantine = self.prefix + "quarantine"
        self.signal_stream = self.prefix + "signals"
        self.outcome_stream = self.prefix + "outcomes"
        self.status = self.prefix + "status"
        self.markets = self.prefix + "markets"
        self.workers = self.prefix + "workers"
        self.recorder = self.prefix + "recorder"
        self.recorded = self.prefix + "recorded"

    def tape(self, coin: str) -> str:
        return f"{self.prefix}tape:{coin}"

    def signal(self, signal_id: str) -> str:
        return f"{self.prefix}signal:{signal_id}"


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> "redis.Redis":
    """Return a client that sends each command once: a command sent twice may run twice."""
    return redis.Redis.from_url(url, **_options(timeout_s))


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> "redis.asyncio.Redis":
    return redis.asyncio.Redis.from_url(url, **_options(timeout_s))


def is_cancelled() -> bool:
    """Whether the running task was cancelled. Loops check it after each use of an async client.

    The client sends through `asyncio.wait_for`, which up to Python 3.11 swallows a cancellation that comes as it ends.
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
