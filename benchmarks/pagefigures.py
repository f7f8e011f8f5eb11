"""What the benchmark of the live page found, as a section of RESULTS.md."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.sections import LIVE_PAGE

NOTES = """\
By `make bench-page`: 150 markets with 2.5 books a second each, three signals a second and 100 at once every 10 s,
over `hip3 up`; feed, workers, server, venue, page and viewers share the cores. Viewers read the page's events and ask
for the decay as browsers do. CPU is user and system of the process. Each round has a stretch without the page, then one
with each number of viewers; medians over the rounds, with the range in brackets, and ratios within a round.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Some seconds with so many viewers; None: without the page."""

    viewers: int | None
    page_share: float
    """Of a core."""
    feed_share: float
    late_ms: list[int]
    """Of the captures that were due in it, ascending."""
    watermark_ages_ms: list[int]
    """Once a second."""

    def late(self, share: float) -> int:
        return self.late_ms[int(len(self.late_ms) * share)]


@dataclass(slots=True)
class Found:
    """All rounds, and what was found of one page that stayed open."""

    machine: Mapping[str, str]
    rounds: list[list[Stretch]] = field(default_factory=list)
    """The first of each without the page."""
    openings: list[dict[str, int]] = field(default_factory=list)
    """In ms, by what was seen."""
    browser_share: float | None = None
    """Of a core, of the thread that draws."""
    minutes_mb: list[float] = field(default_factory=list)
    """Resident memory of the page, once a minute, with one viewer."""
    stray_cores: float = 0.0
    """Used by others before it began."""


def section(found: Found) -> str:
    return "\n".join(_section(found)) + "\n"


def _section(found: Found) -> Iterator[str]:
    yield LIVE_PAGE
    yield from (f"- {name}: {value}" for name, value in found.machine.items())
    yield f"\n{NOTES}"
    yield "| viewers | page, % of a core | feed, % of a core | lateness p50, ms | p99, ms | watermark's age p50, ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    yield from (_row([stretches[at] for stretches in found.rounds], found) for at in range(len(found.rounds[0])))
    yield "\nOpened by a browser that has never been there, ms: " + "; ".join(
        ", ".join(f"{name} {ms}" for name, ms in opening.items()) for opening in found.openings
    )
    yield "(a *sketch* of the charts stands until plotly's script has come and run)."
    if found.browser_share is not None:
        yield f"The browser's main thread is then busy for {found.browser_share:.0%} of a core."
    if found.minutes_mb:
        minutes = ", ".join(f"{mb:.1f}" for mb in found.minutes_mb)
        yield f"Memory of the page by minute, with one viewer, MB: {minutes}."
    yield f"Cores used by others before: {found.stray_cores:.2f}."


def _row(stretches: list[Stretch], found: Found) -> str:
    without = [stretches_of_round[0] for stretches_of_round in found.rounds]
    viewers = stretches[0].viewers

    def held(figure: Callable[[Stretch], float]) -> str:
        values, base = [figure(one) for one in stretches], [figure(one) for one in without]
        return _range(values) + ("" if viewers is None else f" **x {_ratio(values, base):.2f}**")

    cells = [
        "no page" if viewers is None else str(viewers),
        "" if viewers is None else _range([one.page_share * 100 for one in stretches]),
        held(lambda one: one.feed_share * 100),
        held(lambda one: one.late(0.5)),
        held(lambda one: one.late(0.99)),
        _range([median(one.watermark_ages_ms) for one in stretches]),
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(values: list[float], base: list[float]) -> float:
    return median(value / max(1, of) for value, of in zip(values, base, strict=True))


def _range(values: list[float]) -> str:
    middle = f"{median(values):.1f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.1f}-{max(values):.1f})"
