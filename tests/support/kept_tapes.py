"""Kept tapes for tests, written as the recorder writes them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import Entry
from hip3_tasks.files.rules_log import note_rules, read_rules
from hip3_tasks.tape.columns import KEY, frame_of, row_of
from hip3_tasks.tape.pieces import PieceInfo, minute_path, rules_between, write_piece


def keep(
    data_dir: Path, tapes: Mapping[str, Sequence[Entry]], *, rules: Rules | None = None, until_ms: int = 0
) -> None:
    """Write tapes to pieces of a minute, from the first entry to the last one or `until_ms`."""
    rows = [row_of(coin, seq, entry) for coin, entries in tapes.items() for seq, entry in enumerate(entries)]
    from_ms, last_ms = min(row[1] for row in rows), max(until_ms, *(row[1] for row in rows))
    if rules is not None:
        note_rules(data_dir, rules, from_ms=from_ms)
    frame = frame_of(rows).sort(KEY)
    for minute in range(from_ms // MINUTE_MS, last_ms // MINUTE_MS + 1):
        start_ms, end_ms = max(from_ms, minute * MINUTE_MS), min(last_ms, minute * MINUTE_MS + MINUTE_MS - 1)
        some = frame.filter(frame["at_ms"].is_between(start_ms, end_ms))
        info = PieceInfo(from_ms=start_ms, until_ms=end_ms, rules=rules_between(read_rules(data_dir), start_ms, end_ms))
        write_piece(minute_path(data_dir, start_ms), some, info, level=1, group_rows=1000)
