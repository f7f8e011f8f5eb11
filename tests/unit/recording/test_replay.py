"""`recording.replay`: the detector that sees few rows decides as one that sees each entry."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Signal
from hip3_tasks.recording.coin_replay import CoinReplay, Outcome
from hip3_tasks.recording.other_rules import OtherRules
from hip3_tasks.recording.replay import Replay
from hip3_tasks.tape.as_of import entries_as_of
from hip3_tasks.tape.columns import HOLE_SEQ, frame_of, row_of
from hip3_tasks.tape.load import NOT_RECORDED, Recording, load_tape
from hip3_tasks.tape.pieces import minute_path
from tests.support.factories import T0_MS, a_calm_market, a_market
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news, rules, steps, written_by_a_feed

OTHERS = st.builds(
    OtherRules,
    min_edge_bps=st.none() | st.sampled_from([0.0, 10.0]),
    thresholds_bps=st.none() | st.sampled_from([{}, {COIN: 3.0}]),
    cooldown_ms=st.none() | st.sampled_from([0, 700]),
    offsets_ms=st.none() | st.just((1, 400)),
)
BEGINNING = Entry(T0_MS - 1, Gap(NO_DATA))


def replayed(data_dir: Path, other: OtherRules | None = None) -> tuple[list[Signal], list[Outcome]]:
    signals: list[Signal] = []
    outcomes: list[Outcome] = []
    for step in Replay(Recording(data_dir), other=other).run():
        signals += step.signals
        outcomes += step.outcomes
    return signals, outcomes


def plain(entries: Iterable[Entry], given: Rules, other: OtherRules) -> tuple[list[Signal], list[Outcome]]:
    """The signals and outcomes of a tape by a plain loop over all entries."""
    rules = other.over(given)
    detector, signals, seen = Detector(rules), list[Signal](), list[Entry]()
    for entry in entries:
        seen.append(entry)
        how = entry.conditions
        if how is not None and other.is_other_detector:
            threshold_bps = how.threshold_bps
            if other.has_threshold and how.taker_fee_bps is not None:
                threshold_bps = rules.threshold_bps(COIN, how.taker_fee_bps)
            entry = replace(entry, conditions=replace(how, memory=None, threshold_bps=threshold_bps))
        signal = detector.observe(COIN, entry)
        if signal is not None:
            signals.append(signal)

    def as_of(at_ms: int) -> Entry | None:
        if at_ms > seen[-1].at_ms:
            return None
        return next((entry for entry in reversed(seen) if entry.at_ms <= at_ms), None)

    outcomes = [
        measure(signal, capture, due=as_of(capture.due_at_ms), t0=as_of(signal.timestamp_ms), at_ms=capture.due_at_ms)
        for signal in signals
        for capture in signal.captures()
    ]
    return signals, outcomes


@settings(max_examples=60, deadline=None)
@given(st.data(), rules, st.just(OtherRules()) | OTHERS)
def test_a_replay_gives_what_a_loop_over_all_entries_gives(
    data: st.DataObject, given: Rules, other: OtherRules
) -> None:
    entries = [BEGINNING, *written_by_a_feed(data.draw(steps(given)), given)[0]]
    with TemporaryDirectory() as folder:
        keep(Path(folder), {COIN: entries}, rules=given)
        signals, outcomes = replayed(Path(folder), other)
    expected, expected_outcomes = plain(entries, given, other)
    assert signals == expected
    assert sorted(outcomes, key=lambda outcome: outcome.key) == sorted(
        expected_outcomes, key=lambda outcome: outcome.key
    )


@settings(max_examples=60, deadline=None)
@given(st.data(), rules, st.just(OtherRules()) | OTHERS)
def test_a_row_that_is_not_shown_makes_no_signal_and_changes_no_memory(
    data: st.DataObject, given: Rules, other: OtherRules
) -> None:
    in_force = other.over(given)
    detector, replay = Detector(in_force), CoinReplay([(0, in_force)], other)
    entries = [BEGINNING, *written_by_a_feed(data.draw(steps(given)), given)[0]]
    frame = frame_of(row_of(COIN, seq, entry) for seq, entry in enumerate(entries))
    is_shown = frame.select(replay.is_to_be_shown(COIN)).to_series().fill_null(False)
    for shown, entry in zip(is_shown, entries, strict=True):
        memory = detector.memory(COIN)
        signal = detector.observe(COIN, other.conditioned(entry, COIN, in_force))
        assert shown or (signal is None and detector.memory(COIN) == memory)


@settings(max_examples=200)
@given(st.lists(st.integers(0, 30)), st.lists(st.integers(-1, 31)), st.sets(st.integers(0, 9)))
def test_the_entry_as_of_an_instant_is_the_newest_one_at_or_before_it(
    times: list[int], instants: list[int], holes: set[int]
) -> None:
    before = Entry(T0_MS - 9, Gap("before"))
    entries = [news(a_market(at_ms=T0_MS, bid_px=1.0 + n), at_ms=T0_MS + time) for n, time in enumerate(sorted(times))]
    seqs = [HOLE_SEQ if number in holes else number for number in range(len(entries))]
    rows = frame_of(row_of(COIN, seq, entry) for seq, entry in zip(seqs, entries, strict=True))
    expected = []
    for instant in instants:
        known = [number for number, entry in enumerate(entries) if entry.at_ms <= T0_MS + instant]
        expected.append(before if not known else None if known[-1] in holes else entries[known[-1]])
    assert [*entries_as_of(rows, [T0_MS + instant for instant in instants], before=before)] == expected


def a_dislocation(at_ms: int) -> Entry:
    oracle_px = 250.0 + at_ms % 10_000 / 1e6
    market = a_market(at_ms=at_ms, bid_px=248.5, ask_px=249.0, oracle_px=oracle_px, oracle_at_ms=at_ms)
    return news(market, at_ms=at_ms)


def test_detection_begins_at_a_keyframe_or_where_the_feed_began(tmp_path: Path) -> None:
    calm = news(a_calm_market(), at_ms=T0_MS)
    entries = [calm, a_dislocation(T0_MS + 100), news(a_calm_market(), at_ms=T0_MS + 9000)]
    keep(tmp_path / "amid", {COIN: entries})
    keep(tmp_path / "beginning", {COIN: [BEGINNING, *entries]})
    assert replayed(tmp_path / "amid") == ([], [])
    signals, outcomes = replayed(tmp_path / "beginning")
    assert [signal.timestamp_ms for signal in signals] == [T0_MS + 100]
    assert [type(outcome) for outcome in outcomes] == [Followup] * 3


@pytest.mark.parametrize("content", [None, b"PAR1"], ids=["missing", "damaged"])
def test_a_piece_that_is_missing_or_damaged_is_a_gap(tmp_path: Path, content: bytes | None) -> None:
    minute = T0_MS // MINUTE_MS * MINUTE_MS
    entries = [replace(BEGINNING, at_ms=minute), a_dislocation(minute + MINUTE_MS - 500)]
    entries += [news(a_calm_market(), at_ms=minute + number * MINUTE_MS) for number in (1, 2, 3)]
    keep(tmp_path, {COIN: entries})
    piece = minute_path(tmp_path, minute + MINUTE_MS)
    if content is None:
        piece.unlink()
    else:
        piece.write_bytes(content)
    recording = Recording(tmp_path)
    rows = load_tape(tmp_path).collect()
    (gap,) = rows.filter(rows["gap"] != NO_DATA).iter_rows(named=True)
    assert (gap["at_ms"], gap["gap"].startswith(NOT_RECORDED)) == (minute + MINUTE_MS, True)
    assert len(recording.damaged) == (0 if gap["gap"] == NOT_RECORDED else 1)
    signals, outcomes = replayed(tmp_path)
    assert len(signals) == 1
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Missed)] == [MissedReason.EXPIRED] * 3


def test_captures_that_are_due_after_the_tape_are_expired(tmp_path: Path) -> None:
    keep(tmp_path, {COIN: [BEGINNING, a_dislocation(T0_MS)]}, until_ms=T0_MS + 1500)
    _, outcomes = replayed(tmp_path)
    assert [type(outcome) for outcome in outcomes] == [Followup, Missed, Missed]


def test_the_rules_of_each_time_are_in_force(tmp_path: Path) -> None:
    moves = [a_dislocation(T0_MS + number * 300) for number in range(6)]
    tape = {COIN: [BEGINNING, *moves, news(a_calm_market(), at_ms=T0_MS + 9000)]}
    keep(tmp_path, {COIN: tape[COIN][:1]}, rules=Rules(cooldown_ms=10**6))
    keep(tmp_path, tape, rules=Rules(cooldown_ms=0, offsets_ms=(7,)))
    signals, _ = replayed(tmp_path)
    assert [signal.offsets_ms for signal in signals] == [(7,)] * len(moves)
    assert len(replayed(tmp_path, OtherRules(cooldown_ms=700))[0]) == 2
