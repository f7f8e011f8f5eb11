"""Threshold, fee and last context of each market; the feed writes them once a second for `hip3 status` and the page."""

from typing import NamedTuple

from pydantic import BaseModel

from hip3_tasks.domain.records import Dark


class MarketFacts(NamedTuple):
    """A followed market. It is an array in Redis, since there are many and all are written every second."""

    threshold_bps: float
    taker_fee_bps: float
    ctx_at_ms: int | None
    """When its last context was received, changed or not; None before the first."""


class FeedMarkets(BaseModel, frozen=True):
    """All followed markets, and the coins that the venue lists as delisted."""

    markets: dict[str, MarketFacts]
    delisted: list[str]
    dark: list[Dark] | None = None
    """The markets that are to be followed and are not live; None from a version that did not write this."""


def dark_kind(cause: str) -> str:
    """The kind of a cause, without the venue's words: `socket not connected`, `subscription refused`, `gap` ..."""
    return cause.partition(":")[0]
