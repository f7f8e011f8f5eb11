"""`recording.merge`: a longer piece has the rows of its parts, the holes between them, and the rules."""

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal
from structlog.testing import capture_logs

from hip3_tasks.domain.capture import DAY_MS, HOUR_MS, MINUTE_MS
from hip3_tasks.domain.detector import Rules
from hip3_tasks.domain.market import NO_DATA, Entry, Gap
from hip3_tasks.recording import merge
from hip3_tasks.recording.merge import merge_pieces
from hip3_tasks.tape import pieces
from hip3_tasks.tape.load import Recording, load_tape
from hip3_tasks.tape.pieces import hour_path, minute_path, pieces_of
from tests.support.factories import T0_MS, a_market
from tests.support.kept_tapes import keep
from tests.support.tapes import COIN, news

START_MS = T0_MS // DAY_MS * DAY_MS
COINS = COIN, "abc:A", "abc:B"


def write_hours(data_dir: Path, hours: int) -> None:
    """A tape with an entry of each coin every ten minutes."""
    times = range(START_MS, START_MS + hours * HOUR_MS, 10 * MINUTE_MS)
    tape = [Entry(START_MS, Gap(NO_DATA)), *(news(a_market(at_ms=at_ms), at_ms=at_ms) for at_ms in times)]
    keep(data_dir, dict.fromkeys(COINS, tape), rules=Rules(), until_ms=START_MS + hours * HOUR_MS - 1)


def names(data_dir: Path) -> list[str]:
    return [str(piece.path.relative_to(data_dir / "tape")) for piece in pieces_of(data_dir)]


@pytest.mark.parametrize("max_rows", [10, 1_000_000])
def test_minutes_become_hours_and_hours_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_rows: int) -> None:
    monkeypatch.setattr(merge, "MAX_ROWS", max_rows)
    write_hours(tmp_path, 25)
    before, rules = load_tape(tmp_path).collect(), Recording(tmp_path).rules
    assert merge_pieces(tmp_path, until_ms=START_MS + 2 * HOUR_MS + 1) == 2
    assert names(tmp_path)[:3] == ["2026-11-22/00.parquet", "2026-11-22/01.parquet", "2026-11-22/0200.parquet"]
    assert_frame_equal(load_tape(tmp_path).collect(), before)
    assert merge_pieces(tmp_path, until_ms=START_MS + 25 * HOUR_MS) == 22 + 1 + 1
    assert names(tmp_path) == ["2026-11-22.parquet", "2026-11-23/00.parquet"]
    assert [path.name for path in (tmp_path / "tape").iterdir()] == ["2026-11-22.parquet", "2026-11-23"]
    assert_frame_equal(load_tape(tmp_path).collect(), before)
    assert Recording(tmp_path).rules == rules
    assert merge_pieces(tmp_path, until_ms=START_MS + 25 * HOUR_MS) == 0


def test_a_hole_stays_a_hole_and_a_damaged_piece_keeps_its_hour(tmp_path: Path) -> None:
    write_hours(tmp_path, 2)
    minute_path(tmp_path, START_MS + 10 * MINUTE_MS).unlink()
    minute_path(tmp_path, START_MS + HOUR_MS).write_bytes(b"PAR1")
    before = load_tape(tmp_path).collect()
    assert before["gap"].drop_nulls().sort().unique(maintain_order=True).len() == 3
    given_up: set[Path] = set()
    with capture_logs() as logs:
        for merged in (1, 0):
            assert merge_pieces(tmp_path, until_ms=START_MS + 2 * HOUR_MS, given_up=given_up) == merged
    assert given_up == {hour_path(tmp_path, START_MS + HOUR_MS)}
    assert [log["event"] for log in logs] == ["tape_merged", "piece_damaged"]
    assert names(tmp_path)[:2] == ["2026-11-22/00.parquet", "2026-11-22/0100.parquet"]
    assert_frame_equal(load_tape(tmp_path).collect(), before)


@pytest.mark.parametrize("step", ["fsync", "sync_names"])
def test_a_merge_that_dies_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write_hours(tmp_path, 1)
    before = load_tape(tmp_path).collect()

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(pieces.os if step == "fsync" else pieces, step, die)
        with pytest.raises(KeyboardInterrupt):
            merge_pieces(tmp_path, until_ms=START_MS + HOUR_MS)
    assert_frame_equal(load_tape(tmp_path).collect(), before)
    merge_pieces(tmp_path, until_ms=START_MS + HOUR_MS)
    assert names(tmp_path) == ["2026-11-22/00.parquet"]
    assert_frame_equal(load_tape(tmp_path).collect(), before)
