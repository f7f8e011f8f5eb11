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
from hip3_tasks.watch.markets import MarketRow, dislocated
from hip3_tasks.watch.pipeline import Pipeline

TABLE_EVERY_S = 0.5
LINE_EVERY_S = 5.0
NONE = "?"
NAMED = 3
"""Of the dislocated markets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything there is to show at one moment."""

    title: str
    pipeline: Pipeline
    markets: Sequence[MarketRow] = ()
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


def summary(pipeline: Pipeline) -> str:
    rows = _counts(pipeline) | {"pending": _or_none(pipeline.pending)}
    return "this run: " + " | ".join(_labelled(rows))


def _rows(view: View) -> dict[str, str]:
    found = view.pipeline
    return _counts(found) | {
        "pending": f"{_or_none(found.pending)}, {_or_none(found.overdue)} of it overdue",
        "watermark": f"{_or_none(found.watermark_age_ms, ' ms')} old",
        "markets": f"{_or_none(found.markets_live)} of {_or_none(found.markets_followed)} live",
        "dislocated": _dislocated(view.markets),
        "feed": f"{_or_none(found.sockets)} connected, {_or_none(found.reconnects)} reconnects, "
        f"{NONE if found.frames_per_s is None else f'{found.frames_per_s:.0f}'} frames/s",
        "workers": ", ".join(f"{one.processes} of {one.most_processes} processes" for one in found.workers) or NONE,
        "memory": f"{NONE if found.server_bytes is None else f'{found.server_bytes / 1e6:.1f} MB'} in Redis",
    }


def _dislocated(markets: Sequence[MarketRow]) -> str:
    found = dislocated(markets)
    more = f" and {len(found) - NAMED}" if len(found) > NAMED else ""
    return f"{len(found)}" + (f": {', '.join(row.shown() for row in found[:NAMED])}{more}" if found else "")


def _counts(found: Pipeline) -> dict[str, str]:
    offsets = [f"{ms / 1000:g} s: {count:,}" for ms, count in found.followups_by_offset_ms.items()]
    reasons = [f"{reason}: {count:,}" for reason, count in found.missed_by_reason.items()]
    lateness = [f"{name} {_or_none(ms, ' ms')}" for name, ms in found.lateness_ms.items()]
    return {
        "signals": f"{found.signals:,}",
        "follow-ups": _sum(found.followups, offsets),
        "missed": _sum(found.missed, reasons),
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
