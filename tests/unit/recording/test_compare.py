"""`recording.compare`: each difference between files and tape is named, and what neither can know is counted apart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.records import Followup, MissedReason, Record, Signal
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.recording.compare import Comparison, compare
from hip3_tasks.recording.load import Recording
from hip3_tasks.recording.replay import Replay
from tests.support.factories import DAY, T0_MS, a_calm_market, a_market, a_missed, a_signal
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news

LOST_MS = T0_MS + 1500
BACK_MS = T0_MS + 4000


def a_dislocation(at_ms: int) -> Entry:
    market = a_market(at_ms=at_ms, bid_px=248.5, ask_px=249.0, oracle_px=250.0 + at_ms % 10_000 / 1e6)
    return news(replace(market, oracle_at_ms=at_ms), at_ms=at_ms)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A signal at T0; then nothing is known from LOST_MS to BACK_MS, when the same state comes again."""
    signal, again = a_dislocation(T0_MS), news(a_calm_market(at_ms=BACK_MS), at_ms=BACK_MS)
    tape = [Entry(T0_MS - 1, Gap(NO_DATA)), signal, Entry(LOST_MS, Gap("lost: Redis was away")), again]
    keep(tmp_path, {COIN: tape}, rules=Rules(), until_ms=T0_MS + 9000)
    return tmp_path


def replayed(data_dir: Path) -> tuple[Signal, list[Record]]:
    signals: list[Signal] = []
    outcomes: list[Record] = []
    for step in Replay(Recording(data_dir)).run():
        signals += step.signals
        outcomes += step.outcomes
    (signal,) = signals
    return signal, outcomes


def compared(data_dir: Path, signals: Sequence[Signal], outcomes: Sequence[Record]) -> Comparison:
    by_kind = {"signals": signals}
    for kind in ("followups", "missed"):
        by_kind[kind] = [record for record in outcomes if isinstance(record, Followup) == (kind == "followups")]  # type: ignore[misc]
    for kind, records in by_kind.items():
        jsonl_path(data_dir, kind, DAY).write_bytes(b"".join(record.line() for record in records))
    return compare(data_dir)


def test_files_that_a_replay_gives_again_are_well(data_dir: Path) -> None:
    signal, outcomes = replayed(data_dir)
    late = [record.model_copy(update={"captured_at_ms": T0_MS + 9999}) for record in outcomes]
    result = compared(data_dir, [signal], late)
    assert result.ok
    assert (result.signals, result.outcomes) == (1, 3)


def test_lost_open_and_doubled_records_are_named(data_dir: Path) -> None:
    signal, outcomes = replayed(data_dir)
    assert compared(data_dir, [], []).lost == [signal.signal_id]
    result = compared(data_dir, [signal, signal], [*outcomes[:1], *outcomes[:2]])
    assert result.twice == [signal.signal_id, f"{signal.signal_id}|1000"]
    assert result.open == [f"{signal.signal_id}|5000"]
    assert not result.ok


@pytest.mark.parametrize("at_ms", [T0_MS + 700, BACK_MS + 1])
def test_a_signal_that_no_entry_makes_is_invented(data_dir: Path, at_ms: int) -> None:
    signal, outcomes = replayed(data_dir)
    stranger = a_signal(COIN, at_ms=at_ms)
    result = compared(data_dir, [signal, stranger], outcomes)
    assert result.invented == [stranger.signal_id]


@pytest.mark.parametrize(("at_ms", "counted"), [(T0_MS - 2000, "not_covered"), (LOST_MS, "off_tape")])
def test_a_signal_of_a_time_that_the_tape_does_not_know_is_counted_apart(
    data_dir: Path, at_ms: int, counted: str
) -> None:
    signal, outcomes = replayed(data_dir)
    result = compared(data_dir, [signal, a_signal(COIN, at_ms=at_ms)], outcomes)
    assert result.ok
    assert getattr(result, counted) == 1


def test_signals_after_a_hole_are_not_judged_before_a_keyframe(data_dir: Path) -> None:
    late_ms = T0_MS + 2 * MINUTE_MS
    keep(data_dir, {COIN: [news(a_calm_market(at_ms=late_ms), at_ms=late_ms)]}, until_ms=late_ms + 5000)
    signal, outcomes = replayed(data_dir)
    strangers = [a_signal(COIN, at_ms=late_ms + after_ms) for after_ms in (-MINUTE_MS, 1000)]
    result = compared(data_dir, [signal, *strangers], outcomes)
    assert (result.ok, result.not_covered) == (True, 2)


def test_each_field_that_differs_is_named(data_dir: Path) -> None:
    signal, outcomes = replayed(data_dir)
    other = [outcomes[0].model_copy(update={"bid_px": 1.0, "ask_px": None}), *outcomes[1:]]
    result = compared(data_dir, [signal.model_copy(update={"best_size": 7.0})], other)
    assert result.differing == {signal.signal_id: ["best_size"], f"{signal.signal_id}|1000": ["bid_px", "ask_px"]}


def test_what_the_recording_knows_better_is_no_difference(data_dir: Path) -> None:
    signal, outcomes = replayed(data_dir)
    expired = a_missed(signal, 1000, reason=MissedReason.EXPIRED)
    unknown = outcomes[2].model_copy(update={"oracle_updates": None})
    result = compared(data_dir, [signal], [expired, outcomes[1], unknown])
    assert result.ok
    assert result.better_known == {"expired": 1, "oracle_updates": 1}
    shown = outcomes[0].model_copy(update={"offset_ms": 3000})  # of a state that the server lost later
    result = compared(data_dir, [signal], [outcomes[0], shown, outcomes[2]])
    assert result.ok
    assert result.known_then == 1


def test_signals_of_the_first_release_are_not_judged(tmp_path: Path) -> None:
    entry = a_dislocation(T0_MS)
    keep(tmp_path, {COIN: [Entry(T0_MS - 1, Gap(NO_DATA)), replace(entry, conditions=None)]}, until_ms=T0_MS + 9000)
    result = compared(tmp_path, [a_signal(COIN)], [])
    assert (result.ok, result.not_covered) == (True, 1)
