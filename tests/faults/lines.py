"""Compare the lines of a data directory with the expected lines."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.journal import Journal
from tests.faults.row import Result

Key = tuple[str, int]
KINDS: dict[str, type[Followup] | type[Missed]] = {"followups": Followup, "missed": Missed}


def keys_of(records: Iterable[Followup | Missed]) -> list[Key]:
    return [(record.signal_id, record.offset_ms) for record in records]


def keys_in(data_dir: Path) -> tuple[Counter[Key], list[str]]:
    """The number of lines of each key, and a text for each line that does not decode or has no end."""
    keys: Counter[Key] = Counter()
    torn: list[str] = []
    for kind, record in KINDS.items():
        for path in sorted(data_dir.glob(f"{kind}_*.jsonl")):
            *whole, tail = path.read_bytes().split(b"\n")
            torn += [f"{path.name} ends within a line: {tail[:60]!r}"] if tail else []
            for line in whole:
                try:
                    keys.update(keys_of([record.from_line(line)]))
                except MalformedRecord as error:
                    torn.append(f"{path.name}: {error}")
    return keys, torn


def broken_lines(data_dir: Path) -> int:
    """The number of complete lines that do not decode."""
    return sum("ends within" not in problem for problem in keys_in(data_dir)[1])


def recover(
    data_dir: Path,
    records: Sequence[Followup | Missed],
    result: Result,
    *,
    when: str,
    acknowledged: Iterable[Key] = (),
    noise: int = 0,
) -> None:
    """Check that acknowledged keys are there; append all records again, after which each key has exactly one line."""
    keys, _ = keys_in(data_dir)
    if lost := set(acknowledged) - set(keys):
        result.lost += len(lost)
        result.add_broken(f"{when}: acknowledged, but not there: {sorted(lost)[:3]}")
    journal = Journal(data_dir)
    journal.append(records)
    journal.close()
    judge(data_dir, keys_of(records), result, when=when, noise=noise)


def judge(data_dir: Path, expected_keys: Iterable[Key], result: Result, *, when: str, noise: int = 0) -> None:
    """Check that each expected key has exactly one line, without others; `noise` lines were broken before."""
    (keys, torn), expected = keys_in(data_dir), set(expected_keys)
    result.wanted += len(expected)
    result.torn += max(0, len(torn) - noise)
    result.lost += len(expected - set(keys))
    result.duplicated += sum(times - 1 for times in keys.values())
    result.wrong += len(set(keys) - expected)
    for what, broken in (
        ("lost", expected - set(keys)),
        ("there more than once", {key for key, times in keys.items() if times > 1}),
        ("not expected", set(keys) - expected),
        ("torn", torn if len(torn) > noise else ()),
    ):
        if broken:
            result.add_broken(f"{when}: {what}: {sorted(broken)[:3]}")
