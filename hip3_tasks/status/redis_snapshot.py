"""The state of a feed and its workers as Redis has it, and the problems in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import redis
from pydantic import BaseModel, ValidationError

from hip3_tasks.clock import wall_ms
from hip3_tasks.files.retention import disk_problem
from hip3_tasks.health import GRACE_MS, lags
from hip3_tasks.settings import Settings
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.recorder_status import RecorderStatus
from hip3_tasks.store.store import Store
from hip3_tasks.store.worker_status import SILENT_MS, WorkerStatus

SILENCE_RED_MS = 5_000
NO_WORKER_RED_MS = 15_000
"""A feed may be without a worker for so long after its start."""
RECORDER_SILENCE_RED_MS = 30_000
"""Also the time that a recorder may take to begin after the feed."""
RECORDER_BEHIND_RED_MS = 60_000


@dataclass(frozen=True, slots=True)
class Gauge:
    """Annotates a field that `/metrics` shows as a gauge."""

    text: str
    name: str = ""
    """The metric's name after `hip3_`; the field's name if empty."""
    per_unit: int = 1
    """The metric is the field's value divided by this."""

    def metric(self, field: str) -> str:
        return f"hip3_{self.name or field}"


class QueueStatus(BaseModel, frozen=True):
    """The work in Redis and its workers; None is not known."""

    pending: Annotated[int | None, Gauge("Captures not yet on disk.")] = None
    overdue: Annotated[int | None, Gauge("Pending captures that their own task has not made in time.")] = None
    revoked: Annotated[int | None, Gauge("Revoked captures that wait for a recapture.")] = None
    queued: Annotated[int | None, Gauge("Tasks that no worker has taken.")] = None
    quarantined: Annotated[int | None, Gauge("Messages in the quarantine.")] = None
    workers: list[WorkerStatus] = []
    """The workers that reported within SILENT_MS."""
    server_bytes: Annotated[int | None, Gauge("Memory that Redis uses.", "redis_memory_bytes")] = None


class RedisSnapshot(QueueStatus):
    """One reading of Redis; None is not known."""

    at_ms: int
    """The time of the feed's clock, if the feed is known: due times and the watermark use that clock."""
    feed: FeedStatus | None = None
    watermark_ms: int | None = None
    oldest_due_at_ms: int | None = None
    queue: str = ""
    consumers: int | None = None
    """The workers that consume the queue."""
    recorder: RecorderStatus | None = None
    recorded_ms: int | None = None
    """The tape is on disk up to here; None where no recorder ran for long."""
    fault: str | None = None
    """The reason why Redis could not be read."""

    @classmethod
    def take(cls, store: Store) -> Self:
        """Read Redis now. An error of Redis is the `fault`, and is not raised."""
        try:
            feed = store.feed_status()
            at_ms = wall_ms() - (feed.clock_behind_wall_ms if feed else 0)
            workers = [worker for worker in store.workers() if wall_ms() - worker.at_ms <= SILENT_MS]
            return cls(
                at_ms=at_ms,
                feed=feed,
                watermark_ms=store.tape.watermark_ms(),
                pending=store.pending.size(),
                overdue=store.overdue(at_ms=at_ms),
                oldest_due_at_ms=store.pending.oldest_due_at_ms(),
                revoked=store.pending.revoked(),
                queued=store.queue_length(),
                quarantined=store.dead_letters(),
                workers=workers,
                server_bytes=store.memory_bytes(),
                queue=store.keys.queue,
                recorder=store.recorder_status(),
                recorded_ms=store.recorded_ms(),
                consumers=sum(worker.consumes(store.keys.queue) for worker in workers),
            )
        except redis.RedisError as error:
            return cls(at_ms=wall_ms(), fault=f"Redis: {error}")
        except ValidationError:
            return cls(at_ms=wall_ms(), fault="the feed's status is not understood: another version wrote it")

    @property
    def watermark_age_ms(self) -> int | None:
        return None if self.watermark_ms is None else max(0, self.at_ms - self.watermark_ms)

    @property
    def tape_since_ms(self) -> int | None:
        return self.recorder.since_ms if self.recorder else None

    @property
    def tape_bytes(self) -> int | None:
        return self.recorder.bytes if self.recorder else None

    @property
    def tape_behind_ms(self) -> int | None:
        """The part of the tape that the recorder has not read yet."""
        if self.watermark_ms is None or self.recorder is None or self.recorder.read_ms is None:
            return None
        return max(0, self.watermark_ms - self.recorder.read_ms)


