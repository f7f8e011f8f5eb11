"""What the feed says of itself, once a second, in Redis: for `hip3 status`, `hip3 up` and health checks."""

from typing import Self

import redis
from pydantic import BaseModel, ConfigDict

from hip3_tasks.store.keys import Keys

TTL_S = 60


class FeedStatus(BaseModel):
    """Counters run from the start of the feed process."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    """When this was written, on the feed's clock."""
    started_at_ms: int
    pid: int
    detecting: bool
    """False while it drains before it stops."""
    markets_followed: int
    markets_live: int
    """Those whose state is known: not in a gap."""
    sockets: int
    reconnects: int
    frames: dict[str, int]
    """By kind: bbo, ctx, ack, pong, ignored ..., and each kind of malformed frame."""
    tape_entries: int
    signals: int
    signals_dropped: int
    """Second ones of a market and millisecond."""
    signals_unwritten: int
    """Waiting for the disk."""
    signals_unpublished: int
    """On disk, waiting for Redis."""
    swept: int
    """Overdue captures published again."""
    watermark_ms: int
    clock_behind_wall_ms: int
    problems: list[str]
    """What turns health red, in words; empty when all is well."""
    detection_began_at_ms: int | None = None
    """On the feed's clock; None before."""
    first_worker_at_ms: int | None = None
    """When the first worker came that consumes the queue; None before, and where one was there from the start."""
    notices: list[str] = []
    """What an operator should know although nothing is red: names in settings that the venue does not list."""
    is_simulated: bool | None = None
    """Whether its prices are made up; None from a feed that does not say."""

    def write(self, client: redis.Redis, keys: Keys) -> None:
        client.set(keys.status, self.model_dump_json(), ex=TTL_S)

    @classmethod
    def read(cls, client: redis.Redis, keys: Keys) -> Self | None:
        """What the feed last said, or None when it has not run for a minute."""
        found = client.get(keys.status)
        return None if found is None else cls.model_validate_json(found)
