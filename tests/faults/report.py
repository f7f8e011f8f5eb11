"""The fault suite's figures as a table."""

import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version

from tests.faults.row import Result
from tests.faults.rows import ROWS

HEAD = """# Reliability

{when}, by `make faults`{part}.

A real server, workers and a feed ran against a scripted venue that knows the truth. Every line of every file was read
back, and `hip3 audit` checked each directory. The server granted the system only what `docker/redis/users` grants.
[Operations](operations.md#what-is-not-promised) says what is not promised.

- system: {system}, {python}
- libraries: {libraries}

| column | meaning |
| --- | --- |
| injected | faults |
| wanted | follow-ups that the signals expect, over all faults of a row |
| lost, twice | follow-ups without a line; with more than one line |
| wrong | follow-ups with another state than that as of their due time, or missed without a cause |
| unwitnessed | records of a state that the venue no longer had, before the feed could tell; then they are wrong |
| torn | lines that do not decode |
| signals wanted | dislocations that must make a signal; a dash where no feed ran, or before it was counted |
| signals lost, twice | dislocations without a signal; with more than one |
| signals invented | signals without a dislocation, or that the detector does not make of the tape |
| entries | entries of the tape that the recording must have; a dash where no recorder ran |
| entries lost, twice | those without a row of the recording; with more than one |
| unclear | faults that led to neither success nor the error for that fault |
| missed | follow-ups with a reason instead of numbers, because the market could not be known: this is correct |
| recovery s | longest time from the end of a fault until work continued |
| late s | greatest lateness of a follow-up. A late follow-up also shows the market as of its due time |

"""
TITLES = (
    *("#", "fault", "how", "injected", "wanted", "lost", "twice", "wrong", "unwitnessed", "torn"),
    *("signals wanted", "signals lost", "signals twice", "signals invented"),
    *("entries", "entries lost", "entries twice"),
    *("unclear", "missed", "recovery s", "late s"),
)
LIBRARIES = "celery", "kombu", "redis", "websockets"


def markdown(results: Mapping[str, Result], *, server: str) -> str:
    days = sorted({result.on for result in results.values()})
    parts = sum(result.effort < 1 for result in results.values())
    head = HEAD.format(
        when=" to ".join(dict.fromkeys([days[0], days[-1]])),
        part=f", a part only of {parts} of the {len(results)} rows" if parts else "",
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        python=f"Python {sys.version.split()[0]}, {server}",
        libraries=", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    )
    ruler = ["---", "---", "---", *["---:"] * (len(TITLES) - 3)]
    rows = [_cells(number, result) for number, result in results.items()]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in (TITLES, ruler, *rows))
    notes = [f"- {number}: {note}" for number, result in results.items() for note in _notes(result)]
    return head + table + "\n" + ("\n" + "\n".join(notes) + "\n" if notes else "")


def _cells(number: str, result: Result) -> list[str]:
    row = next(row for row in ROWS if row.number == number)
    followups = result.lost, result.duplicated, result.wrong
    signals = result.signals_lost, result.signals_twice, result.signals_invented
    counts = [f"{result.injected:,}", f"{result.wanted:,}", *map(_bad, followups)]
    counts += [_count(result.unwitnessed), _bad(result.torn)]
    counts += [_count(result.signals_wanted), *map(_bad, signals)]
    counts += [_count(result.entries), _bad(result.entries_lost), _bad(result.entries_twice)]
    counts += [_bad(result.unclear), f"{result.missed:,}"]
    return [row.number, row.fault, row.how, *counts, _seconds(result.recovery_s), _seconds(result.lateness_s)]


def _notes(result: Result) -> list[str]:
    starved = f"{result.starved:,} follow-ups were due while frames reached the feed late" if result.starved else ""
    return [note for note in (result.note, result.replay_note, starved, *result.broken) if note]


def _bad(count: int | None) -> str:
    return f"**{count}**" if count else _count(count)


def _count(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"
