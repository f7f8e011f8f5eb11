"""The feed records which markets it follows."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from feed.followed_log import FollowedLog
from hip3_tasks.domain.records import Followed
from tests.support.factories import DAY, T0_MS

MIDNIGHT_MS = 1_795_392_000_000


def recorded(data_dir: Path, day: str = DAY) -> list[tuple[int, list[str]]]:
    lines = (data_dir / f"watched_{day}.jsonl").read_bytes().splitlines()
    return [(record.at_ms, list(record.coins)) for record in map(Followed.from_line, lines)]


def test_a_line_is_written_first_and_at_each_change_of_the_markets_only(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for at_ms, coins in enumerate([["b:B", "a:A"], ["a:A", "b:B"], ["a:A"], ["a:A"], [], [], ["a:A"]], T0_MS):
        followed.update(coins, at_ms=at_ms)
    assert recorded(tmp_path) == [
        (T0_MS, ["a:A", "b:B"]),
        (T0_MS + 2, ["a:A"]),
        (T0_MS + 4, []),
        (T0_MS + 6, ["a:A"]),
    ]


def test_each_utc_day_begins_with_a_line(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for at_ms in range(MIDNIGHT_MS - 2, MIDNIGHT_MS + 2):
        followed.update(["a:A"], at_ms=at_ms)
    assert recorded(tmp_path) == [(MIDNIGHT_MS - 2, ["a:A"])]
    assert recorded(tmp_path, "2026-11-23") == [(MIDNIGHT_MS, ["a:A"])]


def test_no_line_is_written_before_any_market_is_followed(tmp_path: Path) -> None:
    FollowedLog(tmp_path).update([], at_ms=T0_MS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tail", "kept"), [(b'{"at_ms":17953', []), (b'{"at_ms":1795338701358,"coins":[]}', [(T0_MS, [])])]
)
def test_a_torn_tail_of_a_dead_feed_is_repaired(tmp_path: Path, tail: bytes, kept: list[tuple[int, list[str]]]) -> None:
    (tmp_path / f"watched_{DAY}.jsonl").write_bytes(tail)
    FollowedLog(tmp_path).update(["a:A"], at_ms=T0_MS + 1)
    assert recorded(tmp_path) == [*kept, (T0_MS + 1, ["a:A"])]


def test_a_write_that_fails_is_warned_of_once_and_repeated(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path / "data")
    with capture_logs() as logged:
        for at_ms in range(T0_MS, T0_MS + 3):
            followed.update(["a:A"], at_ms=at_ms)
        (tmp_path / "data").mkdir()
        followed.update(["a:A"], at_ms=T0_MS + 3)
    assert [event["event"] for event in logged if event["log_level"] == "warning"] == ["followed_markets_not_written"]
    assert recorded(tmp_path / "data") == [(T0_MS + 3, ["a:A"])]
