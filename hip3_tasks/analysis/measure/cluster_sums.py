"""Sums over clusters of signals: all that means, shares and their bands are made of, in one pass over the piece.

Signals cluster: one oracle tick moves every market of a dex at once, and T+5 s of one tick is in the middle of the
next. So a cluster is a dex and a minute, or more minutes where there are very many.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from hip3_tasks.analysis.measure.chunk import Piece, summed
from hip3_tasks.analysis.measure.grouping import SLOT_MS
from hip3_tasks.domain.edge import book_came, change_bps, shrank
from hip3_tasks.stats.bootstrap import Array
from hip3_tasks.stats.cluster_totals import SumSpec

MINUTE_MS = 60_000
MOST_CLUSTERS = 3_000
"""Of a dex; beyond it a cluster is longer, which is always allowed: it then holds what is dependent all the more."""

SUMS = SumSpec(
    bootstrapped=(
        "n",
        "edge_t0",
        "edge",
        "market_part",
        "oracle_part",
        "shrank",
        "book_came",
        "oracle_came",
        "markout",
        "markout_n",
        "hit",
        "net",
        "net_n",
        "won",
    ),
    plain=("bought", "retained", "retained_n", "unmoved"),
)


def cluster_ms(first_ms: int, last_ms: int) -> int:
    """How long a cluster is: a minute, or so many that there are not too many; it always ends with the half hour."""
    minutes = next(
        (minutes for minutes in (1, 2, 5, 10, 15) if (last_ms - first_ms) <= MOST_CLUSTERS * minutes * MINUTE_MS),
        SLOT_MS // MINUTE_MS,
    )
    return minutes * MINUTE_MS


def cluster_sums(piece: Piece, *, every_ms: int) -> pl.DataFrame:
    """By market, group, offset and cluster."""
    edge_change_bps = change_bps(t0_edge_bps=piece.edge_t0_bps, edge_bps=piece.edge_bps)
    cells = {
        "market_key": piece.market_key,
        "group": piece.group,
        "offset": piece.offset,
        "cluster": piece.timestamp_ms // every_ms,
    }
    terms = {
        "bought": piece.is_buy,
        "edge_t0": piece.edge_t0_bps,
        "edge": piece.edge_bps,
        **_known("retained", piece.retained),
        "market_part": piece.market_part_bps,
        "oracle_part": piece.oracle_part_bps,
        "shrank": shrank(edge_change_bps),
        "book_came": book_came(
            edge_change_bps, market_part_bps=piece.market_part_bps, oracle_part_bps=piece.oracle_part_bps
        ),
        "unmoved": edge_change_bps == 0,
        **_known("markout", piece.markout_bps),
        "hit": piece.markout_bps > 0,
        **_known("net", piece.net_bps),
        "won": piece.net_bps > 0,
    }
    return summed(cells, terms).with_columns(oracle_came=pl.col("shrank") - pl.col("book_came"))


def _known(name: str, values: Array) -> dict[str, npt.NDArray[Any]]:
    """The values to be added, and which of them are known."""
    is_known = ~np.isnan(values)
    return {name: values if is_known.all() else np.where(is_known, values, 0), f"{name}_n": is_known}
