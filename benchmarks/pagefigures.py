"""The results of the benchmark of the live page, as a section of RESULTS.md."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.sections import LIVE_PAGE

NOTES = """\
By `make bench-page`: 150 markets with 2.5 books per second each, three signals per second and 100 at once every 10 s,
into `hip3 up`. Feed, workers, server, venue, page and viewers share the cores. Viewers read the events of the page and
request the decay, as browsers do. CPU is user and system time. Each round measures without the page, then with each
number of viewers; medians over the rounds, with the range in brackets, and ratios within a round.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One measurement with a number of viewers, or without the page (None)."""

    viewers: int | None
    page_share: float
    """CPU of the page, as a share of one core."""
    feed_share: float
    late_ms: list[int]
    """Lateness of the captures that were due in it, ascending."""
    watermark_ages_ms: list[int]
    """Ages of the watermark, one sample per second."""

    def late(self, share: float) -> int:
        return self.late_ms[int(len(self.late_ms) * share)]


@dataclass(slots=True)
class PageFigures:
    """The figures of all rounds, and of one page that stayed open."""

    machine: Mapping[str, str]
    rounds: list[list[Stretch]] = field(default_factory=list)
    """The measurements of each round; the first is without the page."""
    openings: list[dict[str, int]] = field(default_factory=list)
    """For each opening, ms until each part of the page showed."""
    browser_shares: list[float] = field(default_factory=list)
    """CPU of the browser's main thread after each opening, as a share of one core."""
    minutes_mb: list[float] = field(default_factory=list)
    """Resident memory of the page, once a minute, with one viewer."""
    stray_cores: float = 0.0
    """Cores used by other processes before the start."""


def section(figures: PageFigures) -> str:
    return "\n".join(_section(figures)) + "\n"


def _section(figures: PageFigures) -> Iterator[str]:
    yield LIVE_PAGE
    yield from (f"- {name}: {value}" for name, value in figures.machine.items())
    yield f"\n{NOTES}"
    yield "| viewers | page, % of a core | feed, % of a core | lateness p50, ms | p99, ms | watermark's age p50, ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    yield from (
        _row([stretches[number] for stretches in figures.rounds], figures) for number in range(len(figures.rounds[0]))
    )
    yield "\nOpened by a browser without a cache, ms: " + "; ".join(
        ", ".join(f"{name} {ms}" for name, ms in opening.items()) for opening in figures.openings
    )
    yield "(a *sketch* stands in place of the charts until plotly's script has loaded and run)."
    if figures.browser_shares:
        busy = _range([share * 100 for share in figures.browser_shares])
        yield f"The browser's main thread is then busy for {busy} % of a core."
    if figures.minutes_mb:
        minutes = ", ".join(f"{mb:.1f}" for mb in figures.minutes_mb)
        yield f"Memory of the page by minute, with one viewer, MB: {minutes}."
    yield f"Cores used by others before: {figures.stray_cores:.2f}."


def _row(stretches: list[Stretch], figures: PageFigures) -> str:
    without = [stretches[0] for stretches in figures.rounds]
    viewers = stretches[0].viewers

    def compared(figure: Callable[[Stretch], float]) -> str:
        values, base = [figure(stretch) for stretch in stretches], [figure(stretch) for stretch in without]
        return _range(values) + ("" if viewers is None else f" **x {_ratio(values, base):.2f}**")

    cells = [
        "no page" if viewers is None else str(viewers),
        "" if viewers is None else _range([stretch.page_share * 100 for stretch in stretches]),
        compared(lambda stretch: stretch.feed_share * 100),
        compared(lambda stretch: stretch.late(0.5)),
        compared(lambda stretch: stretch.late(0.99)),
        _range([median(stretch.watermark_ages_ms) for stretch in stretches]),
    ]
    return f"| {' | '.join(cells)} |"


def _ratio(values: list[float], base: list[float]) -> float:
    return median(value / max(1, reference) for value, reference in zip(values, base, strict=True))


def _range(values: list[float]) -> str:
    middle = f"{median(values):.1f}"
    return middle if len(values) < 2 else f"{middle} ({min(values):.1f}-{max(values):.1f})"
