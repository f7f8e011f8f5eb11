"""Holds the files of a directory against a replay of its kept tape: `hip3 audit --replay`."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import polars as pl
from pydantic import BaseModel

from hip3_tasks.analysis.compact.line_codec import lines_of, read_slices
from hip3_tasks.domain.records import Followup, Missed, MissedReason, Record, Signal, key_of, line_of
from hip3_tasks.errors import MalformedRecord, Unavailable
from hip3_tasks.files.day_files import DayFiles, days_of
from hip3_tasks.files.path_text import PathText
from hip3_tasks.recording.coin_replay import Outcome, due_at_ms
from hip3_tasks.recording.recorder import NOT_THERE
from hip3_tasks.recording.replay import Replay
from hip3_tasks.tape.load import Recording

LOST = "lost:", NOT_THERE, "the feed was away"
"""The causes of gaps in place of what a server lost."""
RESTATED = {"state_at_ms", "ctx_age_ms", "oracle_age_max_ms", "oracle_updates"}
"""The fields of a follow-up that tell when its state was put down: a feed does so again after a loss."""


CAPTURED_AT = b'"captured_at_ms":'


class Comparison(BaseModel):
    """The result of one directory. Captures are `SIGNAL_ID|OFFSET_MS`."""

    data_dir: PathText
    from_ms: int
    until_ms: int
    """Compared were signals from the first instant on whose captures were due before the second one."""
    damaged: list[str] = []
    signals: int = 0
    outcomes: int = 0
    """Signals and follow-ups that are the same."""
    not_covered: int = 0
    """Signals on file of a time for which no replay can speak: it is not on the tape, or comes before a keyframe."""
    off_tape: int = 0
    """Signals on file of an instant at which nothing is known by the tape: Redis was away, and then the feed died."""
    lost: list[str] = []
    """Signals of the replay that are not on file."""
    invented: list[str] = []
    """Signals on file that the replay does not have."""
    twice: list[str] = []
    differing: dict[str, list[str]] = {}
    """The fields in which a signal or an outcome differs."""
    open: list[str] = []
    """Captures of the replay without a line on file."""
    better_known: Counter[str] = Counter()
    """Outcomes of which the recording knows more than the workers could: what they missed, and why else they did."""
    known_then: int = 0
    """Follow-ups of a state that Redis lost, or trimmed, before it was recorded."""

    @property
    def ok(self) -> bool:
        return not (self.damaged or self.lost or self.invented or self.twice or self.differing or self.open)


class _Line(NamedTuple):
    """The line of an outcome on file. It is kept as text: a record takes several times as much memory."""

    record: type[Outcome]
    text: bytes

    def is_of(self, replayed: Outcome) -> bool:
        """Whether it is the line of a replayed outcome, but for the instant of the capture."""
        text = replayed.line().rstrip()
        begin = text.index(CAPTURED_AT) + len(CAPTURED_AT)
        end = begin + len(str(replayed.captured_at_ms))
        return len(text) == len(self.text) and (text[:begin], text[end:]) == (self.text[:begin], self.text[end:])

    def outcome(self) -> Outcome | None:
        """Its record; None when it is malformed."""
        try:
            return self.record.from_line(self.text)
        except MalformedRecord:
            return None


def compare(data_dir: Path, *, advance: Callable[[float], object] = lambda _: None) -> Comparison:
    """Raises Unavailable when the directory has no tape.

    `advance` is called with the share done since its last call.
    """
    recording = Recording(data_dir)
    signals, outcomes, twice = _on_file(data_dir)
    result = Comparison(
        data_dir=data_dir,
        from_ms=recording.parts[0].info.from_ms,
        until_ms=recording.covered_until_ms,
        damaged=recording.damaged,
        twice=twice,
    )
    replay, replayed = Replay(recording, on_file=signals.values()), set[str]()
    for step in replay.run(lambda pieces: advance(pieces / len(recording.parts))):
        for signal in step.signals:
            replayed.add(signal.signal_id)
            _compare_signal(result, signals.get(signal.signal_id), signal)
        for outcome in step.outcomes:
            if outcome.signal_id in signals and due_at_ms(outcome) <= result.until_ms:
                _compare_outcome(result, outcomes.get(outcome.key), outcome)
    for signal in signals.values():
        if signal.signal_id in replayed:
            continue
        is_recorded = signal.timestamp_ms <= result.until_ms
        if not is_recorded or not replay.is_complete_at(signal.market_key, signal.timestamp_ms):
            result.not_covered += 1
        else:
            _judge_stranger(result, signal, recording.last_rows(signal.market_key, signal.timestamp_ms))
    return result


def _judge_stranger(result: Comparison, signal: Signal, rows: pl.DataFrame) -> None:
    """Judge a signal that the replay does not have, by the entry in force at its instant and the one before."""
    gaps, news = rows["gap"].to_list(), rows["is_news"].to_list()
    is_put_down_again = len(rows) > 1 and news[-1] is False and gaps[0] is not None
    if not len(rows) or gaps[-1] is not None or (is_put_down_again and rows["at_ms"][-1] == signal.timestamp_ms):
        result.off_tape += 1
    else:
        result.invented.append(signal.signal_id)


def _compare_signal(result: Comparison, on_file: Signal | None, signal: Signal) -> None:
    if on_file is None:
        result.lost.append(signal.signal_id)
    elif fields := _differences(on_file, signal):
        result.differing[signal.signal_id] = fields
    else:
        result.signals += 1


def _compare_outcome(result: Comparison, line: _Line | None, outcome: Outcome) -> None:
    name = f"{outcome.signal_id}|{outcome.offset_ms}"
    if line is not None and line.is_of(outcome):
        result.outcomes += 1
        return
    on_file = None if line is None else line.outcome()
    if on_file is None:
        result.open.append(name)
        return
    fields = _differences(on_file, outcome)
    if not fields:
        result.outcomes += 1
    elif kind := _better_known(on_file, outcome, fields):
        result.better_known[kind] += 1
    elif isinstance(on_file, Followup) and isinstance(outcome, Missed) and _is_lost(outcome):
        result.known_then += 1
    else:
        result.differing[name] = fields


def _is_lost(replayed: Missed) -> bool:
    """Whether the tape does not have a state because Redis lost it, or trimmed it before it was recorded."""
    return replayed.reason is MissedReason.EXPIRED or (replayed.detail or "").startswith(LOST)


def _better_known(on_file: Outcome, replayed: Outcome, fields: list[str]) -> str | None:
    """The kind of an outcome that the workers could not know as the recording does."""
    if isinstance(on_file, Missed) and on_file.reason in (MissedReason.EXPIRED, MissedReason.FEED_GAP):
        return str(on_file.reason)
    if fields == ["oracle_updates"] and isinstance(on_file, Followup) and on_file.oracle_updates is None:
        return "oracle_updates"
    return "put down again" if RESTATED.issuperset(fields) else None


def _differences(on_file: Record, replayed: Record) -> list[str]:
    """The fields that differ; of a line of an earlier version only those that it has."""
    if type(on_file) is not type(replayed):
        return [f"{type(on_file).__name__.lower()} on file, {type(replayed).__name__.lower()} replayed"]
    mine, other = vars(on_file), vars(replayed)
    names = [name for name in mine if name in on_file.model_fields_set and name != "captured_at_ms"]
    return [name for name in names if line_of({"": mine[name]}) != line_of({"": other[name]})]


def _on_file(data_dir: Path) -> tuple[dict[str, Signal], dict[tuple[str, int], _Line], list[str]]:
    signals: dict[str, Signal] = {}
    outcomes: dict[tuple[str, int], _Line] = {}
    twice: list[str] = []
    days: dict[str, DayFiles] = {}
    with suppress(Unavailable):  # a tape without a signal is quiet, and has no files
        days = days_of(data_dir)
    for files in days.values():
        for text in _lines(files, "signals"):
            with suppress(MalformedRecord):  # the audit names it
                signal = Signal.from_line(text)
                if signals.setdefault(signal.signal_id, signal) is not signal:
                    twice.append(signal.signal_id)
        kinds: tuple[tuple[str, type[Outcome]], ...] = (("followups", Followup), ("missed", Missed))
        for kind, record in kinds:
            for line in (_Line(record, text) for text in _lines(files, kind)):
                with suppress(MalformedRecord):
                    key = key_of(line.text)
                    other = outcomes.setdefault(key, line)
                    if other is line or line.outcome() is None:
                        continue
                    if other.outcome() is None:
                        outcomes[key] = line
                    else:
                        twice.append(f"{key[0]}|{key[1]}")
    return signals, outcomes, twice


def _lines(files: DayFiles, kind: str) -> Iterable[bytes]:
    if kind in files.parquet:
        for rows in read_slices(files.parquet[kind]):
            yield from lines_of(rows)
    elif kind in files.jsonl:
        yield from files.jsonl[kind].read_bytes().splitlines()
