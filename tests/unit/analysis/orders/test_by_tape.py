"""`analysis.orders`: orders by the tape are those that follow-ups at the same instants show."""

from math import inf, isclose
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hip3_tasks.analysis.loading.load import load
from hip3_tasks.analysis.measure.trips import pair
from hip3_tasks.analysis.orders.by_tape import OrderPlan, are_covered, orders_by_tape, parse_latencies
from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.records import MissedReason
from hip3_tasks.errors import BadSelection
from hip3_tasks.recording.replay import Replay
from hip3_tasks.tape.as_of import TOUCH, touches_as_of
from hip3_tasks.tape.load import Recording, load_tape
from tests.support.factories import T0_MS, a_market
from tests.support.generators import Directory
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news, rules, steps, written_by_a_feed

BEGINNING = Entry(T0_MS - 1, Gap(NO_DATA))
OFFSETS_MS = (1000, 3000, 5000)


@settings(max_examples=80, deadline=None)
@given(st.data(), rules, st.integers(0, 20_000))
def test_orders_are_those_of_follow_ups_at_the_same_instants(data: st.DataObject, given: Rules, longer_ms: int) -> None:
    entries = [BEGINNING, *written_by_a_feed(data.draw(steps(given)), given)[0]]
    with TemporaryDirectory() as folder:
        path = Path(folder)
        keep(path, {COIN: entries}, rules=given, until_ms=entries[-1].at_ms + longer_ms)
        for step in Replay(Recording(path)).run():
            Directory(path).add(*step.signals, *step.outcomes)
        if not [*path.glob("signals_*")]:
            return
        loaded = load(path)
        orders = orders_by_tape(Recording(path), loaded.signals, OrderPlan((1000,), (2000, 4000)))
        followups, missed = loaded.followups, loaded.missed.filter(offset_ms=1000)
    pairs, _ = pair(followups, OFFSETS_MS, is_last=True)
    by_tape = {_key(row): row for row in orders.rows(named=True)}
    assert len(by_tape) == 2 * loaded.signals.height
    for row in pairs.rows(named=True):
        order = by_tape.pop(_key(row))
        assert isclose(order["entry_move_bps"], row["entry_move_bps"], abs_tol=1e-9)
        assert order["entry_usd"] == row["entry_usd"]
        if row["exit_move_bps"] is not None:
            assert isclose(order["exit_move_bps"], row["exit_move_bps"], abs_tol=1e-9)
            assert order["exit_usd"] == row["exit_usd"]
    # A follow-up needs an oracle, which a way into the book does not.
    without_oracle = {row["signal_id"] for row in missed.rows(named=True) if row["reason"] == MissedReason.NO_ORACLE}
    unknown = [order for key, order in by_tape.items() if f"{key[0]}-{key[2]}" not in without_oracle]
    assert {order["entry_move_bps"] for order in unknown} <= {None, inf}


def _key(row: dict[str, object]) -> tuple[object, ...]:
    return row["market_key"], row["side"], row["signal_timestamp_ms"], row["held_ms"]


@settings(max_examples=80, deadline=None)
@given(st.data(), rules, st.lists(st.integers(-2000, 60_000), max_size=30))
def test_a_touch_is_that_of_the_newest_row(data: st.DataObject, given: Rules, instants: list[int]) -> None:
    entries = [BEGINNING, *written_by_a_feed(data.draw(steps(given)), given)[0]]
    at_ms = np.array([T0_MS + instant for instant in instants], dtype=np.int64)
    with TemporaryDirectory() as folder:
        keep(Path(folder), {COIN: entries})
        recording = Recording(Path(folder))
        touches = touches_as_of(recording, {COIN: at_ms, "xyz:NONE": at_ms})
        rows, until_ms = load_tape(folder).collect().rows(named=True), recording.covered_until_ms
    for place, instant in enumerate(at_ms.tolist()):
        newest = next((row for row in reversed(rows) if row["at_ms"] <= instant), None)
        is_known = newest is not None and newest["gap"] is None and instant <= until_ms
        assert touches[COIN].is_known[place] == is_known
        for name in TOUCH if is_known else ():
            assert newest is not None
            value = getattr(touches[COIN], name)[place]
            assert (None if np.isnan(value) else value) == newest[name]
    assert not touches["xyz:NONE"].is_known.any()


@given(st.lists(st.integers(0, 40), unique=True), st.lists(st.integers(0, 45)), st.integers(0, 5))
def test_a_signal_is_covered_by_one_span_to_the_last_way_out(ends: list[int], times: list[int], length_ms: int) -> None:
    ends.sort()
    spans = list(zip(ends[::2], ends[1::2], strict=False))
    expected = [any(low <= time and time + length_ms <= high for low, high in spans) for time in times]
    assert are_covered(spans, np.array(times, dtype=np.int64), length_ms=length_ms).tolist() == expected


@pytest.mark.parametrize("text", ["", "a", "-1", "1.5", "200,,600", "3600001", ",".join(map(str, range(11)))])
def test_latencies_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BadSelection, match="--latency: expected up to 10 numbers of ms"):
        parse_latencies(text)
    assert parse_latencies("600,0,200,600") == (0, 200, 600)


def test_a_piece_that_cannot_be_read_is_a_hole(tmp_path: Path) -> None:
    keep(tmp_path, {COIN: [news(a_market(at_ms=T0_MS), at_ms=T0_MS + number * MINUTE_MS) for number in range(3)]})
    recording = Recording(tmp_path)
    recording.parts[1].piece.path.write_bytes(b"PAR1")
    at_ms = np.array([T0_MS, T0_MS + 59_999, recording.parts[1].info.from_ms, T0_MS + 2 * MINUTE_MS], dtype=np.int64)
    touches = touches_as_of(recording, {COIN: at_ms})
    assert touches[COIN].is_known.tolist() == [True, recording.parts[1].info.from_ms > T0_MS + 59_999, False, True]
    assert len(recording.damaged) == 1
