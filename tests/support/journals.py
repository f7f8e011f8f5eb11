"""A journal, its files and some records, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hip3_tasks.domain.capture import Capture
from hip3_tasks.domain.records import Followup, Missed, key_of
from hip3_tasks.files.journal import Journal
from tests.support.factories import DAY, a_followup

FIRST, SECOND, THIRD = (a_followup(offset_ms=offset_ms) for offset_ms in (1000, 3000, 5000))


@contextmanager
def opened(data_dir: Path, **options: Any) -> Iterator[Journal]:
    journal = Journal(data_dir, **options)
    try:
        yield journal
    finally:
        journal.close()


def followups_path(data_dir: Path, day: str = DAY) -> Path:
    return data_dir / f"followups_{day}.jsonl"


def missed_path(data_dir: Path, day: str = DAY) -> Path:
    return data_dir / f"missed_{day}.jsonl"


def keys_in(*paths: Path) -> list[tuple[str, int]]:
    return [key_of(line) for path in paths if path.exists() for line in path.read_bytes().splitlines()]


def capture_of(record: Followup | Missed) -> Capture:
    return Capture.from_ids(record.signal_id, record.offset_ms)
