"""A worker's status, which it writes to Redis at every heartbeat: for the feed, `hip3 status` and the page."""

from pydantic import BaseModel

READY_MS = 3_000
"""The feed counts on a worker only while its status is younger than this."""
SILENT_MS = 10_000
"""A worker whose status is older than this is no longer shown; it writes one every 2 s."""
FORGOTTEN_MS = 60_000
"""A worker whose status is older than this is removed when another worker starts."""


class WorkerStatus(BaseModel, frozen=True):
    """The status of one worker, which is a main process and its pool."""

    name: str
    at_ms: int
    """When this was written, on the worker's wall clock."""
    pid: int
    processes: int
    """The present number of processes in its pool."""
    most_processes: int
    held: int
    """Tasks that it has received and not finished; most of them are not due yet."""
    queues: tuple[str, ...] | None = None
    """The queues that it consumes; None from a version that did not write them, but consumed its feed's queue."""

    @property
    def key(self) -> str:
        """Its field in Redis: two workers of one node name are two."""
        return f"{self.name} {self.pid}"

    def consumes(self, queue: str) -> bool:
        """Whether it consumed the queue when it wrote this status."""
        return self.queues is None or queue in self.queues

    def is_fresh(self, *, at_ms: int) -> bool:
        """Whether a feed may count on this worker; `at_ms` is wall time."""
        return at_ms - self.at_ms < READY_MS
