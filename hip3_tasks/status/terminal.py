"""Shows a running system: a framed panel on a terminal, lines elsewhere."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from hip3_tasks.status.redis_snapshot import subject
from hip3_tasks.status.view import View, essence, rows
from hip3_tasks.status.wrapping import HANGING, MAX_LINE, wrapped
from hip3_tasks.terminal_text import printable, printable_lines

PANEL_INTERVAL_S = 0.5
VIEW_INTERVAL_S = 1.0
LINE_INTERVAL_S = 5.0
FRAME_WIDTH, FRAME_HEIGHT = 4, 2
BETWEEN = "  "
LEAST_NEEDED = (
    *("memory", "venue", "workers", "feed", "flower", "watermark", "data"),
    *("lateness", "markets", "missed", "markout"),
)
"""Rows that a low terminal leaves out, in this order."""


class Display:
    """Shows views at readable intervals, and messages in between.

    A quiet display shows no views, only problems and what is printed at the end.
    """

    def __init__(self, console: Console, *, is_quiet: bool = False) -> None:
        self._console, self._is_quiet = console, is_quiet
        # A dumb terminal cannot move its cursor.
        self._is_live = console.is_terminal and not console.is_dumb_terminal and not is_quiet
        self._stack = ExitStack()
        self._live: Live | None = None
        self._view: View | None = None
        self._changes = ProblemChanges()
        self._shown_at_s = self._line_at_s = float("-inf")

    def __enter__(self) -> Self:
        if self._is_live:
            # Without a thread of its own, because `hip3 up` forks.
            live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last view on the terminal in full height."""
        live, self._live = self._live, None
        with suppress(OSError):
            if live and self._view:
                live.update(panel(self._view, width=self._console.width))
            self._stack.close()

    @property
    def width(self) -> int:
        """The longest readable line."""
        return min(self._console.width, MAX_LINE) if self._console.is_terminal else MAX_LINE

    def is_due(self) -> bool:
        interval_s = PANEL_INTERVAL_S if self._live else VIEW_INTERVAL_S
        return time.monotonic() - self._shown_at_s >= interval_s

    def show(self, view: View) -> None:
        self._shown_at_s = time.monotonic()
        self._view = view
        if self._live:
            with suppress(OSError):
                self._live.update(self._frame(view), refresh=True)
        else:
            self._print_lines(view)

    def announce(self, places: Mapping[str, str]) -> None:
        """Print the addresses and directories once, unless a panel shows them."""
        if not self._live:
            for name, place in places.items():
                self.note(f"{name} {place}")

    def note(self, text: str) -> None:
        """Print a message, unless the display is quiet."""
        if not self._is_quiet:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a message, even if the display is quiet."""
        for line in printable_lines(text).split("\n"):
            self._print([line] if self._is_live else wrapped(line.split(" "), width=self.width, hanging=HANGING))

    def _print_lines(self, view: View) -> None:
        for change in self._changes.update(view.problems):
            self.say(change)
        if self._shown_at_s - self._line_at_s >= LINE_INTERVAL_S and not self._is_quiet:
            self._line_at_s = self._shown_at_s
            self._print(essence(view))

    def _frame(self, view: View) -> Group:
        # The cursor stays on an empty line below the frame: there a terminal echoes ^C, and the next frame erases it.
        # On the last line of the frame, ^C would begin a new line, and the next frame would be one line too low.
        height = self._console.height - 1
        return Group(panel(view, width=self._console.width, height=height), Text())

    def _print(self, lines: list[str]) -> None:
        # A closed terminal must not prevent an orderly end.
        with suppress(OSError):
            for line in lines:
                self._console.print(Text(line), soft_wrap=True)


class ProblemChanges:
    """Reports each problem once when it begins and once when it ends."""

    def __init__(self) -> None:
        self._red: dict[Sequence[str], str] = {}

    def update(self, problems: Sequence[str]) -> list[str]:
        """Take the problems of now, and return messages about those that began or ended."""
        before, self._red = self._red, {subject(problem): problem for problem in problems}
        begun = [f"red: {problem}" for key, problem in self._red.items() if key not in before]
        ended = [f"over: {problem}" for key, problem in before.items() if key not in self._red]
        return begun + ended


def panel(view: View, *, width: int, height: int | None = None) -> Panel:
    """A frame of this width. Rows that are needed least are left out to fit a height."""
    shown = _laid_out(view, width - FRAME_WIDTH)
    for name in LEAST_NEEDED:
        if height is None or sum(len(lines) for _, lines in shown) <= height - FRAME_HEIGHT:
            break
        shown = [row for row in shown if row[0] != name]
    text = Text(no_wrap=True, overflow="crop")
    text.append_text(Text("\n").join(line for _, lines in shown for line in lines))
    border = "red" if view.problems else "green"
    return Panel(text, title=Text(printable(view.title)), title_align="left", border_style=border, width=width)


def plain(view: View) -> list[str]:
    """The view as lines of at most MAX_LINE characters."""
    lines = [line.plain.rstrip() for _, lines in _laid_out(view, MAX_LINE) for line in lines]
    return [*wrapped([view.title]), *lines]


def _laid_out(view: View, width: int) -> list[tuple[str, list[Text]]]:
    """The name of each row, and its lines with the name before the first one."""
    shown = rows(view)
    name_width = max(len(row.name) for row in shown) + len(BETWEEN)
    laid_out = []
    for row in shown:
        first, *others = wrapped(row.pieces, width=max(width - name_width, 1))
        texts = [(row.name, first), *(("", text) for text in others)]
        style = f"bold {row.style}"
        lines = [Text.assemble((name.ljust(name_width), style), (text, row.style)) for name, text in texts]
        laid_out.append((row.name, lines))
    return laid_out
