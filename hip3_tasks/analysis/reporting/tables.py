"""Columns of the tables that the terminal and the page show: a value's place in the report's JSON, and its format."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hip3_tasks.analysis.measure.horizons import Horizon, Topic
from hip3_tasks.analysis.measure.measures import Shown, declared
from hip3_tasks.analysis.measure.trip_measures import Trip
from hip3_tasks.analysis.reporting.model import LATENESS_QUANTILES, Report
from hip3_tasks.charts.number_format import MISSING, Format, bps, chance, count, horizon, level, ms, seconds, share
from hip3_tasks.stats.bootstrap import Estimate
from hip3_tasks.terminal_text import printable

Path = tuple[str | int, ...]
"""The steps to a value in the report's JSON."""


@dataclass(frozen=True, slots=True)
class BoundValue:
    """A value of the report's JSON with its path. What it holds is bound too: an item, or all of them by iteration."""

    raw: Any
    path: Path = ()

    def __getitem__(self, step: str | int) -> "BoundValue":
        if isinstance(step, int):
            step = range(len(self.raw))[step]
        return BoundValue(self.raw[step], (*self.path, step))

    def __iter__(self) -> Iterator["BoundValue"]:
        return (self[step] for step in (self.raw if isinstance(self.raw, dict) else range(len(self.raw))))

    def __bool__(self) -> bool:
        return bool(self.raw)

    @property
    def dotted_path(self) -> str:
        """The path as text; inside a step, `~1` stands for a dot and `~0` for a tilde."""
        return ".".join(str(step).replace("~", "~0").replace(".", "~1") for step in self.path)

    @property
    def exact(self) -> str:
        """The value as JSON, empty if it is missing."""
        return "" if self.raw is None else json.dumps(self.raw)


class TableCell(NamedTuple):
    """A value, which may be an estimate, with its format. No value: the row has no such thing."""

    value: BoundValue | None
    format: Format

    @property
    def estimate(self) -> Estimate:
        """The estimate; one without a band for any other value."""
        raw = None if self.value is None else self.value.raw
        return Estimate.model_validate(raw) if isinstance(raw, dict) else Estimate(value=raw)

    @property
    def text(self) -> str:
        return MISSING if self.value is None else self.format(self.estimate.value)


Row = BoundValue | Mapping[str, BoundValue | None]
"""A value, or several by name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a row of the table by horizon."""

    path: Path
    """The steps from a row to the value of its cell."""
    shown: Shown

    def cell(self, row: Row) -> TableCell:
        value: Any = row
        for step in self.path:
            value = value[step] if value else None
        return TableCell(value, self.shown.format)


def group_row(report: Report, group: BoundValue) -> Row:
    """A row for group columns: the group, its follow-ups at the longest offset, and the orders that are judged."""
    horizons = (horizon for horizon in group["horizons"] if horizon["offset_ms"].raw == report.longest_ms)
    return {"group": group, "longest": next(horizons, None), "judged": group["judged"] or None}


def _trip_measures(*names: str, within: Path = ()) -> list[Column]:
    """The measures of a `Trip` with these names, or all, in rows that hold the trip `within`."""
    shown = declared(Trip, Shown)
    return [Column((*within, name), shown[name]) for name in names or shown]


def _measures(*topics: Topic, within: Path = ()) -> list[Column]:
    """The measures of these topics, in the order given, in rows that hold the horizon `within`."""
    topic_of, shown = declared(Horizon, Topic), declared(Horizon, Shown)
    names = [name for topic in topics for name in shown if topic_of[name] is topic]
    return [Column((*within, name, *shown[name].steps), shown[name]) for name in names]


def _lateness(index: int, quantile: float) -> Column:
    title = "lateness, most" if quantile == 1 else f"lateness, p{quantile * 100:g}"
    return Column(("quantiles_ms", index), Shown(title, ms, title if quantile in (0.5, 0.99, 1) else ""))


