"""Columns of the tables that the terminal and the page show: a value's place in the report's JSON, and its format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hip3_tasks.analysis.measure.horizons import SHOWN, TOPICS, Shown, Topic
from hip3_tasks.analysis.report.model import LATENESS_QUANTILES
from hip3_tasks.charts.number_format import MISSING, Format, bps, chance, count, level, ms, seconds, share
from hip3_tasks.stats.bootstrap import Estimate

Path = tuple[str | int, ...]
"""The steps to a value in the report's JSON."""


@dataclass(frozen=True, slots=True)
class BoundValue:
    """A value of the report's JSON with its path. What it holds is bound too: an item, or all of them by iteration."""

    json: Any
    path: Path = ()

    def __getitem__(self, step: str | int) -> "BoundValue":
        if isinstance(step, int):
            step = range(len(self.json))[step]
        return BoundValue(self.json[step], (*self.path, step))

    def __iter__(self) -> Iterator["BoundValue"]:
        return (self[step] for step in (self.json if isinstance(self.json, dict) else range(len(self.json))))

    def __len__(self) -> int:
        return len(self.json)

    def __bool__(self) -> bool:
        return bool(self.json)


class TableCell(NamedTuple):
    """A value, which may be an estimate, and its format; None: there is no such value."""

    value: BoundValue | None
    format: Format

    @property
    def estimate(self) -> Estimate:
        """The value and its band; without a band if it is a plain number."""
        number = None if self.value is None else self.value.json
        return Estimate.model_validate(number) if isinstance(number, dict) else Estimate(value=number)

    @property
    def text(self) -> str:
        return MISSING if self.value is None else self.format(self.estimate.value)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a row of the table by horizon."""

    path: Path
    """The steps from a row's value to the cell's."""
    shown: Shown

    def cell(self, row: BoundValue | None) -> TableCell:
        for step in self.path:
            row = row[step] if row else None
        return TableCell(row, self.shown.format)


def cells(columns: Sequence[Column], row: BoundValue) -> list[TableCell]:
    return [column.cell(row) for column in columns]


def group_cells(columns: Sequence[Column], report: BoundValue, group: BoundValue) -> list[TableCell]:
    """The cells of a group; its measures are those at the longest offset of all, missing where it has none there."""
    longest = report["total"]["horizons"][-1]
    has_longest = group["horizons"] and group["horizons"][-1]["offset_ms"].json == longest["offset_ms"].json
    horizon = group["horizons"][-1] if has_longest else None
    return [column.cell(horizon if column in MEASURES else group) for column in columns]


def _half_life(value_s: float | None) -> str:
    return "longer" if value_s is None else seconds(value_s)


def _measures(*topics: Topic) -> list[Column]:
    """The measures of these topics, in the order given."""
    names = [name for topic in topics for name in SHOWN if TOPICS[name] is topic]
    return [Column((name, *SHOWN[name].steps), SHOWN[name]) for name in names]


def _lateness(index: int, quantile: float) -> Column:
    title = "lateness, most" if quantile == 1 else f"lateness, p{quantile * 100:g}"
    return Column(("quantiles_ms", index), Shown(title, ms, title if quantile in (0.5, 0.99, 1) else ""))


MEASURES = _measures(*Topic)
LATENESS = [_lateness(index, quantile) for index, quantile in enumerate(LATENESS_QUANTILES)]
"""Columns of a row of `Report.lateness`."""
NET = Column(("net_bps",), SHOWN["net_bps"])
SIGNALS = Column(("signals",), Shown("signals", count, column="signals"))
COST = Column(("cost_bps",), Shown("cost, bps", level, wide="cost"))
HALF_LIFE = Column(("half_life", "value_s"), Shown("half-life", _half_life, wide="half-life"))
TERMINAL_GROUPS = [
    *(SIGNALS, COST, *_measures(Topic.EDGE), HALF_LIFE),
    *_measures(Topic.OUTCOME, Topic.MARKOUT, Topic.RESULT),
]
PAGE_GROUPS = [
    *(SIGNALS, *_measures(Topic.RESULT, Topic.MARKOUT), COST, HALF_LIFE),
    Column(("one_sided",), Shown("one-sided", share)),
    *_measures(Topic.EDGE, Topic.PUBLISHED, Topic.OUTCOME, Topic.CONVERGENCE),
    Column(("due",), Shown("expected", count)),
    Column(("captured",), Shown("captured", count)),
]
CHOICES = [
    Column(("matched",), Shown("matched", count, column="matched")),
    Column(("edge_bps",), Shown("mean edge, bps", level, wide="edge")),
    Column(("shrank",), Shown("edge shrank", share, wide="shrank")),
    Column(("won",), Shown("won", share, wide="won")),
    Column(("net_bps",), Shown("net, bps", bps, column="net")),
    Column(("one_sided",), Shown("one-sided", share)),
    Column(("recorded_bps",), Shown("recorded at, bps", level)),
    Column(("threshold_bps",), Shown("best threshold, bps", level, column="best")),
    Column(("in_sample", "n"), Shown("signals, in", count, wide="n in")),
    Column(("in_sample", "won"), Shown("won, in", share, wide="won in")),
    Column(("in_sample", "net_bps"), Shown("net, bps, in", bps, column="net in")),
    Column(("in_sample", "p"), Shown("p, in", chance)),
    Column(("out_of_sample", "n"), Shown("signals, out", count, column="n out")),
    Column(("out_of_sample", "won"), Shown("won, out", share, wide="won out")),
    Column(("out_of_sample", "net_bps"), Shown("net, bps, out", bps, column="net out")),
    Column(("out_of_sample", "p"), Shown("p, out", chance, column="p")),
]
"""Columns of a market with its chosen threshold."""
