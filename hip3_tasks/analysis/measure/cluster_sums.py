"""Sums over clusters of signals, from which all means, shares and bands are computed; one pass over a chunk of rows.

Signals cluster: one oracle tick moves every market of a dex at once, and T+5 s of one tick is in the middle of the
next. A cluster is therefore a dex and a minute, or several minutes if there are very many.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.measure.chunk import Chunk, sum_by
from hip3_tasks.analysis.measure.grouping import SLOT_MS
from hip3_tasks.domain.capture import MINUTE_MS
from hip3_tasks.domain.edge import book_came, change_bps, shrank
from hip3_tasks.stats.bootstrap import Array

MAX_CLUSTERS = 3_000
"""Maximum number of clusters of a dex. Longer spans get longer clusters, which only makes bands more conservative."""


def cluster_ms(first_ms: int, last_ms: int) -> int:
    """The length of a cluster: the fewest minutes that give at most MAX_CLUSTERS. It always divides half an hour."""
    minutes = next(
        (minutes for minutes in (1, 2, 5, 10, 15) if (last_ms - first_ms) <= MAX_CLUSTERS * minutes * MINUTE_MS),
        SLOT_MS // MINUTE_MS,
    )
    return minutes * MINUTE_MS


def cluster_sums(chunk: Chunk, *, cluster_ms: int) -> pl.DataFrame:
    """Sum up the rows of a chunk by `market_key`, `group`, `offset` and `cluster`.

    The columns of sums are those that `hip3_tasks.analysis.measure.horizons.SUMS` names.
    """
    edge_change_bps = change_bps(t0_edge_bps=chunk.edge_t0_bps, edge_bps=chunk.edge_bps)
    keys = {
        "market_key": chunk.market_key,
        "group": chunk.group,
        "offset": chunk.offset,
        "cluster": chunk.timestamp_ms // cluster_ms,
    }
    terms = {
        "bought": chunk.is_buy,
        "edge_t0": chunk.edge_t0_bps,
        "edge": chunk.edge_bps,
        **_known("retained", chunk.retained),
        "market_part": chunk.market_part_bps,
        "oracle_part": chunk.oracle_part_bps,
        "shrank": shrank(edge_change_bps),
        "book_came": book_came(
            edge_change_bps, market_part_bps=chunk.market_part_bps, oracle_part_bps=chunk.oracle_part_bps
        ),
        "unmoved": edge_change_bps == 0,
        **_known("markout", chunk.markout_bps),
        "hit": chunk.markout_bps > 0,
        **_known("net", chunk.net_bps),
        "won": chunk.net_bps > 0,
        **_known("taken", chunk.taken_bps),
        **_known("round_trip", chunk.round_trip_bps),
        "round_trip_won": chunk.round_trip_bps > 0,
    }
    others = {
        "oracle_came": pl.col("shrank") - pl.col("book_came"),
        "widened": pl.col("n") - pl.col("shrank") - pl.col("unmoved"),
    }
    return sum_by(keys, terms).with_columns(**others)


def _known(name: str, values: Array) -> dict[str, npt.NDArray[Any]]:
    """The values to sum, with 0 for NaN, and whether each is known; as many as rows."""
    is_known = ~np.isnan(values)
    return {name: values if is_known.all() else np.where(is_known, values, 0), f"{name}_n": is_known}
