"""The SQL of docs/tape.md gives the states that the follow-ups have: its text is executed as it stands there."""

from contextlib import chdir
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hip3_tasks.domain.capture import HOUR_MS, MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal
from hip3_tasks.recording.merge import merge_pieces
from hip3_tasks.recording.replay import Replay
from hip3_tasks.tape.load import NOT_RECORDED, Recording
from hip3_tasks.tape.pieces import all_pieces, pieces_of
from tests.support.documents import blocks_of
from tests.support.factories import T0_MS, a_market
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news, steps, written_by_a_feed

(BLOCK,) = [block for block in blocks_of("docs/tape.md") if block.first_command == "from pathlib import Path"]
OTHER = "xyz:OTHER"
EAGER = Rules(thresholds_bps={COIN: -50.0, OTHER: -50.0}, cooldown_ms=0)
UNKNOWN = Entry(T0_MS - 1, Gap(NO_DATA))
STATE = ("state_at_ms", "bid_px", "bid_sz", "ask_px", "ask_sz", "oracle_px")


def states_by_sql(folder: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """The rows that the document's block gives in a folder, by signal and offset."""
    names: dict[str, Any] = {}
    with chdir(folder):
        exec(compile(BLOCK.text, BLOCK.place, "exec"), names)
        rows = [dict(zip(names["states"].columns, row, strict=True)) for row in names["states"].fetchall()]
    return {(row["signal_id"], row["offset_ms"]): row for row in rows}


def assert_same(outcome: Followup | Missed, row: dict[str, Any]) -> None:
    if isinstance(outcome, Followup):
        assert {name: row[name] for name in STATE} == {name: getattr(outcome, name) for name in STATE}
        assert row["gap"] is None
    elif outcome.reason is MissedReason.EXPIRED:
        assert row["gap"] in ((None,) if row["state_at_ms"] is None else (NOT_RECORDED,))
        assert {row[name] for name in STATE[1:]} == {None}
    elif outcome.reason is MissedReason.FEED_GAP:
        assert row["gap"] == outcome.detail and {row[name] for name in STATE[1:]} == {None}
    else:
        touch = "ask_px" if outcome.side.value == "buy" else "bid_px"
        assert row["oracle_px" if outcome.reason is MissedReason.NO_ORACLE else touch] is None


def assert_sql_gives_the_same(data_dir: Path) -> list[Signal]:
    """Replay a tape, compare each outcome with the row that SQL gives for it, and return the signals."""
    replayed = list(Replay(Recording(data_dir)).run())
    signals = [signal for step in replayed for signal in step.signals]
    if signals:
        data_dir.joinpath("signals_2026-11-22.jsonl").write_bytes(b"".join(signal.line() for signal in signals))
        outcomes = [outcome for step in replayed for outcome in step.outcomes]
        states = states_by_sql(data_dir.parents[2])
        assert len(states) == len(outcomes) == 3 * len(signals)
        for outcome in outcomes:
            assert_same(outcome, states[outcome.signal_id, outcome.offset_ms])
    return signals


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sql_gives_what_the_followups_have(data: st.DataObject) -> None:
    entries = [UNKNOWN, *written_by_a_feed(data.draw(steps(EAGER)), EAGER)[0]]
    with TemporaryDirectory() as folder:
        data_dir = Path(folder, "data/sim/signals")
        data_dir.mkdir(parents=True)
        keep(data_dir, {COIN: entries, OTHER: entries[::2]}, rules=EAGER)
        assert_sql_gives_the_same(data_dir)


@pytest.mark.parametrize("is_merged", [False, True])
def test_gaps_of_the_recording_and_what_a_merge_has_left_change_nothing(tmp_path: Path, is_merged: bool) -> None:
    data_dir = tmp_path / "data/sim/signals"
    data_dir.mkdir(parents=True)
    minute_ms = T0_MS // MINUTE_MS * MINUTE_MS + MINUTE_MS
    at_ms = (minute_ms - 2000, minute_ms + 30_000, minute_ms + MINUTE_MS + 1000)
    keep(data_dir, {COIN: [UNKNOWN, *(news(a_market(at_ms=ms), at_ms=ms, rules=EAGER) for ms in at_ms)]}, rules=EAGER)
    first, lost, _ = pieces_of(data_dir)
    lost.path.unlink()
    if is_merged:
        left = copy(first.path, tmp_path)
        merge_pieces(data_dir, until_ms=T0_MS + HOUR_MS)
        copy(left, first.path)
        assert len(all_pieces(data_dir)) == 2 > len(pieces_of(data_dir))
    signals = assert_sql_gives_the_same(data_dir)
    assert [signal.timestamp_ms for signal in signals] == [minute_ms - 2000]
    assert [row["gap"] for row in states_by_sql(tmp_path).values()] == [None, NOT_RECORDED, NOT_RECORDED]