MEASURES = _measures(*Topic)
"""Columns of a `Horizon`."""
HELD = Column(("held_ms",), Shown("out, s later", horizon))
TRIPS = _trip_measures()
"""Columns of a `Trip`."""
LATENESS = [_lateness(index, quantile) for index, quantile in enumerate(LATENESS_QUANTILES)]
"""Columns of a `LatenessQuantiles`."""

HAD, ROUND_TRIP = _trip_measures("had", "round_trip_bps", within=("judged",))
SIGNALS = Column(("group", "signals"), Shown("signals", count, column="signals"))
COST = Column(("group", "cost_bps"), Shown("cost", level, wide="cost"))
HALF_LIFE = Column(
    ("group", "half_life", "value_s"),
    Shown("half-life", lambda s: "longer" if s is None else seconds(s), wide="half-life"),
)
TERMINAL_GROUPS = [
    *(SIGNALS, HAD, ROUND_TRIP, *_measures(Topic.EDGE, within=("longest",)), HALF_LIFE),
    *_measures(Topic.OUTCOME, Topic.MARKOUT, Topic.RESULT, within=("longest",)),
]
PAGE_GROUPS = [
    *(SIGNALS, *_trip_measures(within=("judged",))),
    *(*_measures(Topic.AT_T0, Topic.RESULT, Topic.MARKOUT, within=("longest",)), COST, HALF_LIFE),
    Column(("group", "one_sided"), Shown("one-sided", share)),
    *_measures(Topic.EDGE, Topic.PUBLISHED, Topic.OUTCOME, Topic.CONVERGENCE, within=("longest",)),
    Column(("group", "expected"), Shown("expected", count)),
    Column(("group", "captured"), Shown("captured", count)),
]
CHOICES = [
    Column(("verdict",), Shown("verdict", printable)),
    Column(("too_few",), Shown("too few of what", lambda text: printable(text) if text else MISSING)),
    Column(("matched",), Shown("matched", count, column="matched")),
    Column(("edge_bps",), Shown("mean edge", level, wide="edge")),
    Column(("shrank",), Shown("edge shrank", share, wide="shrank")),
    Column(("won",), Shown("won, mid to mid", share)),
    Column(("net_bps",), Shown("net, mid to mid", bps, wide="net")),
    Column(("had",), Shown("had", share, wide="had")),
    Column(("round_trip_bps",), Shown("round trip when had", bps, column="trip")),
    Column(("one_sided",), Shown("one-sided", share)),
    Column(("recorded_bps",), Shown("recorded at", level)),
    Column(("threshold_bps",), Shown("best threshold", level, column="best")),
    Column(("in_sample", "n"), Shown("round trips, in", count, wide="n in")),
    Column(("in_sample", "round_trip_won"), Shown("round trip above 0, in", share)),
    Column(("in_sample", "round_trip_bps"), Shown("round trip, in", bps, column="trip in")),
    Column(("in_sample", "net_bps"), Shown("mid to mid, in", bps)),
    Column(("in_sample", "won"), Shown("mid to mid above 0, in", share)),
    Column(("in_sample", "p"), Shown("p, in", chance)),
    Column(("out_of_sample", "n"), Shown("round trips, out", count, wide="n out")),
    Column(("out_of_sample", "round_trip_won"), Shown("round trip above 0, out", share)),
    Column(("out_of_sample", "round_trip_bps"), Shown("round trip, out", bps, column="trip out")),
    Column(("out_of_sample", "net_bps"), Shown("mid to mid, out", bps)),
    Column(("out_of_sample", "won"), Shown("mid to mid above 0, out", share)),
    Column(("out_of_sample", "p"), Shown("p, out", chance, column="p")),
]
"""Columns of a `MarketChoice`: a market and its threshold."""
FILES = [
    Column(("kind",), Shown("kind", printable)),
    Column(("rows",), Shown("rows", count)),
    Column(("broken",), Shown("broken", count)),
    Column(("torn_bytes",), Shown("torn bytes", count)),
    Column(("gone",), Shown("", lambda is_gone: "gone" if is_gone else "")),
]
