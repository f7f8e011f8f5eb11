"""The published query of edge retention as a plain polars script in its fastest form: lazy, over all days at once,
collected by the streaming engine, so that only the columns it names are in memory.

    python -m benchmarks.published_query DIR

Reads the `.jsonl` files, or the `.parquet` files where there are none, and prints the means.
"""

import sys
from pathlib import Path

import polars as pl


def retention(signals: pl.LazyFrame, followups: pl.LazyFrame) -> pl.LazyFrame:
    """The share of its edge that each signal keeps after 1, 3 and 5 s; word for word as published."""
    joined = followups.join(signals, on="signal_id")
    return (
        joined.group_by("signal_id")
        .agg(
            pl.col("t0_raw_edge_bps").first().alias("edge_t0"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 1000).first().alias("edge_t1"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 3000).first().alias("edge_t3"),
            pl.col("raw_edge_bps").filter(pl.col("offset_ms") == 5000).first().alias("edge_t5"),
        )
        .with_columns(
            (pl.col("edge_t1") / pl.col("edge_t0")).alias("retention_1s"),
            (pl.col("edge_t3") / pl.col("edge_t0")).alias("retention_3s"),
            (pl.col("edge_t5") / pl.col("edge_t0")).alias("retention_5s"),
        )
    )


def scan(directory: Path, kind: str) -> pl.LazyFrame:
    if next(directory.glob(f"{kind}_*.jsonl"), None):
        return pl.scan_ndjson(directory / f"{kind}_*.jsonl")
    return pl.scan_parquet(directory / f"{kind}_*.parquet")


def main(directory: Path) -> None:
    retained = retention(scan(directory, "signals"), scan(directory, "followups")).collect(engine="streaming")
    means = retained.select(pl.col("retention_1s", "retention_3s", "retention_5s").mean().round(4))
    print(f"{len(retained):,} signals, mean retention {means.row(0)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
