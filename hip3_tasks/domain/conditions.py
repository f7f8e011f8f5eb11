"""The part of a tape entry that only the detector needs: with it, signals are a function of the tape.

It is a field of its own beside the state: a reader of version 0.1.0 ignores it, and an entry without it is one of that
version. It is a list that begins with the number of its format; later formats only add values at its end.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from hip3_tasks.domain.edge import Side

FORMAT = 2
"""Format 1 is an entry without this field."""
_NEWS, _JUDGED = 1, 2


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How an entry came to be, and what was in force then."""

    is_news: bool = False
    """Whether a frame changed the state; False for a state that is written again, which never makes a signal."""
    is_judged: bool = False
    """Whether the feed detected signals at that instant."""
    ctx_age_ms: int | None = None
    """Time since the market's last ctx was received, changed or not."""
    taker_fee_bps: float | None = None
    threshold_bps: float | None = None
    memory: Memory | None = None
    """In a keyframe: the detector's memory just before it, so that a replay can begin there."""

    def encode(self) -> str:
        flags = _NEWS * self.is_news + _JUDGED * self.is_judged
        values: list[Any] = [FORMAT, flags, self.ctx_age_ms, self.taker_fee_bps, self.threshold_bps]
        if self.memory is not None:
            fired = self.memory.fired
            values.append([tuple(fired[side]) if side in fired else None for side in Side])
        return orjson.dumps(values).decode()

    @classmethod
    def decode(cls, text: bytes) -> "Conditions":
        """The inverse of `encode`, for this format and later ones. Raises ValueError, TypeError or IndexError."""
        values: Any = orjson.loads(text)
        version, flags, ctx_age_ms, taker_fee_bps, threshold_bps, *more = values
        if type(version) is not int or version < FORMAT:
            raise ValueError(f"not a format: {version!r}")
        return cls(
            is_news=bool(integer(flags) & _NEWS),
            is_judged=bool(flags & _JUDGED),
            ctx_age_ms=None if ctx_age_ms is None else integer(ctx_age_ms),
            taker_fee_bps=None if taker_fee_bps is None else _number(taker_fee_bps),
            threshold_bps=None if threshold_bps is None else _number(threshold_bps),
            memory=_memory(more[0]) if more and more[0] is not None else None,
        )


def _memory(values: Any) -> Memory:
    memory = Memory()
    for side, value in zip(Side, values, strict=True):
        if value is not None:
            at_ms, oracle_px = value
            memory.fired[side] = Fired(integer(at_ms), _number(oracle_px))
    return memory


def integer(number: Any) -> int:
    """The number, if it is a whole one. Raises TypeError for anything else, bool included."""
    if type(number) is not int:
        raise TypeError(f"not an integer: {number!r}")
    return number


def _number(number: Any) -> float:
    if type(number) not in (float, int):
        raise TypeError(f"not a number: {number!r}")
    return float(number)
