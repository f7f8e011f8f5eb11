"""The records of a data directory, for tests and benchmarks."""

from pathlib import Path

from hip3_tasks.domain.records import Followed, Followup, Missed, Signal
from hip3_tasks.files.line_reader import read_from


class DataFiles:
    """Base class of a system with a data directory."""

    data_dir: Path

    def signals(self) -> list[Signal]:
        return [Signal.from_line(line) for line in self.lines("signals")]

    def followups(self) -> list[Followup]:
        return [Followup.from_line(line) for line in self.lines("followups")]

    def missed(self) -> list[Missed]:
        return [Missed.from_line(line) for line in self.lines("missed")]

    def watched(self) -> list[Followed]:
        return [Followed.from_line(line) for line in self.lines("watched")]

    def lines(self, kind: str) -> list[bytes]:
        """The complete lines of all days."""
        return [line for path in sorted(self.data_dir.glob(f"{kind}_*.jsonl")) for line in read_from(path)[0]]
