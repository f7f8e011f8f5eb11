"""The knowledge of one socket: whether the frames that it brought still show the state of each market.

A market's two channels are witnesses of each other. The book is pushed only when it changes, so its age means nothing;
the ctx comes at a steady pace and carries a sample of the book (mid and impact prices). Both come over one socket,
whose frames arrive in order and complete. Pure state: the instants are the feed's clock, in ms.

Laws, under any sequence of frames, for each market:
- it is known only with a book and a ctx that came after the last refused frame, renewal and loss;
- the answer to a renewal does not make it known if its ctx is the one before: the channel may still be silent;
- two ctx in a row that contradict every book since the ctx before make it unknown, until new ones agree;
- two books in a row that are older than one before make it unknown, until one comes that is not;
- it is known for at most the limits of silence in force, however it ended;
- what is heard of one market changes nothing of another, but for the limits of silence.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from feed.book_check import BookCheck
from feed.cadence import FACTOR, Cadence
from feed.wire import Bbo, Ctx
from hip3_tasks.domain.conditions import NO_WITNESS, CtxWitness
from hip3_tasks.domain.market import dex_of

MAX_GRACE_MS = 20_000
LOOK_INTERVAL_MS = 500
"""How often the limits of the socket follow its pace."""
STRAYS = 2
MAX_AHEAD_MS = 1_000
"""A block that is further ahead of this machine's clock is one of the future."""


class Objection(NamedTuple):
    """Why a market is unknown."""

    cause: str
    blames_socket: bool = False
    """Whether the socket may be at fault: it is given up when most of its markets are unknown for such a reason."""


NOT_HEARD = {"bbo": Objection("no book yet"), "activeAssetCtx": Objection("no context yet")}
UNUSABLE = {
    "bbo": Objection("a book that cannot be used"),
    "activeAssetCtx": Objection("a context that cannot be used"),
}
CONTRADICTED = Objection("the context contradicts the book", blames_socket=True)
REPEATED = Objection("no context but a repeated one", blames_socket=True)
OLDER_BLOCK = Objection("the venue sends books of an older block")


@dataclass(slots=True)
class DexPace:
    """How often a socket brings frames of a dex."""

    dex: str = ""
    books: Cadence = field(default_factory=Cadence)
    contexts: Cadence = field(default_factory=Cadence)
    book_at_ms: int | None = None
    """When the last book of any of its markets came."""


