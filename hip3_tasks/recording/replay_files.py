"""The files that a replay writes: the lines of each kind and day, in the order of time within a step."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, TypeAlias

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.records import Followup
from hip3_tasks.files.day_files import jsonl_path
from hip3_tasks.recording.coin_replay import Replayed, due_at_ms

REPLAYED = "signals", "followups", "missed"
Lines: TypeAlias = dict[tuple[str, str], list[tuple[int, bytes]]]
"""(instant, line) of the records of each file, which is known by kind and day. A process hands them to another."""


def lines_by_file(replayed: Replayed) -> Lines:
    lines: Lines = defaultdict(list)
    for signal in replayed.signals:
        at_ms = signal.timestamp_ms
        lines["signals", utc_day(at_ms)].append((at_ms, signal.line()))
    for outcome in replayed.outcomes:
        kind = "followups" if isinstance(outcome, Followup) else "missed"
        lines[kind, utc_day(outcome.signal_timestamp_ms)].append((due_at_ms(outcome), outcome.line()))
    return dict(lines)


class ReplayFiles:
    """The data files of a new directory, each opened when its first line comes."""

    def __init__(self, folder: Path) -> None:
        self.counts: Counter[str] = Counter()
        """The number of lines of each kind."""
        self._folder, self._files = folder, dict[tuple[str, str], BinaryIO]()
        self._opened = ExitStack()

    def __enter__(self) -> "ReplayFiles":
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def write(self, step: Iterable[Lines]) -> None:
        joined: Lines = defaultdict(list)
        for lines in step:
            for name, some in lines.items():
                joined[name] += some
        for (kind, day), some in joined.items():
            if (kind, day) not in self._files:
                path = jsonl_path(self._folder, kind, day)
                self._files[kind, day] = self._opened.enter_context(path.open("ab"))
            self._files[kind, day].writelines(line for _, line in sorted(some, key=itemgetter(0)))
            self.counts[kind] += len(some)
