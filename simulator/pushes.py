"""Events of the model: a market's new book or context, at an instant of virtual time."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from simulator.trades import SimulatedTrade
from simulator.wire import BookLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class BboPush:
    """A changed book, sent `age_ms` after the time of its block."""

    at_ms: int
    coin: str
    bid: BookLevel | None
    ask: BookLevel | None
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CtxPush:
    """A market's complete context, changed or repeated, and the trade that changed its volume."""

    at_ms: int
    coin: str
    ctx: dict[str, Any]
    trade: SimulatedTrade | None = None


Push: TypeAlias = BboPush | CtxPush
