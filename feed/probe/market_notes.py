"""One market as one socket shows it: pauses, lag, block order, and whether book and context agree.

Samples, in ms: `book_pause_ms`, `ctx_pause_ms`; `lag_ms`, the time from the block of a change to its frame;
`oracle_pause_ms`, the time between two contexts that changed the oracle price.

Counts: `repeated_books` show nothing new, `older_books` are of an older block than the one before; `samples` are
contexts with a sample of the book, `no_samples` have no mid although the book has both sides; `contradictions` are
samples that agree with no book around them, `lasting_contradictions` the times when a feed would take the market for
unknown.
"""

from collections import Counter, defaultdict
from typing import Any

from feed.probe.samples import Samples
from feed.wire import Bbo, Ctx
from feed.witness import BookCheck

SAMPLES = ("book_pause_ms", "ctx_pause_ms", "lag_ms", "oracle_pause_ms")
COUNTS = (
    *("books", "contexts", "refused", "repeated_books", "older_books", "oracle_changes"),
    *("samples", "no_samples", "contradictions", "lasting_contradictions"),
)


class MarketNotes:
    """The measurements of a market. They continue after a loss of the connection, while pauses begin anew."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self.samples: defaultdict[str, Samples] = defaultdict(Samples)
        self.reconnect()

    def reconnect(self) -> None:
        """Forget the state of the market; the measurements stay."""
        self._bbo: Bbo | None = None
        self._ctx: Ctx | None = None
        self._bbo_at_ms = 0
        self._ctx_at_ms: int | None = None
        self._oracle_at_ms: int | None = None
        self._check = BookCheck()

    def hear_bbo(self, bbo: Bbo, at_ms: int) -> bool:
        """Take a book; return whether it is the first one of this connection, which may be of any age."""
        self.counts["books"] += 1
        last, before_ms, self._bbo_at_ms = self._bbo, self._bbo_at_ms, at_ms
        if last is not None:
            self.samples["book_pause_ms"].add(at_ms - before_ms)
            self.samples["lag_ms"].add(at_ms - bbo.time_ms)
            self.counts["repeated_books"] += (bbo.bid, bbo.ask) == (last.bid, last.ask)
            if bbo.time_ms < last.time_ms:
                self.counts["older_books"] += 1
                return False
        if bbo != last:
            self._bbo = bbo
            self._check.hear_book(bbo)
        return last is None

    def hear_ctx(self, ctx: Ctx, at_ms: int) -> bool:
        """Take a context; return whether it changed the oracle price."""
        self.counts["contexts"] += 1
        last, before_ms = self._ctx, self._ctx_at_ms
        # The first one answers the subscription: it may be a second old, and is not of the channel's pace.
        self._ctx, self._ctx_at_ms = ctx, None if last is None else at_ms
        if before_ms is not None:
            self.samples["ctx_pause_ms"].add(at_ms - before_ms)
        self._compare(ctx, is_paced=before_ms is not None)
        if last is None or ctx.oracle_px == last.oracle_px:
            return False
        self.counts["oracle_changes"] += 1
        if self._oracle_at_ms is not None:
            self.samples["oracle_pause_ms"].add(at_ms - self._oracle_at_ms)
        self._oracle_at_ms = at_ms
        return True

    def summary(self) -> dict[str, Any]:
        contexts = self.counts["contexts"]
        share = self.counts["oracle_changes"] / contexts if contexts else None
        samples = {name: self.samples[name].summary() for name in SAMPLES}
        return {**self.counts, "oracle_changed_share": share, **samples}

    def _compare(self, ctx: Ctx, *, is_paced: bool) -> None:
        counts, bbo, check = self.counts, self._bbo, self._check
        counts["samples"] += any(px is not None for px in (ctx.mid_px, ctx.impact_bid_px, ctx.impact_ask_px))
        counts["no_samples"] += ctx.mid_px is None and bbo is not None and bool(bbo.bid and bbo.ask)
        # A sample that agreed with no book until the next one came was no frame that overtook another.
        counts["contradictions"] += is_paced and check.contradictions > 0
        was_refuted = check.refuted is not None
        check.hear_sample(ctx)
        counts["lasting_contradictions"] += check.refuted is not None and not was_refuted
