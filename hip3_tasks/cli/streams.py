"""Standard output and standard error of a command, whose encoding may lack characters, or whose reader may be gone."""

import codecs
import io
import os
import sys
from contextlib import suppress

PLAIN = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "~",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{NO-BREAK SPACE}": " ",
}
"""Replacements, of the same width so that tables stay aligned, for characters that an encoding lacks."""

_HANDLER = "hip3-plain"


def plain(text: str) -> str:
    """The text in ASCII: a character without a replacement is escaped as in Python, `\\xe9`."""
    return "".join(PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text)


def encode_always() -> None:
    """Make both streams replace characters that their encoding lacks, instead of raising an error."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush_output() -> None:
    """Flush standard output. Raises OSError when it cannot be written."""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard_output() -> None:
    """Discard unflushed output, because Python's own flush at exit would print the error again."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
