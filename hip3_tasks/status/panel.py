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
"""Rows that a low terminal leaves out, in this order."""

Lines = Sequence[tuple[Row, Sequence[str]]]


def panel(view: View, *, width: int, height: int | None = None) -> Panel:
    """A frame of this width. Rows that are needed least are left out to fit a height."""
    shown = rows(view)
    lines = _laid_out(shown, width - FRAME_WIDTH)
    if height is not None:
        lines = _fitted(lines, height - FRAME_HEIGHT)
    text = Text(no_wrap=True, overflow="crop")
    text.append_text(Text("\n").join(_styled(lines, _name_width(shown))))
    border = "red" if view.problems else "green"
    return Panel(text, title=Text(printable(view.title)), title_align="left", border_style=border, width=width)


def plain(view: View) -> list[str]:
    """The view as lines of at most MAX_LINE characters."""
    shown = rows(view)
    styled = _styled(_laid_out(shown, MAX_LINE), _name_width(shown))
    return [*wrapped([view.title]), *(line.plain.rstrip() for line in styled)]


def _laid_out(shown: Sequence[Row], width: int) -> Lines:
    room = max(width - _name_width(shown), 1)
    return [(row, wrapped(row.pieces, width=room)) for row in shown]


def _fitted(lines: Lines, height: int) -> Lines:
    """Leave out the rows that are needed least, until the others fit the height."""
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
