"""The feed's status, which it writes to Redis once a second for `hip3 status`, `hip3 up` and the page."""

from pydantic import BaseModel


class FeedStatus(BaseModel, frozen=True):
    """One status of a feed. Counters start at 0 with the feed process."""

    at_ms: int
    """When this was written, on the feed's clock."""
    started_at_ms: int
    pid: int
    detecting: bool
    """False until detection starts, and while the feed drains before it stops."""
    markets_followed: int
    markets_live: int
    """Followed markets whose state is known, which are not in a gap."""
    sockets: int
    reconnects: int
    frames: dict[str, int]
    """Frames received, by kind: bbo, ctx, ack, pong ..., and each kind of malformed frame."""
    tape_entries: int
    signals: int
    signals_dropped: int
    """Signals dropped because their market had one in the same millisecond."""
    signals_unwritten: int
    """Signals that wait for the disk."""
    signals_unpublished: int
    """Signals on disk that wait for Redis."""
    swept: int
    """Overdue captures that the sweeper published again."""
    watermark_ms: int
    clock_behind_wall_ms: int
    problems: list[str]
    """A sentence for each reason that turns health red; empty when the feed is healthy."""
    detection_began_at_ms: int | None = None
    """When detection began, on the feed's clock; None before."""
    first_worker_at_ms: int | None = None
    """When the first worker consumed the queue; None before, and if one already did when the feed started."""
    notices: list[str] = []
    """Hints for the operator that do not turn health red: names in settings that the venue does not list."""
    is_simulated: bool | None = None
    """Whether the prices are simulated; None from a version that did not write this."""
    lag_p50_ms: int | None = None
    """Median time from a book's block to its frame over the last ten seconds; None when no book changed."""
    lag_p99_ms: int | None = None
    raw_dropped: int | None = None
    """Frames received that are not among the raw frames; None where none are kept."""
    limits_ms: dict[str, int] | None = None
    """The silence that is allowed, as observed: of each `DEX bbo` and `DEX ctx`, and of each websocket."""
