"""The feed records which markets it follows."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from feed.followed_log import FollowedLog
from hip3_tasks.domain.records import Dark, Followed
from tests.support.factories import DAY, T0_MS

MIDNIGHT_MS = 1_795_392_000_000
DARK = Dark("b:B", "subscription refused", T0_MS)
COINS = ["b:B", "a:A"]


def recorded(data_dir: Path, day: str = DAY) -> list[tuple[int, list[str]]]:
    lines = (data_dir / f"watched_{day}.jsonl").read_bytes().splitlines()
    return [(record.at_ms, list(record.coins)) for record in map(Followed.from_line, lines)]


def test_a_line_is_written_first_and_at_each_change_of_the_markets_only(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for at_ms, coins in enumerate([["b:B", "a:A"], ["a:A", "b:B"], ["a:A"], ["a:A"], [], [], ["a:A"]], T0_MS):
        followed.update(coins, heard=[], dark={}, at_ms=at_ms)
    assert recorded(tmp_path) == [
        (T0_MS, ["a:A", "b:B"]),
        (T0_MS + 2, ["a:A"]),
        (T0_MS + 4, []),
        (T0_MS + 6, ["a:A"]),
    ]


def test_each_utc_day_begins_with_a_line(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for at_ms in range(MIDNIGHT_MS - 2, MIDNIGHT_MS + 2):
        followed.update(["a:A"], heard=[], dark={}, at_ms=at_ms)
    assert recorded(tmp_path) == [(MIDNIGHT_MS - 2, ["a:A"])]
    assert recorded(tmp_path, "2026-11-23") == [(MIDNIGHT_MS, ["a:A"])]


def test_no_line_is_written_before_any_market_is_followed(tmp_path: Path) -> None:
    FollowedLog(tmp_path).update([], heard=[], dark={}, at_ms=T0_MS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("tail", "kept"), [(b'{"at_ms":17953', []), (b'{"at_ms":1795338701358,"coins":[]}', [(T0_MS, [])])]
)
def test_a_torn_tail_of_a_dead_feed_is_repaired(tmp_path: Path, tail: bytes, kept: list[tuple[int, list[str]]]) -> None:
    (tmp_path / f"watched_{DAY}.jsonl").write_bytes(tail)
    FollowedLog(tmp_path).update(["a:A"], heard=[], dark={}, at_ms=T0_MS + 1)
    assert recorded(tmp_path) == [*kept, (T0_MS + 1, ["a:A"])]


def test_a_write_that_fails_is_warned_of_once_and_repeated(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path / "data")
    with capture_logs() as logged:
        for at_ms in range(T0_MS, T0_MS + 3):
            followed.update(["a:A"], heard=[], dark={}, at_ms=at_ms)
        (tmp_path / "data").mkdir()
        followed.update(["a:A"], heard=[], dark={}, at_ms=T0_MS + 3)
    assert [event["event"] for event in logged if event["log_level"] == "warning"] == ["followed_markets_not_written"]
    assert recorded(tmp_path / "data") == [(T0_MS + 3, ["a:A"])]


def heard(data_dir: Path) -> list[tuple[int, tuple[str, ...] | None, tuple[Dark, ...] | None]]:
    """The lines of the day: seconds since T0, and the markets that are heard and dark."""
    lines = map(Followed.from_line, (data_dir / f"watched_{DAY}.jsonl").read_bytes().splitlines())
    return [((line.at_ms - T0_MS) // 1000, line.heard, line.dark) for line in lines]


def test_what_is_heard_is_written_once_it_has_settled(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for second in range(20):
        known = [] if second < 2 else ["a:A"] if second < 4 else ["b:B", "a:A"]
        followed.update(COINS, heard=known, dark={}, at_ms=T0_MS + second * 1000)
    assert heard(tmp_path) == [(0, (), ()), (9, ("a:A", "b:B"), ())]


def test_a_dark_market_is_named_with_its_cause(tmp_path: Path) -> None:
    FollowedLog(tmp_path).update(COINS, heard=["a:A"], dark={"b:B": DARK}, at_ms=T0_MS)
    assert heard(tmp_path) == [(0, ("a:A",), (DARK,))]


def test_a_change_of_the_markets_is_written_at_once_with_what_is_heard_then(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    followed.update(["a:A"], heard=["a:A"], dark={}, at_ms=T0_MS)
    followed.update(COINS, heard=["a:A"], dark={"b:B": DARK}, at_ms=T0_MS + 1000)
    assert heard(tmp_path) == [(0, ("a:A",), ()), (1, ("a:A",), (DARK,))]


@given(changes=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=60))
def test_changes_of_what_is_heard_make_a_line_a_minute_at_most_and_the_last_one_is_written(
    changes: list[tuple[int, bool, bool]],
) -> None:
    with TemporaryDirectory() as folder:
        followed, second = FollowedLog(Path(folder)), 0
        state: tuple[list[str], dict[str, Dark]] = [], {}
        followed.update(COINS, heard=state[0], dark=state[1], at_ms=T0_MS)
        for pause_s, is_heard, is_dark in changes:
            second, state = second + pause_s, (["a:A"] if is_heard else [], {"b:B": DARK} if is_dark else {})
            followed.update(COINS, heard=state[0], dark=state[1], at_ms=T0_MS + second * 1000)
        for more_s in (60, 120):
            followed.update(COINS, heard=state[0], dark=state[1], at_ms=T0_MS + (second + more_s) * 1000)
        lines = heard(Path(folder))
        seconds = [at_s for at_s, _, _ in lines[1:]]
        assert all(later - at_s >= 60 for at_s, later in pairwise(seconds))
        assert lines[-1][1:] == (tuple(state[0]), tuple(state[1].values()))
        assert all(line[1:] != later[1:] for line, later in pairwise(lines))


def test_a_market_that_flaps_is_written_once_a_minute(tmp_path: Path) -> None:
    followed = FollowedLog(tmp_path)
    for second in range(600):
        followed.update(COINS, heard=COINS[second % 2 :], dark={}, at_ms=T0_MS + second * 1000)
    assert len(heard(tmp_path)) in (10, 11)
