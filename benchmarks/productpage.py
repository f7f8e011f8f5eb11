"""The budget of the whole product as a Markdown page: a column for each label, and what changed from first to last."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import NamedTuple

from benchmarks.figures import Quantiles
from benchmarks.footprint import ALL
from benchmarks.productfigures import Stretch
from benchmarks.recordercost import section, single

MAX_CPU_SHARE = 0.10
MAX_MB = 150.0
NOTES = f"""\
By `make bench-product`: `hip3 up` as a user starts it, on two cores of one machine, with a venue of 150 markets and 450
frames and 3 signals per second; in *bursts* 100 markets also move within 50 ms every 6 s. The first seconds, in which
processes start, are left out. Columns are labels, in the order in which they were first measured; medians over the runs
of a label.

**CPU** is user and system time of a process, as a share of one core. **Memory** is the largest PSS (shared pages are
divided among processes, so that roles add up), then RSS in brackets, then the growth of PSS during the run. Feed and
server grow until the tape has its 15 minutes, so a run with `--seconds 1200` includes all growth.

**Lateness** is in ms, p50 / p99 / max, of a capture after it was due: when the state had been *read*, by its own
record, and when its line was *durable*: the capture had left the pending set, which is after the sync. The table
also has the time from a signal to its line in the file (before the sync) and to its tasks in the queue (after it).

A watcher reads the pending set and the file every 5 ms, so all of these except the first can be too late by the pause
between two looks, never too early. Its looks cost the server about 1 % of a core.