@dataclass(slots=True)
class MarketWitness:
    """The frames that a socket has brought of one market."""

    pace: DexPace = field(default_factory=DexPace, compare=False)
    bbo: Bbo | None = None
    bbo_at_ms: int = 0
    has_lag: bool = False
    """Whether the book came as a change; the first frame after subscribing may be of any age."""
    ctx: Ctx | None = None
    sample: CtxWitness = field(default=NO_WITNESS, compare=False)
    """The prices of the last ctx, and the limits that were in force when it came."""
    ctx_at_ms: int = 0
    """When the last ctx was received, changed or not: the market's heartbeat."""
    check: BookCheck = field(default_factory=BookCheck)
    block_ms: int = 0
    """The newest block time of its books, without those of the future, with which nothing can be compared."""
    strays: int = 0
    """Books in a row that were older than that."""
    paced_at_ms: int | None = None
    """When the last ctx was received that did not answer a subscription."""
    is_renewed: bool = False
    """Whether no ctx has come since the subscriptions began anew: the next one answers them."""
    silent_after: Ctx | None = None
    """The last ctx before a renewal; an answer that repeats it does not show that the channel has come back."""
    is_repeated: bool = False
    """Whether the last ctx is such an answer."""
    unusable: dict[str, Objection] = field(default_factory=dict)

    def hear_bbo(self, bbo: Bbo, at_ms: int) -> None:
        if bbo.time_ms < self.block_ms:
            self.strays += 1
            return
        self.strays = 0
        if bbo.time_ms <= at_ms + MAX_AHEAD_MS:
            self.block_ms = bbo.time_ms
        self._take(bbo, at_ms, has_lag=self.bbo is not None)

    def hear_answer(self, bbo: Bbo, at_ms: int) -> None:
        """Take a book that was asked for; its time is that of the answer, not of its last change."""
        if self.bbo is None:
            self._take(bbo, at_ms, has_lag=False)

    def hear_ctx(self, ctx: Ctx, at_ms: int) -> int | None:
        """Take a ctx; return the pause before it if it belongs to the channel's pace."""
        pause_ms = None if self.paced_at_ms is None or self.is_renewed else at_ms - self.paced_at_ms
        if not self.is_renewed:
            self.paced_at_ms = at_ms
        self.is_repeated = self.is_renewed and ctx == self.silent_after
        self.is_renewed = False
        self.ctx = ctx
        self.unusable.pop("activeAssetCtx", None)
        if self.is_repeated:
            return None
        self.silent_after, self.ctx_at_ms = None, at_ms
        self.check.hear_sample(ctx)
        return pause_ms

    def refuse(self, channel: str) -> None:
        """Forget what an unusable frame would have replaced."""
        if channel == "bbo":
            self.bbo = None
        else:
            self.ctx = None
        self.unusable[channel] = UNUSABLE[channel]

    def renew(self) -> None:
        """Forget the state: the subscriptions begin anew on the same socket."""
        self.bbo = self.ctx = None
        self.unusable.clear()
        self.strays = 0
        self.is_renewed = True
        self.check.renew()

    @property
    def is_confirmed(self) -> bool:
        """Whether the ctx confirms the book: by a mid that agrees, or by none where a side of the book is empty."""
        bbo, ctx = self.bbo, self.ctx
        if bbo is None or ctx is None or self.check.contradictions:
            return False
        return ctx.mid_px is not None or bbo.bid is None or bbo.ask is None

    @property
    def objection(self) -> Objection | None:
        """Why the state is unknown, whatever the time; None when it is known."""
        if self.bbo is None:
            return self.unusable.get("bbo") or NOT_HEARD["bbo"]
        if self.ctx is None:
            return self.unusable.get("activeAssetCtx") or NOT_HEARD["activeAssetCtx"]
        if self.is_repeated:
            return REPEATED
        if self.check.refuted is not None:
            return CONTRADICTED
        return OLDER_BLOCK if self.strays >= STRAYS else None

    def objection_at(self, at_ms: int) -> Objection | None:
        """Why the state is unknown at an instant; None when it is known."""
        objection, pace = self.objection, self.pace
        if objection is not None:
            return objection
        if (silent_ms := at_ms - self.ctx_at_ms) > pace.contexts.limit_ms:
            return Objection(f"no context for {silent_ms / 1000:.0f} s", blames_socket=True)
        silent_ms = 0 if pace.book_at_ms is None else at_ms - pace.book_at_ms
        if silent_ms > pace.books.limit_ms and not self.is_confirmed:
            return Objection(f"no book of {pace.dex} for {silent_ms / 1000:.0f} s", blames_socket=True)
        return None

    def _take(self, bbo: Bbo, at_ms: int, *, has_lag: bool) -> None:
        self.unusable.pop("bbo", None)
        last = self.bbo
        if last is None or bbo.time_ms != last.time_ms or bbo != last:  # the time decides mostly, and is cheap
            self.bbo, self.bbo_at_ms, self.has_lag = bbo, at_ms, has_lag
            self.check.hear_book(bbo)


