"""The lines of the data files: frozen, typed, encoded and decoded here.

Field order is a contract: it is the order of the keys in the files. Numbers that are prices, sizes or bps always
carry a decimal point, so that any reader infers the same column type from any line.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

import orjson
from pydantic import BaseModel, Field, ValidationError, model_validator

from hip3_tasks.domain.capture import MAX_OFFSET_MS, Capture, signal_id_of
from hip3_tasks.domain.conditions import Trigger
from hip3_tasks.domain.edge import Side
from hip3_tasks.domain.market import COIN
from hip3_tasks.errors import MalformedRecord

MAX_BPS = 1e9
"""A price a hundred thousand times the oracle's. Larger values are no prices, and their squares would overflow."""
Px = Annotated[float, Field(gt=0)]
Sz = Annotated[float, Field(gt=0)]
Ms = Annotated[int, Field(ge=0)]
InstantMs = Annotated[int, Field(ge=10**12, lt=10**13)]
OffsetMs = Annotated[int, Field(gt=0, le=MAX_OFFSET_MS)]
Coin = Annotated[str, Field(pattern=f"^{COIN.pattern}$")]

# orjson writes 1e-07 as `1e-7` and 1e16 as `1e16` or `1e+16`; some readers take a number without a point for an
# integer. A quotation mark inside a string is escaped, so that no text looks like a number. Few lines have an `e`
# before a digit at all, and a search for that takes a tenth of the time.
_EXPONENT = re.compile(rb"e[-+0-9]")
_POINTLESS = re.compile(rb'((?<!\\)":-?[0-9]+)(e[+-]?[0-9]+)(?=[,}])')


class MissedReason(StrEnum):
    """Why a follow-up can never be measured."""

    FEED_GAP = "feed_gap"
    NO_QUOTE = "no_quote"
    NO_ORACLE = "no_oracle"
    EXPIRED = "expired"


class Record(BaseModel, frozen=True, strict=True, extra="ignore", allow_inf_nan=False):
    """A line of a data file."""

    RELEASED: ClassVar[tuple[int, ...]] = ()
    """The numbers of fields in lines of earlier releases, ascending; later fields stand behind, and are None there."""

    def line(self) -> bytes:
        """The record as one line of JSON, newline included."""
        return line_of(self.__dict__)

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """The inverse of `line`. Raises MalformedRecord."""
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            raise MalformedRecord(f"{where}: {first['msg']}", line) from None


class Signal(Record):
    """A moment at which the touch of a market was priced through its oracle by the threshold or more."""

    RELEASED = (18,)

    timestamp_ms: InstantMs
    market_key: Coin
    side: Side
    raw_edge_bps: float
    net_edge_bps: float
    """raw edge − taker fee − slippage."""
    oracle_px: Px
    best_px: Px
    best_size: Sz
    signal_id: str
    bid_px: Px | None
    bid_sz: Sz | None
    ask_px: Px | None
    ask_sz: Sz | None
    mark_px: Px | None
    bbo_age_ms: Ms
    oracle_age_ms: Ms
    """Time since the oracle last changed."""
    threshold_bps: float
    offsets_ms: tuple[OffsetMs, ...]
    """The horizons of this signal, also after the settings have changed."""
    lag_ms: int | None = None
    """Receive time of the book − its block time; None unless the book came as a change."""
    ctx_age_ms: Ms | None = None
    """Time since the market's last ctx was received."""
    oracle_age_max_ms: Ms | None = None
    """The oracle is at most this old at the venue: `ctx_age_ms` + the period of the ctx."""
    trigger: Trigger | None = None
    ctx_mid_px: Px | None = None
    impact_bid_px: Px | None = None
    impact_ask_px: Px | None = None
    taker_fee_bps: float | None = None
    slippage_bps: float | None = None

    @model_validator(mode="after")
    def _id_follows_from_market_and_time(self) -> Self:
        if self.signal_id != signal_id_of(self.market_key, self.timestamp_ms):
            raise ValueError("signal_id is not market_key-timestamp_ms")
        return self

    def captures(self) -> list[Capture]:
        """The captures that this signal requires."""
        return [Capture(self.signal_id, offset_ms, self.market_key, self.timestamp_ms) for offset_ms in self.offsets_ms]


