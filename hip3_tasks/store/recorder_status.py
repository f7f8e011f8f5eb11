"""The recorder's status, which it writes to Redis once a second for `hip3 status`, `hip3 up` and the page."""

from pydantic import BaseModel


class RecorderStatus(BaseModel, frozen=True):
    """One status of a recorder. Instants of the tape are on the feed's clock."""

    at_ms: int
    """When this was written, on the recorder's wall clock."""
    since_ms: int | None
    """The tape on disk begins here; None when none is kept yet."""
    written_ms: int | None
    """The tape is on disk up to here."""
    read_ms: int | None
    """The tape was read up to here."""
    bytes: int
    """The size of the tape on disk."""
    problems: list[str] = []
    """A sentence for each reason that turns health red; empty when the recorder is healthy."""
