"""The fault suite's figures as a table."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version

from tests.faults.row import Found
from tests.faults.rows import ROWS

HEAD = """# Reliability

{when}, by `make faults`{part}.

Real server, workers and feed against a scripted venue that knows the truth; every line of every file was read back, and
`hip3 audit` ran over each directory. The server let the system do only what `docker/redis/users` grants.

- system: {system}, {python}
- libraries: {libraries}

*Wanted* are follow-ups, over all faults of a row. *Lost* has no line, *twice* more than one, *wrong* shows another
state than that as of its due time or is missed without cause, *torn* is a line that does not decode, *unclear* is a
fault that was answered by anything but success or the one error that names it. *Missed* has a reason instead of
numbers, because nobody could know the market at that instant; that is right, and counted apart. *Recovery* is the
longest time from the end of a fault until work went on, *late* the largest lateness of a follow-up: a late one shows
the market as of its due time all the same.

"""
TITLES = (
    *("#", "fault", "how", "injected", "wanted", "lost", "twice", "wrong", "torn", "unclear"),
    *("missed", "recovery s", "late s"),
)
LIBRARIES = "celery", "kombu", "redis", "websockets"


def markdown(found: Mapping[str, Found], *, server: str) -> str:
    days = sorted({one.on for one in found.values()})
    parts = sum(one.effort < 1 for one in found.values())
    head = HEAD.format(
        when=" to ".join(dict.fromkeys([days[0], days[-1]])),
        part=f", a part only of {parts} of the {len(found)} rows" if parts else "",
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        python=f"Python {sys.version.split()[0]}, {server}",
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    )
    ruler = ["---", "---", "---", *["---:"] * (len(TITLES) - 3)]
    rows = [_cells(number, one) for number, one in found.items()]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in (TITLES, ruler, *rows))
    notes = [f"- {number}: {said}" for number, one in found.items() for said in (one.note, *one.broken) if said]
    return head + table + "\n" + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _cells(number: str, one: Found) -> list[str]:
    row = next(row for row in ROWS if row.number == number)
    bad = one.lost, one.duplicated, one.wrong, one.torn, one.unclear
    counts = [f"{one.injected:,}", f"{one.wanted:,}", *map(_bad, bad), f"{one.missed:,}"]
    return [row.number, row.fault, row.how, *counts, _seconds(one.recovery_s), _seconds(one.lateness_s)]


def _bad(count: int) -> str:
    return f"**{count}**" if count else "0"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"
