"""A row of the fault suite: what is done to the system, and what was found afterwards."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

NAMED_MOST = 5


@dataclass(slots=True, kw_only=True)
class Found:
    """Counts over all faults of a row."""

    injected: int = 0
    wanted: int = 0
    """Follow-ups that were to be on disk, each exactly once."""
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    """Records of another state than that as of their due time, missed without cause, or never asked for."""
    torn: int = 0
    """Lines that do not decode."""
    unclear: int = 0
    """Faults that were answered by anything but success or the one error that names them."""
    missed: int = 0
    """Follow-ups that have a reason instead of numbers, because nobody knew the market."""
    recovery_s: float | None = None
    """The longest time from the end of a fault until work went on."""
    lateness_s: float | None = None
    """The largest lateness of a follow-up."""
    took_s: float = 0.0
    effort: float = 1.0
    """How much of the row it was."""
    on: str = ""
    """The UTC date."""
    note: str = ""
    broken: list[str] = field(default_factory=list)
    """The first few things that went wrong, in words."""

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong or self.torn or self.unclear or self.broken)

    def blame(self, what: str) -> None:
        if len(self.broken) < NAMED_MOST:
            self.broken.append(what)

    def took(self, recovery_s: float) -> None:
        self.recovery_s = max(self.recovery_s or 0.0, recovery_s)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a row runs, how much of it, and whom it tells of its progress."""

    folder: Path
    effort: float
    """1 for all of it; a part of that in a run that must be short."""
    advance: Callable[[int, int], object] = lambda done, of: None

    def share(self, number: int, *, least: int = 1) -> int:
        """So many of `number`, by effort."""
        return min(number, max(least, round(number * self.effort)))

    def seconds(self, number: float, *, least: float) -> float:
        """So many of `number` seconds, by effort."""
        return min(number, max(least, number * self.effort))

    def rounds(self, number: int, found: Found, *, least: int = 1) -> Iterator[None]:
        """So many of `number` rounds, by effort, each of them a fault, telling how many are done."""
        rounds = self.share(number, least=least)
        for done in range(rounds):
            yield
            found.injected += 1
            self.advance(done + 1, rounds)

    def during(self, seconds: float) -> Iterator[None]:
        """Again and again for so long, telling how much of it is over."""
        began_s = time.monotonic()
        while (gone_s := time.monotonic() - began_s) < seconds:
            self.advance(int(gone_s), int(seconds))
            yield

    def wait(self, seconds: float) -> None:
        for _ in self.during(seconds):
            time.sleep(min(1.0, seconds))

    def some(self, items: Iterable[T]) -> Iterator[T]:
        """An even part of the items, by effort, telling how many are done."""
        chosen = list(items)
        keep = self.share(len(chosen))
        for done in range(keep):
            yield chosen[done * len(chosen) // keep]
            self.advance(done + 1, keep)


@dataclass(frozen=True, slots=True)
class Row:
    number: str
    fault: str
    how: str
    run: Callable[[Setting], Found]
    effort: float
    """How much of it a short run takes; 0 leaves it out."""