**The budget** of a round of changes, net and at its end: at most {MAX_CPU_SHARE:.0%} of a core and {MAX_MB:.0f} MB
more, and no more lateness.
"""

THREE = "{:.0f} / {:.0f} / {:.0f}"
MEMORY = "{:.0f} ({:.0f}) {:+z.0f}"

Numbers = tuple[float, ...]


class Row(NamedTuple):
    """A line of the table: the numbers of a stretch, and their format."""

    name: str
    numbers: Callable[[Stretch], Numbers | None]
    form: str


def markdown(stretches: Sequence[Stretch]) -> str:
    """The whole page."""
    return "\n".join(_page(stretches)) + "\n"


def _page(stretches: Sequence[Stretch]) -> Iterator[str]:
    yield "# The budget of the whole product\n"
    yield NOTES
    for load in dict.fromkeys(stretch.load for stretch in single(stretches)):
        yield f"## {load.capitalize()}\n"
        yield from table([stretch for stretch in single(stretches) if stretch.load == load])
        yield ""
    yield from section(stretches)
    yield "## What was measured\n"
    yield from map(_origin, stretches)
    yield "\nOn " + "; ".join(f"{name}: {value}" for name, value in stretches[-1].machine.items()) + "."


def table(stretches: Sequence[Stretch]) -> Iterator[str]:
    """One load: the figures of each label, and the change from the first to the last."""
    labels = list(dict.fromkeys(stretch.label for stretch in stretches))
    by_label = [[stretch for stretch in stretches if stretch.label == label] for label in labels]
    with_change = len(labels) > 1
    yield _line("", *labels, *(["change"] if with_change else []))
    yield _line("---", *("---:" for _ in range(len(labels) + with_change)))
    for row in rows(stretches):
        medians = [_medians(row, runs) for runs in by_label]
        change = [_change(row, medians[0], medians[-1])] if with_change else []
        yield _line(row.name, *(_written(row, numbers) for numbers in medians), *change)
    if with_change:
        yield "\n" + verdict(by_label[0], by_label[-1])


def rows(stretches: Sequence[Stretch]) -> Iterator[Row]:
    roles = [*sorted({role for stretch in stretches for role in stretch.usages} - {ALL}), ALL]
    yield from (Row(f"CPU, % of a core: {role}", _cpu(role), "{:.1f}") for role in roles)
    yield from (Row(f"memory, MB: {role}", _memory(role), MEMORY) for role in roles)
    yield Row("data in Redis, MB", lambda stretch: (stretch.redis_mb,), "{:.1f}")
    kinds = dict.fromkeys(kind for stretch in stretches for kind in stretch.files_mb_a_day)
    yield from (Row(f"{kind} on disk, MB a day", _a_day(kind), "{:,.0f}") for kind in kinds)
    yield Row("lateness, state read", lambda stretch: _three(stretch.delays.read_ms), THREE)
    yield Row("lateness, line durable", lambda stretch: _three(stretch.delays.durable_ms), THREE)
    yield Row("from signal to line in the file", lambda stretch: _three(stretch.delays.written_ms), THREE)
    yield Row("from signal to tasks in the queue", lambda stretch: _three(stretch.delays.queued_ms), THREE)
    yield Row("pause between looks, ms", lambda stretch: _three(stretch.delays.looks_ms), THREE)
    yield Row("frames a second", lambda stretch: (stretch.frames_per_s,), "{:.0f}")
    yield Row("signals a second", lambda stretch: (stretch.delays.signals / stretch.seconds,), "{:.1f}")
    yield Row(
        "captures, of these missed",
        lambda stretch: (stretch.delays.captures, stretch.delays.missed),
        "{:,.0f}, {:,.0f}",
    )
    names = dict.fromkeys(name for stretch in stretches for name in stretch.beside)
    yield from (Row(f"beside, % of a core: {name}", _beside(name), "{:.1f}") for name in names)
    yield Row("cores used by others before", lambda stretch: (stretch.stray_cores,), "{:.2f}")


def verdict(before: Sequence[Stretch], after: Sequence[Stretch]) -> str:
    """A sentence that says whether the change is within the budget."""

    def change(figure: Callable[[Stretch], float]) -> float:
        return median(map(figure, after)) - median(map(figure, before))

    cpu, mb = change(lambda stretch: stretch.usages[ALL].cpu_share), change(lambda stretch: stretch.usages[ALL].pss_mb)
    read_ms, durable_ms = (
        change(lambda stretch: stretch.delays.read_ms.p99),
        change(lambda stretch: stretch.delays.durable_ms.p99),
    )
    kept = "kept" if cpu <= MAX_CPU_SHARE and mb <= MAX_MB else "**exceeded**"
    late = f"lateness p99 {read_ms:+.0f} ms when read, {durable_ms:+.0f} ms when durable"
    return f"Budget of CPU and memory {kept}: {cpu * 100:+.1f} % of a core, {mb:+.0f} MB; {late}."


def _cpu(role: str) -> Callable[[Stretch], Numbers | None]:
    return lambda stretch: (stretch.usages[role].cpu_share * 100,) if role in stretch.usages else None


def _memory(role: str) -> Callable[[Stretch], Numbers | None]:
    def numbers(stretch: Stretch) -> Numbers | None:
        usage = stretch.usages.get(role)
        return (usage.pss_mb, usage.rss_mb, usage.grown_mb) if usage else None

    return numbers


def _a_day(kind: str) -> Callable[[Stretch], Numbers | None]:
    return lambda stretch: (stretch.files_mb_a_day[kind],) if kind in stretch.files_mb_a_day else None


def _beside(name: str) -> Callable[[Stretch], Numbers | None]:
    return lambda stretch: (stretch.beside[name] * 100,) if name in stretch.beside else None


def _three(quantiles: Quantiles) -> Numbers:
    return quantiles.p50, quantiles.p99, quantiles.max


def _medians(row: Row, runs: Sequence[Stretch]) -> Numbers | None:
    numbers = [values for values in map(row.numbers, runs) if values is not None]
    return tuple(map(median, zip(*numbers, strict=True))) if numbers else None


def _written(row: Row, numbers: Numbers | None) -> str:
    return "" if numbers is None else row.form.format(*numbers)


def _change(row: Row, before: Numbers | None, after: Numbers | None) -> str:
    if before is None or after is None:
        return "new" if after else "gone" if before else ""
    # With the z, a change that rounds to zero is "+0", not "-0".
    signed = row.form.replace("{:+z", "{:").replace("{:", "{:+z")
    return signed.format(*(new - old for old, new in zip(before, after, strict=True)))


def _origin(stretch: Stretch) -> str:
    measured_at = datetime.fromtimestamp(stretch.at_ms / 1000, UTC)
    details = f"commit {stretch.commit}, {stretch.seconds:.0f} s, {stretch.viewers} viewers of the page"
    unseen = f", {stretch.delays.unseen} unseen" if stretch.delays.unseen else ""
    return f"- {stretch.label}, {stretch.load}: {measured_at:%Y-%m-%d %H:%M} UTC, {details}{unseen}"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
