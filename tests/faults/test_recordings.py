"""The judge of recordings counts the entries on the server that are lost, doubled and other than there."""

from collections.abc import Sequence
from dataclasses import replace

from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.recording.recorder import TAKEN_OVER_SEQ
from hip3_tasks.store.tape import stamp
from hip3_tasks.tape.columns import Row, row_of
from tests.faults.recordings import RawTape, judge_entries
from tests.faults.row import Result
from tests.support.factories import T0_MS, a_calm_market
from tests.support.tapes import COIN, news

ENTRIES = [Entry(T0_MS, Gap(NO_DATA)), *(news(a_calm_market(), at_ms=T0_MS + step) for step in (10, 20, 30))]
ROWS = [row_of(COIN, seq, entry) for seq, entry in enumerate(ENTRIES)]


def on_server(entries: Sequence[Entry]) -> RawTape:
    stamped = [stamp(COIN, entry.at_ms, seq, entry.value, entry.conditions) for seq, entry in enumerate(entries)]
    return [
        (b"%d-%d" % (at_ms, seq), {field.encode(): value.encode()} | ({b"d": how.encode()} if how else {}))
        for _, at_ms, seq, field, value, how in stamped
    ]


def counts(
    rows: Sequence[Row], entries: Sequence[Entry] = ENTRIES, *, until_ms: int = T0_MS + 100
) -> tuple[int | None, ...]:
    """Entries that must be recorded, lost, doubled, and other than on the server."""
    result = Result()
    judge_entries(rows, {COIN: on_server(entries)}, until_ms, result, "test")
    assert result.is_clean == (not result.broken)
    return result.entries, result.entries_lost, result.entries_twice, result.wrong


def test_a_whole_recording_is_right() -> None:
    assert counts(ROWS) == (4, 0, 0, 0)


def test_entries_after_its_end_are_not_expected() -> None:
    assert counts(ROWS[:3], until_ms=T0_MS + 20) == (3, 0, 0, 0)


def test_rows_that_are_absent_doubled_or_different_are_counted() -> None:
    assert counts(ROWS[1:]) == (4, 1, 0, 0)
    assert counts([*ROWS, ROWS[2]]) == (4, 0, 1, 0)
    other = row_of(COIN, 2, replace(ENTRIES[2], value=Gap("another")))
    assert counts([*ROWS[:2], other, ROWS[3]]) == (4, 0, 0, 1)


def test_an_entry_behind_what_was_read_may_be_taken_over_at_once() -> None:
    taken_over = row_of(COIN, TAKEN_OVER_SEQ, replace(ENTRIES[1], at_ms=T0_MS + 15))
    assert counts([ROWS[0], taken_over, *ROWS[2:]]) == (4, 0, 0, 0)
    late = row_of(COIN, TAKEN_OVER_SEQ, replace(ENTRIES[1], at_ms=T0_MS + 25))
    assert counts([ROWS[0], ROWS[2], late, ROWS[3]]) == (4, 1, 0, 0)


def test_the_gap_of_an_emptied_server_from_the_epoch_on_is_not_expected() -> None:
    assert counts(ROWS, [Entry(1, Gap("lost: all")), *ENTRIES]) != (5, 1, 0, 0)
