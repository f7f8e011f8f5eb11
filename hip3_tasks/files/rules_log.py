"""The file of the detector's rules: a line for each start of a feed with rules that are not those before."""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path

from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.records import RulesInForce
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.append_file import AppendFile

NAME = "rules.jsonl"


def note_rules(data_dir: Path, rules: Rules, *, from_ms: int) -> None:
    """Write that these rules are in force from an instant on. Raises JournalError."""
    line = RulesInForce(from_ms=from_ms, **asdict(rules))
    with closing(AppendFile(data_dir / NAME, RulesInForce)) as file:
        file.repair_tail()
        last = read_rules(data_dir)[-1:]
        if not last or last[0].model_copy(update={"from_ms": from_ms}) != line:
            file.append(line.line())


def read_rules(data_dir: Path) -> list[RulesInForce]:
    """All rules that were in force, by time; a line that cannot be read is left out. Raises OSError."""
    try:
        lines = (data_dir / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    rules: list[RulesInForce] = []
    for line in lines:
        with suppress(MalformedRecord):
            rules.append(RulesInForce.from_line(line))
    return sorted(rules, key=lambda line: line.from_ms)


def rules_at(lines: Sequence[RulesInForce], at_ms: int, *, default: Rules) -> Rules:
    """The rules in force at an instant, by `lines` in order of time; `default` without a line."""
    number = bisect_right(lines, at_ms, key=lambda line: line.from_ms)
    return rules_of(lines[max(0, number - 1)]) if lines else default


def rules_of(line: RulesInForce) -> Rules:
    return Rules(**{name: value for name, value in line if name != "from_ms"})