class SocketWitness:
    """One socket and its markets; it begins anew with each connection, but for the limits of silence.

    `ctx_max_age_ms` replaces the observed age limit of a ctx for signals.
    """

    def __init__(self, *, stall_grace_ms: int, ctx_max_age_ms: int | None = None) -> None:
        self._stall_grace_ms, self._ctx_max_age_ms = stall_grace_ms, ctx_max_age_ms
        self.markets: dict[str, MarketWitness] = {}
        self.last_data_at_ms: int | None = None
        """When the socket brought its last bbo or ctx, usable or not; None before the first."""
        self.grace_ms = stall_grace_ms
        """The silence of the socket that means quiet markets."""
        self._frames = Cadence(long_ms=stall_grace_ms)
        self.silence_ms = self._frames.limit_ms
        """The silence after which the socket is dead."""
        self._paces: dict[str, DexPace] = {}
        self._looked_at_ms = 0

    def follow(self, coin: str, *, block_ms: int = 0, at_ms: int = 0) -> None:
        """Watch a market from an instant on, of which books up to a block are known already."""
        dex = dex_of(coin)
        known_ms = block_ms if block_ms <= at_ms + MAX_AHEAD_MS else 0
        self.markets[coin] = MarketWitness(self._paces.setdefault(dex, DexPace(dex)), block_ms=known_ms)

    def unfollow(self, coin: str) -> None:
        self.markets.pop(coin).pace.contexts.forget(coin)

    def hear(self, frame: Bbo | Ctx, at_ms: int) -> None:
        """Take a frame of any market; one that is not followed counts as data of the socket only."""
        self._note_data(at_ms)
        market = self.markets.get(frame.coin)
        if market is None:
            return
        pace = market.pace
        if isinstance(frame, Ctx):
            pause_ms = market.hear_ctx(frame, at_ms)
            if pause_ms is not None:
                pace.contexts.hear(frame.coin, pause_ms, at_ms)
            limit_ms = self._ctx_max_age_ms or pace.contexts.limit_ms
            market.sample = CtxWitness(
                frame.mid_px, frame.impact_bid_px, frame.impact_ask_px, pace.contexts.period_ms, limit_ms
            )
            return
        if pace.book_at_ms != at_ms:
            if pace.book_at_ms is not None:
                pace.books.hear("", at_ms - pace.book_at_ms, at_ms)
            pace.book_at_ms = at_ms
        market.hear_bbo(frame, at_ms)

    def refuse(self, coin: str, channel: str, at_ms: int) -> None:
        """Take a frame that cannot be used: its market becomes unknown, and the socket is alive."""
        market = self.markets.get(coin)
        if market is not None and channel in UNUSABLE:
            self._note_data(at_ms)
            market.refuse(channel)

    def renew(self, coin: str) -> None:
        """The subscriptions of a market begin anew, because it was silent or contradicted."""
        market = self.markets[coin]
        market.silent_after = market.ctx or market.silent_after
        market.renew()

    def disconnect(self) -> None:
        """The socket is gone, and with it the state of every market."""
        self.last_data_at_ms = None
        for pace in self._paces.values():
            pace.book_at_ms = None
        for market in self.markets.values():
            market.renew()
            market.paced_at_ms = None

    def objection(self, coin: str, at_ms: int) -> Objection | None:
        """Why the socket does not know the state of a market at an instant; None when it does."""
        return self.markets[coin].objection_at(at_ms)

    def silence_end_ms(self, last_data_at_ms: int) -> int:
        """The instant up to which its silence means quiet markets, after its data at `last_data_at_ms`."""
        return last_data_at_ms + self.grace_ms

    def limits_ms(self) -> dict[str, int]:
        """The limits of silence in force, by dex and channel."""
        limits = {}
        for dex, pace in self._paces.items():
            limits[f"{dex} bbo"], limits[f"{dex} ctx"] = pace.books.limit_ms, pace.contexts.limit_ms
        return limits

    def _note_data(self, at_ms: int) -> None:
        before_ms = self.last_data_at_ms
        if before_ms == at_ms:
            return  # a block's frames come together
        if before_ms is not None:
            self._frames.hear("", at_ms - before_ms, at_ms)
            if at_ms - self._looked_at_ms >= LOOK_INTERVAL_MS:
                self._set_limits(at_ms)
        self.last_data_at_ms = at_ms

    def _set_limits(self, at_ms: int) -> None:
        self._looked_at_ms = at_ms
        frames = self._frames
        if frames.is_slow and frames.period_ms is not None:
            self.grace_ms = max(self._stall_grace_ms, min(MAX_GRACE_MS, FACTOR * frames.period_ms))
        else:
            self.grace_ms = self._stall_grace_ms
        self.silence_ms = max(frames.limit_ms, self.grace_ms)
