"""Standard output and standard error of a command, which may be unable to encode or to take what is printed."""

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
"""What stands for a character in an encoding that lacks it: as wide, so that tables stay straight."""

_HANDLER = "hip3-plain"


def plain(text: str) -> str:
    """The same in ASCII: a character that has no like there is written as Python escapes it, `\\xe9`."""
    return "".join(PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode() for char in text)


def encode_always() -> None:
    """Make both streams print the plain form of what their encoding lacks, where they would raise an error."""
    codecs.register_error(_HANDLER, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def flush_output() -> None:
    """Raises OSError where standard output does not take what was printed."""
    if sys.stdout is not None:
        sys.stdout.flush()


def discard_output() -> None:
    """Let what is still to be flushed go nowhere: Python's own flush at its end would name the error once more."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
