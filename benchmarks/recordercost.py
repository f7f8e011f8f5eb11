"""The recorder's cost to the rest of the product: ratios of paired runs, with the tape kept and without."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.productfigures import Stretch
from hip3_tasks.stats.bootstrap import widened_level

RECORDER = "recorder"
"""The role of its process."""
MAX_RATIO = 1.05
DRAWS = 10_000
LEVEL = 0.95
NOTES = f"""\
Runs in pairs: one with the tape kept, one with `HIP3_TAPE_DAYS=0`, each of them first in turn, so that both see the
same machine. The ratio of the first to the second is the geometric mean over the pairs, with its {LEVEL:.0%}
interval: a bootstrap over pairs, widened because they are few. At most {MAX_RATIO:.2f} is wanted. In *dense* the
venue has 5,100 states per second.
"""
"""The head of the section of the page."""


class Figure(NamedTuple):
    """A figure of a run that a recorder might raise."""

    name: str
    value: Callable[[Stretch], float | None]


FIGURES = (
    Figure("lateness, state read, mean", lambda stretch: stretch.delays.read_mean_ms),
    Figure("lateness, state read, p99", lambda stretch: stretch.delays.read_ms.p99),
    Figure("lateness, line durable, p50", lambda stretch: stretch.delays.durable_ms.p50),
    Figure("from signal to tasks in the queue, p50", lambda stretch: stretch.delays.queued_ms.p50),
    Figure("CPU of the feed", lambda stretch: stretch.usages["feed"].cpu_share),
    Figure("CPU of the server", lambda stretch: stretch.usages["server"].cpu_share),
)


ITSELF: tuple[tuple[str, str, Callable[[Stretch], float]], ...] = (
    ("the recorder itself, CPU, % of a core", "{:.1f}", lambda stretch: stretch.usages[RECORDER].cpu_share * 100),
    ("the recorder itself, memory, MB", "{:.0f}", lambda stretch: stretch.usages[RECORDER].pss_mb),
    ("frames a second", "{:,.0f}", lambda stretch: stretch.frames_per_s),
    ("cores used by others before", "{:.2f}", lambda stretch: stretch.stray_cores),
)
"""Medians over the runs with the tape kept."""


class Ratio(NamedTuple):
    """The geometric mean of the ratios of pairs, with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def without_recorder(label: str) -> str:
    """The label of the other arm of a label's pairs."""
    return f"{label}, no tape"


def pairs_of(stretches: Sequence[Stretch], load: str) -> list[tuple[Stretch, Stretch]]:
    """The pairs of the newest label of a load, with the recorder first, in the order in which they were measured."""
    of_load = [stretch for stretch in stretches if stretch.load == load]
    for label in reversed(dict.fromkeys(stretch.label for stretch in of_load)):
        recorded = (stretch for stretch in of_load if stretch.label == label)
        others = (stretch for stretch in of_load if stretch.label == without_recorder(label))
        if pairs := list(zip(recorded, others, strict=False)):
            return pairs
    return []


def ratio(pairs: Sequence[tuple[Stretch, Stretch]], figure: Figure) -> Ratio | None:
    """The ratio of a figure with the recorder to that without; None for one pair, and when a run does not have it."""
    values = [(figure.value(recorded), figure.value(other)) for recorded, other in pairs]
    logs = np.array([np.log(mine / other) for mine, other in values if mine and other])
    if len(logs) < max(2, len(pairs)):
        return None
    drawn = np.random.default_rng(22).integers(len(logs), size=(DRAWS, len(logs)))
    level = widened_level((1 - LEVEL) / 2, len(logs))
    low, high = np.quantile(logs[drawn].mean(axis=1), [level, 1 - level])
    return Ratio(*(float(np.exp(log)) for log in (logs.mean(), low, high)))


def single(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The runs that are no arm of pairs, which have a section of their own."""
    labels = {stretch.label for stretch in stretches}
    paired = {label for label in labels if without_recorder(label) in labels}
    return [stretch for stretch in stretches if stretch.label not in paired | set(map(without_recorder, paired))]


def section(stretches: Sequence[Stretch]) -> Iterator[str]:
    """Lines of the page: a row for each load and figure; none without pairs."""
    by_load = {load: pairs_of(stretches, load) for load in dict.fromkeys(stretch.load for stretch in stretches)}
    by_load = {load: pairs for load, pairs in by_load.items() if pairs}
    if not by_load:
        return
    yield "## The recorder's cost\n"
    yield NOTES
    yield "| | " + " | ".join(f"{load}, {len(pairs)} pairs" for load, pairs in by_load.items()) + " |"
    yield "| --- |" + " ---: |" * len(by_load)
    for figure in FIGURES:
        ratios = (ratio(pairs, figure) for pairs in by_load.values())
        yield f"| {figure.name} | " + " | ".join(str(some or "") for some in ratios) + " |"
    for name, form, value in ITSELF:
        medians = (median(value(recorded) for recorded, _ in pairs) for pairs in by_load.values())
        yield f"| {name} | " + " | ".join(map(form.format, medians)) + " |"
    yield ""
