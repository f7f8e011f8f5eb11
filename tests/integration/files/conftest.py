"""Fixtures for the tests of the journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hip3_tasks.files import append_file as appendfile
from hip3_tasks.files.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def _no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the sync, for tests with a thousand writes and no power cut."""
    monkeypatch.setattr(appendfile, "_sync", lambda fd: None)
