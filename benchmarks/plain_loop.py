"""Replays markets of a kept tape by a plain loop, in which the detector sees every entry."""

import sys
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from hip3_tasks.domain.detector import Detector, Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.domain.measure import measure
from hip3_tasks.files.rules_log import rules_of
from hip3_tasks.recording.coin_replay import Replayed
from hip3_tasks.recording.replay_files import ReplayFiles, lines_by_file
from hip3_tasks.tape.columns import entry_of
from hip3_tasks.tape.load import CoinRows, Recording


def main(data_dir: Path, out: Path, coins: list[str]) -> None:
    recording = Recording(data_dir)
    (rules,) = map(rules_of, recording.rules)
    out.mkdir()
    with ReplayFiles(out) as files:
        for coin in coins:
            parts = [rows[coin] for rows in recording.rows([coin])]
            files.write([lines_by_file(replayed(parts, coin, rules, until_ms=recording.covered_until_ms))])


def replayed(parts: list[CoinRows], coin: str, rules: Rules, *, until_ms: int) -> Replayed:
    detector, records, entries = Detector(rules), Replayed([], []), list[Entry]()
    for entry in _entries(parts):
        entries.append(entry)
        signal = detector.observe(coin, entry)
        if signal is not None:
            records.signals.append(signal)
    times_ms = [entry.at_ms for entry in entries]
    for signal in records.signals:
        t0 = entries[bisect_right(times_ms, signal.timestamp_ms) - 1]
        for capture in signal.captures():
            at_ms = capture.due_at_ms
            due = entries[bisect_right(times_ms, at_ms) - 1] if at_ms <= until_ms else None
            records.outcomes.append(measure(signal, capture, due=due, t0=t0, at_ms=at_ms))
    return records


def _entries(parts: list[CoinRows]) -> Iterator[Entry]:
    for part in parts:
        yield from map(entry_of, part.read().iter_rows())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
