"""What the feed knows of each market beside its tape, once a second, in Redis: for whoever shows markets."""

from typing import NamedTuple, Self

import redis
from pydantic import BaseModel, ConfigDict

from hip3_tasks.store.keys import Keys


class MarketFacts(NamedTuple):
    """A market that is followed. An array in Redis, for there are many and they are written every second."""

    threshold_bps: float
    taker_fee_bps: float
    ctx_at_ms: int | None
    """When its context was last heard, changed or not; None before the first."""


class FeedMarkets(BaseModel):
    """All of them, and the coins which the venue lists as delisted."""

    model_config = ConfigDict(frozen=True)

    markets: dict[str, MarketFacts]
    delisted: list[str]

    def write(self, client: redis.Redis, keys: Keys) -> None:
        client.set(keys.markets, self.model_dump_json())

    @classmethod
    def read(cls, client: redis.Redis, keys: Keys) -> Self | None:
        """What the feed last said, however long ago. Raises ValidationError when another version wrote it."""
        found = client.get(keys.markets)
        return None if found is None else cls.model_validate_json(found)
