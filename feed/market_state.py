"""The state of one market, built from the frames of its two channels."""

from dataclasses import dataclass

from feed.wire import Bbo, Ctx
from hip3_tasks.domain.market import Market
from hip3_tasks.domain.records import Signal


@dataclass(slots=True)
class MarketState:
    """A market's latest state; unknown until both a bbo and a ctx have been received since the last gap."""

    coin: str
    taker_fee_bps: float
    ctx_at_ms: int = 0
    """When its last ctx was received, changed or not: the market's heartbeat."""
    _bbo: Bbo | None = None
    _bbo_at_ms: int = 0
    _ctx: Ctx | None = None
    _oracle_px: float | None = None
    _oracle_at_ms: int = 0
    _oracle_updates: int = 0
    _market: Market | None = None

    @property
    def market(self) -> Market | None:
        """The state; None in a gap."""
        return self._market

    def resume(self, last: Market | None, signal: Signal | None = None) -> None:
        """Continue with the oracle of the last state on the tape, or of the last signal if that is newer.

        A side that has fired on an oracle must not fire on the same one again, even if the tape is lost.
        """
        if last is not None:
            self._oracle_px = last.oracle_px
            self._oracle_at_ms, self._oracle_updates = last.oracle_at_ms, last.oracle_updates
        if signal is not None and signal.timestamp_ms - signal.oracle_age_ms > self._oracle_at_ms:
            self._oracle_px, self._oracle_at_ms = signal.oracle_px, signal.timestamp_ms - signal.oracle_age_ms

    def lose(self) -> None:
        """Begin a gap: the state is unknown until both channels have a new frame."""
        self._bbo = self._ctx = self._market = None

    def apply(self, frame: Bbo | Ctx, at_ms: int) -> Market | None:
        """Apply a frame; return the new state if it is known and has changed."""
        if isinstance(frame, Bbo):
            if frame == self._bbo:
                return None
            self._bbo, self._bbo_at_ms = frame, at_ms
        else:
            self.ctx_at_ms = at_ms
            if frame == self._ctx:
                return None
            self._ctx = frame
            if frame.oracle_px != self._oracle_px:
                self._oracle_px, self._oracle_at_ms = frame.oracle_px, at_ms
                self._oracle_updates += 1
        return self._assembled()

    def _assembled(self) -> Market | None:
        if self._bbo is None or self._ctx is None:
            return None
        bid, ask = self._bbo.bid, self._bbo.ask
        market = Market(
            bid_px=bid.px if bid else None,
            bid_sz=bid.sz if bid else None,
            ask_px=ask.px if ask else None,
            ask_sz=ask.sz if ask else None,
            oracle_px=self._oracle_px,
            mark_px=self._ctx.mark_px,
            bbo_time_ms=self._bbo.time_ms,
            bbo_at_ms=self._bbo_at_ms,
            oracle_at_ms=self._oracle_at_ms,
            oracle_updates=self._oracle_updates,
        )
        before, self._market = self._market, market
        return market if market != before else None
