"""One market as one socket shows it: pauses, lag, block order, and whether book and context agree.

Samples, in ms: `book_pause_ms`, `ctx_pause_ms`; `lag_ms`, the time from the block of a change to its frame;
`oracle_pause_ms`, the time between two contexts that changed the oracle price; `first_book_ms`, how much later than the
first context of a connection its first book came.

Counts: `older_books` are of an older block than the one before; `no_mids` are contexts without a mid though the book
has both sides; `contradictions` are contexts that agree with no book around them, `lasting_contradictions` the times
when a feed would take the market for unknown.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from feed.book_check import BookCheck
from feed.wire import Bbo, Ctx

SAMPLES = ("book_pause_ms", "ctx_pause_ms", "lag_ms", "oracle_pause_ms", "first_book_ms")
SHARES = ("no_mids", "contradictions", "oracle_changes")
"""Counts that are shown as a percentage of the contexts besides."""
COUNTS = ("books", "contexts", "older_books", "lasting_contradictions", *SHARES)
MIN_SAMPLES = 3
"""Fewer numbers have no median that proves anything."""


class Samples(Counter[int]):
    """Numbers such as pauses in ms, counted by value: exact quantiles of a long run take little memory."""

    def quantile(self, share: float) -> int | None:
        """The smallest number that at least this share of all does not exceed; None without numbers."""
        left = share * self.total()
        for value, count in sorted(self.items()):
            left -= count
            if left <= 1e-9:
                return value
        return None

    def summary(self) -> dict[str, int | None]:
        count = self.total()
        median = self.quantile(0.5) if count >= MIN_SAMPLES else None
        return {"count": count, "p50": median, "p99": self.quantile(0.99), "max": max(self, default=None)}


class MarketNotes:
    """The measurements of a market. They continue after a loss of the connection, while pauses begin anew."""

    def __init__(self) -> None:
        self.counts = Counter(dict.fromkeys(COUNTS, 0))
        self.samples = {name: Samples() for name in SAMPLES}
        self.reconnect()

    @classmethod
    def merged(cls, markets: Iterable["MarketNotes"]) -> "MarketNotes":
        """The measurements of several markets together."""
        result = cls()
        for market in markets:
            result.counts.update(market.counts)
            for name, samples in market.samples.items():
                result.samples[name].update(samples)
        return result

    def reconnect(self) -> None:
        """Forget the state of the market; the measurements stay."""
        self._bbo: Bbo | None = None
        self._ctx: Ctx | None = None
        self._bbo_at_ms = self._first_ctx_at_ms = 0
        self._ctx_at_ms: int | None = None
        self._oracle_at_ms: int | None = None
        self._check = BookCheck()

    def hear_bbo(self, bbo: Bbo, at_ms: int) -> bool:
        """Take a book; return whether it is the first one of this connection, which may be of any age."""
        self.counts["books"] += 1
        last, before_ms, self._bbo_at_ms = self._bbo, self._bbo_at_ms, at_ms
        if last is None:
            self.finish(at_ms)
        else:
            self.samples["book_pause_ms"][at_ms - before_ms] += 1
            self.samples["lag_ms"][at_ms - bbo.time_ms] += 1
            if bbo.time_ms < last.time_ms:
                self.counts["older_books"] += 1
                return False
        if bbo != last:
            self._bbo = bbo
            self._check.hear_book(bbo)
        return last is None

    def hear_ctx(self, ctx: Ctx, at_ms: int) -> None:
        self.counts["contexts"] += 1
        last, before_ms = self._ctx, self._ctx_at_ms
        # The first one answers the subscription: it may be a second old, and is not of the channel's pace.
        self._ctx, self._ctx_at_ms = ctx, None if last is None else at_ms
        if before_ms is not None:
            self.samples["ctx_pause_ms"][at_ms - before_ms] += 1
        self._compare(ctx, is_paced=before_ms is not None)
        if last is None:
            self._first_ctx_at_ms = at_ms
        elif ctx.oracle_px != last.oracle_px:
            self.counts["oracle_changes"] += 1
            if self._oracle_at_ms is not None:
                self.samples["oracle_pause_ms"][at_ms - self._oracle_at_ms] += 1
            self._oracle_at_ms = at_ms

    def finish(self, at_ms: int) -> None:
        """Note how long the first book was missing, or is."""
        if self._bbo is None:
            self.samples["first_book_ms"][at_ms - (self._first_ctx_at_ms or at_ms)] += 1

    def summary(self) -> dict[str, Any]:
        counts = self.counts
        contexts = counts["contexts"]
        shares = {f"{name}_percent": 100 * counts[name] / contexts if contexts else None for name in SHARES}
        return {**counts, **shares, **{name: samples.summary() for name, samples in self.samples.items()}}

    def _compare(self, ctx: Ctx, *, is_paced: bool) -> None:
        bbo, check = self._bbo, self._check
        self.counts["no_mids"] += ctx.mid_px is None and bbo is not None and bool(bbo.bid and bbo.ask)
        # A sample that agreed with no book until the next one came was no frame that overtook another.
        self.counts["contradictions"] += is_paced and check.contradictions > 0
        was_refuted = check.refuted is not None
        check.hear_sample(ctx)
        self.counts["lasting_contradictions"] += check.refuted is not None and not was_refuted
