"""The file of the detector's rules: a line for each start of a feed with rules that are not those before."""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.append_file import AppendFile, as_journal_error

NAME = "rules.jsonl"


def note_rules(data_dir: Path, rules: Rules, *, from_ms: int) -> None:
    """Write that these rules are in force from an instant on. Raises JournalError."""
    line = RulesInForce(from_ms=from_ms, **asdict(rules))
    with closing(AppendFile(data_dir / NAME, RulesInForce)) as file:
        file.repair_tail()
        last = read_rules(data_dir)[-1:]
        if not last or last[0].model_copy(update={"from_ms": from_ms}) != line:
            file.append(line.line())


class RulesNote:
    """The line of one feed's rules. No signal is written before it, or a replay would not know its rules."""

    def __init__(self, data_dir: Path, rules: Rules, *, from_ms: int) -> None:
        self._data_dir, self._rules, self._from_ms = data_dir, rules, from_ms
        self._is_written = False

    def write(self) -> None:
        """Write it unless that is done. Raises JournalError."""
        if not self._is_written:
            with as_journal_error(self._data_dir / NAME):
                note_rules(self._data_dir, self._rules, from_ms=self._from_ms)
            self._is_written = True


def read_rules(data_dir: Path) -> list[RulesInForce]:
    """All rules that were in force, by time; a line that cannot be read is left out. Raises OSError.

    A feed that follows a server set back begins before the rules of a feed that is forgotten; they never held then.
    """
    try:
        lines = (data_dir / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    rules: list[RulesInForce] = []
    for line in lines:
        with suppress(MalformedRecord):
            latest = RulesInForce.from_line(line)
            rules = [*(earlier for earlier in rules if earlier.from_ms < latest.from_ms), latest]
    return rules


def rules_at(rules: Sequence[tuple[int, Rules]], at_ms: int) -> Rules:
    """The rules in force at an instant, of those that begin at some, by time; the first ones hold before them too."""
    return rules[max(0, bisect_right(rules, at_ms, key=lambda begun: begun[0]) - 1)][1]


def rules_of(line: RulesInForce) -> Rules:
    return Rules(**{name: value for name, value in line if name != "from_ms"})
