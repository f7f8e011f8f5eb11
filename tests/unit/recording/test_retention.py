"""The tape is deleted at its age, and before that where the disk fills up; nothing else goes for its sake."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, MINUTE_MS, day_start_ms
from hip3_tasks.files.retention import delete_old_days
from hip3_tasks.recording import retention
from hip3_tasks.recording.retention import Kept, delete_old_pieces, kept
from hip3_tasks.tape.columns import frame_of
from hip3_tasks.tape.pieces import PieceInfo, all_pieces, day_path, hour_path, minute_path, write_piece
from tests.support.factories import DAY, T0_MS

TODAY_MS = day_start_ms(DAY)


def write(path: Path, from_ms: int) -> Path:
    write_piece(path, frame_of([]), PieceInfo(from_ms=from_ms, until_ms=from_ms), level=1, group_rows=100)
    return path


@pytest.fixture
def pieces(tmp_path: Path) -> list[Path]:
    """A day and an hour of the past, and two minutes of today; with signals of the oldest day."""
    (tmp_path / "signals_2026-11-20.jsonl").touch()
    (tmp_path / "rules.jsonl").touch()
    old_ms, yesterday_ms = TODAY_MS - 2 * DAY_MS, TODAY_MS - HOUR_MS
    return [
        write(day_path(tmp_path, old_ms), old_ms + 5),
        write(hour_path(tmp_path, yesterday_ms), yesterday_ms),
        write(minute_path(tmp_path, TODAY_MS), TODAY_MS),
        write(minute_path(tmp_path, TODAY_MS + MINUTE_MS), TODAY_MS + MINUTE_MS),
    ]


def left(data_dir: Path) -> list[Path]:
    return [piece.path for piece in all_pieces(data_dir)]


@pytest.mark.parametrize(("tape_days", "deleted"), [(3, 0), (2, 0), (1, 1)])
def test_days_more_than_the_setting_before_today_go(
    tape_days: int, deleted: int, pieces: list[Path], tmp_path: Path
) -> None:
    gone = delete_old_pieces(tmp_path, tape_days=tape_days, min_free_mb=0, at_ms=T0_MS)
    assert (gone, left(tmp_path)) == (pieces[:deleted], pieces[deleted:])


def test_an_empty_folder_goes_with_its_last_piece(pieces: list[Path], tmp_path: Path) -> None:
    delete_old_pieces(tmp_path, tape_days=1, min_free_mb=0, at_ms=T0_MS + DAY_MS)
    assert left(tmp_path) == pieces[2:] and not pieces[1].parent.exists()
    delete_old_pieces(tmp_path, tape_days=1, min_free_mb=0, at_ms=T0_MS + 9 * DAY_MS)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["rules.jsonl", "signals_2026-11-20.jsonl", "tape"]


@pytest.mark.parametrize(
    ("free_mb", "deleted"),
    [([1024], 0), ([1023, 1024], 1), ([0, 1023, 1024], 2), ([0] * 5, 4)],
)
def test_the_oldest_pieces_go_until_the_disk_has_twice_the_room_that_is_wanted(
    free_mb: Iterable[int], deleted: int, pieces: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(free_mb)
    monkeypatch.setattr(retention, "free_mb", lambda _: next(answers))
    gone = delete_old_pieces(tmp_path, tape_days=14, min_free_mb=512, at_ms=T0_MS)
    assert (gone, left(tmp_path)) == (pieces[:deleted], pieces[deleted:])
    assert (tmp_path / "signals_2026-11-20.jsonl").exists()


def test_the_days_of_signals_take_no_tape_with_them(pieces: list[Path], tmp_path: Path) -> None:
    assert delete_old_days(tmp_path, keep_days=1, at_ms=T0_MS) == ["signals_2026-11-20.jsonl"]
    assert left(tmp_path) == pieces


def test_the_kept_tape_is_known_by_its_first_good_piece_and_its_size(pieces: list[Path], tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in pieces)
    assert kept(tmp_path) == Kept(TODAY_MS - 2 * DAY_MS + 5, size)
    pieces[0].write_bytes(b"PAR1")
    assert kept(tmp_path).since_ms == TODAY_MS - HOUR_MS
    assert kept(tmp_path / "absent") == Kept(None, 0)
