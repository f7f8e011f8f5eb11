"""Sums over clusters of signals: all that means, shares and their bands are made of, in one pass over the rows.

Signals cluster: one oracle tick moves every market of a dex at once, and T+5 s of one tick is in the middle of the
next. So a cluster is a dex and a minute, or more minutes where there are very many.
"""

import polars as pl

from hip3_tasks.analysis.grouping import SLOT_MS
from hip3_tasks.edge import Side

MINUTE_MS = 60_000
MOST_CLUSTERS = 3_000
"""Of a dex; beyond it a cluster is longer, which is always allowed: it then holds what is dependent all the more."""

_shrank = pl.col("raw_edge_bps") < pl.col("t0_raw_edge_bps")
_book_came = _shrank & (pl.col("market_part_bps") >= pl.col("oracle_part_bps"))
_retained = pl.when(pl.col("t0_raw_edge_bps") > 0).then(pl.col("raw_edge_bps") / pl.col("t0_raw_edge_bps"))
_net_bps = pl.col("markout_bps") - pl.col("cost_bps")

SUMS = {
    "n": pl.len().cast(pl.Float64),
    "bought": (pl.col("side") == Side.BUY.value).sum().cast(pl.Float64),
    "edge_t0": pl.col("t0_raw_edge_bps").sum(),
    "edge": pl.col("raw_edge_bps").sum(),
    "retained": _retained.sum(),
    "retained_n": _retained.count().cast(pl.Float64),
    "market_part": pl.col("market_part_bps").sum(),
    "oracle_part": pl.col("oracle_part_bps").sum(),
    "shrank": _shrank.sum().cast(pl.Float64),
    "book_came": _book_came.sum().cast(pl.Float64),
    "oracle_came": (_shrank & ~_book_came).sum().cast(pl.Float64),
    "unmoved": (pl.col("raw_edge_bps") == pl.col("t0_raw_edge_bps")).sum().cast(pl.Float64),
    "markout": pl.col("markout_bps").sum(),
    "markout_n": pl.col("markout_bps").count().cast(pl.Float64),
    "hit": (pl.col("markout_bps") > 0).sum().cast(pl.Float64),
    "net": _net_bps.sum(),
    "net_n": _net_bps.count().cast(pl.Float64),
    "won": (_net_bps > 0).sum().cast(pl.Float64),
}


def cluster_ms(first_ms: int, last_ms: int) -> int:
    """How long a cluster is: a minute, or so many that there are not too many; it always ends with the half hour."""
    minutes = next(
        (minutes for minutes in (1, 2, 5, 10, 15) if (last_ms - first_ms) <= MOST_CLUSTERS * minutes * MINUTE_MS),
        SLOT_MS // MINUTE_MS,
    )
    return minutes * MINUTE_MS


def cluster_sums(rows: pl.LazyFrame, *, by: list[str], every_ms: int) -> pl.DataFrame:
    """SUMS of follow-ups with their `cost_bps`, for each of `by`, each market and cluster."""
    cluster = (pl.col("signal_timestamp_ms") // every_ms).alias("cluster")
    return with_dex(rows.group_by(*by, "market_key", cluster).agg(**SUMS).collect(engine="streaming"))


def with_dex(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("market_key").cast(pl.String).str.split(":").list.first().alias("dex"))
