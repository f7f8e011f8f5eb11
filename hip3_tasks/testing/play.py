"""Records written to a data directory as feed and workers write them, for a program that follows it."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from hip3_tasks.domain.records import Followup, Missed, Signal
from hip3_tasks.files.journal import Journal
from hip3_tasks.files.signal_files import SignalWriter


def play(data_dir: Path, records: Iterable[Signal | Followup | Missed]) -> None:
    """Append records, each durable before the next one. As in production, a capture that has a line gets no other."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with closing(SignalWriter(data_dir)) as signals, closing(Journal(data_dir)) as journal:
        for record in records:
            if isinstance(record, Signal):
                signals.append([record])
            else:
                journal.append([record])
