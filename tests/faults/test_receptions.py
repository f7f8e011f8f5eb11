"""The judge of follow-ups allows a book that was replaced long ago only where the next one had not been received."""

import pytest

from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.domain.records import MissedReason
from tests.faults.receptions import Receptions
from tests.support.factories import T0_MS, a_followup, a_market, a_missed, a_signal

COINS = "xyz:C000", "xyz:C001"
SENT_MS = {COINS[0]: [T0_MS, T0_MS + 100, T0_MS + 300], COINS[1]: [T0_MS + 50, T0_MS + 200, T0_MS + 400]}
"""When the venue sent each book of each coin."""
DUE_MS = T0_MS + 2_500


def sent_at_ms(coin: str, number: int) -> float | None:
    return SENT_MS[coin][number - 1] if number <= len(SENT_MS[coin]) else None


def a_book(number: int, at_ms: int) -> Entry:
    return Entry(at_ms, a_market(bid_sz=float(number), ask_sz=float(number)))


def receptions(*, late_ms: int, last: int = 2) -> Receptions:
    """The tapes of a feed that received the books of the second coin so late, and only the first of the first coin."""
    second = [a_book(number, int(SENT_MS[COINS[1]][number - 1]) + late_ms) for number in range(1, last + 1)]
    return Receptions({COINS[0]: [a_book(1, T0_MS + late_ms)], COINS[1]: second}, sent_at_ms)


SHOWN = a_followup(a_signal(COINS[0]), due_at_ms=DUE_MS, best_size=1.0)


def test_a_book_may_be_old_when_nothing_that_was_sent_after_the_next_one_had_been_received() -> None:
    assert receptions(late_ms=1_200, last=1).is_late_frame(SHOWN)


def test_a_book_is_wrong_when_a_frame_that_was_sent_after_the_next_one_had_been_received() -> None:
    assert not receptions(late_ms=1_200, last=2).is_late_frame(SHOWN)


def test_a_book_is_wrong_when_nothing_had_been_received_for_too_long() -> None:
    assert not receptions(late_ms=3, last=1).is_late_frame(SHOWN)


@pytest.mark.parametrize(
    ("due_ms", "detail", "is_stall"),
    [
        (T0_MS + 1_704, "stalled: no data for 2136 ms", True),
        (T0_MS + 1_704, "this process stood still for 4.7 s", True),
        (T0_MS + 1_703, "stalled: no data for 2136 ms", False),
        (T0_MS + 1_704, "closed by the venue: 1001", False),
        (T0_MS - 100, "stalled: no data for 2136 ms", False),
    ],
)
def test_a_capture_may_be_missed_when_nothing_had_been_received_for_the_grace(
    due_ms: int, detail: str, is_stall: bool
) -> None:
    missed = a_missed(a_signal(COINS[0]), due_at_ms=due_ms, reason=MissedReason.FEED_GAP, detail=detail)
    assert receptions(late_ms=3).is_stall(missed) == is_stall


def test_a_keyframe_and_a_gap_are_no_receptions() -> None:
    tape = [a_book(1, T0_MS + 3), a_book(1, T0_MS + 1_000), Entry(T0_MS + 1_001, Gap("stalled"))]
    last = Receptions({COINS[0]: tape}, sent_at_ms).last(DUE_MS)
    assert last is not None and last.at_ms == T0_MS + 3
