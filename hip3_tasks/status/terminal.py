"""How a running system is shown: a live panel on a terminal, short lines elsewhere."""

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hip3_tasks.status.panel import panel
from hip3_tasks.status.problem_changes import ProblemChanges
from hip3_tasks.status.view import View, essence
from hip3_tasks.status.wrapping import HANGING, MAX_LINE, wrapped
from hip3_tasks.terminal_text import printable_lines

PANEL_INTERVAL_S = 0.5
VIEW_INTERVAL_S = 1.0
LINE_INTERVAL_S = 5.0


class Display:
    """Shows views as often as is good for the reader, and says what happens in between.

    Quiet, it shows no view, and says only what is a problem or asked for at the end.
    """

    def __init__(self, console: Console, *, is_quiet: bool = False) -> None:
        self._console, self._is_quiet = console, is_quiet
        # A dumb terminal cannot move its cursor.
        self._is_live = console.is_terminal and not console.is_dumb_terminal and not is_quiet
        self._stack = ExitStack()
        self._live: Live | None = None
        self._view: View | None = None
        self._changes = ProblemChanges()
        self._looked_at_s = self._line_at_s = float("-inf")

    def __enter__(self) -> Self:
        if self._is_live:
            # No thread of its own: `hip3 up` forks.
            live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live = self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last view whole, as high as it is."""
        live, self._live = self._live, None
        with suppress(OSError):
            if live and self._view:
                live.update(panel(self._view, width=self._console.width))
            self._stack.close()

    @property
    def width(self) -> int:
        """The longest line that is good for the reader."""
        return min(self._console.width, MAX_LINE) if self._console.is_terminal else MAX_LINE

    def is_due(self) -> bool:
        every_s = PANEL_INTERVAL_S if self._live else VIEW_INTERVAL_S
        return time.monotonic() - self._looked_at_s >= every_s

    def show(self, view: View) -> None:
        self._looked_at_s = time.monotonic()
        self._view = view
        if self._live:
            with suppress(OSError):
                self._live.update(self._frame(view), refresh=True)
        else:
            self._tell(view)

    def announce(self, places: Mapping[str, str]) -> None:
        """Where to look, said once where no panel says it all the time."""
        if not self._live:
            for name, place in places.items():
                self.note(f"{name} {place}")

    def note(self, text: str) -> None:
        """What is good to know, unless nobody asked for it."""
        if not self._is_quiet:
            self.say(text)

    def say(self, text: str) -> None:
        for line in printable_lines(text).split("\n"):
            self._print([line] if self._is_live else wrapped(line.split(" "), width=self.width, hanging=HANGING))

    def _tell(self, view: View) -> None:
        for change in self._changes.told(view.problems):
            self.say(change)
        if self._looked_at_s - self._line_at_s >= LINE_INTERVAL_S and not self._is_quiet:
            self._line_at_s = self._looked_at_s
            self._print(essence(view))

    def _frame(self, view: View) -> Group:
        # The cursor stands on an empty line below the frame: there a terminal echoes ^C, and the next frame erases it.
        # At the end of the frame's own last line it would go over to a new one, and the frame be drawn a line too low.
        height = self._console.height - 1
        return Group(panel(view, width=self._console.width, height=height), Text())

    def _print(self, lines: list[str]) -> None:
        # A closed terminal must not keep anything from ending in order.
        with suppress(OSError):
            for line in lines:
                self._console.print(Text(line), soft_wrap=True)
