"""Compute the edge retention at T+1, 3 and 5 s, and save the report's main figure, from the data of a feed.

python examples/edge_retention.py data/mainnet/signals retention.html
"""

import sys

import plotly.graph_objects as go
import polars as pl

from hip3_tasks.analysis import By, build_report, load
from hip3_tasks.analysis.reporting.figures import decay

directory, page = sys.argv[1:]
data = load(directory)


def edge_after(offset_ms: int) -> pl.Expr:
    return pl.col("raw_edge_bps").filter(pl.col("offset_ms") == offset_ms).first()


retention = (
    data.followups.lazy()
    .group_by("market_key", "signal_timestamp_ms")
    .agg(
        edge_t0=pl.col("t0_raw_edge_bps").first(),
        edge_t1=edge_after(1000),
        edge_t3=edge_after(3000),
        edge_t5=edge_after(5000),
    )
    .with_columns(
        retention_1s=pl.col("edge_t1") / pl.col("edge_t0"),
        retention_3s=pl.col("edge_t3") / pl.col("edge_t0"),
        retention_5s=pl.col("edge_t5") / pl.col("edge_t0"),
    )
    .collect(engine="streaming")
)
print(retention.select(pl.len(), pl.col("^retention_.*$").mean()))

report = build_report(data, by=By.SIDE, cost_bps=None, at_ms=0)
go.Figure(decay(report.total.horizons)).write_html(page)
