"""A fault of the venue, declared by the frames and answers that it changes, and the switch that turns it on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from math import inf
from typing import Any, NamedTuple, Protocol, TypeAlias

from simulator.info.answer import InfoAnswer, Question
from simulator.listing import Universe

FrameData: TypeAlias = dict[str, Any]


class FaultScope(StrEnum):
    """The smallest part of the venue that a fault can be limited to."""

    COIN = "a coin or a dex"
    DEX = "a dex"
    VENUE = "no coin or dex"


class SubscribeReply(Enum):
    """Replies to a subscription other than an acknowledgement with the current frame."""

    SILENCE = "no acknowledgement and no frames"
    ERROR = "an error frame, and no frames"
    NO_FIRST_BBO = "an acknowledgement without the current book"
    CLOSE = "the end of the connection, as for an unknown coin"


class Moment(NamedTuple):
    """The frame's coin, seconds since the venue's start, and a memory that belongs to one switch."""

    coin: str
    at_s: float
    memory: dict[str, Any]


class Breakable(Protocol):
    """The parts of the venue server that an outage uses."""

    def stall(self, stalled: bool) -> None: ...

    def refuse(self, refusing: bool) -> None: ...

    def drop_connections(self) -> None: ...

    def send_raw(self, text: str) -> None: ...


FrameEffect: TypeAlias = Callable[[FrameData, Moment], FrameData | None]
"""Changes the data of a frame; None sends no frame."""
Covers: TypeAlias = Callable[[str], bool]
"""Whether a coin or a dex belongs to the switch's target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """`turn` is called when it begins (True) and ends (False), `tick` every 50 ms between."""

    turn: Callable[[Breakable, bool], None] | None = None
    tick: Callable[[Breakable], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFault:
    """One row of the table of faults. Each of the optional fields is one place where the venue can go wrong."""

    name: str
    text: str
    scope: FaultScope = FaultScope.COIN
    bbo: FrameEffect | None = None
    ctx: FrameEffect | None = None
    block_time_shift_ms: int = 0
    reply: SubscribeReply | None = None
    universe: Callable[[Universe, Covers], Universe] | None = None
    answer: Callable[[Question, InfoAnswer, Universe, Covers], InfoAnswer] | None = None
    outage: Outage | None = None


@dataclass(slots=True)
class FaultSwitch:
    """A fault that is on between two instants, in seconds since the venue's start, for one coin, one dex or all."""

    fault: VenueFault
    target: str | None = None
    start_s: float = 0.0
    end_s: float = inf
    memory: dict[str, Any] = field(default_factory=dict)

    def is_on(self, at_s: float) -> bool:
        return self.start_s <= at_s < self.end_s

    def covers(self, name: str) -> bool:
        """Whether a coin or a dex belongs to the target. A dex covers its coins."""
        return self.target is None or name == self.target or name.partition(":")[0] == self.target
