"""The state of the whole system in one record: `hip3 status --json`, `/api/state`, `/metrics` and the page show it."""

from collections import deque
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.domain.records import Dark
from hip3_tasks.files.tail import data_files
from hip3_tasks.status.line_counts import LineCounts
from hip3_tasks.status.outcome_sums import OutcomeSummary, TripSummary, judged
from hip3_tasks.status.redis_snapshot import Gauge, QueueStatus, RedisSnapshot
from hip3_tasks.store.feed_status import FeedStatus

RATE_SPAN_MS = 10_000


class DayFile(BaseModel, frozen=True):
    """One of today's data files."""

    name: str
    bytes: int


class FrameRate:
    """The rate over the last RATE_SPAN_MS of statuses; with only one status, the mean since the feed started."""

    def __init__(self) -> None:
        self._statuses: deque[FeedStatus] = deque()

    def update(self, feed: FeedStatus | None) -> float | None:
        """Take a status and return the frames of all kinds per second; None if that is not known."""
        if feed is None:
            return None
        if self._statuses and self._statuses[-1].started_at_ms != feed.started_at_ms:
            self._statuses.clear()
        if not self._statuses or self._statuses[-1].at_ms < feed.at_ms:
            self._statuses.append(feed)
        while len(self._statuses) > 2 and feed.at_ms - self._statuses[1].at_ms >= RATE_SPAN_MS:
            self._statuses.popleft()
        first = self._statuses[0]
        frames, ms = sum(feed.frames.values()), feed.at_ms - feed.started_at_ms
        if first.at_ms < feed.at_ms:
            frames, ms = frames - sum(first.frames.values()), feed.at_ms - first.at_ms
        return round(frames * 1000 / ms, 1) if ms > 0 else None


class SystemStatus(QueueStatus):
    """Line counts cover the last 15 minutes, the feed's counters run from its start. None is not known now."""

    signals: int
    followups: int
    followups_by_offset_ms: dict[int, int]
    missed: int
    missed_by_reason: dict[str, int]
    lateness_ms: dict[str, int | None]
    """p50, p99 and max of captured_at_ms − due_at_ms."""
    lateness_ms_by_offset_ms: dict[int, dict[str, int | None]]
    outcomes_by_offset_ms: dict[int, OutcomeSummary]
    """Whether signals were right, and by how much; only offsets that have a follow-up."""
    trips: list[TripSummary]
    """The orders of a taker, by latency and time held, ascending."""
    due_before_worker: int
    """Follow-ups that were due before the first worker came. They are in no lateness."""
    watermark_age_ms: Annotated[int | None, Gauge("Age of the watermark.", "watermark_age_seconds", per_unit=1000)]
    markets_live: Annotated[int | None, Gauge("Markets whose state is known.")] = None
    markets_followed: Annotated[int | None, Gauge("Markets that are subscribed.")] = None
    detecting: bool | None = None
    """False while the feed drains before it stops."""
    dark: list[Dark] | None = None
    """The markets that are to be followed and are not live, each with its cause and since when."""
    sockets: Annotated[int | None, Gauge("Connections to the venue that bring data.")] = None
    reconnects: int | None = None
    lag_p50_ms: Annotated[
        int | None, Gauge("Median time from a book's block to its frame.", "lag_p50_seconds", per_unit=1000)
    ] = None
    """Over the last ten seconds; None also when no book changed."""
    lag_p99_ms: Annotated[int | None, Gauge("99th percentile of that time.", "lag_p99_seconds", per_unit=1000)] = None
    tape_since_ms: int | None = None
    """The kept tape begins here; None without one."""
    tape_bytes: Annotated[int | None, Gauge("Size of the kept tape.")] = None
    tape_behind_ms: Annotated[
        int | None, Gauge("The tape that is not recorded yet.", "tape_behind_seconds", per_unit=1000)
    ] = None
    limits_ms: dict[str, int] | None = None
    """The silence that the feed allows: of each `DEX bbo` and `DEX ctx`, and of each websocket."""
    frames: dict[str, int]
    frames_per_s: float | None
    files_today: list[DayFile]

    @property
    def decisive(self) -> tuple[int, OutcomeSummary] | None:
        """The longest offset in ms that has a follow-up, and the outcomes at that offset."""
        return max(self.outcomes_by_offset_ms.items(), default=None, key=lambda item: item[0])

    @property
    def taken(self) -> TripSummary | None:
        """The trips by which the signals are judged."""
        return judged(self.trips)

    @classmethod
    def from_parts(
        cls,
        counts: LineCounts,
        snapshot: RedisSnapshot,
        *,
        data_dir: Path | None = None,
        rate: FrameRate | None = None,
        dark: list[Dark] | None = None,
    ) -> Self:
        """Take the fields from the feed's status, the snapshot and the counts, where most have the same name."""
        sources = (snapshot.feed, snapshot, counts)
        values = {
            name: getattr(source, name) for source in sources for name in cls.model_fields if hasattr(source, name)
        }
        outcomes = {ms: sums.summary() for ms, sums in sorted(counts.outcomes_by_offset_ms.items())}
        values |= {
            "frames": snapshot.feed.frames if snapshot.feed else {},
            "frames_per_s": rate.update(snapshot.feed) if rate else None,
            "files_today": _files_today(data_dir, at_ms=snapshot.at_ms) if data_dir else [],
            "followups_by_offset_ms": dict(sorted(counts.followups_by_offset_ms.items())),
            "missed_by_reason": dict(counts.missed_by_reason.most_common()),
            "lateness_ms": counts.lateness.summary(),
            "lateness_ms_by_offset_ms": {ms: n.summary() for ms, n in sorted(counts.lateness_by_offset_ms.items())},
            "outcomes_by_offset_ms": {ms: summary for ms, summary in outcomes.items() if summary.followups},
            "trips": [sums.summary(*key) for key, sums in sorted(counts.trips.items())],
        }
        return cls(**values, dark=dark)


def _files_today(data_dir: Path, *, at_ms: int) -> list[DayFile]:
    """Today's files, in the order in which they are written; none where there is no directory."""
    suffix = f"_{utc_day(at_ms)}.jsonl"
    try:
        files = data_files(data_dir)
    except OSError:
        return []
    return [DayFile(name=path.name, bytes=size) for _, path, size in files if path.name.endswith(suffix)]
