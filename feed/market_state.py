"""The state of one market, assembled from what a socket has brought of its two channels."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from feed.witness import MarketWitness
from hip3_tasks.domain.conditions import Conditions, Memory, Trigger
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Market
from hip3_tasks.domain.records import Signal

UNCHANGED_INTERVAL_MS = 1_000
"""A ctx that changes nothing goes onto the tape at most this often, on average."""


class Update(NamedTuple):
    """A state to be put down."""

    market: Market
    conditions: Conditions


def _is_same(market: Market, last: Market | None) -> bool:
    # One time decides mostly: to compare all fields of each state would take a twentieth of a frame's time.
    return last is not None and market.bbo_at_ms == last.bbo_at_ms and market == last


@dataclass(slots=True)
class MarketState:
    """A market's latest state."""

    coin: str
    taker_fee_bps: float
    rules: Rules
    cause: str = NO_DATA
    """Why the state is unknown, while it is."""
    unknown_since_ms: int = 0
    _oracle_px: float | None = None
    _oracle_at_ms: int = 0
    _oracle_updates: int = 0
    _market: Market | None = None
    _is_doubted: bool = False
    _next_unchanged_ms: int = 0

    @property
    def market(self) -> Market | None:
        """The state; None in a gap."""
        return self._market

    @property
    def threshold_bps(self) -> float:
        return self.rules.threshold_bps(self.coin, self.taker_fee_bps)

    def resume(self, last: Market | None, signal: Signal | None = None) -> None:
        """Continue with the oracle of the last state on the tape, or of the last signal if that is newer.

        A side that has fired on an oracle must not fire on the same one again, even if the tape is lost.
        """
        if last is not None:
            self._oracle_px = last.oracle_px
            self._oracle_at_ms, self._oracle_updates = last.oracle_at_ms, last.oracle_updates
        if signal is not None and signal.timestamp_ms - signal.oracle_age_ms > self._oracle_at_ms:
            self._oracle_px, self._oracle_at_ms = signal.oracle_px, signal.timestamp_ms - signal.oracle_age_ms

    def count_oracle_from(self, at_ms: int) -> None:
        """Begin the count of oracle changes above any that began earlier: it grows by 1 in a ms at most."""
        self._oracle_updates = at_ms

    def lose(self, cause: str, at_ms: int) -> None:
        """Begin a gap, or go on with one for another cause."""
        if self._market is not None or not self.unknown_since_ms:
            self.unknown_since_ms = at_ms
        self._market, self.cause = None, cause

    def note_oracle(self, oracle_px: float | None, at_ms: int) -> None:
        """Note the oracle of a ctx, also of a market whose book is unknown."""
        if oracle_px != self._oracle_px:
            self._oracle_px, self._oracle_at_ms = oracle_px, at_ms
            self._oracle_updates += 1

    def update(self, heard: MarketWitness, at_ms: int, trigger: Trigger, *, is_judged: bool) -> Update | None:
        """The state after a frame of a market that is known; None when nothing has to be put down."""
        market = self._assembled(heard)
        is_doubted = heard.check.contradictions > 0
        is_news = not _is_same(market, self._market) or (self._is_doubted and not is_doubted)
        self._market, self._is_doubted = market, is_doubted
        if not is_news and (trigger is Trigger.BBO or at_ms < self._next_unchanged_ms):
            return None
        if trigger is Trigger.CTX:
            # The venue's pace is a little faster than once a second: some jitter must not leave out every second one.
            earliest_ms = at_ms - UNCHANGED_INTERVAL_MS
            self._next_unchanged_ms = max(self._next_unchanged_ms, earliest_ms) + UNCHANGED_INTERVAL_MS
        return Update(market, self.conditions(heard, at_ms, is_judged=is_judged, trigger=trigger, is_news=is_news))

    def conditions(
        self,
        heard: MarketWitness,
        at_ms: int,
        *,
        is_judged: bool,
        trigger: Trigger | None = None,
        is_news: bool = False,
    ) -> Conditions:
        """The conditions of an entry for the present state; by default it is written again."""
        return Conditions(
            is_news=is_news,
            is_judged=is_judged,
            is_doubted=heard.check.contradictions > 0,
            trigger=trigger,
            has_lag=heard.has_lag,
            ctx_age_ms=max(0, at_ms - heard.ctx_at_ms),
            taker_fee_bps=self.taker_fee_bps,
            threshold_bps=self.threshold_bps,
            witness=heard.sample,
        )

    def _assembled(self, heard: MarketWitness) -> Market:
        bbo, ctx = heard.bbo, heard.ctx
        assert bbo is not None and ctx is not None
        return Market(
            bid_px=bbo.bid.px if bbo.bid else None,
            bid_sz=bbo.bid.sz if bbo.bid else None,
            ask_px=bbo.ask.px if bbo.ask else None,
            ask_sz=bbo.ask.sz if bbo.ask else None,
            oracle_px=self._oracle_px,
            mark_px=ctx.mark_px,
            bbo_time_ms=bbo.time_ms,
            bbo_at_ms=heard.bbo_at_ms,
            oracle_at_ms=self._oracle_at_ms,
            oracle_updates=self._oracle_updates,
        )


def keyframe_conditions(last: Conditions, passed_ms: int, memory: Memory) -> Conditions:
    """The conditions of a state that is written again after some time, with what the detector remembers."""
    ctx_age_ms = None if last.ctx_age_ms is None else last.ctx_age_ms + passed_ms
    return replace(last, is_news=False, is_judged=False, ctx_age_ms=ctx_age_ms, memory=memory)
