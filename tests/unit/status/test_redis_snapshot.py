"""The problems that make health red."""

from pathlib import Path
from typing import Any

import pytest

from hip3_tasks.settings import Settings
from hip3_tasks.status.redis_snapshot import RedisSnapshot, problems, subject
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.recorder_status import RecorderStatus
from tests.support.factories import T0_MS


def a_feed_status(**changes: Any) -> FeedStatus:
    values: dict[str, Any] = {
        "at_ms": T0_MS - 500,
        "started_at_ms": T0_MS - 60_000,
        "pid": 4711,
        "detecting": True,
        "markets_followed": 60,
        "markets_live": 60,
        "sockets": 1,
        "reconnects": 0,
        "frames": {"bbo": 100, "ctx": 200},
        "tape_entries": 250,
        "signals": 9,
        "signals_dropped": 0,
        "signals_unwritten": 0,
        "signals_unpublished": 0,
        "swept": 0,
        "watermark_ms": T0_MS - 4,
        "clock_behind_wall_ms": 0,
        "problems": [],
    }
    return FeedStatus(**(values | changes))


HEALTHY = RedisSnapshot(
    at_ms=T0_MS,
    feed=a_feed_status(),
    watermark_ms=T0_MS - 4,
    pending=12,
    overdue=0,
    oldest_due_at_ms=T0_MS + 900,
)


def problems_of(data_dir: Path, **changes: Any) -> list[str]:
    return problems(HEALTHY.model_copy(update=changes), Settings(data_dir=data_dir, min_free_mb=0))


def test_a_healthy_system_has_no_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"feed": None}, ["no status of the feed: it does not run, or not for a minute"]),
        ({"feed": a_feed_status(at_ms=T0_MS - 9_000)}, ["the feed is silent for 9 s"]),
        ({"watermark_ms": None}, ["the watermark is missing"]),
        ({"watermark_ms": T0_MS - 5_001}, ["the watermark has stood for 5 s"]),
        ({"oldest_due_at_ms": T0_MS - 10_001}, ["the oldest capture is 10 s overdue"]),
        ({"feed": a_feed_status(clock_behind_wall_ms=-1_200)}, ["the feed's clock is +1.2 s off the wall clock"]),
        ({"feed": a_feed_status(problems=["the moon is blue"])}, ["the moon is blue"]),
        ({"fault": "Redis: Connection refused"}, ["Redis: Connection refused"]),
    ],
)
def test_problems_are_in_words(changes: dict[str, Any], expected: list[str], tmp_path: Path) -> None:
    assert problems_of(tmp_path, **changes) == expected


def test_a_problem_that_the_feed_reports_too_is_shown_once(tmp_path: Path) -> None:
    feed = a_feed_status(problems=["the watermark has stood for 6 s", "the moon is blue"])
    assert problems_of(tmp_path, feed=feed, watermark_ms=T0_MS - 7_000) == [
        "the watermark has stood for 7 s",
        "the moon is blue",
    ]


def test_a_late_capture_is_not_red_until_it_is_ten_seconds_overdue(tmp_path: Path) -> None:
    assert problems_of(tmp_path, oldest_due_at_ms=T0_MS - 10_000, overdue=1) == []


def test_a_full_disk_and_an_absent_directory_are_red(tmp_path: Path) -> None:
    assert "MB free" in problems(HEALTHY, Settings(data_dir=tmp_path, min_free_mb=10**9))[0]
    assert problems(HEALTHY, Settings(data_dir=tmp_path / "absent", min_free_mb=0)) == [
        f"{tmp_path / 'absent'}: there is no such directory; `hip3 up` or a feed makes it when it starts"
    ]


def test_a_status_without_notices_is_understood() -> None:
    written = a_feed_status().model_dump(exclude={"notices"})
    assert FeedStatus.model_validate(written).notices == []


