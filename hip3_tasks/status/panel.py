"""A view as a framed panel for a terminal, or as lines for anything else."""

from collections.abc import Iterator, Sequence

from rich.panel import Panel
from rich.text import Text

from hip3_tasks.status.view import Row, View, rows
from hip3_tasks.status.wrapping import MAX_LINE, wrapped
from hip3_tasks.terminal_text import printable

FRAME_WIDTH = 4
FRAME_HEIGHT = 2
BETWEEN = "  "
LEAST_NEEDED = ("memory", "venue", "workers", "feed", "flower", "watermark", "data", "lateness", "markets", "missed")
"""Rows that are left out of a terminal too low for all, in this order."""

Lines = Sequence[tuple[Row, Sequence[str]]]


def panel(view: View, *, width: int, height: int | None = None) -> Panel:
    """At most so wide, and so high if rows can be left out for it."""
    shown = rows(view)
    lines = _laid_out(shown, width - FRAME_WIDTH)
    if height is not None:
        lines = _fitted(lines, height - FRAME_HEIGHT)
    text = Text(no_wrap=True, overflow="crop")
    text.append_text(Text("\n").join(_styled(lines, _name_width(shown))))
    border = "red" if view.problems else "green"
    return Panel(text, title=Text(printable(view.title)), title_align="left", border_style=border, width=width)


def plain(view: View) -> list[str]:
    """A line a row, none longer than a log likes."""
    shown = rows(view)
    styled = _styled(_laid_out(shown, MAX_LINE), _name_width(shown))
    return [*wrapped([view.title]), *(line.plain.rstrip() for line in styled)]


def _laid_out(shown: Sequence[Row], width: int) -> Lines:
    room = max(width - _name_width(shown), 1)
    return [(row, wrapped(row.pieces, width=room)) for row in shown]


def _fitted(lines: Lines, height: int) -> Lines:
    """Without the rows that are needed least, as far as the height asks for it."""
    for name in LEAST_NEEDED:
        if sum(len(texts) for _, texts in lines) <= height:
            break
        lines = [(row, texts) for row, texts in lines if row.name != name]
    return lines


def _styled(lines: Lines, name_width: int) -> Iterator[Text]:
    for row, texts in lines:
        for number, text in enumerate(texts):
            name = "" if number else row.name
            yield Text.assemble((name.ljust(name_width), f"bold {row.style}"), (text, row.style))


def _name_width(shown: Sequence[Row]) -> int:
    return max(len(row.name) for row in shown) + len(BETWEEN)
