"""Breaks lines to a width, between pieces and never inside a number."""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from hip3_tasks.terminal_text import printable

MAX_LINE = 159
"""The longest line without a terminal, in a log or a pipe."""
HANGING = "    "


def listed(parts: Sequence[str], *, separator: str = ",") -> list[str]:
    """The pieces of a list; each but the last ends with the separator."""
    return [*(part + separator for part in parts[:-1]), *parts[-1:]]


def wrapped(pieces: Iterable[str], *, width: int = MAX_LINE, hanging: str = "") -> list[str]:
    """Join pieces by spaces into lines; all lines but the first begin with `hanging`.

    A piece that fits a line is not broken. A longer one is broken between its words, and a longer word anywhere.
    """
    lines: list[str] = []
    line, is_empty = "", True
    for word in _words(map(printable, pieces), max(width - len(hanging), 1)):
        longer = word if is_empty else f"{line} {word}"
        if not is_empty and _width(longer) > width:
            lines.append(line)
            longer = hanging + word
        line, is_empty = longer, False
    return [*lines, line]


def _words(pieces: Iterable[str], width: int) -> Iterator[str]:
    for piece in pieces:
        if _width(piece) <= width:
            yield piece
            continue
        for word in piece.split(" "):
            yield from _cut(word, width)


def _cut(word: str, width: int) -> Iterator[str]:
    while end := next((end for end in range(1, len(word)) if _width(word[: end + 1]) > width), 0):
        yield word[:end]
        word = word[end:]
    yield word


def _width(text: str) -> int:
    return max(len(text), cell_len(text))
