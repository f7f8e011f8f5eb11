"""The value of a tape entry, and its bytes: the state of one market, as it was known at one instant.

An entry is either a full state (`Market`) or says that the state is unknown (`Gap`). Its own instant is its stream id
and therefore not part of the value.
"""

import re
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson

from hip3_tasks.domain.conditions import Conditions, integer, positive
from hip3_tasks.domain.edge import Side, mid_px
from hip3_tasks.errors import MalformedEntry

COIN = re.compile(r"[A-Za-z0-9]{1,16}:[A-Za-z0-9_.+-]{1,48}", re.ASCII)
"""The form of a HIP-3 coin: `dex:NAME`. It becomes part of keys, ids and log lines."""

NO_DATA = "no data yet"
"""The cause of the gap with which a feed begins a market."""

STATE_FIELD = b"s"
GAP_FIELD = b"gap"
CONDITIONS_FIELD = b"d"


def dex_of(coin: str) -> str:
    return coin.partition(":")[0]


@dataclass(slots=True, kw_only=True)
class Market:
    """Both sides of the book, oracle and mark, in the order of an entry. An empty side is None, never 0.0."""

    bid_px: float | None
    bid_sz: float | None
    ask_px: float | None
    ask_sz: float | None
    oracle_px: float | None
    mark_px: float | None
    bbo_time_ms: int
    """The venue's block time of the book."""
    bbo_at_ms: int
    """When the book was received, on the feed's clock."""
    oracle_at_ms: int
    """When the oracle was first seen at this value, on the feed's clock."""
    oracle_updates: int
    """A running count of oracle changes; only its differences have a meaning."""

    def touch_px(self, side: Side) -> float | None:
        """The price a taker of this side would get: the ask for a buy, the bid for a sell."""
        return self.ask_px if side is Side.BUY else self.bid_px

    def touch_sz(self, side: Side) -> float | None:
        return self.ask_sz if side is Side.BUY else self.bid_sz

    @property
    def mid_px(self) -> float | None:
        return mid_px(self.bid_px, self.ask_px)

    @property
    def is_two_sided(self) -> bool:
        """Neither side empty, and not crossed or locked."""
        return self.bid_px is not None and self.ask_px is not None and self.bid_px < self.ask_px


_values = attrgetter(*Market.__slots__)


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing is known of the market from this entry until the next `Market` entry."""

    cause: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A tape entry as read: the feed's receive time and what was known from then on."""

    at_ms: int
    value: Market | Gap
    conditions: Conditions | None = None
    """None in an entry of version 0.1.0, and in a gap that is no keyframe."""


def encode_entry(value: Market | Gap) -> tuple[bytes, bytes]:
    """(field, value) of the state or gap of a stream entry."""
    if isinstance(value, Gap):
        return GAP_FIELD, value.cause.encode()
    return STATE_FIELD, orjson.dumps(_values(value))


def decode_entry(entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    """The inverse of `encode_entry`, for a stream entry as redis-py returns it.

    Raises MalformedEntry on anything else; a worker then leaves the capture pending.
    """
    try:
        at_ms = int(entry_id.split(b"-", 1)[0])
        text = fields.get(CONDITIONS_FIELD)
        conditions = None if text is None else Conditions.decode(text)
        if GAP_FIELD in fields:
            return Entry(at_ms, Gap(fields[GAP_FIELD].decode()), conditions)
        return Entry(at_ms, _market(orjson.loads(fields[STATE_FIELD])), conditions)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise MalformedEntry((entry_id, fields)) from error


def _market(state: Any) -> Market:
    # A later version may add values at the end.
    prices, instants = state[:6], state[6:10]
    values: tuple[Any, ...] = (*map(positive, prices), *map(integer, instants))
    return Market(**dict(zip(Market.__slots__, values, strict=True)))
