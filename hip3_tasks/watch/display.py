"""How a running system is shown: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from hip3_tasks.printable import printable, printable_lines
from hip3_tasks.watch.status import Snapshot
from hip3_tasks.watch.tally import Tally

TABLE_EVERY_S = 0.5
LINE_EVERY_S = 5.0
NONE = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything there is to show at one moment."""

    title: str
    tally: Tally
    snapshot: Snapshot
    problems: Sequence[str] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Where else to look: pages, directories."""


def table(view: View) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _rows(view).items():
        grid.add_row(name, Text(printable(value)))
    for problem in view.problems:
        grid.add_row(Text("red", style="bold red"), Text(printable(problem), style="red"))
    for name, place in view.places.items():
        grid.add_row(name, Text(printable(place), style="dim"))
    title, border = Text(printable(view.title)), "red" if view.problems else "green"
    return Panel(grid, title=title, title_align="left", border_style=border)


def line(view: View) -> str:
    rows = _rows(view)
    red = [f"RED: {'; '.join(view.problems)}"] if view.problems else []
    return printable(" | ".join([view.title, *_labelled(rows), *red]))


def summary(tally: Tally, *, pending: int | None) -> str:
    rows = _counts(tally) | {"pending": _or_none(pending)}
    return "this run: " + " | ".join(_labelled(rows))


def _rows(view: View) -> dict[str, str]:
    snapshot, feed = view.snapshot, view.snapshot.feed
    live, followed = (feed.markets_live, feed.markets_followed) if feed else (None, None)
    return _counts(view.tally) | {
        "pending": f"{_or_none(snapshot.pending)}, {_or_none(snapshot.overdue)} of it overdue",
        "watermark": f"{_or_none(snapshot.watermark_age_ms, ' ms')} old",
        "markets": f"{_or_none(live)} of {_or_none(followed)} live",
    }


def _counts(tally: Tally) -> dict[str, str]:
    offsets = [f"{ms / 1000:g} s: {count:,}" for ms, count in sorted(tally.followups_by_offset_ms.items())]
    reasons = [f"{reason}: {count:,}" for reason, count in tally.missed_by_reason.most_common()]
    lateness = [f"{name} {_or_none(ms, ' ms')}" for name, ms in tally.lateness.summary().items()]
    return {
        "signals": f"{tally.signals:,}",
        "follow-ups": _sum(tally.followups, offsets),
        "missed": _sum(tally.missed, reasons),
        "lateness": ", ".join(lateness),
    }


def _labelled(rows: Mapping[str, str]) -> list[str]:
    return [f"{name} {value}" for name, value in rows.items()]


def _sum(total: int, parts: Sequence[str]) -> str:
    return f"{total:,}" + (f" ({', '.join(parts)})" if parts else "")


def _or_none(value: int | None, unit: str = "") -> str:
    return NONE if value is None else f"{value:,}{unit}"


class Display:
    """Shows views as often as is good for the reader, and says what happens in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._live: Live | None = None
        self._shown_at_s: float | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            # No thread of its own: `hip3 up` forks.
            live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        self._live = None
        with suppress(OSError):
            self._stack.close()

    def is_due(self) -> bool:
        every_s = TABLE_EVERY_S if self._live else LINE_EVERY_S
        return self._shown_at_s is None or time.monotonic() - self._shown_at_s >= every_s

    def show(self, view: View) -> None:
        self._shown_at_s = time.monotonic()
        if self._live:
            with suppress(OSError):
                self._live.update(table(view), refresh=True)
        else:
            self.say(line(view))

    def say(self, text: str) -> None:
        # A closed terminal must not keep anything from ending in order.
        with suppress(OSError):
            self._console.print(Text(printable_lines(text)), soft_wrap=True)
