"""One pass over the follow-ups, a piece at a time: sums by cluster and rung, and the values that quantiles are of."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from hip3_tasks.analysis.loading.jsonl import Advance
from hip3_tasks.analysis.loading.load import LazyChunk, read_all
from hip3_tasks.analysis.loading.schemas import COIN
from hip3_tasks.analysis.measure.chunk import Piece, summed
from hip3_tasks.analysis.measure.cluster_sums import cluster_sums
from hip3_tasks.analysis.measure.costs import Costs
from hip3_tasks.analysis.measure.grouping import By
from hip3_tasks.analysis.measure.quantiles import Spread
from hip3_tasks.analysis.measure.threshold_search import rung_sums
from hip3_tasks.stats.bootstrap import Array

KEPT_BYTES = 30 << 20
"""To free as much at once makes glibc keep what is freed from then on, which the next piece takes without page faults:
a third of the time. It looks at the size only if it is below 32 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What must be known before the pass."""

    by: By
    costs: Costs
    recorded_bps: Array
    """From what edge on signals were recorded all the time: of the markets, by the number that polars has for them."""
    every_ms: int
    split_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the pass leaves."""

    offsets_ms: list[int]
    """All that there are, in order."""
    sums: pl.DataFrame
    """By `market_key`, its `dex`, `group`, `offset_ms` and `cluster`; several rows where pieces met."""
    rungs: pl.DataFrame
    """By `market_key`, its `dex`, `part`, `rung` and `cluster`, at the last offset; as above."""
    lateness: pl.DataFrame
    """`n` by `offset_ms` and `lateness_ms`."""
    least_edge_bps: dict[str, float]
    """By market, at T0."""
    markout_bps: Spread
    retained: Spread


def gather(chunks: Sequence[LazyChunk], terms: Terms, advance: Advance) -> Gathered | None:
    """None where there is no row; `advance` is told as by `read_all`. Raises Unavailable: a file cannot be read."""
    np.empty(KEPT_BYTES, dtype=np.uint8)
    found = [_OfPiece(rows, terms) for rows in read_all(chunks, advance) if not rows.is_empty()]
    if not found:
        return None
    offsets_ms = sorted({offset_ms for one in found for offset_ms in one.offsets_ms})
    at_last = [one.rungs for one in found if one.offsets_ms[-1] == offsets_ms[-1]]
    least = _named(pl.concat([one.least_edge_bps for one in found]), terms.by).group_by("market_key").min()
    return Gathered(
        offsets_ms=offsets_ms,
        sums=_named(pl.concat([one.sums for one in found]), terms.by),
        rungs=_named(pl.concat(at_last), terms.by),
        lateness=pl.concat([one.lateness for one in found]).group_by("offset_ms", "lateness_ms").sum(),
        least_edge_bps=dict(least.select("market_key", "edge_bps").iter_rows()),
        markout_bps=_spread(found, "markout_bps", terms.by),
        retained=_spread(found, "retained", terms.by),
    )


class _OfPiece:
    """The same of a piece, with numbers for markets and groups."""

    def __init__(self, rows: pl.DataFrame, terms: Terms) -> None:
        piece = Piece.of(rows, by=terms.by, costs=terms.costs)
        offset_ms = pl.lit(pl.Series(piece.offsets_ms)).gather(pl.col("offset")).cast(pl.Int64)
        lateness = summed({"offset": piece.offset, "lateness_ms": piece.lateness_ms}, {})
        self.offsets_ms: list[int] = piece.offsets_ms.tolist()
        self.sums = cluster_sums(piece, every_ms=terms.every_ms).with_columns(offset_ms=offset_ms).drop("offset")
        self.rungs = rung_sums(
            piece, recorded_bps=terms.recorded_bps, split_at_ms=terms.split_at_ms, every_ms=terms.every_ms
        )
        self.lateness = lateness.with_columns(offset_ms=offset_ms).drop("offset")
        starts = np.flatnonzero(np.diff(piece.market_key.astype(np.int64), prepend=-1))
        least_bps = np.minimum.reduceat(piece.edge_t0_bps, starts)
        self.least_edge_bps = pl.DataFrame({"market_key": piece.market_key[starts], "edge_bps": least_bps})
        place = piece.group.astype(np.int64) * len(self.offsets_ms) + piece.offset
        # Of 16 bits numpy sorts by digits, in a fifth of the time.
        order = np.argsort(place.astype(np.uint16) if np.max(place) < 1 << 16 else place, kind="stable")
        self.place, self.markout_bps, self.retained = place[order], piece.markout_bps[order], piece.retained[order]

    def values(self, name: str) -> Iterator[tuple[int, int, Array]]:
        """Of each group, as a number, and offset_ms."""
        starts = np.flatnonzero(np.diff(self.place, prepend=-1))
        groups, offsets = np.divmod(self.place[starts], len(self.offsets_ms))
        for group, offset, values in zip(groups, offsets, np.split(getattr(self, name), starts[1:]), strict=True):
            yield int(group), self.offsets_ms[offset], values


def _spread(found: Sequence[_OfPiece], name: str, by: By) -> Spread:
    arrays = defaultdict(list)
    for one in found:
        for group, offset_ms, values in one.values(name):
            arrays[group, offset_ms].append(values)
    labels = _named(pl.DataFrame({"group": [group for group, _ in arrays]}), by)["group"]
    places = zip(labels, (offset_ms for _, offset_ms in arrays), strict=True)
    return dict(zip(places, arrays.values(), strict=True))


def _named(rows: pl.DataFrame, by: By) -> pl.DataFrame:
    """With names in place of numbers."""
    names = []
    if "market_key" in rows.columns:
        market_key = _label("market_key", COIN).cast(pl.String)
        names += [market_key, market_key.str.split(":").list.first().cast(COIN).alias("dex")]
    if "group" in rows.columns:
        names.append(_label("group", by.kind))
    return rows.with_columns(names)


def _label(name: str, kind: pl.DataType) -> pl.Expr:
    return pl.col(name).cast(pl.UInt32).cat.to(kind)
