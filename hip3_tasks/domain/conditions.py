"""How a tape entry came to be, and which conditions were in force: with it, signals are a function of the tape.

It is a field of its own beside the state: a reader of version 0.1.0 ignores it, and an entry without it is one of that
version. It is a list that begins with the number of its format; later formats only add values at its end.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from hip3_tasks.domain.edge import Side

FORMAT = 3
"""Format 1 is an entry without this field; format 2 ends with the memory."""
OLDEST_FORMAT = 2
_NEWS, _JUDGED, _DOUBTED, _BY_BBO, _BY_CTX, _LAG = 1, 2, 4, 8, 16, 32


class Trigger(StrEnum):
    """The channel whose frame changed a state."""

    BBO = "bbo"
    CTX = "ctx"


_TRIGGER_FLAGS = {None: 0, Trigger.BBO: _BY_BBO, Trigger.CTX: _BY_CTX}


class Fired(NamedTuple):
    """The last signal of a market and side."""

    at_ms: int
    oracle_px: float


@dataclass(slots=True)
class Memory:
    """The last signal of each side of a market: all that the detector remembers of it."""

    fired: dict[Side, Fired] = field(default_factory=dict)

    def copy(self) -> "Memory":
        return Memory(dict(self.fired))

    def note(self, side: Side, fired: Fired) -> None:
        if fired.at_ms >= self.last_at_ms(side):
            self.fired[side] = fired

    def last_at_ms(self, side: Side) -> int:
        """The instant of the last signal of a side; 0 when there was none."""
        return self.fired[side].at_ms if side in self.fired else 0


class CtxWitness(NamedTuple):
    """The prices in a market's last ctx that describe its book, and the cadence of such messages."""

    mid_px: float | None = None
    impact_bid_px: float | None = None
    """The mean price of a sale of the venue's impact notional: the best bid is never below it."""
    impact_ask_px: float | None = None
    period_ms: int | None = None
    """The longest regular pause between two ctx of a market."""
    limit_ms: int | None = None
    """The age of a ctx from which on no signal may rest on it."""


NO_WITNESS = CtxWitness()


@dataclass(slots=True, kw_only=True)
class Conditions:
    """How an entry came to be, and what was in force then."""

    is_news: bool = False
    """Whether a frame changed the state; False for a state that is written again, which never makes a signal."""
    is_judged: bool = False
    """Whether the feed detected signals at that instant."""
    is_doubted: bool = False
    """Whether the ctx contradicts the book; such a state never makes a signal."""
    trigger: Trigger | None = None
    """None in an entry of format 2."""
    has_lag: bool = False
    """Whether the book came as a change: only then its block time tells how late the venue's frames arrive."""
    ctx_age_ms: int | None = None
    """Time since the market's last ctx was received, changed or not."""
    taker_fee_bps: float | None = None
    threshold_bps: float | None = None
    memory: Memory | None = None
    """In a keyframe: the detector's memory just before it, so that a replay can begin there."""
    witness: CtxWitness = NO_WITNESS

    def encode(self) -> str:
        flags = (
            _NEWS * self.is_news
            + _JUDGED * self.is_judged
            + _DOUBTED * self.is_doubted
            + _TRIGGER_FLAGS[self.trigger]
            + _LAG * self.has_lag
        )
        values: list[Any] = [FORMAT, flags, self.ctx_age_ms, self.taker_fee_bps, self.threshold_bps]
        has_witness = self.witness != NO_WITNESS
        if self.memory is not None:
            fired = self.memory.fired
            values.append([tuple(fired[side]) if side in fired else None for side in Side])
        elif has_witness:
            values.append(None)
        if has_witness:
            values += self.witness
        return orjson.dumps(values).decode()

    def put_down_again(self) -> "Conditions":
        """The conditions of a state that is in force again from another instant on: it is no news."""
        return replace(self, is_news=False, ctx_age_ms=None, memory=None)

    @classmethod
    def decode(cls, text: bytes) -> "Conditions":
        """The inverse of `encode`, for this format and those before and after. Raises ValueError or TypeError."""
        values: Any = orjson.loads(text)
        version, flags, ctx_age_ms, taker_fee_bps, threshold_bps, *more = values
        if type(version) is not int or version < OLDEST_FORMAT:
            raise ValueError(f"not a format: {version!r}")
        return cls(
            is_news=bool(integer(flags) & _NEWS),
            is_judged=bool(flags & _JUDGED),
            is_doubted=bool(flags & _DOUBTED),
            trigger=Trigger.CTX if flags & _BY_CTX else Trigger.BBO if flags & _BY_BBO else None,
            has_lag=bool(flags & _LAG),
            ctx_age_ms=_duration(ctx_age_ms),
            taker_fee_bps=_number_or_none(taker_fee_bps),
            threshold_bps=_number_or_none(threshold_bps),
            memory=_memory(more[0]) if more and more[0] is not None else None,
            witness=_witness(*more[1:6]) if version > OLDEST_FORMAT and more[1:] else NO_WITNESS,
        )


def _memory(values: Any) -> Memory:
    memory = Memory()
    for side, value in zip(Side, values, strict=True):
        if value is not None:
            at_ms, oracle_px = value
            memory.fired[side] = Fired(integer(at_ms), _number(oracle_px))
    return memory


def _witness(mid_px: Any, impact_bid_px: Any, impact_ask_px: Any, period_ms: Any, limit_ms: Any) -> CtxWitness:
    return CtxWitness(
        positive(mid_px), positive(impact_bid_px), positive(impact_ask_px), _duration(period_ms), _duration(limit_ms)
    )


def positive(number: Any) -> float | None:
    """A price or size of an entry. Raises ValueError for anything but None and a positive number."""
    if number is not None and not (type(number) in (float, int) and number > 0):
        raise ValueError(f"not a positive number: {number!r}")
    return None if number is None else float(number)


def integer(number: Any) -> int:
    """The number, if it is a whole one. Raises TypeError for anything else, bool included."""
    if type(number) is not int:
        raise TypeError(f"not an integer: {number!r}")
    return number


def _number(number: Any) -> float:
    if type(number) not in (float, int):
        raise TypeError(f"not a number: {number!r}")
    return float(number)


def _number_or_none(number: Any) -> float | None:
    return None if number is None else _number(number)


def _duration(ms: Any) -> int | None:
    if ms is not None and integer(ms) < 0:
        raise ValueError(f"a negative duration: {ms!r}")
    return None if ms is None else integer(ms)
