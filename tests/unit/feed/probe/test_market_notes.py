"""One market as one socket shows it."""

from feed.probe.market_notes import MarketNotes
from feed.wire import Bbo, Ctx, Level

COIN, T0_MS = "xyz:TSLA", 1_795_338_700_000


def book(mid: float, *, time_ms: int) -> Bbo:
    return Bbo(COIN, time_ms, Level(mid - 0.01, 1.0), Level(mid + 0.01, 1.0))


def ctx(mid: float | None, *, oracle: float = 100.0) -> Ctx:
    return Ctx(COIN, oracle, oracle, mid)


def heard(*frames: Bbo | Ctx, step_ms: int = 1_000, lag_ms: int = 250) -> MarketNotes:
    """The notes of frames at equal intervals."""
    notes = MarketNotes()
    for number, frame in enumerate(frames):
        at_ms = T0_MS + number * step_ms
        if isinstance(frame, Bbo):
            notes.hear_bbo(frame._replace(time_ms=frame.time_ms or at_ms - lag_ms), at_ms)
        else:
            notes.hear_ctx(frame, at_ms)
    return notes


def test_the_first_book_has_no_lag_for_it_may_be_of_any_age() -> None:
    notes = heard(book(100, time_ms=T0_MS - 60_000), book(101, time_ms=0), book(102, time_ms=0))
    assert notes.samples["lag_ms"].summary()["max"] == 250 and len(notes.samples["lag_ms"]) == 2
    assert notes.samples["book_pause_ms"].quantile(1) == 1_000


def test_the_first_context_answers_the_subscription_and_is_not_of_the_pace() -> None:
    assert len(heard(ctx(100), ctx(100)).samples["ctx_pause_ms"]) == 0
    assert len(heard(ctx(100), ctx(100), ctx(100), ctx(100)).samples["ctx_pause_ms"]) == 2


def test_older_and_repeated_books_are_counted() -> None:
    notes = heard(book(100, time_ms=T0_MS), book(101, time_ms=T0_MS - 70), book(100, time_ms=T0_MS + 70))
    assert (notes.counts["books"], notes.counts["older_books"], notes.counts["repeated_books"]) == (3, 1, 1)


def test_changes_of_the_oracle_are_counted_with_the_time_between_them() -> None:
    notes = heard(*(ctx(100, oracle=oracle) for oracle in (1, 1, 2, 2, 2, 3)))
    assert notes.counts["oracle_changes"] == 2 and notes.samples["oracle_pause_ms"].summary()["max"] == 3_000
    assert notes.summary()["oracle_changed_share"] == 2 / 6


def test_a_sample_that_the_next_book_explains_is_no_contradiction() -> None:
    notes = heard(ctx(100), book(100, time_ms=0), ctx(101), book(101, time_ms=0), ctx(101), ctx(101))
    assert (notes.counts["contradictions"], notes.counts["lasting_contradictions"]) == (0, 0)


def test_a_book_that_stands_still_is_contradicted_for_long_once() -> None:
    notes = heard(ctx(100), book(100, time_ms=0), *(ctx(101 + number) for number in range(5)))
    assert notes.counts["lasting_contradictions"] == 1 and notes.counts["contradictions"] == 4


def test_a_missing_mid_counts_only_where_the_book_has_both_sides() -> None:
    one_sided = Bbo(COIN, 0, Level(1.0, 1.0), None)
    assert heard(one_sided, ctx(None)).counts["no_samples"] == 0
    assert heard(book(100, time_ms=0), ctx(None)).counts["no_samples"] == 1


def test_a_new_connection_begins_every_pause_anew() -> None:
    notes = heard(ctx(100), ctx(100), ctx(100), book(100, time_ms=0))
    notes.reconnect()
    notes.hear_ctx(ctx(100, oracle=5), T0_MS + 60_000)
    assert notes.hear_bbo(book(100, time_ms=T0_MS), T0_MS + 60_000)
    assert (
        len(notes.samples["ctx_pause_ms"]),
        len(notes.samples["book_pause_ms"]),
        notes.counts["oracle_changes"],
    ) == (1, 0, 0)
