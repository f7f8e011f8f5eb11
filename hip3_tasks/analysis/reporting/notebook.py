"""A report for a notebook: its groups as frames and figures, and the same data grouped otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from hip3_tasks.analysis.loading.load import Data, load
from hip3_tasks.analysis.measure.by import By, parse_by
from hip3_tasks.analysis.reporting import figures
from hip3_tasks.analysis.reporting.build import build_report
from hip3_tasks.analysis.reporting.command import rows_of
from hip3_tasks.analysis.reporting.model import Report
from hip3_tasks.analysis.reporting.plan import Trader
from hip3_tasks.charts.plotly_parts import Figure
from hip3_tasks.clock import wall_ms
from hip3_tasks.domain.fees import LATENCIES_MS, LATENCY_MS
from hip3_tasks.errors import BadSelection
from hip3_tasks.terminal_text import printable


@dataclass(frozen=True, repr=False)
class ReportView:
    """A report on loaded data, and the questions that a notebook asks of it."""

    data: Data
    model: Report
    """Every number, as `hip3 report --json` prints them."""
    trader: Trader

    def by(self, by: str) -> "ReportView":
        """The same data, grouped by one property, or by two with a comma between them, as `hip3 report --by`."""
        return _view(self.data, by, self.trader)

    def table(self) -> pl.DataFrame:
        """A row for each group and offset, all signals first: the numbers and columns of `hip3 report --csv`."""
        return pl.DataFrame(rows_of(self.model), infer_schema_length=None)

    def curve(self, by: str | None = None) -> pl.DataFrame:
        """The mean edge, what is left of it, and the markout, each with its band, by group and offset."""
        view = self if by is None else self.by(by)
        names = ("edge_bps", "retention", "markout_bps")
        bands = [name + end for name in names for end in ("", "_low", "_high")]
        return view.table().select("group", "offset_ms", "n", *bands)

    def plot(self, figure: str = "round_trips") -> Any:
        """A plotly figure: `round_trips`, `outcomes`, `decay`, `markout`, `thresholds` or `lateness`.

        Raises BadSelection for another name, and for `thresholds` without any.
        """
        import plotly.graph_objects as go  # takes 0.5 s that only a figure needs

        return go.Figure(_figure(self.model, figure))

    def __repr__(self) -> str:
        return f"ReportView({self._sentence()})"

    def _repr_html_(self) -> str:
        """The answer and the groups, for a notebook."""
        warnings = "".join(f"<br>{escape(printable(text))}" for text in self.model.warnings())
        return f"<b>{escape(self._sentence())}</b>{warnings}{self.table()._repr_html_()}"

    def _sentence(self) -> str:
        coverage, groups = self.model.coverage, len(self.model.groups)
        return f"{self.model.headline}: {coverage.signals:,} signals in {groups:,} groups by {self.model.by}"


def report(
    *dirs: Data | str | Path | Sequence[str | Path],
    by: str = By.MARKET,
    cost_bps: float | None = None,
    date: str | date | None = None,
    since: str | date | None = None,
    until: str | date | None = None,
    coins: str | Sequence[str] = (),
    latency_ms: int = LATENCY_MS,
    latencies_ms: Sequence[int] = LATENCIES_MS,
) -> ReportView:
    """Build the report of `hip3 report` on data directories, or on what `load` returned; options as there.

    It judges by orders that arrive `latency_ms` after T0, and has those of `latencies_ms` beside it, where a tape is
    kept.

    Raises BadSelection; Unavailable when there is nothing to report on or a file cannot be read.
    """
    first, *others = dirs or (None,)
    if isinstance(first, Data):
        if others or (date, since, until) != (None, None, None) or coins:
            raise BadSelection("expected loaded data alone: select with load(...)")
        data = first
    else:
        data = load(*dirs, date=date, since=since, until=until, coins=coins)  # type: ignore[arg-type]
    return _view(data, by, Trader(cost_bps=cost_bps, latency_ms=latency_ms, latencies_ms=tuple(latencies_ms)))


def _view(data: Data, by: str, trader: Trader) -> ReportView:
    return ReportView(data, build_report(data, by=parse_by(by, "by"), trader=trader, at_ms=wall_ms()), trader)


def _figure(model: Report, name: str) -> Figure:
    drawn = figures.DRAWN[name](model) if name in figures.DRAWN else None
    if drawn is None:
        raise BadSelection(f"plot: expected {', '.join(figures.DRAWN)}, was {name}; thresholds need round trips")
    return drawn
