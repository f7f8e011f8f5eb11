"""Growing pauses between attempts on one thing."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Pauses that begin with `first_ms`, each twice the one before, up to `max_ms`."""

    first_ms: int
    max_ms: int
    pause_ms: int = 0
    """The last pause; 0 before the first and after a success."""
    next_at_ms: int = 0
    """When the next attempt is due."""

    def postpone(self, at_ms: int = 0) -> int:
        """Take an attempt that was made at an instant; return the pause until the next one."""
        self.pause_ms = min(2 * self.pause_ms or self.first_ms, self.max_ms)
        self.next_at_ms = at_ms + self.pause_ms
        return self.pause_ms

    def take(self, at_ms: int) -> bool:
        """Whether an attempt is due; it then counts as made. When none was needed for long, pauses begin anew."""
        if at_ms < self.next_at_ms:
            return False
        if at_ms - self.next_at_ms > self.max_ms:
            self.pause_ms = 0
        self.postpone(at_ms)
        return True