def test_the_watermark_of_a_feed_that_has_just_started_is_no_problem(tmp_path: Path) -> None:
    for watermark_ms in (None, T0_MS - 600_000):
        young, older = (a_feed_status(started_at_ms=T0_MS - age_ms) for age_ms in (999, 1_000))
        assert problems_of(tmp_path, feed=young, watermark_ms=watermark_ms) == []
        assert len(problems_of(tmp_path, feed=older, watermark_ms=watermark_ms)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1 signal waits for the disk, for 1 s", "12 signals wait for the disk, for 4 s"),
        ("the watermark has stood for 6 s", "the watermark has stood for 1,000 s"),
    ],
)
def test_a_problem_has_the_same_subject_each_time(first: str, second: str) -> None:
    assert subject(first) == subject(second) != subject("the watermark is missing")


@pytest.mark.parametrize(
    ("consumers", "age_ms", "expected"),
    [
        (0, 15_000, []),
        (0, 15_001, ["no worker consumes the queue hip3:x:captures"]),
        (1, 15_001, []),
        (None, 15_001, []),
    ],
)
def test_a_queue_that_no_worker_consumes_is_red_once_the_start_is_over(
    consumers: int | None, age_ms: int, expected: list[str], tmp_path: Path
) -> None:
    feed = a_feed_status(started_at_ms=T0_MS - age_ms)
    assert problems_of(tmp_path, feed=feed, consumers=consumers, queue="hip3:x:captures") == expected


def a_recorder_status(**changes: Any) -> RecorderStatus:
    values: dict[str, Any] = {
        "at_ms": T0_MS - 700,
        "since_ms": T0_MS - 9_000_000,
        "written_ms": T0_MS - 40_000,
        "read_ms": T0_MS - 900,
        "bytes": 1_000_000,
    }
    return RecorderStatus(**(values | changes))


SILENT = ["recorder silent for more than 30 s"]


@pytest.mark.parametrize(
    ("recorder", "recorded_ms", "expected"),
    [
        (a_recorder_status(), T0_MS - 40_000, []),
        (None, None, []),
        (None, T0_MS - 40_000, SILENT),
        (a_recorder_status(at_ms=T0_MS - 30_000), None, []),
        (a_recorder_status(at_ms=T0_MS - 30_001), None, SILENT),
        (a_recorder_status(read_ms=T0_MS - 60_004), None, []),
        (a_recorder_status(read_ms=T0_MS - 75_004), None, ["recorder behind by 75 s"]),
        (a_recorder_status(read_ms=None), None, []),
        (a_recorder_status(problems=["the moon is blue"]), None, ["the moon is blue"]),
        (
            a_recorder_status(at_ms=T0_MS - 50_000, read_ms=T0_MS - 75_004, problems=["tape not written: full"]),
            None,
            ["tape not written: full", *SILENT, "recorder behind by 75 s"],
        ),
    ],
)
def test_a_recorder_that_has_run_is_red_when_it_is_silent_or_behind(
    recorder: RecorderStatus | None, recorded_ms: int | None, expected: list[str], tmp_path: Path
) -> None:
    seen = HEALTHY.model_copy(update={"recorder": recorder, "recorded_ms": recorded_ms})
    assert problems(seen, Settings(data_dir=tmp_path, min_free_mb=0)) == expected
    assert problems(seen, Settings(data_dir=tmp_path, min_free_mb=0, tape_days=0)) == []


def test_a_recorder_has_half_a_minute_to_begin_after_the_feed(tmp_path: Path) -> None:
    young, older = (a_feed_status(started_at_ms=T0_MS - age_ms) for age_ms in (30_000, 30_001))
    assert problems_of(tmp_path, feed=young, recorded_ms=T0_MS - 9_000_000) == []
    assert problems_of(tmp_path, feed=older, recorded_ms=T0_MS - 9_000_000) == SILENT


def test_the_kept_tape_is_told_as_far_as_it_is_known() -> None:
    seen = HEALTHY.model_copy(update={"recorder": a_recorder_status()})
    assert (seen.tape_since_ms, seen.tape_bytes, seen.tape_behind_ms) == (T0_MS - 9_000_000, 1_000_000, 896)
    assert (HEALTHY.tape_since_ms, HEALTHY.tape_bytes, HEALTHY.tape_behind_ms) == (None, None, None)
