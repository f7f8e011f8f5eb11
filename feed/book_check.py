"""Compares a market's book with the samples of it in its ctx: two contradictions in a row refute the pair.

Either may be the stale one. The pair is believed again when the channel that stood still has moved and both agree.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from feed.wire import Bbo, Ctx

MAX_BOOKS = 64
"""Books between two ctx that are compared with the second one."""
CONTRADICTIONS = 2
CONFIRMATIONS = 3


class Refuted(NamedTuple):
    """A book and a ctx that contradicted each other for too long."""

    book: Bbo
    ctx: Ctx
    needs_book: bool
    """Whether the book may be the stale one: it stood still while the ctx moved, or both are in doubt."""
    needs_ctx: bool

    def is_over(self, book: Bbo, ctx: Ctx) -> bool:
        """Whether these may be believed when they agree: what stood still has moved since."""
        has_book = not self.needs_book or book.time_ms > self.book.time_ms
        return has_book and (not self.needs_ctx or ctx != self.ctx)

    def may_be_over(self, book: Bbo, ctx: Ctx) -> bool:
        """Whether these may be believed when they agree again and again: one of two in doubt has moved."""
        return ctx != self.ctx or (self.needs_book and book.time_ms > self.book.time_ms)


@dataclass(slots=True)
class BookCheck:
    """The check of one market.

    A frame of the one channel may overtake one of the other. So a sample contradicts only if it agrees with no book
    from the ctx before it to the ctx after it.
    """

    contradictions: int = 0
    """Samples in a row that agreed with no book."""
    _books: list[Bbo] = field(default_factory=list)
    """The books since the last sample, and the one before."""
    _sample: Ctx | None = None
    """The last ctx."""
    refuted: Refuted | None = None
    _agreed: int = 0
    """Samples in a row that agreed with a book since then."""
    _last_agreed: tuple[Bbo, Ctx] | None = None
    """The last book and sample that agreed."""

    def hear_book(self, book: Bbo) -> None:
        books = self._books
        books.append(book)
        if len(books) > MAX_BOOKS:
            del books[0]
        if (self.contradictions or self.refuted) and self._sample is not None and _agree(book, self._sample):
            if self.refuted is None:
                self.contradictions = 0
            elif self.refuted.is_over(book, self._sample):
                self._confirm()

    def hear_sample(self, ctx: Ctx) -> None:
        books, self._sample = self._books, ctx
        if not books:
            return
        has_sample = ctx.mid_px is not None or ctx.impact_bid_px is not None or ctx.impact_ask_px is not None
        agrees = _agree(books[-1], ctx) or any(_agree(book, ctx) for book in books[:-1])
        if self.refuted is not None:
            counts = agrees and has_sample and self.refuted.may_be_over(books[-1], ctx)
            self._agreed = self._agreed + 1 if counts else 0
            if self._agreed >= CONFIRMATIONS or (agrees and self.refuted.is_over(books[-1], ctx)):
                self._confirm()
        elif agrees and has_sample:
            self.contradictions, self._last_agreed = 0, (books[-1], ctx)
        elif has_sample:
            self.contradictions += 1
            if self.contradictions >= CONTRADICTIONS:
                self._refute(books[-1], ctx)
        del books[:-1]

    def renew(self) -> None:
        """Compare later frames only with each other; what was refuted must still be confirmed."""
        self._books.clear()
        self._sample, self._last_agreed, self.contradictions, self._agreed = None, None, 0, 0

    def _refute(self, book: Bbo, ctx: Ctx) -> None:
        """Doubt the channel that stood still since the last agreement; both if there was none, or if both moved."""
        has_book_stood = self._last_agreed is not None and book == self._last_agreed[0]
        has_ctx_stood = self._last_agreed is not None and ctx == self._last_agreed[1]
        both = has_book_stood == has_ctx_stood
        self.refuted = Refuted(book, ctx, needs_book=has_book_stood or both, needs_ctx=has_ctx_stood or both)

    def _confirm(self) -> None:
        self.refuted, self.contradictions, self._agreed = None, 0, 0


def _agree(book: Bbo, ctx: Ctx) -> bool:
    """Whether a sample may be of this book: the mid is within a spread of it, the touch not worse than the impact."""
    bid_px, ask_px = book.bid and book.bid.px, book.ask and book.ask.px
    if bid_px and ask_px and ctx.mid_px:
        spread = abs(ask_px - bid_px)
        if not min(bid_px, ask_px) - spread <= ctx.mid_px <= max(bid_px, ask_px) + spread:
            return False
    if bid_px and ctx.impact_bid_px and bid_px < ctx.impact_bid_px:
        return False
    return not (ask_px and ctx.impact_ask_px and ask_px > ctx.impact_ask_px)
