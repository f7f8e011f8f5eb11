"""Text for people: control characters escaped, numbers with their nouns, and the name that was meant."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

CUTOFF = 0.8
"""The similarity, of 1, below which a name was not meant."""


def printable(text: str) -> str:
    """One line, in which characters that control a terminal are escaped as in Python: `\\x1b`, `\\n`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same, except that line feeds stay."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 signal`, `2 signals`; the plural is the noun with an s unless given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


class DirectoryResult(Protocol):
    """A model of what a command found in one directory."""

    @property
    def ok(self) -> bool: ...

    def model_dump(self, *, mode: str) -> dict[str, Any]: ...


def print_results(results: Sequence[DirectoryResult], *, as_json: bool, show: Callable[[], object]) -> int:
    """Print the results of a command, as JSON or by `show`; return its exit status, 0 if all are well."""
    ok = all(result.ok for result in results)
    if as_json:
        document = {"ok": ok, "directories": [result.model_dump(mode="json") for result in results]}
        print(json.dumps(document, indent=2))
    else:
        show()
    return 0 if ok else 1


def utc_time(at_ms: int) -> str:
    """The time of day of an instant, as in `11:22:01 UTC`."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%H:%M:%S} UTC"


def utc_minute(at_ms: int) -> str:
    """The day and minute of an instant, as in `2026-11-28 11:22 UTC`."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of the names, ignoring case, or None."""
    from difflib import get_close_matches  # here, because the health check of a container must start quickly

    by_folded = {other.casefold(): other for other in sorted(names)}
    matches = get_close_matches(name.casefold(), by_folded, n=1, cutoff=CUTOFF)
    return by_folded[matches[0]] if matches else None
