"""Block times that never go back, however late a block is published and whatever the wall clock does."""


class BlockClock:
    """The venue's blocks: each has a later time than the block before it."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._last_instant_ms: int | None = None

    def time_ms(self, at_ms: int, *, now_ms: int, age_ms: int) -> int:
        """Time of the block of the model's instant `at_ms`, which arrives `age_ms` later. One instant is one block."""
        if at_ms != self._last_instant_ms:
            self._last_instant_ms = at_ms
            self._last_ms = max(now_ms - age_ms, self._last_ms + 1)
        return self._last_ms
