"""A row of the fault suite: its faults, and its result."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MAX_NAMED = 5
REPLAY_KINDS = {
    "better_known": "better known",
    "off_tape": "off tape",
    "known_then": "known then",
    "not_covered": "not covered",
}
"""Counts of a replay that are no differences, each with its words."""


@dataclass(slots=True, kw_only=True)
class Result:
    """Counts and times over all faults of a row."""

    injected: int = 0
    wanted: int = 0
    """Follow-ups that should be on disk, each exactly once."""
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    """Records with another state than that as of their due time, missed without cause, or not expected."""
    unwitnessed: int | None = None
    """Records that rest on a state which the venue no longer had, before the feed could tell; None where not tried."""
    torn: int = 0
    """Lines that do not decode."""
    unclear: int = 0
    """Faults that led to neither success nor the error for that fault."""
    signals_wanted: int | None = None
    """Dislocations of the scripted venue that must have a signal; None, as the next three, in a row without a feed."""
    signals_lost: int | None = None
    signals_twice: int | None = None
    signals_invented: int | None = None
    """Signals without a dislocation, or that the detector does not make of the tape."""
    entries: int | None = None
    """Entries of the tape that the recording must have; None, as the next two, in a row without a recorder."""
    entries_lost: int | None = None
    entries_twice: int | None = None
    replayed: dict[str, int] = field(default_factory=dict)
    """Counts of a replay of the recording, by kind."""
    missed: int = 0
    """Follow-ups with a reason instead of numbers, because the market was unknown."""
    starved: int = 0
    """Follow-ups that show, or are missed for, frames that reached the feed late because the machine was busy."""
    recovery_s: float | None = None
    """The longest time from the end of a fault until work continued."""
    lateness_s: float | None = None
    """The largest lateness of a follow-up."""
    took_s: float = 0.0
    effort: float = 1.0
    """The share of the row that was run."""
    on: str = ""
    """The UTC date of the run."""
    note: str = ""
    broken: list[str] = field(default_factory=list)
    """Descriptions of the first broken promises."""

    @property
    def is_clean(self) -> bool:
        of_signals = self.signals_lost or self.signals_twice or self.signals_invented
        of_followups = self.lost or self.duplicated or self.wrong or self.torn
        of_entries = self.entries_lost or self.entries_twice
        return not (of_followups or of_signals or of_entries or self.unclear or self.broken)

    @property
    def replay_note(self) -> str:
        """The replay's counts in words; empty in a row without a recorder."""
        same = " and ".join(f"{self.replayed.get(kind, 0):,} {kind}" for kind in ("signals", "outcomes"))
        others = (f"{count:,} {REPLAY_KINDS[kind]}" for kind, count in self.replayed.items() if kind in REPLAY_KINDS)
        return f"replay: {same} are the same; {', '.join(others)}" if self.replayed else ""

    def add_broken(self, text: str) -> None:
        if len(self.broken) < MAX_NAMED:
            self.broken.append(text)

    def add_signals(self, *, wanted: int, lost: int, twice: int, invented: int) -> None:
        self.signals_wanted = (self.signals_wanted or 0) + wanted
        self.signals_lost = (self.signals_lost or 0) + lost
        self.signals_twice = (self.signals_twice or 0) + twice
        self.signals_invented = (self.signals_invented or 0) + invented

    def add_entries(self, *, wanted: int, lost: int, twice: int) -> None:
        self.entries = (self.entries or 0) + wanted
        self.entries_lost = (self.entries_lost or 0) + lost
        self.entries_twice = (self.entries_twice or 0) + twice

    def add_replayed(self, **counts: int) -> None:
        self.replayed = {kind: self.replayed.get(kind, 0) + count for kind, count in counts.items()}

    def add_recovery(self, recovery_s: float) -> None:
        self.recovery_s = max(self.recovery_s or 0.0, recovery_s)


@dataclass(frozen=True, slots=True)
class Setting:
    """The folder of a row, the share of it to run, and the callback for its progress."""

    folder: Path
    effort: float
    """1 for the whole row; less for a short run."""
    advance: Callable[[int, int], object] = lambda done, total: None

    def share(self, number: int, *, least: int = 1) -> int:
        """The share of `number` by effort, at least `least`."""
        return min(number, max(least, round(number * self.effort)))

    def seconds(self, number: float, *, least: float) -> float:
        """The share of `number` seconds by effort, at least `least`."""
        return min(number, max(least, number * self.effort))

    def rounds(self, number: int, result: Result, *, least: int = 1) -> Iterator[None]:
        """Run the share of `number` rounds by effort, each with one fault, and report progress."""
        rounds = self.share(number, least=least)
        for done in range(rounds):
            yield
            result.injected += 1
            self.advance(done + 1, rounds)

    def during(self, seconds: float) -> Iterator[None]:
        """Yield again and again for `seconds`, and report progress."""
        began_s = time.monotonic()
        while (gone_s := time.monotonic() - began_s) < seconds:
            self.advance(int(gone_s), int(seconds))
            yield

    def wait(self, seconds: float) -> None:
        for _ in self.during(seconds):
            time.sleep(min(1.0, seconds))

    def sample(self, items: Iterable[T]) -> Iterator[T]:
        """Yield an evenly spaced share of the items by effort, and report progress."""
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
    run: Callable[[Setting], Result]
    effort: float
    """The share of the row in a short run; 0 leaves it out."""
