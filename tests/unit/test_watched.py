"""Notes of which markets were followed."""

from pathlib import Path

import pytest

from hip3_tasks.errors import JournalError
from hip3_tasks.lines import read_from
from hip3_tasks.watched import Watched, WatchedNotes, watched_in
from tests.build import T0_MS

DAY_MS = 86_400_000


def noted(data_dir: Path) -> list[Watched]:
    return [Watched.from_line(line) for path in sorted(data_dir.iterdir()) for line in read_from(path)[0]]


def test_what_is_new_is_noted_and_what_is_not_is_not(tmp_path: Path) -> None:
    notes = WatchedNotes(tmp_path)
    for at_ms, coins in enumerate([[], ["xyz:TSLA"], ["xyz:TSLA"], ["xyz:NVDA", "xyz:TSLA"], ["xyz:NVDA"]], T0_MS):
        notes.note(coins, at_ms=at_ms)
    assert [(note.at_ms - T0_MS, note.coins) for note in noted(tmp_path)] == [
        (1, ("xyz:TSLA",)),
        (3, ("xyz:NVDA", "xyz:TSLA")),
        (4, ("xyz:NVDA",)),
    ]


def test_each_day_and_each_start_has_a_note_of_its_own(tmp_path: Path) -> None:
    notes = WatchedNotes(tmp_path)
    notes.note(["xyz:TSLA"], at_ms=T0_MS)
    notes.note(["xyz:TSLA"], at_ms=T0_MS + DAY_MS)
    WatchedNotes(tmp_path).note(["xyz:TSLA"], at_ms=T0_MS + DAY_MS + 1)
    assert [note.at_ms - T0_MS for note in noted(tmp_path)] == [0, DAY_MS, DAY_MS + 1]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_could_not_be_noted_is_new_the_next_time(tmp_path: Path) -> None:
    notes = WatchedNotes(tmp_path / "later")
    with pytest.raises(JournalError):
        notes.note(["xyz:TSLA"], at_ms=T0_MS)
    (tmp_path / "later").mkdir()
    notes.note(["xyz:TSLA"], at_ms=T0_MS)
    assert len(noted(tmp_path / "later")) == 1


def test_a_torn_note_is_mended_and_a_broken_one_passed_over(tmp_path: Path) -> None:
    WatchedNotes(tmp_path).note(["xyz:TSLA"], at_ms=T0_MS)
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'{"at_ms":1,"coins":["x\n{"at_ms"')
    WatchedNotes(tmp_path).note(["xyz:NVDA"], at_ms=T0_MS)
    assert watched_in([path]) == {"xyz:NVDA", "xyz:TSLA"}