def problems(snapshot: RedisSnapshot, chosen: Settings) -> list[str]:
    """The problems that make health red, in words; empty when all is well."""
    disk = disk_problem(chosen.data_dir, min_free_mb=chosen.min_free_mb)
    texts = [snapshot.fault] if snapshot.fault else _faults(snapshot)
    if chosen.tape_days:
        texts += _recorder_faults(snapshot)
    by_subject = {subject(problem): problem for problem in [*texts, *([disk] if disk else [])]}
    return list(by_subject.values())


def notices(snapshot: RedisSnapshot) -> Sequence[str]:
    """The feed's notices for an operator. They are no problems."""
    return snapshot.feed.notices if snapshot.feed else ()


def _faults(snapshot: RedisSnapshot) -> list[str]:
    feed, at_ms = snapshot.feed, snapshot.at_ms
    if feed is None:
        return ["no status of the feed: it does not run, or not for a minute"]
    texts = list(feed.problems)
    if at_ms - feed.at_ms > SILENCE_RED_MS:
        texts.append(f"the feed is silent for {(at_ms - feed.at_ms) / 1000:.0f} s")
    if snapshot.consumers == 0 and at_ms - feed.started_at_ms > NO_WORKER_RED_MS:
        texts.append(f"no worker consumes the queue {snapshot.queue}")
    return texts + lags(
        at_ms=at_ms,
        watermark_ms=_judged_watermark_ms(snapshot, feed),
        oldest_due_at_ms=snapshot.oldest_due_at_ms,
        clock_behind_wall_ms=feed.clock_behind_wall_ms,
    )


def _recorder_faults(snapshot: RedisSnapshot) -> list[str]:
    """The problems of a recorder that runs, or that has run and is waited for."""
    feed, recorder = snapshot.feed, snapshot.recorder
    texts = list(recorder.problems) if recorder else []
    if feed is None or (recorder is None and snapshot.recorded_ms is None):
        return texts
    wall_ms = snapshot.at_ms + feed.clock_behind_wall_ms
    silent_ms = wall_ms - (recorder.at_ms if recorder else 0)
    if min(silent_ms, snapshot.at_ms - feed.started_at_ms) > RECORDER_SILENCE_RED_MS:
        texts.append(f"recorder silent for more than {RECORDER_SILENCE_RED_MS // 1000} s")
    if (behind_ms := snapshot.tape_behind_ms or 0) > RECORDER_BEHIND_RED_MS:
        texts.append(f"recorder behind by {behind_ms / 1000:,.0f} s")
    return texts


def _judged_watermark_ms(snapshot: RedisSnapshot, feed: FeedStatus) -> int | None:
    """The watermark to judge: a feed that has just started has none yet, or that of the feed before it."""
    has_just_begun = snapshot.at_ms - feed.started_at_ms < GRACE_MS
    return max(snapshot.watermark_ms or 0, feed.started_at_ms) if has_just_begun else snapshot.watermark_ms


def subject(problem: str) -> Sequence[str]:
    """The first words without numbers and plurals: the same problem has the same subject each time.

    So a problem that both the feed and this process find is shown once.
    """
    words = (word.rstrip("s:,") for word in problem.split() if not any(map(str.isdigit, word)))
    return tuple(words)[:3]
