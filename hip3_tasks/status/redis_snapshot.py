"""How a system stands, as its feed, its Redis and its disk say; and what of that is red."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import redis
from pydantic import ValidationError

from hip3_tasks.clock import wall_ms
from hip3_tasks.files.retention import disk_problem
from hip3_tasks.health import LASTING_MS, lags
from hip3_tasks.store.feed_status import FeedStatus
from hip3_tasks.store.keys import Keys
from hip3_tasks.store.pending import FIRST_TRY_MS, Pending
from hip3_tasks.store.store import Store
from hip3_tasks.store.tape import TapeReader
from hip3_tasks.store.worker_status import SILENT_MS, WorkerStatus

SILENCE_RED_MS = 5_000
NO_WORKER_RED_MS = 15_000
"""For so long after its start a feed may be without a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at Redis; None is what could not be seen."""

    at_ms: int
    """On the feed's clock, as far as it is known: every due time and the watermark are on it."""
    feed: FeedStatus | None = None
    watermark_ms: int | None = None
    pending: int | None = None
    overdue: int | None = None
    """Captures whose own task has not done it FIRST_TRY_MS after their due time."""
    oldest_due_at_ms: int | None = None
    queued: int | None = None
    """Tasks that no worker has taken in."""
    quarantined: int | None = None
    workers: tuple[WorkerStatus, ...] = ()
    server_bytes: int | None = None
    """What Redis uses of its memory."""
    queue: str = ""
    consumers: int | None = None
    """Workers that said lately that they consume the queue."""
    fault: str | None = None
    """Why Redis could not be asked."""

    @classmethod
    def take(cls, client: "redis.Redis", keys: Keys) -> Self:
        """Never raises for what is wrong with Redis: that is a thing to show."""
        try:
            feed = Store(client, keys).feed_status()
            at_ms = wall_ms() - (feed.clock_behind_wall_ms if feed else 0)
            pending = Pending(client, keys)
            workers = [note for note in Store(client, keys).workers() if wall_ms() - note.at_ms <= SILENT_MS]
            return cls(
                at_ms=at_ms,
                feed=feed,
                watermark_ms=TapeReader(client, keys).watermark_ms(),
                pending=pending.size(),
                overdue=int(client.zcount(keys.due, "-inf", at_ms - FIRST_TRY_MS)),
                oldest_due_at_ms=pending.oldest_due_at_ms(),
                queued=int(client.llen(keys.queue)),
                quarantined=int(client.llen(keys.quarantine)),
                workers=tuple(workers),
                server_bytes=int(client.info("memory")["used_memory"]),
                queue=keys.queue,
                consumers=sum(note.consumes(keys.queue) for note in workers),
            )
        except redis.RedisError as error:
            return cls(at_ms=wall_ms(), fault=f"Redis: {error}")
        except ValidationError:
            return cls(at_ms=wall_ms(), fault="the feed's status is not understood: another version wrote it")

    @property
    def watermark_age_ms(self) -> int | None:
        return None if self.watermark_ms is None else max(0, self.at_ms - self.watermark_ms)


def problems(snapshot: Snapshot, *, data_dir: Path, min_free_mb: int) -> list[str]:
    """What turns health red, in words; empty when all is well."""
    disk = disk_problem(data_dir, min_free_mb=min_free_mb)
    found = [snapshot.fault] if snapshot.fault else _faults(snapshot)
    by_subject = {subject(problem): problem for problem in [*found, *([disk] if disk else [])]}
    return list(by_subject.values())


def notices(snapshot: Snapshot) -> Sequence[str]:
    """What the feed would have an operator know, and is no problem."""
    return snapshot.feed.notices if snapshot.feed else ()


def _faults(snapshot: Snapshot) -> list[str]:
    feed, at_ms = snapshot.feed, snapshot.at_ms
    if feed is None:
        return ["no status of the feed: it does not run, or not for a minute"]
    found = list(feed.problems)
    if at_ms - feed.at_ms > SILENCE_RED_MS:
        found.append(f"the feed is silent for {(at_ms - feed.at_ms) / 1000:.0f} s")
    if snapshot.consumers == 0 and at_ms - feed.started_at_ms > NO_WORKER_RED_MS:
        found.append(f"no worker consumes the queue {snapshot.queue}")
    return found + lags(
        at_ms=at_ms,
        watermark_ms=_judged_watermark_ms(snapshot, feed),
        oldest_due_at_ms=snapshot.oldest_due_at_ms,
        clock_behind_wall_ms=feed.clock_behind_wall_ms,
    )


def _judged_watermark_ms(snapshot: Snapshot, feed: FeedStatus) -> int | None:
    """A feed that has just begun has none yet, or that of the feed before it."""
    has_just_begun = snapshot.at_ms - feed.started_at_ms < LASTING_MS
    return max(snapshot.watermark_ms or 0, feed.started_at_ms) if has_just_begun else snapshot.watermark_ms


def subject(problem: str) -> Sequence[str]:
    """Its first words without numbers and plurals: the same problem has the same subject at every look.

    The feed and whoever looks at it find the same things; each is said once.
    """
    words = (word.rstrip("s:,") for word in problem.split() if not any(map(str.isdigit, word)))
    return tuple(words)[:3]
