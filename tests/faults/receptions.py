"""Receipt times of the books: a follow-up shows what the feed had received by its due time, not what was sent.

On a busy machine frames are late, and the feed cannot know of a book whose frame it has not received. So a follow-up
that shows a book long after the venue has sent the next is right when the last frame that the feed had received by then
was sent before that next one, and was not older than the silence that the feed allows.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hip3_tasks.domain.market import Entry, Market
from hip3_tasks.domain.records import Followup, Missed

GRACE_MS = 1_500
"""How long the feed takes silence for quiet markets."""
STALE_MS = 2_000
"""Allowed age of the last new book at a due time: frames that change nothing are received, too."""
STALLED = "stalled: no data for", "this process stood still"


@dataclass(frozen=True, slots=True, order=True)
class Reception:
    """A book that the feed saw for the first time."""

    at_ms: int
    sent_at_ms: float


class Receptions:
    """The receptions of one socket, in order; `sent_at_ms` answers when the venue sent a book of a coin."""

    def __init__(self, tapes: Mapping[str, Sequence[Entry]], sent_at_ms: Callable[[str, int], float | None]) -> None:
        self._sent_at_ms = sent_at_ms
        self._all = sorted(reception for coin, entries in tapes.items() for reception in self._of_coin(coin, entries))
        self._times_ms = [reception.at_ms for reception in self._all]

    def last(self, at_ms: int) -> Reception | None:
        """The newest at or before an instant; None where the tapes begin later."""
        index = bisect_right(self._times_ms, at_ms)
        return self._all[index - 1] if index else None

    def is_late_frame(self, followup: Followup) -> bool:
        """Whether the book after the shown one had been sent, but not been received, when the follow-up was due."""
        last = self.last(followup.due_at_ms)
        next_sent_at_ms = self._sent_at_ms(followup.market_key, int(followup.best_size) + 1)
        if last is None or next_sent_at_ms is None:
            return False
        return followup.due_at_ms - last.at_ms <= STALE_MS and next_sent_at_ms >= last.sent_at_ms

    def is_stall(self, missed: Missed) -> bool:
        """Whether the feed had received nothing for longer than it allows when the capture was due."""
        last = self.last(missed.due_at_ms)
        if last is None or not (missed.detail or "").startswith(STALLED):
            return False
        return missed.due_at_ms - last.at_ms > GRACE_MS

    def _of_coin(self, coin: str, entries: Sequence[Entry]) -> Iterator[Reception]:
        newest = 0
        for entry in entries:
            if not isinstance(entry.value, Market) or entry.value.bid_sz is None:
                continue
            number = int(entry.value.bid_sz)
            sent_at_ms = self._sent_at_ms(coin, number)
            if number > newest and sent_at_ms is not None:
                newest = number
                yield Reception(entry.at_ms, sent_at_ms)
