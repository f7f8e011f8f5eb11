"""`tape.columns`: every entry is found in its row again, to the last bit."""

from hypothesis import given
from hypothesis import strategies as st

from hip3_tasks.domain.conditions import Conditions
from hip3_tasks.domain.market import Entry, Gap
from hip3_tasks.tape.columns import MAX_INTEGER, SCHEMA, UNREADABLE, entry_of, frame_of, row_of
from tests.support.factories import T0_MS, a_market
from tests.unit.domain.test_conditions import conditions
from tests.unit.domain.test_market import instants, markets

entries = st.builds(Entry, instants, markets | st.builds(Gap, st.text()), st.none() | conditions)


@given(st.lists(entries, max_size=5))
def test_entries_survive_as_rows(written: list[Entry]) -> None:
    frame = frame_of(row_of("xyz:TSLA", seq, entry) for seq, entry in enumerate(written))
    assert dict(frame.schema) == SCHEMA
    assert [entry_of(row) for row in frame.iter_rows()] == written
    assert frame["seq"].to_list() == [*range(len(written))]


def test_an_entry_whose_numbers_do_not_fit_is_a_gap() -> None:
    for nonsense in (
        Entry(T0_MS, a_market(bbo_time_ms=4 * MAX_INTEGER)),
        Entry(T0_MS, a_market(), Conditions(ctx_age_ms=4 * MAX_INTEGER)),
    ):
        (row,) = frame_of([row_of("xyz:TSLA", 0, nonsense)]).rows()
        assert entry_of(row) == Entry(T0_MS, Gap(UNREADABLE))
