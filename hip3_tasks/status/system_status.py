"""How the machinery stands, as one record: `hip3 status --json`, `/api/state` and the page show the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from hip3_tasks.domain.capture import utc_day
from hip3_tasks.files.tail import data_files
from hip3_tasks.status.line_counts import Tally
from hip3_tasks.status.outcome_sums import Outcomes
from hip3_tasks.status.redis_snapshot import Snapshot
from hip3_tasks.store.worker_status import WorkerStatus


class DayFile(BaseModel):
    """One of today's data files."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int


class Pipeline(BaseModel):
    """Counts are of the last 15 minutes, the feed's own from its start; None is what cannot be known now."""

    model_config = ConfigDict(frozen=True)

    signals: int
    followups: int
    followups_by_offset_ms: dict[int, int]
    missed: int
    missed_by_reason: dict[str, int]
    lateness_ms: dict[str, int | None]
    """p50, p99 and max of captured_at_ms − due_at_ms."""
    lateness_ms_by_offset_ms: dict[int, dict[str, int | None]]
    pending: int | None
    overdue: int | None
    queued: int | None
    """Tasks that no worker has taken in."""
    quarantined: int | None
    watermark_age_ms: int | None
    markets_live: int | None
    markets_followed: int | None
    detecting: bool | None
    """False while the feed drains before it stops."""
    sockets: int | None
    reconnects: int | None
    frames: dict[str, int]
    frames_per_s: float | None
    workers: list[WorkerStatus]
    files_today: list[DayFile]
    server_bytes: int | None
    """What Redis uses of its memory."""
    outcomes_by_offset_ms: dict[int, Outcomes]
    """Were the signals right, and by how much; only offsets that have a follow-up."""
    due_before_worker: int
    """Follow-ups that fell due before the first worker was there: in no lateness."""

    @property
    def decisive(self) -> tuple[int, Outcomes] | None:
        """The longest offset in ms that has a follow-up, with what became of the signals by then."""
        return max(self.outcomes_by_offset_ms.items(), default=None, key=lambda item: item[0])

    @classmethod
    def of(cls, tally: Tally, snapshot: Snapshot, *, files: list[DayFile], frames_per_s: float | None) -> Self:
        feed = snapshot.feed
        return cls(
            signals=tally.signals,
            followups=tally.followups,
            followups_by_offset_ms=dict(sorted(tally.followups_by_offset_ms.items())),
            missed=tally.missed,
            missed_by_reason=dict(tally.missed_by_reason.most_common()),
            lateness_ms=tally.lateness.summary(),
            lateness_ms_by_offset_ms={ms: late.summary() for ms, late in sorted(tally.lateness_by_offset_ms.items())},
            pending=snapshot.pending,
            overdue=snapshot.overdue,
            queued=snapshot.queued,
            quarantined=snapshot.quarantined,
            watermark_age_ms=snapshot.watermark_age_ms,
            markets_live=feed.markets_live if feed else None,
            markets_followed=feed.markets_followed if feed else None,
            detecting=feed.detecting if feed else None,
            sockets=feed.sockets if feed else None,
            reconnects=feed.reconnects if feed else None,
            frames=feed.frames if feed else {},
            frames_per_s=frames_per_s,
            workers=list(snapshot.workers),
            files_today=files,
            server_bytes=snapshot.server_bytes,
            outcomes_by_offset_ms=_summaries(tally),
            due_before_worker=tally.due_before_worker,
        )


def _summaries(tally: Tally) -> dict[int, Outcomes]:
    summaries = {ms: sums.summary() for ms, sums in sorted(tally.outcomes_by_offset_ms.items())}
    return {ms: outcomes for ms, outcomes in summaries.items() if outcomes.followups}


def files_today(data_dir: Path, *, at_ms: int) -> list[DayFile]:
    """Today's files, in the order in which they are written; none where there is no directory."""
    end = f"_{utc_day(at_ms)}.jsonl"
    try:
        found: Sequence[tuple[str, Path, int]] = data_files(data_dir)
    except OSError:
        return []
    return [DayFile(name=path.name, bytes=size) for _, path, size in found if path.name.endswith(end)]
