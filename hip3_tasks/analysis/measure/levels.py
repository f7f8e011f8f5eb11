"""Sums of results by level of edge, in the first part of the time and in the rest, for the search for thresholds."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from hip3_tasks.analysis.measure.chunk import Chunk, sum_by
from hip3_tasks.analysis.measure.codes import ByCode
from hip3_tasks.analysis.measure.trips import Trips
from hip3_tasks.stats.bootstrap import Integers

GRID_BPS = (6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 75.0, 100.0)
IN_SAMPLE_SHARE = 0.6
IN_SAMPLE, OUT_OF_SAMPLE = 0, 1


def split_ms(first_ms: int, last_ms: int, *, cluster_ms: int) -> int:
    """The start of the second part, at the end of a cluster."""
    return -(-int(first_ms + IN_SAMPLE_SHARE * (last_ms - first_ms)) // cluster_ms) * cluster_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelPlan:
    """All that must be known before results are summed by level."""

    recording_threshold_bps: ByCode
    """The lowest edge that was recorded throughout, per market."""
    split_at_ms: int
    cluster_ms: int

    def sums(self, rows: Chunk | Trips, selected: Integers, *, due_after_ms: int, result: str) -> pl.DataFrame:
        """Sums of a result by market, level (the number of grid thresholds reached), cluster, and how many clusters
        later the result is due.

        A row counts if its result is known and its edge was recorded throughout.
        """
        timestamp_ms, edge_t0_bps = rows.timestamp_ms[selected], rows.edge_t0_bps[selected]
        result_bps = getattr(rows, f"{result}_bps")[selected]
        was_recorded = edge_t0_bps >= self.recording_threshold_bps[rows.market_key[selected]]
        counts = ~np.isnan(result_bps) & was_recorded
        timestamp_ms, result_bps = timestamp_ms[counts], result_bps[counts]
        cluster = timestamp_ms // self.cluster_ms
        keys = {
            "market_key": rows.market_key[selected[counts]],
            "level": np.searchsorted(GRID_BPS, edge_t0_bps[counts], side="right"),
            "cluster": cluster,
            "later": (timestamp_ms + due_after_ms) // self.cluster_ms - cluster,
        }
        return sum_by(keys, {result: result_bps, f"{result}_won": result_bps > 0}).rename({"n": f"{result}_n"})

    def in_samples(self, sums: pl.DataFrame) -> pl.DataFrame:
        """The sums with the part of the time, `sample`, into which both signal and outcome fall.

        What is due in the second part of a signal in the first is in neither.
        """
        cluster, split = pl.col("cluster"), self.split_at_ms // self.cluster_ms
        is_late, is_due_late = cluster >= split, cluster + pl.col("later") >= split
        sample = pl.when(is_late).then(OUT_OF_SAMPLE).otherwise(IN_SAMPLE)
        return sums.filter(is_late == is_due_late).with_columns(sample=sample)
