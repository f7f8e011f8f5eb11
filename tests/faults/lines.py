"""What the files of a data directory hold, against what they were to hold."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hip3_tasks.domain.records import Followup, Missed
from hip3_tasks.errors import MalformedRecord
from hip3_tasks.files.journal import Journal
from tests.faults.row import Found

Key = tuple[str, int]
KINDS: dict[str, type[Followup] | type[Missed]] = {"followups": Followup, "missed": Missed}


def keys_of(records: Iterable[Followup | Missed]) -> list[Key]:
    return [(record.signal_id, record.offset_ms) for record in records]


def keys_in(data_dir: Path) -> tuple[Counter[Key], list[str]]:
    """How often each key is in the files; and what of them does not decode, a last line without its end too."""
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
    """Lines that do not decode, and have their end."""
    return sum("ends within" not in what for what in keys_in(data_dir)[1])


def recover(
    data_dir: Path,
    records: Sequence[Followup | Missed],
    found: Found,
    *,
    when: str,
    acknowledged: Iterable[Key] = (),
    noise: int = 0,
) -> None:
    """What was acknowledged is there; another process appends it all, and then each has exactly one line."""
    keys, _ = keys_in(data_dir)
    if lost := set(acknowledged) - set(keys):
        found.lost += len(lost)
        found.blame(f"{when}: acknowledged, and not there: {sorted(lost)[:3]}")
    journal = Journal(data_dir)
    journal.append(records)
    journal.close()
    judge(data_dir, keys_of(records), found, when=when, noise=noise)


def judge(data_dir: Path, wanted: Iterable[Key], found: Found, *, when: str, noise: int = 0) -> None:
    """Each wanted key has exactly one line, and there is no other; `noise` lines were broken before it began."""
    (keys, torn), expected = keys_in(data_dir), set(wanted)
    found.wanted += len(expected)
    found.torn += max(0, len(torn) - noise)
    found.lost += len(expected - set(keys))
    found.duplicated += sum(times - 1 for times in keys.values())
    found.wrong += len(set(keys) - expected)
    for what, broken in (
        ("lost", expected - set(keys)),
        ("there more than once", {key for key, times in keys.items() if times > 1}),
        ("not asked for", set(keys) - expected),
        ("torn", torn if len(torn) > noise else ()),
    ):
        if broken:
            found.blame(f"{when}: {what}: {sorted(broken)[:3]}")
