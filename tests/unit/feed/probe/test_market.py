"""One market as one socket shows it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from feed.probe.market import MarketNotes, Samples
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
    assert notes.samples["lag_ms"].summary()["max"] == 250 and notes.samples["lag_ms"].total() == 2
    assert notes.samples["book_pause_ms"].quantile(1) == 1_000


def test_the_first_context_answers_the_subscription_and_is_not_of_the_pace() -> None:
    assert heard(ctx(100), ctx(100)).samples["ctx_pause_ms"].total() == 0
    assert heard(ctx(100), ctx(100), ctx(100), ctx(100)).samples["ctx_pause_ms"].total() == 2


def test_older_books_are_counted() -> None:
    notes = heard(book(100, time_ms=T0_MS), book(101, time_ms=T0_MS - 70), book(100, time_ms=T0_MS + 70))
    assert (notes.counts["books"], notes.counts["older_books"]) == (3, 1)


def test_a_first_book_is_late_by_the_time_since_the_first_context() -> None:
    late, punctual = heard(ctx(100), ctx(100), book(100, time_ms=0)), heard(book(100, time_ms=0), ctx(100))
    assert (late.samples["first_book_ms"], punctual.samples["first_book_ms"]) == ({2_000: 1}, {0: 1})
    never = heard(ctx(100))
    never.finish(T0_MS + 60_000)
    assert never.samples["first_book_ms"] == {60_000: 1}


def test_changes_of_the_oracle_are_counted_with_the_time_between_them() -> None:
    notes = heard(*(ctx(100, oracle=oracle) for oracle in (1, 1, 2, 2, 2, 3)))
    assert notes.counts["oracle_changes"] == 2 and notes.samples["oracle_pause_ms"].summary()["max"] == 3_000
    assert notes.summary()["oracle_changes_percent"] == 100 * 2 / 6


def test_a_sample_that_the_next_book_explains_is_no_contradiction() -> None:
    notes = heard(ctx(100), book(100, time_ms=0), ctx(101), book(101, time_ms=0), ctx(101), ctx(101))
    assert (notes.counts["contradictions"], notes.counts["lasting_contradictions"]) == (0, 0)


def test_a_book_that_stands_still_is_contradicted_for_long_once() -> None:
    notes = heard(ctx(100), book(100, time_ms=0), *(ctx(101 + number) for number in range(5)))
    assert notes.counts["lasting_contradictions"] == 1 and notes.counts["contradictions"] == 4


def test_a_missing_mid_counts_only_where_the_book_has_both_sides() -> None:
    one_sided = Bbo(COIN, 0, Level(1.0, 1.0), None)
    assert heard(one_sided, ctx(None)).counts["no_mids"] == 0
    assert heard(book(100, time_ms=0), ctx(None)).counts["no_mids"] == 1


def test_a_new_connection_begins_every_pause_anew() -> None:
    notes = heard(ctx(100), ctx(100), ctx(100), book(100, time_ms=0))
    notes.reconnect()
    notes.hear_ctx(ctx(100, oracle=5), T0_MS + 60_000)
    assert notes.hear_bbo(book(100, time_ms=T0_MS), T0_MS + 60_000)
    assert (
        notes.samples["ctx_pause_ms"].total(),
        notes.samples["book_pause_ms"].total(),
        notes.counts["oracle_changes"],
    ) == (1, 0, 0)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=50), st.floats(0, 1))
def test_a_quantile_is_a_number_that_the_share_does_not_exceed(numbers: list[int], share: float) -> None:
    expected = sorted(numbers)[max(0, math.ceil(share * len(numbers) - 1e-9) - 1)]
    assert Samples(numbers).quantile(share) == expected


def test_too_few_numbers_have_no_typical_one() -> None:
    assert Samples().summary() == {"count": 0, "p50": None, "p99": None, "max": None}
    assert Samples([5, 7]).summary() == {"count": 2, "p50": None, "p99": 7, "max": 7}


def test_merged_measurements_are_those_of_both_markets() -> None:
    first, second = heard(book(100, time_ms=0), book(101, time_ms=0)), heard(ctx(100))
    together = MarketNotes.merged([first, second])
    assert (together.counts["books"], together.counts["contexts"]) == (2, 1)
    assert together.samples["lag_ms"] == {250: 1} and first.samples["lag_ms"] == {250: 1}
