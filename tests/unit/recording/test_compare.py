"""`recording.compare`: signals and follow-ups of which a replay knows less are counted, and are no difference."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from hip3_tasks.domain.capture import MINUTE_MS, utc_day
from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.domain.measure import measure
from hip3_tasks.domain.records import Followup, Signal, line_of
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.recording.coin_replay import Outcome
from hip3_tasks.recording.compare import compare
from hip3_tasks.tape.pieces import minute_path
from tests.support.factories import T0_MS, a_calm_market, a_market
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news

START_MS = T0_MS // MINUTE_MS * MINUTE_MS
BEGINNING = Entry(START_MS, Gap(NO_DATA))


def calm(at_ms: int) -> Entry:
    return news(a_calm_market(at_ms=at_ms), at_ms=at_ms)


def dislocation(at_ms: int) -> Entry:
    """A state that makes a signal; its oracle is that of no other instant."""
    market = a_market(at_ms=at_ms, bid_px=248.5, ask_px=249.0, oracle_px=250 + at_ms % 10**6 / 1e6)
    return news(replace(market, oracle_at_ms=at_ms), at_ms=at_ms)


def captured_live(data_dir: Path, entries: Sequence[Entry]) -> list[Signal]:
    """Write the signals of a tape and their follow-ups to the files of a directory."""
    detector = Detector(Rules())
    signals = [signal for entry in entries if (signal := detector.observe(COIN, entry)) is not None]
    for signal in signals:
        t0 = as_of(entries, signal.timestamp_ms)
        for capture in signal.captures():
            at_ms = capture.due_at_ms
            write(data_dir, measure(signal, capture, due=as_of(entries, at_ms), t0=t0, at_ms=at_ms))
        write(data_dir, signal)
    return signals


def write(data_dir: Path, record: Signal | Outcome) -> None:
    kind = "signals" if isinstance(record, Signal) else "followups" if isinstance(record, Followup) else "missed"
    with jsonl_path(data_dir, kind, utc_day(START_MS)).open("ab") as file:
        file.write(record.line())


def as_of(entries: Sequence[Entry], at_ms: int) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.at_ms <= at_ms), None)


def a_minute(number: int, *seconds: float) -> list[Entry]:
    """A calm start of a minute, and a dislocation at each of some seconds of it."""
    start_ms = START_MS + number * MINUTE_MS
    return [calm(start_ms + 1), *(dislocation(start_ms + int(second * 1000)) for second in seconds)]


def keyframe(at_ms: int, entries: Sequence[Entry]) -> Entry:
    detector = Detector(Rules())
    for entry in entries:
        detector.observe(COIN, entry)
    last = entries[-1]
    assert last.conditions
    how = replace(last.conditions, is_news=False, is_judged=False, memory=detector.memory(COIN))
    return Entry(at_ms, last.value, how)


def test_signals_after_a_hole_are_compared_from_the_next_keyframe_on(tmp_path: Path) -> None:
    entries = [BEGINNING, *a_minute(0, 10), *a_minute(1, 10), *a_minute(2, 10)]
    entries.append(keyframe(START_MS + 2 * MINUTE_MS + 20_000, entries))
    entries += a_minute(2, 30)[1:]
    entries.append(calm(START_MS + 3 * MINUTE_MS))
    assert len(captured_live(tmp_path, entries)) == 4
    keep(tmp_path, {COIN: entries})
    minute_path(tmp_path, START_MS + MINUTE_MS).unlink()
    result = compare(tmp_path)
    assert result.ok, result
    assert (result.signals, result.outcomes, result.not_covered) == (2, 6, 2)


def test_a_followup_of_a_state_in_a_hole_is_no_difference(tmp_path: Path) -> None:
    entries = [BEGINNING, *a_minute(0, 56), *a_minute(1), *a_minute(2), calm(START_MS + 3 * MINUTE_MS)]
    captured_live(tmp_path, entries)
    keep(tmp_path, {COIN: entries})
    minute_path(tmp_path, START_MS + MINUTE_MS).unlink()
    result = compare(tmp_path)
    assert result.ok, result
    assert (result.signals, result.outcomes, result.known_then) == (1, 2, 1)


def test_signals_of_a_version_that_wrote_no_conditions_are_not_compared(tmp_path: Path) -> None:
    entries = [BEGINNING, *a_minute(0, 10), *a_minute(1, 10), Entry(START_MS + 2 * MINUTE_MS, Gap("away"))]
    entries += [Entry(START_MS + 2 * MINUTE_MS + 10, Gap(NO_DATA)), *a_minute(2, 10), *a_minute(3)]
    captured_live(tmp_path, entries)
    begin_ms, end_ms = START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS
    tape = [replace(entry, conditions=None) if begin_ms < entry.at_ms < end_ms else entry for entry in entries]
    keep(tmp_path, {COIN: tape})
    result = compare(tmp_path)
    assert result.ok, result
    assert (result.signals, result.not_covered) == (2, 1)


def test_the_lines_of_an_earlier_release_are_compared_in_the_fields_that_they_have(tmp_path: Path) -> None:
    entries = [BEGINNING, *a_minute(0, 10), *a_minute(1)]
    captured_live(tmp_path, entries)
    keep(tmp_path, {COIN: entries})
    for kind, record in ("signals", Signal), ("followups", Followup):
        path = jsonl_path(tmp_path, kind, utc_day(START_MS))
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        released = [list(line.items())[: record.RELEASED[0]] for line in lines]
        path.write_bytes(b"".join(line_of(dict(items)) for items in released))
    result = compare(tmp_path)
    assert (result.ok, result.signals, result.outcomes) == (True, 1, 3), result
    path.write_bytes(path.read_bytes().replace(b'"bid_px":248.5', b'"bid_px":248.4'))
    assert list(compare(tmp_path).differing.values()) == [["bid_px"]] * 3
