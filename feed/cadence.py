"""How often frames come, and which silence that allows: the limits are learnt, since the venue changes its pace.

A pause is regular once a market has had three as long within five to ten minutes: a venue that has become slower is
known after three frames, and one or two hiccups change nothing.
"""

from dataclasses import dataclass, field

WINDOW_MS = 300_000
REGULAR = 3
FACTOR = 3
MIN_LIMIT_MS, MAX_LIMIT_MS = 4_000, 60_000
FIRST_LIMIT_MS, FIRST_PAUSES = 20_000, 20
"""The limit until that many pauses were heard."""


@dataclass(slots=True)
class _Window:
    """The longest pauses of each market, shortest first, and the time that they all took."""

    longest_ms: dict[str, list[int]] = field(default_factory=dict)
    total_ms: int = 0
    over_ms: int = 0


class Cadence:
    """The pauses of one kind of frame. Those longer than `long_ms` make it slow."""

    def __init__(self, *, long_ms: int = MIN_LIMIT_MS) -> None:
        self._long_ms = long_ms
        self._pauses = 0
        self._window, self._before = _Window(), _Window()
        self._began_at_ms: int | None = None
        self.period_ms: int | None = None
        """The longest regular pause of any market; None before there was one."""
        self.limit_ms = FIRST_LIMIT_MS
        """The silence that a market may keep."""

    def hear(self, market: str, pause_ms: int, at_ms: int) -> None:
        """Note the pause before a frame of a market."""
        if self._began_at_ms is None or at_ms - self._began_at_ms >= WINDOW_MS:
            self._turn(at_ms)
        self._pauses += 1
        if self._pauses == FIRST_PAUSES:
            self._set_limit()
        window = self._window
        window.total_ms += pause_ms
        if pause_ms > self._long_ms:
            window.over_ms += pause_ms
        longest_ms = window.longest_ms.get(market)
        if longest_ms is None:
            longest_ms = window.longest_ms[market] = []
        elif len(longest_ms) == REGULAR:
            if pause_ms <= longest_ms[0]:
                return
            del longest_ms[0]
        longest_ms.append(pause_ms)
        longest_ms.sort()
        regular_ms = self._regular_ms(market)
        if regular_ms is not None and regular_ms > (self.period_ms or 0):
            self.period_ms = regular_ms
            self._set_limit()

    def forget(self, market: str) -> None:
        """Forget a market that is no longer followed; its pauses count until the window turns."""
        for window in (self._window, self._before):
            window.longest_ms.pop(market, None)

    @property
    def is_slow(self) -> bool:
        """Whether more than half of the time passed in pauses longer than `long_ms`."""
        over_ms = self._window.over_ms + self._before.over_ms
        return 2 * over_ms > self._window.total_ms + self._before.total_ms

    def _set_limit(self) -> None:
        allowed_ms = min(MAX_LIMIT_MS, max(MIN_LIMIT_MS, FACTOR * (self.period_ms or 0)))
        is_known = self._pauses >= FIRST_PAUSES and self.period_ms is not None
        self.limit_ms = allowed_ms if is_known else max(FIRST_LIMIT_MS, allowed_ms)

    def _regular_ms(self, market: str) -> int | None:
        pauses = sorted([*self._window.longest_ms.get(market, ()), *self._before.longest_ms.get(market, ())])
        return pauses[-REGULAR] if len(pauses) >= REGULAR else None

    def _turn(self, at_ms: int) -> None:
        """Begin a new window, and forget the one before the last."""
        self._began_at_ms = at_ms
        self._before, self._window = self._window, _Window()
        regular = filter(None, map(self._regular_ms, list(self._before.longest_ms)))
        self.period_ms = max(regular, default=None)
        self._set_limit()
