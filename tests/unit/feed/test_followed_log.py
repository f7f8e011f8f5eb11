"""What the feed notes of the markets it follows."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from feed.followed_log import WatchNotes
from hip3_tasks.domain.records import Watched
from tests.support.factories import DAY, T0_MS

MIDNIGHT_MS = 1_795_392_000_000


def noted(data_dir: Path, day: str = DAY) -> list[tuple[int, list[str]]]:
    lines = (data_dir / f"watched_{day}.jsonl").read_bytes().splitlines()
    return [(watched.at_ms, list(watched.coins)) for watched in map(Watched.from_line, lines)]


def test_a_note_is_made_at_first_and_when_the_markets_change_and_not_otherwise(tmp_path: Path) -> None:
    notes = WatchNotes(tmp_path)
    for at_ms, coins in enumerate([["b:B", "a:A"], ["a:A", "b:B"], ["a:A"], ["a:A"], [], [], ["a:A"]], T0_MS):
        notes.note(coins, at_ms=at_ms)
    assert noted(tmp_path) == [
        (T0_MS, ["a:A", "b:B"]),
        (T0_MS + 2, ["a:A"]),
        (T0_MS + 4, []),
        (T0_MS + 6, ["a:A"]),
    ]


def test_each_utc_day_begins_with_a_note(tmp_path: Path) -> None:
    notes = WatchNotes(tmp_path)
    for at_ms in range(MIDNIGHT_MS - 2, MIDNIGHT_MS + 2):
        notes.note(["a:A"], at_ms=at_ms)
    assert noted(tmp_path) == [(MIDNIGHT_MS - 2, ["a:A"])]
    assert noted(tmp_path, "2026-11-23") == [(MIDNIGHT_MS, ["a:A"])]


def test_nothing_is_noted_before_any_market_is_followed(tmp_path: Path) -> None:
    WatchNotes(tmp_path).note([], at_ms=T0_MS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tail", "kept"), [(b'{"at_ms":17953', []), (b'{"at_ms":1795338701358,"coins":[]}', [(T0_MS, [])])]
)
def test_what_a_dead_feed_left_behind_is_mended(tmp_path: Path, tail: bytes, kept: list[tuple[int, list[str]]]) -> None:
    (tmp_path / f"watched_{DAY}.jsonl").write_bytes(tail)
    WatchNotes(tmp_path).note(["a:A"], at_ms=T0_MS + 1)
    assert noted(tmp_path) == [*kept, (T0_MS + 1, ["a:A"])]


def test_a_disk_that_refuses_is_warned_of_once_and_the_note_made_later(tmp_path: Path) -> None:
    notes = WatchNotes(tmp_path / "data")
    with capture_logs() as logged:
        for at_ms in range(T0_MS, T0_MS + 3):
            notes.note(["a:A"], at_ms=at_ms)
        (tmp_path / "data").mkdir()
        notes.note(["a:A"], at_ms=T0_MS + 3)
    assert [event["event"] for event in logged if event["log_level"] == "warning"] == ["watched_not_noted"]
    assert noted(tmp_path / "data") == [(T0_MS + 3, ["a:A"])]