class CaptureRecord(Record):
    """The line of a capture, of which each capture has exactly one."""

    signal_id: str
    market_key: Coin
    side: Side
    signal_timestamp_ms: InstantMs
    offset_ms: OffsetMs
    captured_at_ms: InstantMs
    """The worker's wall clock right after the state was read; lateness is this − due_at_ms."""

    @property
    def key(self) -> tuple[str, int]:
        """(signal_id, offset_ms), as `key_of` reads it from a line."""
        return self.signal_id, self.offset_ms


class Followup(CaptureRecord):
    """The market as it was known at exactly T0 + offset, measured against the signal.

    `edge_change_bps` < 0: the edge shrank. The two moves carry no side; `markout_bps` does (positive: the mid
    moved the taker's way). The first sixteen are never null.
    """

    RELEASED = (27,)

    t0_oracle_px: Px
    t0_best_px: Px
    t0_raw_edge_bps: float
    oracle_px: Px
    best_px: Px
    best_size: Sz
    raw_edge_bps: float
    edge_change_bps: float
    oracle_moved_bps: float
    market_moved_bps: float
    due_at_ms: InstantMs
    state_at_ms: InstantMs
    """The receive time of the tape entry used."""
    bid_px: Px | None
    bid_sz: Sz | None
    ask_px: Px | None
    ask_sz: Sz | None
    mark_px: Px | None
    bbo_age_ms: Ms
    oracle_age_ms: Ms
    oracle_updates: Ms | None
    """Changes of the oracle since T0; None when the tape no longer knows T0."""
    markout_bps: float | None
    """None when either book was one-sided."""
    lag_ms: int | None = None
    ctx_age_ms: Ms | None = None
    oracle_age_max_ms: Ms | None = None
    ctx_mid_px: Px | None = None
    impact_bid_px: Px | None = None
    impact_ask_px: Px | None = None


class Missed(CaptureRecord):
    """A follow-up that can never be measured, and why."""

    due_at_ms: InstantMs
    reason: MissedReason
    detail: str | None
    """For a feed gap: what made the state unknown."""


@dataclass(frozen=True, slots=True)
class Dark:
    """A market that the feed follows without knowing its state, and why."""

    coin: Coin
    cause: str
    since_ms: InstantMs


class Followed(Record):
    """The markets that the feed followed from an instant on, until its next line or its end."""

    at_ms: InstantMs
    coins: tuple[Coin, ...]
    heard: tuple[Coin, ...] | None = None
    """The markets whose state was known at that instant; None in a line of 0.1.0."""
    dark: tuple[Dark, ...] | None = None


class RulesInForce(Record):
    """The detector's rules from an instant on: those of `detector.Rules`, which explains them."""

    from_ms: InstantMs
    min_edge_bps: float
    slippage_bps: float
    thresholds_bps: dict[Coin, float]
    cooldown_ms: Ms
    ctx_max_age_ms: Ms
    offsets_ms: tuple[OffsetMs, ...]


def line_of(values: dict[str, Any]) -> bytes:
    """The line of these values, given in the order of the fields."""
    line = orjson.dumps(values) + b"\n"
    return _POINTLESS.sub(rb"\1.0\2", line) if _EXPONENT.search(line) else line


def key_of(line: bytes) -> tuple[str, int]:
    """(signal_id, offset_ms) of a follow-up or missed line, without checking the rest. Raises MalformedRecord."""
    try:
        record: Any = orjson.loads(line)
        signal_id, offset_ms = record["signal_id"], record["offset_ms"]
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedRecord("no signal_id and offset_ms", line) from error
    if type(signal_id) is not str or type(offset_ms) is not int:
        raise MalformedRecord("signal_id or offset_ms of a wrong type", line)
    return signal_id, offset_ms
